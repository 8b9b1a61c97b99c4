# SPDX-License-Identifier: MIT
"""What is measured. Each group leaves the file system as it found it, and yields (row, number)."""

import json
import os
import random
import subprocess
import tarfile
import time
from collections import namedtuple

from systems import run

Row = namedtuple("Row", "group unit")

ROWS = {
    "write, sequential 1 MiB": Row("large", "MiB/s"),
    "overwrite, sequential 1 MiB": Row("large", "MiB/s"),
    "read, cold 1 MiB": Row("large", "MiB/s"),
    "read, cold direct 1 MiB": Row("large", "MiB/s"),
    "random read 4 KiB, cold": Row("large", "/s"),
    "random read 4 KiB, direct QD1": Row("large", "/s"),
    "random read 4 KiB, direct QD16x2": Row("large", "/s"),
    "random write 4 KiB, direct": Row("large", "/s"),
    "random write 4 KiB, fdatasync": Row("large", "/s"),
    "create": Row("small", "/s"),
    "create and fsync": Row("small", "/s"),
    "stat, cold": Row("small", "/s"),
    "stat, warm": Row("small", "/s"),
    "read, cold": Row("small", "/s"),
    "unlink": Row("small", "/s"),
    "untar": Row("tree", "s"),
    "cp -r": Row("tree", "s"),
    "du, cold": Row("tree", "s"),
    "lookup in a large directory, cold": Row("directory", "/s"),
    "lookup in a large directory, again": Row("directory", "/s"),
}


def fio(system, options, rate_of, **settings):
    command = ["fio", "--name=bench", f"--filename={system.path}/large",
               f"--size={options.large_mib}M", "--bs=4k", "--invalidate=0", "--group_reporting",
               "--runtime=1", "--output-format=json"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    job = json.loads(run(*command))["jobs"][0]
    return job[rate_of]["iops"]


def large(system, options, _):
    """One large file."""
    yield "write, sequential 1 MiB", system.work("write", options.large_mib)
    yield "overwrite, sequential 1 MiB", system.work("write", options.large_mib)
    system.cold()
    yield "read, cold 1 MiB", system.work("read", options.large_mib)
    system.cold()
    yield "read, cold direct 1 MiB", system.work("read-direct", options.large_mib)
    system.cold()
    yield "random read 4 KiB, cold", fio(system, options, "read", rw="randread", ioengine="psync")
    system.cold()
    yield "random read 4 KiB, direct QD1", fio(system, options, "read", rw="randread",
                                               ioengine="psync", direct=1)
    yield "random read 4 KiB, direct QD16x2", fio(system, options, "read", rw="randread",
                                                  ioengine="libaio", direct=1, iodepth=16,
                                                  numjobs=2)
    yield "random write 4 KiB, direct", fio(system, options, "write", rw="randwrite",
                                            ioengine="psync", direct=1)
    # What the row before left in the host's page cache below an image is not this row's work.
    os.sync()
    yield "random write 4 KiB, fdatasync", fio(system, options, "write", rw="randwrite",
                                               ioengine="psync", fdatasync=1)
    os.unlink(f"{system.path}/large")


def small(system, options, _):
    """Many small files."""
    files = options.files
    for folder, job, row in (("plain", "create", "create"),
                             ("synced", "create-fsync", "create and fsync")):
        os.mkdir(f"{system.path}/{folder}")
        yield row, system.work(job, files, folder=folder)
    system.cold()
    yield "stat, cold", system.work("stat", files, folder="plain")
    yield "stat, warm", system.work("stat", files, folder="plain")
    system.cold()
    yield "read, cold", system.work("read-small", files, folder="plain")
    yield "unlink", system.work("unlink", files, folder="plain")
    run("rm", "-r", f"{system.path}/plain", f"{system.path}/synced")


def make_archive(path, files):
    """An archive like that of a source package: always the same bytes."""
    chance = random.Random(1)
    content = chance.randbytes(1 << 20)

    class Content:
        def __init__(self):
            self.at = chance.randrange(len(content) // 2)

        def read(self, size):
            return content[self.at:self.at + size]

    with tarfile.open(path, "w") as archive:
        for number in range(files):
            if number % 20 == 0:
                folder = tarfile.TarInfo(f"tree/part{number // 200}/folder{number // 20}")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                if number % 200 == 0:
                    part = tarfile.TarInfo(f"tree/part{number // 200}")
                    part.type, part.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(part)
                archive.addfile(folder)
            file = tarfile.TarInfo(f"{folder.name}/source{number}.cc")
            file.size = min(int(chance.lognormvariate(8.3, 1.3)), 400000)
            archive.addfile(file, Content())


def timed(*command):
    start = time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def tree(system, options, _):
    """What people do with source trees."""
    archive = f"{os.path.dirname(system.base)}/tree.tar"
    if not os.path.exists(archive):
        make_archive(archive, options.tree_files)
    with open(archive, "rb") as file:  # so that it comes from memory for everybody
        while file.read(1 << 20):
            pass
    yield "untar", timed("tar", "-xf", archive, "-C", system.path)
    yield "cp -r", timed("cp", "-r", f"{system.path}/tree", f"{system.path}/copy")
    system.cold()
    yield "du, cold", timed("du", "-s", f"{system.path}/tree")
    run("rm", "-r", f"{system.path}/tree", f"{system.path}/copy")


def directory(system, options, _):
    """One large directory; filled once, as that takes long."""
    if not os.path.exists(f"{system.path}/directory"):
        system.fill("directory", options.entries)
    lookups = min(options.entries, 20000)
    for state in ("cold", "again"):
        if state == "cold":
            system.cold()
        yield f"lookup in a large directory, {state}", system.work(
            "lookup", lookups, options.entries, folder="directory")


GROUPS = {"large": large, "small": small, "tree": tree, "directory": directory}

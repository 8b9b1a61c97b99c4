#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Power cuts seen by a recorder that shares no code with exo: recorded.py EXO

qemu-storage-daemon exports an image as a file and logs every write, flush and discard to it
(blklogwrites, the format of Linux's dm-log-writes). exo mounts that file, a workload runs on the
mount, and then the log is replayed up to many points, with what was not flushed whole, dropped, or
torn between sectors. Each image must pass fsck.exo, mount, and hold what was synced by then.

EXO_RECORDED_STATES (260) and EXO_CRASH_SEED change the run. Exit code 77: cannot run here.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SECTOR = 512
IMAGE_BYTES = 16 << 20
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


class Log:
    """The recorder's log, as specified in Linux's drivers/md/dm-log-writes.c."""

    def __init__(self, path):
        self.path = path

    def count(self):
        """Entries that are surely written. The recorder notes them in its superblock at each flush."""
        with open(self.path, "rb") as log:
            magic, version, entries, sector_bytes = struct.unpack("<QQQI", log.read(28))
        assert (magic, version, sector_bytes) == (MAGIC, 1, SECTOR), "not a log of writes"
        return entries

    def entries(self):
        """(flags, byte offset, data or length of a discard) of each entry."""
        found = []
        with open(self.path, "rb") as log:
            at = SECTOR
            for _ in range(self.count()):
                log.seek(at)
                sector, sectors, flags, _ = struct.unpack("<QQQQ", log.read(32))
                at += SECTOR
                if flags & DISCARD:
                    found.append((flags, sector * SECTOR, sectors * SECTOR))
                    continue
                log.seek(at)
                data = log.read(sectors * SECTOR)
                at += len(data)
                found.append((flags, sector * SECTOR, data))
        return found


class Content:
    """What a path held over time; None where it was not there."""

    def __init__(self):
        self.versions = [None]
        self.begun = [0]  # the log's length when the change began
        self.synced = [(0, 0)]  # the log's length when it was durable, version

    def window(self, cut):
        first = [version for length, version in self.synced if length <= cut][-1]
        last = max(i for i, length in enumerate(self.begun) if length <= cut)
        return self.versions[first : max(first, last) + 1]

    def allows(self, found, cut):
        versions = self.window(cut)
        if found in versions:
            return True
        if found is None:
            return False
        # Data on its way: any length up to the longest, each sector as in some version.
        held = [version for version in versions if version is not None]
        if not held or len(found) > max(map(len, held)):
            return False
        if None not in versions and len(found) < min(map(len, held)):
            return False
        for at in range(0, len(found), SECTOR):
            piece = found[at : at + SECTOR]
            if not any(version[at : at + len(piece)] == piece for version in held):
                return False
        return True


class Workload:
    """Changes files and notes what must be there from when on."""

    def __init__(self, mount, log, rng):
        self.mount, self.log, self.rng = mount, log, rng
        self.files = {}

    def at(self, path):
        return os.path.join(self.mount, path)

    def change(self, path, content):
        record = self.files.setdefault(path, Content())
        record.versions.append(content)
        record.begun.append(self.log.count())

    def durable(self, *paths):
        now = self.log.count()
        for path in paths:
            self.files[path].synced.append((now, len(self.files[path].versions) - 1))

    def now(self, path):
        return self.files[path].versions[-1]

    def text(self, length):
        return self.rng.randbytes(max(length // 8, 1)).hex().encode()[:length].ljust(length, b".")

    def write(self, path, content, sync=True):
        self.change(path, b"")
        self.change(path, content)
        with open(self.at(path), "wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if sync:
            self.durable(path)

    def append(self, path, more):
        self.change(path, self.now(path) + more)
        with open(self.at(path), "ab") as file:
            file.write(more)
            file.flush()
            os.fdatasync(file.fileno())
        self.durable(path)

    def overwrite(self, path, offset, data):
        old = self.now(path)
        self.change(path, old[:offset] + data + old[offset + len(data) :])
        with open(self.at(path), "r+b") as file:
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.durable(path)

    def replace(self, path, content):
        """As editors save: a new file, synced, renamed over the old one."""
        self.write(path + ".new", content)
        self.change(path, content)
        self.change(path + ".new", None)
        os.rename(self.at(path + ".new"), self.at(path))
        self.sync_directory(os.path.dirname(path))
        self.durable(path, path + ".new")

    def remove(self, path):
        self.change(path, None)
        os.unlink(self.at(path))

    def sync_directory(self, path):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    def sync_all(self):
        """File by file: the kernel does not pass sync(2) on to a FUSE file system."""
        for path in self.files:
            if self.now(path) is not None:
                with open(self.at(path), "rb") as file:
                    os.fsync(file.fileno())
        for path in ("dir", ""):
            self.sync_directory(path)
        self.durable(*self.files)

    def run(self):
        os.mkdir(self.at("dir"))
        self.sync_directory("")
        for i in range(6):
            self.write(f"dir/small{i}", self.text(300 + 1700 * i))
        self.write("log", b"")
        self.write("data", self.text(120000))
        for i in range(8):
            self.append("log", self.text(900 + 300 * i))
            self.overwrite("data", 4096 * i + 100 * i, self.text(3000))
            if i % 2:
                self.replace("dir/config", self.text(500 + 900 * i))
        for i in range(40):
            self.write(f"dir/{i}-" + "n" * 150, self.text(10 * i), sync=i % 8 == 7)
        self.sync_all()
        for i in range(0, 40, 2):
            self.remove(f"dir/{i}-" + "n" * 150)
        self.sync_directory("dir")
        self.durable(*[path for path in self.files if path.startswith("dir/")])
        self.write("reused", self.text(200000))
        self.remove("data")
        self.sync_all()
        self.write("last", self.text(50000), sync=False)
        self.sync_all()


class Replay:
    """Makes the images that the log allows."""

    def __init__(self, base, entries):
        self.image = bytearray(base)
        self.entries = entries
        self.at = 0
        self.open = []  # entries not flushed yet

    def apply(self, image, index, torn=None):
        flags, offset, data = self.entries[index]
        if flags & DISCARD:
            image[offset : offset + data] = b"\xdb" * data
            return
        if torn is None:
            image[offset : offset + len(data)] = data
            return
        for at in range(0, len(data), SECTOR):
            if torn.random() < 0.5:
                image[offset + at : offset + at + SECTOR] = data[at : at + SECTOR]

    def advance(self, cut):
        while self.at < cut:
            flags, _, data = self.entries[self.at]
            if flags & FLUSH:
                for index in self.open:
                    self.apply(self.image, index)
                self.open = []
            if flags & FUA:
                self.apply(self.image, self.at)
            elif data:
                self.open.append(self.at)
            self.at += 1

    def images(self, rng):
        yield "all", self.with_open(lambda: "whole")
        if self.open:
            yield "none", self.image
            yield "some", self.with_open(lambda: rng.choice(["whole", "lost", "torn"]), rng)

    def with_open(self, fate, rng=None):
        image = bytearray(self.image)
        for index in self.open:
            kind = fate()
            if kind != "lost":
                self.apply(image, index, rng if kind == "torn" else None)
        return image


class Bench:
    """The programs at work, and a folder for them that is cleaned up."""

    def __init__(self, exo):
        self.exo = exo
        self.folder = tempfile.mkdtemp(prefix="exo-recorded-", dir="/var/tmp")
        for name in ("mnt", "check"):
            os.mkdir(self.path(name))
        self.recorder = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments):
        return subprocess.run(
            [self.exo, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )

    def must(self, *arguments):
        done = self.run(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"exo {' '.join(arguments)}: {done.stderr.strip() or done.stdout}")

    def export(self):
        """The image as a file whose writes are logged."""
        open(self.path("export"), "w").close()
        open(self.path("log"), "w").close()
        self.recorder = subprocess.Popen(
            [
                "qemu-storage-daemon",
                "--blockdev",
                f"driver=file,node-name=image,filename={self.path('image')},discard=unmap",
                "--blockdev",
                f"driver=file,node-name=log,filename={self.path('log')}",
                "--blockdev",
                "driver=blklogwrites,node-name=recorder,file=image,log=log,log-sector-size=512,"
                "discard=unmap",
                "--export",
                "type=fuse,id=export,node-name=recorder,writable=on,"
                f"mountpoint={self.path('export')}",
            ]
        )
        for _ in range(200):
            if os.stat(self.path("export")).st_size == IMAGE_BYTES:
                return
            if self.recorder.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("qemu-storage-daemon does not export the image")

    def stop_recorder(self):
        if self.recorder and self.recorder.poll() is None:
            self.recorder.terminate()
            try:
                self.recorder.wait(20)
            except subprocess.TimeoutExpired:
                self.recorder.kill()
                self.recorder.wait()

    def close(self):
        for name in ("mnt", "check"):
            if os.path.ismount(self.path(name)):
                self.run("umount", self.path(name))
        self.stop_recorder()
        shutil.rmtree(self.folder, ignore_errors=True)


def check_image(bench, files, image, cut):
    """What is wrong with an image; empty when nothing is."""
    with open(bench.path("cut"), "wb") as out:
        out.write(image)
    checked = bench.run("fsck", "-n", bench.path("cut"))
    if checked.returncode != 0:
        return f"fsck.exo -n, exit code {checked.returncode}: {checked.stdout}{checked.stderr}"
    mounted = bench.run("mount", bench.path("cut"), bench.path("check"))
    if mounted.returncode != 0:
        return f"mount: {mounted.stderr}"
    wrong = ""
    for path, record in files.items():
        try:
            with open(os.path.join(bench.path("check"), path), "rb") as file:
                found = file.read()
        except FileNotFoundError:
            found = None
        if not record.allows(found, cut):
            size = "missing" if found is None else f"{len(found)} bytes"
            wrong = f"{path} ({size}) is none of {len(record.window(cut))} versions it may have"
            break
    unmounted = bench.run("umount", bench.path("check"))
    return wrong or ("" if unmounted.returncode == 0 else f"umount: {unmounted.stderr}")


def record(bench, rng):
    with open(bench.path("image"), "wb") as image:
        image.truncate(IMAGE_BYTES)
    bench.must("mkfs", bench.path("image"))
    with open(bench.path("image"), "rb") as image:
        base = image.read()
    bench.export()
    bench.must("mount", "-o", "discard", bench.path("export"), bench.path("mnt"))
    log = Log(bench.path("log"))
    workload = Workload(bench.path("mnt"), log, rng)
    workload.run()
    bench.must("umount", bench.path("mnt"))
    bench.stop_recorder()
    return base, log.entries(), workload.files


def main():
    wanted = int(os.environ.get("EXO_RECORDED_STATES", "260"))
    seed = int(os.environ.get("EXO_CRASH_SEED", "20261122"), 0)
    if os.geteuid() != 0:
        skip("mounting needs root")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("/dev/fuse cannot be opened")
    if not shutil.which("qemu-storage-daemon"):
        skip("there is no qemu-storage-daemon (package qemu-system-common)")
    rng = random.Random(seed)
    bench = Bench(os.path.abspath(sys.argv[1]))
    states = failures = 0
    try:
        base, entries, files = record(bench, rng)
        flags = [entry[0] for entry in entries]
        # Around every flush, and between them as often as there is time for.
        edges = {i + d for i, f in enumerate(flags) if f & (FLUSH | FUA) for d in (0, 1)}
        others = sorted(set(range(len(entries) + 1)) - edges)
        room = max(wanted - 2 * len(edges), wanted // 4) // 3
        cuts = sorted(edges | set(rng.sample(others, min(room, len(others)))))
        if 2 * len(cuts) > wanted:
            cuts = sorted(rng.sample(cuts, wanted // 2))
        replay = Replay(base, entries)
        for cut in cuts:
            replay.advance(cut)
            for kind, image in replay.images(rng):
                states += 1
                wrong = check_image(bench, files, image, cut)
                if wrong:
                    failures += 1
                    print(f"FAILED cut after entry {cut}, unflushed writes: {kind}: {wrong}")
                    keep = os.environ.get("EXO_CRASH_KEEP")
                    if keep and failures == 1:
                        shutil.copy(bench.path("cut"), keep)
            if failures >= 5:
                break
        print(
            f"recorded: {len(entries)} writes, flushes and discards "
            f"({sum(f & FLUSH != 0 for f in flags)} flushes, {sum(f & FUA != 0 for f in flags)} "
            f"FUA, {sum(f & DISCARD != 0 for f in flags)} discards), {states} crash states, "
            f"{failures} failed; EXO_CRASH_SEED={seed}"
        )
    finally:
        bench.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""The file systems that are compared: how each is made, mounted, made cold and taken away."""

import os
import shutil
import subprocess
import time


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")


class System:
    """One file system. `path` is where its files are."""
    name = ""

    def __init__(self, options, base):
        self.options = options
        self.base = f"{base}/{self.name}"
        self.path = f"{self.base}/mnt"
        self.worker = f"{options.build}/bin/bench_worker"

    def prepare(self):
        os.makedirs(self.path)

    def mount(self):
        pass

    def umount(self):
        pass

    def cold(self):
        """Nothing of this file system is in any cache."""
        self.umount()
        drop_caches()
        self.mount()

    def clean_up(self):
        try:
            self.umount()
        except RuntimeError as error:
            print(error)

    def work(self, job, count, first=0, folder=""):
        """Runs a job of the worker; returns what it did per second."""
        out = run(self.worker, job, f"{self.path}/{folder}", str(count), str(first))
        seconds, done = out.split()
        return float(done) / max(float(seconds), 1e-6)


    def fill(self, folder, entries):
        """Makes a directory with so many entries, before anything in it is measured."""
        self.fill_at(f"{self.path}/{folder}", entries)

    def fill_at(self, path, entries):
        os.mkdir(path)
        run(self.worker, "populate", path, str(entries))


class OnImage(System):
    def prepare(self):
        super().prepare()
        self.image = f"{self.base}/image"
        run("dd", "if=/dev/zero", f"of={self.image}", "bs=4M",
            f"count={self.options.image_mib // 4}", "conv=fsync", "status=none")
        self.make()

    def make(self):
        raise NotImplementedError


class Exo(OnImage):
    name = "exo"

    def make(self):
        run(f"{self.options.build}/bin/exo", "mkfs", "--force", "--nodiscard", self.image)

    def mount(self):
        run(f"{self.options.build}/bin/mount.exo", self.image, self.path)

    def umount(self):
        if os.path.ismount(self.path):
            run(f"{self.options.build}/bin/umount.fuse.exo", self.path)

    def daemon(self):
        """The process id of the daemon."""
        out = run("pgrep", "-f", f"mount.exo {self.image} ")
        return int(out.split()[0])


class Fuse2fs(OnImage):
    name = "fuse2fs"

    def make(self):
        # As many inodes as the large directory needs, and no work left for later.
        inodes = self.options.entries + 10 * self.options.files + 100000
        run("mke2fs", "-q", "-F", "-t", "ext4", "-N", str(inodes),
            "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", self.image)

    def mount(self):
        run("fuse2fs", self.image, self.path)

    def umount(self):
        if not os.path.ismount(self.path):
            return
        run("umount", self.path)
        # It goes on writing after its umount.
        while subprocess.run(["pgrep", "-f", f"fuse2fs {self.image} "], stdout=subprocess.DEVNULL,
                             check=False).returncode == 0:
            time.sleep(0.01)

    def fill(self, folder, entries):
        # It searches a directory from the start for each new name: that would take days. So the
        # kernel's ext4 fills it.
        self.umount()
        run("mount", "-t", "ext4", "-o", "loop", self.image, self.path)
        self.fill_at(f"{self.path}/{folder}", entries)
        run("umount", self.path)
        self.mount()


class Bindfs(System):
    name = "bindfs"

    def prepare(self):
        super().prepare()
        self.source = f"{self.base}/source"
        os.makedirs(self.source)

    def mount(self):
        run("bindfs", self.source, self.path)

    def umount(self):
        if os.path.ismount(self.path):
            run("umount", self.path)

    def fill(self, folder, entries):
        self.fill_at(f"{self.source}/{folder}", entries)  # sooner, and with the same outcome

    def clean_up(self):
        super().clean_up()
        shutil.rmtree(self.source, ignore_errors=True)


class Ext4(System):
    """The host's own file system: nothing to mount."""
    name = "ext4"

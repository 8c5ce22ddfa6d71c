#!/usr/bin/env python3
"""
The host's own pressure wakes memctld: test_pressure.py BUILD_DIR. Prints TAP.

Tasks that wait for memory inside a small control group count for the whole host, so that nobody else
has to run short: a process there reads and writes more than its group may have.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

INTERVAL = 60
LIMIT = 12 << 20
ROOM = 64
STALLS = f"""
import mmap, os, sys, tempfile
with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
    file.truncate({ROOM} << 20)
    while True:
        file.seek(0)
        for _ in range({ROOM}):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        pages = mmap.mmap(file.fileno(), 0)
        sum(pages[at] for at in range(0, {ROOM} << 20, 4096))
"""


@contextlib.contextmanager
def small_group():
    """A control group with little memory; None where there is no place for one."""
    folder = None
    for parent, limit in (("/sys/fs/cgroup", "memory.max"),
                          ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        folder = Path(parent, f"memctl-test-{os.getpid()}")
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():  # or the parent is no file system of control groups
            (folder / limit).write_text(str(LIMIT))
            break
        folder.rmdir()
    else:
        yield None
        return
    try:
        yield folder
    finally:
        wait_for("the group to be empty", lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


def stalled_us():
    return int(Path("/proc/pressure/memory").read_text().split("total=")[1].split()[0])


class Stalls:
    """A process in the group, started again when its group's OOM killer takes it."""

    def __init__(self, group, folder):
        self.group, self.folder = group, folder

    def start(self):
        return subprocess.Popen(
            [sys.executable, "-c", STALLS, self.folder], stderr=subprocess.DEVNULL,
            preexec_fn=lambda: (self.group / "cgroup.procs").write_text(str(os.getpid())))

    def __enter__(self):
        self.process = self.start()
        return self

    def go_on(self):
        if self.process.poll() is not None:
            self.process = self.start()
        return True

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def a_stall_wakes_the_engine(build):
    with Lab(build) as lab, Memctld(build, lab.uri, interval=f"{INTERVAL}s") as memctld, \
            tempfile.TemporaryDirectory(dir="/var/tmp") as folder, small_group() as group:
        if not group:
            print("# skipped: no control group for memory can be made here")
            return
        ticks = lambda: memctld.json("status")["counters"]["ticks"]  # noqa: E731
        wait_for("a tick", lambda: ticks() >= 1)
        time.sleep(3)
        before, had = stalled_us(), ticks()
        began = time.monotonic()
        with Stalls(group, folder) as stalls:
            wait_for("tasks to wait for memory",
                     lambda: stalls.go_on() and stalled_us() - before >= 300000, 60)
            stalled = time.monotonic() - began
            wait_for("ticks", lambda: stalls.go_on() and ticks() >= had + 2, 20)
        woken = time.monotonic() - began
        print(f"# {(stalled_us() - before) / 1000:.0f} ms of stall; {ticks() - had} ticks within "
              f"{woken:.1f} s, where the timer has one in {INTERVAL} s (300 ms were lost after "
              f"{stalled:.1f} s)")
        assert woken < INTERVAL


TESTS = [a_stall_wakes_the_engine]

if __name__ == "__main__":
    reason = why_not()
    if not reason and not os.path.exists("/proc/pressure/memory"):
        reason = "the kernel has no pressure stall information"
    tap.run([] if reason else TESTS, sys.argv[1], skip=reason)

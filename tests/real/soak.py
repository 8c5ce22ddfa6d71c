#!/usr/bin/env python3
"""
Guests that come, go, work and idle under one memctld for a while: soak.py BUILD_DIR [--minutes N].
Prints what memctld costs as it goes, and fails if that grows, a tick or a notice for the watchdog is
missed, or a guest suffers.

No test of the suite, since it takes half an hour by default.
"""

import argparse
import os
import random
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

WATCHDOG_S = 6
CONFIG = """\
[budget]
overcommit = 1.0
distress-reserve = 10%
[governor]
cooldown = 10s
[guests]
min = 128M
"""


class Watchdog:
    """systemd's end of the notices; what it waits for longest."""

    def __init__(self, folder):
        self.path = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.last, self.longest, self.count = None, 0.0, 0
        threading.Thread(target=self.listen, daemon=True).start()
        os.environ.update(NOTIFY_SOCKET=self.path, WATCHDOG_USEC=str(WATCHDOG_S * 1000000))

    def listen(self):
        while True:
            if b"WATCHDOG=1" not in self.socket.recv(4096):
                continue
            now = time.monotonic()
            self.longest = max(self.longest, now - self.last if self.last else 0)
            self.last, self.count = now, self.count + 1


class Load:
    """Each guest does something at random for some seconds, then something else."""

    def __init__(self, lab, guests, seed):
        self.lab, self.guests = lab, guests
        self.random = random.Random(seed)
        self.done = {}
        self.started = 0

    def step(self):
        what = self.random.choice([self.fill, self.fill, self.touch, self.idle, self.idle, self.churn,
                                   self.churn, self.pause, self.hang, self.reboot])
        try:
            what(self.random.choice(self.guests))
        except LabError as error:
            if "busy" not in str(error):  # it still fills what it was told to before
                raise
        self.done[what.__name__] = self.done.get(what.__name__, 0) + 1

    def fill(self, guest):
        free = 360 * MiB - guest.hog.stats()["load"]["held"]
        if free > 20 * MiB:
            guest.hog.fill(self.random.randrange(10 * MiB, free), self.random.choice([20, 80, 160]))

    def touch(self, guest):
        guest.hog.hot(guest.hog.stats()["load"]["held"] // 2, 200)

    def idle(self, guest):
        guest.hog.free()

    def churn(self, guest):
        name = f"guest{self.started}"
        self.started += 1
        self.lab.bare(name, "64M")
        time.sleep(self.random.uniform(0, 3))
        self.lab.virsh("destroy", name)

    def pause(self, guest):
        guest.suspend()
        time.sleep(self.random.uniform(0, 4))
        guest.resume()

    def hang(self, guest):
        guest.sigstop()
        time.sleep(self.random.uniform(0, 6))
        guest.sigcont()

    def reboot(self, guest):
        if self.random.randrange(4) == 0:
            guest.reboot()


def minute(memctld, watchdog, load, began):
    """One line of what it costs; the footprint."""
    now = memctld.footprint()
    counters = memctld.json("status")["counters"]
    print(f"{(time.monotonic() - began) / 60:5.1f} min  {now['memory'] / MiB:5.1f} MiB  "
          f"{now['descriptors']:3} descriptors  {now['threads']:2} threads  "
          f"{counters['ticks']:5} ticks  {counters['commands']:5} commands  "
          f"watchdog at most {watchdog.longest:.1f} s", flush=True)
    return now


def soak(memctld, watchdog, load, minutes):
    began, line, footprints = time.monotonic(), 0, []
    while time.monotonic() - began < minutes * 60:
        load.step()
        time.sleep(load.random.uniform(0, 2))
        if time.monotonic() - began >= line * 60:
            footprints.append(minute(memctld, watchdog, load, began))
            line += 1
    return footprints


def settle(memctld, guests, threads=0, within=300):
    """
    As it was at first: all idle, and lanes that have had nothing to do for a minute have ended, which
    takes longer on a slow host; given a number of threads, until there are no more.
    """
    for guest in guests:
        wait_for("the last fill", lambda guest=guest: not guest.hog.stats()["load"]["filling"], 60)
        guest.hog.free()
    time.sleep(70)
    until = time.monotonic() + within
    while threads and memctld.footprint()["threads"] > threads and time.monotonic() < until:
        time.sleep(5)
    return memctld.footprint()


def complaints(first, last, footprints, watchdog, guests, memctld):
    # What fills up once: 4,096 events (1 MiB), the store's cache (0.5), guests that were there.
    if last["memory"] > first["memory"] + 3 * MiB:
        yield f"memory grew from {first['memory'] / MiB:.1f} to {last['memory'] / MiB:.1f} MiB"
    if last["descriptors"] > first["descriptors"] + 4:
        yield f"descriptors grew from {first['descriptors']} to {last['descriptors']}"
    if last["threads"] > first["threads"]:
        yield f"threads grew from {first['threads']} to {last['threads']}"
    if max(each["threads"] for each in footprints) > 20:
        yield f"there were {max(each['threads'] for each in footprints)} threads"
    if watchdog.longest > WATCHDOG_S or not watchdog.count:
        yield f"the watchdog waited {watchdog.longest:.1f} s of {WATCHDOG_S} s"
    for guest in guests:
        stats = guest.hog.stats()["vmstat"]
        if stats.get("pswpout", 0):
            yield f"{guest.name} swapped"
    if memctld.process.poll() is not None:
        yield "memctld ended"


def main():
    parser = argparse.ArgumentParser(description="memctld under churn and load for a while.")
    parser.add_argument("build")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if why_not():
        sys.exit(f"soak: {why_not()}")
    with tempfile.TemporaryDirectory() as folder, Lab(args.build) as lab:
        guests = lab.boot_many([f"g{i}" for i in range(4)], memory="512M", deflate_on_oom=True)
        watchdog = Watchdog(folder)
        load = Load(lab, guests, args.seed)
        with Memctld(args.build, lab.uri, budget="1800M", interval="1s", store=True,
                     config=CONFIG) as memctld:
            wait_for("the agents", lambda: len(memctld.guests()) == 4 and all(
                g["agent"] for g in memctld.guests().values()), 60)
            soak(memctld, watchdog, load, min(1, args.minutes / 5))  # what is kept once is there
            first = settle(memctld, guests)
            footprints = soak(memctld, watchdog, load, args.minutes)
            last = settle(memctld, guests, threads=first["threads"])
            kills = sum(guest.hog.stats()["vmstat"]["oom_kill"] for guest in guests)
            print(f"done: {load.done}; {kills} OOM kills in the guests\nat rest: {first} -> {last}")
            wrong = list(complaints(first, last, footprints, watchdog, guests, memctld))
    print("\n".join(wrong) or "nothing grew, and nothing was missed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

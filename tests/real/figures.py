#!/usr/bin/env python3
"""
How fast memory moves, measured on real guests: figures.py BUILD_DIR [--rounds N]. Prints a table.

No test, since what is measured depends on the machine and on who else uses it: about eight minutes
for people who compare. Four guests of 512M under a private libvirtd, memctld with its defaults as
far as nothing else is said. Times are from the host's point of view, by its events (now_ms) and by
what the guests' kernels count as their memory.
"""

import argparse
import contextlib
import json
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, TickWatch, wait_for  # noqa: E402

NAMES = "abcd"
PLENTY, SHORT = 4096, 1150
NEED, FILL_RATE = 400 * MiB, 160
CONFIG = """\
[budget]
budget = {budget}M
overcommit = 1.0
distress-reserve = {reserve}%
[governor]
boot-grace = 0
cooldown = 5s
[policy]
name = working-set
[guests]
min = 128M
"""


def p99(values):
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, measured, wanted=""):
        self.rows.append((what, measured, wanted))
        print(f"# {what}: {measured}" + (f" ({wanted})" if wanted else ""), flush=True)

    def show(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(2)]
        for what, measured, wanted in self.rows:
            print(f"{what:<{widths[0]}}  {measured:>{widths[1]}}  {wanted}")


class Scene:
    """Guests and a memctld, with a budget that can be changed."""

    def __init__(self, build, reserve, **options):
        self.build, self.reserve = build, reserve
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(build))
            self.guests = dict(zip(NAMES, self.lab.boot_many(list(NAMES), memory="512M", **options)))
            self.memctld = stack.enter_context(Memctld(
                build, self.lab.uri, config=CONFIG.format(budget=PLENTY, reserve=reserve)))
            wait_for("agents", lambda: len(self.seen()) == len(NAMES) and all(
                g["agent"] and g["fresh"] for g in self.seen().values()), 60)
            self.parts = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.parts.close()

    def seen(self):
        return self.memctld.guests()

    def budget(self, mib):
        """Returns when the daemon has it, and the moment before, in ms."""
        self.memctld.config.write_text(CONFIG.format(budget=mib, reserve=self.reserve))
        before = time.monotonic() * 1000
        assert self.memctld.run("reload").returncode == 0
        return before

    def rest(self, timeout=90):
        def there():
            return all(g["plan"] and not g["plan"]["sent"] and g["distress"] == "no"
                       and abs(g["actual"] - g["plan"]["wish"]) <= 16 * MiB
                       for g in self.seen().values())
        wait_for("rest", there, timeout)
        time.sleep(2)

    def events(self, since_ms, kind, guest=None):
        lines = self.memctld.run("--json", "events").stdout.splitlines()
        return [e for e in map(json.loads, lines)
                if e.get("kind") == kind and e["now_ms"] >= since_ms and guest in (None, e["guest"])]

    def total(self):
        return sum(guest.hog.stats()["meminfo"]["MemTotal"] for guest in self.guests.values())

    def harm(self):
        stats = [guest.hog.stats()["vmstat"] for guest in self.guests.values()]
        return (sum(s["oom_kill"] for s in stats),
                sum(s.get("pswpin", 0) + s.get("pswpout", 0) for s in stats))


class Sizes:
    """What the guests have together, over time."""

    def __init__(self, scene):
        self.scene, self.samples, self.end = scene, [], threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.end.is_set():
            total = self.scene.total()
            self.samples.append((time.monotonic() * 1000, total))
            self.end.wait(0.05)

    def stop(self):
        self.end.set()
        self.thread.join()

    def reached(self, part, since_ms):
        """Seconds until so much of what was reclaimed in the end was."""
        first, last = self.samples[0][1], self.samples[-1][1]
        line = first - part * (first - last)
        return next(t - since_ms for t, total in self.samples if total <= line) / 1000


def reclaim(scene, table, rounds):
    """The budget becomes short; and so it does when a guest starts that nobody can shrink."""
    commands, halves, most = [], [], []
    for _ in range(rounds):
        scene.budget(PLENTY)
        scene.rest()
        sizes = Sizes(scene)
        time.sleep(0.5)
        since = scene.budget(SHORT)
        scene.rest()
        sizes.stop()
        first = min(e["now_ms"] for e in scene.events(since, "target") if e["to"] < e["from"])
        commands.append((first - since) / 1000)
        halves.append(sizes.reached(0.5, since))
        most.append(sizes.reached(0.9, since))
    given = (sizes.samples[0][1] - sizes.samples[-1][1]) / MiB
    table.add("host short -> first balloon command, p99", f"{p99(commands):.2f} s", "under 1 s; 25-36 s")
    table.add(f"50 % of the {given:.0f}M that idle guests can give", f"{max(halves):.1f} s",
              "under 5 s; 121 s")
    table.add("90 %", f"{max(most):.1f} s", "under 15 s; 302 s")
    kills, swapped = scene.harm()
    table.add("OOM kills, pages swapped in the idle guests", f"{kills}, {swapped}", "0, 0")


def intrude(scene, table):
    scene.budget(PLENTY // 2)
    scene.rest()
    since = time.monotonic() * 1000
    intruder = scene.lab.bare("intruder", "1G")
    first = wait_for("a command", lambda: [e for e in scene.events(since, "target")
                                           if e["guest"] in NAMES and e["to"] < e["from"]])[0][0]
    table.add("another guest of 1G starts -> first command", f"{(first['now_ms'] - since) / 1000:.2f} s",
              "its start included")
    intruder.destroy()


def starve(scene, table, what):
    """One guest fills 400M faster than the tick; the others have what they do not need."""
    for guest in scene.guests.values():
        guest.hog.free()
    scene.budget(SHORT + 250)
    scene.rest()
    guest, had = scene.guests["a"], scene.seen()["a"]["actual"]
    kills, _ = scene.harm()
    began = time.monotonic() * 1000
    guest.hog.fill(NEED, FILL_RATE)
    wait_for("all of it", lambda: not guest.hog.stats()["load"]["filling"], 60)
    took = time.monotonic() - began / 1000
    trouble = scene.events(began, "distress", "a")
    grown = [e for e in scene.events(began, "target", "a") if e["to"] > e["from"]]
    held = guest.hog.stats()["load"]["held"]
    if trouble and grown:
        table.add(f"{what}: event -> first growth",
                  f"{(grown[0]['now_ms'] - trouble[0]['now_ms']) / 1000:.2f} s", "under 1 s; 31 s")
    table.add(f"{what}: {held / MiB:.0f}M filled at {FILL_RATE} MiB/s by a guest that had "
              f"{had / MiB:.0f}M", f"{took:.1f} s", "under 5 s; never")
    table.add(f"{what}: OOM kills", f"{scene.harm()[0] - kills}", "0")


def hang(scene, table):
    scene.budget(PLENTY)
    scene.rest()
    with TickWatch(scene.memctld, 2.0) as quiet:
        time.sleep(30)
    scene.guests["d"].sigstop()
    with TickWatch(scene.memctld, 2.0) as stopped:
        time.sleep(30)
    scene.guests["d"].sigcont()
    for what, ticks in (("quiet", quiet), ("one QEMU stopped", stopped)):
        table.add(f"lateness of the tick, {what}, p99", f"{ticks.p99() * 1000:.0f} ms",
                  "from 10 s to 40 s" if ticks is stopped else "")


def cost(scene, table):
    """Of four guests at rest, at 1 s ticks, when lanes have ended and QEMUs are measured seldom."""
    with Memctld(scene.build, scene.lab.uri, interval="1s",
                 config=CONFIG.format(budget=PLENTY, reserve=scene.reserve)) as memctld:
        wait_for("agents", lambda: [bool(g["agent"]) for g in memctld.guests().values()]
                 == [True] * len(NAMES), 60)
        time.sleep(90)
        used, sleeps = memctld.cost(60)
    table.add("processor time of memctld in a minute", f"{used:.3f} s", "0.27 s")
    table.add("its threads go to sleep in a tick", f"{sleeps:.1f} times")


def main():
    parser = argparse.ArgumentParser(description="How fast memory moves between real guests.")
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5, help="shortages to measure (%(default)s)")
    args = parser.parse_args()
    if why_not():
        sys.exit(f"figures: {why_not()}")
    table = Table()
    with Scene(args.build, reserve=15) as scene:
        reclaim(scene, table, args.rounds)
        intrude(scene, table)
        starve(scene, table, "host short, 15 % in reserve")
        hang(scene, table)
        scene.memctld.stop()
        cost(scene, table)
    with Scene(args.build, reserve=2, deflate_on_oom=True) as scene:
        starve(scene, table, "host short, 2 % in reserve, deflate-on-OOM")
    print()
    table.show()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""
What the host gains by the agents in its guests: agent_gain.py BUILD_DIR [steps | tax]. Fifteen
minutes, root.

  - the time from a step of demand in a guest to the first growth on the host
  - the default policy (idle-tax) over three guests: one hot, one whose full memory is idle, one
    that works with page cache; who has how much in the end

Both with the agents and without them.
"""

import contextlib
import json
import re
import statistics
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

STEPS = 10
STEP_CONFIG = """\
[budget]
overcommit = 1.0
distress-reserve = 15%
[governor]
boot-grace = 0
cooldown = 3s
[guests]
min = 128M
"""
TAX_CONFIG = """\
[budget]
overcommit = 1.0
[governor]
boot-grace = 0
[estimate]
active-fade = 10s
[guests]
min = 128M
"""
SETTLE_S = 80


def boot(lab, names, agent, memory):
    # Fast windows and a larger share, since an emulated processor is a slow one.
    return dict(zip(names, lab.boot_many(names, memory=memory, agent=agent,
                                         cmdline="lab.agent=--cost,5,--window,6")))


def wait_for_agents(memctld, agent):
    wait_for("the guests", lambda: len(memctld.guests()) == 3, 60)
    if agent:
        wait_for("the agents", lambda: all(guest["agent"] for guest in memctld.guests().values()),
                 60)


def rest(memctld, guests):
    for guest in guests.values():
        with contextlib.suppress(LabError):  # what the OOM killer took is free as well
            guest.hog.free()
    wait_for("rest", lambda: all(
        abs(guest["actual"] - guest["plan"]["wish"]) <= 16 * MiB and guest["distress"] == "no"
        and guest["actual"] < 500 * MiB for guest in memctld.guests().values()), 90)


def first_command(memctld, since):
    """When the guest was first told that it may have more, in seconds of the monotonic clock."""
    return min((event["now_ms"] / 1000 for event in map(
        json.loads, memctld.run("--json", "events").stdout.splitlines())
        if event["kind"] == "target" and event["guest"] == "a" and event["now_ms"] >= since * 1000
        and event["to"] >= event["from"] + MiB), default=None)


def step_times(build, agent):
    """
    Seconds from the moment at which the guest has taken 32M until the host sees that it uses so much
    more; and until the first command, None where the OOM killer was quicker. An emulated guest may
    take a second to begin.
    """
    seen, times = [], []
    with Lab(build) as lab:
        guests = boot(lab, "abc", agent, "1G")
        with Memctld(build, lab.uri, budget="1500M", config=STEP_CONFIG) as memctld:
            wait_for_agents(memctld, agent)
            for _ in range(STEPS):
                rest(memctld, guests)
                hog = guests["a"].hog
                before = hog.stats()
                kills, room = before["vmstat"]["oom_kill"], before["meminfo"]["MemAvailable"]
                used = memctld.guests()["a"]["used"]
                stepped = time.monotonic()
                hog.fill("400M", 160)
                hog.low(room - 32 * MiB)
                began = time.monotonic()
                seen.append(wait_for("its use", lambda: (
                    (memctld.guests()["a"]["used"] or 0) >= used + 32 * MiB), 60)[1])
                grown = wait_for("a command or a kill", lambda: (
                    first_command(memctld, stepped)
                    or hog.stats()["vmstat"]["oom_kill"] > kills and -1), 60)[0]
                left = hog.stats()["meminfo"]["MemAvailable"]
                times.append(grown - began if grown > 0 else None)
                print(f"# {room / MiB:.0f}M available at the step, {left / MiB:.0f}M soon after the command; "
                      + f"use seen at {seen[-1]:.2f} s, "
                      + (f"command at {times[-1]:.2f} s" if times[-1] else "killed first"), flush=True)
                time.sleep(5)
    return seen, times


def occupy(guests, idle):
    """One works with 300M, one has as much and leaves it alone, one reads 350M of files over and over."""
    guests["hot"].hog.alloc("300M")
    guests["hot"].hog.hot("300M")
    if idle == "programs":
        guests["idle"].hog.alloc("300M")
    else:
        guests["idle"].hog.cache("300M", 100)
        wait_for("the files", lambda: guests["idle"].hog.stats()["load"]["cache_us"], 60)
        guests["idle"].hog.cache("1M", 1000)
    guests["cache"].hog.cache("350M", 500)
    wait_for("the files", lambda: guests["cache"].hog.stats()["load"]["cache_us"], 60)


def refaults(guest):
    return sum(count for name, count in guest.hog.stats()["vmstat"].items()
               if re.match(r"workingset_refault", name))


def tax(build, idle, agent):
    """What each guest has and works with when all has settled, and how much it read again."""
    with Lab(build) as lab:
        guests = boot(lab, ("hot", "idle", "cache"), agent, "768M")
        occupy(guests, idle)
        with Memctld(build, lab.uri, budget="1700M", config=TAX_CONFIG) as memctld:
            wait_for_agents(memctld, agent)
            time.sleep(SETTLE_S / 2)
            before = {name: refaults(guest) for name, guest in guests.items()}
            time.sleep(SETTLE_S / 2)
            seen = memctld.guests()
            return {name: dict(seen[name], refaults=refaults(guest) - before[name])
                    for name, guest in guests.items()}


def show_steps(build):
    for agent in (True, False):
        seen, times = step_times(build, agent)
        grown = [seconds for seconds in times if seconds is not None]
        print(f"{'with' if agent else 'without'} agents: 32M more seen after "
              f"{statistics.median(seen):.1f} s (median), {max(seen):.1f} s at most; first command to "
              "grow after "
              + (f"{statistics.median(grown):.1f} s (median), {max(grown):.1f} s at most"
                 if grown else "-") + f"; {times.count(None)} of {STEPS} killed first", flush=True)


def show_tax(build):
    print(f"\nWhat idle-tax gives after {SETTLE_S} s of 768 MiB each, in MiB; refaults in the second "
          "half\n")
    print("| idle memory | agents | guest | has | held | used | active | source | wish | why | "
          "refaults |")
    print("|---" * 11 + "|")
    for idle in ("programs", "files"):
        had = {}
        for agent in (False, True):
            seen = had[agent] = tax(build, idle, agent)
            for name, guest in seen.items():
                sizes = [f"{(value or 0) / MiB:.0f}" for value in (
                    guest["actual"], guest["held"], guest["used"], guest["active"])]
                print(f"| {idle} | {'yes' if agent else 'no'} | {name} | " + " | ".join(sizes)
                      + f" | {guest['active_method']} | {guest['plan']['wish'] / MiB:.0f} | "
                      f"{guest['plan']['reason']} | {guest['refaults']} |", flush=True)
        print(f"\nwith agents, idle memory of {idle}: " + ", ".join(
            f"{name} {(had[True][name]['actual'] - had[False][name]['actual']) / MiB:+.0f}M"
            for name in had[True]) + "\n", flush=True)


if __name__ == "__main__":
    if why_not():
        sys.exit(f"agent_gain.py: {why_not()}")
    wanted = sys.argv[2:] or ["steps", "tax"]
    for name, show in (("steps", show_steps), ("tax", show_tax)):
        if name in wanted:
            show(sys.argv[1])

#!/usr/bin/env python3
"""
A guest that fills itself faster than memctld looks, on a host that has nothing to spare:
test_distress.py BUILD_DIR. Prints TAP.
"""

import contextlib
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, MiB, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

NEED = 400 * MiB
FILL_RATE = 160  # MiB/s
CONFIG = """\
[budget]
overcommit = 1.0
distress-reserve = 15%
[governor]
boot-grace = 0
cooldown = 3s
[guests]
min = 128M
"""


class World:
    """Three guests of 1 GiB; what they share leaves each about 350 MiB, and nothing is free."""

    def __init__(self, build):
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(build))
            guests = self.lab.boot_many(["a", "b", "c"], memory="1G")
            self.guests = dict(zip("abc", guests))
            self.memctld = stack.enter_context(Memctld(
                build, self.lab.uri, budget="1500M", interval="1s", config=CONFIG, recording=True))
            wait_for("the guests' agents", lambda: all(
                guest["agent"] for guest in self.memctld.guests().values()), 60)
            self.rest()
            self.parts = stack.pop_all()

    def close(self):
        self.parts.close()

    def rest(self):
        """Everybody idle, the whole amount divided, nothing under way."""
        for guest in self.guests.values():
            guest.hog.free()
        wait_for("rest", lambda: all(
            abs(guest["actual"] - guest["plan"]["wish"]) <= 8 * MiB and not guest["plan"]["sent"]
            and guest["actual"] < 500 * MiB and guest["distress"] == "no"
            for guest in self.memctld.guests().values()), 60)


def note(text):
    print(f"# {text}", flush=True)


def survives_a_fast_fill_and_gets_what_it_needs(world):
    name, guest = "a", world.guests["a"]
    had = world.memctld.guests()[name]["actual"]
    kills = guest.hog.stats()["vmstat"]["oom_kill"]
    began = time.monotonic()
    guest.hog.fill(NEED, FILL_RATE)
    growth = wait_for("more memory", lambda: world.memctld.guests()[name]["actual"] > had, 15)[1]
    wait_for("all of it", lambda: not guest.hog.stats()["load"]["filling"], 30)
    stats = guest.hog.stats()
    note(f"a guest with {had / MiB:.0f}M fills {NEED / MiB:.0f}M at {FILL_RATE} MiB/s: seen to grow "
         f"after {growth:.2f} s, done after {time.monotonic() - began:.1f} s, "
         f"{stats['vmstat']['oom_kill'] - kills} kills")
    assert stats["vmstat"]["oom_kill"] == kills, world.memctld.run("events").stdout[-3000:]
    assert stats["load"]["held"] >= NEED, stats["load"]
    assert world.memctld.guests()[name]["actual"] >= NEED


def nobody_else_paid_with_more_than_he_had(world):
    for name, guest in world.guests.items():
        stats = guest.hog.stats()
        assert stats["vmstat"]["oom_kill"] == 0 and stats["vmstat"].get("pswpout", 0) == 0, name
    plan = world.memctld.json("status")["plan"]
    assert plan["promised"] <= plan["divided"] + plan["reserve"], plan


def what_was_done_can_be_replayed(world):
    world.memctld.stop()
    assert all(result["differ"] == 0 for result in world.memctld.replay())


TESTS = [
    survives_a_fast_fill_and_gets_what_it_needs,
    nobody_else_paid_with_more_than_he_had,
    what_was_done_can_be_replayed,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())

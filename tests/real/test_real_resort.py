#!/usr/bin/env python3
"""
The last resort on real guests under a real libvirt: test_real_resort.py BUILD_DIR. Prints TAP.

The host is never short in truth. What is "short" is measured against the budget, so a budget far
above what the host has makes any host low, and a small one makes it clear again.
"""

import contextlib
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, why_not  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

CONFIG = """\
[budget]
budget = {budget}
overcommit = 1.0
distress-reserve = 0
[governor]
boot-grace = 0
cooldown = 0
last-resort-after = 1s
last-resort-pause = 1s
last-resort-undo = 1s
[guests]
min = 100%
"""
LOW, CLEAR = "4000T", "2G"


class World:
    def __init__(self, build):
        with contextlib.ExitStack() as stack:  # takes down what is up if the rest fails
            self.lab = stack.enter_context(Lab(build))
            names = ["sleeper", "saver", "proud"]
            guests = self.lab.boot_many(names, memory="256M", persistent=True)
            self.guests = dict(zip(names, guests))
            self.memctld = stack.enter_context(Memctld(
                build, self.lab.uri, interval="500ms", config=CONFIG.format(budget=CLEAR),
                recording=True))
            wait_for("the guests", lambda: self.known() == set(names), 40)
            self.memctld.json("set", "sleeper", "last-resort=suspend")
            self.memctld.json("set", "saver", "last-resort=save", "shares=500")
            self.parts = stack.pop_all()

    def known(self):
        return {name for name, guest in self.memctld.guests().items() if guest["exempt"] == "no"}

    def close(self):
        self.parts.close()

    def set_budget(self, budget):
        self.memctld.config.write_text(CONFIG.format(budget=budget))
        assert self.memctld.run("reload").returncode == 0

    def states(self):
        return {name: guest.state() for name, guest in self.guests.items()}

    def boot_ids(self):
        return {name: guest.hog.call("ping")["boot"] for name, guest in self.guests.items()}

    def stopped(self):
        return {guest["name"]: guest["how"] for guest in self.memctld.json("status")["stopped"]}

    def notes(self, name):
        """Where libvirt keeps memctl's note of the guest."""
        return ["memctl-stopped" in self.lab.virsh("dumpxml", name, *inactive)
                for inactive in ((), ("--inactive",))]


def note(text):
    print(f"# {text}", flush=True)


def suspends_and_saves_who_consents(world):
    world.boots = world.boot_ids()
    world.set_budget(LOW)
    took = wait_for("both to be stopped",
                    lambda: world.stopped() == {"sleeper": "suspend", "saver": "save"}, 60)[1]
    note(f"both stopped after {took:.1f} s")
    assert world.states() == {"sleeper": "paused", "saver": "shut off", "proud": "running"}
    assert world.notes("sleeper") == [True, True]
    assert world.memctld.json("status")["plan"]["state"] == "low"
    assert world.memctld.guests()["sleeper"]["exempt"] == "last-resort"
    refused = world.memctld.run("set", "saver", "shares=1")
    assert refused.returncode == 1 and "is saved with its old settings" in refused.stderr, refused


def a_memctld_that_was_killed_is_followed_by_one_that_knows(world):
    memctld = world.memctld
    assert memctld.stop(signal.SIGKILL) == -signal.SIGKILL
    memctld.start()
    wait_for("it to know", lambda: world.stopped() == {"sleeper": "suspend", "saver": "save"}, 20)
    assert world.states() == {"sleeper": "paused", "saver": "shut off", "proud": "running"}


def they_go_on_when_there_is_memory(world):
    world.set_budget(CLEAR)
    took = wait_for("all to run",
                    lambda: set(world.states().values()) == {"running"} and not world.stopped(),
                    60)[1]
    note(f"both go on after {took:.1f} s")
    for name in ("sleeper", "saver"):
        wait_for("the notes to be dropped", lambda name=name: world.notes(name) == [False, False])
        assert world.memctld.json("show", name)["last_resort"] != "none"
    assert world.boot_ids() == world.boots  # they go on where they were


def what_others_suspended_stays_so(world):
    """And what others continue is theirs for a while."""
    world.guests["proud"].suspend()
    world.set_budget(LOW)
    wait_for("sleeper to stop", lambda: "sleeper" in world.stopped(), 60)
    wait_for("saver to stop", lambda: "saver" in world.stopped(), 60)
    world.guests["sleeper"].resume()
    world.guests["saver"].start()
    wait_for("the notes to be dropped", lambda: world.notes("sleeper") == world.notes("saver")
             == [False, False], 30)
    assert world.stopped() == {}, world.stopped()
    time.sleep(4)  # still low; last-resort-after and the pause are over
    assert world.stopped() == {}, world.stopped()
    world.set_budget(CLEAR)
    time.sleep(4)
    assert world.states() == {"sleeper": "running", "saver": "running", "proud": "paused"}
    world.guests["proud"].resume()


def what_was_done_can_be_replayed(world):
    world.memctld.stop()
    results = world.memctld.replay()
    assert len(results) == 2 and all(result["differ"] == 0 for result in results), results


TESTS = [
    suspends_and_saves_who_consents,
    a_memctld_that_was_killed_is_followed_by_one_that_knows,
    they_go_on_when_there_is_memory,
    what_others_suspended_stays_so,
    what_was_done_can_be_replayed,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())

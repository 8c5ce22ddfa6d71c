#!/usr/bin/env python3
"""
Calls to the hypervisor that do not come back: test_hangs.py BUILD_DIR HANG_LIBRARY. Prints TAP.

The host is simulated; hang.c stands between memctld and it. Which of libvirt's calls block on
which QEMU is shown on real guests (tests/real/test_life.py); here it is how many wait at a time,
and who does not.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import BY_SHARES, STRICT, Memctld, TickWatch, wait_for  # noqa: E402

MiB = 1 << 20
HUNG, FEW = 25, 8
WELL = 10
NAMES = [f"hung{i}" for i in range(HUNG)] + [f"well{i}" for i in range(WELL)]
SCENARIO = {
    "host": {"memory": "64G", "used": "1G"},
    "guests": [{"name": name, "memory": "512M", "working_set": "60M", "min": "128M"}
               for name in NAMES],
}
INTERVAL = 0.2
CALLS_MAX = 15  # LANES_MAX in lane.h


class World:
    """One memctld with all guests at their first part of the budget."""

    def __init__(self, build, library):
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (self.folder / "scenario.json").write_text(json.dumps(SCENARIO))
            os.environ["MEMCTL_TEST_HANG"] = str(self.folder)
            self.memctld = stack.enter_context(Memctld(
                build, f"sim:{self.folder}/scenario.json", config=self.config(14000),
                interval=f"{INTERVAL}s", preload=library, store=True))
            wait_for("guests", lambda: len(self.memctld.guests()) == len(NAMES))
            self.uuids = {n: g["uuid"] for n, g in self.memctld.guests().items()}
            self.settle()
            self.rich = True
            self.parts = stack.pop_all()

    def config(self, budget):
        return (STRICT + BY_SHARES).replace("[budget]", f"[budget]\nbudget = {budget}M")

    def settle(self):
        wait_for("rest", lambda: all(abs(g["actual"] - g["plan"]["wish"]) <= 8 * MiB
                                     for g in self.memctld.guests().values()), 30)
        time.sleep(1)

    def hang(self, *who):
        for each in who:
            (self.folder / each).touch()

    def release(self):
        for path in self.folder.iterdir():
            if path.name not in ("calls", "scenario.json"):
                path.unlink()

    def budget(self, mib):
        """Everybody gets another target."""
        self.memctld.config.write_text(self.config(mib))
        assert self.memctld.run("reload").returncode == 0

    def watch(self, seconds):
        with TickWatch(self.memctld, INTERVAL) as ticks:
            time.sleep(seconds)
        return ticks

    def most_in_flight(self):
        inside = most = 0
        for line in (self.folder / "calls").read_text().splitlines():
            inside += 1 if line.endswith("+") else -1
            most = max(most, inside)
        return most

    def restore(self):
        self.release()
        wait_for("all to answer",
                 lambda: self.memctld.json("status")["hypervisor"]["stuck_calls"] == 0)

    def close(self):
        self.release()
        self.parts.close()


def note(text):
    print(f"# {text}", flush=True)


def a_quiet_host_is_on_time(world):
    world.quiet = world.watch(8)
    note(f"quiet: {world.quiet}")
    assert world.quiet.count() >= 20


def hang_in_one_pass(world, count):
    """Everybody is told something at once, and from these the call does not come back."""
    (world.folder / "calls").unlink()
    world.hang(*(world.uuids[f"hung{i}"] for i in range(count)))
    world.budget(10000 if world.rich else 14000)
    world.rich = not world.rich
    ticks = world.watch(10)
    stuck = world.memctld.json("status")["hypervisor"]["stuck_calls"]
    note(f"{count} guests hang: {ticks}; at most {world.most_in_flight()} calls in flight, "
         f"{stuck} stuck")
    assert ticks.count() >= 0.7 * world.quiet.count() * ticks.seconds / world.quiet.seconds, ticks
    assert ticks.p99() <= world.quiet.p99() + 0.2, str(ticks)
    assert stuck <= world.most_in_flight() <= CALLS_MAX, world.most_in_flight()


def have_arrived(world, kind):
    return all(abs(g["actual"] - g["plan"]["wish"]) <= 8 * MiB
               for n, g in world.memctld.guests().items() if n.startswith(kind))


def reported(world):
    lines = world.memctld.run("--json", "events").stdout.splitlines()
    return {e["guest"] for e in map(json.loads, lines) if e["kind"] == "command-late"}


def others_go_on_beside_hung_guests(world):
    hang_in_one_pass(world, FEW)
    wait_for("the others to arrive", lambda: have_arrived(world, "well"))
    assert reported(world) == {f"hung{i}" for i in range(FEW)}, reported(world)
    plan = world.memctld.json("status")["plan"]
    actual = sum(g["actual"] for g in world.memctld.guests().values())
    assert plan["promised"] >= actual - MiB, (plan, actual)  # counted at their size, or more


def they_are_taken_back_when_they_answer(world):
    world.release()
    took = wait_for("all to arrive", lambda: have_arrived(world, ""), 60)[1]
    assert world.memctld.json("status")["hypervisor"]["stuck_calls"] == 0
    note(f"all at their part {took:.1f} s after they answered")


def guests_are_observed_on_time_however_many_hang(world):
    hang_in_one_pass(world, HUNG)
    assert not {n for n in reported(world) if n.startswith("well")}, reported(world)


def a_hypervisor_that_hangs_costs_a_bounded_number_of_calls(world):
    (world.folder / "calls").unlink()
    world.hang("observe")
    time.sleep(10)
    assert world.memctld.json("status")["counters"]["ticks"] > 0  # it answers
    most = world.most_in_flight()
    world.release()
    wait_for("ticks", lambda: world.memctld.json("status")["hypervisor"]["up"], 60)
    note(f"at most {most} calls in flight")
    assert most <= CALLS_MAX


def history(world):
    return world.memctld.json("status")["history"]


def a_disk_that_hangs_delays_no_tick(world):
    wait_for("rows", lambda: history(world)["rows"] > 0)
    world.hang("store", "history")
    time.sleep(1.5)  # what is being written comes to its end
    before = history(world)["rows"]
    asking = subprocess.Popen([world.memctld.build / "cli" / "memctl", "--socket",
                               world.memctld.socket, "--json", "history", "host"],
                              stdout=subprocess.PIPE, text=True)
    ticks = world.watch(8)
    note(f"disk hangs: {ticks}")
    assert history(world)["rows"] == before and asking.poll() is None
    assert ticks.count() >= 0.7 * world.quiet.count() * ticks.seconds / world.quiet.seconds, ticks
    assert ticks.p99() <= world.quiet.p99() + 0.2, str(ticks)
    world.release()
    assert json.loads(asking.communicate(timeout=30)[0])["rows"]
    wait_for("rows", lambda: history(world)["rows"] > before)
    assert history(world)["dropped"] == 0, history(world)


def a_daemon_ends_and_begins_with_a_disk_that_hangs(world):
    world.hang("store", "history")
    time.sleep(1.5)
    assert world.memctld.stop() == 0, world.memctld.log()
    world.memctld.start()
    wait_for("ticks", lambda: world.memctld.json("status")["counters"]["ticks"] > 3)
    assert not history(world)["up"] and history(world)["error"], history(world)
    world.release()
    wait_for("the history", lambda: history(world)["up"] and history(world)["rows"] > 0)


TESTS = [
    a_quiet_host_is_on_time,
    others_go_on_beside_hung_guests,
    they_are_taken_back_when_they_answer,
    guests_are_observed_on_time_however_many_hang,
    they_are_taken_back_when_they_answer,
    a_hypervisor_that_hangs_costs_a_bounded_number_of_calls,
    a_disk_that_hangs_delays_no_tick,
    a_daemon_ends_and_begins_with_a_disk_that_hangs,
]

if __name__ == "__main__":
    tap.main(World, TESTS)

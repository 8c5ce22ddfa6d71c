#!/usr/bin/env python3
"""
Room before start, with libvirt's hook on real guests: test_start.py BUILD_DIR [TEST...]. Prints TAP.
"""

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS_DIR / "tools"), str(TESTS_DIR / "guests")]

import tap  # noqa: E402
from guestlab import Lab, LabError, MiB, why_not  # noqa: E402
from memctld import STRICT, Memctld, wait_for  # noqa: E402

HOOK = TESTS_DIR.parent / "packaging" / "libvirt" / "memctl-admit"
MEMORY = 768 * MiB
BUDGET = 2300 * MiB


class World:
    """A lab whose libvirtd calls the hook, two guests that have touched all, and memctld."""

    def __init__(self, build):
        self.build = Path(build).resolve()
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(build))
            self.hooks = self.lab.dir / "etc" / "hooks" / "qemu.d"
            self.hooks.mkdir(parents=True)
            self.guests = self.lab.boot_many(["a", "b"], memory=MEMORY, stats_period=1)
            for guest in self.guests:
                guest.hog.alloc("450M", "random")
                guest.hog.free()
            self.memctld = stack.enter_context(Memctld(
                build, self.lab.uri, budget=BUDGET, interval="1s", recording=True,
                config=STRICT + "[guests]\nmin = 128M\n"))
            wait_for("both to be seen", lambda: len(self.memctld.guests()) == 2)
            self.parts = stack.pop_all()

    def close(self):
        self.parts.close()

    def install(self, text):
        """libvirtd looks for hooks when it starts."""
        path = self.hooks / "hook"
        path.write_text(text)
        path.chmod(0o755)
        self.lab.restart_libvirtd()
        wait_for("memctld to be connected again",
                 lambda: self.memctld.json("status")["hypervisor"]["up"]
                 and len(self.memctld.guests()) == 2)

    def install_ours(self, **settings):
        config = self.lab.dir / "memctl-admit"
        memctl = f"{self.build}/cli/memctl --socket {self.memctld.socket}"
        config.write_text(f"MEMCTL='{memctl}'\n" +
                          "".join(f"{key}={value}\n" for key, value in settings.items()))
        self.install(f"#!/bin/sh\nMEMCTL_ADMIT_CONFIG={config} exec {HOOK} \"$@\"\n")

    def start(self, name, memory):
        """Boot a guest beside; returns it, or the error of a start that was refused."""
        try:
            return self.lab.boot(name, memory=memory, stats_period=1)
        except (LabError, subprocess.CalledProcessError) as error:
            return error


def note(text):
    print(f"# {text}", flush=True)


def ticks_go_on_while_a_hook_holds_a_guest(world):
    world.install("#!/bin/sh\n[ $2/$3 = prepare/begin ] && sleep 6\nexit 0\n")
    thread = threading.Thread(target=world.start, args=("slow", "128M"))
    thread.start()
    began = wait_for("the hook", lambda: listing_takes_long(world.lab))
    time.sleep(1)
    before = world.memctld.json("status")["counters"]
    hog = world.guests[0].hog
    time.sleep(3)
    after = world.memctld.json("status")["counters"]
    ticks = after["ticks"] - before["ticks"]
    note(f"{ticks} ticks in 3 s while libvirt did not list its guests; "
         f"{after['ticks_late'] - before['ticks_late']} late")
    thread.join()
    assert began and hog and ticks >= 2, (before, after)
    wait_for("the third guest to be seen", lambda: "slow" in world.memctld.guests())
    world.lab.virsh("destroy", "slow")
    wait_for("it to be gone", lambda: "slow" not in world.memctld.guests())


def listing_takes_long(lab):
    try:
        subprocess.run(["virsh", "-c", lab.uri, "list"], capture_output=True, timeout=1)
        return False
    except subprocess.TimeoutExpired:
        return True


def the_others_make_room_before_a_guest_starts(world):
    world.install_ours(WAIT="30s")
    before = {name: guest["actual"] for name, guest in world.memctld.guests().items()}
    guest, took = wait_for("the start", lambda: world.start("c", 512 * MiB), 60)
    assert not isinstance(guest, Exception), (guest, world.memctld.log()[-2000:])
    after = {name: guest["actual"] for name, guest in world.memctld.guests().items()}
    note(f"started after {took:.1f} s; " + ", ".join(
        f"{name} {before[name] // MiB} -> {after[name] // MiB} MiB" for name in before))
    assert sum(after[name] for name in before) < sum(before.values())
    events = world.memctld.run("events").stdout
    assert "kept free for a start" in events, events
    plan = world.memctld.json("status")["plan"]
    assert plan["held"] + plan["overheads"] + plan["pledged"] <= BUDGET + 16 * MiB, plan
    wait_for("the pledge to end",
             lambda: world.memctld.json("status")["plan"]["pledged"] == 0)
    world.lab.virsh("destroy", "c")
    wait_for("it to be gone", lambda: "c" not in world.memctld.guests())


def a_start_without_room_is_refused(world):
    error = world.start("d", 2048 * MiB)
    assert isinstance(error, Exception) and "no room for" in str(error), error
    note(str(error).strip().splitlines()[-1])
    assert "d" not in world.memctld.guests()
    assert len(world.lab.virsh("list", "--name").split()) == 2


def without_memctld_guests_start_as_always(world):
    world.memctld.stop()
    guest = world.start("e", 128 * MiB)
    assert not isinstance(guest, Exception), guest
    world.lab.virsh("destroy", "e")
    world.memctld.start()
    wait_for("both to be seen", lambda: len(world.memctld.guests()) == 2)


def recordings_replay_to_the_same_plans(world):
    world.memctld.stop()
    results = world.memctld.replay()
    note(f"{sum(result['steps'] for result in results)} passes in {len(results)} recordings")
    assert results and all(result["differ"] == 0 for result in results), results


TESTS = [
    ticks_go_on_while_a_hook_holds_a_guest,
    the_others_make_room_before_a_guest_starts,
    a_start_without_room_is_refused,
    without_memctld_guests_start_as_always,
    recordings_replay_to_the_same_plans,
]

if __name__ == "__main__":
    tap.main(World, TESTS, skip=why_not())

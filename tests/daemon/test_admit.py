#!/usr/bin/env python3
"""Room for a guest before it starts, on a simulated host: test_admit.py BUILD_DIR. Prints TAP."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
TESTS_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS_DIR / "tools"))

import tap  # noqa: E402
from memctld import simulate, wait_for  # noqa: E402

MiB, GiB = 1 << 20, 1 << 30
HOOK = TESTS_DIR.parent / "packaging" / "libvirt" / "memctl-admit"
NO_ROOM = 4

OVERHEAD = 30 * MiB  # of a simulated QEMU

# One guest is at work, one soon has nothing to do, one starts later.
SCENARIO = {
    "host": {"memory": "16G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "4G", "working_set": "3G", "min": "512M"},
        {"name": "b", "memory": "4G", "working_set": [[0, "3G"], [3, "300M"]], "min": "512M"},
        {"name": "later", "memory": "1G", "working_set": "300M", "start": 6},
    ],
}


def simulated(build, budget="8G", **options):
    return simulate(build, SCENARIO, budget=budget, **options)


def plan(memctld):
    return memctld.json("status")["plan"]


def events(memctld, *arguments):
    lines = memctld.run("--json", "events", *arguments).stdout.splitlines()
    return [json.loads(line)["kind"] for line in lines]


def is_idle(memctld, name):
    used = memctld.guests()[name]["used"]
    return used is not None and used < GiB


def refused(done, *words):
    assert done.returncode == NO_ROOM, (done.returncode, done.stdout, done.stderr)
    assert all(word in done.stderr for word in words), done.stderr


def room_that_is_there_is_kept(build):
    with simulated(build, budget="12G") as memctld:
        answer = memctld.json("admit", "--size", "1G", "--guest", "new")
        assert answer["pledged"] == GiB + OVERHEAD and not answer["forced"], answer
        assert plan(memctld)["pledged"] == answer["pledged"]
        assert "admitted" in events(memctld)
        assert "kept free" in memctld.run("admit", "--size", "1G").stdout
        assert plan(memctld)["pledged"] == 2 * answer["pledged"]


def the_others_make_room(build):
    with simulated(build) as memctld:
        wait_for("b to be idle", lambda: is_idle(memctld, "b"))
        answer, took = wait_for("room", lambda: memctld.run("admit", "--size", "2G", "--wait", "20s"))
        assert answer.returncode == 0, answer.stderr
        state = plan(memctld)
        assert state["held"] + state["pledged"] + state["overheads"] <= 8 * GiB, state
        assert memctld.guests()["a"]["actual"] > 3 * GiB  # it works with that


def without_waiting_there_is_only_what_is_free(build):
    with simulated(build) as memctld:
        wait_for("b to be idle", lambda: is_idle(memctld, "b"))
        refused(memctld.run("admit", "--size", "2G", "--guest", "x"), "no room", " now")
        wait_for("nothing to be kept", lambda: plan(memctld)["pledged"] == 0)
        kinds = events(memctld, "--guest", "x")
        assert kinds == ["not-admitted"], kinds


def what_nobody_can_give_is_refused_at_once(build):
    with simulated(build) as memctld:
        wait_for("b to be idle", lambda: is_idle(memctld, "b"))
        began = time.monotonic()
        refused(memctld.run("admit", "--size", "7G", "--wait", "60s"), "without harm", "--force")
        assert time.monotonic() - began < 30
        answer = memctld.json("admit", "--size", "7G", "--wait", "1s", "--force")
        assert answer["forced"], answer


def reservations_fit_into_the_budget(build):
    with simulated(build) as memctld:
        refused(memctld.run("admit", "--size", "8G", "--min", "7.5G", "--wait", "5s"),
                "reservation", "budget")
        assert memctld.json("admit", "--size", "8G", "--min", "7.5G", "--force")["forced"]
        # What was pledged is reserved as well.
        refused(memctld.run("admit", "--size", "1G", "--min", "1M"), "reservation")


def a_pledge_ends_when_its_guest_runs_or_the_time_is_over(build):
    with simulated(build, budget="12G") as memctld:
        memctld.json("admit", "--size", "1G", "--guest", "later", "--hold", "1h")
        memctld.json("admit", "--size", "512M", "--hold", "1s")
        assert plan(memctld)["pledged"] == 1536 * MiB + 2 * OVERHEAD
        wait_for("the time to be over", lambda: plan(memctld)["pledged"] == GiB + OVERHEAD)
        wait_for("it to run", lambda: "later" in memctld.guests())
        wait_for("its pledge to end", lambda: plan(memctld)["pledged"] == 0)


def who_goes_away_needs_no_room(build):
    with simulated(build) as memctld:
        process = subprocess.Popen(
            [memctld.build / "cli" / "memctl", "--socket", memctld.socket, "admit", "--size", "7G",
             "--wait", "60s", "--force"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for("the pledge", lambda: plan(memctld)["pledged"])
        process.kill()
        process.wait()
        wait_for("it to be dropped", lambda: plan(memctld)["pledged"] == 0)
        assert "admitted" not in events(memctld)


def odd_wishes_are_usage_errors(build):
    with simulated(build) as memctld:
        for arguments in ((), ("2G",), ("--size", "much"), ("--size", "1G", "--wait", "soon"),
                          ("--size", "1G", "--min", "-1")):
            done = memctld.run("admit", *arguments)
            assert done.returncode == 2 and done.stderr, (arguments, done)
        done = memctld.run("admit", "--xml", "/nowhere.xml")
        assert done.returncode == 1 and "/nowhere.xml" in done.stderr, done
        done = memctld.run("admit", "--size", "1G", "--wait", "2h")
        assert done.returncode == 1 and "wait_ms" in done.stderr, done
        assert plan(memctld)["pledged"] == 0


XML = """<domain type='kvm'>
  <name>{name}</name><uuid>7e153233-1acf-4c1d-93f2-142a243a7462</uuid>
  <metadata>{metadata}</metadata>
  <memory unit='GiB'>{memory}</memory><currentMemory unit='KiB'>{current}</currentMemory>
  <devices>{devices}</devices>
</domain>"""
BALLOON = "<memballoon model='virtio'/>"
MIN = "<memctl:guest xmlns:memctl='https://memctl.org/xmlns/guest/1.0' min='{}'/>"


def xml(name="new", memory=2, current=1 << 20, metadata="", devices=BALLOON):
    return XML.format(name=name, memory=memory, current=current, metadata=metadata, devices=devices)


def admit_xml(memctld, text):
    return subprocess.run(
        [memctld.build / "cli" / "memctl", "--json", "--socket", memctld.socket, "admit", "--xml",
         "-"], input=text, capture_output=True, text=True, timeout=60)


def a_domain_xml_says_it_all(build):
    with simulated(build, budget="14G") as memctld:
        for text, pledged, reserved in (
                (xml(), GiB, 256 * MiB),  # a quarter of what it is started with
                (xml(metadata=MIN.format("700M")), GiB, 700 * MiB),
                (xml(metadata=MIN.format("50%")), GiB, GiB),  # of all its memory
                (xml(devices="<memballoon model='none'/>"), GiB, GiB)):  # it stays as it is
            done = admit_xml(memctld, text)
            answer = json.loads(done.stdout)
            assert answer["pledged"] == pledged + OVERHEAD, answer
            assert answer["reserved"] == reserved + OVERHEAD, (text, answer)
        done = admit_xml(memctld, "<network/>")
        assert done.returncode == 1 and "no domain" in done.stderr, done


# ---- the hook ----

def hook(memctld, *arguments, text, config="", socket=None):
    file = memctld.folder / "hook.conf"
    file.write_text(f"MEMCTL='{memctld.build}/cli/memctl --socket {socket or memctld.socket}'\n"
                    f"{config}")
    return subprocess.run([HOOK, *arguments], input=text, capture_output=True, text=True,
                          timeout=60, env=dict(os.environ, MEMCTL_ADMIT_CONFIG=str(file)))


def the_hook_asks_before_a_start(build):
    with simulated(build) as memctld:
        start = ("new", "prepare", "begin", "-")
        done = hook(memctld, *start, text=xml(current=64 << 10))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
        assert plan(memctld)["pledged"] == 64 * MiB + OVERHEAD
        done = hook(memctld, *start, text=xml(memory=8, current=8 << 20))
        assert done.returncode == 1 and "no room" in done.stderr, done
        done = hook(memctld, *start, text=xml(memory=8, current=8 << 20),
                    config="ENFORCE=no\nWAIT=1s")
        assert done.returncode == 0, done
        for operation in ("start", "started", "stopped", "release", "migrate", "reconnect"):
            done = hook(memctld, "new", operation, "begin", "-", text=xml(memory=8, current=8 << 20))
            assert (done.returncode, done.stderr) == (0, ""), done


def the_hook_keeps_nobody_from_starting_for_its_own_troubles(build):
    with simulated(build) as memctld:
        start = ("new", "prepare", "begin", "-")
        for text, socket in ((xml(memory=8, current=8 << 20), "/nowhere"), ("<odd/>", None)):
            done = hook(memctld, *start, text=text, socket=socket)
            assert done.returncode == 0, done


if __name__ == "__main__":
    tap.run([room_that_is_there_is_kept, the_others_make_room,
             without_waiting_there_is_only_what_is_free, what_nobody_can_give_is_refused_at_once,
             reservations_fit_into_the_budget,
             a_pledge_ends_when_its_guest_runs_or_the_time_is_over, who_goes_away_needs_no_room,
             odd_wishes_are_usage_errors, a_domain_xml_says_it_all, the_hook_asks_before_a_start,
             the_hook_keeps_nobody_from_starting_for_its_own_troubles], sys.argv[1])

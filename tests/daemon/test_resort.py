#!/usr/bin/env python3
"""Host reclaim and the last resort, on a simulated host: test_resort.py BUILD_DIR. Prints TAP."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import BY_SHARES, STRICT, simulate, wait_for  # noqa: E402

MiB = 1 << 20
GiB = 1 << 30
QUICK = (STRICT + "last-resort-after = 1s\nlast-resort-pause = 1s\nlast-resort-undo = 1s\n" +
         BY_SHARES)

# Each has touched nearly all of its memory once, and its balloon does not move.
TOUCHED = {"memory": "2G", "working_set": [[0, "1900M"], [1, "300M"]],
           "faults": [{"kind": "stuck"}], "min": "256M"}


def guest(name, **more):
    return {"name": name, **TOUCHED, **more}


def scenario(guests, *, short_from=2.5, short_to=10**6, left=0, swap=0):
    """A host that has only `left` from one time to another, in seconds."""
    need = sum(1940 + 30 for _ in guests) * MiB
    return {"host": {"memory": 16 * GiB, "swap": swap,
                     "used": [[0, "1G"], [short_from, 16 * GiB - need - left], [short_to, "1G"]]},
            "guests": guests}


def simulated(build, story, *, config="", **options):
    return simulate(build, story, QUICK + config, budget="8G", **options)


def events(memctld, kind):
    lines = memctld.run("--json", "events").stdout.splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def told(memctld, kind, count=1, timeout=20):
    return wait_for(f"{count} x {kind}", lambda: len(events(memctld, kind)) >= count
                    and events(memctld, kind), timeout)[0]


def names(stopped):
    return {guest["name"]: guest["how"] for guest in stopped}


# ---- host reclaim ----

def a_short_host_takes_what_lies_idle_into_swap(build):
    story = scenario([guest("a"), guest("b", shares=4000)], left=20 * MiB, swap="8G")
    with simulated(build, story, recording=True) as memctld:
        first = told(memctld, "host-reclaim")[0]
        assert first["guest"] == "a" and first["reason"] == "host-reclaim", first
        wait_for("the need to end", lambda: memctld.json("status")["plan"]["state"] == "soft")
        status = memctld.json("status")
        taken = status["host"]["swap_total"] - status["host"]["swap_free"]
        assert 130 * MiB <= taken <= 600 * MiB, status
        assert status["counters"]["host_reclaims"] >= 1, status
        assert status["counters"]["host_reclaimed"] >= taken, status
        for seen in memctld.guests().values():
            assert seen["held"] >= max(seen["min"], seen["active"]), seen
        metrics = memctld.metrics()
        assert "memctl_host_reclaim_requested_bytes_total " in metrics
        assert "memctl_guest_host_reclaim_bytes{domain=\"a\"" in metrics
        assert "host-reclaim: " in memctld.run("explain", "a").stdout
        memctld.stop()
        replayed, = memctld.replay()
        assert replayed["steps"] > 10 and replayed["differ"] == 0, replayed


def an_old_recording_is_still_read(build):
    """One from before all this, made by taking the newer members out of a new one."""
    newer = {"resort", "reclaim", "resort_hold", "stopped", "last_resort", "host_reclaim",
             "resort_after_ms", "resort_pause_ms", "resort_undo_ms", "reclaim_verdict",
             "start_saved"}

    def older(value):
        if isinstance(value, dict):
            new = newer | {"cooldown_ms"} if "managed" in value else newer
            return {key: older(inner) for key, inner in value.items() if key not in new}
        return [older(inner) for inner in value] if isinstance(value, list) else value

    with simulated(build, scenario([guest("a")]), recording=True) as memctld:
        wait_for("some ticks", lambda: memctld.json("status")["counters"]["ticks"] > 10)
        memctld.stop()
        file, = memctld.recordings
        lines = file.read_text().splitlines()
        file.write_text("".join(json.dumps(older(json.loads(line))) + "\n" for line in lines))
        replayed, = memctld.replay()
        assert replayed["steps"] > 10 and replayed["differ"] == 0, replayed


def without_swap_it_is_said_once_and_nothing_done(build):
    with simulated(build, scenario([guest("a", balloon=False)], left=20 * MiB)) as memctld:
        said = told(memctld, "host-reclaim-failed")
        time.sleep(2)
        assert len(events(memctld, "host-reclaim-failed")) == 1 and "no free swap" in said[0]["text"]
        assert memctld.log().count("no free swap") == 1
        assert "no free swap" in memctld.run("status").stdout
        assert memctld.json("status")["counters"]["host_reclaims"] == 0


def it_can_be_switched_off(build):
    story = scenario([guest("a", balloon=False)], left=20 * MiB, swap="8G")
    with simulated(build, story, config="[governor]\nhost-reclaim = no\n") as memctld:
        wait_for("need", lambda: memctld.json("status")["plan"]["host_reclaim"] == "off")
        time.sleep(1)
        assert memctld.json("status")["counters"]["host_reclaims"] == 0
        assert "switched off" in memctld.run("status").stdout
        memctld.config.write_text(QUICK)
        assert memctld.run("reload").returncode == 0
        told(memctld, "host-reclaim")


def a_dry_run_takes_nothing(build):
    story = scenario([guest("a", balloon=False, **{"last-resort": "suspend"})], left=20 * MiB,
                     swap="8G")
    with simulated(build, story, dry_run=True) as memctld:
        assert "would take" in told(memctld, "host-reclaim")[0]["text"]
        assert "the last resort would be to suspend it" in told(memctld, "stopped")[0]["text"]
        time.sleep(1.5)
        assert len(events(memctld, "stopped")) == 1
        status = memctld.json("status")
        assert status["counters"]["host_reclaims"] == status["counters"]["stops"] == 0, status
        assert status["host"]["swap_free"] == status["host"]["swap_total"], status
        assert memctld.guests()["a"]["state"] == "running"


# ---- the last resort ----

def guests_are_stopped_by_consent_and_go_on_in_the_reverse_order(build):
    """The host has nothing until `saver` is saved, and little until `sleeper` stands still."""
    story = scenario([guest("saver", **{"last-resort": "save"}),
                      guest("sleeper", shares=500, **{"last-resort": "suspend"}),
                      guest("proud", shares=1)], short_from=2.5, short_to=13)
    story["host"]["used"][1:2] = [[2.5, story["host"]["used"][1][1]],
                                  [5, story["host"]["used"][1][1] + 1960 * MiB]]
    with simulated(build, story, recording=True) as memctld:
        stopped = told(memctld, "stopped", 2)
        assert [event["guest"] for event in stopped] == ["saver", "sleeper"], stopped
        assert "saved as a last resort" in stopped[0]["text"], stopped
        assert "suspended as a last resort" in stopped[1]["text"], stopped
        status = memctld.json("status")
        assert names(status["stopped"]) == {"saver": "save", "sleeper": "suspend"}, status
        assert status["plan"]["stopped"] == 2 and status["counters"]["stops"] == 2, status
        text = memctld.run("status").stdout
        assert "stopped     by memctl" in text and "saver (save)" in text, text
        seen = wait_for("sleeper to be seen", lambda: memctld.guests()["sleeper"]["exempt"]
                        == "last-resort" and memctld.guests()["sleeper"])[0]
        assert seen["state"] == "paused" and seen["stopped"]["how"] == "suspend", seen
        assert "last-resort" in memctld.run("list").stdout
        assert "memctl has suspended it" in memctld.run("explain", "sleeper").stdout
        assert "last-resort" in [line.split()[-1] for line in
                                 memctld.run("list", "--all").stdout.splitlines()
                                 if line.startswith("saver")]
        assert "stopped by memctl as a last resort (save)" in memctld.run("show", "saver").stdout
        assert memctld.guests()["proud"]["state"] == "running"
        assert "memctl_last_resort_stopped 2\n" in memctld.metrics()

        went_on = told(memctld, "continued", 2)
        assert [event["guest"] for event in went_on] == ["sleeper", "saver"], went_on
        wait_for("all to run", lambda: {name: guest["state"] for name, guest
                                        in memctld.guests().items()}
                 == dict.fromkeys(("saver", "sleeper", "proud"), "running"))
        assert all(guest["stopped"] is None for guest in memctld.guests().values())
        assert memctld.json("status")["stopped"] == []
        assert memctld.json("status")["counters"]["continues"] == 2
        memctld.stop()
        replayed, = memctld.replay()
        assert replayed["steps"] > 10 and replayed["differ"] == 0, replayed


def a_paused_guest_is_neither_stopped_nor_continued(build):
    story = scenario([guest("a", **{"last-resort": "suspend"}),
                      guest("b", **{"last-resort": "suspend"})], short_from=2.5, short_to=8)
    with simulated(build, story) as memctld:
        assert memctld.run("pause", "a").returncode == 0
        assert told(memctld, "stopped")[0]["guest"] == "b"
        assert memctld.run("pause", "b").returncode == 0
        wait_for("memory", lambda: memctld.json("status")["plan"]["state"] == "high")
        time.sleep(2.5)
        assert memctld.guests()["b"]["state"] == "paused"
        assert memctld.guests()["a"]["state"] == "running"
        assert memctld.run("resume", "b").returncode == 0
        assert told(memctld, "continued")[0]["guest"] == "b"


def a_memctld_that_stops_says_who_stays_stopped(build):
    story = scenario([guest("a", **{"last-resort": "suspend"})])
    with simulated(build, story) as memctld:
        told(memctld, "stopped")
        wait_for("a to be seen", lambda: memctld.guests()["a"]["exempt"] == "last-resort")
        assert memctld.stop() == 0
        assert "'a': stays stopped" in memctld.log() and "virsh resume a" in memctld.log()


def the_new_keys_are_checked(build):
    for line, complaint in (("host-reclaim = maybe", "neither yes nor no"),
                            ("last-resort-after = 2h", "more than 1h"),
                            ("last-resort-undo = soon", "not a span of time")):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(f"[governor]\n{line}\n")
            file.flush()
            done = subprocess.run([Path(build) / "daemon" / "memctld", "--check-config",
                                   "--config", file.name], capture_output=True, text=True,
                                  timeout=20)
            assert done.returncode == 1 and complaint in done.stderr, done


TESTS = [
    a_short_host_takes_what_lies_idle_into_swap,
    an_old_recording_is_still_read,
    without_swap_it_is_said_once_and_nothing_done,
    it_can_be_switched_off,
    a_dry_run_takes_nothing,
    guests_are_stopped_by_consent_and_go_on_in_the_reverse_order,
    a_paused_guest_is_neither_stopped_nor_continued,
    a_memctld_that_stops_says_who_stays_stopped,
    the_new_keys_are_checked,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")

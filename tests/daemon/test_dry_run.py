#!/usr/bin/env python3
"""Dry run and pause, on a simulated host: test_dry_run.py BUILD_DIR. Prints TAP."""

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
from memctld import BY_SHARES, STRICT, simulate, wait_for  # noqa: E402

MiB = 1 << 20
HOST = {"memory": "8G", "used": "1G"}
SCENARIO = {
    "host": HOST,
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "c", "memory": "1G", "working_set": "60M", "min": "128M", "shares": 2000},
        {"name": "later", "memory": "1G", "working_set": "60M", "start": 10000},
    ],
}
BUDGET = (1536 + 3 * 32) * MiB
TARGETS = {"a": 384 * MiB, "b": 384 * MiB, "c": 768 * MiB}


def simulated(build, *, dry_run=True, config="", scenario=SCENARIO, **options):
    if dry_run:
        options["dry_run"] = True
    return simulate(build, scenario, STRICT + BY_SHARES + config, budget=BUDGET, **options)


def actuals(memctld):
    return {name: guest["actual"] for name, guest in memctld.guests().items()}


def wishes(memctld):
    return {name: (guest["plan"] or {}).get("wish", 0) for name, guest in memctld.guests().items()}


def near(values, wanted, part=0.01):
    return values.keys() == wanted.keys() and \
        all(abs(values[name] - wanted[name]) <= part * wanted[name] for name in wanted)


def watch(memctld, seconds, condition):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition(), memctld.json("list")
        time.sleep(0.1)


# ---- dry run ----

def dry_run_plans_and_touches_nothing(build):
    with simulated(build, recording=True) as memctld:
        wait_for("the plan", lambda: near(wishes(memctld), TARGETS))
        watch(memctld, 2, lambda: near(wishes(memctld), TARGETS))
        guests = memctld.guests()
        assert all(guest["actual"] == 1024 * MiB for guest in guests.values()), guests
        assert not any(guest["plan"]["sent"] for guest in guests.values()), guests
        # Not even their statistics were turned on, and without them nobody would be shrunk.
        assert all(guest["balloon"]["last_update"] == 0 for guest in guests.values()), guests
        assert all(guest["plan"]["reason"] == "freshness" for guest in guests.values()), guests
        counters = memctld.json("status")["counters"]
        assert counters["commands"] == counters["command_failures"] == 0, counters
        assert "memctl_dry_run 1\n" in memctld.metrics()
        assert memctld.log().count("\n") < 40, memctld.log()
        assert memctld.stop() == 0, memctld.log()
        replayed = memctld.replay()[0]
        assert replayed["differ"] == 0 and replayed["steps"] > 10, replayed


def dry_run_is_said_everywhere(build):
    with simulated(build) as memctld:
        assert memctld.json("status")["dry_run"] is True
        assert "DRY RUN" in memctld.run("status").stdout
        assert "dry run" in memctld.run("list").stderr
        assert "dry run" in memctld.log()


def dry_run_refuses_settings(build):
    with simulated(build) as memctld:
        for guest in ("a", "later", "nobody"):
            refused = memctld.run("set", guest, "shares=2000")
            assert refused.returncode == 1 and "dry run" in refused.stderr, refused
        assert memctld.json("show", "a")["settings"].get("shares") is None


def dry_run_by_configuration_holds_until_a_restart(build):
    with simulated(build, dry_run=False, config="[memctld]\ndry-run = yes\n") as memctld:
        assert memctld.json("status")["dry_run"] is True
        memctld.config.write_text(STRICT + BY_SHARES)
        assert memctld.run("reload").returncode == 0
        assert memctld.json("status")["dry_run"] is True
        assert "dry-run change only with a restart" in memctld.log()
        wait_for("the plan", lambda: near(wishes(memctld), TARGETS))
        assert set(actuals(memctld).values()) == {1024 * MiB}


def dry_run_key_is_checked(build):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[memctld]\ndry-run = maybe\n")
        file.flush()
        done = subprocess.run([Path(build) / "daemon" / "memctld", "--check-config", "--config",
                               file.name], capture_output=True, text=True, timeout=20,
                              env=dict(os.environ,
                                       MEMCTL_POLICY_PATH=str(Path(build) / "policies")))
        assert done.returncode == 1 and "'maybe' is neither yes nor no" in done.stderr, done


# ---- pause ----

def a_paused_guest_is_not_moved(build):
    with simulated(build, dry_run=False) as memctld:
        wait_for("a division", lambda: near(actuals(memctld), TARGETS))
        said = memctld.run("pause", "a")
        assert said.returncode == 0 and "a: paused; 'memctl resume a'" in said.stdout, said
        assert memctld.guests()["a"]["exempt"] == "paused-by-operator"
        memctld.json("set", "a", "shares=4000")
        memctld.json("set", "c", "shares=1000")
        wait_for("the others", lambda: near(actuals(memctld),
                                            {"a": 384 * MiB, "b": 576 * MiB, "c": 576 * MiB}))
        assert "paused-by-operator" in memctld.run("list").stdout
        assert memctld.json("status")["paused"] == {"all": False, "guests": ["a"]}
        assert "already" in memctld.run("pause", "a").stdout
        assert memctld.json("resume", "a")["changed"] is True
        wait_for("a moves", lambda: near(actuals(memctld), {"a": 1024 * MiB, "b": 256 * MiB,
                                                            "c": 256 * MiB}))
        again = memctld.run("resume", "a")
        assert again.returncode == 0 and "a: was not paused" in again.stdout, again


def all_guests_can_be_paused(build):
    with simulated(build, dry_run=False) as memctld:
        wait_for("a division", lambda: near(actuals(memctld), TARGETS))
        assert memctld.run("pause", "b").returncode == 0
        assert "all guests are paused" in memctld.run("pause").stdout
        assert "already" in memctld.run("pause").stdout
        assert "memctl_paused 1\n" in memctld.metrics()
        assert "ALL GUESTS ARE PAUSED" in memctld.run("status").stdout
        assert "all guests are paused" in memctld.run("list").stderr
        memctld.json("set", "c", "shares=8000")
        before = actuals(memctld)
        watch(memctld, 1.5, lambda: actuals(memctld) == before)
        refused = memctld.run("resume", "a")
        assert refused.returncode == 1 and "paused with all others" in refused.stderr, refused
        said = memctld.run("resume").stdout
        assert "all guests are resumed" in said and "still paused by name: b" in said, said
        assert "were not paused together" in memctld.run("resume").stdout
        assert memctld.guests()["b"]["exempt"] == "paused-by-operator"
        wait_for("c grows", lambda: actuals(memctld)["c"] > 900 * MiB)
        assert actuals(memctld)["b"] == before["b"]


def a_pause_waits_for_a_guest_and_ends_with_the_daemon(build):
    with simulated(build, dry_run=False) as memctld:
        assert memctld.run("pause", "later").returncode == 0  # defined, does not run
        assert memctld.run("pause", "a").returncode == 0
        assert memctld.json("status")["paused"]["guests"] == ["later", "a"]
        memctld.stop()
        memctld.start()
        assert memctld.json("status")["paused"] == {"all": False, "guests": []}


def pausing_refuses_nonsense(build):
    with simulated(build, dry_run=False) as memctld:
        for verb in ("pause", "resume"):
            unknown = memctld.run(verb, "nobody")
            assert unknown.returncode == 1 and "no guest is named 'nobody'" in unknown.stderr
            assert memctld.run(verb, "a", "b").returncode == 2
            for args in ({"guest": 7}, {"guest": None}, {"guest": []}):
                line = json.dumps({"memctl": 1, "verb": verb, "args": args}).encode() + b"\n"
                assert json.loads(memctld.request(line))["error"]["code"] == "invalid"
        assert memctld.json("status")["paused"] == {"all": False, "guests": []}


TESTS = [
    dry_run_plans_and_touches_nothing,
    dry_run_is_said_everywhere,
    dry_run_refuses_settings,
    dry_run_by_configuration_holds_until_a_restart,
    dry_run_key_is_checked,
    a_paused_guest_is_not_moved,
    all_guests_can_be_paused,
    a_pause_waits_for_a_guest_and_ends_with_the_daemon,
    pausing_refuses_nonsense,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")

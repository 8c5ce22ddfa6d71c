#!/usr/bin/env python3
"""memctl explain, on a simulated host: test_explain.py BUILD_DIR. Prints TAP."""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import BY_SHARES, STRICT, simulate, wait_for  # noqa: E402

MiB = 1 << 20
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "idle", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "busy", "memory": "1G", "working_set": "850M", "min": "128M"},
        {"name": "slow", "memory": "1G", "working_set": "60M", "min": "128M",
         "balloon": {"inflate": "10M"}},
        {"name": "stuck", "memory": "1G", "working_set": "60M", "min": "128M",
         "balloon": {"stuck": [0, 100000]}},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
        {"name": "later", "memory": "1G", "working_set": "60M", "start": 10000},
    ],
}
BUDGET = 2600 * MiB


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, STRICT + BY_SHARES, budget=BUDGET, **options)


def explain(memctld, guest):
    """The sentences, with the line breaks taken out."""
    done = memctld.run("explain", guest)
    assert done.returncode == 0, done
    assert all(len(line) < 80 for line in done.stdout.splitlines()[1:]), done.stdout
    return " ".join(done.stdout.split())


def last(memctld, guest):
    return memctld.json("explain", guest)["last"] or {}


def tells_the_way_of_a_guest_that_was_moved(build):
    with simulated(build) as memctld:
        wait_for("a command", lambda: last(memctld, "idle").get("state") == "taken")
        wait_for("its end", lambda: "The balloon is there." in explain(memctld, "idle"))
        text = explain(memctld, "idle")
        for words in ("It is configured with 1.00G", "could be given up without swapping",
                      "It cannot give up", "(source: balloon, by statistics)", "The policy shares would give it",
                      "min 128M, max 1.00G", " among 4 guests that could have 4.00G.",
                      "(shares 1000 of 4000,", "shrunk The last time", "The policy wished", "Nothing new: the balloon was told",
                      "ago it was told to go from", "The hypervisor took it after"):
            assert words in text, (words, text)
        told = memctld.json("explain", "idle")
        assert told["statistics_age_ms"] < 5000 and told["age_ms"] < 5000, told
        assert told["last"]["from"] > 900 * MiB and told["last"]["took_ms"] is not None, told


def tells_of_the_last_time_that_it_was_made_smaller(build):
    """Also when it was told to grow since."""
    guest = SCENARIO["guests"][0]
    scenario = dict(SCENARIO, guests=[guest, dict(guest, name="other")])
    with simulate(build, scenario, STRICT + BY_SHARES, budget=1800 * MiB) as memctld:
        told = wait_for("the shrink", lambda: memctld.json("explain", "idle")["shrunk"])[0]
        wait_for("its end", lambda: "The balloon is there." in explain(memctld, "idle"))
        small = memctld.guests()["idle"]["actual"]
        memctld.run("set", "idle", "shares=9000", "min=" + str(small + 20 * MiB))
        wait_for("growth", lambda: last(memctld, "idle")["to"] > small)
        after = memctld.json("explain", "idle")["shrunk"]
        assert after["from"] == told["from"] == 1024 * MiB and after["to"] <= small, after
        assert after["commands"] >= told["commands"] >= 1 and after["wish"] <= after["to"], after
        assert after["age_ms"] <= after["began_age_ms"], after
        assert after["divided"] < 2048 * MiB and after["state"] == "high", after
        text = explain(memctld, "idle")
        assert " ago, from 1.00G to " in text and "was divided, the host's state was high" in text
        if after["commands"] > 1:
            assert "'memctl events --guest idle' has each." in text, text
        memctld.run("set", "idle", "shares=1000", "min=128M")
        wait_for("another time", lambda: memctld.json("explain", "idle")["shrunk"]["from"]
                 < 1000 * MiB)
        assert memctld.json("explain", "other")["rivals"] == {
            "guests": 2, "shares": 2000, "min": 2 * 128 * MiB, "max": 2048 * MiB}


def names_what_trouble_asks_for_as_the_least(build):
    """The policy was asked with it: it is no change of the wish."""
    scenario = dict(SCENARIO, guests=[
        dict(SCENARIO["guests"][1], working_set=[[0, "60M"], [4, "900M"]]),
        SCENARIO["guests"][0]])
    config = STRICT.replace("cooldown = 0", "cooldown = 60s") + BY_SHARES
    with simulate(build, scenario, config, budget=1800 * MiB) as memctld:
        def asked():
            told = memctld.json("explain", "busy")["guest"]["plan"]
            return told["changes"][:1] and told["changes"][0]["rule"] == "distress" and \
                told["changes"][0]["to"] == told["wish"] and explain(memctld, "busy")
        text = wait_for("the least", asked)[0]
        assert "distress: the policy could not give less than" in text, text


def tells_how_far_a_slow_balloon_got(build):
    with simulated(build) as memctld:
        wait_for("progress", lambda: "so far, to" in explain(memctld, "slow"))


def tells_that_a_stuck_balloon_does_not_move(build):
    with simulated(build) as memctld:
        wait_for("a command", lambda: last(memctld, "stuck").get("state") == "taken")
        assert "The balloon has not moved that way yet; it stands at 1.00G." \
            in explain(memctld, "stuck")


def names_the_rules_that_changed_the_wish(build):
    with simulated(build) as memctld:
        wait_for("the floor", lambda: "floor" in explain(memctld, "busy"))
        assert "it uses that much, and needs a margin" in explain(memctld, "busy")


def tells_why_a_guest_is_left_alone(build):
    with simulated(build) as memctld:
        text = explain(memctld, "fixed")
        assert "left alone: it has no balloon device." in text, text
        assert "Nothing: it is left alone." in text, text
        assert "No command was sent to it" in text, text
        memctld.run("pause", "idle")
        assert "an operator has paused it" in explain(memctld, "idle")
        memctld.run("pause")
        assert "All guests are paused" in explain(memctld, "busy")


def tells_what_a_dry_run_would_do(build):
    # Two that would change places, with their statistics off: one may grow, none may shrink.
    with simulated(build, dry_run=True) as memctld:
        wait_for("a plan", lambda: memctld.json("explain", "idle")["planned"])
        text = explain(memctld, "idle")
        assert "memctld makes a dry run: no guest is touched." in text, text
        assert "Nothing: this is a dry run. The balloon would stand at" in text, text
        assert "has not sent statistics" in text and "freshness" in text, text


def tells_that_a_hung_guest_does_not_answer(build):
    scenario = dict(SCENARIO, guests=[dict(SCENARIO["guests"][0],
                                           faults=[{"kind": "hung", "from": 3}])])
    with simulated(build, scenario) as memctld:
        wait_for("the hang", lambda: "Nothing: its QEMU does not answer." in
                 explain(memctld, "idle") or "has not come back" in explain(memctld, "idle"))


def forgets_with_the_guest(build):
    guest = dict(SCENARIO["guests"][0], faults=[{"kind": "reboot", "from": 6, "to": 8}])
    scenario = dict(SCENARIO, guests=[guest, SCENARIO["guests"][1], SCENARIO["guests"][2]])
    with simulated(build, scenario) as memctld:
        before = memctld.guests()["idle"]["id"]
        wait_for("a command", lambda: last(memctld, "idle"))
        wait_for("another run", lambda: memctld.guests().get("idle", {}).get("id", before)
                 != before)
        told = last(memctld, "idle")
        assert told.get("age_ms", 0) < 3000, told


def explains_nothing_about_others(build):
    with simulated(build) as memctld:
        text = explain(memctld, "later")
        assert "It does not run, so nothing is decided about it." in text, text
        unknown = memctld.run("explain", "nobody")
        assert unknown.returncode == 1 and "no guest is named 'nobody'" in unknown.stderr, unknown
        for arguments in ((), ("a", "b")):
            assert memctld.run("explain", *arguments).returncode == 2
        for args in (b"{}", b'{"guest":7}', b'{"guest":null}'):
            line = b'{"memctl":1,"verb":"explain","args":' + args + b"}\n"
            assert json.loads(memctld.request(line))["error"]["code"] == "invalid"


TESTS = [
    tells_the_way_of_a_guest_that_was_moved,
    tells_of_the_last_time_that_it_was_made_smaller,
    names_what_trouble_asks_for_as_the_least,
    tells_how_far_a_slow_balloon_got,
    tells_that_a_stuck_balloon_does_not_move,
    names_the_rules_that_changed_the_wish,
    tells_why_a_guest_is_left_alone,
    tells_what_a_dry_run_would_do,
    tells_that_a_hung_guest_does_not_answer,
    forgets_with_the_guest,
    explains_nothing_about_others,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")

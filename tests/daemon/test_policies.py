#!/usr/bin/env python3
"""Policies on a running daemon and without one, on a simulated host: test_policies.py BUILD_DIR."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
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
        {"name": "busy", "memory": "1G", "working_set": "300M", "min": "128M"},
    ],
}
SNAPSHOT = {
    "budget": "1G",
    "guests": [
        {"name": "idle", "shares": 1000, "min": "128M", "max": "1G", "current": "512M",
         "active": 64 * MiB},
        {"name": "busy", "shares": 1000, "min": 128 * MiB, "max": "1G", "current": "512M",
         "active": "600M"},
    ],
}


def simulated(build, config="", **options):
    return simulate(build, SCENARIO, STRICT + config, budget=1088 * MiB, **options)


def evaluate(build, snapshot, *arguments):
    return subprocess.run([Path(build) / "cli" / "memctl", "policy", "eval", *arguments, "-"],
                          input=snapshot if isinstance(snapshot, str) else json.dumps(snapshot),
                          capture_output=True, text=True, timeout=20,
                          env=dict(os.environ, MEMCTL_POLICY_PATH=str(Path(build) / "policies")))


def targets(build, snapshot, *arguments):
    done = evaluate(build, snapshot, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return {guest["name"]: guest["target"] for guest in json.loads(done.stdout)["targets"]}


# ---- without a daemon ----

def evaluates_a_snapshot(build):
    done = evaluate(build, SNAPSHOT, "--policy", "idle-tax", "--param", "tax=50%", "--json")
    answer = json.loads(done.stdout)
    assert set(answer) == {"policy", "params", "budget", "surplus", "deficit", "targets"}, answer
    assert answer["policy"] == "idle-tax" and answer["params"] == {"tax": 0.5}
    assert answer["budget"] == 1024 * MiB and answer["surplus"] == answer["deficit"] == 0
    # At price mu, idle asks for 64 + (mu - 64) / 2, busy for mu up to 600: 2 mu / 3 ... by hand
    # 32 + mu / 2 + 600 + (mu - 600) / 2 = 1024, so mu = 692.
    assert [t["target"] for t in answer["targets"]] == [378 * MiB, 646 * MiB], answer


def taxes_nothing_at_zero(build):
    assert targets(build, SNAPSHOT, "--policy", "idle-tax", "--param", "tax=0") == \
        targets(build, SNAPSHOT, "--policy", "shares") == {"idle": 512 * MiB, "busy": 512 * MiB}


def covers_working_sets(build):
    # The needs are min 128 and 600 * 1.25 = 750; of the rest, each gets half.
    assert targets(build, SNAPSHOT, "--policy", "working-set") == \
        {"idle": 201 * MiB, "busy": 823 * MiB}


def tells_deficit_and_surplus(build):
    short = json.loads(evaluate(build, dict(SNAPSHOT, budget="200M"), "--policy", "shares",
                                "--json").stdout)
    assert short["deficit"] == 56 * MiB and short["surplus"] == 0, short
    rich = json.loads(evaluate(build, dict(SNAPSHOT, budget="3G"), "--policy", "shares",
                               "--json").stdout)
    assert rich["surplus"] == 1024 * MiB and rich["deficit"] == 0, rich


def prints_a_table(build):
    done = evaluate(build, SNAPSHOT, "--policy", "idle-tax")
    assert done.stdout.splitlines()[0].split() == ["GUEST", "SHARES", "MIN", "MAX", "CURRENT",
                                                   "ACTIVE", "TARGET", "CHANGE"]
    assert "idle-tax gives out 1.00G of 1.00G" in done.stdout, done.stdout


def refuses_bad_snapshots(build):
    def guest(**changes):
        return {"budget": "1G", "guests": [dict(SNAPSHOT["guests"][0], **changes)]}

    cases = [
        ("{", "line 1"),
        ("[]", "is not an object with 'budget' and 'guests'"),
        ({"guests": []}, "budget: is missing"),
        ({"budget": -1, "guests": []}, "budget: is not a whole number"),
        ({"budget": "50%", "guests": []}, "budget: "),
        ({"budget": 1}, "guests: is not a list"),
        ({"budget": 1, "guests": [1]}, "guests[0]: is not an object"),
        (guest(name=""), "guests[0]: name: is missing"),
        (guest(shares=0), "guests[0]: shares: is not a whole number from 1 to 1000000"),
        (guest(min="2G"), "guests[0]: min: is above max"),
        (guest(max=1.5), "guests[0]: max: is not a whole number"),
        (guest(active="lots"), "guests[0]: active: 'lots' is not a size"),
        (guest(stall_us=2000000), "guests[0]: stall_us: is not a whole number"),
        ({"budget": 1, "guests": [SNAPSHOT["guests"][0]] * 2}, "there is another guest 'idle'"),
    ]
    for snapshot, words in cases:
        done = evaluate(build, snapshot, "--policy", "shares")
        assert done.returncode == 1 and words in done.stderr, (snapshot, done)
        assert done.stderr.count("\n") == 1 and not done.stdout, done


def refuses_unknown_policies_and_parameters(build):
    cases = [
        (["--policy", "nosuch"], "there is no policy 'nosuch'"),
        (["--policy", "idle-tax", "--param", "tax=1"], "is not a number from 0 to less than 1"),
        (["--policy", "idle-tax", "--param", "tax=nan"], "is not a number"),
        (["--policy", "idle-tax", "--param", "tax"], "is not NAME=VALUE"),
        (["--policy", "shares", "--param", "tax=0"], "has no parameter 'tax'"),
        ([], "which policy? Say --policy NAME"),
    ]
    for arguments, words in cases:
        done = evaluate(build, SNAPSHOT, *arguments)
        assert done.returncode == 1 and words in done.stderr, (arguments, done)


# ---- on a running daemon ----

def lists_and_shows_what_there_is(build):
    with simulated(build) as memctld:
        result = memctld.json("policy", "list")
        names = {policy["name"]: policy for policy in result["policies"]}
        assert {"idle-tax", "pressure", "shares", "working-set"} <= set(names), names
        assert names["idle-tax"]["current"] and not names["shares"]["current"]
        assert "* idle-tax" in memctld.run("policy", "list").stdout
        shown = memctld.json("policy", "show", "idle-tax")["params"][0]
        assert shown["name"] == "tax" and shown["default"] == 0.5 and shown["type"] == "ratio"
        assert "headroom = 25%" in memctld.run("policy", "show", "working-set").stdout
        assert memctld.run("policy", "show", "/bin/true").returncode == 1
        assert memctld.run("policy", "frobnicate").returncode == 2


def uses_another_policy_at_once(build):
    def differ(memctld):
        guests = memctld.guests()
        return guests["busy"]["actual"] - guests["idle"]["actual"]

    with simulated(build, config=BY_SHARES) as memctld:
        wait_for("what shares say", lambda: abs(differ(memctld)) < 16 * MiB and
                 memctld.guests()["idle"]["actual"] < 600 * MiB)
        used = memctld.run("policy", "use", "idle-tax", "--param", "tax=90%")
        assert used.returncode == 0 and "Until memctld restarts" in used.stdout, used
        wait_for("the tax", lambda: differ(memctld) > 150 * MiB)
        status = memctld.json("status")
        assert status["policy"] == "idle-tax" and status["policy_params"] == {"tax": 0.9}, status
        assert "tax = 90%" in memctld.run("policy", "show").stdout


def says_what_it_asks_so_that_eval_gives_its_own_answer(build):
    with simulated(build) as memctld:
        wait_for("statistics", lambda: memctld.guests()["busy"]["fresh"])
        wait_for("rest", lambda: all(not guest["plan"]["sent"]
                                     for guest in memctld.guests().values()))
        snapshot = memctld.json("snapshot")
        assert snapshot["policy"] == "idle-tax" and snapshot["params"] == {"tax": 0.5}
        wishes = {name: guest["plan"]["wish"] for name, guest in memctld.guests().items()}
        assert targets(build, snapshot) == wishes, snapshot


def stops_in_the_middle_of_anything(build):
    for _ in range(10):
        with simulated(build) as memctld:
            memctld.json("policy", "use", "shares")  # a tick follows at once
            assert memctld.stop() == 0, memctld.log()


# ---- recordings ----

def replay(build, file):
    return subprocess.run([Path(build) / "cli" / "memctl", "--json", "replay", file],
                          capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, MEMCTL_POLICY_PATH=str(Path(build) / "policies")))


def record_a_life(build, file):
    """Start, another size, other policies, a policy that fails, a reload, the end."""
    with simulated(build, record=file) as memctld, bad_policy(build, GOOD_FOR=3) as bad:
        wait_for("statistics", lambda: memctld.guests()["busy"]["fresh"])
        memctld.json("set", "idle", "shares=3000")
        memctld.json("policy", "use", "pressure", "--param", "tax=20%")
        wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > 15)
        memctld.json("policy", "use", str(bad))
        wait_for("the fall back", lambda: memctld.json("status")["policy_refused"])
        assert "policy pressure decides instead: " in memctld.run("events").stdout
        memctld.json("reload")
        assert memctld.json("status")["policy"] == "idle-tax"
        # What comes back from the lanes after the last tick need not be in the file.
        ticks = memctld.json("status")["counters"]["ticks"]
        wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > ticks + 3)
        assert memctld.stop() == 0


def replays_what_it_recorded_bit_for_bit(build):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording"
        record_a_life(build, file)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["policy"] for line in lines if line["event"] == "begin"][:2] == \
            ["idle-tax", "pressure"]
        lines = [line for line in lines if not line.get("policy", "").startswith("/")]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        # The module is gone with its folder. What it refused to answer was asked of pressure then.
        done = replay(build, file)
        result = json.loads(done.stdout)
        assert result["steps"] > 15 and result["commands"] >= 2 and result["guests"] == 2, result


def notices_a_plan_that_comes_out_differently(build):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recording"
        with simulated(build, record=file) as memctld:
            wait_for("statistics", lambda: memctld.guests()["busy"]["fresh"])
            memctld.json("set", "idle", "shares=3000")
            wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > 15)
            assert memctld.stop() == 0
        text = file.read_text()
        done = replay(build, file)
        assert done.returncode == 0 and json.loads(done.stdout)["differ"] == 0, done
        file.write_text(text.replace('"shares":3000', '"shares":1000', 1))
        done = replay(build, file)
        assert done.returncode == 1 and json.loads(done.stdout)["differ"] >= 1, done
        file.write_text(text[:-10])
        assert json.loads(replay(build, file).stdout)["cut"] is True
        for broken, words in (("{}\n", "line 1: is no line of a recording"), ("x\n", "line 1: "),
                              (text.split("\n", 1)[1], "does not start with 'begin'"),
                              (text.replace('"shares":', '"sheep":'), "terms: shares: is missing")):
            file.write_text(broken)
            done = replay(build, file)
            assert done.returncode == 1 and words in done.stderr, (words, done)
        assert replay(build, file.with_name("none")).returncode == 1


BAD_POLICY = """
#include <memctl/policy.h>
#include <string.h>
static int calls;
static void *open_bad(void) { return &calls; }
static void close_bad(void *state) { (void)state; }
static int decide_bad(const struct mc_policy_input *input, const double *params, void *state,
                      uint64_t *targets)
{
    (void)params, (void)state;
    for (size_t i = 0; i < input->count; i++)
        targets[i] = calls < GOOD_FOR ? input->guests[i].min : input->guests[i].max + 4096;
    calls++;
    return 0;
}
__attribute__((visibility("default"))) const struct mc_policy mc_policy_module = {
    .abi = ABI, .name = "bad", .description = "bad", .open = open_bad, .close = close_bad,
    .decide = decide_bad,
};
"""


@contextlib.contextmanager
def bad_policy(build, **macros):
    """A module that answers well so many times, then beyond the limit."""
    source = Path(__file__).resolve().parents[2]
    macros = {"ABI": "MC_POLICY_ABI", "GOOD_FOR": 0, **macros}
    folder = Path(tempfile.mkdtemp(prefix="memctl-policy-"))
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", folder / "bad.so",
                        f"-I{source}/lib/include"] +
                       [f"-D{name}={value}" for name, value in macros.items()],
                       input=BAD_POLICY, text=True, check=True)
        yield folder / "bad.so"
    finally:
        shutil.rmtree(folder)


def refuses_a_policy_whose_first_answer_is_bad(build):
    with simulated(build) as memctld, bad_policy(build) as bad:
        refused = memctld.run("policy", "use", str(bad))
        assert refused.returncode == 1 and "its answer is not used" in refused.stderr, refused
        assert memctld.json("status")["policy"] == "idle-tax"


def goes_on_with_the_last_good_policy(build):
    with simulated(build) as memctld, bad_policy(build, GOOD_FOR=5) as bad:
        wait_for("a plan", lambda: memctld.json("status")["counters"]["ticks"] > 2)
        assert memctld.run("policy", "use", str(bad)).returncode == 0
        wait_for("the fall back", lambda: memctld.json("status")["policy"] == "idle-tax")
        status = memctld.json("status")
        assert status["policy_refused"]["policy"] == "bad" and status["plan"], status
        assert "set aside" in memctld.run("status").stdout
        assert "policy idle-tax decides instead" in memctld.log()
        assert memctld.run("policy", "use", "shares").returncode == 0
        assert memctld.json("status")["policy_refused"] is None


def falls_back_to_shares_when_none_was_good(build):
    with bad_policy(build) as bad, simulated(build, f"[policy]\nname = {bad}\n") as memctld:
        wait_for("the fall back", lambda: memctld.json("status")["policy"] == "shares")


def loads_a_module_that_was_built_anew(build):
    with bad_policy(build, GOOD_FOR=1000000) as good, simulated(build) as memctld:
        assert memctld.run("policy", "use", str(good)).returncode == 0
        with bad_policy(build) as bad:
            os.replace(bad, good)
        refused = memctld.run("policy", "use", str(good))
        assert refused.returncode == 1 and "its answer is not used" in refused.stderr, refused


def runs_on_while_its_module_is_written_over(build):
    with bad_policy(build, GOOD_FOR=1000000) as good, simulated(build) as memctld:
        assert memctld.run("policy", "use", str(good)).returncode == 0
        new = good.read_bytes().replace(b"bad\0", b"new\0")
        good.write_bytes(b"")  # in place: code that was mapped from the file would be gone
        ticks = memctld.json("status")["counters"]["ticks"]
        wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > ticks + 3)
        assert memctld.json("status")["policy"] == "bad"
        refused = memctld.run("policy", "use", str(good))
        assert refused.returncode == 1 and "file too short" in refused.stderr, refused
        good.write_bytes(new)
        assert memctld.run("policy", "use", str(good)).returncode == 0
        assert memctld.json("status")["policy"] == "new"


def refuses_another_interface_version(build):
    with simulated(build) as memctld, bad_policy(build, ABI=1) as bad:
        refused = memctld.run("policy", "use", str(bad))
        assert refused.returncode == 1 and "made for interface version 1" in refused.stderr, refused


TESTS = [
    evaluates_a_snapshot,
    taxes_nothing_at_zero,
    covers_working_sets,
    tells_deficit_and_surplus,
    prints_a_table,
    refuses_bad_snapshots,
    refuses_unknown_policies_and_parameters,
    lists_and_shows_what_there_is,
    uses_another_policy_at_once,
    says_what_it_asks_so_that_eval_gives_its_own_answer,
    refuses_a_policy_whose_first_answer_is_bad,
    goes_on_with_the_last_good_policy,
    falls_back_to_shares_when_none_was_good,
    loads_a_module_that_was_built_anew,
    runs_on_while_its_module_is_written_over,
    refuses_another_interface_version,
    stops_in_the_middle_of_anything,
    replays_what_it_recorded_bit_for_bit,
    notices_a_plan_that_comes_out_differently,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])

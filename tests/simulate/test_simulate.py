#!/usr/bin/env python3
"""memctl simulate, and the scenarios that come with it: test_simulate.py BUILD_DIR. Prints TAP."""

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import tap  # noqa: E402

try:
    import jsonschema
except ImportError:
    jsonschema = None

MiB = 1 << 20
GiB = 1 << 30
SCENARIOS = sorted((ROOT / "docs" / "scenarios").glob("*.json"))
POLICIES = sorted(path.stem for path in (ROOT / "policies").glob("*.c"))
BASELINES = sorted(path.stem for path in (ROOT / "tests/bench/baselines").glob("*.c"))


def memctl(build, *arguments):
    return subprocess.run([Path(build) / "cli" / "memctl", *map(str, arguments)],
                          capture_output=True, text=True, timeout=300,
                          env=dict(os.environ, MEMCTL_POLICY_PATH=str(Path(build) / "policies")))


def simulate(build, scenario, *arguments):
    """The JSON of a run; a scenario is a path or the content of one."""
    if isinstance(scenario, dict):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(scenario, file)
            file.flush()
            return simulate(build, file.name, *arguments)
    done = memctl(build, "--json", "simulate", scenario, *arguments)
    assert done.returncode == 0 and not done.stderr, done
    return json.loads(done.stdout)


def host(memory, *guests, duration=300, **members):
    return {"duration": duration, "host": {"memory": memory, **members}, "guests": list(guests)}


# ---- the measures, on hosts that can be calculated by hand ----

def counts_what_is_missing(build):
    # Raw squeezed with a budget of 1032M leaves 1000M for a guest that needs 1500M for 100 s.
    run = simulate(build, host("8G", {
        "name": "a", "memory": "2G", "min": "0", "kernel": "0", "overhead": "32M",
        "working_set": [[0, "500M"], [100, "1500M"], [200, "500M"]],
    }, budget="1032M"), "--policy", baseline(build, "squeezed-like"))
    assert abs(run["unmet_byte_seconds"] / (500 * MiB * 100) - 1) < 0.02, run
    assert abs(run["distress_ms"] - 100000) <= 1000, run
    assert run["rises"] == 1 and run["rises_never_met"] == 1, run
    assert run["squeezed_byte_seconds"] == 0, run
    assert run["overrun_byte_seconds"] == 0, run


def tells_needless_squeeze_from_shortage(build):
    # The same, and another guest that holds 1 GiB of the budget without touching it.
    run = simulate(build, host("8G", {
        "name": "a", "memory": "2G", "min": "0", "kernel": "0",
        "working_set": [[0, "500M"], [100, "1500M"], [200, "500M"]],
    }, {"name": "b", "memory": "2G", "min": "0"}, budget="2060M"),
        "--policy", baseline(build, "squeezed-like"))
    assert run["unmet_byte_seconds"] > 0
    assert run["squeezed_byte_seconds"] == run["unmet_byte_seconds"], run


def counts_what_the_host_does_not_have(build):
    run = simulate(build, host("2G", {"name": "a", "memory": "4G", "kernel": "0", "overhead": "0",
                                      "working_set": "3G", "balloon": False}, duration=100))
    assert abs(run["overrun_byte_seconds"] / (GiB * 100) - 1) < 0.01, run
    assert run["overrun_most"] == GiB, run
    assert run["unmet_byte_seconds"] == 0


def notices_that_a_guest_gets_what_it_waits_for(build):
    run = simulate(build, host(
        "8G",
        {"name": "a", "memory": "4G", "working_set": [[0, "1G"], [100, "3G"]], "touch": "500M"},
        {"name": "b", "memory": "4G", "working_set": "500M"}, budget="5G"))
    assert run["rises"] >= 1 and run["rises_never_met"] == 0, run
    assert run["met_after_ms_worst"] < 60000, run


def hot_page_cache_is_missed_and_cold_is_not(build):
    def run(**members):
        guest = {"name": "a", "memory": "4G", "min": "0", "kernel": "0", **members}
        return simulate(build, host("8G", guest, budget="2078M"),
                        "--policy", baseline(build, "squeezed-like"))
    assert run(working_set="3G", cache="2G")["unmet_byte_seconds"] > 200 * GiB
    assert run(working_set="1G", cold="2G")["unmet_byte_seconds"] == 0


def a_line_is_a_line(build):
    run = simulate(build, host("8G", {
        "name": "a", "memory": "4G", "kernel": "0",
        "working_set": {"repeat": 100, "points": [[0, 0], [50, "1G", "linear"]]},
    }), "--series", "300")
    needs = {moment["at_ms"]: guest["need"]
             for moment, guest in zip(run["moments"], run["guests"][0]["moments"])}
    for at_ms, need in needs.items():
        part = min(at_ms % 100000 / 50000, 1)
        assert abs(need - part * GiB) <= GiB * 0.002, (at_ms, need)


def faults_are_what_their_names_say(build):
    def story(kind, **fault):
        """Moments of a guest, by second; it needs 500M of 4G, and there are 3G for two."""
        guests = [{"name": "a", "memory": "4G", "working_set": "500M", "min": "0",
                   "faults": [{"kind": kind, "from": 0, **fault}]},
                  {"name": "b", "memory": "4G", "working_set": "500M", "min": "0"}]
        run = simulate(build, host("16G", *guests, budget="3G", overcommit=1), "--series", "300")
        return {moment["at_ms"] // 1000: guest
                for moment, guest in zip(run["moments"], run["guests"][0]["moments"])}

    full, half = 4 * GiB, 2 * GiB
    stuck = story("stuck", to=100)
    assert stuck[90]["actual"] == full and stuck[250]["actual"] < half
    assert story("hung", to=100)[90]["target"] == full
    assert story("lost")[200]["target"] == full
    assert story("impossible")[200]["target"] == full
    assert story("late", by=3, to=100)[200]["actual"] < half
    lying = story("lying", **{"from": 60, "to": 100})
    assert lying[95]["actual"] < half
    reboot = story("reboot", **{"from": 60, "to": 70})
    assert reboot[50]["actual"] < half and reboot[65]["actual"] == 0
    assert reboot[71]["actual"] > half and reboot[100]["actual"] < half
    vanished = story("vanish", **{"from": 60, "to": 70})
    assert vanished[50]["actual"] and not any(
        moment["actual"] for second, moment in vanished.items() if second > 60)


# ---- what comes with memctl ----

def baseline(build, name):
    return f"raw:{Path(build).resolve()}/tests/bench/baselines/{name}.so"


def every_scenario_keeps_the_promises_under_every_policy(build):
    for scenario in SCENARIOS:
        for run in simulate(build, scenario, "--compare", ",".join(POLICIES)):
            assert run["broken_promises"] == 0, (scenario.name, run["policy"])
            assert run["title"] and run["guests"], scenario.name
            # What is promised beyond the host is a risk that the default policy does not run into.
            assert run["policy"] != "idle-tax" or run["overrun_byte_seconds"] < GiB / 10, \
                (scenario.name, run["overrun_byte_seconds"])


def a_strict_promise_never_exceeds_the_host(build):
    for scenario in SCENARIOS:
        strict = json.loads(scenario.read_text())
        strict["host"]["overcommit"] = 1
        for run in simulate(build, strict, "--compare", ",".join(POLICIES)):
            assert run["overrun_byte_seconds"] < GiB / 10, (scenario.name, run["policy"])


def every_scenario_runs_under_every_baseline(build):
    for scenario in SCENARIOS:
        runs = simulate(build, scenario, "--compare",
                        ",".join(baseline(build, name) for name in BASELINES))
        assert [run["policy"] for run in runs] == ["raw:" + name for name in BASELINES]


def the_same_scenario_has_the_same_result(build):
    for scenario in SCENARIOS:
        for policy in ("idle-tax", baseline(build, "mom-like")):
            arguments = (scenario, "--policy", policy, "--series", "50")
            assert simulate(build, *arguments) == simulate(build, *arguments), scenario.name


def no_baseline_does_better_on_the_mixed_host(build):
    runs = simulate(build, ROOT / "docs/scenarios/consolidation-50.json", "--compare",
                    ",".join(["idle-tax"] + [baseline(build, name) for name in BASELINES]))
    ours, others = runs[0], runs[1:]
    best = min(run["unmet_byte_seconds"] + run["overrun_byte_seconds"] for run in others)
    assert best >= 5 * ours["unmet_byte_seconds"], (best, ours["unmet_byte_seconds"])


# ---- the form of scenarios ----

WRONG = [
    ({}, "needs an object 'host'"),
    (host("1X"), "host: memory: '1X'"),
    (host("1G", used=[[5, "1M", "steep"]]), "host: used"),
    (host("1G", budget={"repeat": 5}), "host: budget: needs a list 'points'"),
    (host("1G", {"memory": "1G"}), "guests[0]: has no name"),
    (host("1G", {"name": "a"}), "guests[0]: memory"),
    (host("1G", {"name": "a", "memory": "1G", "cache": True}), "guests[0]: cache"),
    (host("1G", {"name": "a", "memory": "1G", "touch": -1}), "guests[0]: touch"),
    (host("1G", {"name": "a", "memory": "1G", "reporting": "no"}), "guests[0]: reporting"),
    (host("1G", {"name": "a", "memory": "1G", "start": "soon"}), "guests[0]: start"),
    (host("1G", {"name": "a", "memory": "1G", "faults": {}}), "guests[0]: faults"),
    (host("1G", {"name": "a", "memory": "1G", "faults": [{"kind": "asleep"}]}),
     "guests[0]: faults[0]: kind"),
    (host("1G", {"name": "a", "memory": "1G", "balloon": {"lag": "1"}}), "guests[0]: lag"),
]


def the_schema_holds_for_what_comes_with_memctl(build):
    if not jsonschema:
        return
    schema = json.loads((ROOT / "docs/scenario.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for scenario in [*SCENARIOS, ROOT / "docs/examples/host.json"]:
        jsonschema.validate(json.loads(scenario.read_text()), schema)


def wrong_scenarios_are_refused_with_their_place(build):
    for scenario, words in WRONG:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(scenario, file)
            file.flush()
            done = memctl(build, "simulate", file.name)
        assert done.returncode == 1 and words in done.stderr, (words, done)
        assert done.stderr.count("\n") == 1 and not done.stdout, done


def wrong_scenarios_break_the_schema(build):
    if not jsonschema:
        return
    schema = json.loads((ROOT / "docs/scenario.schema.json").read_text())
    for scenario, words in WRONG:
        try:
            jsonschema.validate(scenario, schema)
        except jsonschema.ValidationError:
            continue
        raise AssertionError(f"the schema takes a scenario that is refused with {words!r}")


# ---- the command ----

def tables_fit_in_80_columns(build):
    scenario = ROOT / "docs/scenarios/churn.json"
    for arguments in ((), ("--compare", "idle-tax,idle-tax:tax=75%,raw:shares")):
        done = memctl(build, "simulate", scenario, *arguments)
        assert done.returncode == 0 and not done.stderr, done
        assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout


def draws_a_picture_that_can_be_read(build):
    scenario = host("4G", {"name": "a <&> b", "memory": "2G", "working_set": "1G"})
    with tempfile.NamedTemporaryFile(suffix=".svg") as file:
        simulate(build, scenario, "--plot", file.name)
        text = Path(file.name).read_text()
    root = xml.etree.ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme" in text and "http:" not in text.replace(
        "http://www.w3.org/2000/svg", "")
    assert any(element.text == "a <&> b" for element in root.iter())


def says_what_is_wrong_with_its_arguments(build):
    scenario = ROOT / "docs/examples/host.json"
    for code, words, arguments in (
            (2, "takes one scenario", ()),
            (2, "names no policy", (scenario, "--compare", "idle-tax,,shares")),
            (2, "--compare goes with neither", (scenario, "--compare", "shares", "--plot", "x")),
            (2, "interval", (scenario, "--interval", "1ms")),
            (1, "no-such", (scenario, "--policy", "no-such")),
            (1, "tax", (scenario, "--policy", "idle-tax", "--param", "tax=2")),
            (1, "is not KEY=VALUE", (scenario, "--param", "tax")),
            (1, "cannot be written", (scenario, "--plot", "/nonexistent/x.svg")),
            (1, "/nonexistent.json", ("/nonexistent.json",)),
    ):
        done = memctl(build, "simulate", *arguments)
        assert done.returncode == code and words in done.stderr, (arguments, done)


TESTS = [
    counts_what_is_missing,
    tells_needless_squeeze_from_shortage,
    counts_what_the_host_does_not_have,
    notices_that_a_guest_gets_what_it_waits_for,
    hot_page_cache_is_missed_and_cold_is_not,
    a_line_is_a_line,
    faults_are_what_their_names_say,
    every_scenario_keeps_the_promises_under_every_policy,
    a_strict_promise_never_exceeds_the_host,
    every_scenario_runs_under_every_baseline,
    the_same_scenario_has_the_same_result,
    no_baseline_does_better_on_the_mixed_host,
    the_schema_holds_for_what_comes_with_memctl,
    wrong_scenarios_are_refused_with_their_place,
    wrong_scenarios_break_the_schema,
    tables_fit_in_80_columns,
    draws_a_picture_that_can_be_read,
    says_what_is_wrong_with_its_arguments,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])

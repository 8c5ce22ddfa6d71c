#!/usr/bin/env python3
"""
What memctl's policies make of the scenarios, beside what others would: compare.py BUILD_DIR
[SCENARIO.json]... Prints tables in Markdown; see docs/comparison.md.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ["idle-tax", "working-set", "shares"]
# As they come, and two with what suits a host that may be filled to its budget. Shares without a
# governor are a static partition: nothing but guests that come and go changes it.
THEIRS = {
    "static": "raw:shares",
    "mom-like": "raw:{baselines}/mom-like.so",
    "proxmox-like": "raw:{baselines}/proxmox-like.so",
    "squeezed-like": "raw:{baselines}/squeezed-like.so",
    "mom-like 5 %": "raw:{baselines}/mom-like.so:threshold=0.05",
    "proxmox-like 100 %": "raw:{baselines}/proxmox-like.so:goal=1",
}
ALL = [*OURS, *THEIRS]
GIB = 1 << 30


def simulate(build, scenario):
    """The runs of all policies, by name."""
    folder = build / "tests" / "bench" / "baselines"
    baselines = [spec.format(baselines=folder) for spec in THEIRS.values()]
    done = subprocess.run(
        [build / "cli" / "memctl", "--json", "simulate", scenario, "--compare",
         ",".join(OURS + baselines)],
        stdout=subprocess.PIPE, check=True,
        env=dict(os.environ, MEMCTL_POLICY_PATH=str(build / "policies")))
    return dict(zip(ALL, json.loads(done.stdout)))


def number(value):
    """As memctl prints it."""
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"


def missing(run):
    """What guests lacked, and what the host lacked for them."""
    return run["unmet_byte_seconds"] + run["overrun_byte_seconds"]


def show_missing(run):
    text = number(run["unmet_byte_seconds"] / GIB)
    if run["overrun_byte_seconds"]:
        text += f" + {number(run['overrun_byte_seconds'] / GIB)}"
    if run["over_budget_byte_seconds"] > GIB:
        text += " (b)"
    return text


def show_wait(run):
    if not run["rises"]:
        return "-"

    def seconds(key):
        return "never" if run[key] is None else number(run[key] / 1000)
    text = f"{seconds('met_after_ms_median')} / {seconds('met_after_ms_worst')}"
    if run["rises_never_met"]:
        text += f" / {run['rises_never_met']} never"
    return text


def show_squeezed(run):
    return number(run["squeezed_byte_seconds"] / GIB)


def show_moved(run):
    return f"{number(run['moved'] / GIB)} / {run['turns']}"


TABLES = [
    ("Unmet demand + host overrun, GiB s; (b): took more than the budget", show_missing),
    ("Unmet demand while the host had memory to spare, GiB s", show_squeezed),
    ("Seconds until a sudden rise was met: median / worst / number never met", show_wait),
    ("GiB moved / changes of direction", show_moved),
]


def print_table(title, show, results):
    rows = [["scenario", *ALL]]
    for scenario, runs in results.items():
        rows.append([scenario.stem] + [show(runs[policy]) for policy in ALL])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n{title}:\n")
    for index, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def worst_guest(scenario, run):
    """Who misses most, how much of it all, and what the scenario says is wrong with him."""
    guest = max(run["guests"], key=lambda guest: guest["unmet_byte_seconds"])
    said = next(said for said in json.loads(scenario.read_text())["guests"]
                if said["name"] == guest["name"])
    faults = [f"its statistics are {fault['kind']}" if fault["kind"] in ("lost", "late") else
              f"it is {fault['kind']}" for fault in said.get("faults", [])]
    part = round(100 * guest["unmet_byte_seconds"] / run["unmet_byte_seconds"])
    return f"{part} % of it {guest['name']}'s" + (f" ({', '.join(faults)})" if faults else "")


def why_worse(scenario, ours, theirs):
    """What can be said of a defeat by numbers alone."""
    words = []
    needless = round(100 * ours["squeezed_byte_seconds"] / max(ours["unmet_byte_seconds"], 1))
    beyond = theirs["over_budget_byte_seconds"] / GIB, ours["over_budget_byte_seconds"] / GIB

    if ours["unmet_byte_seconds"]:
        words.append(f"{needless} % of it needless")
        words.append(worst_guest(scenario, ours))
    if ours["overrun_byte_seconds"]:
        words.append(f"{number(ours['overrun_byte_seconds'] / GIB)} beyond the host's memory")
    if beyond[0] > beyond[1] + 1:
        words.append(f"the other one exceeds the budget by {number(beyond[0])} GiB s, "
                     f"this one by {number(beyond[1])}")
    return "; ".join(words)


def print_verdict(results):
    """For each of our policies: how often it is the best, and where it is not, and why."""
    for policy in OURS:
        better, equal, worse = 0, 0, []
        for scenario, runs in results.items():
            best = min(THEIRS, key=lambda name: missing(runs[name]))
            ours, theirs = missing(runs[policy]), missing(runs[best])
            better += ours < theirs
            equal += ours == theirs
            if ours > theirs:
                worse.append(f"- {scenario.stem}: {number(ours / GIB)} GiB s, {best} "
                             f"{number(theirs / GIB)}; "
                             f"{why_worse(scenario, runs[policy], runs[best])}")
        print(f"\n{policy}: misses less than all the others in {better} scenarios, as little as "
              f"the best of them in {equal}, more in {len(worse)}")
        print("\n".join(worse))


def main():
    build = Path(sys.argv[1]).resolve()
    scenarios = [Path(name) for name in sys.argv[2:]]
    results = {}

    for scenario in scenarios or sorted((ROOT / "docs" / "scenarios").glob("*.json")):
        results[scenario] = simulate(build, scenario)
    for title, show in TABLES:
        print_table(title, show, results)
    print_verdict(results)


if __name__ == "__main__":
    main()

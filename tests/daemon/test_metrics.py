#!/usr/bin/env python3
"""The metrics as they come, against what is documented: test_metrics.py BUILD_DIR. Prints TAP."""

import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import metrics  # noqa: E402
import tap  # noqa: E402
from memctld import Memctld, simulate, wait_for  # noqa: E402

MiB = 1 << 20
ODD_NAME = 'odd "name" \\ ünï'
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "shares": 3000},
        {"name": ODD_NAME, "memory": "256M", "working_set": "60M"},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
    ],
}


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, store=True, **options)


def settled(memctld):
    """The metrics after a while in which memory moved."""
    wait_for("guests", lambda: len(memctld.guests()) == 4)
    wait_for("memory to move", lambda: memctld.json("status")["counters"]["bytes_reclaimed"])
    return memctld.metrics()


def get(memctld, accept):
    request = urllib.request.Request(f"http://127.0.0.1:{memctld.port}/metrics",
                                     headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def documents_every_family_and_nothing_else(build):
    documented = metrics.documented()
    with simulated(build) as memctld:
        types, _ = metrics.parse(settled(memctld))
    assert not documented.keys() - types.keys(), documented.keys() - types.keys()
    assert not types.keys() - documented.keys(), types.keys() - documented.keys()
    for name, kind in types.items():
        wanted = documented[name][0]
        assert kind == ("gauge" if wanted == "info" else wanted), (name, kind)


def has_exactly_the_documented_labels(build):
    documented = metrics.documented()
    with simulated(build) as memctld:
        types, samples = metrics.parse(settled(memctld))
    seen = set()
    for name, labels, _ in samples:
        family = metrics.family_of(name, types)
        has = set(labels) | ({"le"} if types[family] == "histogram" else set())
        assert has == documented[family][1], (name, has)
        seen.add(family)
    # What a simulated host does not have: an agent in its guests, and pages to scan and merge.
    missing = documented.keys() - seen - {"memctl_guest_memory_stall_ratio"}
    missing -= {name for name in missing if name.startswith(
        ("memctl_dedupe_", "memctl_merge_", "memctl_guest_sample_"))}
    assert not missing - {"memctl_host_memory_stall_ratio"}, missing


def keeps_to_names_and_units(build):
    with simulated(build) as memctld:
        types, samples = metrics.parse(settled(memctld))
    for name, kind in types.items():
        assert re.fullmatch(r"(memctl|process)(_[a-z]+)+", name), name
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|milliseconds|kib|mib|gib|percent|minutes|kilobytes)\b", name)
    assert len(samples) == len({(name, *sorted(labels.items())) for name, labels, _ in samples})


def is_clean_for_promtool(build):
    if not shutil.which("promtool"):
        print("# promtool is missing: not checked")
        return
    with simulated(build) as memctld:
        text = settled(memctld)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def says_what_is_so(build):
    with simulated(build) as memctld:
        settled(memctld)
        wait_for("rest", lambda: metrics.value(metrics.parse(memctld.metrics())[1],
                                               "memctl_promised_bytes") is not None)
        types, samples = metrics.parse(memctld.metrics())
        guests = {g["name"]: g for g in memctld.guests().values()}

        def of(name, **labels):
            return metrics.value(samples, name, **labels)

        assert of("memctl_guest_shares", domain="b") == 3000
        assert of("memctl_guest_memory_bytes", domain="a") == 1024 * MiB
        assert of("memctl_guest_min_bytes", uuid=guests["a"]["uuid"]) == 128 * MiB
        assert of("memctl_guests_by_exemption", exempt="no-balloon") == 1
        assert of("memctl_guests_by_exemption", exempt="no") == 3
        assert of("memctl_guest_info", domain="fixed", exempt="no-balloon") == 1
        assert of("memctl_guest_reclaim_requested_bytes_total", domain="a") > 0
        assert of("memctl_guest_balloon_commands_total", domain="fixed") == 0
        assert sum(number for name, _, number in samples if name == "memctl_host_state") == 1
        assert of("memctl_observe_seconds_count") == of("memctl_observe_seconds_bucket", le="+Inf")
        buckets = [number for name, _, number in samples if name == "memctl_decide_seconds_bucket"]
        assert buckets == sorted(buckets) and buckets[-1] > 0
        assert of("process_resident_memory_bytes") > MiB
        assert 5 < of("process_open_fds") < of("process_max_fds")


def writes_odd_names_so_that_they_can_be_read(build):
    with simulated(build) as memctld:
        text = settled(memctld)
    escaped = ODD_NAME.replace("\\", "\\\\").replace('"', '\\"')
    assert f'memctl_guest_shares{{domain="{escaped}",uuid="' in text, text[-3000:]


def speaks_openmetrics_to_those_who_ask(build):
    prometheus = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    with simulated(build) as memctld:
        settled(memctld)
        for accept, is_open in ((None, False), ("*/*", False), ("text/plain", False),
                                ("application/openmetrics-text", True), (prometheus, True),
                                ("application/openmetrics-text;q=0.2,text/plain;q=0.5", False),
                                ("application/openmetrics-text; q=0", False),
                                ("application/openmetrics-textual", False)):
            kind, text = get(memctld, accept)
            assert kind.startswith("application/openmetrics-text; version=1.0.0"
                                   if is_open else "text/plain; version=0.0.4"), (accept, kind)
            assert text.endswith("# EOF\n") == is_open, accept
        text = get(memctld, prometheus)[1]
    assert "# TYPE memctl_ticks counter\n" in text and "\nmemctl_ticks_total " in text
    assert "# TYPE memctl_guest info\n" in text and "\nmemctl_guest_info{" in text
    assert "# UNIT memctl_budget_bytes bytes\n" in text
    assert "# UNIT memctl_balloon_grant_bytes bytes\n" in text
    units = re.findall(r"^# UNIT (\S+) (\S+)$", text, re.M)
    assert all(name.endswith("_" + unit) for name, unit in units)
    assert text.count("# EOF") == 1


def has_no_old_numbers_when_the_hypervisor_is_gone(build):
    with Memctld(build, "qemu+unix:///system?socket=/nonexistent/libvirt-sock") as memctld:
        types, samples = metrics.parse(memctld.metrics())
    assert metrics.value(samples, "memctl_hypervisor_up") == 0
    assert metrics.value(samples, "memctl_guests") == 0
    late = {"memctl_budget_bytes", "memctl_guest_info", "memctl_host_memory_bytes"}
    assert not late & types.keys()
    head = (metrics.SOURCE / "docs" / "metrics.md").read_text().partition("## The host")[0]
    for name in types:
        assert f"`{name}`" in head, name


def bounds_the_number_of_series(build):
    many = [{"name": f"g{i}", "memory": "16M", "working_set": "8M"} for i in range(4100)]
    scenario = {"host": {"memory": "512G", "used": "1G"}, "guests": many}
    with simulated(build, scenario, budget="400G", interval="1s") as memctld:
        wait_for("guests", lambda: "memctl_guests 4100\n" in memctld.metrics(), 60)
        _, samples = metrics.parse(memctld.metrics())
    assert metrics.value(samples, "memctl_guests_without_series") == 4
    shares = [labels["domain"] for name, labels, _ in samples if name == "memctl_guest_shares"]
    assert len(shares) == len(set(shares)) == 4096


TESTS = [
    documents_every_family_and_nothing_else,
    has_exactly_the_documented_labels,
    keeps_to_names_and_units,
    is_clean_for_promtool,
    says_what_is_so,
    writes_odd_names_so_that_they_can_be_read,
    speaks_openmetrics_to_those_who_ask,
    has_no_old_numbers_when_the_hypervisor_is_gone,
    bounds_the_number_of_series,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])

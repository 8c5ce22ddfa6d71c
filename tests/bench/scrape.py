#!/usr/bin/env python3
"""
What being looked at costs memctld: scrape.py BUILD_DIR [GUESTS]. On a simulated host it fetches the
metrics, the page and what the page asks for, and prints how large each is, how long it takes, and
the processor time of memctld beyond that of its ticks.
"""

import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from memctld import Memctld, wait_for  # noqa: E402

ROUNDS = 40
OPENMETRICS = {"Accept": "application/openmetrics-text"}


def processor_seconds(memctld):
    stat = Path(f"/proc/{memctld.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def fetch(memctld, path, fields):
    """Not faster than a client may ask without being told to wait."""
    request = urllib.request.Request(f"http://127.0.0.1:{memctld.port}{path}", headers=fields)
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as answer:
        length = len(answer.read())
    took = time.monotonic() - began
    time.sleep(min(0.5, 4 * took))
    return length, took


def cost_of_rest(memctld, seconds):
    """Processor seconds a second while nobody asks."""
    before = processor_seconds(memctld)
    time.sleep(seconds)
    return (processor_seconds(memctld) - before) / seconds


def main():
    guests = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    scenario = {"host": {"memory": f"{guests * 2}G", "used": "8G"},
                "guests": [{"name": f"guest-{i:05}", "memory": "2G",
                            "working_set": f"{200 + i % 1400}M"} for i in range(guests)]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(scenario, file)
        file.flush()
        with Memctld(sys.argv[1], f"sim:{file.name}", budget=f"{guests}G") as memctld:
            wait_for("guests", lambda: len(memctld.guests()) == guests, 120)
            time.sleep(20)  # until memory has moved
            rest = cost_of_rest(memctld, 10)
            print(f"{guests} guests, a tick every 2 s: {rest * 100:.2f} % of a processor")
            for what, path, fields in (("metrics, text", "/metrics", {}),
                                       ("metrics, OpenMetrics", "/metrics", OPENMETRICS),
                                       ("page", "/", {"Accept-Encoding": "gzip"}),
                                       ("its state", "/api/state", {}),
                                       ("one chart", "/api/trend", {})):
                before, began = processor_seconds(memctld), time.monotonic()
                seen = [fetch(memctld, path, fields) for _ in range(ROUNDS)]
                ticks = (time.monotonic() - began) * rest
                cost = max(0, processor_seconds(memctld) - before - ticks) / ROUNDS
                print(f"{what:<22}{seen[0][0] / 1e6:8.3f} MB  median "
                      f"{statistics.median(took for _, took in seen) * 1000:7.2f} ms, longest "
                      f"{max(took for _, took in seen) * 1000:7.2f} ms, processor "
                      f"{cost * 1000:6.2f} ms")


if __name__ == "__main__":
    main()

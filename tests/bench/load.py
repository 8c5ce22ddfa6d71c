#!/usr/bin/env python3
"""
What many guests cost memctld, and what being looked at does: load.py BUILD_DIR [GUESTS]. On a
simulated host whose guests change what they use all the time but for a fifth of them, it prints the
processor time of a tick, how fast the history grows, how large each answer over HTTP is, how long
it takes and what it costs; and how long the page takes to show them in Chromium, if there is one.
"""

import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import browser as chromium  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

ROUNDS = 40
REST_S = 60
OPENMETRICS = {"Accept": "application/openmetrics-text"}


def fetch(memctld, path, fields):
    """Not faster than a client may ask without being told to wait."""
    request = urllib.request.Request(f"http://127.0.0.1:{memctld.port}{path}", headers=fields)
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as answer:
        length = len(answer.read())
    took = time.monotonic() - began
    time.sleep(min(0.5, 4 * took))
    return length, took


def scenario(guests):
    """What a guest uses moves by up to a fifth every minute, as in bench-store."""
    chance = random.Random(42)

    def guest(i):
        memory = chance.choice((2048, 4096, 4096, 8192, 16384))
        trace = [[at + (chance.randrange(30) if at else 0), f"{int(memory * part)}M"]
                 for at, part in ((at, 0.2 + chance.random() / 5) for at in range(0, 600, 60))]
        return {"name": f"guest-{i:05}", "memory": f"{memory}M",
                "working_set": "200M" if i % 5 == 4 else trace}

    listed = [guest(i) for i in range(guests)]
    total = sum(int(one["memory"][:-1]) for one in listed)
    return {"host": {"memory": f"{total}M", "used": "8G"}, "guests": listed}, total * 3 // 4


def file_of(memctld):
    """Bytes that rows take, and the time it took to write them."""
    history = memctld.json("status")["history"]
    with sqlite3.connect(f"file:{memctld.store}?mode=ro", uri=True) as db:
        pages = [db.execute(f"PRAGMA {name}").fetchone()[0]
                 for name in ("page_count", "freelist_count", "page_size")]
    return (pages[0] - pages[1]) * pages[2], history["seconds"]


def tell_rest(memctld, guests):
    """While nobody asks: what ticks cost. Returns processor seconds a second."""
    ticks = memctld.json("status")["counters"]["ticks"]
    size, writing = file_of(memctld)
    before, began = memctld.processor_seconds(), time.monotonic()
    time.sleep(REST_S)
    spent, passed = memctld.processor_seconds() - before, time.monotonic() - began
    ticks = memctld.json("status")["counters"]["ticks"] - ticks
    after, wrote = file_of(memctld)
    print(f"{guests} guests, {ticks} ticks in {passed:.0f} s: {spent / ticks * 1000:.1f} ms of "
          f"processor a tick, {spent / passed * 100:.2f} % of one; of that "
          f"{(wrote - writing) / ticks * 1000:.1f} ms to write the history")
    print(f"history {(after - size) / passed * 86400 / 2**20:.0f} MiB a day")
    return spent / passed


def tell_answers(memctld, rest, uuid):
    for what, path, fields in (("metrics, text", "/metrics", {}),
                               ("metrics, OpenMetrics", "/metrics", OPENMETRICS),
                               ("page", "/", {"Accept-Encoding": "gzip"}),
                               ("its state", "/api/state", {}),
                               ("the host's chart", "/api/trend?span_ms=21600000", {}),
                               ("a guest's chart", f"/api/trend?uuid={uuid}", {})):
        before, began = memctld.processor_seconds(), time.monotonic()
        seen = [fetch(memctld, path, fields) for _ in range(ROUNDS)]
        ticks = (time.monotonic() - began) * rest
        cost = max(0, memctld.processor_seconds() - before - ticks) / ROUNDS
        print(f"{what:<22}{seen[0][0] / 1e6:8.3f} MB  median "
              f"{statistics.median(took for _, took in seen) * 1000:7.2f} ms, longest "
              f"{max(took for _, took in seen) * 1000:7.2f} ms, processor "
              f"{cost * 1000:6.2f} ms")


def tell_page(memctld):
    if (reason := chromium.missing()):
        print(f"page in a browser: {reason}")
        return
    with chromium.Browser() as browser:
        took = []
        for _ in range(5):
            browser.open("about:blank")
            began = time.monotonic()
            browser.open(f"http://127.0.0.1:{memctld.port}/")
            browser.wait("guests", "return document.querySelector('#guest-table tbody tr')"
                         " && document.querySelector('#memory-chart path.curve')")
            took.append(time.monotonic() - began)
    print(f"page in Chromium until guests and chart are there: median "
          f"{statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")


def main():
    guests = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    world, budget = scenario(guests)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(world, file)
        file.flush()
        with Memctld(sys.argv[1], f"sim:{file.name}", budget=f"{budget}M", store=True) as memctld:
            wait_for("guests", lambda: len(memctld.guests()) == guests, 120)
            uuid = next(iter(memctld.guests().values()))["uuid"]
            time.sleep(20)  # until memory has moved
            rest = tell_rest(memctld, guests)
            tell_answers(memctld, rest, uuid)
            tell_page(memctld)


if __name__ == "__main__":
    main()

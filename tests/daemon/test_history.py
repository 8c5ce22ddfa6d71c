#!/usr/bin/env python3
"""The history, on a simulated host: test_history.py BUILD_DIR. Prints TAP."""

import contextlib
import csv
import io
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import BY_SHARES, STRICT, simulate, wait_for  # noqa: E402

MiB = 1 << 20
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": [[0, "60M"], [4, "200M"]], "min": "128M"},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
    ],
}
# "a" is in trouble from the fourth second on: it needs more than it was left.
TROUBLE = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": [[0, "60M"], [4, "900M"]], "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"},
    ],
}


def simulated(build, scenario=SCENARIO, config=STRICT, **options):
    return simulate(build, scenario, config + BY_SHARES,
                    **{"store": True, "budget": 1600 * MiB, **options})


def status(memctld):
    return memctld.json("status")["history"]


def ask(memctld, **args):
    line = json.dumps({"memctl": 1, "verb": "history", "args": args}).encode() + b"\n"
    return json.loads(memctld.request(line, shutdown=False))


def wait_for_rows(memctld, count=1, guest="a"):
    def rows():
        done = memctld.run("--json", "history", guest, "--tier", "raw")
        found = json.loads(done.stdout)["rows"] if done.returncode == 0 else []
        return found if len(found) >= count else None
    return wait_for(f"{count} rows of {guest}", rows)[0]


def wait_for_written(memctld):
    """All that has happened so far is in the file."""
    before = status(memctld)["rows"]
    wait_for("rows to be written", lambda: status(memctld)["rows"] > before)


# ---- it is kept ----

def keeps_what_happened_over_a_restart(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        first = wait_for_rows(memctld, 2)[0]
        assert first["actual"] == 1024 * MiB, first
        assert memctld.stop() == 0
        memctld.start()
        again = wait_for_rows(memctld, 2)
        assert again[0] == first, (first, again[0])


def keeps_what_was_written_before_a_kill(build):
    with simulated(build) as memctld:
        first = wait_for_rows(memctld, 2)[0]
        memctld.stop(signal.SIGKILL)
        memctld.start()
        assert wait_for_rows(memctld, 2)[0] == first
        assert status(memctld)["set_aside"] == 0


def a_clean_stop_leaves_one_whole_file(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        assert memctld.stop() == 0
        assert {p.name for p in memctld.folder.glob("memctl.db*")} == \
            {"memctl.db", "memctl.db.lock"}
        db = sqlite3.connect(memctld.store)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        assert {"guest_raw", "guest_minute", "guest_hour", "decision", "event"} <= tables, tables
        # The minute that had begun is there, too.
        assert db.execute("SELECT count(*) FROM guest_minute").fetchone()[0] >= 3
        db.close()
        assert (memctld.store.stat().st_mode & 0o777) == 0o640


def events_are_there_again_with_their_numbers(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld)
        memctld.run("pause", "a")
        wait_for_written(memctld)
        before = [json.loads(line) for line in memctld.run("--json", "events").stdout.splitlines()]
        memctld.stop(signal.SIGKILL)
        memctld.start()
        after = [json.loads(line) for line in memctld.run("--json", "events").stdout.splitlines()]
        assert after[:len(before)] == before, (before, after)
        assert [event["seq"] for event in after] == list(range(1, len(after) + 1))
        assert "started" in [event["kind"] for event in after[len(before):]], after


def learned_floors_survive_a_kill(build):
    """What trouble taught is in the file, and the next daemon begins with it and replays so."""
    config = STRICT.replace("cooldown = 0", "cooldown = 60s")
    with simulated(build, scenario=TROUBLE, config=config, recording=True) as memctld:
        def lessons():
            if not memctld.store.exists():
                return []
            db = sqlite3.connect(f"file:{memctld.store}?mode=ro", uri=True)
            with contextlib.closing(db):
                return db.execute("SELECT uuid, learned, need FROM lesson").fetchall()
        uuid = wait_for("guests", memctld.guests)[0]["a"]["uuid"]
        found = wait_for("a lesson", lessons)[0]
        assert [row[0] for row in found] == [uuid] and found[0][1] >= 64 * MiB, found
        memctld.stop(signal.SIGKILL)
        memctld.start()
        assert "troubles have taught" in memctld.log(), memctld.log()
        teach = [line for line in memctld.recordings[1].read_text().splitlines()
                 if '"event":"teach"' in line or '"event": "teach"' in line]
        assert teach and uuid in teach[0], memctld.recordings[1].read_text()[:2000]
        assert memctld.recordings[1].read_text().index('"teach"') < \
            memctld.recordings[1].read_text().index('"step"')
        # The simulated host begins anew, and no guest is in trouble: only the lesson keeps a's
        # memory, while b's is taken.
        wait_for("b to shrink", lambda: memctld.guests()["b"]["actual"] < 900 * MiB)
        a = memctld.guests()["a"]
        assert a["actual"] >= found[0][2] > 700 * MiB and a["used"] < 200 * MiB, (found, a)
        assert a["plan"]["reason"] == "distress", a
        assert memctld.stop() == 0
        assert all(result["differ"] == 0 for result in memctld.replay()), memctld.replay()


def a_dry_run_keeps_its_history_as_well(build):
    with simulated(build, dry_run=True) as memctld:
        rows = wait_for_rows(memctld, 1)
        assert rows[0]["target"] is not None


def without_a_store_it_says_so(build):
    with simulated(build, store=False) as memctld:
        assert memctld.json("status")["history"] is None
        done = memctld.run("history", "a")
        assert done.returncode == 1 and "keeps no history" in done.stderr, done
        assert "memctl_history" not in memctld.metrics()


# ---- trouble with the file: control goes on ----

def goes_on(memctld):
    """Ticks go on, and the history is down; returns what it says."""
    down = wait_for("the history to be down", lambda: not status(memctld)["up"] and status(memctld))
    ticks = memctld.json("status")["counters"]["ticks"]
    wait_for("more ticks", lambda: memctld.json("status")["counters"]["ticks"] > ticks + 5)
    return down[0]


def a_damaged_file_is_set_aside(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 1)
        assert memctld.stop() == 0
        memctld.store.write_bytes(b"this is no database" * 1000)
        memctld.start()
        wait_for("a new file", lambda: status(memctld)["up"])
        wait_for_rows(memctld, 1)
        assert status(memctld)["set_aside"] == 1
        aside = Path(f"{memctld.store}.damaged")
        assert aside.read_bytes().startswith(b"this is no database")
        wait_for("both events", lambda: {"store-lost", "store-back"} <= {
            json.loads(line)["kind"] for line in
            memctld.run("--json", "events").stdout.splitlines()})
        assert "memctl_history_set_aside_total 1" in memctld.metrics()


def damage_while_it_runs_is_set_aside(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        with open(memctld.store, "r+b") as file:
            file.write(b"\xa5" * 8192)
        for name in ("-wal", "-shm"):
            with open(f"{memctld.store}{name}", "r+b") as file:
                file.write(b"\xa5" * 4096)
        wait_for("the damage to be noticed", lambda: status(memctld)["set_aside"] == 1, timeout=40)
        wait_for("a new file", lambda: status(memctld)["up"])
        # The new file knows all that it needs to stand alone.
        wait_for_rows(memctld, 1)
        wait_for("the configuration", lambda: ask(memctld, what="engine")["result"]["engine"])
        assert memctld.json("capacity")["guests"]
        assert memctld.stop() == 0


def a_folder_that_cannot_be_written_delays_nothing(build):
    with simulated(build, store=False) as memctld:
        assert memctld.stop() == 0
        memctld.arguments[memctld.arguments.index("--store") + 1] = "/proc/memctl.db"
        memctld.start()
        down = goes_on(memctld)
        assert "/proc/memctl.db" in down["error"] and down["failures"] >= 1, down
        text = memctld.run("status").stdout
        assert "NOT KEPT" in text, text
        assert "memctl_history_up 0" in memctld.metrics()
        done = memctld.run("history", "a")
        assert done.returncode == 1 and "/proc/memctl.db" in done.stderr, done


def a_lock_is_waited_for_and_nothing_is_lost(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        db = sqlite3.connect(memctld.store, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        down = goes_on(memctld)
        assert "locked" in down["error"], down
        memctld.run("pause", "a")
        db.execute("ROLLBACK")
        db.close()
        wait_for("the history again", lambda: status(memctld)["up"])
        assert status(memctld)["dropped"] == 0
        wait_for_written(memctld)
        db = sqlite3.connect(memctld.store)
        with contextlib.closing(db):
            lines = [row[0] for row in db.execute("SELECT line FROM event")]
        assert any('"kind":"paused"' in line for line in lines), lines


@contextlib.contextmanager
def small_disk(kib):
    folder = tempfile.mkdtemp(prefix="memctl-disk-")
    mounted = False
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder],
                                 capture_output=True).returncode == 0
        yield Path(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def a_full_disk_delays_nothing_and_heals(build):
    with small_disk(1024) as disk:
        if not disk:
            print("# a tmpfs cannot be mounted here: left out")
            return
        with simulated(build, store=False) as memctld:
            assert memctld.stop() == 0
            memctld.arguments[memctld.arguments.index("--store") + 1] = str(disk / "memctl.db")
            memctld.start()
            wait_for("rows", lambda: status(memctld)["rows"] > 0)
            filler = disk / "filler"
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            down = goes_on(memctld)
            assert "full" in down["error"] or "I/O" in down["error"], down
            filler.unlink()
            wait_for("the history again", lambda: status(memctld)["up"], timeout=60)
            assert status(memctld)["dropped"] == 0
            assert status(memctld)["set_aside"] == 0
            assert memctld.stop() == 0


def two_thousand_questions_do_not_delay_a_tick(build):
    """Questions are answered one after another, beside the ticks; too many at once are refused."""
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        ticks = memctld.json("status")["counters"]["ticks"]
        line = json.dumps({"memctl": 1, "verb": "history",
                           "args": {"what": "points", "guest": "a"}}).encode() + b"\n"
        for _ in range(20):
            assert memctld.request(line * 100).count(b'"ok":true') == 100
        assert memctld.json("status")["counters"]["ticks"] > ticks


# ---- what is shown ----

def status_tells_size_and_age(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 1)
        text = memctld.run("status").stdout
        assert re.search(r"^history     .* of 1\.00G", text, re.M), text
        page = memctld.metrics()
        for name in ("up", "size_bytes", "rows_total", "dropped_total", "failures_total",
                     "write_seconds_total"):
            assert f"memctl_history_{name} " in page, page


def status_says_that_its_size_shortens_the_history(build):
    """Raw rows of twenty hours that fill the file twice over."""
    with simulated(build, config=STRICT + "[history]\nsize = 4M\n") as memctld:
        wait_for_rows(memctld, 1)
        assert "SHORTENED" not in memctld.run("status").stdout
        memctld.stop()
        with contextlib.closing(sqlite3.connect(memctld.store)) as db, db:
            first = int(time.time() * 1000) - 20 * 3600000
            db.executemany("INSERT INTO guest_raw (at, guest, used, active, held, actual, target) "
                           "VALUES (?, 1, 9999999, 9999999, 9999999, 9999999, 9999999)",
                           ((first + i * 700,) for i in range(100000)))
            db.execute("INSERT INTO host_raw (at, guest) VALUES (?, 0)", (first,))
        memctld.start()
        wait_for("the word", lambda: re.search(
            r"SHORTENED to fit its size: raw rows of \d+ h", memctld.run("status").stdout))
        wait_for("room", lambda: status(memctld)["oldest_ms"]["raw"] > first + 3600000)


def history_prints_lines_for_people(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 3, guest="b")
        environment = dict(memctld.environment, LC_ALL="C.UTF-8")
        command = [memctld.build / "cli" / "memctl", "--socket", memctld.socket, "history", "b"]
        text = subprocess.run([*command, "--since", "1min"], env=environment, capture_output=True,
                              text=True, check=True).stdout
        assert [line.split()[0] for line in text.splitlines()[2:7]] == \
            ["USED", "ACTIVE", "HELD", "ACTUAL", "TARGET"], text
        assert "█" in text, text
        assert max(len(line) for line in text.splitlines()) <= 80, text
        plain = subprocess.run(command, env=dict(environment, LC_ALL="C"), capture_output=True,
                               check=True).stdout
        assert plain.isascii() and b"#" in plain, plain
        host = memctld.run("history", "host").stdout
        assert "OTHERS" in host and "STRICT" in host, host


def history_prints_csv_and_json(build):
    with simulated(build) as memctld:
        rows = wait_for_rows(memctld, 3, guest="b")
        table = list(csv.DictReader(io.StringIO(
            memctld.run("history", "b", "--tier", "raw", "--csv").stdout)))
        assert len(table) >= len(rows) and int(table[0]["actual"]) == rows[0]["actual"], table[0]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", table[0]["at"]), table[0]


def history_draws_a_picture(build):
    with simulated(build) as memctld, tempfile.TemporaryDirectory() as folder:
        wait_for_rows(memctld, 3, guest="b")
        for guest in ("b", "host"):
            file = Path(folder) / f"{guest}.svg"
            done = memctld.run("history", guest, "--since", "1min", "--plot", str(file))
            assert done.returncode == 0 and not done.stdout, done
            root = xml.etree.ElementTree.parse(file).getroot()
            paths = {p.get("class"): p.get("d") for p in root.iter("{http://www.w3.org/2000/svg}path")}
            assert {"given", "held", "need", "target", "frame"} <= set(paths), paths
            assert "nan" not in file.read_text() and "inf" not in file.read_text()
        bad = memctld.run("history", "b", "--plot", "/nonexistent/x.svg")
        assert bad.returncode == 1 and "/nonexistent/x.svg" in bad.stderr, bad


def decisions_are_told_with_their_reasons(build):
    with simulated(build) as memctld:
        uuid = wait_for("guests", memctld.guests)[0]["a"]["uuid"]
        wait_for_rows(memctld, 1)
        wait_for("decisions", lambda: memctld.json("history", "a", "--decisions")["decisions"])
        found = memctld.json("history", uuid, "--decisions")["decisions"]
        assert all(d["uuid"] == uuid for d in found), found
        assert {"at_ms", "actual", "wish", "target", "reason", "rules"} <= set(found[0]), found
        assert "->" in memctld.run("history", "a", "--decisions").stdout


def reads_the_file_without_a_daemon(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 2)
        assert memctld.stop() == 0
        file = str(memctld.store)
        before = memctld.store.read_bytes()
        rows = memctld.json("history", "a", "--store", file)["rows"]
        assert len(rows) >= 2
        assert memctld.run("history", "a").returncode == 3
        assert "GUEST" in memctld.run("capacity", "--store", file).stdout
        assert memctld.store.read_bytes() == before
        missing = memctld.run("history", "a", "--store", "/nonexistent/db")
        assert missing.returncode == 1 and "/nonexistent/db" in missing.stderr, missing


# ---- planning ----

def capacity_tells_the_room(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 3, guest="b")
        answer = memctld.json("capacity")
        assert answer["strict"] > 0 and len(answer["rooms"]) == 4, answer
        used = [room["used"] for room in answer["rooms"]]
        assert used == sorted(used), used
        assert {guest["name"] for guest in answer["guests"]} == {"a", "b", "fixed"}, answer
        assert all(guest["fit"] == "unknown" for guest in answer["guests"]), answer
        text = memctld.run("capacity").stdout
        assert "That is little" in text and "never short" in text, text


def plan_replays_with_a_change(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 3, guest="b")
        fits = memctld.json("plan", "--add", "128M")
        assert fits["changed"]["short_ms"] == 0 and len(fits["changed"]["guests"]) == 4, fits
        assert len(fits["recorded"]["guests"]) == 3
        # New guests that fill their memory take it from the host: who uses it keeps it.
        tight = memctld.json("plan", "--add", "1Gx3", "--use", "90%")
        assert tight["changed"]["over_budget"] > 1024 * MiB, tight
        assert tight["recorded"]["over_budget"] < 64 * MiB, tight
        text = memctld.run("plan", "--add", "1Gx3", "--use", "90%").stdout
        assert "more than the budget" in text and "AS RECORDED" in text, text
        gone = memctld.json("plan", "--remove", "b")
        assert {guest["name"] for guest in gone["changed"]["guests"]} == {"a", "fixed"}, gone
        smaller = memctld.json("plan", "--host-memory", "2G", "--budget", "500M")
        assert smaller["changed"]["host_memory"] == 2048 * MiB, smaller


def plan_tells_when_somebody_would_have_been_short(build):
    """b needs 600 MiB more after some seconds, which a smaller budget does not have."""
    scenario = {"host": {"memory": "8G", "used": "1G"},
                "guests": [{"name": "a", "memory": "1G", "working_set": "500M", "min": "128M"},
                           {"name": "b", "memory": "1G", "min": "128M",
                            "working_set": [[0, "100M"], [3, "700M"]]}]}
    with simulated(build, scenario=scenario) as memctld:
        wait_for("b to need more", lambda: any(
            (row["used"] or 0) > 700 * MiB for row in wait_for_rows(memctld, 1, guest="b")))
        time.sleep(1.5)
        answer = memctld.json("plan", "--budget", "1G")
        short = {guest["name"]: guest for guest in answer["changed"]["guests"] if guest["times"]}
        assert "b" in short and answer["recorded"]["short_ms"] == 0, answer
        assert short["b"]["most"] > 16 * MiB, short
        assert answer["since_ms"] <= short["b"]["first_ms"] <= short["b"]["worst_ms"], short
        text = memctld.run("plan", "--budget", "1G").stdout
        assert re.search(r"^b +[\d.]+ +\d+  \d\d-\d\d \d\d:\d\d:\d\d", text, re.M), text
        assert "short of memory" in text, text


# ---- bad input ----

def refuses_bad_input(build):
    with simulated(build) as memctld:
        wait_for_rows(memctld, 1)
        for arguments in ((), ("a", "b"), ("a", "--since", "tomorrow"), ("a", "--nonsense"),
                          ("host", "--decisions"), ("a", "--until", "2020-01-01", "--since", "1h")):
            done = memctld.run("history", *arguments)
            assert done.returncode == 2, (arguments, done)
        for arguments in (("nobody",), ("a", "--tier", "day"), ("a", "--until", "2020-01-01")):
            done = memctld.run("history", *arguments)
            assert done.returncode == 1 and done.stderr.startswith("memctl: "), (arguments, done)
        for arguments in ((), ("--add", "x"), ("--add", "1Gx0"), ("--add", "1Gx999"),
                          ("--add", "1M"), ("--use", "200%", "--add", "1G"),
                          ("--add", "1G", "--like", "a", "--use", "5%"), ("--host-memory", "1")):
            done = memctld.run("plan", *arguments)
            assert done.returncode == 2, (arguments, done)
        for arguments in (("--remove", "nobody"), ("--add", "1G", "--like", "nobody")):
            assert memctld.run("plan", *arguments).returncode == 1, arguments
        for args in ({}, {"what": 5}, {"what": "points", "guest": 7},
                     {"what": "points", "since_ms": -1}, {"what": "points", "limit": 0},
                     {"what": "points", "limit": 10 ** 9}, {"what": "points", "after": [1]},
                     {"what": "points", "tier": "day"}, {"what": "points", "until_ms": 1.5}):
            answer = ask(memctld, **args)
            assert answer["ok"] is False and answer["error"]["code"] == "invalid", (args, answer)
        assert ask(memctld, what="points", guest="no'; DROP TABLE guest; --")["error"]["code"] == \
            "not-found"
        for line in ("store = memctl.db", "[history]\nsize = 1M", "[history]\nkeep-raw = 1min",
                     "[history]\nkeep-hours = 1h", "[history]\nsize = x"):
            memctld.config.write_text(line if line.startswith("[") else f"[memctld]\n{line}")
            assert memctld.run("reload").returncode == 1, line


TESTS = [
    keeps_what_happened_over_a_restart,
    keeps_what_was_written_before_a_kill,
    a_clean_stop_leaves_one_whole_file,
    events_are_there_again_with_their_numbers,
    learned_floors_survive_a_kill,
    a_dry_run_keeps_its_history_as_well,
    without_a_store_it_says_so,
    a_damaged_file_is_set_aside,
    damage_while_it_runs_is_set_aside,
    a_folder_that_cannot_be_written_delays_nothing,
    a_lock_is_waited_for_and_nothing_is_lost,
    a_full_disk_delays_nothing_and_heals,
    two_thousand_questions_do_not_delay_a_tick,
    status_tells_size_and_age,
    status_says_that_its_size_shortens_the_history,
    history_prints_lines_for_people,
    history_prints_csv_and_json,
    history_draws_a_picture,
    decisions_are_told_with_their_reasons,
    reads_the_file_without_a_daemon,
    capacity_tells_the_room,
    plan_replays_with_a_change,
    plan_tells_when_somebody_would_have_been_short,
    refuses_bad_input,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")

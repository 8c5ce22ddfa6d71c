#!/usr/bin/env python3
"""
memctld and the knobs of KSM, in a folder that stands in for the kernel's, on a simulated host whose
guests cannot be merged: test_steer.py BUILD_DIR. Prints TAP.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import Memctld, wait_for  # noqa: E402

SCENARIO = {"host": {"memory": "8G", "used": "1G"},
            "guests": [{"name": "a", "memory": "1G", "working_set": "60M"}]}
# ksmd runs, as an operator has set it.
KNOBS = {"run": "1", "pages_to_scan": "123", "sleep_millisecs": "45", "smart_scan": "1",
         "advisor_mode": "[none] scan-time", "use_zero_pages": "0", "pages_shared": "0",
         "pages_sharing": "0", "full_scans": "7", "max_page_sharing": "256"}
MERGE = "[dedupe]\nmode = merge\n"


class Ksm:
    def __init__(self, folder):
        self.folder = Path(folder)
        for name, value in KNOBS.items():
            self.write(name, value)

    def read(self, name):
        return (self.folder / name).read_text().strip()

    def write(self, name, value):
        (self.folder / name).write_text(value + "\n")

    def all(self):
        return {name: self.read(name) for name in KNOBS}


@contextlib.contextmanager
def steered(build, config=MERGE, **options):
    with tempfile.TemporaryDirectory() as folder, \
            tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ksm = Ksm(folder)
        json.dump(SCENARIO, file)
        file.flush()
        os.environ["MEMCTL_KSM"] = folder
        try:
            with Memctld(build, f"sim:{file.name}", config=config, interval="200ms",
                         **options) as memctld:
                wait_for("guests", memctld.guests)
                yield memctld, ksm
        finally:
            del os.environ["MEMCTL_KSM"]


def record(memctld):
    return memctld.folder / "ksm.json"


def kinds(memctld):
    return [json.loads(line)["kind"] for line in
            memctld.run("--json", "events").stdout.splitlines()]


def some_ticks(memctld, count=10):
    goal = memctld.json("status")["counters"]["ticks"] + count
    wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] >= goal)


def restore(memctld):
    return subprocess.run([*map(str, [memctld.build / "daemon" / "memctld"]), *memctld.arguments,
                           "--restore-ksm"], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, **memctld.environment))


def stops_ksmd_where_nothing_pays_and_puts_it_back(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        noted = json.loads(record(memctld).read_text())
        assert noted["ksm"] == {"run": {"old": 1, "ours": 0}}, noted
        merging = memctld.json("dedupe")["merging"]
        assert merging["pace"] == "nothing" and not merging["trust_domain"], merging
        assert memctld.stop() == 0
        assert ksm.all() == KNOBS, ksm.all()
        assert not record(memctld).exists()


def puts_back_after_a_crash(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        memctld.stop(signal.SIGKILL)
        assert ksm.read("run") == "0" and record(memctld).exists()
        done = restore(memctld)
        assert done.returncode == 0, done
        assert ksm.all() == KNOBS and not record(memctld).exists()
        done = restore(memctld)  # nothing is left to be done
        assert done.returncode == 0 and not done.stderr, done


def leaves_it_to_the_memctld_that_runs(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        done = restore(memctld)
        assert done.returncode == 1 and "memctld runs" in done.stderr, done
        second = subprocess.run([memctld.build / "daemon" / "memctld", *memctld.arguments],
                                capture_output=True, text=True, timeout=60,
                                env=dict(os.environ, **memctld.environment))
        assert second.returncode == 1, second
        assert ksm.read("run") == "0" and record(memctld).exists()


def the_next_memctld_goes_on_with_what_was_noted(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        memctld.stop(signal.SIGKILL)
        memctld.start()
        some_ticks(memctld)
        assert ksm.read("run") == "0"
        assert memctld.stop() == 0
        assert ksm.all() == KNOBS, ksm.all()


def what_somebody_else_sets_is_his(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        ksm.write("run", "1")
        wait_for("it to be seen", lambda: "ksm-foreign-hand" in kinds(memctld))
        some_ticks(memctld, 8)
        assert ksm.read("run") == "1"
        assert memctld.json("dedupe")["merging"]["pace"] == "hands-off"
        assert kinds(memctld).count("ksm-foreign-hand") == 1
        ksm.write("run", "2")
        assert memctld.stop() == 0
        assert ksm.read("run") == "2"


def another_mode_puts_it_back(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        memctld.config.write_text("[dedupe]\nmode = scan\n")
        memctld.json("reload")
        wait_for("it to be as it was", lambda: ksm.all() == KNOBS)
        wait_for("the note to be gone", lambda: not record(memctld).exists())
        assert memctld.json("dedupe")["merging"] is None


def a_record_of_another_boot_is_worth_nothing(build):
    with steered(build) as (memctld, ksm):
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")
        memctld.stop(signal.SIGKILL)
        noted = json.loads(record(memctld).read_text())
        noted["boot"] = "another"
        record(memctld).write_text(json.dumps(noted))
        assert restore(memctld).returncode == 0
        assert ksm.read("run") == "0"
        record(memctld).write_text("{ nonsense")
        assert restore(memctld).returncode == 0
        assert ksm.read("run") == "0"


def changes_nothing_in_a_dry_run_or_a_pause_or_another_mode(build):
    for config, options in ((MERGE, {"dry_run": True}), ("[dedupe]\nmode = scan\n", {}), ("", {})):
        with steered(build, config, **options) as (memctld, ksm):
            some_ticks(memctld, 8)
            assert ksm.all() == KNOBS and not record(memctld).exists(), (config, options)
    with steered(build, "") as (memctld, ksm):
        memctld.json("pause")
        memctld.config.write_text(MERGE)
        memctld.json("reload")
        wait_for("the mode", lambda: memctld.json("dedupe")["merging"])
        some_ticks(memctld, 8)
        assert ksm.all() == KNOBS, ksm.all()
        assert memctld.json("dedupe")["merging"]["pace"] == "hands-off"
        memctld.json("resume")
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")


def tells_when_it_cannot_take_notes(build):
    with steered(build, "") as (memctld, ksm):
        (memctld.folder / "ksm.json.new").mkdir()  # in the way
        memctld.config.write_text(MERGE)
        memctld.json("reload")
        wait_for("a word", lambda: "nothing is steered" in memctld.log())
        some_ticks(memctld, 8)
        assert ksm.all() == KNOBS
        assert memctld.log().count("nothing is steered") == 1
        (memctld.folder / "ksm.json.new").rmdir()
        wait_for("ksmd to stand", lambda: ksm.read("run") == "0")


def shows_it_in_the_table_and_the_metrics(build):
    with steered(build) as (memctld, _):
        wait_for("a decision", lambda: memctld.json("dedupe")["merging"]["guests"])
        assert 'memctl_merge_pace{pace="nothing"} 1' in memctld.metrics()
        said = memctld.run("explain", "a").stdout
        assert "Equal pages:" in said, said
        shown = memctld.run("show", "a").stdout.partition("equal pages\n")[2].splitlines()
        assert [line.split()[0] for line in shown[:4]] == ["mergeable", "promised", "saved",
                                                           "cost"], shown
        table = memctld.run("dedupe").stdout
        assert "KEPT" in table and "pages a second" in table, table
        merging = memctld.json("show", "a")["merging"]
        assert merging["foretold"] is None and merging["why"], merging  # ksmd has not looked
        assert "memctl_merge_ksmd_pages_per_second 375000" in memctld.metrics()


def main():
    tap.run([stops_ksmd_where_nothing_pays_and_puts_it_back, puts_back_after_a_crash,
             leaves_it_to_the_memctld_that_runs, the_next_memctld_goes_on_with_what_was_noted,
             what_somebody_else_sets_is_his, another_mode_puts_it_back,
             a_record_of_another_boot_is_worth_nothing,
             changes_nothing_in_a_dry_run_or_a_pause_or_another_mode,
             tells_when_it_cannot_take_notes, shows_it_in_the_table_and_the_metrics],
            Path(sys.argv[1]).resolve())


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""memctl events, on a simulated host: test_events.py BUILD_DIR. Prints TAP."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
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
        {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
        {"name": "later", "memory": "1G", "working_set": "60M", "start": 10000},
    ],
}
BUDGET = 1600 * MiB
KEPT = 4096


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, STRICT + BY_SHARES, budget=BUDGET, **options)


def events(memctld, *arguments):
    done = memctld.run("--json", "events", *arguments)
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def kinds(memctld, guest):
    return [event["kind"] for event in events(memctld) if event.get("guest") == guest]


def ask(memctld, **args):
    line = json.dumps({"memctl": 1, "verb": "events", "args": args}).encode() + b"\n"
    return json.loads(memctld.request(line))


def make_noise(memctld, count):
    """One event for each request: all guests are paused and resumed."""
    lines = b"".join(json.dumps({"memctl": 1, "verb": verb}).encode() + b"\n"
                     for verb in ("pause", "resume")) * (count // 2)
    assert memctld.request(lines).count(b'"ok":true') == count


class Follower:
    def __init__(self, memctld, *arguments):
        self.process = subprocess.Popen(
            [memctld.build / "cli" / "memctl", "--socket", memctld.socket, "events", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, words):
        wait_for(words, lambda: any(words in line for line in list(self.lines)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        self.reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


# ---- what is told ----

def tells_what_happens(build):
    with simulated(build) as memctld:
        wait_for("a command", lambda: "target" in kinds(memctld, "a"))
        memctld.json("set", "a", "shares=3000", "max=900M")
        memctld.run("pause", "b")
        memctld.run("resume", "b")
        memctld.run("policy", "use", "idle-tax")
        memctld.run("reload")
        memctld.config.write_text("nonsense")
        memctld.run("reload")
        memctld.json("set", "a", "managed=no")
        wait_for("a left alone", lambda: "exempt" in kinds(memctld, "a"))
        memctld.json("set", "a", "managed=yes")
        wait_for("a again", lambda: "managed" in kinds(memctld, "a"))
        told = events(memctld)
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1)), told
        assert told[0]["kind"] == "started" and "policy shares" in told[0]["text"], told[0]
        assert told[1]["kind"] == "link-back", told[1]
        assert kinds(memctld, "a")[0] == "seen" and kinds(memctld, "fixed") == ["seen", "exempt"]
        by_kind = {event["kind"]: event for event in told}
        target = by_kind["target"]
        assert target["from"] != target["to"] and target["reason"] and target["uuid"], target
        texts = [event["text"] for event in told]
        assert any("by uid" in text and "shares=3000 max=900M" in text for text in texts), texts
        assert any(text.startswith("configuration reloaded (uid ") for text in texts), texts
        assert any("not reloaded (uid " in text and "nonsense" not in text for text in texts), texts
        assert by_kind["paused"]["guest"] == by_kind["resumed"]["guest"] == "b"
        assert "policy idle-tax decides" in by_kind["policy"]["text"], by_kind["policy"]
        assert "exempt" not in kinds(memctld, "b"), told  # the pause was told
        now = time.time() * 1000
        assert all(now - 60000 < event["wall_ms"] <= now for event in told), told


def tells_of_guests_in_trouble(build):
    scenario = dict(SCENARIO, guests=[
        {"name": "hung", "memory": "1G", "working_set": "60M",
         "faults": [{"kind": "hung", "from": 4, "to": 7}]},
        {"name": "lost", "memory": "1G", "working_set": "60M",
         "faults": [{"kind": "lost", "from": 4, "to": 10}]},
        {"name": "gone", "memory": "1G", "working_set": "60M", "stop": 4},
        {"name": "again", "memory": "1G", "working_set": "60M",
         "faults": [{"kind": "reboot", "from": 4, "to": 6}]},
    ])
    with simulated(build, scenario) as memctld:
        wait_for("the end of it", lambda: "fresh" in kinds(memctld, "lost"), 30)
        assert [kind for kind in kinds(memctld, "hung") if kind in ("silent", "answers")] == \
            ["silent", "answers"], events(memctld)
        assert [kind for kind in kinds(memctld, "lost") if kind in ("stale", "fresh")] == \
            ["stale", "fresh"], events(memctld)
        assert kinds(memctld, "gone")[-1] == "gone", events(memctld)
        assert kinds(memctld, "again").count("seen") == 2, events(memctld)


def is_not_flooded_by_one_guest(build):
    faults = [{"kind": "impossible", "from": 3 + 2 * n, "to": 4 + 2 * n} for n in range(10)]
    scenario = dict(SCENARIO, guests=[{"name": "liar", "memory": "1G", "working_set": "60M",
                                       "faults": faults}])
    with simulated(build, scenario) as memctld:
        wait_for("lies", lambda: kinds(memctld, "liar").count("stale") >= 3)
        time.sleep(4)
        told = [kind for kind in kinds(memctld, "liar") if kind in ("stale", "fresh")]
        assert told == ["stale", "fresh"] * 3, told


def tells_that_a_command_failed(build):
    scenario = dict(SCENARIO, guests=[
        {"name": "ghost", "memory": "1G", "working_set": "60M", "min": "128M",
         "faults": [{"kind": "vanish", "from": 4, "to": 60}]},
        *SCENARIO["guests"][:2]])
    with simulated(build, scenario) as memctld:
        wait_for("a command", lambda: "target" in kinds(memctld, "ghost"))
        time.sleep(3.5)
        memctld.run("set", "a", "shares=5000")
        wait_for("a failure", lambda: "command-failed" in kinds(memctld, "ghost"))
        failed = [event for event in events(memctld) if event["kind"] == "command-failed"][0]
        assert failed["from"] and failed["to"] and "the guest is gone" in failed["text"], failed
        shown = " ".join(memctld.run("explain", "ghost").stdout.split())
        assert "That failed: the guest is gone" in shown, shown


def tells_what_a_dry_run_would_send(build):
    with simulated(build, dry_run=True) as memctld:
        started = events(memctld)[0]
        assert started["kind"] == "started" and "dry run" in started["text"], started
        assert "command-failed" not in [event["kind"] for event in events(memctld)]


def prints_lines_for_people(build):
    with simulated(build) as memctld:
        wait_for("a command", lambda: "target" in kinds(memctld, "a"))
        for line in memctld.run("events").stdout.splitlines():
            time.strptime("2000-" + line[:14], "%Y-%m-%d %H:%M:%S")
            assert len(line) < 80 or "connected to" in line, line
        only = memctld.run("events", "--guest", "a").stdout.splitlines()
        assert only and all("  a: " in line for line in only), only
        assert memctld.run("events", "--guest", "later").stdout == ""
        before = events(memctld)
        # More may happen between two questions.
        assert events(memctld, "--since", "1h")[: len(before)] == before
        time.sleep(1.1)
        memctld.run("pause", "a")
        assert len(events(memctld, "--since", "1s")) < len(events(memctld))
        assert events(memctld, "--since", "2099-01-01") == []
        assert events(memctld, "--since", "2001-01-01 10:00")[: len(before)] == before


# ---- following ----

def follows(build):
    with simulated(build) as memctld:
        with Follower(memctld, "-f", "--guest", "b") as people, \
                Follower(memctld, "--follow", "--json") as program:
            people.wait_for("b: seen")
            memctld.run("pause", "a")
            memctld.run("pause", "b")
            people.wait_for("b: paused")
            program.wait_for('"kind":"paused"')
            assert not any(" a: " in line for line in people.lines), people.lines
            numbers = [json.loads(line)["seq"] for line in program.lines]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers


def follows_to_the_end_of_the_daemon(build):
    with simulated(build) as memctld:
        with Follower(memctld, "-f") as follower:
            follower.wait_for("seen")
            assert memctld.stop() == 0, memctld.log()
            follower.wait_for("memctld stops")
            assert follower.process.wait(10) == 3
            assert "memctld has stopped" in follower.process.stderr.read()


def follows_until_the_daemon_is_killed(build):
    with simulated(build) as memctld:
        with Follower(memctld, "-f") as follower:
            follower.wait_for("seen")
            memctld.stop(signal.SIGKILL)
            assert follower.process.wait(10) == 1
            assert follower.process.stderr.read().startswith("memctl: memctld ")


def tells_a_slow_client_what_it_missed(build):
    with simulated(build) as memctld:
        make_noise(memctld, 5000)
        page = ask(memctld, after=1)["result"]
        assert page["missed"] >= 5000 - KEPT and page["more"], page["missed"]
        assert page["events"][0]["seq"] == page["missed"] + 2, page["events"][0]
        seen = len(page["events"])
        while page["more"]:
            page = ask(memctld, after=page["next"])["result"]
            assert page["missed"] < 100, page["missed"]
            seen += len(page["events"])
        assert KEPT - 100 < seen < KEPT + 100, seen
        # One that begins now has missed nothing.
        assert ask(memctld)["result"]["missed"] == 0


def resident(memctld):
    status = Path(f"/proc/{memctld.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def is_refused(memctld):
    """One more follower. The daemon may not have looked at the earlier ones yet."""
    with Follower(memctld, "-f") as follower:
        try:
            return (follower.process.wait(5) == 1
                    and "follow the events already" in follower.process.stderr.read())
        except subprocess.TimeoutExpired:
            return False


def is_not_impressed_by_100_slow_followers(build):
    request = b'{"memctl":1,"verb":"events","args":{"wait":true,"tail":0}}\n'
    with simulated(build) as memctld, contextlib.ExitStack() as stack:
        before = resident(memctld)
        ticks = memctld.json("status")["counters"]["ticks"]
        for _ in range(100):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(memctld.socket))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(request)
        assert memctld.run("status").returncode == 0
        wait_for("one more to be refused", lambda: is_refused(memctld))
        make_noise(memctld, 4000)
        assert memctld.run("status").returncode == 0
        assert memctld.json("status")["counters"]["ticks"] > ticks
        assert resident(memctld) < before + 24 * MiB, (before, resident(memctld))
        stack.close()
        with Follower(memctld, "-f") as follower:
            memctld.run("pause", "a")
            follower.wait_for("a: paused")


# ---- bad input ----

def refuses_bad_input(build):
    with simulated(build) as memctld:
        for since in ("tomorrow", "25:00", "2024-13-01", "-5min", "", "10 bananas", "12:00x"):
            done = memctld.run("events", "--since", since)
            assert done.returncode == 2 and "is no time" in done.stderr, (since, done)
        for arguments in (("a",), ("--guest",), ("-x",), ("--follow", "--nonsense")):
            assert memctld.run("events", *arguments).returncode == 2, arguments
        unknown = memctld.run("events", "--guest", "nobody")
        assert unknown.returncode == 1 and "no guest is named 'nobody'" in unknown.stderr, unknown
        assert memctld.run("events", "-f", "--guest", "nobody").returncode == 1
        assert memctld.run("list", "-f").returncode == 2
        for args in ({"after": -1}, {"after": "x"}, {"since_ms": 1.5}, {"tail": -2}, {"tail": None},
                     {"guest": 7}, {"guest": ""}, {"guest": "x" * 300}):
            answer = ask(memctld, **args)
            assert answer["ok"] is False and answer["error"]["code"] in ("invalid", "not-found"), \
                (args, answer)
        # A number that was never given out begins at the beginning.
        assert ask(memctld, after=10 ** 15)["result"]["events"][0]["seq"] == 1


def tells_of_trouble_and_of_the_hosts_state(build):
    scenario = {"host": {"memory": "3G", "used": [[0, "512M"], [6, "2600M"]]},
                "guests": [{"name": "a", "memory": "1G", "min": "128M",
                            "working_set": [[0, "60M"], [4, "900M"]]},
                           {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"}]}
    with simulated(build, scenario=scenario) as memctld:
        wait_for("trouble", lambda: "distress" in kinds(memctld, "a"))
        wait_for("a short host", lambda: [e for e in events(memctld) if e["kind"] == "host-state"])


TESTS = [
    tells_what_happens,
    tells_of_guests_in_trouble,
    is_not_flooded_by_one_guest,
    tells_that_a_command_failed,
    tells_what_a_dry_run_would_send,
    prints_lines_for_people,
    follows,
    follows_to_the_end_of_the_daemon,
    follows_until_the_daemon_is_killed,
    tells_a_slow_client_what_it_missed,
    is_not_impressed_by_100_slow_followers,
    refuses_bad_input,
    tells_of_trouble_and_of_the_hosts_state,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1] if len(sys.argv) > 1 else "build")

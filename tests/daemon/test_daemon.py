#!/usr/bin/env python3
"""memctld and memctl as programs, on a simulated host: test_daemon.py BUILD_DIR. Prints TAP."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import BY_SHARES, STRICT, Memctld, simulate, wait_for  # noqa: E402

MiB = 1 << 20
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "c", "memory": "1G", "working_set": "60M", "min": "128M", "shares": 2000},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
    ],
}
OVERHEAD = 32 * MiB  # 30 MiB in the scenario, counted in steps of 4
BUDGET = 1536 * MiB + 3 * OVERHEAD + 256 * MiB + 30 * MiB


def simulated(build, scenario=SCENARIO, config=STRICT + BY_SHARES, **options):
    return simulate(build, scenario, config, **{"budget": BUDGET, **options})


def near(value, wanted, part=0.01):
    return abs(value - wanted) <= part * wanted


def has_ratio(memctld, a, b, c):
    guests = memctld.guests()
    unit = 1536 * MiB / (a + b + c)
    return all(near(guests[name]["actual"], parts * unit)
               for name, parts in (("a", a), ("b", b), ("c", c)))


def memctld_program(build, *arguments):
    return subprocess.run([Path(build) / "daemon" / "memctld", *arguments], capture_output=True,
                          text=True, timeout=20,
                          env=dict(os.environ, MEMCTL_POLICY_PATH=str(Path(build) / "policies")))


# ---- the main job ----

def divides_by_shares_and_follows_set(build):
    with simulated(build) as memctld:
        wait_for("1:1:2", lambda: has_ratio(memctld, 1, 1, 2))
        memctld.json("set", "a", "shares=3000")
        wait_for("3:1:2", lambda: has_ratio(memctld, 3, 1, 2))
        assert memctld.json("show", "a")["settings"]["shares"] == "3000"
        assert memctld.guests()["fixed"]["exempt"] == "no-balloon"
        assert memctld.stop() == 0, memctld.log()


def serves_metrics_for_what_it_sees(build):
    with simulated(build) as memctld:
        wait_for("1:1:2", lambda: has_ratio(memctld, 1, 1, 2))
        text = memctld.metrics()
        assert 'memctl_guest_actual_bytes{domain="c"' in text
        assert "memctl_hypervisor_up 1\n" in text
        assert f"memctl_budget_bytes {BUDGET}\n" in text
        for line in text.splitlines():
            assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2, line


def prints_tables_for_people(build):
    with simulated(build) as memctld:
        wait_for("1:1:2", lambda: has_ratio(memctld, 1, 1, 2))
        listing = memctld.run("list").stdout
        assert listing.splitlines()[0].split() == ["GUEST", "STATE", "SHARES", "MIN", "MAX",
                                                   "ACTUAL", "USED", "ACTIVE", "TARGET", "SOURCE", "WHY"]
        assert "no-balloon" in listing
        sources = {line.split()[0]: line.split()[3:]
                   for line in memctld.run("list", "--sources").stdout.splitlines()}
        assert sources["GUEST"] == ["SOURCE", "METHOD", "WINDOW", "SURE"], sources
        assert sources["c"][:2] == ["balloon", "statistics"] and sources["c"][3][-1] == "%", sources
        assert sources["fixed"] == ["none", "-", "-", "-"], sources
        assert "policy shares" in memctld.run("status").stdout
        shown = memctld.run("show", "c").stdout
        assert "(set: 2000)" in shown and "what the balloon leaves it" in shown
        assert "statistics, every " in shown and "% sure that it is no more" in shown, shown
        assert "memctld 0." in memctld.run("version").stdout


def says_what_a_guest_lacks_for_its_agent(build):
    with simulated(build) as memctld:
        status = memctld.run("agent", "status")
        assert status.returncode == 0 and "memctl agent enable" in status.stdout
        assert [line.split()[0] for line in status.stdout.splitlines()[1:]] == sorted(
            guest["name"] for guest in memctld.json("list"))
        one = memctld.json("agent", "status", memctld.json("list")[0]["name"])
        assert len(one) == 1 and one[0]["agent_channel"] is False
        refused = memctld.run("agent", "enable", one[0]["name"])
        assert refused.returncode == 1 and "no agents" in refused.stderr, refused
        assert memctld.run("agent", "enable", "nobody").returncode == 1
        assert memctld.run("agent").returncode == 2
        assert memctld.run("agent", "enable").returncode == 2


def reloads_and_keeps_the_old_configuration_on_an_error(build):
    with simulated(build, config=STRICT + "[guests]\nshares = 1000\n") as memctld:
        memctld.config.write_text("[guests a]\nshares = 5000\n")
        memctld.process.send_signal(signal.SIGHUP)
        wait_for("the new shares", lambda: memctld.guests()["a"]["shares"] == 5000)
        memctld.config.write_text("[guests a]\nshares = lots\n")
        failed = memctld.run("reload")
        assert failed.returncode == 1
        assert "line 2: [guests a] shares: 'lots' is not a whole number" in failed.stderr
        assert memctld.guests()["a"]["shares"] == 5000


def goes_on_where_a_killed_daemon_was(build):
    with simulated(build) as memctld:
        wait_for("1:1:2", lambda: has_ratio(memctld, 1, 1, 2))
        assert memctld.stop(signal.SIGKILL) == -signal.SIGKILL
        assert memctld.socket.exists()
        memctld.start()  # over the socket that was left behind
        assert memctld.json("status")["guests"] == 4


def keeps_settings_for_a_guest_that_does_not_run_yet(build):
    later = {"name": "later", "memory": "1G", "working_set": "60M", "start": 6}
    scenario = dict(SCENARIO, guests=[*SCENARIO["guests"], later])
    with simulated(build, scenario) as memctld:
        assert "later" not in memctld.guests()
        stopped = {g["name"]: g for g in memctld.json("list", "--all")}["later"]
        assert stopped["state"] == "stopped" and stopped["actual"] is None, stopped
        assert "not-running" in memctld.run("list", "--all").stdout
        said = memctld.run("set", "later", "shares=7000").stdout
        assert "shares 7000" in said and "from its next start on" in said, said
        memctld.json("set", stopped["uuid"], "max=800M")
        shown = memctld.json("show", "later")
        assert shown["settings"] == {"shares": "7000", "max": "800M"}, shown
        text = memctld.run("show", "later").stdout
        assert "it does not run" in text and "(set: 7000)" in text and "target" not in text, text
        refused = memctld.run("set", "later", "min=2G")
        assert refused.returncode == 1 and "guest 'later': min 2.00G is above its memory" \
            in refused.stderr, refused
        wait_for("its start", lambda: "later" in memctld.guests())
        started = memctld.guests()["later"]
        assert started["shares"] == 7000 and started["max"] == 800 * MiB, started


def answers_a_client_that_has_said_all_it_wants(build):
    """As `echo ... | socat` does: the answer comes after the client has closed its side."""
    with simulated(build) as memctld:
        for verb, args in (("set", {"guest": "a", "settings": {"shares": "5"}}),
                           ("show", {"guest": "nobody"}), ("list", {"all": True})):
            request = json.dumps({"memctl": 1, "verb": verb, "args": args}).encode() + b"\n"
            answers = memctld.request(request * 3).splitlines()
            assert len(answers) == 3 and all("ok" in json.loads(a) for a in answers), answers


# ---- bad input ----

def refuses_bad_settings_and_changes_nothing(build):
    cases = [
        (["set", "a", "shares=0"], 2, "shares: '0' is not a whole number from 1 to 1000000"),
        (["set", "a", "colour=red"], 2, "colour: unknown setting"),
        (["set", "a", "min"], 2, "'min' is not KEY=VALUE"),
        (["set", "a", "min=512"], 2, "is a unit missing"),
        (["set", "a", "min=1M", "min=2M"], 2, "min is given twice"),
        (["set", "a"], 2, "at least one setting"),
        (["set", "a", "min=2G"], 1, "guest 'a': min 2.00G is above its memory 1.00G"),
        (["set", "a", "min=800M", "max=600M"], 1, "guest 'a': min 800M is above max 600M"),
        (["set", "nobody", "shares=5"], 1, "no guest is named 'nobody'"),
        (["show", "nobody"], 1, "no guest is named 'nobody'"),
        (["show"], 2, "one guest"),
        (["frobnicate"], 2, "unknown command 'frobnicate'"),
        (["status", "--all"], 2, "unrecognized option"),
        (["list", "extra"], 2, "takes no argument"),
        (["--nonsense"], 2, "try 'memctl --help'"),
    ]
    with simulated(build) as memctld:
        before = memctld.json("show", "a")["settings"]
        for arguments, code, words in cases:
            done = memctld.run(*arguments)
            assert done.returncode == code, (arguments, done)
            assert words in done.stderr, (arguments, done.stderr)
        assert memctld.json("show", "a")["settings"] == before


def survives_hostile_clients(build):
    with simulated(build) as memctld:
        for data in (b"", b"\n", b"{}\n", b"[1,2]\n", b"\x00\xff\n", b'{"memctl":2,"verb":"list"}\n',
                     b'{"memctl":1,"verb":7}\n', b'{"memctl":1,"verb":"set","args":[]}\n',
                     b'{"memctl":1,"verb":"show","args":{"guest":{}}}\n',
                     b'{"memctl":1,"verb":"set","args":{"guest":"a","settings":{"min":1}}}\n',
                     b"[" * 60000 + b"\n", b"x" * 200000):
            try:
                memctld.request(data)
            except (ConnectionResetError, BrokenPipeError):
                pass
            assert memctld.run("status").returncode == 0, (data[:60], memctld.log())
        answer = json.loads(memctld.request(b'{"memctl":1,"verb":"list"}\n'))
        assert answer["ok"] and len(answer["result"]["guests"]) == 4
        twice = memctld.request(b'{"memctl":1,"verb":"version"}\n{"memctl":1,"verb":"list"}\n')
        assert twice.count(b"\n") == 2


def is_not_delayed_by_many_silent_clients(build):
    with simulated(build) as memctld:
        silent = [socket.socket(socket.AF_UNIX) for _ in range(60)]
        try:
            for s in silent:
                s.connect(str(memctld.socket))
            assert memctld.run("status").returncode == 0
        finally:
            for s in silent:
                s.close()


def descriptors_of(memctld):
    return len(os.listdir(f"/proc/{memctld.process.pid}/fd"))


def is_closed(client):
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def keeps_serving_metrics_beside_clients_that_only_connect(build):
    with simulated(build) as memctld, contextlib.ExitStack() as stack:
        before = descriptors_of(memctld)
        idle = []
        for count in range(1, 201):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", memctld.port)))
            client.setblocking(False)
            idle.append(client)
            if count in (64, 200):
                assert "memctl_ticks_total" in memctld.metrics()
                assert descriptors_of(memctld) <= before + 64 + 1
            if count == 64:
                wait_for("the first to be closed", lambda: is_closed(idle[0]))
                assert not is_closed(idle[1])
        wait_for("the 130th to be closed", lambda: is_closed(idle[129]))
        memctld.process.send_signal(signal.SIGSTOP)
        for _ in range(120):
            idle.append(stack.enter_context(
                socket.create_connection(("127.0.0.1", memctld.port))))
        memctld.process.send_signal(signal.SIGCONT)
        began = time.monotonic()
        while time.monotonic() < began + 1:
            assert descriptors_of(memctld) <= before + 64 + 1  # the one that makes room
        idle[-1].setblocking(False)
        assert not is_closed(idle[-1])
        assert memctld.run("status").returncode == 0


def refuses_a_65th_client_of_the_socket_and_goes_on(build):
    with simulated(build) as memctld, contextlib.ExitStack() as stack:
        before = descriptors_of(memctld)
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(65)]
        for client in clients:
            client.connect(str(memctld.socket))
            client.setblocking(False)
        wait_for("the 65th to be closed", lambda: is_closed(clients[64]))
        assert descriptors_of(memctld) <= before + 64 and not is_closed(clients[0])
        assert "memctl_ticks_total" in memctld.metrics()
        clients[0].close()
        wait_for("a free place", lambda: memctld.run("status").returncode == 0)


def cpu_seconds_of(memctld):
    stat = Path(f"/proc/{memctld.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def rests_when_it_has_no_descriptors_left_and_recovers(build):
    with simulated(build) as memctld:
        limit = descriptors_of(memctld) + 10
        _, hard = resource.prlimit(memctld.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(memctld.process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        with contextlib.ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(socket.create_connection(("127.0.0.1", memctld.port)))
            wait_for("no descriptors", lambda: descriptors_of(memctld) == limit)
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(memctld.socket))
            began = cpu_seconds_of(memctld)
            time.sleep(3)
            assert cpu_seconds_of(memctld) - began < 0.3
        assert "memctl_ticks_total" in memctld.metrics()
        assert memctld.run("status").returncode == 0
        assert "Too many open files" not in memctld.log(), memctld.log()


def resident_of(memctld):
    status = Path(f"/proc/{memctld.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if "RssAnon" in line)


def hangs_up_on_clients_that_do_not_read_their_answer(build):
    """A page of more than 4 MiB: what the kernel takes of it for them is less."""
    many = [{"name": f"g{i}", "memory": "64M", "working_set": "30M"} for i in range(1600)]
    scenario = {"host": {"memory": "512G", "used": "1G"}, "guests": many}
    with simulated(build, scenario, budget="400G", interval="1s") as memctld, \
            contextlib.ExitStack() as stack:
        wait_for("guests", lambda: len(memctld.guests()) == 1600)
        assert len(memctld.metrics()) > 4 * MiB
        before, resident = descriptors_of(memctld), resident_of(memctld)
        for _ in range(40):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", memctld.port))
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" + b"x" * 100000)
        assert client.recv(100).split(b" ")[1] == b"503"
        assert 4 <= descriptors_of(memctld) - before <= 10, descriptors_of(memctld) - before
        maps = Path(f"/proc/{memctld.process.pid}/maps").read_text()
        if "libtsan" not in maps and "libasan" not in maps:  # they need memory of their own
            # A page for each client would be more than 160 MiB.
            assert resident_of(memctld) - resident < 100 * MiB, (resident_of(memctld), resident)
        wait_for("hanging up", lambda: descriptors_of(memctld) == before)
        assert len(memctld.metrics()) > 4 * MiB


def answers_http_that_is_no_scrape(build):
    cases = [
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200", b"memctl_ticks_total"),
        (b"GET /metrics?name=x HTTP/1.0\n\n", b"200", b"memctl_ticks_total"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"200", b""),
        (b"GET /index.html HTTP/1.1\r\n\r\n", b"404", b"Not Found"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", b"404", b"Not Found"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"501", b"Not Implemented"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\n", b"413", b"Too Large"),
        (b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"413",
         b"Too Large"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", b"501", b"Not Implemented"),
        (b"BREW /metrics HTTP/1.1\r\n\r\n", b"501", b"Not Implemented"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", b"400", b"Bad Request"),
        (b"\x16\x03\x01\x02\x00\n\n", b"400", b"Bad Request"),
        (b"GET\r\n\r\n", b"400", b"Bad Request"),
        (b"GET /metrics\r\n\r\n", b"400", b"Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nno field\r\n\r\n", b"400", b"Bad Request"),
        (b"\r\n\r\n", b"400", b"Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 5000, b"400", b"Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 1030, b"400", b"Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n\r\n" * 100, b"200", b"memctl_ticks_total"),
    ]
    with simulated(build) as memctld:
        wait_for("all lanes", lambda: memctld.json("status")["counters"]["ticks"] > 3)
        before = descriptors_of(memctld)
        for request, code, words in cases:
            with socket.create_connection(("127.0.0.1", memctld.port), timeout=5) as client:
                client.sendall(request)
                with contextlib.suppress(ConnectionResetError):  # what was not read
                    answer = client.makefile("rb").read()
                    head, _, body = answer.partition(b"\r\n\r\n")
                    assert head.split(b" ")[1] == code, (request[:60], answer[:200])
                    assert (words in body) if words else not body, (request[:60], answer[:200])
                    assert b"HTTP/1." not in body, (request[:60], answer[-200:])
        assert "memctl_ticks_total" in memctld.metrics()
        wait_for("all connections to end", lambda: descriptors_of(memctld) <= before)


def says_that_no_daemon_runs(build):
    for command in ("status", "list"):
        done = subprocess.run([Path(build) / "cli" / "memctl", "--socket", "/nonexistent/x",
                               command], capture_output=True, text=True)
        assert done.returncode == 3, done
        assert "no memctld at /nonexistent/x" in done.stderr
        assert "systemctl start memctld" in done.stderr


def refuses_a_socket_in_use(build):
    with simulated(build) as memctld:
        second = memctld_program(build, *memctld.arguments)
        assert second.returncode == 1
        assert "another memctld answers at" in second.stderr
        assert memctld.run("status").returncode == 0


def refuses_a_metrics_port_in_use(build):
    with simulated(build) as memctld:
        arguments = list(memctld.arguments)
        arguments[arguments.index("--socket") + 1] = str(memctld.socket) + "2"
        second = memctld_program(build, *arguments)
        assert second.returncode == 1, second
        assert "cannot serve metrics at" in second.stderr


def checks_configurations(build):
    cases = [
        ("[memctld]\ninterval = 2s\n[policy]\nname = idle-tax\ntax = 75%\n", 0, ""),
        ("[memctld]\nintervall = 2s\n", 1, "line 2: [memctld] intervall: unknown key"),
        ("[memctl]\ninterval = 2s\n", 1, "unknown section"),
        ("[memctld]\ninterval = 1ms\n", 1, "is not between 200ms and 1min"),
        ("[budget]\nbudget = plenty\n", 1, "'plenty' is not a size"),
        ("[budget]\nbudget = 150%\n", 1, "more than it has"),
        ("[budget]\novercommit = 0.5\n", 1, "is not a factor from 1.0 to 10"),
        ("[guests]\nmin = 12Q\n", 1, "[guests] min: '12Q' has no known unit"),
        ("[guests]\nmin =\n", 1, "[guests] min: needs a value"),
        ("[policy]\nname = nosuch\n", 1, "there is no policy 'nosuch'"),
        ("[policy]\nname = idle-tax\ntax = 1\n", 1, "is not a number from 0 to"),
        ("[policy]\nname = idle-tax\ntax = 0.9999999\n", 0, ""),
        ("[policy]\nname = shares\ntax = 0.5\n", 1, "has no parameter 'tax'"),
        ("[memctld]\nmetrics = here\n", 1, "is not ADDRESS:PORT"),
        ("what is this\n", 1, "line 1"),
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        for text, code, words in cases:
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            done = memctld_program(build, "--check-config", "--config", file.name)
            assert done.returncode == code, (text, done)
            assert words in done.stderr, (text, done.stderr)
    done = memctld_program(build, "--check-config", "--config", "/nonexistent.conf")
    assert done.returncode == 1 and "cannot be read" in done.stderr


def refuses_bad_scenarios(build):
    cases = [
        ("{", "line 1"),
        ("{}", "needs an object 'host'"),
        ('{"host": {"memory": "1G"}, "guests": [{"name": "a"}]}', "guests[0]: memory"),
        ('{"host": {"memory": "1X"}, "guests": []}', "host: memory: '1X'"),
        ('{"host": {"memory": "1G"}, "guests": [{"name": "a", "memory": "1G", '
         '"working_set": [[5, "1M"], [1, "1M"]]}]}', "not in order"),
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        for text, words in cases:
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            done = memctld_program(build, "--connect", f"sim:{file.name}", "--metrics", "off",
                                   "--socket", file.name + ".sock")
            assert done.returncode == 1, (text, done)
            assert words in done.stderr, (text, done.stderr)


def waits_for_a_libvirt_that_is_not_there(build):
    uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"
    with Memctld(build, uri) as memctld:
        wait_for("a complaint", lambda: "cannot connect to libvirt" in memctld.log())
        status = memctld.json("status")
        assert not status["hypervisor"]["up"]
        assert "cannot connect to libvirt" in status["hypervisor"]["error"]
        assert "memctl_hypervisor_up 0" in memctld.metrics()
        shown = memctld.run("show", "web")
        assert shown.returncode == 1 and "cannot connect" in shown.stderr, shown
        assert memctld.log().count("cannot connect") == 1  # once, not at every try
        assert memctld.stop() == 0


def help_and_version_need_no_daemon(build):
    for program in ("daemon/memctld", "cli/memctl"):
        done = subprocess.run([Path(build) / program, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "usage:" in done.stdout
    for command in ("status", "list", "show", "set", "reload", "version"):
        for words in ([command, "--help"], ["help", command]):
            done = subprocess.run([Path(build) / "cli" / "memctl", *words],
                                  capture_output=True, text=True)
            assert done.returncode == 0 and f"memctl {command}:" in done.stdout, words


TESTS = [
    divides_by_shares_and_follows_set,
    serves_metrics_for_what_it_sees,
    prints_tables_for_people,
    says_what_a_guest_lacks_for_its_agent,
    reloads_and_keeps_the_old_configuration_on_an_error,
    goes_on_where_a_killed_daemon_was,
    keeps_settings_for_a_guest_that_does_not_run_yet,
    answers_a_client_that_has_said_all_it_wants,
    refuses_bad_settings_and_changes_nothing,
    survives_hostile_clients,
    is_not_delayed_by_many_silent_clients,
    keeps_serving_metrics_beside_clients_that_only_connect,
    refuses_a_65th_client_of_the_socket_and_goes_on,
    rests_when_it_has_no_descriptors_left_and_recovers,
    hangs_up_on_clients_that_do_not_read_their_answer,
    answers_http_that_is_no_scrape,
    says_that_no_daemon_runs,
    refuses_a_socket_in_use,
    refuses_a_metrics_port_in_use,
    checks_configurations,
    refuses_bad_scenarios,
    waits_for_a_libvirt_that_is_not_there,
    help_and_version_need_no_daemon,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])

#!/usr/bin/env python3
"""What memctld says over HTTP, and to whom: test_http.py BUILD_DIR. Prints TAP."""

import gzip
import http.client
import json
import re
import socket
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import tap  # noqa: E402
from memctld import STRICT, simulate, wait_for  # noqa: E402

SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "shares": 3000},
    ],
}
FLOOD_S = 15
FLOOD_COST_MOST = 10  # seconds: 2 at once, a quarter of the time, ticks, and what sending takes
PATHS = ("/", "/metrics", "/api/state", "/api/guest?uuid=", "/api/trend",
         "/api/decisions?uuid=")


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, **options)


def get(memctld, path, method="GET", **fields):
    """Returns status, fields and body. A field named _host_ is the Host of the request."""
    connection = http.client.HTTPConnection("127.0.0.1", memctld.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in fields, skip_accept_encoding=True)
        for name, value in fields.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def status_of(memctld, line):
    with socket.create_connection(("127.0.0.1", memctld.port), timeout=20) as client:
        client.sendall(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return int(client.makefile("rb").readline().split()[1])


def ask(memctld, path):
    status, _, body = get(memctld, path)
    assert status == 200, (path, status, body)
    return json.loads(body)


# ---- who may ask ----

def answers_only_to_its_own_names(build):
    own = socket.gethostname()
    good = [f"127.0.0.1:{{port}}", "127.0.0.1", "[::1]:9749", "[::1]", "192.0.2.7:80", "localhost",
            "LocalHost:1234", "localhost.", own, own.split(".")[0], f"{own}:9749",
            "kvm7.example.org", "KVM7.example.org:9749", "prom-target"]
    bad = ["evil.example.org", "localhost.evil.example.org", "evil.localhost.example.org",
           f"{own}.evil.example.org", "127.0.0.1.evil.example.org", "x", "kvm7.example.org.evil.net",
           "[::1", "127.0.0.1x", "kvm7", "127.1.evil.net:9749", "prom-target2"]
    config = STRICT + "[memctld]\nmetrics-names = kvm7.example.org  prom-target\n"
    with simulated(build, config=config) as memctld:
        for path in ("/", "/metrics", "/api/state", "/nowhere"):
            for host in good:
                status = get(memctld, path, Host=host.format(port=memctld.port))[0]
                assert status == (404 if path == "/nowhere" else 200), (path, host, status)
            for host in bad:
                status, _, body = get(memctld, path, Host=host)
                assert status == 421 and b"metrics-names" in body, (path, host, status)
                assert b"memctl_ticks" not in body and b'"guests"' not in body


def takes_no_name_away_by_a_reload(build):
    with simulated(build) as memctld:
        assert get(memctld, "/metrics", Host="kvm7")[0] == 421
        memctld.config.write_text(STRICT + "[memctld]\nmetrics-names = kvm7\n")
        memctld.json("reload")
        assert get(memctld, "/metrics", Host="kvm7")[0] == 200


def can_go_without_the_page(build):
    with simulated(build, config=STRICT + "[memctld]\npage = no\n") as memctld:
        assert get(memctld, "/metrics")[0] == 200
        for path in ("/", "/api/state", "/api/trend"):
            assert get(memctld, path)[0] == 404, path


# ---- nothing changes ----

def changes_nothing_whatever_is_asked(build):
    def facts(memctld):
        status = memctld.json("status")
        return {key: status[key] for key in ("policy", "paused", "dry_run", "policy_params")}, {
            name: (guest["shares"], guest["min"], guest["max"], guest["settings"])
            for name, guest in memctld.guests().items()}

    with simulated(build) as memctld:
        before, uuid = facts(memctld), memctld.guests()["a"]["uuid"]
        seq = memctld.json("status")["counters"]["command_failures"]
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "LOCK"):
            for path in PATHS:
                assert status_of(memctld, f"{method} {path}") == 501, (method, path)
        for path in PATHS:
            for query in ("verb=pause", "set=shares%3D5", f"guest={uuid}&shares=7", "pause=1"):
                get(memctld, path + ("&" if "?" in path else "?") + query)
        for path in ("/pause", "/set", "/api/pause", "/api/set?guest=a&shares=1", "/api/reload",
                     "/api/policy-use?policy=shares", "/metrics/../api/pause", "//api/pause"):
            assert status_of(memctld, f"GET {path}") in (404, 421), path
        assert facts(memctld) == before
        assert memctld.json("status")["counters"]["command_failures"] == seq


def says_that_nobody_may_embed_or_keep_it(build):
    with simulated(build) as memctld:
        for path in (*PATHS, "/nowhere"):
            for fields in ({}, {"Host": "evil.example.org"}):
                _, got, _ = get(memctld, path, **fields)
                assert got["X-Content-Type-Options"] == "nosniff", path
                assert got["Cross-Origin-Resource-Policy"] == "same-origin", path
                assert got["Referrer-Policy"] == "no-referrer", path
                assert got["Cache-Control"] in ("no-store", "no-cache"), path
                assert "default-src 'none'" in got["Content-Security-Policy"], path
                assert "frame-ancestors 'none'" in got["Content-Security-Policy"], path
                assert "unsafe" not in got["Content-Security-Policy"], path
                assert "Access-Control-Allow-Origin" not in got, path


# ---- the page ----

def serves_one_page_that_needs_nothing_else(build):
    with simulated(build) as memctld:
        status, fields, body = get(memctld, "/")
        text = body.decode()
        assert status == 200 and fields["Content-Type"] == "text/html; charset=utf-8"
        assert "memctl" in text and "/*STYLE*/" not in text and "/*SCRIPT*/" not in text
        # The only addresses are names of XML and what the page asks memctld for.
        for url in re.findall(r"https?://[^\s\"'<>)]+", text):
            assert url.startswith("http://www.w3.org/"), url
        assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)=.?(?!data:)[a-z/]", text)
        assert not re.search(r"\son[a-z]+=[\"']", text) and "innerHTML" not in text
        packed, again = get(memctld, "/", Accept_Encoding="br, gzip"), get(memctld, "/")
        assert packed[1]["Content-Encoding"] == "gzip" and gzip.decompress(packed[2]) == body
        assert "Content-Encoding" not in again[1] and again[2] == body
        assert get(memctld, "/", Accept_Encoding="gzip;q=0")[2] == body
        print(f"# the page: {len(body)} bytes, packed {len(packed[2])}")
        assert get(memctld, "/", If_None_Match=fields["ETag"])[0] == 304
        assert get(memctld, "/", If_None_Match=packed[1]["ETag"])[0] == 200
        head = get(memctld, "/", "HEAD")
        assert head[0] == 200 and not head[2]


def tells_the_page_what_memctl_tells(build):
    with simulated(build) as memctld:
        state = ask(memctld, "/api/state")
        guests = {guest["name"]: guest for guest in state["guests"]}
        assert guests.keys() == {"a", "b"} and guests["b"]["shares"] == 3000
        assert state["plan"]["budget"] == memctld.json("status")["plan"]["budget"]
        assert state["connected"] and not state["paused"] and state["policy"] == "idle-tax"
        assert any(event["kind"] == "started" for event in state["events"])
        one = ask(memctld, f"/api/guest?uuid={guests['a']['uuid']}")
        assert one["guest"]["name"] == "a" and one["guest"]["plan"]["reason"]
        assert all(event["guest"] == "a" for event in one["events"]) and one["events"]
        memctld.json("pause", "b")
        wait_for("the pause", lambda: {g["name"]: g["exempt"] for g in
                                       ask(memctld, "/api/state")["guests"]}["b"] ==
                 "paused-by-operator")
        for path, code in (("/api/guest", 404), ("/api/guest?uuid=x", 404),
                           ("/api/trend?uuid=x", 404), ("/api/trend?span_ms=soon", 400),
                           ("/api/trend?span_ms=-1", 400), ("/api/guest?uuid=" + "x" * 3000, 404)):
            assert get(memctld, path)[0] == code, path


def keeps_figures_for_charts(build):
    with simulated(build) as memctld:
        uuid = memctld.guests()["a"]["uuid"]
        host = wait_for("a sample", lambda: (t := ask(memctld, "/api/trend"))["times"] and t)[0]
        assert host["step_ms"] == 10000
        assert len(host["series"]["budget"]) == len(host["times"])
        assert host["series"]["budget"][0] == memctld.json("status")["plan"]["budget"]
        guest = ask(memctld, f"/api/trend?uuid={uuid}&span_ms=21600000")
        assert guest["step_ms"] == 60000 and guest["series"]["actual"][0]


def charts_come_from_the_history_where_there_is_one(build):
    with simulated(build, store=True) as memctld:
        uuid = memctld.guests()["a"]["uuid"]
        assert len(ask(memctld, "/api/state")["spans_ms"]) == 5

        def known(path):
            series = ask(memctld, path)["series"]
            return any(value is not None for value in series["actual"]) and series
        wait_for("the host's", lambda: known("/api/trend"))
        series = wait_for("the guest's", lambda: known(f"/api/trend?uuid={uuid}"))[0]
        assert len({len(values) for values in series.values()}) == 1
        day = ask(memctld, f"/api/trend?uuid={uuid}&span_ms=86400000")
        assert day["step_ms"] == 300000 and day["first_ms"] % 300000 == 0, day["first_ms"]
        assert 288 <= len(day["series"]["used"]) <= 289
        memctld.json("set", "a", "max=300M")
        decisions = wait_for("a decision", lambda: ask(
            memctld, f"/api/decisions?uuid={uuid}")["decisions"])[0]
        assert decisions[0]["uuid"] == uuid and decisions[0]["target"] < decisions[0]["actual"]
        assert get(memctld, "/api/decisions")[0] == 400
        assert get(memctld, "/api/trend?uuid=x")[0] == 404
        assert ask(memctld, "/api/decisions?uuid=x") == {"decisions": []}
    with simulated(build) as memctld:  # none is kept
        assert len(ask(memctld, "/api/state")["spans_ms"]) == 2
        assert ask(memctld, f"/api/decisions?uuid={uuid}") == {"decisions": []}


def has_a_new_state_only_when_there_is_one(build):
    with simulated(build, interval="30s") as memctld:
        wait_for("a plan", lambda: memctld.json("status")["plan"])
        tags = [get(memctld, "/api/state")[1]["ETag"] for _ in range(20)]
        ticks = memctld.json("status")["counters"]["ticks"]
        assert len(set(tags)) <= ticks + 2, (tags, ticks)
        first = get(memctld, "/api/state")[1]["ETag"]
        memctld.json("pause")
        assert get(memctld, "/api/state", If_None_Match=first)[0] == 200


# ---- too much ----

def tells_who_asks_for_too_much_and_goes_on(build):
    """
    Large pages as fast as they come: beyond what an address may cost some are refused, and the
    ticks go on. Where others need the machine as well, the flood may not get that far.
    """
    many = [{"name": f"g{i}", "memory": "64M", "working_set": "30M"} for i in range(2000)]
    scenario = {"host": {"memory": "512G", "used": "1G"}, "guests": many}
    with simulated(build, scenario, budget="400G", interval="500ms") as memctld:
        codes = []
        ends = time.monotonic() + FLOOD_S

        def flood():
            while time.monotonic() < ends and codes.count(429) < 50:
                codes.append(get(memctld, "/metrics")[0])

        ticks = memctld.json("status")["counters"]["ticks"]
        cost = memctld.processor_seconds()
        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cost = memctld.processor_seconds() - cost
        print(f"# {codes.count(200)} answered, {codes.count(429)} told to ask less often, "
              f"{cost:.1f} s of processor time")
        assert set(codes) <= {200, 429} and 200 in codes, set(codes)
        assert 429 in codes or cost < FLOOD_COST_MOST, cost
        wait_for("ticks", lambda: memctld.json("status")["counters"]["ticks"] > ticks + 2)
        wait_for("an answer", lambda: get(memctld, "/metrics")[0] == 200)
        counted = re.search(r'memctl_http_requests_total\{code="429"\} (\d+)', memctld.metrics())
        assert int(counted[1]) >= codes.count(429), counted


TESTS = [
    answers_only_to_its_own_names,
    takes_no_name_away_by_a_reload,
    can_go_without_the_page,
    changes_nothing_whatever_is_asked,
    says_that_nobody_may_embed_or_keep_it,
    serves_one_page_that_needs_nothing_else,
    tells_the_page_what_memctl_tells,
    keeps_figures_for_charts,
    charts_come_from_the_history_where_there_is_one,
    has_a_new_state_only_when_there_is_one,
    tells_who_asks_for_too_much_and_goes_on,
]

if __name__ == "__main__":
    tap.run(TESTS, sys.argv[1])

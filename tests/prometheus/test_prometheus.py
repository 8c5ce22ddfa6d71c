#!/usr/bin/env python3
"""
Rules, alerts and dashboards, and a real Prometheus that scrapes memctld: test_prometheus.py
BUILD_DIR. Prints TAP. It needs prometheus and promtool, in the PATH or unpacked in
BUILD_DIR/prometheus; the system's service is not touched.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "tools"))

import metrics  # noqa: E402
import tap  # noqa: E402
from memctld import free_port, simulate, wait_for  # noqa: E402

RULES = [SOURCE / "packaging" / "prometheus" / name
         for name in ("memctl.rules.yml", "memctl.alerts.yml")]
DASHBOARDS = sorted((SOURCE / "packaging" / "grafana").glob("*.json"))
SCENARIO = {
    "host": {"memory": "8G", "used": "1G"},
    "guests": [
        {"name": "a", "memory": "1G", "working_set": "60M", "min": "128M"},
        {"name": "b", "memory": "1G", "working_set": "60M", "shares": 3000},
        {"name": "fixed", "memory": "256M", "working_set": "60M", "balloon": False},
    ],
}
# What an expression may hold besides metrics: all of PromQL's words that ours use.
NAME = re.compile(r"\b((?:instance:)?(?:memctl|process)_[a-z_]*\w(?::\w+)*|up)\b(?!\s*\()")


def add_to_path(build):
    os.environ["PATH"] += f":{Path(build).resolve()}/prometheus/usr/bin"


def promtool(*arguments, **options):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, **options)


def recorded():
    return set(re.findall(r"- record: (\S+)", RULES[0].read_text()))


def known_samples():
    """Every name that a query can find."""
    names = set(recorded()) | {"up"}
    for name, (kind, _) in metrics.documented().items():
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" \
            else {name}
    return names


def known_labels(name):
    """The labels that a metric has beside those of the scrape; None for what rules make."""
    documented = metrics.documented()
    for end in ("", "_bucket", "_sum", "_count"):
        if name.endswith(end) and name[:len(name) - len(end)] in documented:
            return documented[name[:len(name) - len(end)]][1] | {"job", "instance"}
    return None


def expressions_of(dashboard):
    """(where, query) of a dashboard: its panels', and those of its variables."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, variable["query"]
            yield variable["name"], f"count by ({found[2]}) ({found[1]})"


def with_values(query):
    """The query as Grafana sends it."""
    for name, value in (("$__rate_interval", "5m"), ("$host", "kvm1:9749"), ("$guest", "a|b"),
                        ("$job", "memctl")):
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def check_names(where, query):
    for name in set(NAME.findall(query)):
        assert name in known_samples(), f"{where}: there is no {name}"
    for name, matchers in re.findall(r"\b(memctl_\w+)\{([^}]*)\}", query):
        labels = known_labels(name)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", matchers)):
            assert labels is None or label in labels, f"{where}: {name} has no label {label}"


# ---- the files ----

def has_rules_that_promtool_accepts(_):
    done = promtool("check", "rules", "--lint-fatal", *RULES)
    assert done.returncode == 0, done


def raises_alerts_when_it_should_and_not_before(_):
    with tempfile.TemporaryDirectory() as folder:
        for path in (*RULES, SOURCE / "tests" / "prometheus" / "alerts.test.yml"):
            shutil.copy(path, folder)
        done = promtool("test", "rules", "alerts.test.yml", cwd=folder)
    assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr


def tests_and_documents_every_alert_and_rule(_):
    alerts = set(re.findall(r"- alert: (\w+)", RULES[1].read_text()))
    tests = (SOURCE / "tests" / "prometheus" / "alerts.test.yml").read_text()
    documented = set(re.findall(r"^\| `(Memctl\w+)` \|",
                                (SOURCE / "docs" / "metrics.md").read_text(), re.M))
    assert alerts == documented, alerts ^ documented
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:", tests), f"{alert} never rings"
        assert f"eval_time: 790m, alertname: {alert}}}" in tests, f"{alert} is never silent"
    for rule in recorded():
        assert f"{rule}{{" in tests or f"({rule}" in tests, rule


def asks_only_for_what_there_is(_):
    for path in RULES:
        for line in path.read_text().splitlines():
            if not line.strip().startswith(("#", "- record", "- alert", "summary", "description")):
                check_names(path.name, line)
    assert DASHBOARDS
    for path in DASHBOARDS:
        queries = list(expressions_of(json.loads(path.read_text())))
        assert len(queries) > 20
        for where, query in queries:
            assert NAME.search(query), (where, query)
            check_names(f"{path.name}: {where}", query)


def has_queries_that_can_be_read(_):
    rules = [{"record": f"check:{path.stem.replace('-', '_')}:n{i}", "expr": with_values(query)}
             for path in DASHBOARDS
             for i, (_, query) in enumerate(expressions_of(json.loads(path.read_text())))]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        done = promtool("check", "rules", "--lint=none", file.name)
    assert done.returncode == 0, done.stdout + done.stderr


def has_dashboards_that_are_complete(_):
    uids = set()
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)) and dashboard["uid"] not in uids
        uids.add(dashboard["uid"])
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]+)", path.read_text()))
        assert used <= variables, used - variables
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, panel["title"]
            for other in dashboard["panels"]:
                there = other["gridPos"]
                apart = (place["x"] + place["w"] <= there["x"] or there["x"] + there["w"] <= place["x"]
                         or place["y"] + place["h"] <= there["y"]
                         or there["y"] + there["h"] <= place["y"])
                assert apart or panel is other, (panel["title"], other["title"])
    fleet = json.loads((SOURCE / "packaging" / "grafana" / "memctl-fleet.json").read_text())
    host = next(v for v in fleet["templating"]["list"] if v["name"] == "host")
    assert host["multi"] and host["includeAll"]


# ---- a real one ----

class Prometheus:
    """A Prometheus of the test's own: its configuration, its port, its folder."""

    def __init__(self, targets):
        self.folder = tempfile.TemporaryDirectory(prefix="memctl-prometheus-")
        folder = Path(self.folder.name)
        self.port = free_port()
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in RULES],
            "scrape_configs": [{"job_name": "memctl", "static_configs": [{"targets": targets}]}]}))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self.log, stderr=subprocess.STDOUT, cwd=folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def query(self, expression):
        """[(labels, value)]"""
        return [(one["metric"], float(one["value"][1]))
                for one in self.ask("query", query=expression)["result"]]

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.ask("query", query="1")
        assert self.process.poll() is None, Path(self.log.name).read_text()
        return False


def simulated(build, scenario=SCENARIO, **options):
    return simulate(build, scenario, store=True, **options)


def is_scraped_by_a_real_prometheus(build):
    with simulated(build) as memctld, Prometheus([f"127.0.0.1:{memctld.port}"]) as prometheus:
        wait_for("Prometheus", prometheus.is_ready, 60)
        wait_for("a scrape", lambda: prometheus.query("up == 1"), 60)
        wait_for("the guests", lambda: len(prometheus.query("memctl_guest_actual_bytes")) == 3, 60)
        shares = {labels["domain"]: number
                  for labels, number in prometheus.query("memctl_guest_shares")}
        assert shares == {"a": 1000, "b": 3000, "fixed": 1000}, shares
        assert prometheus.query("memctl_budget_bytes")[0][1] == 1 << 30
        target = prometheus.ask("targets")["activeTargets"][0]
        assert target["health"] == "up" and not target["lastError"], target
        memctld.json("set", "a", "shares=4242")
        wait_for("the new shares", lambda: any(
            number == 4242 for _, number in prometheus.query('memctl_guest_shares{domain="a"}')))
        # Every documented family that a simulated host has is there under its name.
        names = set(prometheus.ask("label/__name__/values"))
        for name, (kind, _) in metrics.documented().items():
            if not name.startswith(("memctl_dedupe_", "memctl_merge_",
                                    "memctl_guest_sample_")) and name not in (
                    "memctl_guest_memory_stall_ratio", "memctl_host_memory_stall_ratio"):
                assert (name + "_count" if kind == "histogram" else name) in names, name
        kinds = prometheus.ask("targets/metadata", match_target='{job="memctl"}')
        # It asked for OpenMetrics, where an info is an info.
        kind = {one["metric"]: one["type"] for one in kinds}
        assert kind.get("memctl_guest") == "info" or kind.get("memctl_guest_info") == "info", kind


def computes_the_rules_and_the_dashboards(build):
    with simulated(build) as memctld, Prometheus([f"127.0.0.1:{memctld.port}"]) as prometheus:
        wait_for("Prometheus", prometheus.is_ready, 60)
        for rule in recorded():
            wait_for(rule, lambda rule=rule: prometheus.query(rule), 60)
        for group in prometheus.ask("rules")["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok" and not rule.get("lastError"), rule
        host = f"127.0.0.1:{memctld.port}"
        empty = []
        for path in DASHBOARDS:
            for where, query in expressions_of(json.loads(path.read_text())):
                query = query.replace("$__rate_interval", "1m").replace("$host", host) \
                    .replace("$guest", ".*").replace("$job", "memctl")
                if not prometheus.query(query):
                    empty.append((where, query))
        # What a simulated host does not have: pressure, and an agent in its guests.
        empty = [one for one in empty if "stall_ratio" not in one[1]]
        assert not empty, empty


def rings_when_memctld_is_gone(build):
    with simulated(build) as memctld, Prometheus([f"127.0.0.1:{memctld.port}"]) as prometheus:
        wait_for("Prometheus", prometheus.is_ready, 60)
        wait_for("a scrape", lambda: prometheus.query("up == 1"), 60)
        assert not prometheus.query('ALERTS{alertname="MemctlDown"}')
        memctld.stop()
        wait_for("the alarm", lambda: prometheus.query(
            'ALERTS{alertname="MemctlDown", alertstate="pending"}'), 60)


TESTS = [
    has_rules_that_promtool_accepts,
    raises_alerts_when_it_should_and_not_before,
    tests_and_documents_every_alert_and_rule,
    asks_only_for_what_there_is,
    has_queries_that_can_be_read,
    has_dashboards_that_are_complete,
    is_scraped_by_a_real_prometheus,
    computes_the_rules_and_the_dashboards,
    rings_when_memctld_is_gone,
]

if __name__ == "__main__":
    add_to_path(sys.argv[1])
    absent = [program for program in ("promtool", "prometheus") if not shutil.which(program)]
    tap.run(TESTS, sys.argv[1], skip=f"{absent[0]} is missing" if absent else None)

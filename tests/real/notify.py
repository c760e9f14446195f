"""From a fault to its notification: the demo, Prometheus, Alertmanager, and a webhook of ours.

    python tests/real/notify.py [--root DIR] [--patience S] BINARY

With the prometheus.yml, alertmanager.yml and alerts/ of DIR, by default this repository. Only
addresses and intervals are changed, and of the rules one: MCPServerDown waits 2 s instead of its
minute. A file that no longer has what is changed fails. Checks are reported, and parts that are
missing treated, as in run.py.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from run import Report, instant, up
from servers import (
    LOOPBACK, Demo, Failure, Server, fetch, fetch_json, free_port, wait_until, workspace,
)  # fmt: skip
from shipped import ROOT, Prometheus, changed

# Which critical alert silences which warning, by hand: the rules say it by labels.
SILENCES = {
    "CriticalErrorRate": "HighErrorRate",
    "CriticalTaskQueueDepth": "HighTaskQueueDepth",
    "CriticalMemoryUsage": "HighMemoryUsage",
    "CriticalCPUUsage": "HighCPUUsage",
    "CriticalSystemMemoryUsage": "HighSystemMemoryUsage",
    "PossibleBruteForceAttack": "HighAuthenticationFailureRate",
    "ErrorBudgetBurn": "ErrorBudgetBurn",
}
RECEIVERS = {"critical": "page", "warning": "team", "info": "journal"}
# The demo's bug: see docs/DEMO.md.
TOOL = "neural_predict"


def post(url, payload, headers=None):
    """The body and headers of the answer to a POST of JSON, straight to the loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json"} | (headers or {})
    request = urllib.request.Request(url, json.dumps(payload).encode(), headers)
    with opener.open(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers


class Listener(ThreadingHTTPServer):
    # Alertmanager sends what waited together all at once.
    request_queue_size = 128


class Webhook:
    """The receiver of notifications; keeps each alert of each, with the path it came by."""

    def __init__(self):
        self.alerts = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802 - the base class's name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                severity = self.path.strip("/")
                for alert in body["alerts"]:
                    outer.alerts.append({**alert, "by": (severity, body["receiver"])})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Listener((LOOPBACK, 0), Handler)
        self.address = f"{LOOPBACK}:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def got(self, **labels):
        """The alerts with these labels, and `status` if that is given."""
        status = labels.pop("status", None)
        return [
            alert
            for alert in list(self.alerts)
            if alert["labels"].items() >= labels.items() and status in (None, alert["status"])
        ]


class Client:
    """As much of an MCP client as it takes to call a tool."""

    def __init__(self, url):
        self.url = url
        self.headers = {"Accept": "application/json, text/event-stream"}
        self.number = 0
        about = {"name": "notify", "version": "0"}
        _, headers = self.ask(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about},
        )
        self.headers["Mcp-Session-Id"] = headers["Mcp-Session-Id"]
        self.headers["MCP-Protocol-Version"] = "2025-06-18"
        post(self.url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, self.headers)

    def ask(self, method, parameters):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": parameters}
        return post(self.url, request, self.headers)

    def call(self, tool, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments})[0]


def rules_of(root):
    """Each rule of alerts/*.yml: {"name", "labels", "by instance"}."""
    for path in sorted((root / "alerts").glob("*.yml")):
        for block in path.read_text().split("- alert: ")[1:]:
            written = re.search(r"\n +labels:\n((?: {10}\w+: .*\n)+)", block)[1]
            labels = dict(re.findall(r"(\w+): (\S+)", written))
            name = block.split()[0]
            expr = block.split("for:")[0]
            yield {"name": name, "labels": labels, "by instance": "instance" in expr}


def silencing(rules):
    """{(critical, the lesser one)} as the labels have it."""
    for one in rules:
        for other in rules:
            severities = one["labels"]["severity"], other["labels"]["severity"]
            same = one["labels"]["subject"] == other["labels"]["subject"]
            if same and severities[0] == "critical" != severities[1]:
                yield one["name"], other["name"]


def fired(rule, job, instance):
    """The labels of a rule's alert about one process, or about its whole job."""
    labels = {"alertname": rule["name"], "job": job, **rule["labels"]}
    return labels | {"instance": instance} if rule["by instance"] else labels


def key(labels):
    return tuple(sorted(labels.items()))


def shown(labels):
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


class Notify:
    def __init__(self, report, arguments, folder, stack):
        self.report = report
        self.binary = Path(arguments.binary).resolve()
        self.root = Path(arguments.root).resolve()
        self.patience = arguments.patience
        self.folder = folder
        self.stack = stack
        self.webhook = stack.enter_context(Webhook())
        self.alertmanager = self.prometheus = self.demo = None
        self.servers = []

    def run(self):
        check = self.report.check
        check("amtool check-config alertmanager.yml", self.amtool, "amtool")
        what = "Alertmanager starts with the shipped configuration"
        if not check(what, self.start_alertmanager, "prometheus-alertmanager"):
            return
        if check("each critical alert has its warning's subject", self.subjects):
            check("it silences that warning, of the same process, and nothing else", self.silenced)
            check("the warning is told of when the critical one is over", self.released)
        if not check("the demo starts and says where it is", self.start_demo):
            return
        what = "Prometheus starts with the shipped configuration"
        if not check(what, self.start_prometheus, "prometheus"):
            return
        if check("a fresh server: panics are there at 0, no alert fires", self.quiet):
            check("HandlerPanics: the very first panic is told of", self.first_panic)
        if check("MCPServerDown (after 2 s, not 1m): a stopped demo is told of", self.down):
            check("MCPServerDown: that it goes on is told of, too", self.up_again)
            check("no other alert was told of", self.nothing_else)

    def until(self, what, condition):
        return wait_until(what, condition, self.patience, self.servers)

    def amtool(self):
        argv = ["amtool", "check-config", str(self.root / "alertmanager.yml")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        return [done.stdout + done.stderr] if done.returncode else []

    def start_alertmanager(self):
        """The shipped alertmanager.yml: our webhook, and seconds where it has minutes."""
        ours = f"http://{self.webhook.address}"
        changes = {f"http://127.0.0.1:9099/{path}\n": f"{ours}/{path}\n" for path in RECEIVERS}
        changes |= {f"group_wait: {wait}\n": "group_wait: 1s\n" for wait in ("30s", "10s", "10m")}
        for interval in ("5m", "1m", "1h"):
            changes[f"group_interval: {interval}\n"] = "group_interval: 2s\n"
        text = changed(self.root / "alertmanager.yml", changes)
        config = self.folder / "alertmanager.yml"
        config.write_text(text)
        self.alertmanager = f"http://{LOOPBACK}:{free_port()}"
        argv = [
            "prometheus-alertmanager", f"--config.file={config}", "--log.level=warn",
            f"--storage.path={self.folder / 'alertmanager'}", "--cluster.listen-address=",
            f"--web.listen-address={self.alertmanager.removeprefix('http://')}",
        ]  # fmt: skip
        server = self.stack.enter_context(Server("alertmanager", argv, self.folder))
        server.wait_ready(f"{self.alertmanager}/-/ready")
        self.servers.append(server)

    # Inhibition: alerts by Alertmanager's API, with the labels of the rules

    def subjects(self):
        self.rules = list(rules_of(self.root))
        found = set(silencing(self.rules))
        for pair in sorted(found ^ set(SILENCES.items())):
            yield f"{' silences '.join(pair)}: by {'the labels' if pair in found else 'hand'} only"

    def tell(self, alerts, **times):
        alerts = [{"labels": labels, **times} for labels in alerts]
        post(f"{self.alertmanager}/api/v2/alerts", alerts)

    def states(self):
        """{alert: (its fingerprint, those of the alerts that inhibit it)}"""
        return {
            key(alert["labels"]): (alert["fingerprint"], set(alert["status"]["inhibitedBy"]))
            for alert in fetch_json(f"{self.alertmanager}/api/v2/alerts")
        }

    def silenced(self):
        """All rules at once about one process; the lesser ones about two others, too."""
        here, elsewhere = ("notify", "one:1"), [("notify", "two:1"), ("others", "one:1")]
        is_critical = lambda labels: labels["severity"] == "critical"  # noqa: E731
        about_here = [fired(rule, *here) for rule in self.rules]
        # What somebody else's rules may say about it: a critical and a warning without subject.
        place = {"job": "notify", "instance": "one:1"}
        about_here += [
            {"alertname": f"Foreign{severity}", "severity": severity, **place}
            for severity in ("critical", "warning")
        ]
        self.critical = [labels for labels in about_here if is_critical(labels)]
        lesser = [labels for labels in about_here if not is_critical(labels)]
        for rule in self.rules:
            for place in elsewhere:
                labels = fired(rule, *place)
                if not is_critical(labels) and labels not in lesser:
                    lesser.append(labels)

        self.tell(self.critical)
        self.until("the critical alerts", lambda: len(self.states()) == len(self.critical))
        self.tell(lesser)
        everything = self.critical + lesser
        states = self.until(
            "all alerts", lambda: len(found := self.states()) == len(everything) and found
        )

        self.quieted = []
        for labels in everything:
            by = states[key(labels)][1]
            sources = {
                states[key(critical)][0]
                for critical in self.critical
                if SILENCES.get(critical["alertname"]) == labels["alertname"]
                and labels["severity"] != "critical"
                and labels["job"] == "notify"
                and labels.get("instance") in (None, "one:1")
            }
            if sources:
                self.quieted.append(labels)
            if bool(by) != bool(sources) or not by <= sources:
                names = {found[0]: dict(name)["alertname"] for name, found in states.items()}
                yield f"inhibited by {[names.get(source) for source in by]}: {shown(labels)}"
        if len(self.quieted) < len(SILENCES):
            yield f"only {len(self.quieted)} alerts were to be silenced"

        # The others of a quieted alert's group come in one message with it, or without it.
        told = [labels for labels in everything if labels not in self.quieted]
        yield from self.told_of(told, "firing")
        for labels in self.quieted:
            if self.webhook.got(**labels):
                yield f"silenced, and told of: {shown(labels)}"

    def told_of(self, alerts, status):
        """Each of them arrives, at the receiver of its severity."""

        def missing():
            return [labels for labels in alerts if not self.webhook.got(**labels, status=status)]

        with contextlib.suppress(Failure):
            self.until("notifications", lambda: not missing())
        for labels in missing():
            yield f"no notification that it is {status}: {shown(labels)}"
        for labels in alerts:
            severity = labels["severity"]
            for alert in self.webhook.got(**labels):
                if alert["by"] != (severity, RECEIVERS[severity]):
                    yield f"came by {alert['by']}: {shown(labels)}"

    def released(self):
        """That those which were silenced arrive now shows that nothing else had kept them away."""
        now = datetime.now(timezone.utc)
        began = (now - timedelta(hours=1)).isoformat()
        self.tell(self.critical, startsAt=began, endsAt=now.isoformat())
        yield from self.told_of(self.quieted, "firing")
        yield from self.told_of(self.critical, "resolved")

    # Faults of the demo

    def start_demo(self):
        self.demo = self.stack.enter_context(Demo(self.binary, self.folder))
        self.demo.wait_urls()
        self.servers.append(self.demo)

    def start_prometheus(self):
        """The shipped rules, but for the minute that MCPServerDown waits."""
        # The end of its expression, which is not the end of another with the same wait.
        waits = "max by (job, instance) (last_over_time(mcp_vitals_build_info[1d]))\n        for: "
        shortened = changed(self.root / "alerts/mcp.yml", {f"{waits}1m\n": f"{waits}2s\n"})
        rules = self.folder / "mcp.yml"
        rules.write_text(shortened)
        address = self.alertmanager.removeprefix("http://")
        server = Prometheus(
            self.folder, self.demo.target(), address, self.root, {"alerts/mcp.yml": rules}
        )
        self.stack.enter_context(server).wait_up()
        self.servers.append(server)
        self.prometheus = server.url

    def quiet(self):
        """Panics of a tool that nobody asked for yet are 0 in Prometheus."""
        self.until("the target", lambda: up(self.prometheus))
        panics = f'mcp_panics_total{{job="mcp", tool="{TOOL}"}}'
        scrapes = f"count_over_time({panics}[1m]) >= 2"
        self.until(f"two scrapes of {panics}", lambda: instant(self.prometheus, scrapes))
        values = list(instant(self.prometheus, f"max_over_time({panics}[1m])").values())
        if values != [0]:
            yield f"{panics} is {values}"

        def evaluated():
            groups = fetch_json(f"{self.prometheus}/api/v1/rules")["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            health = {rule["name"]: rule["health"] for rule in rules}
            if set(health.values()) - {"ok"}:
                raise Failure(f"rules: {health}")
            return len(rules)

        self.until("all rules evaluated", evaluated)
        for alert in fetch_json(f"{self.prometheus}/api/v1/alerts")["data"]["alerts"]:
            if alert["state"] == "firing":
                yield f"fires: {shown(alert['labels'])}"

    def first_panic(self):
        """In the first request after the start, by a client that did not even list the tools."""
        answer = Client(self.demo.mcp).call(TOOL, model="small", prompt="")
        if "error" not in answer:
            yield f"the demo's bug is gone: {answer}"
        page, _ = fetch(self.demo.metrics)
        panics = re.findall(r"^mcp_panics_total\S+ (\d+)", page, re.M)
        if sum(map(int, panics)) != 1:
            yield f"not one panic: {panics}"
        expected = {"severity": "warning", "subject": "panics", "tool": TOOL}
        yield from self.notified("HandlerPanics", expected, TOOL)

    def down(self):
        """Stopped, so that scrapes time out. Goes on at the end, however this ends."""
        process = self.demo.process
        self.stack.callback(lambda: process.poll() is None and process.send_signal(signal.SIGCONT))
        process.send_signal(signal.SIGSTOP)
        return self.notified("MCPServerDown", {"severity": "critical", "subject": "up"})

    def notified(self, name, labels, *words):
        """The alert's notification has its labels, its texts, and a runbook entry that is there."""
        labels = {"alertname": name, "job": "mcp", "instance": self.demo.target(), **labels}
        alert = self.until(
            f"the notification of {name}", lambda: self.webhook.got(alertname=name, job="mcp")
        )[0]
        severity = labels["severity"]
        if (alert["status"], alert["by"]) != ("firing", (severity, RECEIVERS[severity])):
            yield f"{alert['status']}, by {alert['by']}"
        if alert["labels"] != labels:
            yield f"the labels are {alert['labels']}, not {labels}"
        texts = alert["annotations"]
        for text in ("summary", "description"):
            for word in (labels["instance"], *words):
                if word not in texts.get(text, ""):
                    yield f"no {word!r} in its {text}: {texts}"
        path, _, anchor = texts.get("runbook", "").partition("#")
        entries = re.findall(r"^## (.+)$", (self.root / "alerts/RUNBOOK.md").read_text(), re.M)
        if not path.endswith("alerts/RUNBOOK.md") or anchor != name.lower() or name not in entries:
            yield f"its runbook leads nowhere: {texts}"

    def up_again(self):
        self.demo.process.send_signal(signal.SIGCONT)
        alert = self.until(
            "the notification that it is resolved",
            lambda: self.webhook.got(alertname="MCPServerDown", job="mcp", status="resolved"),
        )[0]
        if alert["by"] != ("critical", "page") or alert["endsAt"] <= alert["startsAt"]:
            yield f"came as {alert}"

    def nothing_else(self):
        for alert in self.webhook.got(job="mcp"):
            if alert["labels"]["alertname"] not in ("HandlerPanics", "MCPServerDown"):
                yield f"{alert['status']}: {shown(alert['labels'])}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=ROOT, help="where the shipped files are")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for each thing")
    parser.add_argument("binary")
    arguments = parser.parse_args()
    report = Report()
    with workspace(report) as (folder, stack):
        Notify(report, arguments, folder, stack).run()
    sys.exit(report.close())


if __name__ == "__main__":
    main()

"""The real parts: Prometheus, promtool, the Python parser, vmagent and VictoriaMetrics.

    python tests/real/run.py --static              rules, configuration and dashboards, no demo
    python tests/real/run.py [--duration S] [--rate N] BINARY     the same, and the demo under load

A check prints `ok`, `FAILED` or `SKIPPED`. A part that is not installed skips its checks, with
exit 0, unless CI=true: then it fails them. Every server listens on a free loopback port and is
stopped by its pid, also when this process is told to end.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dashboard
import exposition
from catalog import ALERTS, CASES, PROMISED
from servers import (
    LOOPBACK, Demo, Ended, Failure, Server, fetch, fetch_json, free_port, wait_until, workspace,
)  # fmt: skip
from shipped import ROOT, Prometheus

DASHBOARDS = ROOT / "dashboards"
EXCEPTIONS = json.loads((Path(__file__).parent / "exceptions.json").read_text())
HOW = "scripts/install-parts.sh installs it"


class Report:
    """Runs checks, says how each ended, counts."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.strict = os.environ.get("CI") == "true"

    def check(self, name, run, *needs):
        """True if `run` held. It returns a list of problems (none is good) or raises Failure."""
        missing = [need for need in needs if not there(need)]
        if missing:
            return self.missing(name, missing)
        try:
            found = list(run() or ())
        except (Failure, Ended) as error:
            found = [str(error)]
        if found:
            self.failed += 1
            print(f"FAILED: {name}")
            for line in found[:20]:
                print("    " + line.replace("\n", "\n    "))
            if len(found) > 20:
                print(f"    and {len(found) - 20} more")
        else:
            self.passed += 1
            print(f"ok: {name}")
        sys.stdout.flush()
        return not found

    def missing(self, name, needs):
        if self.strict:
            self.failed += 1
            print(f"FAILED: {name}: {', '.join(needs)} is missing; {HOW}")
        else:
            self.skipped += 1
            print(f"SKIPPED: {name}: {', '.join(needs)} is missing; {HOW}")
        sys.stdout.flush()
        return False

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not (self.passed or self.skipped) else 0


MODULES = {"prometheus-client": "prometheus_client", "pyyaml": "yaml"}


def there(need):
    if need in MODULES:
        return importlib.util.find_spec(MODULES[need]) is not None
    return shutil.which(need) is not None


def promtool(*arguments, stdin=None):
    done = subprocess.run(
        ["promtool", *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=900
    )
    # `check metrics` says what it dislikes with exit 3; a word alone is one too many as well.
    said = (done.stdout + done.stderr).strip()
    if done.returncode or (arguments[:2] == ("check", "metrics") and said):
        return [f"promtool {' '.join(arguments)}: exit {done.returncode}", said]
    return []


# What needs no demo


def rules_of(file):
    """The rules of one file below alerts/."""
    import yaml

    text = (ROOT / "alerts" / f"{file}.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def seconds(text):
    """`2m` is 120."""
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def anchors(text):
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def rule_file_problems():
    """The alerts are those that were promised, and each one says what it is and where to read on."""
    files = {path.stem for path in (ROOT / "alerts").glob("*.yml")}
    if files != ALERTS.keys():
        yield f"the files are {sorted(files)}, not {sorted(ALERTS)}"
    for file in sorted(files & ALERTS.keys()):
        found = {}
        for rule in rules_of(file):
            found.setdefault(rule["alert"], set()).add(rule["labels"].get("severity"))
            yield from rule_problems(f"{file}: {rule['alert']}", rule)
        if found != ALERTS[file]:
            yield f"{file}: the alerts are {found}, not {ALERTS[file]}"


def rule_problems(where, rule):
    if set(rule["labels"]) - {"window"} != {"severity", "subject"}:
        yield f"{where}: labels {sorted(rule['labels'])}"
    notes = rule["annotations"]
    if set(notes) != {"summary", "description", "runbook"} or not all(notes.values()):
        yield f"{where}: annotations {sorted(notes)}"
        return
    path, _, anchor = notes["runbook"].partition("#")
    if anchor != rule["alert"].lower() or anchor not in anchors((ROOT / path).read_text()):
        yield f"{where}: {notes['runbook']} leads nowhere"
    over, wait = PROMISED.get(rule["alert"], ("", None))
    if not re.search(re.escape(over) + r"(?![\d.])", rule["expr"]):
        yield f"{where}: does not ask for {over}"
    if wait is not None and seconds(rule.get("for", "0s")) != wait:
        yield f"{where}: for {rule.get('for')}, not {wait} s"


def inhibition_problems():
    """A critical alert silences the warning about the same thing of the same process: the shipped
    configuration says so, and each Critical… has a warning to silence."""
    import yaml

    config = yaml.safe_load((ROOT / "alertmanager.yml").read_text())
    wanted = {"job", "instance", "vitals_copy", "tool", "subject"}
    if not any(
        "severity = critical" in rule.get("source_matchers", ())
        and 'severity =~ "warning|info"' in rule.get("target_matchers", ())
        and wanted <= set(rule.get("equal", ()))
        for rule in config.get("inhibit_rules", ())
    ):
        yield f"alertmanager.yml inhibits by {config.get('inhibit_rules')}"
    rules = rules_of("mcp")
    subject = {rule["alert"]: rule["labels"]["subject"] for rule in rules}
    for name in subject:
        if name.startswith("Critical"):
            warning = "High" + name.removeprefix("Critical")
            if subject.get(warning) != subject[name]:
                yield f"{name} is about {subject[name]}, {warning} about {subject.get(warning)}"


def provisioning_problems():
    """The data source that is provisioned leads from exemplars to traces, and the boards are found."""
    import yaml

    folder = DASHBOARDS / "provisioning"
    sources = yaml.safe_load((folder / "datasources.yml").read_text())["datasources"]
    uids = {source["uid"] for source in sources}
    metrics = [source for source in sources if source["type"] == "prometheus"]
    if len(metrics) != 1:
        yield f"datasources.yml: {metrics} is not one Prometheus"
    for source in metrics:
        leads = source["jsonData"].get("exemplarTraceIdDestinations", [])
        if [lead["name"] for lead in leads] != ["trace_id"]:
            yield f"datasources.yml: exemplars lead to {leads}"
        if not all(lead.get("url") or lead.get("datasourceUid") in uids for lead in leads):
            yield f"datasources.yml: {leads} is none of {sorted(uids)}"
    boards = yaml.safe_load((folder / "dashboards.yml").read_text())
    for provider in boards["providers"]:
        if provider["type"] != "file" or not provider["options"]["path"].startswith("/"):
            yield f"dashboards.yml: {provider}"


def static_checks(report):
    report.check(
        "promtool check config",
        lambda: promtool("check", "config", "prometheus.yml"),
        "promtool",
    )
    for file in ALERTS:
        report.check(
            f"promtool check rules: {file}.yml",
            lambda: promtool("check", "rules", "--lint=all", "--lint-fatal", f"alerts/{file}.yml"),
            "promtool",
        )
    cases = sorted(path.name for path in (ROOT / "alerts" / "tests").glob("*.yml"))
    report.check("each file of rules has cases", lambda: case_problems(cases))
    # promtool runs a file on about one core.
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        if there("promtool"):
            done = [pool.submit(promtool, "test", "rules", f"alerts/tests/{case}") for case in cases]
        else:
            done = [None for _ in cases]
        for case, found in zip(cases, done):
            report.check(f"promtool test rules: {case}", lambda: found.result(), "promtool")
    report.check("the alerts and their runbook", rule_file_problems, "pyyaml")
    report.check("critical silences its warning", inhibition_problems, "pyyaml")
    models = dashboard.load_all(DASHBOARDS)
    report.check("dashboard models", lambda: dashboard.all_problems(models))
    report.check("provisioning", provisioning_problems, "pyyaml")


def case_problems(cases):
    """Every alert is named in the cases of its file: where it fires, and where it does not."""
    wanted = {f"{case}_test.yml" for found in CASES.values() for case in found} | {"days_test.yml"}
    if set(cases) != wanted:
        yield f"cases are {cases}, not {sorted(wanted)}"
        return
    for file, names in ALERTS.items():
        folder = ROOT / "alerts" / "tests"
        texts = [(folder / f"{case}_test.yml").read_text() for case in CASES[file]]
        tried = [case for text in texts for case in re.split(r"(?m)^(?=  - name: )", text)[1:]]
        for name in names:
            own = [case for case in tried if case.startswith(f"  - name: {name} ")]
            fires = sum(f"alertname: {name}\n" in case and "exp_alerts:\n" in case for case in own)
            if not fires or fires == len(own):
                yield f"{name}: fires in {fires} of {len(own)} cases"
            # Of a quiet one: there is no sample that it ever fired.
            for case in own:
                says = "exp_alerts:\n" in case or "- value: " in case
                if not says and not silent(case, name):
                    yield f"{name}: a case neither fires nor is silent: {case.splitlines()[0]}"


def silent(case, name):
    """Whether it says that the alert fired at no evaluation."""
    asked = rf"""- expr: '.*ALERTS\{{alertname="{name}", alertstate="firing".*\n *eval_time: \w+\n"""
    return re.search(asked + r"(?! *exp_samples)", case) is not None


# The demo, and what reads it


class Live:
    """The servers of one run and what they were seen to say."""

    def __init__(self, report, arguments, folder, stack):
        self.report = report
        self.folder = folder
        self.stack = stack
        self.binary = Path(arguments.binary).resolve()
        self.duration = arguments.duration
        self.rate = arguments.rate
        self.patience = arguments.patience
        self.demo = None
        self.prometheus = None
        self.vmagent = None
        self.victoria = None
        self.tally = None
        self.start = self.end = None

    def run(self):
        check = self.report.check
        if not check("the demo starts and says where it is", self.start_demo):
            return
        has_prometheus = check(
            "Prometheus starts with the shipped configuration", self.start_prometheus, "prometheus"
        )
        has_vmagent = check(
            "vmagent and VictoriaMetrics start", self.start_vmagent, "vmagent", "victoria-metrics"
        )
        has_prometheus = has_prometheus and check("Prometheus: target up, no error", self.target_up)
        has_vmagent = has_vmagent and check("vmagent: target up, no error", self.vmagent_target_up)
        check("scrapes under load", self.scrapes_under_load, "prometheus-client")
        if not check("the load ends and the client hands in its tally", self.wait_load):
            return
        check("promtool check metrics", self.check_metrics, "promtool")
        check("docs/METRICS.md names every metric that is there", self.check_page)
        check(
            "Python parser: structure, histograms, catalog",
            self.check_exposition,
            "prometheus-client",
        )
        if has_prometheus:
            fresh = check("Prometheus: a scrape after the load", self.prometheus_caught_up)
            if fresh:
                check("Prometheus: requests equal the tally", lambda: self.compare(self.prometheus))
                check("Prometheus: durations and errors equal the tally", self.compare_beside)
                check("Prometheus: it negotiates, and has types and units", self.check_metadata)
                check("Prometheus: the rules are evaluated", self.rules_work)
                check("every query of every dashboard has data", self.check_dashboards)
        if has_vmagent:
            fresh = check("vmagent: a remote write after the load", self.vmagent_caught_up)
            if fresh:
                check("vmagent: requests equal the tally", lambda: self.compare(self.victoria))
        check("the demo ends cleanly, and wrote nothing to stdout", self.end_demo)

    def start_demo(self):
        self.demo = Demo(self.binary, self.folder, self.duration, self.rate)
        self.stack.enter_context(self.demo)
        self.demo.wait_urls()
        self.start = time.time()

    def start_prometheus(self):
        server = Prometheus(self.folder, self.demo.target(), switched_on=("optional", "slo"))
        self.stack.enter_context(server)
        self.prometheus = server.wait_up().url

    def start_vmagent(self):
        """vmagent as a second scraper, remote-writing into VictoriaMetrics."""
        store, agent = free_port(), free_port()
        config = self.folder / "vmagent.yml"
        config.write_text(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: mcp\n"
            f'    static_configs:\n      - targets: ["{self.demo.target()}"]\n'
        )
        argv = [
            "victoria-metrics", f"-httpListenAddr={LOOPBACK}:{store}", "-search.latencyOffset=0s",
            f"-storageDataPath={self.folder / 'victoria'}", "-retentionPeriod=1d",
            "-loggerLevel=WARN",
        ]  # fmt: skip
        server = self.stack.enter_context(Server("victoria-metrics", argv, self.folder))
        server.wait_ready(f"http://{LOOPBACK}:{store}/health")
        argv = [
            "vmagent", f"-httpListenAddr={LOOPBACK}:{agent}", f"-promscrape.config={config}",
            f"-remoteWrite.url=http://{LOOPBACK}:{store}/api/v1/write",
            f"-remoteWrite.tmpDataPath={self.folder / 'vmagent'}", "-remoteWrite.flushInterval=1s",
            "-loggerLevel=WARN",
        ]  # fmt: skip
        server = self.stack.enter_context(Server("vmagent", argv, self.folder))
        server.wait_ready(f"http://{LOOPBACK}:{agent}/health")
        self.victoria = f"http://{LOOPBACK}:{store}"
        self.vmagent = f"http://{LOOPBACK}:{agent}"

    def target_up(self):
        wait_until("the target", lambda: up(self.prometheus), 20, [self.demo])

    def vmagent_target_up(self):
        wait_until("the target", lambda: up(self.vmagent), 20, [self.demo])

    def scrapes_under_load(self):
        """While requests are recorded: whole histograms, nothing twice, no counter ever back."""
        before, found = {}, []
        for _ in range(10):
            body, headers = fetch(self.demo.metrics)
            kind = headers["Content-Type"]
            # What the demo has not done yet has no series yet: the catalog is checked at the end.
            found += [p for p in exposition.problems(body, kind) if not p.endswith(": no series")]
            after = exposition.counters(body, kind)
            found += exposition.fallen(before, after)
            before = after
            if found:
                break
            time.sleep(min(0.5, self.duration / 40))
        return found

    def wait_load(self):
        self.tally = self.demo.wait_tally(self.duration + self.patience)
        self.end = time.time()
        if sum(self.tally.values()) < self.rate * self.duration / 10:
            raise Failure(f"the client sent no load worth the name: {self.tally}")

        def at_rest():
            """Nothing in flight: what the server holds is final."""
            body, _ = fetch(self.demo.metrics)
            flying = re.findall(r"^mcp_requests_in_flight(?:\{.*\})? (\S+)", body, re.M)
            return flying and all(float(value) == 0 for value in flying)

        wait_until("no request in flight", at_rest, 20, [self.demo])
        self.end = max(self.end, time.time())

    def check_metrics(self):
        return promtool("check", "metrics", stdin=fetch(self.demo.metrics)[0])

    def check_page(self):
        """By its name; or by its beginning, as `mcp_vitals_log_…`."""
        page = (ROOT / "docs" / "METRICS.md").read_text()
        names = re.findall(r"`([a-z_]+)[^`]*`", page)
        beginnings = tuple(re.findall(r"`([a-z_]+)(?:…|\*)`", page))
        body, _ = fetch(self.demo.metrics)
        for name in re.findall(r"^# TYPE (\S+)", body, re.M):
            if name not in names and not name.startswith(beginnings):
                yield name

    def check_exposition(self):
        """As text, and as OpenMetrics where the server offers it."""
        reasons = EXCEPTIONS["metrics without series"]
        for accept in ("text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"):
            body, headers = fetch(self.demo.metrics, {"Accept": accept + ",*/*;q=0.1"})
            for problem in exposition.problems(body, headers["Content-Type"], reasons):
                yield f"{accept}: {problem}"

    def prometheus_caught_up(self):
        """Two scrapes that began after the load: the first may have been on its way."""
        first = wait_until("a scrape", lambda: scraped(self.prometheus, self.end), 20, [self.demo])
        wait_until("a second scrape", lambda: scraped(self.prometheus, first), 20, [self.demo])

    def vmagent_caught_up(self):
        def written():
            rows = instant(self.victoria, "timestamp(mcp_requests_total)")
            return rows and min(rows.values()) > self.end + 1

        wait_until("a sample of after the load", written, 30, [self.demo])

    def compare(self, url):
        query = 'sum by (tool, operation, status) (mcp_requests_total{job="mcp"})'
        held = instant(url, query, "tool", "operation", "status")
        return different("mcp_requests_total", self.tally, held)

    def compare_beside(self):
        """Histogram counts are requests; errors are requests that ended in error."""
        totals, errors = {}, {}
        for (tool, operation, status), count in self.tally.items():
            key = (tool, operation)
            totals[key] = totals.get(key, 0) + count
            if status == "error":
                errors[key] = errors.get(key, 0) + count
        for metric, expected in (
            ("mcp_request_duration_seconds_count", totals),
            ("mcp_request_errors_total", errors),
        ):
            query = f'sum by (tool, operation) ({metric}{{job="mcp"}})'
            yield from different(
                metric, expected, instant(self.prometheus, query, "tool", "operation")
            )

    def check_metadata(self):
        """What Prometheus knows of the metrics is by the format that its Accept is answered in."""
        accept = (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        )
        _, headers = fetch(self.demo.metrics, {"Accept": accept})
        is_open = headers["Content-Type"].startswith("application/openmetrics-text")
        requests = "mcp_requests" if is_open else "mcp_requests_total"
        seconds = "seconds" if is_open else ""
        for metric, kind, unit in (
            (requests, "counter", ""),
            ("mcp_request_duration_seconds", "histogram", seconds),
        ):
            answer = fetch_json(f"{self.prometheus}/api/v1/targets/metadata", metric=metric)
            found = [(row["type"], row["unit"]) for row in answer["data"]]
            if found != [(kind, unit)]:
                yield f"{metric}: {found}, not {(kind, unit)}"

    def rules_work(self):
        """All loaded, evaluated without error; and each of their selectors finds something, so that a
        rule that is quiet is not one that is blind."""
        groups = fetch_json(f"{self.prometheus}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        wanted = {name for names in ALERTS.values() for name in names}
        if {rule["name"] for rule in rules} != wanted:
            yield f"loaded: {sorted(rule['name'] for rule in rules)}"
        excused = dict(EXCEPTIONS["selectors without series"])
        found = {}
        for rule in rules:
            if rule["health"] != "ok" or rule.get("lastError"):
                yield f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
            # Refused here is Failure.
            instant(self.prometheus, rule["query"])
            for selector in dashboard.selectors(rule["query"]):
                if selector not in found:
                    query = f"count(last_over_time({selector}[1m]))"
                    found[selector] = bool(instant(self.prometheus, query))
                if not found[selector] and selector not in excused:
                    yield f"{rule['name']}: nothing is {selector}"
            if rule["state"] != "inactive":
                print(f"    (the alert {rule['name']} is {rule['state']})")
        for selector in excused.keys() - found.keys():
            yield f"exceptions.json names {selector}, which no rule has"

    def check_dashboards(self):
        models = dashboard.load_all(DASHBOARDS)
        reasons = EXCEPTIONS["panels without data"]
        # The tool that fails most often has a point on every panel.
        failed = {
            (count, tool, operation)
            for (tool, operation, status), count in self.tally.items()
            if status == "error" and tool != "_other"
        }
        if not failed:
            raise Failure(f"no tool has failed: {self.tally}")
        _, tool, operation = max(failed)
        one = {"instance": self.demo.target(), "tool": tool, "operation": operation}
        # Up to now: a rate at this moment still looks back into the load.
        return dashboard.live_problems(
            models, self.prometheus, self.start, time.time(), one, reasons
        )

    def end_demo(self):
        code = self.demo.stop(signal.SIGINT)
        if code != 0:
            yield f"exit {code} on Ctrl-C:\n{self.demo.tail()}"
        if self.demo.out.stat().st_size:
            yield f"stdout: {self.demo.out.read_text(errors='replace')[:300]!r}"


def up(url):
    targets = fetch_json(f"{url}/api/v1/targets")["data"]["activeTargets"]
    states = [(target["health"], target["lastError"]) for target in targets]
    if states != [("up", "")]:
        raise Failure(f"targets are {states}")
    return True


def scraped(url, after):
    """When the last scrape began, in seconds, if that was later than `after`."""
    rows = instant(url, 'timestamp(up{job="mcp"})')
    return rows and min(rows.values()) > after and min(rows.values())


def instant(url, query, *labels):
    """An instant query's result: {values of these labels, or of all: number}."""
    answer = fetch_json(f"{url}/api/v1/query", query=query)
    rows = {}
    for row in answer["data"]["result"]:
        metric = row["metric"]
        key = tuple(metric.get(label, "") for label in labels or sorted(metric))
        rows[key] = float(row["value"][1])
    return rows


def different(metric, expected, held):
    """Where the client's tally and a store disagree. A series declared at 0 is no disagreement."""
    for key in sorted(expected.keys() | held.keys()):
        sent, kept = expected.get(key, 0), held.get(key, 0)
        if sent != kept:
            yield f"{metric}{key}: the client counts {sent}, it holds {kept:.0f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--static", action="store_true", help="only what needs no demo")
    parser.add_argument("--live", action="store_true", help="only what needs the demo")
    parser.add_argument("--duration", type=int, default=20, help="seconds of load")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--patience", type=int, default=60, help="seconds past the load to wait")
    parser.add_argument("binary", nargs="?")
    arguments = parser.parse_args()
    if not arguments.static and not arguments.binary:
        parser.error("BINARY is wanted, or --static")
    report = Report()
    if not arguments.live:
        static_checks(report)
    if not arguments.static:
        with workspace(report) as (folder, stack):
            Live(report, arguments, folder, stack).run()
    sys.exit(report.close())


if __name__ == "__main__":
    main()

"""The harness has to be able to fail: each thing it is for is broken once, and it must say so.

    python -m unittest discover -s tests/real/selftest

Runs against fake_demo.py, which stands in for the demo. Needs the parts that
scripts/install-parts.sh installs; without them it skips, unless CI=true.
"""

import copy
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import dashboard  # noqa: E402
import exposition  # noqa: E402
import fake_demo  # noqa: E402
import run  # noqa: E402

FAKE = HERE / "fake_demo.py"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def needs(*parts):
    missing = [part for part in parts if not run.there(part)]
    # Under CI the test runs, and fails on what is missing.
    skip = bool(missing) and os.environ.get("CI") != "true"
    return unittest.skipIf(skip, f"{', '.join(missing)} is missing; {run.HOW}")


def harness(breaks="", path=None, ci=None, options=()):
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment["FAKE_BREAK"] = breaks
    if path is not None:
        environment["PATH"] = path
    if ci:
        environment["CI"] = ci
    argv = [sys.executable, HERE.parent / "run.py", "--live", "--duration", "4", "--rate", "50"]
    done = subprocess.run(
        [*argv, "--patience", "3", *options, FAKE], env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@needs("prometheus", "promtool", "vmagent", "victoria-metrics", "prometheus-client")
class AgainstTheFake(unittest.TestCase):
    # What is broken -> what has to be said.
    EXPECTED = {
        "": r"^\d+ passed, 0 failed, 0 skipped$",
        "tally": r"FAILED: Prometheus: requests equal the tally\n"
        r" *mcp_requests_total\('tools', 'list', 'success'\): the client counts 41, it holds 40\n"
        r"(.|\n)*FAILED: vmagent: requests equal the tally\n",
        "histogram": r"FAILED: Prometheus: durations and errors equal the tally\n *"
        r"mcp_request_duration_seconds_count\('tools', 'list'\): the client counts 40, it holds 41",
        "notally": r"FAILED: the load ends and the client hands in its tally\n",
        "flight": r"FAILED: the load ends and the client hands in its tally\n"
        r" *no request in flight",
        "back": r"FAILED: scrapes under load\n *mcp_agents_spawned_total\S*.*: went back",
        "bucket": r"FAILED: Python parser: .*\n *text/plain.*: the buckets fall",
        "help": r"FAILED: promtool check metrics\n",
        "missing": r"FAILED: every query of every dashboard has data\n"
        r" *agents/Tasks running/A: no data",
        "novalue": r"FAILED: every query of every dashboard has data\n"
        r"(.|\n)*overview: variable instance: '127\.0\.0\.1:\d+' is not in \[\]",
        "blind": r"FAILED: Prometheus: the rules are evaluated\n"
        r" *HighAgentFailureRate: nothing is mcp_agents_failed_total",
        "unnamed": r"FAILED: docs/METRICS.md names every metric that is there\n *mcp_vitals_surprise",
        "start": r"FAILED: the demo starts and says where it is\n *demo ended by itself with 1",
        "stdout": r"FAILED: the demo ends cleanly, and wrote nothing to stdout\n *stdout: '{}",
        "exit": r"FAILED: the demo ends cleanly, and wrote nothing to stdout\n *exit 3",
    }

    def test_each_broken_thing_is_named(self):
        with ThreadPoolExecutor(4) as pool:
            results = dict(zip(self.EXPECTED, pool.map(harness, self.EXPECTED)))
        for breaks, (code, output) in results.items():
            with self.subTest(breaks or "nothing"):
                self.assertEqual(code, 1 if breaks else 0, output)
                self.assertRegex(output, re.compile(self.EXPECTED[breaks], re.M))

    def test_no_server_is_left_when_it_is_told_to_end(self):
        argv = [sys.executable, "-u", HERE.parent / "run.py", "--live", "--duration", "30", FAKE]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("ok: vmagent: target up"):
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.assertGreaterEqual(len(children), 4, "demo, Prometheus, VictoriaMetrics, vmagent")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(60), 143)
        left = [child for child in children if Path(f"/proc/{child}").exists()]
        self.assertEqual(left, [])


@needs("prometheus-client")
class MissingParts(unittest.TestCase):
    """A PATH with nothing on it but Python, which the fake's first line asks for."""

    def setUp(self):
        self.bin = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.bin)
        os.symlink(os.path.realpath(sys.executable), f"{self.bin}/python3")

    def test_is_a_skip_by_default(self):
        code, output = harness(path=self.bin)
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"SKIPPED: Prometheus starts .*: prometheus is missing")
        self.assertRegex(output, r"SKIPPED: vmagent and VictoriaMetrics start: vmagent, victoria")
        self.assertRegex(output, r"SKIPPED: promtool check metrics: promtool is missing")
        self.assertNotRegex(output, r"ok: Prometheus")

    def test_is_a_failure_under_ci(self):
        code, output = harness(path=self.bin, ci="true")
        self.assertEqual(code, 1, output)
        self.assertRegex(output, r"FAILED: Prometheus starts .*: prometheus is missing")


@needs("prometheus-client")
class ExpositionProblems(unittest.TestCase):
    EXPECTED = {
        "twice": "the series is there twice",
        "bucket": "the buckets fall",
        "count": "+Inf holds 60, the count is 61",
        "help": "mcp_tasks_pending: no HELP",
        "type": "mcp_tasks_pending: is a counter, not a gauge",
        "missing": "mcp_tasks_running: no series",
        "label": "labels ['user'], not ['user_id']",
    }

    def found(self, breaks, kind=TEXT, exceptions=None):
        self.addCleanup(setattr, fake_demo, "BREAK", "")
        fake_demo.BREAK = breaks
        return exposition.problems(fake_demo.render(5, True), kind, exceptions)

    def test_a_sound_one_has_none(self):
        self.assertEqual(self.found(""), [])

    def test_each_broken_thing_is_named(self):
        for breaks, words in self.EXPECTED.items():
            with self.subTest(breaks):
                found = self.found(breaks)
                self.assertTrue(any(words in line for line in found), found)

    def test_a_metric_without_series_may_be_excused(self):
        self.assertEqual(self.found("missing", exceptions={"mcp_tasks_running": "a reason"}), [])

    def test_text_of_another_type_is_refused(self):
        self.assertIn("content type", self.found("", kind="text/html")[0])

    def test_openmetrics_is_read_by_its_own_parser(self):
        kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        # Text 0.0.4 is no OpenMetrics: no `# EOF`, counters named with `_total` in TYPE.
        self.assertIn("the Python parser refuses it", self.found("", kind=kind)[0])
        body = fake_demo.render(5, True) + "# EOF\n"
        body = re.sub(r"(?m)^(# (?:HELP|TYPE) \S+?)_total\b", r"\1", body)
        found = exposition.problems(body, kind)
        self.assertEqual(found, [])


class DashboardProblems(unittest.TestCase):
    def setUp(self):
        self.models = copy.deepcopy(dashboard.load_all(run.DASHBOARDS))
        self.model = self.models["overview"]
        self.panel = next(p for p in self.model["panels"] if p["type"] == "timeseries")

    def finds(self, words):
        found = list(dashboard.all_problems(self.models))
        self.assertTrue(any(words in line for line in found), found)

    def named(self, board, title):
        return next(p for p in self.models[board]["panels"] if p["title"] == title)

    def test_the_shipped_ones_have_none(self):
        self.assertEqual(list(dashboard.all_problems(self.models)), [])

    def test_a_board_that_is_not_there_or_called_otherwise(self):
        self.models["auth"]["uid"] = "another"
        self.finds("the boards are")
        del self.models["auth"]
        self.finds("auth: the original's panel 'Auth success rate' is there 0 times")

    def test_a_hard_coded_data_source(self):
        self.panel["targets"][0]["datasource"] = {"type": "prometheus", "uid": "abc"}
        self.finds("a hard-coded data source")

    def test_a_panel_that_follows_no_variable(self):
        target = self.panel["targets"][0]
        target["expr"] = target["expr"].replace(', tool=~"$tool"', "")
        self.finds("does not follow the variable tool")

    def test_a_variable_that_is_missing_or_for_nothing(self):
        listed = self.model["templating"]["list"]
        self.models["neural"]["templating"]["list"].append(copy.deepcopy(listed[-1]))
        self.finds("neural: variable operation: nothing on the board has the label")
        listed.pop()
        self.finds("overview: no variable `operation`")

    def test_a_metric_without_a_selector(self):
        self.panel["targets"][0]["expr"] = "mcp_tasks_running"
        self.finds("without a selector")

    def test_a_metric_that_no_panel_draws(self):
        for panel in self.models["neural"]["panels"]:
            for target in panel.get("targets", ()):
                if "tokens" in target["expr"]:
                    target["expr"] = 'up{instance=~"$instance"}'
        self.finds("mcp_neural_tokens_processed_total is in the catalog and on no panel")

    def test_an_original_that_is_drawn_otherwise(self):
        panel = self.named("agents", "Task duration")
        panel["type"] = "timeseries"
        self.finds("'Task duration': a timeseries, not a heatmap")
        panel["targets"][0]["expr"] = 'sum(mcp_tasks_running{instance=~"$instance"})'
        self.finds("'Task duration' reads ['mcp_tasks_running'], not ['mcp_task_duration_seconds']")

    def test_a_unit_that_is_not_the_querys(self):
        self.named("overview", "Request p95")["fieldConfig"]["defaults"]["unit"] = "ms"
        self.finds("a quantile of seconds in ms")
        self.named("system", "CPU")["fieldConfig"]["defaults"]["unit"] = "percentunit"
        self.finds("percent in percentunit")
        self.named("agents", "Active agents")["fieldConfig"]["defaults"]["unit"] = "ops"
        self.finds("a rate that is none")

    def test_an_id_a_schema_and_two_panels_in_one_place(self):
        self.model["id"] = 7
        self.finds("id is not null")
        self.model["schemaVersion"] = 41
        self.finds("schemaVersion is 41")
        self.panel["gridPos"]["y"] -= 1
        self.finds("lies over")


@needs("pyyaml")
class RuleFileProblems(unittest.TestCase):
    """On a copy of what is shipped, with one thing changed."""

    # What is changed, in which file -> what has to be said.
    EXPECTED = [
        ("mcp.yml", "> 0.05", "> 0.06", "HighErrorRate: does not ask for > 0.05"),
        ("mcp.yml", "> 50\n", "> 500\n", "HighTaskQueueDepth: does not ask for > 50"),
        ("mcp.yml", "for: 5m", "for: 6m", "RequestsStalled: for 6m, not 300 s"),
        ("mcp.yml", "severity: critical", "severity: warning", "'CriticalErrorRate': {'warning'}"),
        (
            "mcp.yml",
            "alert: SessionLeak",
            "alert: Sessions",
            "Sessions: alerts/RUNBOOK.md#sessionleak",
        ),
        ("engine.yml", "subject: ", "topic: ", "TelemetryDropped: labels"),
        ("RUNBOOK.md", "## ScrapeSlow", "## Slow scrapes", "#scrapeslow leads nowhere"),
    ]

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(setattr, run, "ROOT", run.ROOT)
        shutil.copytree(run.ROOT / "alerts", self.folder / "alerts")
        shutil.copy(run.ROOT / "alertmanager.yml", self.folder)
        run.ROOT = self.folder

    def change(self, file, old, new):
        text = (self.folder / file).read_text()
        self.assertIn(old, text)
        (self.folder / file).write_text(text.replace(old, new, 1))
        return text

    def test_the_shipped_ones_have_none(self):
        self.assertEqual(list(run.rule_file_problems()), [])
        self.assertEqual(list(run.inhibition_problems()), [])

    def test_each_changed_thing_is_named(self):
        for file, old, new, words in self.EXPECTED:
            with self.subTest(f"{old} -> {new}"):
                text = self.change(f"alerts/{file}", old, new)
                found = list(run.rule_file_problems())
                self.assertTrue(any(words in line for line in found), found)
                (self.folder / "alerts" / file).write_text(text)

    def test_an_inhibition_that_does_not_match(self):
        self.change("alertmanager.yml", "equal: [job, instance, vitals_copy, tool, subject]", "equal: [job]")
        self.assertRegex(next(run.inhibition_problems()), "inhibits by")

    def test_an_alert_without_a_case_that_fires(self):
        cases = sorted(path.name for path in (self.folder / "alerts" / "tests").iterdir())
        self.assertEqual(list(run.case_problems(cases)), [])
        file = self.folder / "alerts/tests/engine_test.yml"
        file.write_text(file.read_text().replace("exp_alerts:\n", "exp_alerts: []\n"))
        self.assertRegex(next(run.case_problems(cases)), "TelemetryDropped: fires in 0 of")

    def test_a_case_that_says_nothing(self):
        cases = sorted(path.name for path in (self.folder / "alerts" / "tests").iterdir())
        text = (self.folder / "alerts/tests/engine_test.yml").read_text()
        found = [line for line in text.splitlines() if 'ALERTS{alertname="ScrapeSlow"' in line]
        self.assertTrue(found)
        for line in found:
            text = text.replace(line, "      - expr: 'vector(1)'")
        (self.folder / "alerts/tests/engine_test.yml").write_text(text)
        self.assertRegex(
            next(run.case_problems(cases)), "ScrapeSlow: a case neither fires nor is silent"
        )

    @needs("promtool")
    def test_a_day_on_which_something_fires(self):
        """One check sees all alerts in every minute: at one minute of one day the server panics."""
        panics = 'mcp_panics_total{job="mcp", instance="idle", tool="t"}\'\n        values: '
        self.change("alerts/tests/days_test.yml", f"{panics}0x1440", f"{panics}0x700 1x740")
        done = subprocess.run(
            ["promtool", "test", "rules", "alerts/tests/days_test.yml"],
            cwd=self.folder, capture_output=True, text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, 'got: .*{alertname="HandlerPanics", instance="idle"} 1E\\+00')


class Selectors(unittest.TestCase):
    def test_each_is_found_with_its_matchers(self):
        expr = """sum by (job, up) (rate(mcp_a_total{x=~"}{", y!="up"}[5m]))
            / on (job) group_left (mcp_b) max(up) > 5 unless mcp_c_count offset 1h"""
        found = dashboard.selectors(expr)
        self.assertEqual(found, ['mcp_a_total{x=~"}{", y!="up"}', "mcp_c_count", "up"])


if __name__ == "__main__":
    unittest.main()

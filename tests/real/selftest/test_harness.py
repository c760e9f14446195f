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
        "missing": r"FAILED: overview.json: every query has data\n"
        r" *Tasks pending and running/B: no data",
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
        self.model = copy.deepcopy(dashboard.load(run.OVERVIEW))
        self.panel = next(p for p in self.model["panels"] if p["type"] == "timeseries")

    def finds(self, words):
        found = dashboard.problems(self.model)
        self.assertTrue(any(words in line for line in found), found)

    def test_the_shipped_one_has_none(self):
        self.assertEqual(dashboard.problems(self.model), [])

    def test_a_hard_coded_data_source(self):
        self.panel["targets"][0]["datasource"] = {"type": "prometheus", "uid": "abc"}
        self.finds("a hard-coded data source")

    def test_a_panel_that_follows_no_variable(self):
        target = self.panel["targets"][0]
        target["expr"] = target["expr"].replace(', tool=~"$tool"', "")
        self.finds("does not follow the variable tool")

    def test_a_metric_without_a_selector(self):
        self.panel["targets"][0]["expr"] = "mcp_tasks_running"
        self.finds("without a selector")

    def test_a_metric_that_no_panel_draws(self):
        for panel in self.model["panels"]:
            if panel["title"] == "Tokens":
                panel["targets"][0]["expr"] = 'up{instance=~"$instance"}'
        self.finds("mcp_neural_tokens_processed_total is in the catalog and on no panel")

    def test_an_id_a_schema_and_two_panels_in_one_place(self):
        self.model["id"] = 7
        self.finds("id is not null")
        self.model["schemaVersion"] = 41
        self.finds("schemaVersion is 41")
        self.panel["gridPos"]["y"] -= 1
        self.finds("lies over")


def mutations(text):
    """The rules with one thing changed, for each thing that a case ought to notice."""
    changes = [
        (r"for: (\d+)m$", lambda m: f"for: {int(m[1]) * 60 - 15}s"),
        (r"for: (\d+)m$", lambda m: f"for: {int(m[1]) * 60 + 15}s"),
        (r"severity: warning", lambda m: "severity: critical"),
        (r"severity: critical", lambda m: "severity: warning"),
        (r"> (\d+)$", lambda m: f">= {m[1]}"),
        (r"> (\d+)$", lambda m: f"> {int(m[1]) + 2}"),
        (r"> (0\.\d+)$", lambda m: f"> {float(m[1]) * 1.2:g}"),
        (r"> (0\.\d+)$", lambda m: f"> {float(m[1]) * 0.94:g}"),
        (r">= (\d+)$", lambda m: ">= 1"),
        (r">= (\d+)$", lambda m: f">= {int(m[1]) * 2}"),
        (r'\{error_type!~"client_\.\*"\}', lambda m: ""),
        (r'\{status=~"success\|error"\}', lambda m: ""),
        (r'status=~"success\|error"', lambda m: 'status="success"'),
        (r'status="failed"', lambda m: 'status=~".+"'),
        (r"sum by \(job, instance\)", lambda m: "sum by (job)"),
        (r"sum by \(job, instance, le\)", lambda m: "sum by (job, le)"),
        (r"sum by \(job, instance\) \((mcp_tasks_pending)\)", lambda m: m[1]),
        (r"increase\((\w+)(\{.*\})?\[\dm\]\)", lambda m: m[1] + (m[2] or "")),
        # (Of a histogram, a difference that is blind to resets is over before its `for` is.)
        (r"rate\((\w+_total)(\{.*\})?\[\dm\]\)", lambda m: f"delta({m[1]}{m[2] or ''}[2m])"),
        (r"/ ignoring \(type\)", lambda m: "/"),
        (r'type="rss"', lambda m: 'type="heap"'),
        (r"\((mcp_\S+) > 0\)", lambda m: m[1]),
        (r"^ *0\.95,", lambda m: "0.9,"),
        (r"^ *0\.95,", lambda m: "0.99,"),
        (r"mcp_system_cpu_usage_percent", lambda m: "mcp_system_memory_usage_percent"),
        (r"mcp_tasks_pending", lambda m: "mcp_tasks_running"),
        (r"RUNBOOK\.md#", lambda m: "RUNBOOK.md#x"),
    ]
    for pattern, change in changes:
        found = list(re.finditer(pattern, text, re.M))
        assert found, f"nothing left to change for {pattern}"
        for match in found:
            line = text.count("\n", 0, match.start()) + 1
            changed = text[: match.start()] + change(match) + text[match.end() :]
            yield f"line {line}: {match[0].strip()} -> {change(match).strip()}", changed


@needs("promtool")
class RuleCases(unittest.TestCase):
    def test_each_change_to_a_rule_fails_a_case(self):
        text = (run.ROOT / "alerts" / "mcp.yml").read_text()

        def survives(mutation):
            name, changed = mutation
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(run.ROOT / "alerts" / "tests", f"{folder}/tests")
                Path(folder, "mcp.yml").write_text(changed)
                argv = ["promtool", "test", "rules", "tests/mcp_test.yml"]
                done = subprocess.run(argv, cwd=folder, capture_output=True)
            return name if done.returncode == 0 else None

        with ThreadPoolExecutor(4) as pool:
            survivors = [name for name in pool.map(survives, mutations(text)) if name]
        self.assertEqual(survivors, [])


if __name__ == "__main__":
    unittest.main()

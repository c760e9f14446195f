"""A notification that is missing, too much, or wrong must be said: each is made once.

    python -m unittest discover -s tests/real/selftest

The files that we ship are broken in a copy, or fake_demo.py is. Skips where parts are missing,
unless CI=true.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import shipped  # noqa: E402
from test_harness import FAKE, needs  # noqa: E402

NOTIFY = HERE.parent / "notify.py"
SILENCED = r"FAILED: it silences that warning, .*\n"
# name: (file, what of it, what in its place) or what the fake gets wrong; and what has to be said.
BROKEN = {
    "nothing": (None, r"^12 passed, 0 failed, 0 skipped$"),
    "no inhibition": (
        ("alertmanager.yml", r"(?ms)^inhibit_rules:.*?(?=^#)", ""),
        SILENCED + r"(.|\n)*silenced, and told of: alertname=HighErrorRate instance=one:1",
    ),
    "of any instance": (
        ("alertmanager.yml", r"equal: \[job, instance,", "equal: [job,"),
        SILENCED + r" *inhibited by .*CriticalErrorRate.*: .*instance=two:1 job=notify",
    ),
    "of any subject": (
        ("alertmanager.yml", r"tool, subject\]", "tool]"),
        SILENCED + r"(.|\n)*inhibited by .*: alertname=HighRequestLatency instance=one:1",
    ),
    "of others' alerts": (
        ("alertmanager.yml", r'(?s), subject != ""(\].*?), subject != ""', r"\1"),
        SILENCED + r" *inhibited by .*Foreigncritical.*: alertname=Foreignwarning",
    ),
    "to the wrong receiver": (
        ("alertmanager.yml", r"receiver: page", "receiver: team"),
        SILENCED + r" *came by .'warning', 'team'.: alertname=CriticalErrorRate",
    ),
    "unresolved": (
        ("alertmanager.yml", r"(/critical\n +send_resolved): true", r"\1: false"),
        r"FAILED: MCPServerDown: that it goes on is told of, too\n"
        r" *the notification that it is resolved: not within",
    ),
    "another subject": (
        ("alerts/mcp.yml", r"(severity: critical\n +subject): queue", r"\1: line"),
        r"FAILED: each critical alert has its warning's subject\n"
        r" *CriticalTaskQueueDepth silences HighTaskQueueDepth: by hand only",
    ),
    "not the first": (
        ("alerts/mcp.yml", r"(mcp_panics_total\[5m\]\)\)) > 0", r"\1 > 1.9"),
        r"FAILED: HandlerPanics: the very first .*\n *the notification of .*: not within",
    ),
    "no runbook": (
        ("alerts/mcp.yml", r"#handlerpanics", "#panics"),
        r"FAILED: HandlerPanics: the very first .*\n *its runbook leads nowhere",
    ),
    "not what is changed": (
        ("alerts/mcp.yml", r"for: 1m(?=\n.*\n *severity: critical\n *subject: up)", "for: 2m"),
        r"FAILED: Prometheus starts with .*\n *mcp\.yml has .* 0 times, not once",
    ),
    "nobody to tell": (
        ("prometheus.yml", r"(?ms)^alerting:.*?(?=^scrape)", ""),
        r"FAILED: Prometheus starts with .*\n *prometheus\.yml has .*9093.* 0 times",
    ),
    "unborn": ("unborn", r"FAILED: a fresh server: panics .*\n *two scrapes of .*: not within"),
}


def notify(name, ci=None, path=None):
    """The exit code and words of one run."""
    breaks = BROKEN[name][0]
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment |= {"FAKE_BREAK": breaks if isinstance(breaks, str) else ""}
    environment |= {"CI": ci} if ci else {}
    environment |= {"PATH": path} if path else {}
    with tempfile.TemporaryDirectory() as folder:
        for file in ("prometheus.yml", "alertmanager.yml"):
            shutil.copy(shipped.ROOT / file, folder)
        shutil.copytree(shipped.ROOT / "alerts", f"{folder}/alerts")
        if isinstance(breaks, tuple):
            file, old, new = breaks
            text, times = re.subn(old, new, Path(folder, file).read_text())
            if times != 1:
                raise AssertionError(f"{name}: {old} is {times} times in {file}")
            Path(folder, file).write_text(text)
        # A run that is well is told of all things sooner.
        patience = "12" if breaks else "30"
        argv = [sys.executable, NOTIFY, "--root", folder, "--patience", patience, FAKE]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@needs("prometheus", "prometheus-alertmanager", "amtool")
class AgainstTheFake(unittest.TestCase):
    def test_each_broken_thing_is_named(self):
        with ThreadPoolExecutor(4) as pool:
            results = dict(zip(BROKEN, pool.map(notify, BROKEN)))
        for name, (code, output) in results.items():
            with self.subTest(name):
                self.assertEqual(code, 0 if name == "nothing" else 1, output)
                self.assertRegex(output, re.compile(BROKEN[name][1], re.M))

    def test_no_server_is_left_when_it_is_told_to_end(self):
        """Also not the demo that stands still just then."""
        argv = [sys.executable, "-u", NOTIFY, FAKE]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("ok: MCPServerDown (after"):
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.assertGreaterEqual(len(children), 3, "Alertmanager, demo, Prometheus")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(60), 143)
        self.assertEqual([child for child in children if Path(f"/proc/{child}").exists()], [])


class MissingParts(unittest.TestCase):
    """A PATH with nothing on it but Python, which the fake's first line asks for."""

    def test_is_a_skip_by_default_and_a_failure_under_ci(self):
        with tempfile.TemporaryDirectory() as path:
            os.symlink(os.path.realpath(sys.executable), f"{path}/python3")
            for ci, code, word in ((None, 0, "SKIPPED"), ("true", 1, "FAILED")):
                got, output = notify("nothing", ci, path)
                self.assertEqual(got, code, output)
                self.assertRegex(output, rf"{word}: amtool .*: amtool is missing")
                self.assertRegex(output, rf"{word}: Alertmanager .*: prometheus-al.* is missing")


if __name__ == "__main__":
    unittest.main()

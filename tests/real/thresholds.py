"""Thresholds by tool: the rules that `generate` writes then, and promtool's word on them.

    python tests/real/thresholds.py BINARY

A tool with a threshold of its own is judged by that and by nothing else, and all others by the
general one. BINARY is the built mcp-vitals.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# A name that is a regular expression, too: as one it would match `deepXresearch` as well.
OWN = "deep.research"
OTHERS = ["deepXresearch", "t"]
ALERT = "HighRequestLatency"
SETTINGS = ["--threshold", f"{ALERT}=2.5", "--threshold", f"{ALERT}:{OWN}=60",
            "--threshold", "HighErrorRate:t=0.5"]  # fmt: skip

# What is at most so long, of each bound.
BOUNDS = ["1.0", "2.5", "5.0", "30.0", "60.0", "120.0", "+Inf"]


def latency(instance, tool, seconds):
    """100 requests each 15 s of a tool, all of them a little under this bound."""
    at = BOUNDS.index(seconds)
    text = ""
    for n, bound in enumerate(BOUNDS):
        pace = 100 if n >= at else 0
        labels = f'job="mcp", instance="{instance}", tool="{tool}"'
        text += f"""      - series: 'mcp_request_duration_seconds_bucket{{{labels}, le="{bound}"}}'
        values: 0+{pace}x60
"""
    return text + f"""      - series: 'mcp_request_duration_seconds_count{{{labels}}}'
        values: 0+100x60
"""


def errors(instance, tool, percent):
    labels = f'job="mcp", instance="{instance}", tool="{tool}"'
    return f"""      - series: 'mcp_requests_total{{{labels}, status="success"}}'
        values: 0+{100 - percent}x60
      - series: 'mcp_requests_total{{{labels}, status="error"}}'
        values: 0+{percent}x60
      - series: 'mcp_request_errors_total{{{labels}, error_type="panic"}}'
        values: 0+{percent}x60
"""


def case(name, series, alert, firing):
    """Which (instance, tool) fire this alert after ten minutes; tool "" is the general rule."""
    rows = "".join(f"          - labels: '{{instance=\"{instance}\"{label(tool)}}}'\n            value: 1\n"
                   for instance, tool in firing)  # fmt: skip
    query = f'sum by (instance, tool) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return f"""  - name: "{name}"
    interval: 15s
    input_series:
{series}    promql_expr_test:
      - expr: '{query}'
        eval_time: 10m
{"        exp_samples:" if rows else ""}
{rows}"""


def label(tool):
    return f', tool="{tool}"' if tool else ""


def tests():
    own, other, plain = OWN, *OTHERS
    return "".join([
        "rule_files: [mcp.yml]\nevaluation_interval: 15s\ntests:\n",
        case("its own is higher: no alert between the two",
             latency("a", own, "30.0"), ALERT, []),
        case("its own, and it says whose",
             latency("a", own, "120.0"), ALERT, [("a", own)]),
        case("all others have the general one",
             latency("a", plain, "5.0") + latency("b", other, "5.0"), ALERT, [("a", ""), ("b", "")]),
        case("just below the general one",
             latency("a", plain, "2.5") + latency("a", own, "60.0"), ALERT, []),
        case("the slow one does not count among the others",
             latency("a", plain, "1.0") + latency("a", own, "30.0"), ALERT, []),
        case("both at once are two alerts",
             latency("a", plain, "5.0") + latency("a", own, "120.0"), ALERT, [("a", ""), ("a", own)]),
        case("another alert has it for another tool",
             errors("a", "t", 40) + errors("b", "t", 60) + errors("c", own, 40), "HighErrorRate",
             [("b", "t"), ("c", "")]),
        case("and its critical one is as it was",
             errors("a", "t", 40), "CriticalErrorRate", [("a", "")]),
    ])  # fmt: skip


def problems(binary):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [binary, "generate", "--only", "alerts", "--out", folder, *SETTINGS],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode:
            return [f"generate: exit {done.returncode}", done.stderr]
        alerts = Path(folder, "alerts")
        (alerts / "test.yml").write_text(tests())
        found = []
        for command in (["check", "rules", "--lint=all", "--lint-fatal", "mcp.yml"],
                        ["test", "rules", "test.yml"]):  # fmt: skip
            done = subprocess.run(
                ["promtool", *command], cwd=alerts, capture_output=True, text=True, timeout=300
            )
            if done.returncode:
                found.append(f"promtool {' '.join(command)}:\n{done.stdout}{done.stderr}")
        # Among the cases there is one for each of the two rules; and they can fail.
        rules = alerts / "mcp.yml"
        text = rules.read_text()
        for wrong in (text.replace("> 60\n", "> 20\n"), text.replace("> 60\n", "> 600\n"),
                      text.replace("> 2.5\n", "> 5\n"), text.replace("> 2.5\n", "> 2\n"),
                      re.sub(r'tool!~"deep[^"]*"', 'tool!~"deep.research"', text),
                      re.sub(r'\{tool!~"deep[^"]*"\}', "", text)):  # fmt: skip
            if wrong == text:
                found.append("a rule is not what it was thought to be: nothing to change in it")
                continue
            rules.write_text(wrong)
            if not subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=alerts,
                                  capture_output=True, timeout=300).returncode:  # fmt: skip
                found.append("the cases hold for a rule that is wrong")
        return found


def main(arguments):
    if len(arguments) != 1:
        print("usage: tests/real/thresholds.py BINARY", file=sys.stderr)
        return 2
    if not shutil.which("promtool"):
        print("SKIPPED: thresholds by tool: promtool is missing; scripts/install-parts.sh installs it")
        return 1 if os.environ.get("CI") == "true" else 0
    found = problems(Path(arguments[0]).resolve())
    for problem in found:
        print(f"FAILED: thresholds by tool: {problem}")
    if not found:
        print("ok: thresholds by tool")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Are the cases of the alert rules any good? Each rule is changed in one place, many times, and each
change has to make one of its cases fail.

    scripts/mutate-rules.py            every mutant: some minutes on two cores
    scripts/mutate-rules.py --short    of each rule one in four, at least two, that have to be caught
    scripts/mutate-rules.py NAME…      those of these alerts
    scripts/mutate-rules.py --list     the mutants, and nothing is run

Exit 1 where a mutant survives that mutate-rules.txt does not name, or one that it names is caught or
is no mutant any more. It needs promtool. All mutants of a rule stand side by side in one file, each
under a name of its own, and promtool runs the cases of the rule on all of them at once.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ALERTS = Path(__file__).resolve().parents[1] / "alerts"
# A file of rules, and the files of its cases.
FILES = {
    "mcp": ["mcp_requests", "mcp_work", "mcp_process", "mcp_days"],
    "engine": ["engine"],
    "optional": ["optional"],
    "slo": ["slo", "slo_days"],
}

# With --short, one of so many of a rule, and at least two: always the same ones.
EACH = 4
# What means the same as the rule, with why: each mutant by itself, as it is listed.
SAME = Path(__file__).with_suffix(".txt")


def same():
    """The mutants that no case can catch: below the line that says why, each in a line."""
    lines = SAME.read_text().splitlines()
    return {line.strip() for line in lines if line.startswith("    ")}


def number(match, by, add=0.0):
    value = float(match) * by + add
    return f"{value:.10g}"


def changes():
    """What is changed: a pattern, and what a match of it becomes."""

    def window(by):
        def change(found):
            seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
            return f"[{int(seconds * by)}s]"

        return change

    def offset(by):
        return lambda found: f"offset {int(found[1]) * by}{found[2]}" if by else ""

    def threshold(by, add):
        def change(found):
            value = float(found[2])
            new = number(found[2], by) if value else number(found[2], 1, add)
            return f"{found[1]}{new}{found[3]}"

        return change

    def wait(seconds):
        def change(found):
            now = int(found[1]) * {"m": 60, "h": 3600}[found[2]]
            return found[0] if now + seconds < 0 else f"for: {now + seconds}s"

        return change

    def without(label):
        def change(found):
            labels = [name for name in found[2].split(", ") if name != label]
            return f"{found[1]}({', '.join(labels)})"

        return change

    def swap(new):
        return lambda found: found[0].replace(found[1], new)

    compared = r"( (?:>|<|>=|<=|==) )([\d.]+)(\s)"
    yield r"for: (\d+)([mh])$", wait(-15)
    yield r"for: (\d+)([mh])$", wait(15)
    yield r"for: (\d+)([mh])$", wait(-60)
    yield r"for: (\d+)([mh])$", wait(60)
    yield r"severity: (\w+)", lambda found: "severity: " + (
        "critical" if found[1] == "warning" else "warning"
    )
    yield r"subject: (\w+)", lambda found: "subject: another"
    yield compared, threshold(1.04, 0.9)
    yield compared, threshold(0.96, -1)
    yield r" (>) ", swap(">=")
    yield r" (>) ", swap("<")
    yield r" (>=) ", swap("<=")
    yield r" (<=) ", swap("<")
    yield r" (<=) ", swap(">=")
    yield r" (<) ", swap(">")
    yield r" (==) ", swap("!=")
    yield r"(?<=\n          )(and|unless|or)(?=\n)", lambda found: "or" if found[1] == "and" else "and"
    yield r"(?<= )(unless|or)(?= )", lambda found: "and"
    yield r"\[(\d+)([smhd])\]", window(0.5)
    yield r"\[(\d+)([smhd])\]", window(2)
    yield r"offset (\d+)([mh])", offset(0)
    yield r"offset (\d+)([mh])", offset(2)
    yield r"\b(sum) by", swap("max")
    yield r"\b(sum) by", swap("count")
    yield r"\b(max) by", swap("min")
    yield r"\b(max) by", swap("count")
    for label in ("job", "instance", "vitals_copy", "le", "tool", "metric", "model", "task_type"):
        yield r"\b(by |on )\(([\w, ]*\b" + label + r"\b[\w, ]*)\)", without(label)
    yield r'\w+(!~|=~|!=|=)"[^"]*"', lambda found: ""
    yield r'\b(\w+)(!~|=~|!=|=)("[^"]*")', lambda found: found[1] + {
        "!~": "=~", "=~": "!~", "!=": "=", "=": "!="
    }[found[2]] + found[3]  # fmt: skip
    yield r'"(success\|error)"', swap("success")
    yield r'"(client_\.\*)"', swap("client_")
    yield r"\b(rate)\(", swap("increase")
    yield r"\b(rate)\(", swap("delta")
    yield r"\b(increase)\(", swap("rate")
    yield r"\b(increase)\(", swap("delta")
    yield r"\b(deriv)\(", swap("rate")
    yield r"\b(deriv)\(", swap("delta")
    yield r"\b(changes)\(", swap("resets")
    yield r"\b(last_over_time)\(", swap("count_over_time")
    yield r"(0\.95),", swap("0.94")
    yield r"(0\.95),", swap("0.96")
    yield r" \* (\d+)", lambda found: f" * {int(found[1]) * 1.1:g}"
    yield r" \* (\d+)", lambda found: f" * {int(found[1]) * 0.9:g}"
    yield r"\b0 \* ", lambda found: "2 * "
    yield r"time\(\) - (\d+)", lambda found: f"time() - {int(found[1]) * 2}"
    yield r"time\(\) - (\d+)", lambda found: f"time() - {int(found[1]) // 2}"
    yield r"(?<=\n)( *)(/|\+)(?=\n)", lambda found: found[1] + {"/": "*", "+": "-"}[found[2]]
    yield r" (/|\+) ", lambda found: {"/": " * ", "+": " - "}[found[1]]


def clauses(expression):
    """The expression without one of its clauses, at the top: `a and b` without `and b`."""
    lines = expression.split("\n")
    joints = [at for at, line in enumerate(lines) if line.strip() in ("and", "or", "unless")
              and line.startswith(" " * 10) and not line.startswith(" " * 11)]  # fmt: skip
    joints.append(len(lines))
    for at, end in zip(joints, joints[1:]):
        what = " ".join(line.strip() for line in lines[at:end])
        yield f"without `{what}`", "\n".join(lines[:at] + lines[end:])


def mutants(rule):
    """Each with what was changed."""
    said = {}
    for pattern, change in changes():
        body = rule[: rule.index("        annotations:")]
        for found in re.finditer(pattern, body, re.M):
            new = change(found)
            if new == found[0]:
                continue
            text = body[: found.start()] + new + body[found.end() :]
            text = text.replace("{, ", "{").replace(", }", "}").replace("{}", "")
            before = re.sub(r"\s+", " ", body[max(0, found.start() - 44) : found.start()])
            after = re.sub(r"\s+", " ", body[found.end() : found.end() + 30])
            what = f"{before.strip()} «{found[0].strip()} -> {new.strip()}» {after.strip()}"
            yield numbered(what, said), text + rule[len(body) :]
    start = rule.index("expr: |\n") + len("expr: |\n")
    end = rule.index("        for: ")
    for what, text in clauses(rule[start:end].rstrip("\n")):
        yield numbered(what, said), rule[:start] + text + "\n" + rule[end:]


def numbered(what, said):
    """A name that no other mutant of the rule has."""
    said[what] = said.get(what, 0) + 1
    return what if said[what] == 1 else f"{what} ({said[what]})"


def blocks(text, mark):
    head, *parts = re.split(rf"(?m)^(?={re.escape(mark)})", text)
    return head, parts


class Work:
    """A rule, its mutants, its cases. Of rules that share a name the label `window` tells them apart."""

    def __init__(self, rule, file):
        self.name = re.search(r"alert: (\w+)", rule)[1]
        window = re.search(r"window: (\w+)", rule)
        self.window = window and window[1]
        self.file = file
        title = f"{self.name} over {self.window}" if window else self.name
        self.title = title + " "
        self.mutants = [(f"{title}: {what}", text) for what, text in mutants(rule)]

    def run(self):
        """The names of the mutants that no case catches."""
        alive = dict(enumerate(self.mutants))
        for file in FILES[self.file]:
            text = (ALERTS / "tests" / f"{file}_test.yml").read_text()
            head, cases = blocks(text, "  - name: ")
            # Slow ones are seldom those that catch; most mutants are gone before them.
            cases = [case for case in cases if f"- name: {self.title}" in case]
            cases.sort(key=lambda case: "stays quiet" in case)
            for case in cases:
                while alive:
                    caught = self.caught(head, case, alive)
                    alive = {at: mutant for at, mutant in alive.items() if at not in caught}
                    if not any(caught.values()):
                        break
        return [what for what, _ in alive.values()]

    def caught(self, head, case, alive):
        """Which of those are caught by this case; True: it has to run again for the others."""
        rules = ["groups:\n  - name: all\n    rules:\n"]
        for at, (_, text) in alive.items():
            rules.append(text.replace(f"alert: {self.name}\n", f"alert: {self.name}__{at}\n"))
        inputs, *entries = re.split(r"(?m)^(?=    (?:alert_rule_test|promql_expr_test):)", case)
        test = [head.replace("../", ""), inputs]
        for entry in entries:
            kind, tests = entry.split("\n", 1)
            if self.window:
                start, *alerts = re.split(r"(?m)^(?= +- exp_labels:| +- alertname:)", tests)
                mine = f"window: {self.window}\n"
                tests = start + "".join(
                    one for one in alerts if "exp_labels" not in one or mine in one
                )
            test.append(kind + "\n")
            for at in alive:
                one = tests.replace(f"alertname: {self.name}\n", f"alertname: {self.name}__{at}\n")
                one = one.replace(f'alertname="{self.name}"', f'alertname="{self.name}__{at}"')
                test.append(one.rstrip("\n") + "\n")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, f"{self.file}.yml").write_text("".join(rules))
            Path(folder, "test.yml").write_text("".join(test))
            done = subprocess.run(
                ["promtool", "test", "rules", "test.yml"],
                cwd=folder, env=os.environ | {"GOGC": "400"},
                capture_output=True, text=True, timeout=600,
            )  # fmt: skip
        said = done.stdout + done.stderr
        names = rf'alertname(?:: |=\\\\?"){self.name}__(\d+)'
        failed = {int(at) for at in re.findall(names, said)}
        # A rule that can't be evaluated ends the run; the others have to have theirs.
        broken = {int(at) for at in re.findall(rf"rule: {self.name}__(\d+), time: .*err: ", said)}
        if done.returncode and not failed and not broken:
            raise SystemExit(f"{self.name}: promtool ends with {done.returncode}:\n{said[-3000:]}")
        return {at: at in broken for at in failed | broken}


def works(names, short, known):
    for file in FILES:
        _, rules = blocks((ALERTS / f"{file}.yml").read_text(), "      - alert: ")
        for rule in rules:
            work = Work(rule, file)
            if names and work.name not in names:
                continue
            if short:
                able = [mutant for mutant in work.mutants if mutant[0] not in known]
                count = max(2, len(able) // EACH)
                work.mutants = [able[at * len(able) // count] for at in range(count)]
            yield work


def main(arguments):
    listing, short = "--list" in arguments, "--short" in arguments
    names = [name for name in arguments if not name.startswith("--")]
    known = same()
    work = list(works(names, short, known))
    unknown = set(names) - {each.name for each in work}
    if unknown:
        raise SystemExit(f"no such alert: {', '.join(unknown)}")
    if listing:
        for each in work:
            print("\n".join(what for what, _ in each.mutants))
        return 0
    if not shutil.which("promtool"):
        print("SKIPPED: mutants of the rules: promtool is missing; scripts/install-parts.sh installs it")
        return 1 if os.environ.get("CI") == "true" else 0
    # The long ones first.
    work.sort(key=lambda each: -len(each.mutants) * (5 if "Leak" in each.name else 1))
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        survivors = [what for found in pool.map(Work.run, work) for what in found]
    total = sum(len(each.mutants) for each in work)
    unknown = [what for what in survivors if what not in known]
    stale = set()
    if not short:
        stale = known - set(survivors)
        if names:
            stale = {what for what in stale if re.match(r"\w+", what)[0] in names}
    print(f"{total} mutants of {len(work)} rules: {total - len(survivors)} caught, "
          f"{len(survivors) - len(unknown)} mean the same, {len(unknown)} survive")  # fmt: skip
    for what in unknown:
        print(f"SURVIVES: {what}")
    for what in sorted(stale):
        print(f"NAMED IN {SAME.name}, and caught or not there: {what}")
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

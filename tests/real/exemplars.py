"""Exemplars, from a span to Prometheus: by the built example `exemplars`.

    python tests/real/exemplars.py EXAMPLE

A real Prometheus scrapes it, negotiates OpenMetrics, and is asked for what it stored: the trace ids
must be those of spans that were, with the durations that they had. A second job asks for some families
by `name[]`. What is missing is SKIPPED.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import exposition
from run import Report
from servers import LOOPBACK, Failure, Server, fetch, fetch_json, free_port, wait_until

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0"}
BUCKETS = "job_duration_seconds_bucket"
OBSERVED = re.compile(r"^(index|embed) ([0-9a-f]{32}) (\S+)$", re.M)
EXEMPLAR = re.compile(rf"^{BUCKETS}{{(.*)}} \d+ # {{(.*)}} (\S+) (\S+)$", re.M)


# What the second job asks for, and the series that it gets for that.
ASKED = ["mcp_vitals_series", "job_duration_seconds_sum", "nobody"]
GIVEN = {"mcp_vitals_series", BUCKETS, "job_duration_seconds_sum", "job_duration_seconds_count"}


class Example(Server):
    """The example, whose stdin must stay open."""

    def __enter__(self):
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE, stdout=out, stderr=err
            )
        return self

    def said(self):
        return self.err.read_text(errors="replace")

    def wait_url(self):
        def url():
            found = re.search(r"^metrics: (http://\S+)$", self.said(), re.M)
            return found and found[1]

        return wait_until("the example's address", url, 20, [self])

    def observed(self):
        """{trace id: (job, seconds)} of all spans that have ended."""
        return {trace: (job, float(took)) for job, trace, took in OBSERVED.findall(self.said())}


class Run:
    def __init__(self, example, folder, stack):
        self.folder = folder
        self.stack = stack
        self.example = Example("example", [example, f"{LOOPBACK}:0"], folder)
        self.url = self.prometheus = None

    def start(self):
        self.stack.enter_context(self.example)
        self.url = self.example.wait_url()
        wait_until("twenty observations", lambda: len(self.example.observed()) > 20, 30)

    def told(self, trace, job, seconds):
        """A problem where no span of this trace took this long."""
        # The span's own word is read a little later than what was recorded.
        known = wait_until("its span", lambda: self.example.observed().get(trace), 5)
        if known[0] != job or not known[1] - 0.05 <= seconds <= known[1]:
            yield f"{trace}: {job} {seconds}, the span says {known}"

    def shown(self):
        body, headers = fetch(self.url, OPEN)
        yield from exposition.problems(body, headers["Content-Type"], Everything())
        found = EXEMPLAR.findall(body)
        if len(found) < 4:
            yield f"{len(found)} exemplars in\n{body}"
        for labels, ids, value, at in found:
            job = re.search(r'job="(\w+)"', labels)[1]
            trace = re.fullmatch(r'trace_id="([0-9a-f]{32})",span_id="[0-9a-f]{16}"', ids)[1]
            yield from self.told(trace, job, float(value))
            if abs(float(at) - time.time()) > 65:
                yield f"{trace}: at {at}, now is {time.time()}"

    def not_in_text(self):
        body, headers = fetch(self.url, {"Accept": "text/plain;version=0.0.4"})
        if "trace_id" in body or "# EOF" in body:
            yield f"text as {headers['Content-Type']} has OpenMetrics in it"

    def blocks(self):
        """promtool reads it: with a time for each sample, as it wants for its blocks."""
        body, _ = fetch(self.url, OPEN)
        at = f" {time.time():.3f}"
        lines = []
        for line in body.splitlines():
            sample, mark, exemplar = line.partition(" # {")
            lines.append(line if line.startswith("#") else sample + at + mark + exemplar)
        source = self.folder / "scrape.om"
        source.write_text("\n".join(lines) + "\n")
        target = self.folder / "blocks"
        argv = ["promtool", "tsdb", "create-blocks-from", "openmetrics", source, target]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        if done.returncode or not list(target.glob("*/meta.json")):
            yield f"exit {done.returncode}: {(done.stdout + done.stderr).strip()}"

    def start_prometheus(self):
        config = self.folder / "prometheus.yml"
        config.write_text(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n"
            f'  - job_name: example\n    static_configs:\n      - targets: ["{self.target()}"]\n'
            f"  - job_name: some\n    params: {{'name[]': {ASKED}}}\n"
            f'    static_configs:\n      - targets: ["{self.target()}"]\n'
        )
        port = free_port()
        argv = [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address={LOOPBACK}:{port}", "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]  # fmt: skip
        self.server = self.stack.enter_context(Server("prometheus", argv, self.folder))
        self.prometheus = f"http://{LOOPBACK}:{port}"
        self.server.wait_ready(f"{self.prometheus}/-/ready")

    def target(self):
        return self.url.split("/")[2]

    def stored(self):
        """What query_exemplars gives, over a few scrapes, is what was observed."""
        start = time.time() - 120

        def rows():
            answer = fetch_json(
                f"{self.prometheus}/api/v1/query_exemplars",
                query=BUCKETS, start=start, end=time.time() + 1,
            )  # fmt: skip
            rows = [
                (series["seriesLabels"]["exported_job"], series["seriesLabels"]["le"], exemplar)
                for series in answer["data"]
                for exemplar in series["exemplars"]
            ]
            return rows if len(rows) >= 12 else None

        # The label `job` of ours is Prometheus's own, too, which renames it.
        for job, le, exemplar in wait_until("a dozen exemplars", rows, 40, [self.server]):
            labels = exemplar["labels"]
            if set(labels) != {"trace_id", "span_id"}:
                yield f"labels {labels}"
            if float(exemplar["value"]) > float(le):
                yield f"{exemplar} is above {le}"
            yield from self.told(labels["trace_id"], job, float(exemplar["value"]))
        for target in fetch_json(f"{self.prometheus}/api/v1/targets")["data"]["activeTargets"]:
            if target["lastError"]:
                yield target["lastError"]
        said = self.server.err.read_text(errors="replace")
        if "exemplar" in said:
            yield f"Prometheus complains: {said}"


    def asked(self):
        """What `params` ask for is what the second job has, each series as the first has it."""
        of_example, of_some = (
            wait_until(f"series of {job}", lambda job=job: self.series(job), 20, [self.server])
            for job in ("example", "some")
        )
        names = {name for name, _ in of_some}
        if names != GIVEN:
            yield f"{names}, not {GIVEN}"
        if not len(of_some) < len(of_example):
            yield "as many as without"
        yield from (f"not in a scrape of all: {series}" for series in of_some - of_example)

    def series(self, job):
        """(name, labels) of what the job's last scrape had, but for what Prometheus says of it."""
        answer = fetch_json(f"{self.prometheus}/api/v1/query", query=f'{{job="{job}"}}')
        found = set()
        for row in answer["data"]["result"]:
            labels = {name: value for name, value in row["metric"].items() if name != "job"}
            name = labels.pop("__name__")
            if name != "up" and not name.startswith("scrape_"):
                found.add((name, tuple(sorted(labels.items()))))
        return found


class Everything(dict):
    """The example has no load on the catalog: every metric may be without series."""

    def __contains__(self, _):
        return True

    def __bool__(self):
        return True


def check_example(name, kind, checks):
    """Has `checks` done with the example that the command line names, and ends with their result."""
    example = Path(sys.argv[1]).resolve()
    report = Report()
    if not example.exists():
        how = "cargo build --release --example exemplars --features http"
        print(f"SKIPPED: {name}: {example.name} is not built; {how}")
        sys.exit(1 if report.strict else 0)
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mcp-vitals-exemplars-"))
        stack.callback(lambda: shutil.rmtree(folder, ignore_errors=True))
        checks(report, kind(example, folder, stack))
    sys.exit(report.close())


def checks(report, run):
    if report.check("the example works in spans", run.start):
        report.check("exemplars are the spans' observations", run.shown, "prometheus-client")
        report.check("text has none", run.not_in_text)
        report.check("promtool makes blocks of it", run.blocks, "promtool")
        if report.check("Prometheus with exemplar storage", run.start_prometheus, "prometheus"):
            report.check("Prometheus gives the exemplars back", run.stored)
            report.check("Prometheus gets what its params ask for", run.asked)


if __name__ == "__main__":
    try:
        check_example("exemplars", Run, checks)
    except Failure as error:
        sys.exit(f"FAILED: {error}")

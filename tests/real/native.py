"""Native histograms, from a record to a quantile: by the built example `exemplars`.

    python tests/real/native.py EXAMPLE

A real Prometheus with native histograms scrapes it, by a token, negotiates protobuf, and is asked for counts
and quantiles: they must be those of the jobs that the example says it has done. What is missing is SKIPPED.
"""

import os
import sys
import time
import urllib.error

from exemplars import Example, check_example
from servers import LOOPBACK, Failure, Server, fetch, fetch_json, free_port, wait_until

TOKEN = "Zm9yIHRoaXMgdGVzdCBvbmx5"
NAME = "job_duration_seconds"
# A bucket of schema 3, and half a cell of 64 an octave.
WIDTH = 2 ** (1 / 8) * (1 + 1 / 128)


class Run:
    def __init__(self, example, folder, stack):
        self.folder = folder
        self.stack = stack
        self.example = Example("example", [example, f"{LOOPBACK}:0"], folder)
        self.url = self.prometheus = self.server = None

    def start(self):
        os.environ["METRICS_TOKEN"] = TOKEN
        self.stack.enter_context(self.example)
        self.url = self.example.wait_url()
        wait_until("forty jobs", lambda: len(self.example.observed()) > 40, 30)

    def guarded(self):
        for headers in ({}, {"Authorization": f"Bearer {TOKEN[:-1]}"}):
            try:
                yield f"it tells whoever asks: {len(fetch(self.url, headers)[0])} characters"
            except urllib.error.HTTPError as error:
                if error.code != 401:
                    yield f"it answers {error.code}, not 401"
        fetch(self.url, {"Authorization": f"Bearer {TOKEN}"})

    def start_prometheus(self):
        credentials = self.folder / "token"
        credentials.write_text(TOKEN)
        config = self.folder / "prometheus.yml"
        config.write_text(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n"
            "  - job_name: example\n    honor_labels: true\n"
            f"    authorization:\n      credentials_file: {credentials}\n"
            "    static_configs:\n"
            f'      - targets: ["{self.url.split("/")[2]}"]\n'
        )
        port = free_port()
        argv = [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn",
            "--enable-feature=native-histograms,exemplar-storage",
        ]  # fmt: skip
        self.server = self.stack.enter_context(Server("prometheus", argv, self.folder))
        self.prometheus = f"http://{LOOPBACK}:{port}"
        self.server.wait_ready(f"{self.prometheus}/-/ready")

    def ask(self, query):
        """The values of an instant query, by the label `job`."""
        answer = fetch_json(f"{self.prometheus}/api/v1/query", query=query)["data"]["result"]
        return {row["metric"].get("job"): float(row["value"][1]) for row in answer}

    def negotiated(self):
        wait_until("a native histogram", lambda: self.ask(f"histogram_count({NAME})"), 20, [self.server])
        classic = self.ask(f"{NAME}_bucket")
        if classic:
            yield f"classic buckets are read as well: {classic}"
        others = self.ask('{__name__=~"mcp_requests_total|mcp_vitals_build_info"}')
        if not others:
            yield "counters and gauges are missing"
        target = fetch_json(f"{self.prometheus}/api/v1/targets")["data"]["activeTargets"][0]
        if target["lastError"]:
            yield target["lastError"]

    def counted(self):
        """As many jobs, and as much time, as the example says."""
        before = self.example.observed()
        time.sleep(3)
        counts, sums = self.ask(f"histogram_count({NAME})"), self.ask(f"histogram_sum({NAME})")
        after = self.example.observed()
        for job in ("index", "embed"):
            least, most = ([took for of, took in seen.values() if of == job] for seen in (before, after))
            if not len(least) <= counts.get(job, -1) <= len(most) + 1:
                yield f"{job}: {counts} jobs, the example says {len(least)} to {len(most)}"
            # The example reads its clock a little after what is recorded.
            if not 0.8 * sum(least) <= sums.get(job, -1) <= sum(most) + 1:
                yield f"{job}: {sums} s, the example says {sum(least)} to {sum(most)}"

    def quantiles(self):
        """Those of the jobs that there were before or after the question, a bucket more or less; and less by
        what passes between the record and the example's word, when it is kept waiting."""
        for quantile in (0.1, 0.5, 0.9):
            before = self.example.observed()
            time.sleep(2)
            got = self.ask(f"histogram_quantile({quantile}, {NAME})")
            after = self.example.observed()
            for job in ("index", "embed"):
                exact = []
                for seen in (before, after):
                    took = sorted(seconds for of, seconds in seen.values() if of == job)
                    # A job more or less may be counted.
                    for shift in (-2, 2):
                        at = min(max(int(quantile * len(took)) + shift, 0), len(took) - 1)
                        exact.append(took[at])
                if not min(exact) / WIDTH / 1.25 <= got.get(job, -1) <= max(exact) * WIDTH:
                    yield f"{job}: quantile {quantile} is {got}, the jobs say {exact}"

    def exemplars(self):
        answer = fetch_json(
            f"{self.prometheus}/api/v1/query_exemplars",
            query=NAME, start=time.time() - 120, end=time.time() + 1,
        )  # fmt: skip
        known = self.example.observed()
        found = [each["labels"]["trace_id"] for row in answer["data"] for each in row["exemplars"]]
        if not found or not set(found) <= set(known):
            yield f"exemplars {found} are not of {len(known)} jobs"


def checks(report, run):
    if report.check("the example does jobs", run.start):
        report.check("nobody reads it without the token", run.guarded)
        started = report.check("Prometheus with native histograms", run.start_prometheus, "prometheus")
        if started and report.check("Prometheus reads native histograms", run.negotiated):
            report.check("counts and sums are the jobs'", run.counted)
            report.check("quantiles are the jobs'", run.quantiles)
            report.check("exemplars are the jobs'", run.exemplars)


if __name__ == "__main__":
    try:
        check_example("native histograms", Run, checks)
    except Failure as error:
        sys.exit(f"FAILED: {error}")

"""Starts a real server on a free loopback port, waits for it, stops it by its pid."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

LOOPBACK = "127.0.0.1"


class Failure(Exception):
    """A check that did not hold, or a server that did not do its part."""


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def fetch(url, headers=None, timeout=5):
    """The body and headers of one GET, straight to the loopback: no proxy, however it is set."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers or {})
    with opener.open(request, timeout=timeout) as answer:
        return answer.read().decode("utf-8"), answer.headers


def fetch_json(url, **parameters):
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters, doseq=True)
    try:
        return json.loads(fetch(url)[0])
    except urllib.error.HTTPError as error:
        raise Failure(f"{url}: {error}: {error.read().decode(errors='replace')[:500]}") from error


def wait_until(what, condition, seconds, servers=(), every=0.05):
    """The first true value of `condition`; Failure with its last word after `seconds`.

    A connection refused, or a Failure, is "not yet". A server that ended is the end of the wait.
    """
    deadline = time.monotonic() + seconds
    last = None
    while True:
        for server in servers:
            server.must_run()
        try:
            last = condition()
            if last:
                return last
        except (OSError, ValueError, Failure) as error:
            last = error
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds:g} s (last: {last!r})")
        time.sleep(every)


@contextlib.contextmanager
def workspace(report):
    """A folder for the servers' files, and the stack on which they stop.

    Shows how each log ends if a check failed. The folder stays with MCP_VITALS_KEEP=1.
    """
    # SystemExit unwinds the stack, so that no server outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        keep = os.environ.get("MCP_VITALS_KEEP") == "1"
        folder = Path(tempfile.mkdtemp(prefix="mcp-vitals-real-"))
        stack.callback(lambda: keep or shutil.rmtree(folder, ignore_errors=True))
        yield folder, stack
        if report.failed:
            for log in sorted([*folder.glob("*.stderr"), *folder.glob("*.stdout")]):
                tail = log.read_text(errors="replace").splitlines()[-10:]
                if tail:
                    print(f"--- end of {log.name}")
                    print("\n".join("    " + line for line in tail))
        if keep:
            print(f"kept: {folder}")


class Server:
    """A child process with its output in files, from `with` to the end of the block."""

    def __init__(self, name, argv, folder, cwd=None, environment=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.cwd = cwd
        self.environment = environment
        self.out = folder / f"{name}.stdout"
        self.err = folder / f"{name}.stderr"
        self.process = None

    def __enter__(self):
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            try:
                self.process = subprocess.Popen(
                    self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.cwd,
                    env=self.environment,
                )  # fmt: skip
            except OSError as error:
                raise Failure(f"{self.name} does not start: {error}") from error
        return self

    def __exit__(self, *_):
        self.stop()

    def must_run(self):
        code = self.process.poll()
        if code is not None:
            raise Ended(f"{self.name} ended by itself with {code}:\n{self.tail()}")

    def wait_ready(self, url, seconds=20):
        wait_until(f"{self.name} ready at {url}", lambda: fetch(url) and True, seconds, [self])
        return self

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Ends the process; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def tail(self, lines=15):
        text = self.out.read_text(errors="replace") + self.err.read_text(errors="replace")
        return "\n".join("    " + line for line in text.splitlines()[-lines:])


class Ended(Exception):
    """A server that has ended: waiting on is no use."""


class Demo(Server):
    """The demo under load, then lingering so that its last values can be read; or without load."""

    def __init__(self, binary, folder, duration=0, rate=0):
        self.tally_path = folder / "tally.json"
        options = ["--mcp", f"{LOOPBACK}:0", "--metrics", f"{LOOPBACK}:0"]
        if rate:
            options += ["--duration", f"{duration}s", "--rate", rate]
            options += ["--tally", self.tally_path, "--linger", "10m"]
        else:
            options += ["--no-load"]
        # All that the engine can be asked to do: its dashboard has panels of each.
        options += ["--log-file", folder / "demo.log", "--log-level", "debug"]
        options += ["--trace-file", folder / "traces.jsonl"]
        super().__init__("demo", [binary, "demo", *options], folder, cwd=folder)
        self.metrics = None
        self.mcp = None

    def target(self):
        """Where a Prometheus finds it: the host and port of /metrics."""
        return urllib.parse.urlsplit(self.metrics).netloc

    def wait_urls(self, seconds=30):
        """Reads the two URLs that the demo prints to stderr."""

        def both():
            text = self.err.read_text(errors="replace")
            found = dict(re.findall(r"(?:^|[\r\n])\s*(mcp|metrics): (http://\S+)", text))
            return found if len(found) == 2 else None

        found = wait_until("the demo's lines `mcp: URL` and `metrics: URL`", both, seconds, [self])
        for url in found.values():
            if urllib.parse.urlsplit(url).hostname != LOOPBACK:
                raise Failure(f"the demo listens at {url}, not on loopback")
        self.mcp, self.metrics = found["mcp"], found["metrics"]
        self.wait_ready(self.metrics)

    def wait_tally(self, seconds):
        """What the client says it sent, once the load has ended: {(tool, operation, status): n}."""
        # Not whole yet is `ValueError`, which is "not yet".
        tally = wait_until(
            "the client's tally", lambda: json.loads(self.tally_path.read_text()), seconds, [self]
        )
        counts = {}
        for row in tally["requests"]:
            key = (row["tool"], row["operation"], row["status"])
            counts[key] = counts.get(key, 0) + row["count"]
        return counts

#!/usr/bin/env python3
"""Stands in for the demo binary in the harness's own tests. It measures nothing but panics.

Takes the demo's options, serves an exposition whose counters rise until `--duration` is over, then
hands in a tally that agrees with them. FAKE_BREAK names one thing to get wrong. Its load begins
when Prometheus has come by once, so that a short one is seen however slowly the servers start.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BREAK = os.environ.get("FAKE_BREAK", "")
SCRAPES = []
PANICS = []

# (tool, operation): {status: requests a second}
REQUESTS = {
    ("server", "initialize"): {"success": 2},
    ("tools", "list"): {"success": 10},
    ("swarm_init", "execute"): {"success": 80, "error": 2, "cancelled": 1},
    ("_other", "execute"): {"error": 5},
}
ERROR_TYPES = {"swarm_init": "tool_error", "_other": "client_invalid_params"}
BOUNDS = ["0.001", "0.01", "1.0", "5.0", "+Inf"]


class Page:
    """One scrape, line by line."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.lines = []

    def family(self, name, kind, help_text="What it says."):
        if not (BREAK == "help" and name == "mcp_tasks_pending"):
            self.lines.append(f"# HELP {name} {help_text}")
        if BREAK == "type" and name == "mcp_tasks_pending":
            kind = "counter"
        self.lines.append(f"# TYPE {name} {kind}")

    def sample(self, name, value, **labels):
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        self.lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")

    def rising(self, a_second):
        return int(a_second * self.seconds)

    def counter(self, name, *rows):
        self.family(name, "counter")
        for a_second, labels in rows:
            self.sample(name, self.rising(a_second), **labels)

    def gauge(self, name, *rows):
        gone = {"missing": "mcp_tasks_running", "novalue": "mcp_vitals_build_info"}
        if name == gone.get(BREAK):
            return
        self.family(name, "gauge")
        for value, labels in rows:
            self.sample(name, value, **labels)

    def histogram(self, name, *rows):
        self.family(name, "histogram")
        for count, labels in rows:
            for index, bound in enumerate(BOUNDS):
                share = count * (index + 1) // len(BOUNDS)
                if BREAK == "bucket" and index == 1:
                    share = 0
                self.sample(f"{name}_bucket", share, **labels, le=bound)
            self.sample(f"{name}_sum", count / 10, **labels)
            self.sample(f"{name}_count", count + (BREAK == "count"), **labels)


def requests(seconds):
    for (tool, operation), rates in REQUESTS.items():
        for status in ("success", "error", "cancelled"):
            yield tool, operation, status, int(rates.get(status, 0) * seconds)


def render(seconds, load_over):
    page = Page(seconds)
    page.family("mcp_requests_total", "counter")
    totals = {}
    for tool, operation, status, count in requests(seconds):
        totals[tool, operation] = totals.get((tool, operation), 0) + count
        page.sample("mcp_requests_total", count, tool=tool, operation=operation, status=status)
    if BREAK == "twice":
        page.sample("mcp_requests_total", 1, tool="tools", operation="list", status="success")
    if BREAK == "histogram" and load_over:
        totals["tools", "list"] += 1
    page.histogram(
        "mcp_request_duration_seconds",
        *((count, {"tool": tool, "operation": op}) for (tool, op), count in totals.items()),
    )
    page.family("mcp_request_errors_total", "counter")
    for tool, operation, status, count in requests(seconds):
        if status == "error" and tool in ERROR_TYPES:
            labels = {"tool": tool, "operation": operation, "error_type": ERROR_TYPES[tool]}
            page.sample("mcp_request_errors_total", count, **labels)
    flying = 3 if BREAK == "flight" or not load_over else 0
    page.gauge("mcp_requests_in_flight", (flying, {"tool": "swarm_init"}))
    page.gauge("mcp_agents_active", (4, {"type": "coder", "status": "running"}))
    page.counter("mcp_agents_spawned_total", (9, {"type": "coder"}))
    if BREAK != "blind":
        page.counter("mcp_agents_failed_total", (1, {"type": "coder", "reason": "timeout"}))
    page.gauge("mcp_tasks_pending", (7, {"priority": "high"}))
    page.gauge("mcp_tasks_running", (2, {}))
    done = page.rising(12)
    page.histogram("mcp_task_duration_seconds", (done, {"task_type": "test", "status": "success"}))
    page.gauge("mcp_memory_usage_bytes", (3e7, {"type": "rss"}), (8e9, {"type": "total"}))
    page.counter(
        "mcp_memory_operations_total",
        (5, {"operation": "store", "status": "success"}),
        (1, {"operation": "store", "status": "error"}),
    )
    page.histogram(
        "mcp_neural_inference_duration_seconds", (done, {"model": "m", "operation": "predict"})
    )
    page.counter("mcp_neural_tokens_processed_total", (99, {"model": "m", "direction": "input"}))
    page.gauge("mcp_system_cpu_usage_percent", (12.5, {}))
    page.gauge("mcp_system_memory_usage_percent", (40, {}))
    page.counter("mcp_auth_attempts_total", (3, {"method": "token", "status": "failed"}))
    limited = "user_id" if BREAK != "label" else "user"
    page.counter("mcp_auth_rate_limit_exceeded_total", (1, {limited: "u"}))
    page.family("mcp_panics_total", "counter")
    page.sample("mcp_panics_total", 0, tool="swarm_init")
    if BREAK != "unborn" or PANICS:
        page.sample("mcp_panics_total", len(PANICS), tool="neural_predict")
    page.counter("mcp_cancellations_total", (1, {"tool": "swarm_init"}))
    page.gauge("mcp_sessions_active", (2, {}))
    page.counter("mcp_sessions_total", (1, {}))
    page.gauge("mcp_vitals_build_info", (1, {"version": "0.0.0"}))
    overflow = {"metric": "mcp_requests_total", "label": "tool"}
    page.counter("mcp_vitals_series_overflow_total", (0, overflow))
    for loss in ("values_cut", "lost", "refused", "clamped"):
        page.counter(f"mcp_vitals_{loss}_total", (0, {"metric": "mcp_requests_total"}))
    page.counter("mcp_vitals_mismatched_total", (0, {}))
    page.counter("mcp_vitals_common_lost_total", (0, {}))
    page.counter("mcp_vitals_unknown_tool_calls_total", (5, {"reason": "unknown"}))
    for name in ("memory_used_bytes", "memory_limit_bytes", "series", "shards", "shards_leased"):
        page.gauge(f"mcp_vitals_{name}", (9, {}))
    page.histogram("mcp_vitals_scrape_duration_seconds", (done, {}))
    lines = {"level": "info"}
    page.counter("mcp_vitals_log_lines_total", (50, {"sink": "file", **lines}))
    page.counter("mcp_vitals_log_lost_total", (0, {"place": "ring", "reason": "full", **lines}))
    page.gauge("mcp_vitals_log_queued_bytes", (0, {"sink": "file"}))
    page.counter("mcp_vitals_spans_total", (70, {}))
    page.counter("mcp_vitals_span_lost_total", (0, {"place": "ring", "reason": "full"}))
    page.counter("process_cpu_seconds_total", (1, {}))
    page.gauge("process_start_time_seconds", (1.7e9, {}))
    if BREAK == "unnamed":
        page.gauge("mcp_vitals_surprise", (1, {}))
    # Every second scrape shows one counter at 1.
    SCRAPES.append(seconds)
    if BREAK == "back" and len(SCRAPES) % 2:
        page.lines = [
            line.rsplit(" ", 1)[0] + " 1" if line.startswith("mcp_agents_spawned_total{") else line
            for line in page.lines
        ]
    return "\n".join(page.lines) + "\n"


class Load:
    """When the load began, and how long it has gone on."""

    def __init__(self, duration):
        self.duration = duration
        self.began = threading.Event()
        self.start = None

    def scraped(self, agent):
        """Where Prometheus is missing, the harness's own scrapes come later than its first."""
        if not self.began.is_set() and (agent.startswith("Prometheus") or len(SCRAPES) > 5):
            self.start = time.monotonic()
            self.began.set()

    def passed(self):
        return time.monotonic() - self.start if self.began.is_set() else 0


def seconds_of(text):
    return float(text.rstrip("sm")) * (60 if text.endswith("m") else 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["demo"])
    for option in ("mcp", "metrics", "rate", "tally", "log-file", "log-level", "trace-file"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--duration", type=seconds_of, default=0.0)
    parser.add_argument("--linger", type=seconds_of)
    parser.add_argument("--no-load", action="store_true")
    options = parser.parse_args()
    if BREAK == "start":
        sys.exit("no")

    load = Load(options.duration)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - the base class's name
            load.scraped(self.headers.get("User-Agent", ""))
            passed = load.passed()
            body = render(min(passed, options.duration), passed > options.duration).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):  # noqa: N802 - the base class's name
            """An MCP server whose one tool panics."""
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": request.get("id"), "result": {}}
            if request["method"] == "tools/call":
                PANICS.append(request)
                answer = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603}}
            body = json.dumps(answer, separators=(",", ":")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Mcp-Session-Id", "one")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    print(f"mcp: {address}/mcp\nmetrics: {address}/metrics", file=sys.stderr, flush=True)
    if BREAK == "stdout":
        print("{}", flush=True)
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    if options.no_load:
        stopped.wait()
    load.began.wait(60)
    stopped.wait(options.duration)
    if BREAK != "notally":
        rows = [
            {"tool": tool, "operation": operation, "status": status, "count": count}
            for tool, operation, status, count in requests(options.duration)
        ]
        if BREAK == "tally":
            rows[3]["count"] += 1
        with open(options.tally + ".new", "w") as file:
            json.dump({"requests": rows}, file)
        os.rename(options.tally + ".new", options.tally)
    stopped.wait(options.linger)
    sys.exit(3 if BREAK == "exit" else 0)


if __name__ == "__main__":
    main()

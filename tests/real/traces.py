"""OTLP against what others wrote: gRPC's own server in Python with OpenTelemetry's messages, and rotel.

    python tests/real/traces.py [PROGRAM]

PROGRAM is the built example otlp_spans; cargo builds it otherwise. It sends the same spans by HTTP in protobuf and JSON, by gRPC and into a file; every field of them is
checked, as it arrives here and as rotel, a collector, passes it on. Checks are reported and parts that
are missing treated as in run.py.
"""

import argparse
import base64
import contextlib
import gzip
import http.server
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from run import ROOT, Report
from servers import LOOPBACK, Failure, Server, free_port, wait_until

try:
    import grpc
    from concurrent import futures
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc
    from opentelemetry.proto.trace.v1 import trace_pb2
except ImportError:
    grpc = None

PARTS = Path(os.environ.get("MCP_VITALS_PARTS") or ROOT / "target/parts").resolve()
MANY = 1000
TRACE, REMOTE = b"0123456789abcdef", b"remotely"
# W3C's sampled, OTLP's "is known to be remote" and "is".
REMOTE_FLAGS, LOCAL_FLAGS = 0x301, 0x101
KEY = "open sesame"


def rotel():
    found = list(PARTS.glob("venv/lib/python3*/site-packages/rotel/rotel-agent"))
    return found[0] if found else None


class Receiver:
    """Keeps what arrives, and answers as it was told to."""

    def __init__(self, answers=()):
        self.lock = threading.Lock()
        self.requests = []
        self.keys = set()
        self.answers = list(answers)

    def take(self, request, key):
        """What to answer: a status' name, a number of spans to reject, or nothing."""
        with self.lock:
            answer = self.answers.pop(0) if self.answers else None
            self.keys.add(key)
            if not isinstance(answer, str):
                self.requests.append(request)
            return answer

    def spans(self):
        with self.lock:
            return sum(len(s.spans) for r in self.requests for rs in r.resource_spans
                       for s in rs.scope_spans)  # fmt: skip


def answer_of(rejected):
    answer = service.ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = "too many"
    return answer


@contextlib.contextmanager
def grpc_receiver(receiver, port=0):
    class Service(service_grpc.TraceServiceServicer):
        def Export(self, request, context):
            key = dict(context.invocation_metadata()).get("x-key")
            answer = receiver.take(request, key)
            if isinstance(answer, str):
                context.abort(getattr(grpc.StatusCode, answer), "as it was told to")
            return answer_of(answer)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_grpc.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port(f"{LOOPBACK}:{port}")
    server.start()
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.stop(1).wait()


@contextlib.contextmanager
def http_receiver(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path != "/v1/traces":
                self.send_error(404)
            elif self.headers["content-type"] == "application/json":
                answer = answer_of(receiver.take(of_json(body), self.headers["x-key"]))
                self.reply("application/json", json_format.MessageToJson(answer).encode())
            else:
                request = service.ExportTraceServiceRequest.FromString(body)
                answer = answer_of(receiver.take(request, self.headers["x-key"]))
                self.reply("application/x-protobuf", answer.SerializeToString())

        def reply(self, content_type, body):
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def of_json(body):
    """OTLP's JSON as its messages: as protobuf's own JSON but for ids, which are hexadecimal."""
    def with_base64(node):
        if isinstance(node, list):
            return [with_base64(item) for item in node]
        if not isinstance(node, dict):
            return node
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else with_base64(value)
            for key, value in node.items()
        }

    # A field that the messages do not have is an error.
    return json_format.ParseDict(with_base64(json.loads(body)), service.ExportTraceServiceRequest())


def values(attributes):
    found = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    if len(found) != len(attributes):
        raise Failure(f"a key is there twice: {[pair.key for pair in attributes]}")
    return found


def differences(what, found, expected):
    return [
        f"{what}: {key} is {found.get(key, 'missing')!r}, not {value!r}"
        for key, value in expected.items()
        if key not in found or found[key] != value or type(found[key]) is not type(value)
    ]


def problems(requests, way):
    """Every field of the spans of examples/otlp_spans.rs."""
    # JSON has no such number.
    infinite = "Infinity" if "json" in way else math.inf
    spans, found = {}, []
    for request in requests:
        for group in request.resource_spans:
            found += differences("resource", values(group.resource.attributes), {
                "service.name": "otlp_spans", "service.version": "1.2.3",
                "telemetry.sdk.name": "mcp-vitals", "telemetry.sdk.language": "rust",
                "deployment.environment.name": 'test "1"', "shard": 7,
                "process.executable.name": "otlp_spans",
            })  # fmt: skip
            for scope in group.scope_spans:
                if len(scope.spans) > 512:
                    found.append(f"{len(scope.spans)} spans in a request")
                for span in scope.spans:
                    spans.setdefault((scope.scope.name, span.name), []).append(span)
    ids = {span.span_id for group in spans.values() for span in group}
    counts = {key: len(group) for key, group in spans.items()}
    full_key, child_key, many_key = ("full", "full æ€😀"), ("full", "child"), ("many", "many")
    if counts != {full_key: 1, child_key: 1, many_key: MANY} or len(ids) != MANY + 2:
        return found + [f"{len(ids)} ids of {counts}"]
    at = sorted(values(span.attributes)["at"] for span in spans[many_key])
    if at != list(range(MANY)):
        found.append(f"not each of the many once: {at}")
    for span in spans[many_key]:
        if span.flags & 0x3FD != LOCAL_FLAGS or span.parent_span_id or span.HasField("status"):
            found.append(f"one of the many: {span}")
    [full], [child] = spans[full_key], spans[child_key]
    return found + full_problems(full, infinite) + child_problems(child, full)


def full_problems(span, infinite):
    found = differences("full", {
        "trace": span.trace_id, "parent": span.parent_span_id, "kind": span.kind,
        "flags": span.flags & 0x3FF, "status": span.status.code, "message": span.status.message,
        "dropped": [span.dropped_attributes_count, span.dropped_events_count,
                    span.dropped_links_count],
        "order": span.start_time_unix_nano <= span.events[0].time_unix_nano
        <= span.events[1].time_unix_nano <= span.end_time_unix_nano,
    }, {
        "trace": TRACE, "parent": REMOTE, "kind": trace_pb2.Span.SPAN_KIND_SERVER,
        "flags": REMOTE_FLAGS, "status": trace_pb2.Status.STATUS_CODE_ERROR,
        "message": "no such table", "dropped": [0, 4, 0], "order": True,
    })  # fmt: skip
    expected = {
        "text": 'with "quotes",\nlines and æ€😀', "long": "0123456789" * 40, "yes": True,
        "minus": -3, "most": 2**63 - 1, "beyond": str(2**64 - 1), "half": 0.5, "endless": infinite,
        "key": "[redacted]", "raw": b"\x00\xff\x07",
    }  # fmt: skip
    attributes = values(span.attributes)
    found += differences("attribute", attributes, expected)
    if list(attributes) != list(expected):
        found.append(f"the attributes are {list(attributes)}")
    names = [event.name for event in span.events]
    if names != ["cache miss", "exception"] + [f"event {at}" for at in range(126)]:
        found.append(f"the events are {names}")
    found += differences("event", values(span.events[0].attributes), {"rows": 3, "hot": False})
    exception = values(span.events[1].attributes)
    found += differences("exception", exception, {"exception.message": "no such table"})
    if not exception.get("exception.type", "").endswith("io::error::Error"):
        found.append(f"the exception is {exception}")
    [link] = span.links
    found += differences("link", {
        "trace": link.trace_id, "span": link.span_id, "flags": link.flags & 0x3FF,
    } | values(link.attributes), {
        "trace": TRACE, "span": REMOTE, "flags": REMOTE_FLAGS, "why": "retry",
    })  # fmt: skip
    return found


def child_problems(span, parent):
    return differences("child", {
        "trace": span.trace_id, "parent": span.parent_span_id, "kind": span.kind,
        "flags": span.flags & 0x3FF, "status": span.status.code, "attributes": len(span.attributes),
    }, {
        "trace": TRACE, "parent": parent.span_id, "kind": trace_pb2.Span.SPAN_KIND_CLIENT,
        "flags": LOCAL_FLAGS, "status": trace_pb2.Status.STATUS_CODE_OK, "attributes": 0,
    })  # fmt: skip


def send(program, *arguments, **variables):
    """What the example says of its spans."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | variables
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, env=environment)  # fmt: skip
    if done.returncode or done.stdout:
        raise Failure(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    counted = {}
    for line in done.stderr.splitlines():
        if line.startswith("mcp_vitals_span"):
            name, _, value = line.rpartition(" ")
            counted[name] = float(value)
    return counted


def exported(counted, way, spans, lost=None):
    """The counters say the same as the receiver."""
    found = {name: value for name, value in counted.items() if f'"{way}"' in name and value
             and ("_exported_total" in name or "_lost_total" in name)}  # fmt: skip
    expected = {f'mcp_vitals_span_exported_total{{exporter="{way}"}}': float(spans)}
    for reason, count in (lost or {}).items():
        name = f'mcp_vitals_span_lost_total{{place="{way}",reason="{reason}"}}'
        expected[name] = float(count)
    return [] if found == expected else [f"counted {found}, not {expected}"]


def direct(program, way):
    receiver = Receiver()
    open_receiver = grpc_receiver if way == "grpc" else http_receiver
    with open_receiver(receiver) as url:
        counted = send(program, way, url)
    found = problems(receiver.requests, way) + exported(counted, "otlp", MANY + 2)
    if receiver.keys != {KEY}:
        found.append(f"the key was {receiver.keys}")
    return found


def by_variables(program, protocol):
    receiver = Receiver()
    open_receiver = grpc_receiver if protocol == "grpc" else http_receiver
    with open_receiver(receiver) as url:
        counted = send(
            program, "env", OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_HEADERS="x-key=open%20sesame", OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_SERVICE_NAME="not this one",
        )  # fmt: skip
    found = problems(receiver.requests, protocol) + exported(counted, "otlp", MANY + 2)
    if receiver.keys != {KEY}:
        found.append(f"the key was {receiver.keys}")
    return found


def in_a_file(program, folder):
    path = folder / "traces.jsonl"
    counted = send(program, "file", path)
    lines = path.read_bytes().split(b"\n")
    found = [] if lines.pop() == b"" else ["the last line has no end"]
    return found + problems([of_json(line) for line in lines], "json") + exported(counted, "file", MANY + 2)


def with_faults(program):
    receiver = Receiver(["UNAVAILABLE", "ABORTED"])
    with grpc_receiver(receiver) as url:
        counted = send(program, "grpc", url)
    found = problems(receiver.requests, "grpc") + exported(counted, "otlp", MANY + 2)

    # Nobody is there at first.
    receiver, port = Receiver(), free_port()
    with contextlib.ExitStack() as stack:
        begin = threading.Timer(1, lambda: stack.enter_context(grpc_receiver(receiver, port)))
        begin.start()
        counted = send(program, "grpc", f"http://{LOOPBACK}:{port}")
        begin.join()
    found += problems(receiver.requests, "grpc") + exported(counted, "otlp", MANY + 2)

    # The first request never comes again, and what it had is counted.
    receiver = Receiver(["INVALID_ARGUMENT"])
    with grpc_receiver(receiver) as url:
        counted = send(program, "grpc", url)
    arrived = receiver.spans()
    found += exported(counted, "otlp", arrived, {"refused": MANY + 2 - arrived})
    if not 0 < arrived < MANY + 2:
        found.append(f"{arrived} arrived though some were refused")

    for open_receiver, way in ((grpc_receiver, "grpc"), (http_receiver, "http"),
                               (http_receiver, "json")):  # fmt: skip
        receiver = Receiver([5])
        with open_receiver(receiver) as url:
            counted = send(program, way, url)
        found += exported(counted, "otlp", MANY + 2 - 5, {"refused": 5})
    return found


def through_rotel(program, way, folder):
    receiver = Receiver()
    with grpc_receiver(receiver) as url:
        grpc_port, http_port = free_port(), free_port()
        argv = [
            rotel(), "start", "--pid-file", folder / "rotel.pid", "--log-file", folder / "rotel.log",
            "--otlp-grpc-endpoint", f"{LOOPBACK}:{grpc_port}",
            "--otlp-http-endpoint", f"{LOOPBACK}:{http_port}",
            "--exporter", "otlp", "--otlp-exporter-endpoint", url,
            "--otlp-exporter-protocol", "grpc",
        ]  # fmt: skip
        with Server("rotel", argv, folder) as server:
            for port in (grpc_port, http_port):
                wait_until("rotel listens",
                           lambda port=port: socket.create_connection((LOOPBACK, port), 1).close()
                           or True, 20, [server])  # fmt: skip
            port = grpc_port if way == "grpc" else http_port
            counted = send(program, way, f"http://{LOOPBACK}:{port}")
            wait_until("all spans came through rotel", lambda: receiver.spans() >= MANY + 2, 30,
                       [server])  # fmt: skip
    return problems(receiver.requests, way) + exported(counted, "otlp", MANY + 2)


def build():
    said = subprocess.run(
        ["cargo", "build", "--quiet", "--example", "otlp_spans", "--features", "otlp,otlp-grpc",
         "--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    built = [json.loads(line) for line in said.splitlines()]
    return next(message["executable"] for message in built if message.get("executable"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    arguments = parser.parse_args()
    report = Report()
    if grpc is None:
        report.missing("OTLP", ["the Python packages grpcio and opentelemetry-proto"])
        return report.close()
    program = Path(arguments.program or build()).resolve()
    with tempfile.TemporaryDirectory(prefix="mcp-vitals-traces-") as folder:
        folder = Path(folder)
        for way in ("http", "json", "grpc"):
            report.check(f"OTLP {way}: every field", lambda way=way: direct(program, way))
        for protocol in ("http/protobuf", "http/json", "grpc"):
            report.check(f"OTLP by variables, {protocol}",
                         lambda protocol=protocol: by_variables(program, protocol))  # fmt: skip
        report.check("OTLP in a file", lambda: in_a_file(program, folder))
        report.check("OTLP with faults", lambda: with_faults(program))
        for way in ("http", "json", "grpc"):
            if rotel() is None:
                report.missing(f"rotel, {way}", ["rotel"])
                continue
            report.check(f"rotel, {way}: every field",
                         lambda way=way: through_rotel(program, way, folder))  # fmt: skip
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

"""One trace through three parties: a Python MCP client, the traced example server, and a Python HTTP
server that the example calls. What each of them saw has to agree.

    traces.py stdio|http SERVER_BINARY

The client's SDK puts the context into `_meta` by itself, by OpenTelemetry's own propagators; the
spans are read from the file that the server exports.
"""

import asyncio
import contextlib
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

CALLER = 0x00F067AA0BA902B7
SAMPLED, UNSAMPLED = 0x0AF7651916CD43DD8448EB211C80319C, 0x0BF7651916CD43DD8448EB211C80319C
MALFORMED = "00-0AF7651916CD43DD8448EB211C80319D-00F067AA0BA902B7-01"


class Documents(http.server.BaseHTTPRequestHandler):
    """The third party: answers everything and remembers what it was sent."""

    seen = []

    def do_GET(self):
        self.seen.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
        self.send_response(200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"text")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def documents():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Documents)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def within(trace_id, flags):
    """A span of the client's application is current."""
    span = SpanContext(
        trace_id, CALLER, False, TraceFlags(flags), TraceState([("vendor", "t61"), ("a@b", "1")])
    )
    current = trace.set_span_in_context(NonRecordingSpan(span))
    # Not a space, which OpenTelemetry's Python writes as a plus, and W3C does not.
    token = context.attach(baggage.set_baggage("tenant", "blue/one", current))
    try:
        yield
    finally:
        context.detach(token)


async def call(session, url, **more):
    answer = await session.call_tool("fetch", {"url": url}, **more)
    assert not answer.is_error and answer.content[0].text == "text", answer


async def drive(session, url):
    await session.initialize()
    # Or it does so by itself, when it first calls a tool.
    await session.list_tools()
    with within(SAMPLED, 1):
        await call(session, f"{url}/sampled")
    with within(UNSAMPLED, 0):
        await call(session, f"{url}/unsampled")
    await call(session, f"{url}/malformed", meta={"traceparent": MALFORMED})


def exported(path):
    """The spans in a file of OTLP's JSON, a request a line."""
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            service = [a for a in resource["resource"]["attributes"] if a["key"] == "service.name"]
            assert service[0]["value"]["stringValue"] == "traced-server", resource["resource"]
            for scope in resource["scopeSpans"]:
                yield from scope["spans"]


def attributes(span):
    return {a["key"]: next(iter(a["value"].values())) for a in span.get("attributes", [])}


def same(what, found, wanted):
    assert found == wanted, f"{what} is {found!r}, not {wanted!r}"


def check(spans, transport):
    seen = dict(Documents.seen)
    same("documents that were fetched", sorted(seen), ["/malformed", "/sampled", "/unsampled"])
    of = lambda path: seen[path]["traceparent"].split("-")
    chain = lambda trace_id: {s["name"]: s for s in spans if s["traceId"] == trace_id}

    # The client's span, the request's, the tool's, the call's, the HTTP server's: one below the other.
    ours = chain(f"{SAMPLED:032x}")
    same("spans of the trace", sorted(ours), ["GET", "fetch_document", "tools/call fetch"])
    request, tool, get = ours["tools/call fetch"], ours["fetch_document"], ours["GET"]
    same("the request's parent", request["parentSpanId"], f"{CALLER:016x}")
    same("the tool's parent", tool["parentSpanId"], request["spanId"])
    same("the call's parent", get["parentSpanId"], tool["spanId"])
    same("what was sent on", of("/sampled")[:3], ["00", f"{SAMPLED:032x}", get["spanId"]])
    same("the flag", int(of("/sampled")[3], 16) & 1, 1)
    same("the tracestate sent on", seen["/sampled"]["tracestate"], "vendor=t61,a@b=1")
    same("the request's tracestate", request["traceState"], "vendor=t61,a@b=1")
    same("the kinds", (request["kind"], tool["kind"], get["kind"]), (2, 1, 3))
    from_header = baggage.get_all(_extract(seen["/sampled"]))
    same("the baggage sent on", dict(from_header), {"tenant": "blue/one"})
    same("the tool's tenant", attributes(tool)["tenant"], "blue/one")
    described = attributes(request)
    same("the tool's name", described["gen_ai.tool.name"], "fetch")
    same("the transport", described["network.transport"], {"stdio": "pipe", "http": "tcp"}[transport])
    assert "jsonrpc.request.id" in described and "mcp.protocol.version" in described, described
    same("a session", "mcp.session.id" in described, transport == "http")
    for outer, inner in [(request, tool), (tool, get)]:
        inside = int(outer["startTimeUnixNano"]) <= int(inner["startTimeUnixNano"])
        assert inside and int(inner["endTimeUnixNano"]) <= int(outer["endTimeUnixNano"]), (outer, inner)

    # Not sampled: passed on as such, recorded nowhere.
    same("the unsampled trace", of("/unsampled")[1], f"{UNSAMPLED:032x}")
    same("its flag", int(of("/unsampled")[3], 16) & 1, 0)
    same("its spans", chain(f"{UNSAMPLED:032x}"), {})

    # Malformed: a trace of its own.
    new = of("/malformed")[1]
    assert new.lower() not in MALFORMED.lower(), new
    same("the spans of a new trace", sorted(chain(new)), ["GET", "fetch_document", "tools/call fetch"])
    assert not chain(new)["tools/call fetch"].get("parentSpanId"), "it has a parent"
    return ours


def _extract(headers):
    from opentelemetry.propagate import extract

    return extract(headers)


async def over_stdio(binary, file, url):
    server = StdioServerParameters(command=binary, args=[str(file)])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await drive(session, url)


async def over_http(binary, file, url):
    server = subprocess.Popen([binary, str(file), "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        line = await asyncio.to_thread(server.stderr.readline)
        assert line.startswith("mcp: "), line
        async with streamable_http_client(line[5:].strip()) as (read, write, *_):
            async with ClientSession(read, write) as session:
                await drive(session, url)
    finally:
        server.send_signal(2)
        server.wait(60)


async def main(transport, binary):
    with tempfile.TemporaryDirectory() as folder, documents() as url:
        file = pathlib.Path(folder) / "traces.jsonl"
        binary = str(pathlib.Path(binary).resolve())
        await {"stdio": over_stdio, "http": over_http}[transport](binary, file, url)
        # The server writes what is left when it ends.
        for _ in range(300):
            spans = list(exported(file)) if file.exists() else []
            if sum(span["name"] == "GET" for span in spans) == 2:
                break
            await asyncio.sleep(0.1)
        ours = check(spans, transport)
        print(f"ok: one trace through three parties, {transport}: {len(ours)} spans of the server")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Spans in a store that is asked what it has: Phoenix, as its package has it.

    python tests/real/phoenix.py BINARY [PROGRAM]

BINARY is the built mcp-vitals: its demo sends spans by HTTP in protobuf, and writes the same spans
into a file. PROGRAM is the built example otlp_spans, which does so by gRPC; cargo builds it otherwise.
What Phoenix says it holds is compared with the file, span by span. Checks are reported and parts that
are missing treated as in run.py.

Phoenix keeps times to the microsecond. Of OTLP it keeps no kind (it has kinds of its own, which it
reads from the attributes of `gen_ai`), no links, flags, trace state or dropped counts, and nothing of
the resource and the scope; nor a span that has bytes as an attribute. So none of that is asked for.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from run import Report
from servers import (
    LOOPBACK, Failure, Server, fetch_json, free_port, wait_until, workspace,
)  # fmt: skip
from traces import PARTS, build

PHOENIX = PARTS / "phoenix/bin/phoenix"
# It is a large program, and puts spans into its database on its own time.
STARTS, STORES = 240, 120
STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
CLOSE = 1_000  # nanoseconds
# What Phoenix adds to what it is given, in its own words.
SAME = {
    "tool.name": "gen_ai.tool.name",
    "llm.model_name": "gen_ai.request.model",
    "llm.token_count.prompt": "gen_ai.usage.input_tokens",
    "llm.token_count.completion": "gen_ai.usage.output_tokens",
}
ITS_KINDS = {"gen_ai.tool.name": "TOOL", "gen_ai.request.model": "LLM"}


class Phoenix(Server):
    def __init__(self, folder):
        http, grpc = free_port(), free_port()
        self.url, self.grpc = (f"http://{LOOPBACK}:{port}" for port in (http, grpc))
        own = {
            "PHOENIX_WORKING_DIR": folder / "phoenix", "PHOENIX_HOST": LOOPBACK,
            # Its gRPC listens on every address: it has no setting for that.
            "PHOENIX_PORT": http, "PHOENIX_GRPC_PORT": grpc,
            "PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            "PHOENIX_DISABLE_AGENT_ASSISTANT": "true", "PHOENIX_ENABLE_MCP_SERVER": "false",
        }  # fmt: skip
        # pip compiled nothing: what its first start compiles is for the next one.
        foreign = ("PHOENIX_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        environment |= {key: str(value) for key, value in own.items()}
        super().__init__("phoenix", [PHOENIX, "serve"], folder, environment=environment)

    def spans(self, **asked):
        """All spans for which that is so."""
        found = []
        while True:
            page = fetch_json(f"{self.url}/v1/projects/default/spans", limit=500, **asked)
            found += page["data"]
            if not page["next_cursor"]:
                return found
            asked["cursor"] = page["next_cursor"]

    def new(self, count, known):
        """The spans that are not `known`, once there are so many, or when patience ends."""
        found = []

        def there():
            found[:] = [span for span in self.spans() if span["context"]["span_id"] not in known]
            return len(found) >= count

        try:
            wait_until(f"{count} spans in Phoenix", there, STORES, [self], every=0.5)
        except Failure:
            pass  # who compares can say which are missing
        return found


def attributes(pairs):
    """OTLP's pairs in JSON as a dict."""
    of = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float}
    found = {}
    for pair in pairs:
        [(kind, value)] = pair["value"].items()
        if kind not in of or pair["key"] in found:
            raise Failure(f"a store of JSON has no {pair}, or it is there twice")
        found[pair["key"]] = of[kind](value)
    return found


def read(path):
    """The spans of a file of OTLP in JSON, as `differences` wants them."""
    return [
        {
            "trace": span["traceId"], "id": span["spanId"], "parent": span.get("parentSpanId") or None,
            "name": span["name"], "status": STATUS[span.get("status", {}).get("code", 0)],
            "message": span.get("status", {}).get("message", ""),
            "start": int(span["startTimeUnixNano"]), "end": int(span["endTimeUnixNano"]),
            "attributes": attributes(span.get("attributes", ())),
            "events": [
                (event["name"], int(event["timeUnixNano"]), attributes(event.get("attributes", ())))
                for event in span.get("events", ())
            ],
        }
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]  # fmt: skip


def nanos(text):
    """`2026-11-23T06:40:07.240178+00:00` since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * 1_000


def stored(span):
    """One of Phoenix's spans in the same form, and the kind that it gave it."""
    return {
        "trace": span["context"]["trace_id"], "id": span["context"]["span_id"],
        "parent": span["parent_id"], "name": span["name"], "status": span["status_code"],
        "message": span["status_message"], "start": nanos(span["start_time"]),
        "end": nanos(span["end_time"]), "attributes": span["attributes"],
        "events": [
            (event["name"], nanos(event["timestamp"]), event["attributes"])
            for event in span["events"]
        ],
        "its kind": span["span_kind"],
    }  # fmt: skip


def expected(span):
    """What Phoenix has of a span that it was given."""
    given = span["attributes"]
    added = {own: given[of] for own, of in SAME.items() if of in given}
    tokens = [added.get(f"llm.token_count.{of}") for of in ("prompt", "completion")]
    if None not in tokens:
        added["llm.token_count.total"] = sum(tokens)
    kind = next((kind for of, kind in ITS_KINDS.items() if of in given), "UNKNOWN")
    return span | {"attributes": given | added, "its kind": kind}


def typed(values):
    """True is not 1, nor is 1.0."""
    return {key: (type(value), value) for key, value in values.items()}


def differences(written, held):
    """Where Phoenix holds something else than was written, both in the form of `read`."""
    ids = [[span["id"] for span in spans] for spans in (written, held)]
    for what, found in zip(("written", "held"), ids):
        if len(set(found)) != len(found):
            yield f"{len(found) - len(set(found))} are {what} twice"
    if len(ids[0]) != len(ids[1]):
        yield f"{len(ids[0])} spans are written, {len(ids[1])} are held"
    by_id = {span["id"]: span for span in held}
    for span in written:
        if span["id"] not in by_id:
            yield f"not held: {span['name']} {span['id']}"
        else:
            yield from of_one(expected(span), by_id.pop(span["id"]))
    for span in by_id.values():
        yield f"not written: {span['name']} {span['id']}"


def of_one(written, held):
    where = f"{written['name']} {written['id']}"
    for key in ("trace", "parent", "name", "status", "message", "its kind"):
        if written[key] != held[key]:
            yield f"{where}: {key} is {held[key]!r}, not {written[key]!r}"
    for key in ("start", "end"):
        if abs(written[key] - held[key]) > CLOSE:
            yield f"{where}: {key} is {held[key]}, not {written[key]}"
    if typed(written["attributes"]) != typed(held["attributes"]):
        yield f"{where}: attributes are {held['attributes']}, not {written['attributes']}"
    if len(written["events"]) != len(held["events"]):
        yield f"{where}: {len(held['events'])} events, not {len(written['events'])}"
    for given, kept in zip(written["events"], held["events"]):
        same = given[0] == kept[0] and typed(given[2]) == typed(kept[2])
        if not same or abs(given[1] - kept[1]) > CLOSE:
            yield f"{where}: an event is {kept}, not {given}"


# A comparison of spans that have none of these would say little.
SORTS = {
    "a parent": lambda span: span["parent"],
    "no parent": lambda span: not span["parent"],
    "a failure": lambda span: span["status"] == "ERROR" and span["message"],
    "success": lambda span: span["status"] == "OK",
    "an event": lambda span: any(event[2] for event in span["events"]),
    "an exception": lambda span: any(event[0] == "exception" for event in span["events"]),
    "a number": lambda span: any(type(value) is int for value in span["attributes"].values()),
    "a fraction": lambda span: any(type(value) is float for value in span["attributes"].values()),
    "yes or no": lambda span: any(type(value) is bool for value in span["attributes"].values()),
    "a tool": lambda span: "gen_ai.tool.name" in span["attributes"],
    "a model": lambda span: "gen_ai.request.model" in span["attributes"],
}


def lacking(spans, sorts):
    return [f"no span has {sort}" for sort in sorts if not any(map(SORTS[sort], spans))]


def compare(phoenix, path, known, sorts):
    written = read(path)
    held = [stored(span) for span in phoenix.new(len(written), known)]
    found = lacking(written, sorts) + list(differences(written, held))
    # It finds them, too: those that failed, those that are nobody's child, those of a trace.
    longest = max((span["trace"] for span in written), key=[s["trace"] for s in written].count)
    for key, value, ours in (
        ("status_code", "ERROR", lambda span: span["status"] == "ERROR"),
        ("parent_id", "null", lambda span: not span["parent"]),
        ("trace_id", longest, lambda span: span["trace"] == longest),
    ):
        answer = {span["context"]["span_id"] for span in phoenix.spans(**{key: value})} - known
        wanted = {span["id"] for span in written if ours(span)}
        if answer != wanted:
            found.append(f"{key}={value} finds {len(answer)}, not the {len(wanted)} that are so")
    known |= {span["id"] for span in held}
    return found


def ran(*argv):
    """Runs it to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=180,
                          env=environment)  # fmt: skip
    if done.returncode or done.stdout:
        raise Failure(f"{argv[0]}: exit {done.returncode}\n{done.stdout}{done.stderr[-2000:]}")


def from_the_demo(binary, phoenix, folder, known):
    path = folder / "demo.jsonl"
    ran(binary, "demo", "--mcp", f"{LOOPBACK}:0", "--metrics", f"{LOOPBACK}:0", "--no-console",
        "--duration", "5s", "--rate", 50, "--seed", 1,
        "--otlp", phoenix.url, "--trace-file", path)  # fmt: skip
    sorts = ("a parent", "no parent", "a failure", "a number", "a tool", "a model")
    return compare(phoenix, path, known, sorts)


def by_grpc(program, phoenix, folder, known):
    path = folder / "example.jsonl"
    ran(program, "store", phoenix.grpc, path)
    sorts = ("a parent", "no parent", "a failure", "success", "an event", "an exception", "a number",
             "a fraction", "yes or no")  # fmt: skip
    return compare(phoenix, path, known, sorts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("program", nargs="?")
    arguments = parser.parse_args()
    report = Report()
    if not PHOENIX.is_file():
        report.missing("spans in a store", ["arize-phoenix"])
        return report.close()
    binary = Path(arguments.binary).resolve()
    program = Path(arguments.program or build()).resolve()
    with workspace(report) as (folder, stack):
        phoenix, known = Phoenix(folder), set()

        def starts():
            stack.enter_context(phoenix)
            phoenix.wait_ready(f"{phoenix.url}/healthz", STARTS)

        if report.check("Phoenix starts", starts):
            report.check("Phoenix holds the demo's spans, by HTTP",
                         lambda: from_the_demo(binary, phoenix, folder, known))  # fmt: skip
            report.check("Phoenix holds spans of every sort, by gRPC",
                         lambda: by_grpc(program, phoenix, folder, known))  # fmt: skip
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

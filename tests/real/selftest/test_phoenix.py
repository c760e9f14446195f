"""What compares a store with a file can fail: each field is wrong once, and it must say so.

    python -m unittest discover -s tests/real/selftest

Needs no Phoenix.
"""

import copy
import json
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import phoenix  # noqa: E402
from servers import Failure  # noqa: E402

START = 1_795_416_007_243_424_847


def pair(key, **value):
    return {"key": key, "value": value}


# Two spans as we write them, a failed tool call and the call of a model in it, and as Phoenix has them.
LINE = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "demo"}, "spans": [
    {
        "traceId": "5e582a707b12b14976c2a83e87bf935a", "spanId": "2056e9a727fe5cb7", "flags": 259,
        "name": "tools/call predict", "kind": 2,
        "startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 91_000_100),
        "attributes": [pair("gen_ai.tool.name", stringValue="predict"), pair("hot", boolValue=True),
                       pair("rows", intValue="9223372036854775807"), pair("share", doubleValue=0.5)],
        "events": [{"timeUnixNano": str(START + 1_000), "name": "exception",
                    "attributes": [pair("exception.message", stringValue="no answer")]}],
        "status": {"code": 2, "message": "no answer"},
    },
    {
        "traceId": "5e582a707b12b14976c2a83e87bf935a", "spanId": "6e0e870129861c1b",
        "parentSpanId": "2056e9a727fe5cb7", "flags": 259, "name": "inference", "kind": 3,
        "startTimeUnixNano": str(START + 5_000), "endTimeUnixNano": str(START + 6_000),
        "attributes": [pair("gen_ai.request.model", stringValue="small"),
                       pair("gen_ai.usage.input_tokens", intValue="3"),
                       pair("gen_ai.usage.output_tokens", intValue=4)],
    },
]}]}]}  # fmt: skip
HELD = [
    {
        "name": "inference", "span_kind": "LLM", "parent_id": "2056e9a727fe5cb7",
        "context": {"trace_id": "5e582a707b12b14976c2a83e87bf935a", "span_id": "6e0e870129861c1b"},
        "start_time": "2026-11-23T06:40:07.243430+00:00",
        "end_time": "2026-11-23T06:40:07.243431+00:00", "status_code": "UNSET", "status_message": "",
        "attributes": {"gen_ai.request.model": "small", "gen_ai.usage.input_tokens": 3,
                       "gen_ai.usage.output_tokens": 4, "llm.model_name": "small",
                       "llm.token_count.prompt": 3, "llm.token_count.completion": 4,
                       "llm.token_count.total": 7},
        "events": [],
    },
    {
        "name": "tools/call predict", "span_kind": "TOOL", "parent_id": None,
        "context": {"trace_id": "5e582a707b12b14976c2a83e87bf935a", "span_id": "2056e9a727fe5cb7"},
        "start_time": "2026-11-23T06:40:07.243425+00:00",
        "end_time": "2026-11-23T06:40:07.334425+00:00", "status_code": "ERROR",
        "status_message": "no answer",
        "attributes": {"gen_ai.tool.name": "predict", "tool.name": "predict", "hot": True,
                       "rows": 9223372036854775807, "share": 0.5},
        "events": [{"name": "exception", "timestamp": "2026-11-23T06:40:07.243426+00:00",
                    "attributes": {"exception.message": "no answer"}}],
    },
]  # fmt: skip


def written(line=LINE):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spans.jsonl"
        path.write_text(json.dumps(line) + "\n")
        return phoenix.read(path)


def compared(held):
    return list(phoenix.differences(written(), [phoenix.stored(span) for span in held]))


class Comparison(unittest.TestCase):
    # What is wrong in the tool's span -> what has to be said of it.
    WRONG = {
        "trace": (("context", "trace_id"), "0" * 32, "trace is '000"),
        "parent": (("parent_id",), "6e0e870129861c1b", "parent is '6e0e870129861c1b', not None"),
        "name": (("name",), "tools/call", "name is 'tools/call', not"),
        "start": (("start_time",), "2026-11-23T06:40:07.243427+00:00", "start is 17954160072434270"),
        "end": (("end_time",), "2026-11-23T06:40:07.334423+00:00", "end is 17954160073344230"),
        "status": (("status_code",), "UNSET", "status is 'UNSET', not 'ERROR'"),
        "message": (("status_message",), "", "message is '', not 'no answer'"),
        "its kind": (("span_kind",), "UNKNOWN", "its kind is 'UNKNOWN', not 'TOOL'"),
        "a value": (("attributes", "rows"), 9223372036854775806, "attributes are"),
        "a boolean that is 1": (("attributes", "hot"), 1, "attributes are"),
        "one too many": (("attributes", "more"), "yes", "attributes are"),
        "not as it reads ours": (("attributes", "tool.name"), "other", "attributes are"),
        "no events": (("events",), [], "0 events, not 1"),
        "an event's name": (("events", 0, "name"), "error", "an event is"),
        "an event's time": (
            ("events", 0, "timestamp"), "2026-11-23T06:40:07.243428+00:00", "an event is",
        ),
        "an event's attribute": (
            ("events", 0, "attributes", "exception.message"), "no answers", "an event is",
        ),
    }  # fmt: skip

    def test_what_is_as_it_was_written_is_no_difference(self):
        self.assertEqual(compared(HELD), [])

    def test_each_wrong_field_is_said(self):
        for what, (path, value, said) in self.WRONG.items():
            with self.subTest(what):
                held = copy.deepcopy(HELD)
                place = held[1]
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = value
                found = compared(held)
                self.assertEqual(len(found), 1, found)
                self.assertIn("tools/call predict 2056e9a727fe5cb7: " + said, found[0])

    def test_an_attribute_that_is_lost(self):
        for key in HELD[1]["attributes"]:
            held = copy.deepcopy(HELD)
            del held[1]["attributes"][key]
            self.assertEqual(len(compared(held)), 1, key)

    def test_a_span_that_is_lost_twice_there_or_nobodys(self):
        found = compared(HELD[1:])
        self.assertEqual(found[0], "2 spans are written, 1 are held")
        self.assertEqual(found[1], "not held: inference 6e0e870129861c1b")
        self.assertEqual(compared(HELD + HELD[:1])[0], "1 are held twice")
        other = copy.deepcopy(HELD[0])
        other["context"]["span_id"] = "7" * 16
        self.assertIn("not written: inference 7777777777777777", compared([*HELD, other]))


class File(unittest.TestCase):
    def test_what_json_cannot_hold_is_refused(self):
        for bad in ({"bytesValue": "AP8H"}, {"arrayValue": {}}):
            line = copy.deepcopy(LINE)
            span = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            span["attributes"].append({"key": "raw", "value": bad})
            with self.assertRaises(Failure):
                written(line)

    def test_spans_that_say_little_are_not_enough(self):
        self.assertEqual(phoenix.lacking(written(), ["a failure", "a parent", "a number"]), [])
        self.assertEqual(phoenix.lacking(written(), ["success"]), ["no span has success"])
        self.assertEqual(len(phoenix.lacking([], phoenix.SORTS)), len(phoenix.SORTS))


if __name__ == "__main__":
    unittest.main()

"""What is lost, doubled, torn or wrong on its way through a shipper must be said.

    python -m unittest discover -s tests/real/selftest
"""

import json
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import shippers  # noqa: E402

LINES = 40


def record(n, **changes):
    site = {"module": "log_flood", "function": "log_flood::main", "thread": "main"}
    time = {"timestamp": "2026-01-31T23:59:59.123456Z", "file": "log_flood.rs", "line": 7}
    return time | site | shippers.expected(n) | changes


def frame(line):
    priority = shippers.PRIORITY[line["level"]]
    header = f"<{priority}>1 {line['timestamp']} host mcp - - - "
    return (header + json.dumps(line, ensure_ascii=False)).encode()


FOREIGN = f"<132>1 2026-01-31T23:59:59.123456Z host mcp - - - {shippers.FOREIGN}".encode()


class Frames(unittest.TestCase):
    def setUp(self):
        self.frames = [frame(record(n)) for n in range(LINES)] + [FOREIGN]

    def said(self):
        return "\n".join(shippers.frame_problems(self.frames, LINES, "it"))

    def test_all_is_well(self):
        self.assertEqual(self.said(), "")

    def test_a_line_is_lost(self):
        del self.frames[17]
        self.assertIn("1 of 40 lines are missing, the first is 17", self.said())

    def test_a_line_comes_twice(self):
        self.frames.append(self.frames[3])
        self.assertIn("1 lines came more than once, the first is 3", self.said())

    def test_a_line_is_torn(self):
        self.frames[5] = self.frames[5][:-9]
        self.assertIn("it: ", self.said())

    def test_the_level_of_the_header_is_not_the_record_s(self):
        self.frames[0] = self.frames[0].replace(b"<135>", b"<134>")
        self.assertIn("priority 134 for debug", self.said())

    def test_a_request_id_is_wrong_or_gone(self):
        self.frames[8] = frame(record(8, request_id="req-1"))
        line = record(9)
        del line["request_id"]
        self.frames[9] = frame(line)
        self.assertIn("line 8 is", self.said())
        self.assertIn("line 9 is", self.said())

    def test_the_time_is_that_of_the_reading(self):
        self.frames[2] = self.frames[2].replace(b"1 2026-01-31", b"1 2026-02-01", 1)
        self.assertIn("the header is of 2026-02-01", self.said())

    def test_what_is_no_json_is_dropped(self):
        self.frames.pop()
        self.assertIn("the line that is no JSON arrived 0 times", self.said())


class Framing(unittest.TestCase):
    def received(self, sent):
        receiver = shippers.Receiver()
        with socket.create_connection((shippers.LOOPBACK, receiver.port)) as connection:
            connection.sendall(sent)
        shippers.wait_until("the connection", lambda: receiver.readers, 10)
        receiver.finish()
        receiver.close()
        return receiver.frames, bool(receiver.broken)

    def test_counted_or_ended_by_a_newline(self):
        frames = [b"<1>a\nb", b"<2>c"]
        self.assertEqual(self.received(b"6 <1>a\nb4 <2>c"), (frames, False))
        self.assertEqual(self.received(b"<2>c\n<3>d\n"), ([b"<2>c", b"<3>d"], False))

    def test_what_is_no_frame_is_said(self):
        self.assertEqual(self.received(b"9 <1>a"), ([], True))
        self.assertEqual(self.received(b"hello"), ([], True))

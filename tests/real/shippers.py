"""The shippers that can be had here, with the files of docs/shippers: rsyslog, syslog-ng, lnav.

    python tests/real/shippers.py [--static] [--lines N] [--rate N] [FLOOD]

examples/log_flood.rs writes a known number of lines through the crate into a file that is rolled
three times and more, while rsyslog and syslog-ng tail it and ship it, each to a receiver here; each
line must arrive once, parsed. lnav reads the rolled files. FLOOD is the built example; cargo builds it otherwise.
Checks are reported and parts that are missing treated as in run.py.
"""

import argparse
import collections
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from run import ROOT, Report
from servers import LOOPBACK, Failure, Server, wait_until

# Daemons live where not every user looks for commands.
os.environ["PATH"] += os.pathsep + "/usr/sbin"

PARTS = Path(os.environ.get("MCP_VITALS_PARTS") or ROOT / "target/parts").resolve()
SYSLOG_NG = PARTS / "syslog-ng/usr/sbin/syslog-ng"
SHIPPERS = ROOT / "docs" / "shippers"
LNAV_FORMAT = SHIPPERS / "mcp_vitals.lnav.json"
ROTATIONS = 3
# When a receiver pauses, and for how long.
PAUSE_AFTER, PAUSE_SECONDS = 1_000, 1.5
# RFC 5424: facility local0, and the severity of each level.
PRIORITY = {"error": 131, "warn": 132, "info": 134, "debug": 135, "trace": 135}
LNAV_LEVEL = {"warn": "warning"}
# What somebody else wrote into the file.
FOREIGN = "not JSON {"
HEADER = re.compile(rb"<(\d+)>1 (\S+) \S+ mcp - - - (.*)", re.S)


def expected(n):
    """What log_flood writes in line `n`, but for the time and the call site."""
    request = n // 4
    line = {
        "request_id": f"req-{request}", "user_id": "alice", "session_id": f"session-{request % 7}",
        "logger": "flood", "n": n, "tool": "search.query",
    }  # fmt: skip
    if n % 4 == 0:
        return line | {"level": "debug", "message": "request begins", "operation": "tools/call"}
    if n % 4 == 1:
        return line | {"level": "info", "message": 'read "index"\nsecond line\tof the message'}
    if n % 4 == 2:
        return line | {"level": "info", "message": "größer als ein Byte: 検索 🔎 \\", "ratio": 0.25}
    if request % 10 == 0:
        end = {"level": "error", "message": "request failed", "status": "error", "seconds": 1.5}
    elif request % 5 == 0:
        end = {"level": "warn", "message": "request was slow", "status": "ok", "seconds": 9.75}
    else:
        end = {"level": "info", "message": "request ends", "status": "ok", "seconds": 0.125}
    return line | end


def by_level(lines):
    return collections.Counter(expected(n)["level"] for n in range(lines))


def line_problems(line, where):
    """`line`, a parsed record, is the one that its number stands for."""
    n = line.get("n")
    if not isinstance(n, int) or isinstance(n, bool):
        return [f"{where}: no number: {line}"]
    call_site = {"module": "log_flood", "function": "log_flood::main", "thread": "main"}
    held = {
        key: value for key, value in line.items() if key not in ("timestamp", "file", "line")
    }
    if held != expected(n) | call_site:
        return [f"{where}: line {n} is {line}"]
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.get("timestamp", "")):
        return [f"{where}: line {n} has no time: {line}"]
    return []


def count_problems(numbers, lines, where):
    """Each of `lines` numbers is there once."""
    count = collections.Counter(numbers)
    missing = [n for n in range(lines) if not count[n]]
    twice = [n for n, times in count.items() if times > 1]
    if missing:
        yield f"{where}: {len(missing)} of {lines} lines are missing, the first is {missing[0]}"
    if twice:
        yield f"{where}: {len(twice)} lines came more than once, the first is {min(twice)}"
    if len(numbers) != lines and not (missing or twice):
        yield f"{where}: {len(numbers)} lines, not {lines}"


class Receiver:
    """A syslog server on TCP: takes frames, counted or ended by a newline (RFC 6587), and keeps them.

    It pauses once, as one does that is restarted: then queues fill, which is where lines get lost.
    """

    def __init__(self):
        self.frames = []
        self.broken = []
        self.readers = []
        self.paused = False
        self.listener = socket.create_server((LOOPBACK, 0))
        # Else what a pause holds back waits in the kernel.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                reader = threading.Thread(target=self.read, args=[connection], daemon=True)
                # Before it is in the list: `finish` joins what is there.
                reader.start()
                self.readers.append(reader)

    def read(self, connection):
        with connection, connection.makefile("rb") as stream:
            while byte := stream.read(1):
                if len(self.frames) >= PAUSE_AFTER and not self.paused:
                    self.paused = True
                    time.sleep(PAUSE_SECONDS)
                if byte == b"<":
                    self.frames.append(byte + stream.readline().removesuffix(b"\n"))
                    continue
                length = b""
                while byte.isdigit():
                    length += byte
                    byte = stream.read(1)
                frame = stream.read(int(length)) if byte == b" " and length else b""
                if not frame or len(frame) != int(length):
                    self.broken.append(f"no frame begins with {length + byte + frame[:80]!r}")
                    return
                self.frames.append(frame)

    def finish(self):
        """All that was sent before the sender ended."""
        for reader in self.readers:
            reader.join(30)

    def close(self):
        self.listener.close()


def frame_problems(frames, lines, where):
    """The header says what the record says, and each record is there once and whole."""
    numbers, foreign = [], 0
    for frame in frames:
        match = HEADER.fullmatch(frame)
        if not match:
            yield f"{where}: not the template's: {frame[:300]!r}"
            continue
        priority, timestamp, message = match.groups()
        if message.decode(errors="replace") == FOREIGN and int(priority) == PRIORITY["warn"]:
            foreign += 1
            continue
        try:
            line = json.loads(message)
        except ValueError as error:
            yield f"{where}: {error}: {message[:300]!r}"
            continue
        yield from line_problems(line, where)
        numbers.append(line.get("n"))
        if int(priority) != PRIORITY.get(line.get("level")):
            yield f"{where}: priority {priority.decode()} for {line.get('level')}"
        if timestamp.decode() != line.get("timestamp"):
            yield f"{where}: the header is of {timestamp.decode()}: {line}"
    yield from count_problems(numbers, lines, where)
    if foreign != 1:
        yield f"{where}: the line that is no JSON arrived {foreign} times"


def syslog_ng():
    """The command: install-parts.sh unpacks it, since Debian has it only instead of rsyslog."""
    modules = next(iter(sorted(PARTS.glob("syslog-ng/usr/lib/syslog-ng/[0-9]*"))), "")
    return [SYSLOG_NG, f"--module-path={modules}"]


def syslog_ng_environment():
    return os.environ | {"LD_LIBRARY_PATH": str(PARTS / "syslog-ng/usr/lib/syslog-ng")}


def ran(*argv, **options):
    """What a command says on stdout; a Failure if it does not succeed."""
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=120, **options
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise Failure(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{said}")
    return done.stdout


class Tailer:
    """A shipper that tails `log` and ships to a receiver of its own."""

    def __init__(self, name, log, folder, stack):
        self.name = name
        self.log = log
        self.folder = folder
        self.stack = stack
        self.receiver = Receiver()
        stack.callback(self.receiver.close)
        self.server = None
        self.meanwhile = 0

    def configuration(self, shipped, target, *changes):
        """A shipped file, with our paths and our receiver in it."""
        text = (SHIPPERS / shipped).read_text()
        changes += (("/var/log/mcp/server.log", self.log, 1), (*target, 2))
        for old, new, times in changes:
            if text.count(old) != times:
                raise Failure(f"{shipped} has {old!r} {text.count(old)} times, not {times}")
            text = text.replace(old, str(new))
        path = self.folder / shipped
        path.write_text(text)
        return path

    def start(self):
        getattr(self, "start_" + self.name.replace("-", "_"))()

    def start_rsyslog(self):
        spool = self.folder / "spool"
        spool.mkdir()
        port = f'target="{LOOPBACK}" port="{self.receiver.port}"'
        target = ('target="logs.example.net" port="6514"', port)
        config = self.configuration("rsyslog.conf", target, ("/var/spool/rsyslog", spool, 1))
        ran("rsyslogd", "-N1", "-f", config)
        pid = self.folder / "rsyslog.pid"
        self.run(["rsyslogd", "-n", "-i", pid, "-f", config], pid.exists)

    def start_syslog_ng(self):
        port = f'"{LOOPBACK}" port({self.receiver.port})'
        config = self.configuration("syslog-ng.conf", ('"logs.example.net" port(6514)', port))
        ran(*syslog_ng(), "--syntax-only", "-f", config, env=syslog_ng_environment())
        names = {"-R": "persist", "-p": "pid", "-c": "control"}
        files = [word for flag, name in names.items() for word in (flag, self.folder / f"ng.{name}")]
        argv = [*syslog_ng(), "-F", "--no-caps", "-f", config, *files]
        self.run(argv, (self.folder / "ng.control").exists, syslog_ng_environment())

    def run(self, argv, is_up, env=None):
        if env:
            argv = ["env", f"LD_LIBRARY_PATH={env['LD_LIBRARY_PATH']}", *argv]
        self.server = self.stack.enter_context(Server(self.name, argv, self.folder))
        wait_until(f"{self.name} is up", is_up, 20, [self.server])

    def tailed(self, lines):
        """While the file was written, not after: else the renames were not seen as they happened."""
        if self.meanwhile < lines // 4:
            yield f"{self.meanwhile} of {lines} lines arrived while they were written"

    def arrived(self, lines):
        """Each line once, and no more of them when the shipper has ended."""
        with contextlib.suppress(Failure):  # what is missing is said below
            wait_until("all lines", lambda: len(self.receiver.frames) > lines, 30, [self.server])
        code = self.server.stop(seconds=30)
        if code != 0:
            yield f"{self.name} ended with {code}:\n{self.server.tail()}"
        self.receiver.finish()
        yield from self.receiver.broken
        yield from frame_problems(self.receiver.frames, lines, self.name)


class Lnav:
    """lnav with a home of its own, into which the format is installed."""

    def __init__(self, folder):
        home = folder / "home"
        home.mkdir()
        # What XDG names would be used before the home.
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("XDG_")
        } | {"HOME": str(home), "TMPDIR": str(home), "TERM": "dumb"}

    def install(self):
        ran("lnav", "-i", LNAV_FORMAT, env=self.environment)
        ran("lnav", "-C", env=self.environment)

    def query(self, sql, *files):
        said = ran("lnav", "-n", "-c", f";{sql}", "-c", ":write-json-to -", *files,
                   env=self.environment)  # fmt: skip
        return json.loads(said)


class Live:
    """The file, who writes it, and who reads it."""

    def __init__(self, arguments, folder, stack):
        self.lines = arguments.lines
        self.rate = arguments.rate
        self.flood = arguments.flood and Path(arguments.flood).resolve()
        self.folder = folder
        self.log = folder / "server.log"
        self.tailers = [
            Tailer(name, self.log, folder, stack) for name in ("rsyslog", "syslog-ng")
        ]
        self.lnav = Lnav(folder)

    def build(self):
        if not self.flood:
            said = ran("cargo", "build", "--quiet", "--example", "log_flood",
                       "--message-format=json", cwd=ROOT)  # fmt: skip
            built = [json.loads(line) for line in said.splitlines()]
            self.flood = next(m["executable"] for m in built if m.get("executable"))

    def files(self):
        """The rolled files, the oldest first, and the live one."""
        rolled = sorted(self.folder.glob("server.log.*"))
        return [*rolled, self.log]

    def write(self):
        # A little over a quarter of all bytes a file: three rotations.
        rotate_bytes = self.lines * 97
        ran(self.flood, self.log, self.lines, self.rate, rotate_bytes)
        for tailer in self.tailers:
            tailer.meanwhile = len(tailer.receiver.frames)
        rolled = len(self.files()) - 1
        if rolled < ROTATIONS:
            yield f"the file was rolled {rolled} times, not {ROTATIONS}"
        names = [path.name for path in self.files()[:-1]]
        yield from (
            f"a rolled file is called {name}"
            for name in names
            if not re.fullmatch(r"server\.log\.\d{8}T\d{6}\.\d{6}Z", name)
        )
        # What is shipped is compared with this, so it has to be right itself.
        written = [
            json.loads(line)
            for path in self.files()
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]
        ]
        for line in written:
            yield from line_problems(line, "the file")
        yield from count_problems([line["n"] for line in written], self.lines, "the file")
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(FOREIGN + "\n")

    def counted_by_lnav(self):
        """Lines by level over the rolled files and the live one, and their request ids."""
        yield from self.levels_by_lnav()
        rows = self.lnav.query(
            "SELECT count(request_id) AS lines, count(DISTINCT request_id) AS ids FROM mcp_vitals",
            *self.files(),
        )
        ids = [{"lines": self.lines, "ids": (self.lines + 3) // 4}]
        if rows != ids:
            yield f"lnav has these request ids: {rows}, not {ids}"

    def levels_by_lnav(self):
        rows = self.lnav.query(
            "SELECT log_level, count(*) AS lines FROM mcp_vitals GROUP BY log_level", *self.files()
        )
        held = {row["log_level"]: row["lines"] for row in rows}
        wanted = {LNAV_LEVEL.get(level, level): n for level, n in by_level(self.lines).items()}
        wanted["invalid"] = 1  # the line that is no JSON
        if held != wanted:
            yield f"lnav counts {held}, not {wanted}"

    def counted_compressed(self):
        """The levels when the oldest file is a `.gz`, as `Compression::Gzip` leaves it.

        Not the ids: lnav 0.11.1 crashes where the first query of all reads a compressed file's
        fields, whatever its format.
        """
        oldest = self.files()[0]
        with gzip.open(f"{oldest}.gz", "wb") as packed:
            packed.write(oldest.read_bytes())
        oldest.unlink()
        return self.levels_by_lnav()


def static_checks(report, folder):
    report.check(
        "rsyslog takes the shipped configuration",
        lambda: ran("rsyslogd", "-N1", "-f", SHIPPERS / "rsyslog.conf") and None,
        "rsyslogd",
    )
    report.check("lnav takes the shipped format", lambda: Lnav(folder).install(), "lnav")


def live_checks(report, live):
    check, lines = report.check, live.lines
    if not check("the flood is built", live.build):
        return
    needs = {"rsyslog": "rsyslogd", "syslog-ng": str(SYSLOG_NG)}
    tailers = [
        tailer
        for tailer in live.tailers
        if check(f"{tailer.name} starts", tailer.start, needs[tailer.name])
    ]
    if not check(f"{lines} lines over {ROTATIONS} rotations", live.write):
        return
    for tailer in tailers:
        name = tailer.name
        check(f"{name} tails while they are written", lambda: tailer.tailed(lines))
        check(
            f"{name}: every line arrives once, parsed, with level and request id",
            lambda: tailer.arrived(lines),
        )
    if check("lnav installs the format", live.lnav.install, "lnav"):
        check("lnav: lines by level and request ids over the rolled files", live.counted_by_lnav)
        check("lnav: the levels with a compressed file", live.counted_compressed)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--static", action="store_true", help="only check the shipped files")
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=3_000, help="lines a second")
    parser.add_argument("flood", nargs="?", help="the built example log_flood")
    arguments = parser.parse_args()
    # SystemExit unwinds the stack below, so that no server outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    report = Report()
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mcp-vitals-shippers-"))
        keep = os.environ.get("MCP_VITALS_KEEP") == "1"
        stack.callback(lambda: keep or shutil.rmtree(folder, ignore_errors=True))
        if arguments.static:
            static_checks(report, folder)
        else:
            live_checks(report, Live(arguments, folder, stack))
        if keep:
            print(f"kept: {folder}")
    sys.exit(report.close())


if __name__ == "__main__":
    main()

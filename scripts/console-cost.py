#!/usr/bin/env python3
"""What the console costs a process: CPU of the demo without it, with it, and with one viewer.

    scripts/console-cost.py target/release/mcp-vitals [seconds]

Each is measured idle and at 1,000 requests a second: the whole process, and apart the two threads that
the console works on (its own, and the endpoint's, which nobody scrapes meanwhile). The viewer does what
the page does: it follows the state, and asks for the new points of the history with each.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.request

THREADS = ("mcp-vitals-cons", "mcp-vitals-http")


def cpu(pid):
    """Seconds on a processor: of the process, and of the console's two threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    every = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    ours = [task for task in tasks if (task / "comm").read_text().strip() in THREADS]
    return every, sum(int((task / "schedstat").read_text().split()[0]) for task in ours) / 1e9


def view(url, stop, seen):
    newest = 0.0
    with urllib.request.urlopen(url + "events") as events:
        for line in events:
            if stop.is_set():
                return
            if line.startswith(b"data: "):
                seen.append(len(line))
                asked = f"{url}api/history?range=fine&since={newest}"
                with urllib.request.urlopen(asked) as answer:
                    times = json.load(answer)["fine"]["t"]
                newest = times[-1] if times else newest


def measure(binary, arguments, console, viewer, seconds):
    command = [binary, "demo", "--mcp", "0", "--metrics", "0", *arguments]
    demo = subprocess.Popen(command + ([] if console else ["--no-console"]), stderr=subprocess.PIPE, text=True)
    try:
        url = None
        for line in demo.stderr:
            found = re.search(r"http://[^ ]*/console/", line)
            url = found.group(0) if found else url
            if "clients" in line:
                break
        threading.Thread(target=lambda: [None for _ in demo.stderr], daemon=True).start()
        stop, seen = threading.Event(), []
        if viewer:
            threading.Thread(target=view, args=(url, stop, seen), daemon=True).start()
        time.sleep(3)
        before, started = cpu(demo.pid), time.monotonic()
        time.sleep(seconds)
        after, took = cpu(demo.pid), time.monotonic() - started
        stop.set()
        return [(b - a) / took * 100 for a, b in zip(before, after)], seen
    finally:
        demo.terminate()
        demo.wait()


def main():
    binary, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    loads = {"idle": ["--no-load"], "1,000 requests/s": ["--rate", "1000", "--clients", "16"]}
    for load, arguments in loads.items():
        for name, console, viewer in (("off", False, False), ("nobody looks", True, False), ("one viewer", True, True)):
            (every, ours), seen = measure(binary, arguments, console, viewer, seconds)
            bytes_each = f", {sum(seen) // len(seen)} bytes a state" if seen else ""
            print(f"{load}, {name}: process {every:.2f} % of a core, console {ours:.3f} %{bytes_each}", flush=True)


main()

"""Waits until a server's metrics hold given counts: counts.py FILE_OR_URL tool,operation,status=N …"""

import pathlib
import sys
import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def read(where):
    if where.startswith("http"):
        with urllib.request.urlopen(where, timeout=10) as answer:
            return answer.read().decode()
    path = pathlib.Path(where)
    return path.read_text() if path.exists() else ""


def counts(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "mcp_requests_total":
                key = ",".join(sample.labels[name] for name in ("tool", "operation", "status"))
                found[key] = sample.value
    return found


where, *wanted = sys.argv[1:]
wanted = {key: float(count) for key, count in (pair.split("=") for pair in wanted)}
for _ in range(300):
    found = counts(read(where))
    wrong = {key: (found.get(key), count) for key, count in wanted.items() if found.get(key) != count}
    if not wrong:
        sys.exit(0)
    time.sleep(0.1)
sys.exit("\n".join(f"{key}: {is_}, not {should}" for key, (is_, should) in wrong.items()))

"""The configuration that we ship, changed where a test has to: other addresses, shorter times."""

import json
from pathlib import Path

from servers import LOOPBACK, Failure, Server, free_port

ROOT = Path(__file__).resolve().parents[2]
# Nobody listens there: what is sent is refused at once.
NOWHERE = f"{LOOPBACK}:1"


def changed(path, changes):
    """The text of `path` with each old part replaced; Failure unless it is there exactly once."""
    text = path.read_text()
    for old, new in changes.items():
        if text.count(old) != 1:
            raise Failure(f"{path.name} has {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


class Prometheus(Server):
    """A Prometheus with the shipped prometheus.yml that scrapes `target` each second."""

    def __init__(
        self, folder, target, alertmanager=NOWHERE, root=ROOT, rules=None, switched_on=()
    ):  # fmt: skip
        """`rules` are files that stand in for shipped ones: {"alerts/mcp.yml": path}; `switched_on`
        are those that are shipped as a comment: "slo"."""
        loaded = {name: root / name for name in ("alerts/mcp.yml", "alerts/engine.yml")}
        loaded |= rules or {}
        files = {f"\n  - {name}\n": f"\n  - {json.dumps(str(at))}\n" for name, at in loaded.items()}
        for name in (f"alerts/{name}.yml" for name in switched_on):
            files[f"\n  # - {name}\n"] = f"\n  - {json.dumps(str(root / name))}\n"
        text = changed(
            root / "prometheus.yml",
            {
                'targets: ["127.0.0.1:8080"]': f'targets: ["{target}"]',
                'targets: ["127.0.0.1:9093"]': f'targets: ["{alertmanager}"]',
                "scrape_interval: 5s": "scrape_interval: 1s",
                "scrape_timeout: 4s": "scrape_timeout: 1s",
                "evaluation_interval: 5s": "evaluation_interval: 1s",
                **files,
            },
        )
        config = folder / "prometheus.yml"
        config.write_text(text)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        argv = [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn",
        ]  # fmt: skip
        super().__init__("prometheus", argv, folder)

    def wait_up(self):
        return self.wait_ready(f"{self.url}/-/ready")

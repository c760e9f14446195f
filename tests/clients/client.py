"""Drives an example server with the Python MCP client, checks every answer, then reads the server's
metrics with the Python Prometheus parser and holds them to what was sent.

    client.py stdio SERVER_BINARY
    client.py http MCP_URL METRICS_URL
"""

import asyncio
import pathlib
import sys
import tempfile
import urllib.request

from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from prometheus_client.parser import text_string_to_metric_families

ADDS = 40
FAILS = 7
UNKNOWN = 5


def text_of(result):
    return result.content[0].text


async def drive(session):
    await session.initialize()
    tools = {tool.name for tool in (await session.list_tools()).tools}
    assert tools == {"add", "rest", "fail"}, tools
    await session.send_ping()
    for n in range(ADDS):
        answer = await session.call_tool("add", {"a": n, "b": 2})
        assert not answer.is_error and text_of(answer) == str(n + 2), answer
    for _ in range(FAILS):
        answer = await session.call_tool("fail", {})
        assert answer.is_error and "asked" in text_of(answer), answer
    answer = await session.call_tool("rest", {})
    assert text_of(answer) == "rested", answer
    for n in range(UNKNOWN):
        try:
            await session.call_tool(f"invented_{n}", {})
        except MCPError as error:
            assert error.code == -32602, error
        else:
            raise AssertionError("an unknown tool was answered")
    try:
        await session.get_prompt("none", {})
    except MCPError as error:
        assert error.code == -32601, error
    else:
        raise AssertionError("an unknown prompt was answered")


def samples(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "vitals_copy"}
            found[sample.name, frozenset(labels.items())] = sample.value
    return found


def check(text, sessions):
    found = samples(text)

    def value(name, **labels):
        return found.get((name, frozenset(labels.items())))

    def total(tool, operation, status):
        return value("mcp_requests_total", tool=tool, operation=operation, status=status)

    wrong = []

    def same(what, is_, should):
        if is_ != should:
            wrong.append(f"{what}: {is_}, not {should}")

    same("add", total("add", "execute", "success"), ADDS)
    same("fail", total("fail", "execute", "error"), FAILS)
    same("rest", total("rest", "execute", "success"), 1)
    same("invented names", total("_other", "execute", "error"), UNKNOWN)
    same("prompts/get", total("prompts", "get", "error"), 1)
    same("tools/list", total("tools", "list", "success"), 1)
    same("ping", total("server", "ping", "success"), 1)
    same("initialize", total("server", "initialize", "success"), 1)
    same("never failed", total("add", "execute", "error"), 0)
    for tool, error_type, count in [
        ("fail", "tool_error", FAILS),
        ("_other", "client_invalid_params", UNKNOWN),
    ]:
        labels = {"tool": tool, "operation": "execute", "error_type": error_type}
        same(f"errors of {tool}", value("mcp_request_errors_total", **labels), count)
    for tool, count in [("add", ADDS), ("fail", FAILS), ("rest", 1)]:
        labels = {"tool": tool, "operation": "execute"}
        same(f"durations of {tool}", value("mcp_request_duration_seconds_count", **labels), count)
        same(f"in flight of {tool}", value("mcp_requests_in_flight", tool=tool), 0)
        same(f"panics of {tool}", value("mcp_panics_total", tool=tool), 0)
    rest = {"tool": "rest", "operation": "execute"}
    if not 0.02 <= value("mcp_request_duration_seconds_sum", **rest) < 60:
        wrong.append("the tool that sleeps 20 ms did not take 20 ms")
    same("sessions", value("mcp_sessions_total"), 1)
    same("sessions now", value("mcp_sessions_active"), sessions)
    if any("invented" in str(labels) for _, labels in found):
        wrong.append("a name that the client invented is a label")
    assert not wrong, "\n".join(wrong)


async def stdio(binary):
    with tempfile.TemporaryDirectory() as folder:
        server = StdioServerParameters(command=str(pathlib.Path(binary).resolve()), cwd=folder)
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await drive(session)
        # The server writes its last textfile when its stdin closes.
        path = pathlib.Path(folder) / "mcp.prom"
        for _ in range(300):
            if path.exists() and "mcp_sessions_active" in path.read_text():
                try:
                    check(path.read_text(), 0)
                    return
                except AssertionError as error:
                    last = error
            await asyncio.sleep(0.1)
        raise last if path.exists() else AssertionError("no textfile was written")


async def http(mcp_url, metrics_url):
    async with streamable_http_client(mcp_url) as (read, write, *_):
        async with ClientSession(read, write) as session:
            await drive(session)
            text = await asyncio.to_thread(scrape, metrics_url)
            check(text, 1)
    # The session ends with the client's DELETE.
    for _ in range(300):
        text = await asyncio.to_thread(scrape, metrics_url)
        if samples(text)["mcp_sessions_active", frozenset()] == 0:
            check(text, 0)
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the session never ended")


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    transport, *where = sys.argv[1:]
    asyncio.run({"stdio": stdio, "http": http}[transport](*where))
    print(f"Python client over {transport}: answers and metrics agree")

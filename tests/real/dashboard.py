"""Checks the dashboards as files, and their queries against a Prometheus that has data."""

import json
import math
import re

from catalog import BESIDES, BOARDS, CATALOG, ORIGINALS, VARIABLES
from servers import Failure, fetch_json

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PANEL_TYPES = {"row", "stat", "timeseries", "table", "heatmap"}
# Grafana's own names.
UNITS = {"reqps", "ops", "s", "short", "none", "percent", "percentunit", "bytes"}
# What Grafana puts in for its own variables, and ours on "All".
SUBSTITUTES = {"__rate_interval": "15s", "__interval": "5s", "__range": "60s"}
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\{([^}]*)\}")


def load(path):
    return json.loads(path.read_text())


def load_all(folder):
    """{file's name: model}."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


def all_problems(models):
    """Everything wrong with the set, and with each of its boards."""
    uids = {name: model.get("uid") for name, model in models.items()}
    if uids != BOARDS:
        yield f"the boards are {uids}, not {BOARDS}"
    for name, model in models.items():
        for problem in problems(model):
            yield f"{name}: {problem}"
    drawn = set()
    for model in models.values():
        for _, target in targets(model):
            drawn |= set(metric_names(target["expr"]))
    for name in sorted(CATALOG.keys() - drawn):
        yield f"{name} is in the catalog and on no panel"
    yield from original_problems(models)


def original_problems(models):
    """The original's panels: each one is there, drawn as it was, of the same metrics."""
    for board, title, kind, unit, metrics in ORIGINALS:
        where = f"{board}: the original's panel {title!r}"
        found = [p for p in panels(models.get(board, {"panels": []})) if p["title"] == title]
        if len(found) != 1:
            yield f"{where} is there {len(found)} times"
            continue
        panel = found[0]
        if panel["type"] != kind:
            yield f"{where}: a {panel['type']}, not a {kind}"
        if unit_of(panel) != unit:
            yield f"{where}: in {unit_of(panel)}, not in {unit}"
        read = {m for target in panel["targets"] for m in metric_names(target["expr"])}
        if read != metrics:
            yield f"{where} reads {sorted(read)}, not {sorted(metrics)}"


def unit_of(panel):
    return panel.get("fieldConfig", {}).get("defaults", {}).get("unit")


def panels(model):
    for panel in model["panels"]:
        yield panel
        yield from panel.get("panels", ())


def targets(model):
    for panel in panels(model):
        for target in panel.get("targets", ()):
            yield panel, target


def variables(model):
    return [v for v in model["templating"]["list"] if v["type"] == "query"]


def problems(model):
    """Everything wrong with the file, a line each."""
    found = []
    if not isinstance(model.get("panels"), list):
        return ["no top-level `panels`: not the classic model"]
    if not 36 <= model.get("schemaVersion", 0) <= 39:
        found.append(f"schemaVersion is {model.get('schemaVersion')}, not 36 to 39")
    if model.get("id", 0) is not None:
        found.append("id is not null: an import would collide")
    if not re.fullmatch(r"[a-z0-9-]{1,40}", model.get("uid") or ""):
        found.append(f"uid {model.get('uid')!r} is no stable uid")
    if not model.get("title"):
        found.append("no title")
    found += variable_problems(model)
    found += panel_problems(model)
    found += layout_problems(model)
    return found


def wanted_variables(model):
    """Those that a metric of the board has a label for."""
    wanted = {"instance"}
    for _, target in targets(model):
        for name in metric_names(target.get("expr", "")):
            wanted |= VARIABLES.get(name, set())
    return wanted


def variable_problems(model):
    known = {variable["name"]: variable for variable in model["templating"]["list"]}
    source = known.pop("datasource", {})
    if (source.get("type"), source.get("query")) != ("datasource", "prometheus"):
        yield "no data source variable `datasource`"
    wanted = wanted_variables(model)
    for name in sorted(wanted - known.keys()):
        yield f"no variable `{name}`"
    for name in sorted(known.keys() - wanted):
        yield f"variable {name}: nothing on the board has the label"
    for name, variable in known.items():
        if variable.get("datasource") != DATA_SOURCE:
            yield f"variable {name}: a data source of its own"
        if not (variable.get("multi") and variable.get("includeAll")):
            yield f"variable {name}: not multi with All"
        if variable.get("allValue") != ".*":
            yield f"variable {name}: All is {variable.get('allValue')!r}, not '.*'"
        if variable.get("refresh") != 2:
            yield f"variable {name}: not asked again when the time range changes"


def panel_problems(model):
    ids, titles = set(), set()
    for panel in panels(model):
        where = f"panel {panel.get('title')!r}"
        if panel.get("type") not in PANEL_TYPES:
            yield f"{where}: type {panel.get('type')!r}"
        if panel.get("id") in ids:
            yield f"{where}: id {panel.get('id')} is taken"
        if not panel.get("title"):
            yield f"{where}: no title"
        ids.add(panel.get("id"))
        if panel.get("type") == "row":
            if panel.get("collapsed") or panel.get("panels"):
                yield f"{where}: a row that hides its panels"
            continue
        if panel["title"] in titles:
            yield f"{where}: no title of its own"
        titles.add(panel["title"])
        about = panel.get("description")
        if not isinstance(about, str) or (about and not about.endswith(".")):
            yield f"{where}: its description is {about!r}"
        if panel.get("datasource") != DATA_SOURCE:
            yield f"{where}: a hard-coded data source"
        if not panel.get("targets"):
            yield f"{where}: no targets"
        references = [target.get("refId") for target in panel.get("targets", ())]
        if len(set(references)) != len(references) or None in references:
            yield f"{where}: refIds {references}"
        for target in panel.get("targets", ()):
            if target.get("datasource") != DATA_SOURCE:
                yield f"{where} {target.get('refId')}: a hard-coded data source"
            yield from expression_problems(where, target.get("expr", ""))
        yield from unit_problems(where, panel)


def unit_problems(where, panel):
    """Each panel has a unit, and the one that its queries come in."""
    unit = unit_of(panel)
    # A table has one for each column, and a name has none.
    if panel["type"] == "table" or panel.get("options", {}).get("textMode") == "name":
        return
    if unit not in UNITS:
        yield f"{where}: unit {unit!r}"
    for target in panel.get("targets", ()):
        expr = target.get("expr", "")
        if expr.startswith("histogram_quantile") and unit != "s":
            yield f"{where}: a quantile of seconds in {unit}"
        if panel["type"] == "heatmap" and panel["options"]["yAxis"].get("unit") != unit:
            yield f"{where}: its buckets are not in {unit}"
        if re.match(r"(max\()?mcp_\w+_percent\{", expr) and unit != "percent":
            yield f"{where}: percent in {unit}"
        if re.match(r"mcp_\w+_bytes\{", expr) and "/" not in expr and unit != "bytes":
            yield f"{where}: bytes in {unit}"
        if unit in ("ops", "reqps") and "rate(" not in expr:
            yield f"{where}: a rate that is none: {expr}"


def expression_problems(where, expr):
    selectors = SELECTOR.findall(expr)
    # A metric without braces escapes every variable.
    bare = re.findall(r"\b(?:mcp|process)_[a-z0-9_]+\b(?!\s*\{)", re.sub(r"\{[^}]*\}", "{}", expr))
    if bare:
        yield f"{where}: {bare} without a selector"
    if not selectors:
        yield f"{where}: {expr!r} selects nothing"
    for metric, matchers in selectors:
        metric = re.sub(r"_(bucket|count|sum)$", "", metric)
        for label in sorted(VARIABLES.get(metric, {"instance"})):
            if f'{label}=~"${label}"' not in matchers:
                yield f"{where}: {metric} does not follow the variable {label}"


def layout_problems(model):
    """Panels inside 24 columns, none over another."""
    taken = {}
    for panel in model["panels"]:
        at = panel.get("gridPos", {})
        where = f"panel {panel.get('title')!r}"
        inside = {"x", "y", "w", "h"} <= at.keys() and at["x"] >= 0 and at["x"] + at["w"] <= 24
        if not inside or at["w"] < 1 or at["h"] < 1:
            yield f"{where}: gridPos {at}"
            continue
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in taken:
                    yield f"{where} lies over panel {taken[x, y]!r}"
                    return
                taken[x, y] = panel.get("title")


def substitute(expr, model, values=None):
    """With these values of the variables, and All of the others."""
    for name, value in SUBSTITUTES.items():
        expr = expr.replace(f"${name}", value)
    for variable in variables(model):
        value = (values or {}).get(variable["name"], variable["allValue"])
        expr = expr.replace(f"${variable['name']}", value)
    if "$" in expr:
        raise Failure(f"a variable is left in {expr!r}")
    return expr


def finite_points(url, expr, start, end):
    """How many finite points a range query gives."""
    answer = fetch_json(f"{url}/api/v1/query_range", query=expr, start=start, end=end, step=1)
    values = [v for series in answer["data"]["result"] for _, v in series["values"]]
    return sum(math.isfinite(float(value)) for value in values)


def live_problems(models, url, start, end, one, exceptions):
    """Queries that Prometheus refuses, or that have no finite point between `start` and `end`: with All
    of each variable, and with the values `one`, which have to be among those that are offered.

    `exceptions` maps "board/panel title/refId" to the reason why there may be none, also with a
    value: "board/panel title/refId, one".
    """
    unused = dict(exceptions)
    for board, model in models.items():
        for panel, target in targets(model):
            for values, ending in ((None, ""), (one, ", one")):
                name = f"{board}/{panel['title']}/{target['refId']}{ending}"
                expr = substitute(target["expr"], model, values)
                try:
                    points = finite_points(url, expr, start, end)
                except Failure as error:
                    yield f"{name}: {error}"
                    continue
                reason = unused.pop(name, None)
                if points == 0 and reason is None:
                    yield f"{name}: no data: {expr}"
        for variable in variables(model):
            yield from value_problems(board, model, variable, url, one)
    for name in unused:
        yield f"exceptions.json names {name}, which is no query of a dashboard"


def value_problems(board, model, variable, url, one):
    """The variable's query gives values, and the one that was asked for is among them."""
    query = variable["query"]["query"]
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
    selector = substitute(selector, model)
    found = fetch_json(f"{url}/api/v1/label/{label}/values", **{"match[]": selector})["data"]
    if one[variable["name"]] not in found:
        yield f"{board}: variable {variable['name']}: {one[variable['name']]!r} is not in {found}"


def selectors(expr):
    """Each selector of an alert's expression, without its window: `name{matchers}`."""
    quoted = r'"(?:[^"\\]|\\.)*"'
    # Labels that are summed by are no metrics.
    expr = re.sub(r"\b(by|on|ignoring|without|group_left)\s*\([^)]*\)", "", expr)
    names = r"\b(?:(?:mcp|process)_[a-z0-9_]+|up\b)"
    return sorted(set(re.findall(rf"{names}(?:\{{(?:[^{{}}\"]|{quoted})*\}})?", expr)))


def metric_names(text):
    """The metric names in a text of PromQL, without a histogram's endings."""
    known = CATALOG.keys() | BESIDES.keys()
    text = re.sub(r'"[^"]*"', "", text)
    for name in sorted(set(re.findall(r"\b(?:mcp|process)_[a-z0-9_]+\b", text))):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        yield base if base in known else name

"""Checks a dashboard as a file, and its queries against a Prometheus that has data."""

import json
import math
import re

from catalog import BESIDES, CATALOG, VARIABLES
from servers import Failure, fetch_json

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PANEL_TYPES = {"row", "stat", "timeseries", "table"}
# What Grafana puts in for its own variables, and ours on "All".
SUBSTITUTES = {"__rate_interval": "15s", "__interval": "5s", "__range": "60s"}
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\{([^}]*)\}")


def load(path):
    return json.loads(path.read_text())


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


def variable_problems(model):
    known = {variable["name"]: variable for variable in model["templating"]["list"]}
    source = known.get("datasource", {})
    if (source.get("type"), source.get("query")) != ("datasource", "prometheus"):
        yield "no data source variable `datasource`"
    for name in ("instance", "tool", "operation"):
        variable = known.get(name)
        if variable is None:
            yield f"no variable `{name}`"
            continue
        if variable.get("datasource") != DATA_SOURCE:
            yield f"variable {name}: a data source of its own"
        if not (variable.get("multi") and variable.get("includeAll")):
            yield f"variable {name}: not multi with All"
        if variable.get("allValue") != ".*":
            yield f"variable {name}: All is {variable.get('allValue')!r}, not '.*'"


def panel_problems(model):
    ids, titles, drawn = set(), set(), set()
    for panel in panels(model):
        where = f"panel {panel.get('title')!r}"
        if panel.get("type") not in PANEL_TYPES:
            yield f"{where}: type {panel.get('type')!r}"
        if panel.get("id") in ids:
            yield f"{where}: id {panel.get('id')} is taken"
        if not panel.get("title") or panel["title"] in titles:
            yield f"{where}: no title of its own"
        ids.add(panel.get("id"))
        titles.add(panel.get("title"))
        if panel.get("type") == "row":
            continue
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
            yield from expression_problems(where, target.get("expr", ""), drawn)
    for name in CATALOG.keys() - drawn:
        yield f"{name} is in the catalog and on no panel"


def expression_problems(where, expr, drawn):
    selectors = SELECTOR.findall(expr)
    # A metric without braces escapes every variable.
    bare = re.findall(r"\bmcp_[a-z_]+\b(?!\s*\{)", re.sub(r"\{[^}]*\}", "{}", expr))
    if bare:
        yield f"{where}: {bare} without a selector"
    if not selectors:
        yield f"{where}: {expr!r} selects nothing"
    for metric, matchers in selectors:
        metric = re.sub(r"_(bucket|count|sum)$", "", metric)
        drawn.add(metric)
        for label in sorted(VARIABLES.get(metric, {"instance"})):
            if f'{label}=~"${label}"' not in matchers:
                yield f"{where}: {metric} does not follow the variable {label}"


def layout_problems(model):
    """Panels inside 24 columns, none over another."""
    taken = {}
    for panel in model["panels"]:
        at = panel.get("gridPos", {})
        where = f"panel {panel.get('title')!r}"
        if not {"x", "y", "w", "h"} <= at.keys() or at["x"] + at["w"] > 24:
            yield f"{where}: gridPos {at}"
            continue
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in taken:
                    yield f"{where} lies over panel {taken[x, y]!r}"
                    return
                taken[x, y] = panel.get("title")


def substitute(expr, model):
    for name, value in SUBSTITUTES.items():
        expr = expr.replace(f"${name}", value)
    for variable in variables(model):
        expr = expr.replace(f"${variable['name']}", variable["allValue"])
    if "$" in expr:
        raise Failure(f"a variable is left in {expr!r}")
    return expr


def finite_points(url, expr, start, end):
    """How many finite points a range query gives."""
    answer = fetch_json(f"{url}/api/v1/query_range", query=expr, start=start, end=end, step=1)
    values = [v for series in answer["data"]["result"] for _, v in series["values"]]
    return sum(math.isfinite(float(value)) for value in values)


def live_problems(model, url, start, end, exceptions):
    """Queries that Prometheus refuses, or that have no finite point between `start` and `end`.

    `exceptions` maps "panel title/refId" to the reason why there may be none.
    """
    unused = dict(exceptions)
    for panel, target in targets(model):
        name = f"{panel['title']}/{target['refId']}"
        expr = substitute(target["expr"], model)
        try:
            points = finite_points(url, expr, start, end)
        except Failure as error:
            yield f"{name}: {error}"
            continue
        reason = unused.pop(name, None)
        if points == 0 and reason is None:
            yield f"{name}: no data: {expr}"
    for name in unused:
        yield f"exceptions.json names {name}, which is no query of the dashboard"
    for variable in variables(model):
        query = variable["query"]["query"]
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
        selector = substitute(selector, model)
        found = fetch_json(f"{url}/api/v1/label/{label}/values", **{"match[]": selector})["data"]
        if not found:
            yield f"variable {variable['name']}: no values"


def metric_names(text):
    """The metric names of ours in a text of PromQL, without a histogram's endings."""
    known = CATALOG.keys() | BESIDES.keys()
    for name in sorted(set(re.findall(r"\bmcp_[a-z_]+\b", text))):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        yield base if base in known else name

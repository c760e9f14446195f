"""Reads a scrape with the Python client's parsers and checks what a scraper may rely on."""

import math

from catalog import BESIDES, CATALOG, REQUEST_STATUSES

TEXT = "text/plain; version=0.0.4"


def parse(body, content_type):
    """The families of a scrape, by the parser that fits its content type."""
    if content_type.startswith("application/openmetrics-text"):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    else:
        from prometheus_client.parser import text_string_to_metric_families
    return list(text_string_to_metric_families(body))


def problems(body, content_type, exceptions=None):
    """Everything wrong with one scrape, a line each.

    `exceptions` maps a catalog metric that may have no series to the reason.
    """
    exceptions = exceptions or {}
    kind = content_type.replace(" ", "")
    if not kind.startswith(("text/plain;version=0.0.4", "application/openmetrics-text")):
        return [f"content type is {content_type!r}, not {TEXT!r}"]
    try:
        families = parse(body, content_type)
    except Exception as error:  # noqa: BLE001 - the parser has no error type of its own
        return [f"the Python parser refuses it: {error!r}"]
    found = []
    found += duplicate_families(body)
    found += duplicate_series(families)
    for family in families:
        if family.type in ("unknown", "untyped"):
            found.append(f"{family.name}: no TYPE")
        if not family.documentation:
            found.append(f"{family.name}: no HELP")
        if family.type == "histogram":
            found += histogram_problems(family)
        if family.type == "counter":
            found += counter_problems(family)
    found += catalog_problems(families, exceptions)
    return found


def duplicate_families(body):
    seen, found = set(), []
    for line in body.split("\n"):
        words = line.split(" ", 3)
        if words[:2] == ["#", "TYPE"]:
            if words[2] in seen:
                found.append(f"{words[2]}: more than one TYPE line")
            seen.add(words[2])
    return found


def duplicate_series(families):
    seen, found = set(), []
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            if key in seen:
                found.append(f"{sample.name}{sample.labels}: the series is there twice")
            seen.add(key)
    return found


def histogram_problems(family):
    """Buckets that rise, an +Inf that is the count, a sum, in every series."""
    series = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        parts = series.setdefault(frozenset(labels.items()), {"buckets": []})
        if sample.name.endswith("_bucket"):
            parts["buckets"].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith(("_sum", "_count")):
            parts[sample.name.rsplit("_", 1)[1]] = sample.value
        else:
            yield f"{sample.name}: not a sample of a histogram"
    for labels, parts in series.items():
        where = f"{family.name}{dict(labels)}"
        bounds = [bound for bound, _ in parts["buckets"]]
        counts = [count for _, count in parts["buckets"]]
        if bounds != sorted(set(bounds)):
            yield f"{where}: the bounds do not rise: {bounds}"
        if counts != sorted(counts):
            yield f"{where}: the buckets fall: {counts}"
        if not bounds or bounds[-1] != math.inf:
            yield f"{where}: no +Inf bucket"
        elif counts[-1] != parts.get("count"):
            yield f"{where}: +Inf holds {counts[-1]}, the count is {parts.get('count')}"
        if not parts.get("sum", math.nan) >= 0:
            yield f"{where}: its sum is {parts.get('sum')}"


def counter_problems(family):
    for sample in family.samples:
        if sample.name.endswith("_created"):
            continue
        if not sample.name.endswith("_total"):
            yield f"{sample.name}: a counter without _total"
        if not (math.isfinite(sample.value) and sample.value >= 0):
            yield f"{sample.name}{sample.labels}: {sample.value} is no count"


def catalog_problems(families, exceptions):
    by_name = {family.name: family for family in families}
    # The parser drops `_total` from a counter's family name.
    by_name |= {f"{f.name}_total": f for f in families if f.type == "counter"}
    for name, (kind, labels) in {**CATALOG, **BESIDES}.items():
        family = by_name.get(name)
        if family is None or not family.samples:
            if name not in exceptions:
                yield f"{name}: no series"
            continue
        if family.type != kind:
            yield f"{name}: is a {family.type}, not a {kind}"
        allowed = labels | {"le"} if kind == "histogram" else labels
        for sample in family.samples:
            if set(sample.labels) - {"le"} != labels or not set(sample.labels) <= allowed:
                yield f"{sample.name}: labels {sorted(sample.labels)}, not {sorted(labels)}"
                break
    requests = by_name.get("mcp_requests_total")
    for sample in requests.samples if requests else ():
        if sample.labels.get("status") not in REQUEST_STATUSES:
            yield f"mcp_requests_total: status {sample.labels.get('status')!r}"


def counters(body, content_type):
    """Every series that may only rise: {(name, labels): value}."""
    rising = {}
    for family in parse(body, content_type):
        for sample in family.samples:
            endings = {"histogram": ("_bucket", "_count"), "counter": "_total"}.get(family.type)
            if endings and sample.name.endswith(endings):
                rising[sample.name, frozenset(sample.labels.items())] = sample.value
    return rising


def fallen(before, after):
    """The series of `before` that are gone or lower in `after`."""
    for key, value in before.items():
        if key not in after:
            yield f"{key[0]}{dict(key[1])}: gone"
        elif after[key] < value:
            yield f"{key[0]}{dict(key[1])}: went back from {value} to {after[key]}"

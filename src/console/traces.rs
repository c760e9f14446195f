//! Recent traces, for the console: a list by their summaries, and one with what its times say.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::query::{BadQuery, Query, folded};
use crate::encode::form;
use crate::logs::{Field, Secret, Text, Value};
use crate::store::recent::{Summary, rank};
use crate::traces::analysis::{Analysis, SpanData, Trace, TraceSpan};
use crate::traces::{RecentTraces, SpanId, SpanRecord, SpanStatus, TraceId};

/// Traces of a list unless it is asked for others, and at most.
const LIMIT: usize = 20;
const MOST: usize = 100;
/// Spans of a trace at most.
const MOST_SPANS: usize = 2_000;

/// What is asked for at `/console/api/traces`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TracesQuery {
    /// What its root's name contains, in lower case.
    name: Option<String>,
    least: Duration,
    only_errors: bool,
    limit: usize,
}

impl TracesQuery {
    /// From `name` (contained in the root's name, in any case), `min_ms`, `errors` (1 for those with a
    /// span that failed) and `limit` (20 unless said, 100 at most).
    pub(crate) fn read(query: &str) -> Result<TracesQuery, BadQuery> {
        let query = Query::read(query)?;
        let what = "milliseconds, 0 and more";
        let least: Option<f64> = query.parsed("min_ms", what)?;
        let least = Duration::try_from_secs_f64(least.unwrap_or(0.0) / 1_000.0);
        Ok(TracesQuery {
            name: query.text("name").map(folded),
            least: least.map_err(|_| BadQuery::new("min_ms", what))?,
            only_errors: query.flag("errors")?,
            limit: query.limit(LIMIT, MOST)?,
        })
    }
}

#[derive(Serialize)]
struct List<'a> {
    on: bool,
    traces: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    trace_id: String,
    root: Root<'a>,
    start_unix_ms: f64,
    duration_ms: f64,
    spans: u32,
    errors: u32,
}

#[derive(Serialize)]
struct Root<'a> {
    name: String,
    service: &'a str,
}

/// The answer to `/console/api/traces`, the newest first. A trace is called by its root, of several by
/// the longest; where none has ended by the longest span whose parent is another process's; else by its
/// longest.
///
/// * `traces`: with the service's name; nothing where none are recorded.
pub(crate) fn list(traces: Option<(RecentTraces, &str)>, query: &TracesQuery) -> Vec<u8> {
    let on = traces.is_some();
    let mut listed = Vec::new();
    if let Some((traces, service)) = traces {
        let least = query.least.as_nanos();
        let wanted =
            |one: &Summary| u128::from(one.nanos) >= least && (one.failed || !query.only_errors);
        let called =
            |name: &str| query.name.as_ref().is_none_or(|wanted| folded(name).contains(&**wanted));
        let found = traces.overview(wanted, called, query.limit);
        listed.extend(found.into_iter().map(|(summary, name)| Listed {
            trace_id: format!("{:032x}", summary.id),
            root: Root { name, service },
            start_unix_ms: millis(summary.end.saturating_sub(summary.nanos).into()),
            duration_ms: millis(summary.nanos.into()),
            spans: summary.spans,
            errors: summary.errors,
        }));
    }
    json(&List { on, traces: listed })
}

#[derive(Serialize)]
struct Whole<'a> {
    trace_id: String,
    root: Root<'a>,
    start_unix_ms: f64,
    duration_ms: f64,
    /// Spans that failed, of all.
    errors: usize,
    spans: Vec<Shown<'a>>,
    path: Vec<Piece>,
    /// The shortest spans, which are not among them.
    truncated: usize,
    /// Those that the store had no room for.
    left_out: u32,
}

#[derive(Serialize)]
struct Shown<'a> {
    span_id: String,
    parent_id: Option<String>,
    name: String,
    service: &'a str,
    kind: &'static str,
    status: &'static str,
    failed: bool,
    message: Option<String>,
    depth: u32,
    start_ms: f64,
    duration_ms: f64,
    self_ms: f64,
    path_ms: f64,
    attributes: Vec<(String, String)>,
    events: Vec<Event>,
    links: Vec<Link>,
    /// Attributes, events and links that it had no room for.
    left_out: u32,
}

#[derive(Serialize)]
struct Event {
    name: String,
    at_ms: f64,
    attributes: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Serialize)]
struct Piece {
    span: usize,
    start_ms: f64,
    end_ms: f64,
}

/// The answer to `/console/api/traces/{id}`; nothing where there is no such trace. Of more than 2,000
/// spans the longest are there, and those that they are within.
pub(crate) fn one(traces: Option<(RecentTraces, &str)>, id: &str) -> Option<Vec<u8>> {
    let (traces, service) = traces?;
    let trace_id: TraceId = id.parse().ok()?;
    let stored = traces.get(trace_id)?;
    let mut records: HashMap<SpanId, SpanRecord<'_>> = HashMap::new();
    let (mut spans, mut root) = (Vec::new(), (None, String::new()));
    for record in stored.spans() {
        // What the times need: attributes are looked up of those that are shown.
        let mut data = SpanData::new(
            record.trace_id()?,
            record.span_id()?,
            "",
            record.start_unix_nanos,
            record.end_unix_nanos,
        );
        data.parent_span_id = record.parent_span_id;
        data.kind = record.kind;
        data.failed = record.status == SpanStatus::Error;
        spans.push(data);
        let rank = rank(record.parent_span_id.is_none(), record.has_remote_parent);
        let head = Some((rank, record.end_unix_nanos - record.start_unix_nanos));
        if head > root.0 {
            root = (head, text(record.name));
        }
        // Of two of one id the first stays, as it does there.
        records.entry(record.span_id()?).or_insert(record);
    }
    let analysis = Analysis::of(spans);
    let trace = analysis.trace(trace_id)?;
    let mut whole = whole(&trace, &records, service)?;
    (whole.root.name, whole.left_out) = (root.1, stored.dropped_spans());
    Some(json(&whole))
}

fn whole<'a>(
    trace: &Trace<'_>,
    records: &HashMap<SpanId, SpanRecord<'_>>,
    service: &'a str,
) -> Option<Whole<'a>> {
    let spans: Vec<TraceSpan<'_>> = trace.spans().collect();
    let start = spans.iter().map(|span| span.start_unix_nanos).min()?;
    let end = spans.iter().map(|span| span.end_unix_nanos).max()?;
    let since = |nanos: u64| millis(i128::from(nanos) - i128::from(start));
    let kept = longest(&spans, MOST_SPANS);
    // Where each stands among those that are shown.
    let mut places = vec![None; spans.len()];
    kept.iter().enumerate().for_each(|(place, &at)| places[at] = Some(place));
    let shown = kept.iter().filter_map(|&at| {
        let record = records.get(&spans[at].span.span_id)?;
        Some(shown(&spans[at], record, service, &since))
    });
    let path = trace.critical_path().into_iter().filter_map(|segment| {
        let (start_ms, end_ms) = (since(segment.start_unix_nanos), since(segment.end_unix_nanos));
        Some(Piece { span: places[segment.span]?, start_ms, end_ms })
    });
    Some(Whole {
        trace_id: trace.trace_id()?.to_string(),
        root: Root { name: String::new(), service },
        start_unix_ms: millis(start.into()),
        duration_ms: since(end),
        errors: trace.failures(),
        spans: shown.collect(),
        path: path.collect(),
        truncated: spans.len() - kept.len(),
        left_out: 0,
    })
}

/// At most so many spans, in their order: those that took longest, and with each all that it is within.
fn longest(spans: &[TraceSpan<'_>], most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    if spans.len() <= most {
        return order;
    }
    // Each counts as long as the longest within it, so that none comes before what it is within: they
    // stand parents first, and of two that are as long the one that stands first comes first.
    let took = |span: &TraceSpan<'_>| span.end_unix_nanos - span.start_unix_nanos;
    let mut counts: Vec<u64> = spans.iter().map(took).collect();
    let mut within: Vec<u64> = Vec::new();
    for at in (0..spans.len()).rev() {
        let depth = spans[at].depth as usize;
        // Of the spans behind it those one deeper are its children; what is deeper has been passed on.
        let children = within.get(depth + 1).copied().unwrap_or(0);
        within.truncate(depth + 1);
        within.resize(depth + 1, 0);
        counts[at] = counts[at].max(children);
        within[depth] = within[depth].max(counts[at]);
    }
    order.sort_by_key(|&at| (Reverse(counts[at]), at));
    order.truncate(most);
    order.sort_unstable();
    order
}

fn shown<'a>(
    span: &TraceSpan<'_>,
    record: &SpanRecord<'_>,
    service: &'a str,
    since: &impl Fn(u64) -> f64,
) -> Shown<'a> {
    let nanos = |nanos: u64| millis(nanos.into());
    let message = (record.status == SpanStatus::Error).then(|| text(record.status_message));
    // A span that was moved has its events with it.
    let moved = i128::from(span.start_unix_nanos) - i128::from(record.start_unix_nanos);
    let events = record.events().map(|event| Event {
        name: text(event.name),
        at_ms: since(event.unix_nanos) + millis(moved),
        attributes: of_event(event.attributes()),
    });
    let links = record.links().map(|link| Link {
        trace_id: hex(&link.context.trace_bytes()),
        span_id: hex(&link.context.span_bytes()),
    });
    let mut attributes = Vec::new();
    form::latest(record.attributes(), |key, value| attributes.push((lossy(key), plain(value))));
    Shown {
        span_id: span.span.span_id.to_string(),
        parent_id: span.span.parent_span_id.map(|parent| parent.to_string()),
        name: text(record.name),
        service,
        kind: record.kind.as_str(),
        status: match record.status {
            SpanStatus::Unset => "unset",
            SpanStatus::Ok => "ok",
            SpanStatus::Error => "error",
        },
        failed: span.span.failed,
        message: message.filter(|message| !message.is_empty()),
        depth: span.depth,
        start_ms: since(span.start_unix_nanos),
        duration_ms: nanos(span.end_unix_nanos - span.start_unix_nanos),
        self_ms: nanos(span.self_nanos),
        path_ms: nanos(span.path_nanos),
        attributes,
        events: events.collect(),
        links: links.collect(),
        left_out: record.dropped_attributes + record.dropped_events + record.dropped_links,
    }
}

fn of_event<'a>(fields: impl Iterator<Item = Field<'a>> + Clone) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    form::of_event(fields, |key, value| attributes.push((lossy(key), plain(value))));
    attributes
}

fn millis(nanos: i128) -> f64 {
    nanos as f64 / 1e6
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text, and how much of it was cut off.
fn text(text: Text<'_>) -> String {
    match text.lost_bytes() {
        0 => text.to_str().into_owned(),
        lost => format!("{text}…[+{lost} bytes]"),
    }
}

/// A value as people read it. A text also where it is a number: JavaScript would round some.
fn plain(value: Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::Str(value) | Value::Bytes(value) => text(value),
        Value::Redacted => Secret::new(()).to_string(),
        Value::Error { message, .. } => text(message),
    }
}

/// Nothing fails in memory: all keys are texts, and a number that JSON has not is null.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;

//! The JSON of Jaeger's query service, which its UI imports.
//!
//! What becomes what is OpenTelemetry's mapping for what is not OTLP:
//! <https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>, and for kinds, links and
//! events that of its former Jaeger exporters.

use super::form::{self, Service, cut_string, id, number, string};
use super::line::{escape, value};
use crate::batch::SpanRecord;
use crate::ring::frame::{Text, Value};
use crate::traces::SpanStatus;

/// Integers up to here are the same in JavaScript.
const MOST_SAFE: u64 = (1 << 53) - 1;

/// Appends a document with one entry for each trace, in the order of their first spans.
pub(crate) fn write<'a>(
    service: &Service<'_>,
    spans: impl IntoIterator<Item = SpanRecord<'a>>,
    out: &mut Vec<u8>,
) {
    let mut spans: Vec<SpanRecord<'_>> = spans.into_iter().collect();
    // Stable: a trace's spans stay in their order.
    spans.sort_by_key(|span| span.context.trace_bytes());
    let mut traces: Vec<&[SpanRecord<'_>]> = spans
        .chunk_by(|one, next| one.context.trace_bytes() == next.context.trace_bytes())
        .collect();
    traces.sort_by_key(|spans| spans.iter().map(|span| span.start_unix_nanos).min());
    out.extend_from_slice(b"{\"data\":[");
    for (at, spans) in traces.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        trace(service, spans, out);
    }
    out.extend_from_slice(b"],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}");
}

fn trace(service: &Service<'_>, spans: &[SpanRecord<'_>], out: &mut Vec<u8>) {
    let Some(first) = spans.first() else { return };
    out.extend_from_slice(b"{\"traceID\":");
    id(&first.context.trace_bytes(), out);
    out.extend_from_slice(b",\"spans\":[");
    for (at, span) in spans.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        self::span(span, out);
    }
    out.extend_from_slice(b"],\"processes\":{\"p1\":{\"serviceName\":");
    string(service.known_name().as_bytes(), out);
    out.extend_from_slice(b",\"tags\":");
    let mut tags = List::begin(out);
    for (key, text) in service.tags() {
        tags.add(key.as_bytes(), Value::Str(Text::new(text.as_bytes())));
    }
    tags.end();
    out.extend_from_slice(b"}},\"warnings\":null}");
}

fn span(span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"traceID\":");
    id(&span.context.trace_bytes(), out);
    out.extend_from_slice(b",\"spanID\":");
    id(&span.context.span_bytes(), out);
    // That it is sampled: it would not be here otherwise.
    out.extend_from_slice(b",\"flags\":1,\"operationName\":");
    cut_string(span.name, out);
    out.extend_from_slice(b",\"references\":[");
    let first = out.len();
    if let Some(parent) = span.parent_span_id {
        reference(b"CHILD_OF", &span.context.trace_bytes(), &parent.to_bytes(), out);
    }
    for link in span.links() {
        if out.len() > first {
            out.push(b',');
        }
        let (trace, span) = (link.context.trace_bytes(), link.context.span_bytes());
        reference(b"FOLLOWS_FROM", &trace, &span, out);
    }
    let (start, duration) = form::micros(span);
    out.extend_from_slice(b"],\"startTime\":");
    number(start, out);
    out.extend_from_slice(b",\"duration\":");
    number(duration, out);
    out.extend_from_slice(b",\"tags\":");
    tags(span, out);
    out.extend_from_slice(b",\"logs\":[");
    for (at, event) in span.events().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"timestamp\":");
        number(event.unix_nanos / 1_000, out);
        out.extend_from_slice(b",\"fields\":");
        let mut fields = List::begin(out);
        fields.add(b"event", Value::Str(event.name));
        form::of_event(event.attributes(), |key, value| {
            if key != b"event" {
                fields.add(key, value);
            }
        });
        fields.end();
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"processID\":\"p1\",\"warnings\":null}");
}

fn reference(sort: &[u8], trace: &[u8], span: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"refType\":\"");
    out.extend_from_slice(sort);
    out.extend_from_slice(b"\",\"traceID\":");
    id(trace, out);
    out.extend_from_slice(b",\"spanID\":");
    id(span, out);
    out.push(b'}');
}

fn tags(span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    let text = |text: &'static str| Value::Str(Text::new(text.as_bytes()));
    let mut tags = List::begin(out);
    form::latest(span.attributes(), |key, value| {
        if !is_ours(key) {
            tags.add(key, value);
        }
    });
    tags.add(b"span.kind", text(span.kind.as_str()));
    match span.status {
        SpanStatus::Unset => {}
        SpanStatus::Ok => tags.add(b"otel.status_code", text("OK")),
        SpanStatus::Error => {
            tags.add(b"otel.status_code", text("ERROR"));
            tags.add(b"error", Value::Bool(true));
            if !span.status_message.as_bytes().is_empty() {
                tags.add(b"otel.status_description", Value::Str(span.status_message));
            }
        }
    }
    for (key, text) in [
        (&b"otel.scope.name"[..], span.scope),
        (b"w3c.tracestate", span.tracestate),
        (b"thread.name", span.thread),
    ] {
        if !text.as_bytes().is_empty() {
            tags.add(key, Value::Str(text));
        }
    }
    for (key, count) in form::dropped(span) {
        tags.add(key.as_bytes(), Value::I64(count.into()));
    }
    tags.end();
}

/// Names of tags that say something else than an attribute.
fn is_ours(key: &[u8]) -> bool {
    matches!(
        key,
        b"error"
            | b"span.kind"
            | b"otel.status_code"
            | b"otel.status_description"
            | b"otel.scope.name"
            | b"w3c.tracestate"
            | b"thread.name"
            | b"otel.dropped_attributes_count"
            | b"otel.dropped_events_count"
            | b"otel.dropped_links_count"
    )
}

/// A list of typed values.
struct List<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> List<'a> {
    fn begin(out: &'a mut Vec<u8>) -> List<'a> {
        out.push(b'[');
        List { out, first: true }
    }

    fn end(self) {
        self.out.push(b']');
    }

    fn add(&mut self, key: &[u8], value: Value<'_>) {
        let out = &mut *self.out;
        if !std::mem::replace(&mut self.first, false) {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        string(key, out);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(sort(value));
        out.extend_from_slice(b"\",\"value\":");
        match value {
            // JavaScript would round it; Jaeger writes it as a string then.
            Value::I64(n) if n.unsigned_abs() > MOST_SAFE => quoted(value, out),
            Value::U64(n) if n > MOST_SAFE => quoted(value, out),
            Value::Null => quoted(value, out),
            Value::Bytes(bytes) if std::str::from_utf8(bytes.as_bytes()).is_err() => {
                out.push(b'"');
                escape::base64(bytes.as_bytes(), out);
                out.push(b'"');
            }
            _ => form::json(value, out),
        }
        out.push(b'}');
    }
}

fn quoted(value: Value<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    value::scalar(value, out);
    out.push(b'"');
}

fn sort(value: Value<'_>) -> &'static [u8] {
    match value {
        Value::Bool(_) => b"bool",
        Value::I64(_) => b"int64",
        Value::U64(n) if n <= i64::MAX as u64 => b"int64",
        Value::F64(n) if n.is_finite() => b"float64",
        Value::Bytes(bytes) if std::str::from_utf8(bytes.as_bytes()).is_err() => b"binary",
        _ => b"string",
    }
}

//! Zipkin's v2 JSON: <https://github.com/openzipkin/zipkin-api/blob/master/zipkin2-api.yaml>.
//!
//! What becomes what is OpenTelemetry's transformation:
//! <https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/>.

use std::net::IpAddr;

use super::form::{self, Service, cut_string, id, number, string};
use super::line::escape;
use crate::batch::SpanRecord;
use crate::ring::frame::Value;
use crate::traces::{SpanKind, SpanStatus};

/// Appends a list of the spans. `scratch` is kept for the next call.
pub(crate) fn write<'a>(
    service: &Service<'_>,
    spans: impl IntoIterator<Item = SpanRecord<'a>>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    for (at, span) in spans.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        self::span(service, &span, scratch, out);
    }
    out.push(b']');
}

/// Appends one span.
pub(crate) fn span(
    service: &Service<'_>,
    span: &SpanRecord<'_>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"traceId\":");
    id(&span.context.trace_bytes(), out);
    if let Some(parent) = span.parent_span_id {
        out.extend_from_slice(b",\"parentId\":");
        id(&parent.to_bytes(), out);
    }
    out.extend_from_slice(b",\"id\":");
    id(&span.context.span_bytes(), out);
    if let Some(kind) = kind(span.kind) {
        out.extend_from_slice(b",\"kind\":");
        out.extend_from_slice(kind);
    }
    if !span.name.as_bytes().is_empty() {
        out.extend_from_slice(b",\"name\":");
        cut_string(span.name, out);
    }
    let (start, duration) = form::micros(span);
    out.extend_from_slice(b",\"timestamp\":");
    number(start, out);
    out.extend_from_slice(b",\"duration\":");
    // Zipkin takes 0 for a span that has not ended.
    number(duration.max(1), out);
    out.extend_from_slice(b",\"localEndpoint\":{\"serviceName\":");
    string(service.known_name().as_bytes(), out);
    out.push(b'}');
    if matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
        Remote::of(span).write(out);
    }
    annotations(span, scratch, out);
    tags(service, span, out);
    out.push(b'}');
}

fn kind(kind: SpanKind) -> Option<&'static [u8]> {
    match kind {
        SpanKind::Internal => None,
        SpanKind::Server => Some(b"\"SERVER\""),
        SpanKind::Client => Some(b"\"CLIENT\""),
        SpanKind::Producer => Some(b"\"PRODUCER\""),
        SpanKind::Consumer => Some(b"\"CONSUMER\""),
    }
}

/// The other side, as attributes of the specification's list name it.
#[derive(Default)]
struct Remote<'a> {
    /// How early in the list the name stands, and the name.
    name: Option<(usize, Value<'a>)>,
    address: Option<IpAddr>,
    port: Option<u16>,
}

const NAMES: [&[u8]; 6] = [
    b"peer.service",
    b"server.address",
    b"net.peer.name",
    b"network.peer.address",
    b"server.socket.domain",
    b"db.namespace",
];

impl<'a> Remote<'a> {
    fn of(span: &SpanRecord<'a>) -> Remote<'a> {
        let mut remote = Remote::default();
        for field in span.attributes() {
            let (key, value) = (field.key.as_bytes(), field.value);
            if let Some(rank) = NAMES.iter().position(|name| *name == key)
                && remote.name.is_none_or(|(best, _)| rank <= best)
            {
                remote.name = Some((rank, value));
            }
            match (key, value) {
                (b"network.peer.address", Value::Str(text)) => {
                    remote.address = text.to_str().parse().ok();
                }
                (b"network.peer.port", Value::I64(port)) => remote.port = port.try_into().ok(),
                (b"network.peer.port", Value::U64(port)) => remote.port = port.try_into().ok(),
                _ => {}
            }
        }
        remote
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Some((_, name)) = self.name else { return };
        out.extend_from_slice(b",\"remoteEndpoint\":{\"serviceName\":\"");
        form::text(name, out);
        out.push(b'"');
        if let Some(address) = self.address {
            out.extend_from_slice(if address.is_ipv4() { b",\"ipv4\":" } else { b",\"ipv6\":" });
            string(address.to_string().as_bytes(), out);
            if let Some(port) = self.port.filter(|port| *port > 0) {
                out.extend_from_slice(b",\"port\":");
                number(port, out);
            }
        }
        out.push(b'}');
    }
}

/// The events: a name alone, or `"name":{attributes}`, which is JSON within a string.
fn annotations(span: &SpanRecord<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    // Where those of the same microsecond stand: the schema has no two alike.
    let (mut micros, mut alike) = (None, Vec::new());
    let before = out.len();
    out.extend_from_slice(b",\"annotations\":[");
    let first = out.len();
    for event in span.events() {
        let begin = out.len();
        if begin > first {
            out.push(b',');
        }
        let from = out.len();
        let at = event.unix_nanos / 1_000;
        out.extend_from_slice(b"{\"timestamp\":");
        number(at, out);
        out.extend_from_slice(b",\"value\":\"");
        scratch.clear();
        form::of_event(event.attributes(), |key, value| {
            scratch.push(if scratch.is_empty() { b'{' } else { b',' });
            string(key, scratch);
            scratch.push(b':');
            form::json(value, scratch);
        });
        if scratch.is_empty() {
            escape::quoted(event.name.as_bytes(), out);
        } else {
            scratch.push(b'}');
            let attributes = scratch.len();
            cut_string(event.name, scratch);
            scratch.push(b':');
            escape::quoted(&scratch[attributes..], out);
            escape::quoted(&scratch[..attributes], out);
        }
        out.extend_from_slice(b"\"}");
        if micros.replace(at) != Some(at) {
            alike.clear();
        }
        let written = from..out.len();
        if alike.iter().any(|other: &std::ops::Range<usize>| out[other.clone()] == out[from..]) {
            out.truncate(begin);
        } else {
            alike.push(written);
        }
    }
    if out.len() == first {
        out.truncate(before);
    } else {
        out.push(b']');
    }
}

/// Attributes, and what Zipkin has no other place for. A name that is ours is not theirs.
fn tags(service: &Service<'_>, span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    let before = out.len();
    out.extend_from_slice(b",\"tags\":");
    let first = out.len();
    let tag = |key: &[u8], out: &mut Vec<u8>| {
        out.push(if out.len() == first { b'{' } else { b',' });
        string(key, out);
        out.extend_from_slice(b":\"");
    };
    form::latest(span.attributes(), |key, value| {
        if !is_ours(key) {
            tag(key, out);
            form::text(value, out);
            out.push(b'"');
        }
    });
    for (at, (key, text)) in service.tags().enumerate() {
        let is_set = || span.attributes().any(|field| field.key.as_bytes() == key.as_bytes());
        let again = || service.tags().take(at).any(|(other, _)| other == key);
        if !is_ours(key.as_bytes()) && !is_set() && !again() {
            tag(key.as_bytes(), out);
            escape::quoted(text.as_bytes(), out);
            out.push(b'"');
        }
    }
    let code = match span.status {
        SpanStatus::Unset => "",
        SpanStatus::Ok => "OK",
        SpanStatus::Error => "ERROR",
    };
    let own = [
        (&b"otel.status_code"[..], code.as_bytes()),
        (b"otel.scope.name", span.scope.as_bytes()),
        (b"w3c.tracestate", span.tracestate.as_bytes()),
    ];
    for (key, text) in own.into_iter().filter(|(_, text)| !text.is_empty()) {
        tag(key, out);
        escape::quoted(text, out);
        out.push(b'"');
    }
    if span.status == SpanStatus::Error {
        // Its presence says that the span failed; why may be empty.
        tag(b"error", out);
        form::text(Value::Str(span.status_message), out);
        out.push(b'"');
    }
    for (key, count) in form::dropped(span) {
        tag(key.as_bytes(), out);
        number(count, out);
        out.push(b'"');
    }
    if out.len() == first {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
}

/// Names of tags that say something else than an attribute. `error` would make a failure of any span
/// that has it, whatever its value.
fn is_ours(key: &[u8]) -> bool {
    matches!(
        key,
        b"error"
            | b"otel.status_code"
            | b"otel.scope.name"
            | b"w3c.tracestate"
            | b"otel.dropped_attributes_count"
            | b"otel.dropped_events_count"
            | b"otel.dropped_links_count"
    )
}

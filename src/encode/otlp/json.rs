//! OTLP in JSON: ids in hexadecimal, 64-bit integers in quotes, enumerations by number, names in
//! `lowerCamelCase`. What is empty or 0 is left out where protobuf leaves it out.

use super::{Key, attributes, flags, key_of_errors};
use crate::batch::{SpanEvent, SpanLink, SpanRecord};
use crate::encode::line::escape::{self, hex};
use crate::encode::line::value::{self, REDACTED};
use crate::logs::Value;
use crate::ring::frame::Text;
use crate::traces::SpanStatus;
use crate::traces::context::flag;
use crate::traces::resource::{Resource, ResourceValue};

/// A number without quotes: of 32 bits.
#[inline]
fn number(text: &[u8], number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(text);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// What stands between quotes, without what would end them.
#[inline]
fn digits(text: &[u8], number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(text);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.push(b'"');
}

#[inline]
fn text(before: &[u8], text: Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    value::quoted(text, out);
    out.push(b'"');
}

/// Elements, which each begin with a comma: the first one's becomes the list's bracket.
#[inline]
fn list(name: &[u8], out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(name);
    let first = out.len();
    fill(out);
    match out.get_mut(first) {
        None => out.truncate(at),
        Some(comma) => {
            *comma = b'[';
            out.push(b']');
        }
    }
}

fn attribute(key: Key<'_>, value: Value<'_>, out: &mut Vec<u8>) {
    let Key(first, rest) = key;
    out.extend_from_slice(b",{\"key\":\"");
    value::quoted(first, out);
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"\",\"value\":{");
    match value {
        Value::Str(value) => text(b"\"stringValue\":\"", value, out),
        Value::Bool(true) => out.extend_from_slice(b"\"boolValue\":true"),
        Value::Bool(false) => out.extend_from_slice(b"\"boolValue\":false"),
        Value::I64(number) => digits(b"\"intValue\":\"", number, out),
        Value::U64(number) => match i64::try_from(number) {
            Ok(number) => digits(b"\"intValue\":\"", number, out),
            Err(_) => digits(b"\"stringValue\":\"", number, out),
        },
        Value::F64(number) if number.is_finite() => {
            out.extend_from_slice(b"\"doubleValue\":");
            out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        }
        Value::F64(number) => {
            text(b"\"stringValue\":\"", Text::new(value::not_finite(number)), out);
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"\"bytesValue\":\"");
            escape::base64(bytes.as_bytes(), out);
            out.push(b'"');
        }
        Value::Redacted => text(b"\"stringValue\":\"", Text::new(REDACTED), out),
        Value::Null | Value::Error { .. } => {}
    }
    out.extend_from_slice(b"}}");
}

fn count(before: &[u8], count: u32, out: &mut Vec<u8>) {
    if count > 0 {
        number(before, count, out);
    }
}

/// `Span`, behind a comma.
pub(super) fn span(span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",{\"traceId\":\"");
    hex(&span.context.trace_bytes(), out);
    out.extend_from_slice(b"\",\"spanId\":\"");
    hex(&span.context.span_bytes(), out);
    out.push(b'"');
    if !span.tracestate.as_bytes().is_empty() {
        text(b",\"traceState\":\"", span.tracestate, out);
    }
    if let Some(parent) = span.parent_span_id {
        out.extend_from_slice(b",\"parentSpanId\":\"");
        hex(&parent.to_bytes(), out);
        out.push(b'"');
    }
    let sent = span.context.active.flags & flag::SENT;
    number(b",\"flags\":", flags(sent, span.has_remote_parent), out);
    text(b",\"name\":\"", span.name, out);
    number(b",\"kind\":", span.kind as u32, out);
    digits(b",\"startTimeUnixNano\":\"", span.start_unix_nanos, out);
    digits(b",\"endTimeUnixNano\":\"", span.end_unix_nanos, out);
    list(b",\"attributes\":", out, |out| {
        attributes(span.attributes(), None, |key, value| attribute(key, value, out));
    });
    count(b",\"droppedAttributesCount\":", span.dropped_attributes, out);
    list(b",\"events\":", out, |out| span.events().for_each(|event| self::event(&event, out)));
    count(b",\"droppedEventsCount\":", span.dropped_events, out);
    list(b",\"links\":", out, |out| span.links().for_each(|link| self::link(&link, out)));
    count(b",\"droppedLinksCount\":", span.dropped_links, out);
    if span.status != SpanStatus::Unset {
        out.extend_from_slice(b",\"status\":{");
        if !span.status_message.as_bytes().is_empty() {
            text(b"\"message\":\"", span.status_message, out);
            out.push(b',');
        }
        number(b"\"code\":", span.status as u32, out);
        out.push(b'}');
    }
    out.push(b'}');
}

fn event(event: &SpanEvent<'_>, out: &mut Vec<u8>) {
    digits(b",{\"timeUnixNano\":\"", event.unix_nanos, out);
    text(b",\"name\":\"", event.name, out);
    let key = key_of_errors(event);
    list(b",\"attributes\":", out, |out| {
        attributes(event.attributes(), key, |key, value| attribute(key, value, out));
    });
    out.push(b'}');
}

fn link(link: &SpanLink<'_>, out: &mut Vec<u8>) {
    let context = &link.context;
    out.extend_from_slice(b",{\"traceId\":\"");
    hex(&context.trace_bytes(), out);
    out.extend_from_slice(b"\",\"spanId\":\"");
    hex(&context.span_bytes(), out);
    out.push(b'"');
    list(b",\"attributes\":", out, |out| {
        attributes(link.attributes(), None, |key, value| attribute(key, value, out));
    });
    let sent = context.active.flags & flag::SENT;
    number(b",\"flags\":", flags(sent, context.is_remote()), out);
    out.push(b'}');
}

/// `Resource`.
pub(super) fn resource(resource: &Resource, out: &mut Vec<u8>) {
    out.push(b'{');
    list(b"\"attributes\":", out, |out| {
        for (name, value) in resource.attributes() {
            let value = match value {
                ResourceValue::Text(text) => Value::Str(Text::new(text.as_bytes())),
                ResourceValue::Int(number) => Value::I64(*number),
                ResourceValue::Bool(truth) => Value::Bool(*truth),
            };
            attribute(Key(Text::new(name.as_bytes()), ""), value, out);
        }
    });
    out.push(b'}');
}

/// `ExportTraceServiceRequest`, of one `ResourceSpans`, on one line that has no end yet.
///
/// * `scopes`: names, and their spans as [`span`] writes them.
pub(super) fn request<'a>(
    resource: &[u8],
    scopes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"resourceSpans\":[{\"resource\":");
    out.extend_from_slice(resource);
    list(b",\"scopeSpans\":", out, |out| {
        for (name, spans) in scopes {
            text(b",{\"scope\":{\"name\":\"", Text::new(name), out);
            out.extend_from_slice(b"},\"spans\":[");
            out.extend_from_slice(spans.get(1..).unwrap_or_default());
            out.extend_from_slice(b"]}");
        }
    });
    out.extend_from_slice(b"}]}");
}

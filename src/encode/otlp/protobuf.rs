//! OTLP in protobuf, field by field as `opentelemetry/proto/trace/v1/trace.proto` numbers them.

use super::{Key, attributes, expand, flags, key_of_errors};
use crate::batch::{Part, SpanEvent, SpanLink, SpanRecord};
use crate::encode::line::value::{REDACTED, cut};
use crate::encode::wire::{self, bytes, fixed64, int, key, long, message, varint_len};
use crate::logs::Value;
use crate::ring::frame::Text;
use crate::traces::SpanStatus;
use crate::traces::context::flag;
use crate::traces::resource::{Resource, ResourceValue};

/// A fixed 32-bit integer's.
const FIXED32: u8 = 5;

/// An id of a length that is known.
#[inline]
fn id<const N: usize>(field: u8, id: [u8; N], out: &mut Vec<u8>) {
    out.extend_from_slice(&[long(field), N as u8]);
    out.extend_from_slice(&id);
}

/// A text, which in protobuf is UTF-8.
#[inline]
fn text(key: u8, text: Text<'_>, out: &mut Vec<u8>) {
    if std::str::from_utf8(text.as_bytes()).is_ok() && text.lost_bytes() == 0 {
        return bytes(key, text.as_bytes(), out);
    }
    message::<1>(key, out, |out| {
        for chunk in text.as_bytes().utf8_chunks() {
            out.extend_from_slice(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        cut(text, out);
    });
}

/// A text that is not there where it is empty, as it is for all but values.
#[inline]
fn some(key: u8, text: Text<'_>, out: &mut Vec<u8>) {
    if !text.as_bytes().is_empty() {
        self::text(key, text, out);
    }
}

fn attribute(field: u8, key: Key<'_>, value: Value<'_>, out: &mut Vec<u8>) {
    message::<1>(long(field), out, |out| {
        let Key(first, rest) = key;
        match rest.is_empty() {
            true => some(long(1), first, out),
            false => message::<1>(long(1), out, |out| {
                out.extend_from_slice(first.to_str().as_bytes());
                out.extend_from_slice(rest.as_bytes());
            }),
        }
        message::<1>(long(2), out, |out| any(value, out));
    });
}

/// The inside of an `AnyValue`.
#[inline]
fn any(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Str(value) => text(long(1), value, out),
        Value::Bool(truth) => int(key(2, wire::VARINT), truth.into(), out),
        Value::I64(number) => int(key(3, wire::VARINT), number as u64, out),
        Value::U64(number) => match i64::try_from(number) {
            Ok(number) => int(key(3, wire::VARINT), number as u64, out),
            Err(_) => bytes(long(1), itoa::Buffer::new().format(number).as_bytes(), out),
        },
        Value::F64(number) => fixed64(4, number.to_bits(), out),
        Value::Bytes(value) => bytes(long(7), value.as_bytes(), out),
        Value::Redacted => bytes(long(1), REDACTED, out),
        // The one is not sent, and the other is several.
        Value::Null | Value::Error { .. } => {}
    }
}

fn count(field: u8, count: u32, out: &mut Vec<u8>) {
    if count > 0 {
        int(key(field, wire::VARINT), count.into(), out);
    }
}

/// `Span`, as a field of `ScopeSpans`.
pub(super) fn span(span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    message::<2>(long(2), out, |out| {
        id(1, span.context.trace_bytes(), out);
        id(2, span.context.span_bytes(), out);
        some(long(3), span.tracestate, out);
        if let Some(parent) = span.parent_span_id {
            id(4, parent.to_bytes(), out);
        }
        some(long(5), span.name, out);
        int(key(6, wire::VARINT), span.kind as u64, out);
        fixed64(7, span.start_unix_nanos, out);
        fixed64(8, span.end_unix_nanos, out);
        // In their order, whatever they are: a message's fields may come in any.
        span.parts(|part| match part {
            Part::Attribute(field) => {
                expand(field, None, |key, value| attribute(9, key, value, out));
            }
            Part::Event(event) => self::event(&event, out),
            Part::Link(link) => self::link(&link, out),
        });
        count(10, span.dropped_attributes, out);
        count(12, span.dropped_events, out);
        count(14, span.dropped_links, out);
        status(span, out);
        // The one key that has two bytes: of a fixed 32-bit integer, field 16.
        let flags = flags(span.context.active.flags & flag::SENT, span.has_remote_parent);
        out.extend_from_slice(&[0x80 | FIXED32, 1]);
        out.extend_from_slice(&flags.to_le_bytes());
    });
}

fn event(event: &SpanEvent<'_>, out: &mut Vec<u8>) {
    message::<1>(long(11), out, |out| {
        fixed64(1, event.unix_nanos, out);
        some(long(2), event.name, out);
        let key = key_of_errors(event);
        attributes(event.attributes(), key, |key, value| attribute(3, key, value, out));
    });
}

fn link(link: &SpanLink<'_>, out: &mut Vec<u8>) {
    message::<1>(long(13), out, |out| {
        let context = &link.context;
        id(1, context.trace_bytes(), out);
        id(2, context.span_bytes(), out);
        attributes(link.attributes(), None, |key, value| attribute(4, key, value, out));
        let flags = flags(context.active.flags & flag::SENT, context.is_remote());
        out.push(key(6, FIXED32));
        out.extend_from_slice(&flags.to_le_bytes());
    });
}

#[inline]
fn status(span: &SpanRecord<'_>, out: &mut Vec<u8>) {
    if span.status == SpanStatus::Unset {
        return;
    }
    message::<1>(long(15), out, |out| {
        some(long(2), span.status_message, out);
        int(key(3, wire::VARINT), span.status as u64, out);
    });
}

/// `Resource`, as a field of `ResourceSpans`.
pub(super) fn resource(resource: &Resource, out: &mut Vec<u8>) {
    message::<2>(long(1), out, |out| {
        for (name, value) in resource.attributes() {
            let value = match value {
                ResourceValue::Text(text) => Value::Str(Text::new(text.as_bytes())),
                ResourceValue::Int(number) => Value::I64(*number),
                ResourceValue::Bool(truth) => Value::Bool(*truth),
            };
            attribute(1, Key(Text::new(name.as_bytes()), ""), value, out);
        }
    });
}

/// `ExportTraceServiceRequest`, of one `ResourceSpans`.
///
/// * `scopes`: names, and their spans as [`span`] writes them.
pub(super) fn request<'a>(
    resource: &[u8],
    scopes: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    out: &mut Vec<u8>,
) {
    // Lengths are known before anything is written: all of it is moved once.
    let field = |length: usize| 1 + varint_len(length as u64) + length;
    let scope = |name: &[u8]| if name.is_empty() { 0 } else { field(name.len()) };
    let inside = |(name, spans): (&[u8], &[u8])| field(scope(name)) + spans.len();
    let all = resource.len() + scopes.clone().map(|scope| field(inside(scope))).sum::<usize>();
    out.reserve(field(all));
    int(long(1), all as u64, out);
    out.extend_from_slice(resource);
    for (name, spans) in scopes {
        int(long(2), inside((name, spans)) as u64, out);
        int(long(1), scope(name) as u64, out);
        if !name.is_empty() {
            bytes(long(1), name, out);
        }
        out.extend_from_slice(spans);
    }
}

//! A span as one JSON object a line, for people and for what reads logs.

use super::{Lines, escape, json, value};
use crate::batch::SpanRecord;
use crate::ring::frame::Field;
use crate::traces::{SpanContext, SpanStatus};

impl Lines {
    /// Appends `span` as a line: its end as `timestamp`, and what it has. As JSON whatever the format.
    pub(crate) fn write_span(&mut self, span: &SpanRecord<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        out.extend_from_slice(self.state.stamp.at(span.end_unix_nanos));
        out.extend_from_slice(b"\",\"span\":\"");
        value::quoted(span.name, out);
        out.push(b'"');
        ids(&span.context, b",\"", out);
        if let Some(parent) = span.parent_span_id {
            out.extend_from_slice(b",\"parent_span_id\":\"");
            escape::hex(&parent.to_bytes(), out);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"start\":\"");
        out.extend_from_slice(self.state.stamp.at(span.start_unix_nanos));
        out.extend_from_slice(b"\",\"duration_nanos\":");
        number(span.duration_nanos(), out);
        out.extend_from_slice(b",\"kind\":\"");
        out.extend_from_slice(span.kind.as_str().as_bytes());
        out.extend_from_slice(b"\",\"status\":\"");
        out.extend_from_slice(status(span.status));
        out.push(b'"');
        for (key, text) in [
            (&b",\"status_message\":\""[..], span.status_message),
            (b",\"scope\":\"", span.scope),
            (b",\"thread\":\"", span.thread),
        ] {
            if !text.as_bytes().is_empty() {
                out.extend_from_slice(key);
                value::quoted(text, out);
                out.push(b'"');
            }
        }
        attributes(span.attributes(), out);
        list(b",\"events\":[", span.events(), out, |event, out| {
            out.extend_from_slice(b"{\"name\":\"");
            value::quoted(event.name, out);
            out.extend_from_slice(b"\",\"unix_nanos\":");
            number(event.unix_nanos, out);
            attributes(event.attributes(), out);
            out.push(b'}');
        });
        list(b",\"links\":[", span.links(), out, |link, out| {
            ids(&link.context, b"{\"", out);
            attributes(link.attributes(), out);
            out.push(b'}');
        });
        let dropped = span.dropped_attributes + span.dropped_events + span.dropped_links;
        if dropped > 0 {
            out.extend_from_slice(b",\"dropped_items\":");
            number(dropped.into(), out);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn ids(context: &SpanContext, before: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    out.extend_from_slice(b"trace_id\":\"");
    escape::hex(&context.trace_bytes(), out);
    out.extend_from_slice(b"\",\"span_id\":\"");
    escape::hex(&context.span_bytes(), out);
    out.push(b'"');
}

fn number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Nothing where there are none. Of two of one name the later counts.
fn attributes<'a>(fields: impl Iterator<Item = Field<'a>>, out: &mut Vec<u8>) {
    let fields: Vec<Field<'_>> = fields.collect();
    let mut open: &[u8] = b",\"attributes\":{\"";
    for (at, field) in fields.iter().enumerate() {
        if fields[at + 1..].iter().any(|later| later.key == field.key) {
            continue;
        }
        out.extend_from_slice(std::mem::replace(&mut open, b",\""));
        value::quoted(field.key, out);
        out.extend_from_slice(b"\":");
        json::value(field.value, out);
    }
    if !fields.is_empty() {
        out.push(b'}');
    }
}

fn list<T>(
    open: &[u8],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl Fn(&T, &mut Vec<u8>),
) {
    let mut is_empty = true;
    for item in items {
        out.extend_from_slice(if is_empty { open } else { b"," });
        is_empty = false;
        write(&item, out);
    }
    if !is_empty {
        out.push(b']');
    }
}

fn status(status: SpanStatus) -> &'static [u8] {
    match status {
        SpanStatus::Unset => b"unset",
        SpanStatus::Ok => b"ok",
        SpanStatus::Error => b"error",
    }
}

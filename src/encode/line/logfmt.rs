//! `key=value` pairs, with the names that JSON has.

use super::{Origin, Place, State, escape, value};
use crate::batch::Record;
use crate::ring::frame::{ContextView, Field, Text, Value};

pub(super) fn write(state: &mut State, record: &Record<'_>, place: Place<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"timestamp=");
    out.extend_from_slice(state.stamp.at(record.unix_nanos));
    out.extend_from_slice(b" level=");
    out.extend_from_slice(record.level.as_str().as_bytes());
    if !record.logger.as_bytes().is_empty() {
        pair(b" logger=", record.logger, out);
    }
    pair(b" message=", record.message, out);
    place.write(out, origin);
    if !record.thread.as_bytes().is_empty() {
        pair(b" thread=", record.thread, out);
    }
    ids(&record.context, out);
    let error = fields(state, record, out);
    if let Some(Value::Error { type_name, message, traceback }) = error {
        pair(b" exception.type=", type_name, out);
        pair(b" exception.message=", message, out);
        if !traceback.as_bytes().is_empty() {
            pair(b" exception.traceback=", traceback, out);
        }
    }
    if record.recovered {
        out.extend_from_slice(b" recovered=true");
    }
    out.push(b'\n');
}

pub(super) fn origin(origin: &Origin<'_>, out: &mut Vec<u8>) {
    for (key, text) in [
        (&b" module="[..], origin.module),
        (b" function=", origin.function),
        (b" file=", origin.file),
    ] {
        if !text.is_empty() {
            pair(key, Text::new(text.as_bytes()), out);
        }
    }
    if origin.line > 0 {
        out.extend_from_slice(b" line=");
        out.extend_from_slice(itoa::Buffer::new().format(origin.line).as_bytes());
    }
}

#[inline]
fn pair(key: &[u8], text: Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    value::word_text(text, out);
}

pub(super) fn ids(context: &ContextView<'_>, out: &mut Vec<u8>) {
    for (key, id) in [
        (&b" request_id="[..], context.request_id),
        (b" user_id=", context.user_id),
        (b" session_id=", context.session_id),
    ] {
        if let Some(id) = id {
            pair(key, id, out);
        }
    }
    if let Some(trace_id) = context.trace_id {
        out.extend_from_slice(b" trace_id=");
        escape::hex(&trace_id, out);
    }
    if let Some(span_id) = context.span_id {
        out.extend_from_slice(b" span_id=");
        escape::hex(&span_id, out);
    }
}

/// The first error is the line's exception, whatever it was called: it stands at the end.
fn fields<'a>(state: &mut State, record: &Record<'a>, out: &mut Vec<u8>) -> Option<Value<'a>> {
    let mut first = None;
    let mut field = |Field { key, value }: Field<'a>| {
        let key = key.as_bytes();
        let mut pair = |part: &[u8], value| {
            out.push(b' ');
            state.keys.word(key, part, out);
            out.push(b'=');
            value::word(value, out);
        };
        match value {
            Value::Error { .. } if first.is_none() => first = Some(value),
            Value::Error { type_name, message, traceback } => {
                pair(b".type", Value::Str(type_name));
                pair(b".message", Value::Str(message));
                if !traceback.as_bytes().is_empty() {
                    pair(b".traceback", Value::Str(traceback));
                }
            }
            _ => pair(b"", value),
        }
    };
    record.context.fields().for_each(&mut field);
    record.fields().for_each(&mut field);
    first
}

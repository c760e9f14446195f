//! One JSON object a line.

use super::value::{self, REDACTED};
use super::{Origin, Place, State, escape};
use crate::batch::Record;
use crate::logs::Level;
use crate::ring::frame::{ContextView, Field, Text, Value};

pub(super) fn write(state: &mut State, record: &Record<'_>, place: Place<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(state.stamp.at(record.unix_nanos));
    out.push(b'"');
    said(record.level, record.logger, record.message, out);
    place.write(out, origin);
    asked(record.thread, &record.context, out);
    let error = fields(state, record, out);
    if let Some(error) = error {
        out.extend_from_slice(b",\"exception\":");
        self::error(error, out);
    }
    if record.recovered {
        out.extend_from_slice(b",\"recovered\":true");
    }
    out.extend_from_slice(b"}\n");
}

/// How it matters, who says it, and what.
pub(super) fn said(level: Level, logger: Text<'_>, message: Text<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(match level {
        Level::Error => b",\"level\":\"error\"",
        Level::Warn => b",\"level\":\"warn\"",
        Level::Info => b",\"level\":\"info\"",
        Level::Debug => b",\"level\":\"debug\"",
        Level::Trace => b",\"level\":\"trace\"",
    });
    if !logger.as_bytes().is_empty() {
        out.extend_from_slice(b",\"logger\":\"");
        value::quoted(logger, out);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"message\":\"");
    value::quoted(message, out);
    out.push(b'"');
}

pub(super) fn origin(origin: &Origin<'_>, out: &mut Vec<u8>) {
    for (key, text) in [
        (&b",\"module\":\""[..], origin.module),
        (b",\"function\":\"", origin.function),
        (b",\"file\":\"", origin.file),
    ] {
        if !text.is_empty() {
            out.extend_from_slice(key);
            escape::quoted(text.as_bytes(), out);
            out.push(b'"');
        }
    }
    if origin.line > 0 {
        out.extend_from_slice(b",\"line\":");
        out.extend_from_slice(itoa::Buffer::new().format(origin.line).as_bytes());
    }
}

/// The thread and the ids.
pub(super) fn asked(thread: Text<'_>, context: &ContextView<'_>, out: &mut Vec<u8>) {
    let mut text = |key: &[u8], id: Option<Text<'_>>| {
        if let Some(id) = id {
            out.extend_from_slice(key);
            value::quoted(id, out);
            out.push(b'"');
        }
    };
    text(b",\"thread\":\"", Some(thread).filter(|thread| !thread.as_bytes().is_empty()));
    text(b",\"request_id\":\"", context.request_id);
    text(b",\"user_id\":\"", context.user_id);
    text(b",\"session_id\":\"", context.session_id);
    if let Some(trace_id) = context.trace_id {
        out.extend_from_slice(b",\"trace_id\":\"");
        escape::hex(&trace_id, out);
        out.push(b'"');
    }
    if let Some(span_id) = context.span_id {
        out.extend_from_slice(b",\"span_id\":\"");
        escape::hex(&span_id, out);
        out.push(b'"');
    }
}

/// The first error is the line's exception, whatever it was called: it stands at the end.
#[inline]
fn fields<'a>(state: &mut State, record: &Record<'a>, out: &mut Vec<u8>) -> Option<Value<'a>> {
    let mut first = None;
    let mut field = |Field { key, value }: Field<'a>| {
        if matches!(value, Value::Error { .. }) && first.is_none() {
            first = Some(value);
            return;
        }
        out.extend_from_slice(b",\"");
        state.keys.quoted(key.as_bytes(), out);
        out.extend_from_slice(b"\":");
        self::value(value, out);
    };
    record.context.fields().for_each(&mut field);
    record.fields().for_each(&mut field);
    first
}

pub(super) fn value(value: Value<'_>, out: &mut Vec<u8>) {
    if !value::scalar(value, out) {
        text(value, out);
    }
}

/// What is more than a number.
fn text(value: Value<'_>, out: &mut Vec<u8>) {
    if let Value::Error { .. } = value {
        return error(value, out);
    }
    out.push(b'"');
    match value {
        Value::Str(text) => value::quoted(text, out),
        Value::Bytes(bytes) => value::bytes(bytes, out),
        Value::F64(n) => out.extend_from_slice(value::not_finite(n)),
        _ => out.extend_from_slice(REDACTED),
    }
    out.push(b'"');
}

#[cold]
fn error(error: Value<'_>, out: &mut Vec<u8>) {
    let Value::Error { type_name, message, traceback } = error else { return };
    out.extend_from_slice(b"{\"type\":\"");
    value::quoted(type_name, out);
    out.extend_from_slice(b"\",\"message\":\"");
    value::quoted(message, out);
    if !traceback.as_bytes().is_empty() {
        out.extend_from_slice(b"\",\"traceback\":\"");
        value::quoted(traceback, out);
    }
    out.extend_from_slice(b"\"}");
}

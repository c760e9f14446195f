//! A line for people: when, how bad, who, what; then the fields.

use super::{Origin, Place, State, escape, key, logfmt, value};
use crate::batch::Record;
use crate::logs::Level;
use crate::ring::frame::{Field, Value};

pub(super) fn write(state: &mut State, record: &Record<'_>, place: Place<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(state.stamp.at(record.unix_nanos));
    out.extend_from_slice(level(record.level));
    if !record.logger.as_bytes().is_empty() {
        value::open(record.logger, out);
        out.extend_from_slice(b": ");
    }
    value::open(record.message, out);
    fields(record, out, plain_key, |key, error, out| {
        let Value::Error { type_name, message, traceback } = error else { return };
        for (part, text) in [("type", type_name), ("message", message), ("traceback", traceback)] {
            // An error without causes has no traceback; what it is and says is never left out.
            if part == "traceback" && text.as_bytes().is_empty() {
                continue;
            }
            out.push(b' ');
            match key {
                None => out.extend_from_slice(b"exception"),
                Some(key) => key::word(key, out),
            }
            out.push(b'.');
            out.extend_from_slice(part.as_bytes());
            out.push(b'=');
            value::word_text(text, out);
        }
    });
    logfmt::ids(&record.context, out);
    place.write(out, origin);
    if !record.thread.as_bytes().is_empty() {
        out.extend_from_slice(b" thread=");
        value::word_text(record.thread, out);
    }
    if record.recovered {
        out.extend_from_slice(b" recovered=true");
    }
    out.push(b'\n');
}

/// Of one width.
pub(super) fn level(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b" ERROR ",
        Level::Warn => b"  WARN ",
        Level::Info => b"  INFO ",
        Level::Debug => b" DEBUG ",
        Level::Trace => b" TRACE ",
    }
}

/// File and line: the module and the function are for machines.
pub(super) fn origin(origin: &Origin<'_>, out: &mut Vec<u8>) {
    if origin.file.is_empty() {
        return;
    }
    out.extend_from_slice(b" at=");
    escape::open(origin.file.as_bytes(), out);
    if origin.line > 0 {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(origin.line).as_bytes());
    }
}

fn plain_key(key: &[u8], out: &mut Vec<u8>) {
    out.push(b' ');
    key::word(key, out);
    out.push(b'=');
}

/// Writes the fields: their names by `name`, errors by `error`, the first of which has no name of its
/// own.
pub(super) fn fields(
    record: &Record<'_>,
    out: &mut Vec<u8>,
    name: impl Fn(&[u8], &mut Vec<u8>),
    mut error: impl FnMut(Option<&[u8]>, Value<'_>, &mut Vec<u8>),
) {
    let mut first = None;
    let mut field = |Field { key, value }: Field<'_>| match value {
        Value::Error { .. } if first.is_none() => {
            first = Some(());
            error(None, value, out);
        }
        Value::Error { .. } => error(Some(key.as_bytes()), value, out),
        _ => {
            name(key.as_bytes(), out);
            value::word(value, out);
        }
    };
    record.context.fields().for_each(&mut field);
    record.fields().for_each(&mut field);
}

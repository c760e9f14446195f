//! For a terminal: colours, and what an error says on lines of its own.
//!
//! The only escape sequences are the ones here; those in values are escaped as everywhere.

use super::{Place, State, key, logfmt, text, value};
use crate::batch::Record;
use crate::logs::Level;
use crate::ring::frame::{Field, Text, Value};

const PLAIN: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";
const BOLD: &[u8] = b"\x1b[1m";

fn colour(level: Level) -> &'static [u8] {
    match level {
        Level::Error => b"\x1b[1;31m",
        Level::Warn => b"\x1b[33m",
        Level::Info => b"\x1b[32m",
        Level::Debug => b"\x1b[34m",
        Level::Trace => b"\x1b[35m",
    }
}

pub(super) fn write(state: &mut State, record: &Record<'_>, place: Place<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(DIM);
    out.extend_from_slice(state.stamp.at(record.unix_nanos));
    out.extend_from_slice(PLAIN);
    out.extend_from_slice(colour(record.level));
    out.extend_from_slice(text::level(record.level));
    out.extend_from_slice(PLAIN);
    if !record.logger.as_bytes().is_empty() {
        out.extend_from_slice(BOLD);
        value::open(record.logger, out);
        out.extend_from_slice(PLAIN);
        out.extend_from_slice(b": ");
    }
    value::open(record.message, out);
    text::fields(record, out, coloured_key, |_, _, _| {});
    out.extend_from_slice(DIM);
    logfmt::ids(&record.context, out);
    place.write(out, text::origin);
    if !record.thread.as_bytes().is_empty() {
        out.extend_from_slice(b" thread=");
        value::word_text(record.thread, out);
    }
    if record.recovered {
        out.extend_from_slice(b" recovered=true");
    }
    out.extend_from_slice(PLAIN);
    out.push(b'\n');
    let mut error = |Field { key, value }: Field<'_>| {
        if let Value::Error { type_name, message, traceback } = value {
            self::error(key.as_bytes(), [type_name, message, traceback], out);
        }
    };
    record.context.fields().for_each(&mut error);
    record.fields().for_each(&mut error);
}

fn coloured_key(key: &[u8], out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(DIM);
    key::word(key, out);
    out.push(b'=');
    out.extend_from_slice(PLAIN);
}

/// Indented, so that none of it looks like a record.
#[cold]
fn error(key: &[u8], [type_name, message, traceback]: [Text<'_>; 3], out: &mut Vec<u8>) {
    out.extend_from_slice(b"    ");
    out.extend_from_slice(DIM);
    key::word(key, out);
    out.extend_from_slice(b": ");
    out.extend_from_slice(PLAIN);
    value::open(type_name, out);
    out.extend_from_slice(b": ");
    value::open(message, out);
    out.push(b'\n');
    let bytes = traceback.as_bytes();
    if bytes.is_empty() {
        return;
    }
    let mut lines =
        bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        out.extend_from_slice(b"      ");
        match lines.peek() {
            Some(_) => value::open(Text::new(line), out),
            // The last says what of the whole was cut off.
            None => value::open(Text::cut(line, traceback.lost_bytes()), out),
        }
        out.push(b'\n');
    }
}

//! Values, as all formats write them or as those do that are read by people.

use super::escape::{self, place};
use crate::ring::frame::{Text, Value};

/// What stands for a value that was kept out.
pub(in crate::encode) const REDACTED: &[u8] = b"[redacted]";

/// A text between quotes that are there already, and how much of it was cut off.
#[inline]
pub(in crate::encode) fn quoted(text: Text<'_>, out: &mut Vec<u8>) {
    escape::quoted(text.as_bytes(), out);
    cut(text, out);
}

/// A text on the line, without quotes.
#[inline]
pub(super) fn open(text: Text<'_>, out: &mut Vec<u8>) {
    escape::open(text.as_bytes(), out);
    cut(text, out);
}

/// Says how much of a text was cut off.
#[inline]
pub(in crate::encode) fn cut(text: Text<'_>, out: &mut Vec<u8>) {
    if text.lost_bytes() > 0 {
        out.extend_from_slice("…[+".as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(text.lost_bytes()).as_bytes());
        out.extend_from_slice(b" bytes]");
    }
}

/// Bytes between quotes: as text where they are UTF-8, else in base64, which says so.
pub(in crate::encode) fn bytes(bytes: Text<'_>, out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes.as_bytes()) {
        Ok(_) => escape::quoted(bytes.as_bytes(), out),
        Err(_) => {
            out.extend_from_slice(b"base64:");
            escape::base64(bytes.as_bytes(), out);
        }
    }
    cut(bytes, out);
}

#[inline]
pub(super) fn integer(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// A number, a truth or nothing; other values are left to the caller.
#[inline]
pub(in crate::encode) fn scalar(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(n) => integer(n, out),
        Value::U64(n) => integer(n, out),
        Value::F64(n) if n.is_finite() => {
            out.extend_from_slice(ryu::Buffer::new().format_finite(n).as_bytes());
        }
        _ => return false,
    }
    true
}

/// A number that none is.
pub(in crate::encode) fn not_finite(n: f64) -> &'static [u8] {
    match n {
        _ if n.is_nan() => b"NaN",
        _ if n > 0.0 => b"Infinity",
        _ => b"-Infinity",
    }
}

/// A value as logfmt and the formats for people have it: in quotes only where it must be.
pub(super) fn word(value: Value<'_>, out: &mut Vec<u8>) {
    if scalar(value, out) {
        return;
    }
    match value {
        Value::F64(n) => out.extend_from_slice(not_finite(n)),
        Value::Redacted => out.extend_from_slice(REDACTED),
        Value::Str(text) => word_text(text, out),
        Value::Bytes(text) => {
            out.push(b'"');
            bytes(text, out);
            out.push(b'"');
        }
        // An error is several values; its caller takes it apart.
        Value::Error { message, .. } => word_text(message, out),
        Value::Null | Value::Bool(_) | Value::I64(_) | Value::U64(_) => {}
    }
}

#[inline]
pub(super) fn word_text(text: Text<'_>, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let bare = !bytes.is_empty() && text.lost_bytes() == 0;
    if bare && escape::plain::<{ place::WORD }>(bytes) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    quoted(text, out);
    out.push(b'"');
}

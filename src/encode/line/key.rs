//! Names of free fields: never one of ours, and in one line never the same twice.

use super::escape::{self, place};

/// What a free field's name begins with when it would be taken for one of ours.
const OURS: &[u8] = b"field.";

/// Whether a free field may not be called that: also where the line has no such field of ours, so
/// that what a client gave is never taken for what the engine knows.
#[inline]
fn is_ours(key: &[u8]) -> bool {
    match key.len() {
        4 => matches!(key, b"file" | b"line"),
        5 => key == b"level",
        6 => matches!(key, b"logger" | b"module" | b"thread"),
        7 => matches!(key, b"message" | b"user_id" | b"span_id"),
        8 => matches!(key, b"function" | b"trace_id"),
        9 => matches!(key, b"timestamp" | b"exception" | b"recovered"),
        10 => matches!(key, b"request_id" | b"session_id") || is_of_exception(key),
        _ => is_of_exception(key),
    }
}

/// A reader that makes objects of dots would put these into ours.
fn is_of_exception(key: &[u8]) -> bool {
    key.starts_with(b"exception.")
}

/// The names of the line being written.
#[derive(Default)]
pub(super) struct Keys {
    written: Vec<Written>,
    /// The last number that made a name another one.
    again: u32,
}

/// Where a name stands in the output.
struct Written {
    hash: u64,
    from: usize,
    to: usize,
}

impl Keys {
    #[inline]
    pub(super) fn begin_line(&mut self) {
        self.written.clear();
        self.again = 1;
    }

    /// Whether no name had to be made another one.
    pub(super) fn are_as_given(&self) -> bool {
        self.again == 1
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.written.capacity()
    }

    /// Writes `key` as it stands between quotes.
    #[inline]
    pub(super) fn quoted(&mut self, key: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        prefix(key, out);
        match key {
            [] => out.push(b'_'),
            _ => escape::quoted(key, out),
        }
        self.settle(from, out);
    }

    /// Writes `key` as a word; `part` goes with it.
    #[inline]
    pub(super) fn word(&mut self, key: &[u8], part: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        word(key, out);
        out.extend_from_slice(part);
        self.settle(from, out);
    }

    /// Notes the name at the end of `out`. When the line has it already, it gets `.2` or the next
    /// number of the line. A number is tried once, and each name in its way ends with it: so at most
    /// one try a name, however they were chosen.
    #[inline]
    fn settle(&mut self, from: usize, out: &mut Vec<u8>) {
        let bare = out.len();
        loop {
            let name = &out[from..];
            let hash = hash(name);
            let is_same =
                |other: &Written| other.hash == hash && &out[other.from..other.to] == name;
            if !self.written.iter().any(is_same) {
                self.written.push(Written { hash, from, to: out.len() });
                return;
            }
            self.again += 1;
            out.truncate(bare);
            out.push(b'.');
            out.extend_from_slice(itoa::Buffer::new().format(self.again).as_bytes());
        }
    }
}

/// Tells most names apart; which ones are alike is decided by their bytes.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let ends = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(31)
        }
        _ => name.iter().fold(0, |hash, &byte| hash << 8 | u64::from(byte)),
    };
    ends ^ (name.len() as u64) << 56
}

#[inline]
fn prefix(key: &[u8], out: &mut Vec<u8>) {
    if is_ours(key) {
        out.extend_from_slice(OURS);
    }
}

/// Writes `key` so that it is one word: what can't be in it is `_`.
#[inline]
pub(super) fn word(key: &[u8], out: &mut Vec<u8>) {
    prefix(key, out);
    match !key.is_empty() && escape::plain::<{ place::WORD }>(key) {
        true => out.extend_from_slice(key),
        false => replaced(key, out),
    }
}

#[cold]
fn replaced(key: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    if key.is_empty() {
        out.push(b'_');
    }
    for chunk in key.utf8_chunks() {
        for char in chunk.valid().chars() {
            let visible = char.is_ascii_graphic() && !matches!(char, '"' | '\\' | '=');
            let kept = if visible || char.is_alphanumeric() { char } else { '_' };
            out.extend_from_slice(kept.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if !chunk.invalid().is_empty() {
            out.push(b'_');
        }
    }
    // `request id` would be one of ours now.
    if !is_ours(key) && is_ours(&out[from..]) {
        out.splice(from..from, OURS.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::line::escape::tests::{hostile, is_hidden};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn settled(given: &[&[u8]]) -> Vec<String> {
        let (mut keys, mut out) = (Keys::default(), Vec::new());
        keys.begin_line();
        given.iter().for_each(|key| keys.quoted(key, &mut out));
        let name = |name: &Written| out[name.from..name.to].to_vec();
        keys.written.iter().map(|key| String::from_utf8(name(key)).unwrap()).collect()
    }

    #[test]
    fn a_name_that_is_there_gets_a_number() {
        assert_eq!(settled(&[b"a", b"b", b"a", b"a"]), ["a", "b", "a.2", "a.3"]);
        assert_eq!(settled(&[b"a", b"a.2", b"a", b"a.2"]), ["a", "a.2", "a.3", "a.2.4"]);
        assert_eq!(settled(&[b"\xff", b"\xfe", b""]), ["\u{fffd}", "\u{fffd}.2", "_"]);
    }

    #[test]
    fn our_names_are_ours() {
        let ours = [
            "timestamp",
            "level",
            "logger",
            "message",
            "module",
            "function",
            "file",
            "line",
            "thread",
            "request_id",
            "user_id",
            "session_id",
            "trace_id",
            "span_id",
            "exception",
            "recovered",
            "exception.type",
        ];
        for key in ours {
            let (mut out, lookalike) = (Vec::new(), key.replace('_', " "));
            word(lookalike.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("field.{key}"));
            assert_eq!(settled(&[key.as_bytes()]), [format!("field.{key}")]);
        }
        assert_eq!(
            settled(&[b"exceptional", b"Level", b"lines"]),
            ["exceptional", "Level", "lines"]
        );
        assert_eq!(settled(&[b"field.level", b"level"]), ["field.level", "field.level.2"]);
    }

    proptest! {
        #[test]
        fn names_of_a_line_differ(given in prop::collection::vec(prop_oneof!["[ab](\\.[2-4]){0,2}",
            "level|field.level|field.level.2"], 0..40))
        {
            let given: Vec<&[u8]> = given.iter().map(|key| key.as_bytes()).collect();
            let names = settled(&given);
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), given.len());
        }

        #[test]
        fn a_word_is_one(key in hostile()) {
            let mut out = Vec::new();
            word(&key, &mut out);
            let word = String::from_utf8(out).unwrap();
            let ends = |char: char| is_hidden(char) || char.is_whitespace() || "=\"\\".contains(char);
            prop_assert!(!word.is_empty() && !word.contains(ends), "{:?}", word);
        }
    }
}

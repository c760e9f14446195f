//! JSON straight from a frame, of what an earlier line has said already.
//!
//! Most lines differ from one before in their time and values alone. What a call site's line says up to
//! its thread is kept with the site, and what the last line of a thread said of it and its ids is kept
//! beside: so a line is two copies, and its values. Whatever else a frame may have is written from its
//! record, as all other formats are.

use super::key::Keys;
use super::{escape, json, value};
use crate::batch::{Known, SiteText};
use crate::encode::digits;
use crate::logs::Level;
use crate::ring::frame::{Frame, Plain, Text, Value};

/// Threads whose ids are kept at a time. A power of two.
const PLACES: usize = 16;

/// What all lines of a call site have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Site {
    /// `,"name":` of each of its fields; nothing where two would be called the same.
    names: Option<Box<[Name]>>,
    /// The level and the logger's number of the line before; no level has the number 0.
    level: u8,
    logger: u32,
    /// What that line said between its time and its thread.
    text: Vec<u8>,
}

impl Site {
    pub(super) fn new(site: &SiteText) -> Site {
        let (mut keys, mut out, mut ends) = (Keys::default(), Vec::new(), vec![0]);
        keys.begin_line();
        for key in &site.keys {
            out.extend_from_slice(b",\"");
            keys.quoted(key.as_bytes(), &mut out);
            out.extend_from_slice(b"\":");
            ends.push(out.len());
        }
        let names: Box<_> = ends.windows(2).map(|ends| Name::new(&out[ends[0]..ends[1]])).collect();
        Site { names: keys.are_as_given().then_some(names), ..Site::default() }
    }

    #[inline]
    fn is_of(&self, frame: Frame<'_>) -> bool {
        self.level == frame.level() && self.logger == frame.logger()
    }

    /// Takes on what the line of `frame` says; false where that makes no sense.
    #[cold]
    fn renew(&mut self, frame: Frame<'_>, known: &Known, origin: &[u8]) -> bool {
        let Some(level) = Level::of(frame.level()) else { return false };
        let (site, names) = known.get(frame);
        let logger = site.logger.as_deref().unwrap_or(names.logger).as_bytes();
        let message = site.message.as_deref().unwrap_or_default().as_bytes();
        self.text.clear();
        json::said(level, Text::new(logger), Text::new(message), &mut self.text);
        self.text.extend_from_slice(origin);
        (self.level, self.logger) = (frame.level(), frame.logger());
        true
    }
}

/// What the last line of a thread said of it and of its ids.
#[derive(Clone, Default)]
struct Asked {
    /// The thread's number; 0 is nobody's.
    thread: u32,
    is_traced: bool,
    /// Context and ids of the span, as the frame had them.
    bytes: Vec<u8>,
    text: Vec<u8>,
}

impl Asked {
    #[inline]
    fn is_of(&self, frame: Frame<'_>) -> bool {
        self.thread == frame.thread()
            && self.is_traced == frame.is_traced()
            && self.bytes == frame.asked_bytes()
    }

    /// Takes on what the line of `frame` says; false where that makes no sense, and where its context
    /// has fields, which stand among the others and whose names must differ from theirs.
    #[inline(never)]
    fn renew(&mut self, frame: Frame<'_>, known: &Known) -> bool {
        let context = frame.context().filter(|context| context.field_bytes().is_empty());
        let Some(context) = context else { return false };
        let (_, names) = known.get(frame);
        self.text.clear();
        json::asked(Text::new(names.thread.as_bytes()), &context, &mut self.text);
        (self.thread, self.is_traced) = (frame.thread(), frame.is_traced());
        self.bytes.clear();
        self.bytes.extend_from_slice(frame.asked_bytes());
        true
    }
}

/// What lines leave to those after them.
#[derive(Default)]
pub(super) struct Straight {
    asked: [Asked; PLACES],
}

impl Straight {
    /// Writes the line of `frame` where it can be written so; else nothing, and it is false.
    ///
    /// * `origin`: where the call site is, as its lines have it.
    #[inline]
    pub(super) fn write(
        &mut self,
        frame: Frame<'_>,
        known: &Known,
        (site, origin): (&mut Site, &[u8]),
        (second, rest): (&[u8; 20], [u8; 8]),
        out: &mut Vec<u8>,
    ) -> bool {
        let asked = &mut self.asked[frame.thread() as usize % PLACES];
        if frame.has_message()
            || !site.is_of(frame) && !site.renew(frame, known, origin)
            || !asked.is_of(frame) && !asked.renew(frame, known)
        {
            return false;
        }
        let Some(names) = &site.names else { return false };
        let from = out.len();
        out.extend_from_slice(&[0; FRONT]);
        if let Some(front) = out.last_chunk_mut::<FRONT>() {
            front[..14].copy_from_slice(b"{\"timestamp\":\"");
            front[14..34].copy_from_slice(second);
            front[34..].copy_from_slice(&rest);
        }
        out.extend_from_slice(&site.text);
        out.extend_from_slice(&asked.text);
        if !fields(frame, names, out) {
            out.truncate(from);
            return false;
        }
        out.extend_from_slice(b"}\n");
        true
    }
}

/// Bytes up to the end of a line's time.
const FRONT: usize = 42;

/// `,"name":`, and room for a short value behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    text: Box<[u8]>,
    /// The same with zeroes behind it; of a long name its front.
    field: [u8; FIELD],
}

/// Bytes of a field that is written in whole words.
const FIELD: usize = 64;

impl Name {
    fn new(text: &[u8]) -> Name {
        let mut field = [0; FIELD];
        field.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        Name { text: text.into(), field }
    }

    /// Writes a field of this name, which `value` puts into the room behind it and says how many bytes it
    /// has there; false, and nothing written, where it takes more.
    ///
    /// So a short field, as most are, is given room once and written in whole words, each over what the
    /// one before had too much: to append a few bytes to a `Vec` takes a look at its room, a call that
    /// copies them and a new length.
    #[inline(always)]
    fn short(&self, out: &mut Vec<u8>, value: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let from = out.len();
        out.extend_from_slice(&self.field);
        let room = out.last_chunk_mut::<FIELD>().and_then(|field| field.get_mut(self.text.len()..));
        let length = room.and_then(value);
        out.truncate(from + length.map_or(0, |length| self.text.len() + length));
        length.is_some()
    }

    #[inline(always)]
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let short = self.short(out, |room| {
            let (first, room) = room.split_first_mut()?;
            let (last, room) = room.get_mut(..=text.len())?.split_last_mut()?;
            (*first, *last) = (b'"', b'"');
            escape::copied(text, room).then_some(text.len() + 2)
        });
        if !short {
            self.long(out, |out| {
                out.push(b'"');
                escape::quoted(text, out);
                out.push(b'"');
            });
        }
    }

    #[inline(always)]
    fn integer(&self, n: u64, out: &mut Vec<u8>) {
        let short = self.short(out, |room| {
            let (digits, length) = digits::short(n)?;
            *room.first_chunk_mut()? = digits;
            Some(length)
        });
        if !short {
            self.long(out, |out| value::integer(n, out));
        }
    }

    #[inline(never)]
    fn long(&self, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.text);
        value(out);
    }
}

/// False where one has a name of its own, is an error, which stands elsewhere, or makes no sense.
#[inline]
fn fields(frame: Frame<'_>, names: &[Name], out: &mut Vec<u8>) -> bool {
    let Some((_, mut fields)) = frame.body(&[]) else { return false };
    for name in names {
        match fields.next_plain() {
            Some(Plain::Str(text)) => name.text(text, out),
            Some(Plain::I64(n)) => match u64::try_from(n) {
                Ok(n) => name.integer(n, out),
                Err(_) => name.long(out, |out| value::integer(n, out)),
            },
            Some(Plain::U64(n)) => name.integer(n, out),
            None => match fields.next_of_site() {
                None => break,
                Some(Value::Error { .. }) => return false,
                Some(value) => name.long(out, |out| json::value(value, out)),
            },
        }
    }
    fields.is_at_end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::tests::{Given, Line};
    use crate::encode::line::Lines;
    use crate::encode::line::escape::tests::hostile;
    use crate::logs::LogFormat;

    const LOGGERS: [&str; 2] = ["one", "t\"wo"];
    const THREADS: [&str; 3] = ["main", "", "b\\c"];

    /// The line as a flusher reads it, by these numbers, and as it is written alone.
    fn frame(line: &mut Line, logger: usize, thread: usize) -> (Vec<u8>, Vec<u8>) {
        line.logger = LOGGERS[logger].to_owned();
        line.thread = THREADS[thread].to_owned();
        line.recovered = false;
        let mut frame = line.frame();
        for (at, number) in [(16, 0), (20, logger), (24, thread)] {
            frame[at..at + 4].copy_from_slice(&(number as u32 + 1).to_le_bytes());
        }
        let mut alone = Vec::new();
        Lines::new(LogFormat::Json).write(&line.record(&frame), &mut alone);
        (frame, alone)
    }

    #[test]
    fn a_line_of_its_sites_own_keys_needs_no_record() {
        let mut line = Line::example();
        line.context_fields.clear();
        let mut lines = Lines::new(LogFormat::Json);
        let known = Known::these(line.site.clone(), &LOGGERS, &THREADS);
        let mut site = lines.site(&line.site, true);
        let mut write = |line: &mut Line, logger, thread| {
            let ((frame, alone), mut out) = (frame(line, logger, thread), Vec::new());
            let frame = Frame::first(&frame).unwrap();
            let written = lines.write_frame(frame, line.unix_nanos, &known, &mut site, &mut out);
            assert_eq!(out, if written { alone } else { Vec::new() });
            written
        };
        assert!(write(&mut line, 0, 0) && write(&mut line, 1, 1) && write(&mut line, 0, 2));
        line.values[1] = Given::Null;
        line.ids[0] = None;
        assert!(write(&mut line, 0, 2));
        line.keyed.push(("own".to_owned(), Given::Null));
        assert!(!write(&mut line, 0, 2));
        line.keyed.clear();
        line.context_fields.push(("tool".to_owned(), Given::Null));
        assert!(!write(&mut line, 0, 2));
    }

    /// Of any length, and of any number of digits.
    #[test]
    fn a_field_is_the_same_whether_it_is_short_or_long() {
        let mut line = Line::example();
        line.context_fields.clear();
        for name in [1, 2, 20, 26, 27, 28, 29, 50, 51, 57, 58, 59, 60, 61, 80] {
            line.site.keys = [&*"n".repeat(name), "x"].map(Box::from).into();
            let known = Known::these(line.site.clone(), &LOGGERS, &THREADS);
            let mut lines = Lines::new(LogFormat::Json);
            let mut site = lines.site(&line.site, true);
            let texts = (0..70).map(|length| "twelve bytes".repeat(6)[..length].to_owned());
            let texts = texts.flat_map(|text| {
                let not_plain = text.replacen('b', "\"\u{e4}", 1);
                [Given::Str(text.into(), 0), Given::Str(not_plain.into(), 0)]
            });
            let powers = (0..20).map(|digits| 10u64.pow(digits));
            let numbers = powers.flat_map(|n| {
                let signed = [n as i64, -(n as i64)].map(Given::I64);
                [Given::U64(n), Given::U64(n - 1)].into_iter().chain(signed)
            });
            for value in texts.chain(numbers).chain([i64::MIN, i64::MAX].map(Given::I64)) {
                line.values = vec![value, Given::U64(7)];
                let (frame, alone) = frame(&mut line, 0, 0);
                let (of, mut out) = (Frame::first(&frame).unwrap(), b"before".to_vec());
                assert!(lines.write_frame(of, line.unix_nanos, &known, &mut site, &mut out));
                assert_eq!(out, [b"before", &*alone].concat(), "{line:?}");
            }
        }
    }

    proptest! {
        /// Whatever lines of a call site follow each other, on other threads, in other contexts, with
        /// other values or names of their own: each is written as if it were the first.
        #[test]
        fn no_line_has_anything_of_the_one_before(
            mut line in Line::any("[ab]{1,2}|level", hostile().boxed()),
            logger_of_site in prop::option::of("[a-z]{0,3}"),
            others in prop::collection::vec(
                (Line::any("[ab]{1,2}", hostile().boxed()), any::<[bool; 8]>(), 0usize..2, 0usize..3), 1..8),
        ) {
            line.site.logger = logger_of_site.map(Box::from);
            let mut lines = Lines::new(LogFormat::Json);
            let known = Known::these(line.site.clone(), &LOGGERS, &THREADS);
            let mut site = lines.site(&line.site, true);
            for (other, anew, logger, thread) in others {
                line.level = if anew[0] { other.level } else { line.level };
                line.message = if anew[1] { other.message } else { line.message };
                line.ids = if anew[2] { other.ids } else { line.ids };
                line.trace = if anew[3] { other.trace } else { line.trace };
                line.context_fields = if anew[4] { other.context_fields } else { vec![] };
                line.keyed = if anew[5] { other.keyed } else { vec![] };
                line.unix_nanos = if anew[6] { other.unix_nanos } else { line.unix_nanos };
                let values = other.values.into_iter().chain(std::iter::repeat(Given::Null));
                line.values = values.take(line.site.keys.len()).collect();
                let (frame, alone) = frame(&mut line, logger, thread);
                let of = Frame::first(&frame).unwrap();
                let mut out = Vec::new();
                if !lines.write_frame(of, line.unix_nanos, &known, &mut site, &mut out) {
                    prop_assert!(out.is_empty());
                    lines.write_of(&line.record(&frame), &site, &mut out);
                }
                prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&alone));
            }
        }
    }
}

//! What was found in a ring file, as records: spans as lines, and all of it redacted.
//!
//! A ring file has what was logged as it was logged. What its process kept out stands beside it, and
//! whoever reads it keeps that out too, beside what it would of its own.

use std::io;
use std::mem::MaybeUninit;

use crate::batch::{Names, Record, SiteText};
use crate::logs::{Level, Redaction, Redactions, Redactor};
use crate::ring::durable::image::Found;
use crate::ring::durable::layout::Rules;
use crate::ring::frame::{Field, Frame, Value, kind, tag};
use crate::ring::span::{Item, SpanFrame};
use crate::ring::writer::{Blocks, Head, MOST_TEXT, Writer};
use crate::traces::{SpanId, SpanStatus};

/// Bytes of a span as a line: as many as the longest frame, and some.
const MOST_LINE: usize = 128 << 10;

/// Reads what was found in ring files, one file after the other.
pub(crate) struct Reader {
    ours: Redactors,
    /// Of the process whose file it is.
    theirs: Option<Redactors>,
}

struct Redactors {
    lines: Redactor,
    spans: Redactor,
}

impl Redactors {
    fn new(rules: Redactions) -> Redactors {
        Redactors { lines: Redactor::new(rules.lines), spans: Redactor::new(rules.spans) }
    }

    fn of(&mut self, kind: u8) -> &mut Redactor {
        if kind == kind::LINE { &mut self.lines } else { &mut self.spans }
    }
}

impl Reader {
    pub(crate) fn new(ours: Redactions) -> Reader {
        Reader { ours: Redactors::new(ours), theirs: None }
    }

    /// Takes over what a file says that its process kept out; an error where that is not understood.
    pub(crate) fn turn_to(
        &mut self,
        rules: impl Fn(Rules) -> Option<Vec<Box<str>>>,
    ) -> io::Result<()> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let read = |of| {
            let rules = rules(of).map(|texts| Redaction::of_texts(&texts).map_err(invalid));
            rules.transpose()
        };
        let (lines, spans) = (read(Rules::Lines)?, read(Rules::Spans)?);
        // Of a file that says nothing our own rules are all there is.
        self.theirs =
            lines.zip(spans).map(|(lines, spans)| Redactors::new(Redactions { lines, spans }));
        Ok(())
    }

    /// Hands over what a frame that was found says; nothing where it makes no sense.
    pub(crate) fn read<T>(
        &mut self,
        found: &Found<'_>,
        see: impl FnOnce(&Record<'_>) -> T,
    ) -> Option<T> {
        let names = Names { logger: found.logger, thread: found.thread, recovered: true };
        let what = found.frame.kind();
        let line;
        let frame = match what {
            kind::LINE => found.frame,
            _ => {
                line = as_line(found)?;
                Frame::first(&line)?
            }
        };
        let record = Record::read(frame, found.site, names, found.unix_nanos)?;
        let ours = self.ours.of(what);
        let then = |frame: Frame<'_>, record: &Record<'_>| {
            redacted(ours, frame, record, found.site, |_, record| see(record))
        };
        Some(match &mut self.theirs {
            Some(theirs) => redacted(theirs.of(what), frame, &record, found.site, then),
            None => then(frame, &record),
        })
    }
}

fn redacted<T>(
    by: &mut Redactor,
    frame: Frame<'_>,
    record: &Record<'_>,
    site: &SiteText,
    see: impl FnOnce(Frame<'_>, &Record<'_>) -> T,
) -> T {
    let rules = by.site(site);
    match by.redact(frame, record, site, &rules) {
        Some(redacted) => see(redacted.frame, &redacted.record),
        None => see(frame, record),
    }
}

/// A span as a line: one that was open when its process ended, or one that no exporter may have had.
fn as_line(found: &Found<'_>) -> Option<Vec<u8>> {
    let span = SpanFrame::read(found.frame)?;
    let is_open = found.frame.kind() == kind::SPAN_START;
    let mut room = vec![MaybeUninit::new(0); MOST_LINE];
    let mut writer =
        Writer::within(&mut room, MOST_TEXT, Blocks::default().within(Some(&span.fixed.ids)));
    let message = if is_open { "span was open when its process ended" } else { "span recovered" };
    writer.message(message.as_bytes(), 0);
    writer.text(Some("span_name"), tag::STR, span.name.as_bytes(), 0);
    writer.bare(Some("span_open"), if is_open { tag::TRUE } else { tag::FALSE });
    writer.word(Some("start_unix_nanos"), tag::U64, found.start_unix_nanos);
    if let Some(parent) = SpanId::from_bytes(span.fixed.parent) {
        writer.text(Some("parent_span_id"), tag::STR, parent.to_string().as_bytes(), 0);
    }
    if !is_open {
        let took = found.unix_nanos.saturating_sub(found.start_unix_nanos);
        writer.word(Some("duration_nanos"), tag::U64, took);
        let failed = span.fixed.status == SpanStatus::Error as u8;
        writer.bare(Some("failed"), if failed { tag::TRUE } else { tag::FALSE });
        for item in span.items() {
            if let Item::Attribute(field) = item {
                attribute(field, &mut writer);
            }
        }
    }
    let head = Head {
        kind: kind::LINE,
        level: Level::Warn as u8,
        ticks: found.frame.ticks(),
        site: 0,
        logger: found.frame.logger(),
        thread: found.frame.thread(),
    };
    Some(writer.finish_bytes(head)?.to_vec())
}

fn attribute(field: Field<'_>, writer: &mut Writer<'_>) {
    let key = field.key.to_str();
    let key = Some(&key[..]);
    match field.value {
        Value::Bool(truth) => writer.bare(key, if truth { tag::TRUE } else { tag::FALSE }),
        Value::I64(n) => writer.word(key, tag::I64, n as u64),
        Value::U64(n) => writer.word(key, tag::U64, n),
        Value::F64(n) => writer.word(key, tag::F64, n.to_bits()),
        Value::Str(text) => writer.text(key, tag::STR, text.as_bytes(), text.lost_bytes()),
        Value::Bytes(text) => writer.text(key, tag::BYTES, text.as_bytes(), text.lost_bytes()),
        Value::Redacted => writer.bare(key, tag::SECRET),
        Value::Null | Value::Error { .. } => writer.bare(key, tag::NULL),
    }
}

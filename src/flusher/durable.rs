//! The flusher of rings that lie in a file: what it notes before it sends, and what an earlier
//! process left to it.

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchors::Anchor;
use super::route::{Form, Outlet, Router};
use crate::batch::{Names, Record};
use crate::encode::line::Lines;
use crate::error;
use crate::export::sink::Chunk;
use crate::export::sink::file::{self, FileId};
use crate::logs::{Level, Redactor};
use crate::ring::drain::{Drain, Span};
use crate::ring::durable::image::Found;
use crate::ring::durable::journal::Journal;
use crate::ring::durable::orphan::{self, Orphan, Recovered};
use crate::ring::durable::{self, RingFile};
use crate::ring::frame::{Field, Frame, Value, kind, tag};
use crate::ring::span::{Item, SpanFrame};
use crate::ring::writer::{Blocks, Head, MOST_TEXT, Writer};
use crate::traces::{SpanId, SpanStatus};

/// How long each sink may take for what was left behind.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of lines that go to a sink at once.
const CHUNK: usize = 64 << 10;
/// Bytes of a span as a line: as many as the longest frame, and some.
const MOST_LINE: usize = 128 << 10;

/// The flusher's side of a ring file.
pub(crate) struct Durable {
    file: Arc<RingFile>,
    journal: Arc<Journal>,
    ticket: u64,
    spans: Vec<Span>,
}

impl Durable {
    pub(crate) fn new(file: Arc<RingFile>, journal: Arc<Journal>) -> Durable {
        Durable { file, journal, ticket: 0, spans: Vec::new() }
    }

    /// Notes what was read, and sends what it has become to the log file.
    pub(crate) fn send(&mut self, drain: &mut Drain, router: &mut Router) {
        drain.spans(&mut self.spans);
        if self.spans.is_empty() && !router.has_noted() {
            return;
        }
        self.ticket += 1;
        self.journal.note(self.ticket, self.spans.drain(..));
        if !router.send_noted(self.ticket) {
            // Nothing that the log file wants, or lost and counted.
            self.journal.release(self.ticket);
        }
    }

    pub(crate) fn anchor(&self, Anchor { ticks, unix_nanos }: Anchor) {
        self.file.anchor(durable::Anchor { ticks, unix_nanos });
    }
}

/// What the log file tells the journal.
pub(crate) struct Notes(pub(crate) Arc<Journal>);

impl file::Journal for Notes {
    fn before(&mut self, file: FileId, offset: u64, chunk: &Chunk, from: usize) {
        self.0.before((file.dev, file.ino), offset, chunk.ticket, &chunk.bytes, from);
    }

    fn after(&mut self, chunk: &Chunk) {
        self.0.after(chunk.ticket);
    }
}

/// Writes what processes of `service` left behind in `folder` to the sinks, and removes it once
/// they have it. At-least-once: a process that dies meanwhile leaves it as it was. Waits for each
/// sink for some seconds at most.
pub(crate) fn adopt(folder: &Path, service: &str, outlets: &[Outlet], redactor: &mut Redactor) {
    let refused = |path: &Path, why| error::say(format_args!("ring file {path:?}: {why}"));
    for orphan in orphan::adopt(folder, service, refused) {
        let path = orphan.path().to_path_buf();
        match write_out(&orphan, outlets, redactor) {
            Ok(recovered) => {
                tell(&path, &recovered);
                if let Err(why) = orphan.remove() {
                    error::say(format_args!("ring file {path:?}: {why}; it stays"));
                }
            }
            Err(why) => error::say(format_args!("ring file {path:?}: {why}; it stays")),
        }
    }
}

/// Says what there was, if there was anything.
fn tell(path: &Path, recovered: &Recovered) {
    let Recovered { tally, finished, doubtful } = recovered;
    let lines = tally.lines + finished;
    if lines + tally.torn + tally.foreign == 0 {
        return;
    }
    let (torn, foreign) = (tally.torn, tally.foreign);
    let again = if *doubtful { "; some may be in the log already" } else { "" };
    error::say(format_args!(
        "{lines} lines recovered from {path:?}, {torn} torn, {foreign} of an unknown kind{again}"
    ));
}

/// A sink, and its lines so far.
struct Batch<'a> {
    outlet: &'a Outlet,
    lines: Lines,
    chunk: Chunk,
}

impl Batch<'_> {
    fn send(&mut self) -> Result<(), std::io::Error> {
        let chunk = std::mem::take(&mut self.chunk);
        let pushed = self.outlet.sink.push_until(chunk, Instant::now() + PATIENCE);
        pushed.map_err(|_| std::io::Error::other("a sink has no room for what it had"))
    }
}

fn write_out(
    orphan: &Orphan,
    outlets: &[Outlet],
    redactor: &mut Redactor,
) -> std::io::Result<Recovered> {
    // Exporters read frames by this process's numbers, which these have not: lines only.
    let mut batches: Vec<Batch<'_>> = outlets
        .iter()
        .filter_map(|outlet| match outlet.form {
            Form::Lines(format) => {
                Some(Batch { outlet, lines: Lines::new(format), chunk: Chunk::default() })
            }
            Form::Frames => None,
        })
        .collect();
    let mut senseless = 0;
    let mut recovered = orphan.recover(true, &mut |found| {
        let seen = with_record(found, redactor, |record| {
            for batch in &mut batches {
                if record.level > batch.outlet.level {
                    continue;
                }
                batch.lines.write(record, &mut batch.chunk.bytes);
                batch.chunk.lines[record.level as usize - 1] += 1;
                if batch.chunk.bytes.len() >= CHUNK {
                    batch.send()?;
                }
            }
            Ok(())
        });
        seen.unwrap_or_else(|| {
            senseless += 1;
            Ok(())
        })
    })?;
    recovered.tally.lines -= senseless;
    recovered.tally.torn += senseless;
    for batch in &mut batches {
        if !batch.chunk.bytes.is_empty() {
            batch.send()?;
        }
        if !batch.outlet.sink.flush(Instant::now() + PATIENCE) {
            return Err(std::io::Error::other("a sink is too slow for what it had"));
        }
    }
    Ok(recovered)
}

/// Hands over what a frame that was found says, redacted; nothing where it makes no sense.
pub(crate) fn with_record<T>(
    found: &Found<'_>,
    redactor: &mut Redactor,
    see: impl FnOnce(&Record<'_>) -> T,
) -> Option<T> {
    let names = Names { logger: found.logger, thread: found.thread, recovered: true };
    let line;
    let frame = match found.frame.kind() {
        kind::LINE => found.frame,
        _ => {
            line = as_line(found)?;
            Frame::first(&line)?
        }
    };
    let record = Record::read(frame, found.site, names, found.unix_nanos)?;
    let rules = redactor.site(found.site);
    Some(match redactor.redact(frame, &record, found.site, &rules) {
        Some(redacted) => see(&redacted.record),
        None => see(&record),
    })
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

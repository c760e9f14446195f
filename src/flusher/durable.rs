//! The flusher of rings that lie in a file: what it notes before it sends, and what an earlier
//! process left to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchors::Anchor;
use super::found::Reader;
use super::route::{Form, Outlet, Router};
use crate::encode::line::Lines;
use crate::error;
use crate::export::sink::Chunk;
use crate::export::sink::file::{self, FileId};
use crate::logs::Redactions;
use crate::ring::drain::{Drain, Span};
use crate::ring::durable::journal::Journal;
use crate::ring::durable::orphan::{self, Orphan, Recovered};
use crate::ring::durable::{self, RingFile};

/// How long each sink may take for what was left behind.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of lines that go to a sink at once.
const CHUNK: usize = 64 << 10;

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
pub(crate) fn adopt(folder: &Path, service: &str, outlets: &[Outlet], redactions: Redactions) {
    let mut reader = Reader::new(redactions);
    for orphan in orphan::adopt(folder, service) {
        let orphan = match orphan {
            Ok(orphan) => orphan,
            Err((path, why)) => {
                error::say(format_args!("ring file {path:?}: {why}"));
                continue;
            }
        };
        let path = orphan.path().to_path_buf();
        let turned = reader.turn_to(|of| orphan.rules(of));
        match turned.and_then(|()| write_out(&orphan, outlets, &mut reader)) {
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
    reader: &mut Reader,
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
        let seen = reader.read(found, |record| {
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

//! What takes spans out of the process.

use std::fmt;
use std::io;

use crate::batch::{Known, Names, SpanRecord, timed};
use crate::clock::Clock;
use crate::export::sink::{Chunk, Sink};
use crate::logs::ExportError;
use crate::ring::thread::set_ours;

/// Takes spans out of the process, called on a thread of its own.
pub trait ExportSpans: Send + 'static {
    /// Takes the batch, or says why not: it is then offered again after a pause, while others wait
    /// in the queue and are dropped when that is full. A panic is contained and costs the batch.
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError>;

    /// What was taken is to be where it goes; nobody waits for more spans.
    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Spans that are exported together.
pub struct SpanBatch<'a> {
    bytes: &'a [u8],
    known: &'a Known,
    clock: Clock,
}

impl<'a> SpanBatch<'a> {
    /// Of frames, each behind the time of its end.
    pub(crate) fn new(bytes: &'a [u8], known: &'a Known) -> SpanBatch<'a> {
        SpanBatch { bytes, known, clock: Clock::get() }
    }

    /// The spans, in the order in which they ended.
    #[inline]
    pub fn spans(&self) -> impl Iterator<Item = SpanRecord<'a>> + use<'a> {
        let SpanBatch { bytes: rest, known, clock } = *self;
        Spans { rest, known, clock, who: (0, 0), names: known.names(0, 0) }
    }
}

/// The spans of a batch.
struct Spans<'a> {
    rest: &'a [u8],
    known: &'a Known,
    clock: Clock,
    /// The logger and the thread of the last one, and what they are called.
    who: (u32, u32),
    names: Names<'a>,
}

impl<'a> Iterator for Spans<'a> {
    type Item = SpanRecord<'a>;

    /// Inlined where a span is looked at: what nobody looks at is not made.
    #[inline]
    fn next(&mut self) -> Option<SpanRecord<'a>> {
        loop {
            let (unix_nanos, frame) = timed(&mut self.rest)?;
            let who = (frame.logger(), frame.thread());
            if who != self.who {
                (self.who, self.names) = (who, self.known.names(who.0, who.1));
            }
            if let Some(span) = SpanRecord::read(frame, self.names, unix_nanos, self.clock) {
                return Some(span);
            }
        }
    }
}

impl fmt::Debug for SpanBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanBatch").field("spans", &self.spans().count()).finish()
    }
}

/// A sink that hands over spans.
pub(crate) struct SpanExporter {
    export: Box<dyn ExportSpans>,
    known: Known,
    /// The number of the engine's rings.
    engine: u64,
}

impl SpanExporter {
    pub(crate) fn new(export: Box<dyn ExportSpans>, engine: u64) -> SpanExporter {
        SpanExporter { export, known: Known::default(), engine }
    }
}

impl Sink for SpanExporter {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        set_ours(self.engine);
        self.known.learn_all(&chunk.bytes);
        let batch = SpanBatch::new(&chunk.bytes, &self.known);
        self.export.export(&batch).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        set_ours(self.engine);
        self.export.flush().map_err(io::Error::other)
    }
}

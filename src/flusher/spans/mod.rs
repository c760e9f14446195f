//! What becomes of spans that come out of the rings: cleaned, collected, handed to the exporters.

mod tally;

use std::sync::{Arc, Mutex};

use super::anchors::Anchors;
use crate::export::sink::{Chunk, SinkThread};
use crate::logs::{RedactedSpan, Redactor};
use crate::ring::frame::{Frame, kind};
use crate::ring::span::SpanFrame;
use crate::sync::{contained, lock};
pub(crate) use tally::{Tally, Told};

/// Bytes of spans from which on they go to the exporters within a round.
const CHUNK: usize = 64 << 10;
/// Bytes of spans that are kept in memory.
const KEPT: usize = 8 << 20;

/// The spans that were kept in memory: frames, each behind the time of its end.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<u8>>);

impl Kept {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.0).clone()
    }
}

/// The flusher's side of an engine's spans.
pub(crate) struct Spans {
    redactor: Redactor,
    out: Out,
    tally: Tally,
    told: Told,
}

/// Spans on their way out.
struct Out {
    outlets: Vec<Arc<SinkThread>>,
    kept: Arc<Kept>,
    bytes: Vec<u8>,
    count: u32,
}

impl Spans {
    pub(crate) fn new(
        outlets: Vec<Arc<SinkThread>>,
        kept: Arc<Kept>,
        redactor: Redactor,
        told: Told,
    ) -> Spans {
        let out = Out { outlets, kept, bytes: Vec::new(), count: 0 };
        Spans { redactor, out, tally: Tally::default(), told }
    }

    pub(crate) fn sinks(&self) -> &[Arc<SinkThread>] {
        &self.out.outlets
    }

    /// Takes a frame of a span. What can't be read, or panics, is passed over and counted.
    pub(crate) fn take(&mut self, frame: Frame<'_>, anchors: &Anchors) {
        let mark = (self.out.bytes.len(), self.out.count);
        if contained(|| self.look(frame, anchors)).flatten().is_none() {
            self.tally.poison += 1;
            // No half of a span.
            self.out.bytes.truncate(mark.0);
            self.out.count = self.out.count.min(mark.1);
        }
    }

    fn look(&mut self, frame: Frame<'_>, anchors: &Anchors) -> Option<()> {
        if frame.kind() != kind::SPAN {
            return Some(());
        }
        let Spans { redactor, out, tally, .. } = self;
        let span = SpanFrame::read(frame)?;
        tally.spans += 1;
        for (sum, count) in tally.left_out.iter_mut().zip(span.fixed.left_out) {
            *sum += u64::from(count);
        }
        let end = anchors.unix_nanos(frame.ticks());
        match redactor.span(frame, &span) {
            None => out.add(end, frame),
            Some(RedactedSpan { frame, count }) => {
                tally.redacted += u64::from(count);
                out.add(end, frame);
            }
        }
        Some(())
    }

    /// Hands over what there is.
    pub(crate) fn send(&mut self) {
        self.out.send();
    }

    /// Brings what others see up to date.
    pub(crate) fn tell(&self) {
        self.told.tell(&self.tally);
    }
}

impl Out {
    fn add(&mut self, end: u64, frame: Frame<'_>) {
        self.bytes.extend_from_slice(&end.to_le_bytes());
        self.bytes.extend_from_slice(frame.bytes());
        self.count += 1;
        if self.bytes.len() >= CHUNK {
            self.send();
        }
    }

    fn send(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let mut kept = lock(&self.kept.0);
        if kept.len() + self.bytes.len() > KEPT {
            kept.clear();
        }
        kept.extend_from_slice(&self.bytes);
        drop(kept);
        let lines = [std::mem::take(&mut self.count), 0, 0, 0, 0];
        let push = |sink: &SinkThread, bytes| {
            if let Err(chunk) = sink.push(Chunk { bytes, lines, ticket: 0 }) {
                sink.lose(chunk);
            }
        };
        let Some((last, others)) = self.outlets.split_last() else { return self.bytes.clear() };
        for sink in others {
            let mut bytes = sink.buffer();
            bytes.extend_from_slice(&self.bytes);
            push(sink, bytes);
        }
        // The last one has the bytes themselves.
        push(last, std::mem::replace(&mut self.bytes, last.buffer()));
    }
}

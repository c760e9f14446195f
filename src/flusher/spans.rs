//! What becomes of spans that come out of the rings: collected, and handed to the exporters.

use std::sync::{Arc, Mutex};

use super::anchors::Anchors;
use crate::export::sink::{Chunk, SinkThread};
use crate::ring::frame::{Frame, kind};
use crate::sync::lock;

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
    outlets: Vec<Arc<SinkThread>>,
    kept: Arc<Kept>,
    bytes: Vec<u8>,
    count: u32,
}

impl Spans {
    pub(crate) fn new(outlets: Vec<Arc<SinkThread>>, kept: Arc<Kept>) -> Spans {
        Spans { outlets, kept, bytes: Vec::new(), count: 0 }
    }

    pub(crate) fn sinks(&self) -> &[Arc<SinkThread>] {
        &self.outlets
    }

    /// Takes a frame of a span.
    pub(crate) fn take(&mut self, frame: Frame<'_>, anchors: &Anchors) {
        if frame.kind() != kind::SPAN {
            return;
        }
        self.bytes.extend_from_slice(&anchors.unix_nanos(frame.ticks()).to_le_bytes());
        self.bytes.extend_from_slice(frame.bytes());
        self.count += 1;
        if self.bytes.len() >= CHUNK {
            self.send();
        }
    }

    /// Hands over what there is.
    pub(crate) fn send(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let lines = [std::mem::take(&mut self.count), 0, 0, 0, 0];
        for sink in &self.outlets {
            let mut bytes = sink.buffer();
            bytes.extend_from_slice(&self.bytes);
            if let Err(chunk) = sink.push(Chunk { bytes, lines, ticket: 0 }) {
                sink.lose(chunk);
            }
        }
        let mut kept = lock(&self.kept.0);
        if kept.len() + self.bytes.len() > KEPT {
            kept.clear();
        }
        kept.extend_from_slice(&self.bytes);
        self.bytes.clear();
    }
}

//! Chunks of spans as requests to a server: split where they are too many, halved where the server
//! finds them too large, and never sent again once it has them.

use std::io;
use std::time::Duration;

use crate::batch::{Known, SpanRecord};
use crate::export::sink::{Again, Chunk, Gather, Pace, Setback, Sink, Tally};
use crate::ring::thread::set_ours;
use crate::traces::SpanBatch;

/// Spans of a request at most, and bytes from which on no further span is added to one, before it is
/// compressed: what OpenTelemetry's own exporters send, and a quarter of what a server that speaks
/// gRPC takes unless told otherwise.
pub(crate) const MOST_SPANS: usize = 512;
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// How long a span waits for others, so that a server that makes one now and then does not send a
/// request for each.
const LINGER: Duration = Duration::from_secs(1);

/// Makes requests of spans, and sends them.
pub(crate) trait Carrier: Send + 'static {
    /// Begins a new request with the first of these spans, `most` of them at most and about
    /// [`MOST_BYTES`]: how many it took, one at least where there is one.
    fn pack(&mut self, spans: &mut dyn Iterator<Item = SpanRecord<'_>>, most: usize) -> usize;

    /// Sends the request, once. How many spans of it the server says it would not have.
    fn send(&mut self) -> Result<u32, Setback>;
}

/// A sink that sends by a [`Carrier`].
pub(crate) struct Parcels<C> {
    carrier: C,
    known: Known,
    /// The number of the engine's rings.
    engine: u64,
    /// Spans of the chunk under way that are settled, and those that are packed.
    settled: Tally,
    packed: usize,
    /// Spans of a request at most, fewer once the server found one too large.
    most: usize,
    /// What became of the chunk before, until somebody asks.
    over: Option<Tally>,
}

impl<C: Carrier> Parcels<C> {
    pub(crate) fn new(carrier: C, engine: u64) -> Parcels<C> {
        Parcels {
            carrier,
            known: Known::default(),
            engine,
            settled: Tally::default(),
            packed: 0,
            most: MOST_SPANS,
            over: None,
        }
    }

    /// Sends all that is not settled yet; why some of it was refused for good.
    fn deliver(&mut self, bytes: &[u8]) -> Result<Option<Setback>, Setback> {
        let batch = SpanBatch::new(bytes, &self.known);
        let mut refused = None;
        loop {
            if self.packed == 0 {
                let settled = self.settled.taken + self.settled.refused;
                let mut spans = batch.spans().skip(settled as usize);
                self.packed = self.carrier.pack(&mut spans, self.most);
            }
            if self.packed == 0 {
                return Ok(refused);
            }
            let spans = self.packed as u32;
            match self.carrier.send() {
                Ok(rejected) => {
                    let rejected = rejected.min(spans);
                    self.settled.taken += spans - rejected;
                    self.settled.refused += rejected;
                    if rejected > 0 {
                        let why = format!("{rejected} of {spans} spans were rejected");
                        refused = Some(Setback { again: Again::Never, why });
                    }
                    // What is left is sent in parts as large as the last.
                }
                Err(setback) => match setback.again {
                    Again::Later(_) => return Err(setback),
                    Again::Smaller if spans > 1 => self.most = self.packed.div_ceil(2),
                    Again::Smaller | Again::Never => {
                        self.settled.refused += spans;
                        refused = Some(setback);
                    }
                },
            }
            self.packed = 0;
        }
    }
}

impl<C: Carrier> Sink for Parcels<C> {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        set_ours(self.engine);
        self.known.learn_all(&chunk.bytes);
        let refused = self.deliver(&chunk.bytes).map_err(io::Error::other)?;
        self.over = Some(std::mem::take(&mut self.settled));
        self.most = MOST_SPANS;
        refused.map_or(Ok(()), |why| Err(io::Error::other(why)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn abandon(&mut self) {
        self.settled = Tally::default();
        self.packed = 0;
        self.most = MOST_SPANS;
    }

    fn pace(&self) -> Pace {
        Pace::network()
    }

    fn gather(&self) -> Option<Gather> {
        Some(Gather { linger: LINGER, lines: MOST_SPANS as u32, bytes: MOST_BYTES })
    }

    fn tally(&mut self) -> Option<Tally> {
        Some(self.over.take().unwrap_or(self.settled))
    }
}

#[cfg(test)]
mod tests;

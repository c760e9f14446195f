//! Settings of an engine's traces.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::export::ExportSpans;
use super::sample::Sampler;
use crate::error::{Error, check};
use crate::ring::draft::Limits;

/// Which spans are recorded, and where they go.
#[derive(Clone, Debug)]
#[must_use]
pub struct TraceConfig {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    pub(crate) open_spans: bool,
    pub(crate) exporters: Vec<Wanted>,
    pub(crate) queue_bytes: u32,
}

/// An exporter that was asked for, until the first engine takes it.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    pub(crate) export: Arc<Mutex<Option<Box<dyn ExportSpans>>>>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Bytes of spans that wait for an exporter.
const QUEUE_BYTES: u32 = 4 << 20;

impl Default for TraceConfig {
    fn default() -> TraceConfig {
        TraceConfig {
            sampler: Sampler::Always,
            limits: Limits { counts: [128; 3], bytes: 16 << 10 },
            open_spans: false,
            exporters: Vec::new(),
            queue_bytes: QUEUE_BYTES,
        }
    }
}

impl TraceConfig {
    /// All traces, kept in memory alone.
    pub fn to_memory() -> TraceConfig {
        TraceConfig::default()
    }

    /// Which traces are recorded; default [`Sampler::Always`].
    pub fn sampler(mut self, sampler: Sampler) -> TraceConfig {
        self.sampler = sampler;
        self
    }

    /// Also writes a frame where a span begins, so that those that are open can be listed; it costs
    /// about as much as the one at its end. Default no.
    pub fn open_spans(mut self, on: bool) -> TraceConfig {
        self.open_spans = on;
        self
    }

    /// Adds an exporter of the host's own, called on a thread of its own. The first engine that is built
    /// with these settings gets it.
    pub fn export(self, export: impl ExportSpans) -> TraceConfig {
        self.exporter("export", Box::new(export))
    }

    /// Adds an exporter under this name, which its thread (15 bytes at most) and its metrics have.
    pub(crate) fn exporter(
        mut self,
        name: &'static str,
        export: Box<dyn ExportSpans>,
    ) -> TraceConfig {
        self.exporters.push(Wanted { name, export: Arc::new(Mutex::new(Some(export))) });
        self
    }

    /// Bytes of spans that may wait for each exporter, 64 KiB to 1 GiB; default 4 MiB.
    pub fn queue_bytes(mut self, bytes: u32) -> TraceConfig {
        self.queue_bytes = bytes;
        self
    }

    /// Refuses what is out of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check("", "traces.queue_bytes", self.queue_bytes.into(), 64 << 10..=1 << 30)
    }
}

//! Sinks of the host's own.

use std::fmt;

use crate::batch::{Known, Record, timed};
use crate::export::sink::{Chunk, Sink};
use crate::ring::thread::set_ours;

/// Why an exporter did not take a batch.
pub type ExportError = Box<dyn std::error::Error + Send + Sync>;

/// Takes lines out of the process: a sink of the host's own, called on a thread of its own.
///
/// ```
/// use mcp_vitals::logs::{Batch, Export, ExportError, LogConfig};
///
/// struct CountErrors(std::sync::Arc<std::sync::atomic::AtomicUsize>);
///
/// impl Export for CountErrors {
///     fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError> {
///         let errors = batch.records().filter(|record| record.level == mcp_vitals::Level::Error);
///         self.0.fetch_add(errors.count(), std::sync::atomic::Ordering::Relaxed);
///         Ok(())
///     }
/// }
/// # let counted = std::sync::Arc::default();
/// let logs = LogConfig::new().export(CountErrors(counted));
/// ```
pub trait Export: Send + 'static {
    /// Takes the batch, or says why not: it is then offered again after a pause, while others wait in
    /// the queue and are dropped when that is full. A panic is contained and costs the batch.
    ///
    /// What is logged in here for the same engine is dropped and counted, with the reason `own`, or each
    /// batch would make the next; [`flush`](crate::Vitals::flush) does not wait here. An exporter that
    /// has other threads do its work keeps their lines out by a filter of its own.
    fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError>;

    /// What was taken is to be where it goes; nobody waits for more lines.
    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Lines that are exported together, as they were logged and after redaction.
pub struct Batch<'a> {
    bytes: &'a [u8],
    known: &'a Known,
}

impl Batch<'_> {
    /// The lines, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            loop {
                let (unix_nanos, frame) = timed(&mut rest)?;
                let (site, names) = self.known.get(frame);
                if let Some(record) = Record::read(frame, site, names, unix_nanos) {
                    return Some(record);
                }
            }
        })
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.records().count()).finish()
    }
}

/// A sink that hands over records.
pub(crate) struct Exporter {
    export: Box<dyn Export>,
    known: Known,
    /// The number of the engine's rings.
    engine: u64,
}

impl Exporter {
    pub(crate) fn new(export: Box<dyn Export>, engine: u64) -> Exporter {
        Exporter { export, known: Known::default(), engine }
    }
}

impl Sink for Exporter {
    fn write(&mut self, chunk: &Chunk) -> std::io::Result<()> {
        set_ours(self.engine);
        self.known.learn_all(&chunk.bytes);
        let batch = Batch { bytes: &chunk.bytes, known: &self.known };
        self.export.export(&batch).map_err(std::io::Error::other)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        set_ours(self.engine);
        self.export.flush().map_err(std::io::Error::other)
    }
}

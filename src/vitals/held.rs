//! Where an engine's lines are held: in the heap, or in a file that outlives the process.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Error;
use crate::export::sink::file::Journal as SinkJournal;
use crate::flusher::Outlet;
use crate::flusher::anchors::Anchors;
use crate::flusher::durable::{self, Durable};
use crate::logs::{LogConfig, Redactions};
use crate::ring::durable::journal::Journal;
use crate::ring::durable::{self as rings, RingFile};
use crate::ring::names::{self, Define};
use crate::ring::set::{Rings, Settings};
use crate::ring::store::Store;

/// Bytes of a ring file beside its rings: names of call sites and loggers, of threads, and the chunk
/// that is on its way into the log file. The flusher sends some 64 KiB at a time; escaped, one line
/// may be ten times as long.
const DICTIONARY: usize = 1 << 20;
const THREADS: usize = 4_096;
const CHUNK: usize = 1 << 20;

/// The file, where there is one.
pub(crate) struct Held(Option<Arc<RingFile>>);

/// What the flusher and the log file share.
pub(crate) type Notes = Arc<Journal>;

impl Held {
    /// Makes the file where the settings ask for one.
    pub(crate) fn new(
        config: &LogConfig,
        settings: Settings,
        service: &str,
        redactions: &Redactions,
    ) -> Result<Held, Error> {
        let Some(folder) = &config.durable else { return Ok(Held(None)) };
        let of_file = rings::Settings {
            folder: folder.clone(),
            service: service.to_owned(),
            ring_bytes: settings.ring_bytes,
            rings: settings.rings,
            dictionary_bytes: DICTIONARY,
            threads: THREADS,
            chunk_bytes: CHUNK,
            rules: [redactions.lines.texts(), redactions.spans.texts()],
        };
        let clock = Clock::get();
        let anchor = Anchors::new(clock).renew();
        let anchor = rings::Anchor { ticks: anchor.ticks, unix_nanos: anchor.unix_nanos };
        let file = RingFile::create(&of_file, clock.rate(), anchor).map_err(|source| {
            Error::RingFile { path: folder.clone().unwrap_or_default(), source }
        })?;
        let listener: Arc<dyn Define> = file.clone();
        names::subscribe(&listener);
        Ok(Held(Some(file)))
    }

    pub(crate) fn store(&self) -> Store {
        self.0.clone().map_or(Store::Heap, Store::File)
    }

    pub(crate) fn journal(&self, rings: &Arc<Rings>) -> Option<Notes> {
        let file = self.0.as_ref()?;
        Some(Arc::new(Journal::new(file.clone(), rings.clone())))
    }

    pub(crate) fn notes(&self, notes: &Notes) -> Option<Box<dyn SinkJournal>> {
        Some(Box::new(durable::Notes(notes.clone())))
    }

    pub(crate) fn set_log(&self, path: &Path) {
        if let Some(file) = &self.0 {
            file.set_log(path);
        }
    }

    pub(crate) fn flusher(&self, notes: Option<Notes>) -> Option<Durable> {
        Some(Durable::new(self.0.clone()?, notes?))
    }

    /// Writes to the sinks what is left of processes of this service that died.
    pub(crate) fn adopt(&self, service: &str, outlets: &[Outlet], redactions: Redactions) {
        if let Some(folder) = self.0.as_ref().and_then(|file| file.path().parent()) {
            durable::adopt(folder, service, outlets, redactions);
        }
    }

    /// Names that the file had no room for: what it says of them after a kill are numbers.
    pub(crate) fn unnamed(&self) -> u64 {
        self.0.as_ref().map_or(0, |file| file.unnamed())
    }

    /// Removes the file if all of it is written.
    pub(crate) fn finish(&self) {
        if let Some(file) = &self.0 {
            file.finish();
        }
    }
}

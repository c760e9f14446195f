//! The flight recorder of an engine: dumps on a call, and its metrics.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Vitals;
use super::told::{Told, told};
use crate::error::Error;
use crate::flusher::flight;
use crate::metrics::{Desc, Gauge};
use crate::store::flight::Recorder;
use crate::sync::Ordering;

/// How long a dump waits for what is on its way through the rings.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the metrics say of a flight recorder.
pub(super) struct Shown {
    recorder: Arc<Recorder>,
    dumps: [Told; 3],
    bytes: Gauge,
}

impl Shown {
    pub(super) fn new(vitals: &Vitals, recorder: Arc<Recorder>) -> Result<Shown, Error> {
        let dumps = vitals.register_own(
            Desc::counter(
                "mcp_vitals_flight_dumps_total",
                "What became of the flight recorder's dumps.",
            )
            .labels(["event"]),
        )?;
        let bytes = vitals.register_own(Desc::gauge(
            "mcp_vitals_flight_bytes",
            "Bytes of lines and spans that the flight recorder has.",
        ))?;
        Ok(Shown {
            recorder,
            dumps: ["written", "failed", "passed_over"].map(|event| told(dumps.with([event]))),
            bytes: bytes.with([]),
        })
    }

    pub(super) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    pub(super) fn refresh(&mut self) {
        let recorder = &self.recorder;
        let now = [&recorder.written, &recorder.refused, &recorder.passed_over];
        for (told, now) in self.dumps.iter_mut().zip(now) {
            told.tell(now.load(Ordering::Relaxed));
        }
        self.bytes.set(recorder.bytes() as f64);
    }
}

impl Vitals {
    /// Writes the last lines and spans to `path`, as JSON lines in the order of time: whole or not at
    /// all, readable by the process's user alone; gives the number of lines. Waits a second at most
    /// for what is on its way. Secrets are kept out as in the logs.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a [flight
    /// recorder](crate::VitalsBuilder::flight_recorder); what the file system says.
    pub fn dump_flight(&self, path: impl AsRef<Path>) -> io::Result<u64> {
        self.with_flight(|recorder| flight::dump(recorder, path.as_ref()))
    }

    /// The same into `out`.
    pub fn write_flight(&self, out: &mut dyn Write) -> io::Result<u64> {
        self.with_flight(|recorder| flight::write(recorder, out))
    }

    fn with_flight(&self, write: impl FnOnce(&Recorder) -> io::Result<u64>) -> io::Result<u64> {
        let recorder = self.logs().and_then(super::logs::Logs::recorder);
        let none = || io::Error::new(ErrorKind::Unsupported, "no flight recorder");
        let recorder = recorder.ok_or_else(none)?;
        self.flush(PATIENCE);
        write(&recorder)
    }
}

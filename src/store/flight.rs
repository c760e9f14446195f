//! The last lines and spans, whatever became of them: to be written out when something went wrong.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{Error, check};
use crate::ring::frame::Frame;
use crate::shard::space::Space;
use crate::sync::{AtomicBool, AtomicU64, Ordering, lock};

/// Bytes of a block, at least and at most: the unit in which the oldest go.
const BLOCKS: u64 = 16;
const LEAST_BLOCK: usize = 16 << 10;

/// A flight recorder: the last lines and spans, kept in memory to be written to a file on a call, or by
/// a rule.
///
/// It has each line that the [filter](crate::logs::LogConfig::level) lets through, also what no sink is
/// given because of its level, and each span, also of traces that tail rules drop; both without what is
/// kept out of the logs.
///
/// ```no_run
/// use mcp_vitals::logs::{LogConfig, LogFile};
/// use mcp_vitals::traces::{FlightRecorder, TraceConfig};
/// use mcp_vitals::{Level, Vitals};
/// use std::time::Duration;
///
/// let file = LogConfig::to_file("/var/log/search/server.log").at_most(Level::Info);
/// let vitals = Vitals::builder()
///     .logs(file.level(Level::Debug))
///     .traces(TraceConfig::to_memory())
///     .flight_recorder(
///         FlightRecorder::new().dump_on_error("/var/log/search", Duration::from_secs(60)),
///     )
///     .build()?;
/// vitals.dump_flight("/tmp/now.jsonl")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct FlightRecorder {
    pub(crate) bytes: u64,
    pub(crate) last: Duration,
    pub(crate) on_error: Option<OnError>,
    pub(crate) most_dumps: u32,
}

/// Where a dump goes when there was an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnError {
    pub(crate) folder: PathBuf,
    pub(crate) period: Duration,
}

impl Default for FlightRecorder {
    fn default() -> FlightRecorder {
        FlightRecorder::new()
    }
}

impl FlightRecorder {
    /// The last 30 s, in 4 MiB.
    pub fn new() -> FlightRecorder {
        FlightRecorder {
            bytes: 4 << 20,
            last: Duration::from_secs(30),
            on_error: None,
            most_dumps: 5,
        }
    }

    /// Bytes that are kept, 64 KiB to 1 GiB, charged to
    /// [`memory_limit`](crate::VitalsBuilder::memory_limit); default 4 MiB.
    pub fn bytes(mut self, bytes: u64) -> FlightRecorder {
        self.bytes = bytes;
        self
    }

    /// How much of what is there a dump has, back from the newest: a second to a day; default 30 s.
    pub fn last(mut self, duration: Duration) -> FlightRecorder {
        self.last = duration;
        self
    }

    /// Writes a dump to `folder`, which must exist, when there was a line of level error or a span that
    /// ended with one: at most one in a `period` of a second to a day.
    pub fn dump_on_error(mut self, folder: impl AsRef<Path>, period: Duration) -> FlightRecorder {
        self.on_error = Some(OnError { folder: folder.as_ref().to_path_buf(), period });
        self
    }

    /// Dumps that the rule leaves in its folder, the newest: 1 to 1,000; default 5.
    pub fn most_dumps(mut self, files: u32) -> FlightRecorder {
        self.most_dumps = files;
        self
    }

    /// Refuses what is out of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check("", "flight_recorder.bytes", self.bytes, 64 << 10..=1 << 30)?;
        check("", "flight_recorder.last (seconds)", self.last.as_secs(), 1..=86_400)?;
        check("", "flight_recorder.most_dumps", self.most_dumps.into(), 1..=1_000)?;
        self.on_error.as_ref().map_or(Ok(()), |rule| {
            check("", "flight_recorder.period (seconds)", rule.period.as_secs(), 1..=86_400)
        })
    }
}

/// What is kept: blocks of frames, each behind its time.
pub(crate) struct Recorder {
    pub(crate) settings: FlightRecorder,
    space: Arc<Space>,
    block: usize,
    inner: Mutex<Inner>,
    /// There was an error since somebody asked.
    failed: AtomicBool,
    /// Dumps: written, failed, not written because of the period.
    pub(crate) written: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) passed_over: AtomicU64,
}

#[derive(Default)]
struct Inner {
    full: VecDeque<Arc<Vec<u8>>>,
    current: Vec<u8>,
    bytes: u64,
}

impl Recorder {
    /// Nothing where the budget has no room.
    pub(crate) fn new(settings: FlightRecorder, space: Arc<Space>) -> Option<Arc<Recorder>> {
        if !space.charge(settings.bytes) {
            return None;
        }
        let block = ((settings.bytes / BLOCKS) as usize).max(LEAST_BLOCK);
        Some(Arc::new(Recorder {
            settings,
            space,
            block,
            inner: Mutex::default(),
            failed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
        }))
    }

    /// Keeps a frame.
    pub(crate) fn add(&self, unix_nanos: u64, frame: Frame<'_>, is_error: bool) {
        let mut inner = lock(&self.inner);
        let length = 8 + frame.bytes().len();
        if inner.current.len() + length > self.block && !inner.current.is_empty() {
            let room = Vec::with_capacity(self.block);
            let full = std::mem::replace(&mut inner.current, room);
            inner.full.push_back(Arc::new(full));
        }
        inner.current.extend_from_slice(&unix_nanos.to_le_bytes());
        inner.current.extend_from_slice(frame.bytes());
        inner.bytes += length as u64;
        // With the whole of the block that is being filled.
        while inner.full.iter().map(|block| block.capacity()).sum::<usize>()
            + inner.current.capacity()
            > self.settings.bytes as usize
        {
            let Some(oldest) = inner.full.pop_front() else { break };
            inner.bytes -= oldest.len() as u64;
        }
        drop(inner);
        if is_error {
            // Relaxed: the frame itself is behind the lock.
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// What there is, the oldest first. Holds the flusher up for a copy of one block.
    pub(crate) fn blocks(&self) -> Vec<Arc<Vec<u8>>> {
        let inner = lock(&self.inner);
        let mut blocks: Vec<_> = inner.full.iter().cloned().collect();
        blocks.push(Arc::new(inner.current.clone()));
        blocks
    }

    /// Whether there was an error since the last time.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) && self.failed.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.inner).bytes
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.space.refund(self.settings.bytes);
    }
}

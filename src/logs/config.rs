//! Settings of an engine's logs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::export::Export;
use super::filter::LogFilter;
use super::format::LogFormat;
use super::level::Level;
use super::redact::Redaction;
use crate::error::{Error, check};
use crate::export::sink::settings::LogFile;
use crate::logs::limit::Limit;
use crate::ring::set::Overflow;
use crate::sync::lock;

/// Where lines go, and which.
///
/// ```no_run
/// use mcp_vitals::logs::{LogConfig, LogFile, LogFormat};
/// use mcp_vitals::{Level, Vitals};
///
/// let logs = LogConfig::new()
///     .level(Level::Info)
///     .file(LogFile::new("/var/log/search/server.log").keep_files(7))
///     .stderr()
///     .format(LogFormat::Text)
///     .at_most(Level::Warn);
/// let vitals = Vitals::builder().service("search-server", "1.4.0").logs(logs).build()?;
/// let logger = vitals.logger("search");
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
///
/// A sink is added by [`file`](Self::file), [`stderr`](Self::stderr), [`memory`](Self::memory) or
/// [`export`](Self::export); [`format`](Self::format) and [`at_most`](Self::at_most) are said of the
/// last one. There is no sink for stdout: under MCP's stdio transport it carries the protocol.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LogConfig {
    pub(crate) filter: LogFilter,
    pub(crate) sinks: Vec<Wanted>,
    pub(crate) overflow: Overflow,
    pub(crate) ring_bytes: Option<u32>,
    pub(crate) rings: Option<u32>,
    pub(crate) queue_bytes: Option<u32>,
    pub(crate) redaction: Redaction,
    pub(crate) limit: Limit,
    pub(crate) without_source: bool,
    pub(crate) flush_on_panic: bool,
    /// In which folder, where one was named.
    pub(crate) durable: Option<Option<PathBuf>>,
}

/// A sink that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) to: To,
    pub(crate) format: Option<LogFormat>,
    pub(crate) level: Level,
}

#[derive(Clone)]
pub(crate) enum To {
    File(LogFile),
    Stderr,
    Memory,
    /// Until the first engine takes it.
    Export(Arc<Mutex<Option<Box<dyn Export>>>>),
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::File(file) => file.fmt(f),
            To::Stderr => f.write_str("Stderr"),
            To::Memory => f.write_str("Memory"),
            To::Export(_) => f.write_str("Export"),
        }
    }
}

/// Bytes of a ring, and rings, unless somebody says otherwise.
pub(crate) const RING_BYTES: u32 = 256 << 10;
pub(crate) const RINGS: u32 = 64;
/// Bytes that wait for a sink.
pub(crate) const QUEUE_BYTES: u32 = 4 << 20;

impl LogConfig {
    /// Without a sink, which [`Vitals`](crate::Vitals) refuses unless there is a console (feature
    /// `console`), which then has the only copy of the lines.
    pub fn new() -> LogConfig {
        LogConfig::default()
    }

    /// Of an engine that logs nothing and has rings for its spans alone.
    pub(crate) fn nothing() -> LogConfig {
        LogConfig::default().level(LogFilter::off())
    }

    /// JSON lines into a file, by [`new`](Self::new) and [`file`](Self::file).
    pub fn to_file(path: impl AsRef<Path>) -> LogConfig {
        LogConfig::new().file(LogFile::new(path))
    }

    /// Lines on stderr: in colours on a terminal, else as JSON.
    pub fn to_stderr() -> LogConfig {
        LogConfig::new().stderr()
    }

    /// JSON lines kept in memory, for tests; see
    /// [`captured_logs`](crate::Vitals::captured_logs).
    pub fn to_memory() -> LogConfig {
        LogConfig::new().memory()
    }

    /// Adds a file that is rolled; JSON unless [`format`](Self::format) says otherwise.
    pub fn file(self, file: LogFile) -> LogConfig {
        self.sink(To::File(file))
    }

    /// Adds stderr: in colours on a terminal, else JSON, unless [`format`](Self::format) says
    /// otherwise.
    pub fn stderr(self) -> LogConfig {
        self.sink(To::Stderr)
    }

    /// Adds a sink in memory, the last 10,000 lines or 16 MiB of them, for tests.
    pub fn memory(self) -> LogConfig {
        self.sink(To::Memory)
    }

    /// Adds a sink of the host's own, called on a thread of its own. The first engine that is built
    /// with these settings gets it.
    pub fn export(self, export: impl Export) -> LogConfig {
        let export: Box<dyn Export> = Box::new(export);
        self.sink(To::Export(Arc::new(Mutex::new(Some(export)))))
    }

    fn sink(mut self, to: To) -> LogConfig {
        self.sinks.push(Wanted { to, format: None, level: Level::Trace });
        self
    }

    /// How the sink that was added last writes its lines.
    pub fn format(mut self, format: LogFormat) -> LogConfig {
        if let Some(last) = self.sinks.last_mut() {
            last.format = Some(format);
        }
        self
    }

    /// The sink that was added last gets lines of this level and what matters more, of those that
    /// are logged at all.
    pub fn at_most(mut self, level: Level) -> LogConfig {
        if let Some(last) = self.sinks.last_mut() {
            last.level = level;
        }
        self
    }

    /// Which lines are logged; a [`Level`], or a [`LogFilter`] with levels by module. Default
    /// [`Level::Info`]. Changed later by [`set_log_filter`](crate::Vitals::set_log_filter).
    pub fn level(mut self, filter: impl Into<LogFilter>) -> LogConfig {
        self.filter = filter.into();
        self
    }

    /// What happens to a line that finds its ring full; default [`Overflow::DropNewest`].
    pub fn overflow(mut self, overflow: Overflow) -> LogConfig {
        self.overflow = overflow;
        self
    }

    /// Bytes of each ring, 4 KiB to 64 MiB, rounded up to a power of two; default 256 KiB, about
    /// 1,500 lines. Each thread that logs has one, and all are charged to
    /// [`memory_limit`](crate::VitalsBuilder::memory_limit).
    pub fn ring_bytes(mut self, bytes: u32) -> LogConfig {
        self.ring_bytes = Some(bytes);
        self
    }

    /// Threads that may have a ring of their own at a time, `1..=1024`; default 64. Others share one.
    pub fn rings(mut self, rings: u32) -> LogConfig {
        self.rings = Some(rings);
        self
    }

    /// What is kept out of all lines before any sink has them; by default what
    /// [`Redaction::new`] says: passwords, tokens and credentials.
    pub fn redaction(mut self, redaction: Redaction) -> LogConfig {
        self.redaction = redaction;
        self
    }

    /// Lets so many lines of each call site through in a second, `1..=1_000_000`; not limited unless
    /// set. What is held back is counted, and said in the log each second with where it comes from.
    pub fn limit_per_site(mut self, lines: u32) -> LogConfig {
        self.limit.per_second = Some(lines);
        self
    }

    /// Holds back a line that says the same as the one before from its call site, with the same
    /// level, thread, context and fields, for so long, 1 ms to a day; not unless set. How many there
    /// were is counted, and said in the log each second.
    pub fn deduplicate(mut self, within: Duration) -> LogConfig {
        self.limit.same_for = Some(within);
        self
    }

    /// Leaves module, function, file and line out of the lines, which are then a third shorter.
    pub fn without_source(mut self) -> LogConfig {
        self.without_source = true;
        self
    }

    /// Whether a panic has the logs written out at once; default no, since the panic hook is the host's
    /// and one for the process.
    ///
    /// The first engine that asks installs a hook behind the one that is there, which is called as
    /// before. On most threads it only wakes the flusher: a client that makes a tool panic must not
    /// stall a runtime. On the main thread, and on any where panics abort, it waits for the sinks, a
    /// second at most and no more than a tenth of the time. A hook that the host sets later replaces it,
    /// unless it calls the one before; one that ends the process itself calls
    /// [`flush`](crate::Vitals::flush) first.
    ///
    /// Without it a panic that unwinds `main` writes all out if the last handle of the engine is dropped
    /// by that; one that aborts loses what was logged in the last 16 ms, unless the rings are
    /// [`durable`](Self::durable).
    pub fn flush_on_panic(mut self, on: bool) -> LogConfig {
        self.flush_on_panic = on;
        self
    }

    /// Bytes that may wait for each sink, 64 KiB to 1 GiB; default 4 MiB.
    pub fn queue_bytes(mut self, bytes: u32) -> LogConfig {
        self.queue_bytes = Some(bytes);
        self
    }

    /// Lines survive the process: SIGKILL, abort, `exit`, a panic. Rings lie in a file in memory
    /// (`/dev/shm/mcp-vitals-<uid>`, else below `$XDG_RUNTIME_DIR`), and the next start of the same
    /// service writes what is left into its log; [`recover`](crate::recover) does it at any time. What
    /// it does not survive is the kernel's end, or the power's.
    ///
    /// A call costs the same as without. All rings are allocated at once ([`rings`](Self::rings)
    /// times [`ring_bytes`](Self::ring_bytes), 16 MiB unless set, and 3 MiB beside them). The first
    /// sink that is a file is the one whose lines are neither lost nor repeated; others may have lines
    /// twice. Linux only; not with [`Overflow::OverwriteOldest`].
    pub fn durable(mut self) -> LogConfig {
        self.durable = Some(None);
        self
    }

    /// The same, with the file in `folder`, which is the user's own and made where it is missing. On a
    /// disk the system's write-back may hold a caller up for milliseconds.
    pub fn durable_in(mut self, folder: impl AsRef<Path>) -> LogConfig {
        self.durable = Some(Some(folder.as_ref().to_path_buf()));
        self
    }

    /// Refuses what is out of its range.
    ///
    /// * `shown`: the lines are seen in the console, also where there is no sink.
    pub(crate) fn check(&self, shown: bool) -> Result<(), Error> {
        let bytes = |bytes: Option<u32>, or: u32| u64::from(bytes.unwrap_or(or));
        check("", "logs.ring_bytes", bytes(self.ring_bytes, RING_BYTES), 4 << 10..=64 << 20)?;
        check("", "logs.rings", bytes(self.rings, RINGS), 1..=1_024)?;
        check("", "logs.queue_bytes", bytes(self.queue_bytes, QUEUE_BYTES), 64 << 10..=1 << 30)?;
        if let Some(lines) = self.limit.per_second {
            check("", "logs.limit_per_site", lines.into(), 1..=1_000_000)?;
        }
        if let Some(within) = self.limit.same_for {
            let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            check("", "logs.deduplicate (milliseconds)", millis, 1..=86_400_000)?;
        }
        if self.sinks.is_empty() && !shown {
            return Err(Error::Logs { rule: "no sink: add file, stderr, memory or export" });
        }
        if self.durable.is_some() {
            let to_file = |wanted: &Wanted| matches!(wanted.to, To::File(_));
            if !cfg!(target_os = "linux") {
                return Err(Error::Logs { rule: "durable: only on Linux" });
            }
            if self.overflow == Overflow::OverwriteOldest {
                return Err(Error::Logs { rule: "durable: not with Overflow::OverwriteOldest" });
            }
            if !self.sinks.iter().any(to_file) {
                return Err(Error::Logs { rule: "durable: add a file" });
            }
        }
        let memories = self.sinks.iter().filter(|wanted| matches!(wanted.to, To::Memory)).count();
        if memories > 1 {
            return Err(Error::Logs { rule: "memory is added twice" });
        }
        self.sinks.iter().try_for_each(|wanted| match &wanted.to {
            To::File(file) => file.check(),
            To::Export(export) if lock(export).is_none() => {
                Err(Error::Logs { rule: "another engine has the exporter already" })
            }
            _ => Ok(()),
        })
    }

    /// How long a caller waits for room, where it does.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.overflow {
            Overflow::Block(patience) => Some(patience),
            _ => None,
        }
    }
}

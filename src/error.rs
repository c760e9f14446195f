//! What can go wrong while an engine is set up, and the one way to say so on stderr.

use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::{fmt, io};

/// What can go wrong while an engine is set up, or looked up by name. What recording cannot keep,
/// it counts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A metric name that is not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// A label name that is not `[a-zA-Z_][a-zA-Z0-9_]*`, or that Prometheus keeps for itself.
    InvalidLabel {
        /// The metric, or nothing for an engine-wide label.
        metric: String,
        /// The label name as given.
        label: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A metric name that only the engine itself may register or set: `target_info`, or one that
    /// begins with `mcp_vitals_`.
    Reserved {
        /// The name as given.
        name: String,
    },
    /// The name is registered already, with another type, help, labels or buckets, or another family
    /// exposes a sample of this name.
    Conflict {
        /// The metric name, or the sample name that both would expose.
        name: String,
        /// What is in the way.
        what: &'static str,
    },
    /// No family of this name is registered.
    UnknownMetric {
        /// The name as given.
        name: String,
    },
    /// Sampling of a metric that is no histogram.
    NotSampled {
        /// The name as given.
        name: String,
    },
    /// Bucket boundaries that are not finite, not ascending, too many or out of range.
    InvalidBuckets {
        /// The metric name.
        name: String,
        /// The rule that they break.
        rule: &'static str,
    },
    /// A limit outside its range, in the unit of the builder method that set it.
    OutOfRange {
        /// The metric, or nothing for an engine-wide limit.
        metric: String,
        /// The builder method.
        field: &'static str,
        /// The value as given.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// A collector that cannot be registered.
    Collector {
        /// Its name; of a callback its metric's.
        name: String,
        /// What is in the way.
        rule: &'static str,
    },
    /// `memory_limit` is used up: the family has no room for its first series.
    MemoryLimit {
        /// The metric name.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The endpoint cannot listen there: the port is taken, say, or needs rights.
    Listen {
        /// The address; unspecified when it is the address that was not understood.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The token for the metrics can't be sent in a header, or can be guessed; it is not told.
    MetricsToken,
    /// The textfile cannot be written there.
    Textfile {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log file cannot be written there.
    LogFile {
        /// The path as given.
        path: PathBuf,
        /// What is in the way.
        source: io::Error,
    },
    /// A file for the logs' durable mode cannot be made, or one that was left behind not be read.
    RingFile {
        /// Its path, or that of its folder; empty where there is none.
        path: PathBuf,
        /// What is in the way.
        source: io::Error,
    },
    /// Stdout cannot be guarded.
    StdoutGuard(io::Error),
    /// Signals cannot be handled.
    Signals(io::Error),
    /// An engine is the process's own already.
    Installed,
    /// Settings of the logs that go against each other.
    Logs {
        /// What is in the way.
        rule: &'static str,
    },
    /// An exporter whose settings make no sense, or need a feature that is not there.
    Exporter {
        /// Which one.
        name: &'static str,
        /// What is in the way.
        why: String,
    },
    /// A console that may not be served so.
    Console {
        /// What is in the way, and what to do.
        why: String,
    },
    /// A variable of the environment that makes no sense, or asks for what is not there.
    Variable {
        /// Its name.
        name: &'static str,
        /// What is in the way.
        why: String,
    },
    /// A pattern of what to keep out of the logs that is no regular expression.
    InvalidPattern {
        /// The pattern as given.
        pattern: String,
        /// Where it goes wrong.
        why: String,
    },
    /// The system refused a thread of ours.
    Spawn(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidName { name } => {
                write!(f, "metric name {name:?}: must match [a-zA-Z_:][a-zA-Z0-9_:]*")
            }
            Error::InvalidPattern { pattern, why } => write!(f, "pattern {pattern:?}: {why}"),
            Error::InvalidLabel { metric, label, rule } if metric.is_empty() => {
                write!(f, "label {label:?}: {rule}")
            }
            Error::InvalidLabel { metric, label, rule } => {
                write!(f, "label {label:?} of metric {metric:?}: {rule}")
            }
            Error::Conflict { name, what } => {
                write!(f, "metric {name:?} is {what}")
            }
            Error::Reserved { name } => {
                write!(f, "metric name {name:?}: mcp_vitals_… and target_info are the engine's own")
            }
            Error::UnknownMetric { name } => {
                write!(f, "no metric {name:?} is registered; register it before it is looked up")
            }
            Error::NotSampled { name } => {
                write!(f, "metric {name:?} can't be sampled: only histograms and their timers are")
            }
            Error::Collector { name, rule } => write!(f, "collector {name:?}: {rule}"),
            Error::InvalidBuckets { name, rule } => write!(f, "buckets of metric {name:?}: {rule}"),
            Error::OutOfRange { metric, field, value, min, max } => {
                if !metric.is_empty() {
                    write!(f, "metric {metric:?}: ")?;
                }
                write!(f, "{field} is {value}; must be {min} to {max}")
            }
            Error::MetricsToken => f.write_str(
                "metrics_token: must have 16 to 1024 letters, digits or -._~+/=, and no line break behind them",
            ),
            Error::Listen { addr, source } => write!(f, "cannot listen on {addr}: {source}"),
            Error::Textfile { path, source } => {
                write!(f, "cannot write textfile {path:?}: {source}")
            }
            Error::LogFile { path, source } => write!(f, "cannot log to {path:?}: {source}"),
            Error::RingFile { path, source } => write!(f, "ring file {path:?}: {source}"),
            Error::StdoutGuard(source) => write!(f, "cannot guard stdout: {source}"),
            Error::Signals(source) => write!(f, "cannot handle signals: {source}"),
            Error::Installed => {
                write!(f, "an engine was installed before: a process has one of its own, once")
            }
            Error::Logs { rule } => write!(f, "logs: {rule}"),
            Error::Exporter { name, why } => write!(f, "exporter {name:?}: {why}"),
            Error::Console { why } => write!(f, "console: {why}"),
            Error::Variable { name, why } => write!(f, "environment variable {name}: {why}"),
            Error::Spawn(source) => write!(f, "cannot start a background thread: {source}"),
            Error::MemoryLimit { name, limit } => write!(
                f,
                "memory_limit of {limit} bytes has no room for metric {name:?}; raise it or \
                 register fewer families"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Listen { source, .. } | Error::Textfile { source, .. } => Some(source),
            Error::LogFile { source, .. } | Error::RingFile { source, .. } => Some(source),
            Error::Spawn(source) | Error::StdoutGuard(source) | Error::Signals(source) => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// A limit within its range, or the error that says so; `metric` is empty for the engine's own.
pub(crate) fn check(
    metric: &str,
    field: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(Error::OutOfRange { metric: metric.to_owned(), field, value, min, max })
}

/// One line on stderr. Not `eprintln!`, which panics when stderr is closed: then nobody listens.
pub(crate) fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "mcp-vitals: {what}");
}

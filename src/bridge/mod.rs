//! Other crates' vocabularies to ours: records of `log`, events and spans of `tracing`.

mod few;
mod sites;

#[cfg(feature = "log")]
mod log;
#[cfg(feature = "tracing")]
mod options;
#[cfg(feature = "tracing")]
mod ours;
#[cfg(feature = "tracing")]
mod records;
#[cfg(feature = "tracing")]
mod spans;
#[cfg(feature = "tracing")]
mod tracing;
#[cfg(feature = "tracing")]
mod words;

#[cfg(feature = "log")]
pub use self::log::LogBridge;
#[cfg(feature = "tracing")]
pub use self::options::TracingOptions;
#[cfg(feature = "tracing")]
pub use self::tracing::{TracingBridge, TracingFilter, TracingLayer};

use crate::logs::Line;
use crate::logs::Loggable;
use crate::logs::inlet::Source;

/// Where a line comes from, as fields: of call sites that are one too many.
#[cold]
fn put_source<const C: bool>(source: &Source<'_>, line: &mut Line<'_, '_, C>) {
    source.target.put(Some("target"), line);
    source.module.put(Some("module"), line);
    source.file.put(Some("file"), line);
    source.line.put(Some("line"), line);
}

/// The page on it, whose examples compile as they stand.
#[cfg(all(doctest, feature = "log", feature = "tracing"))]
#[doc = include_str!("../../docs/LOGS-bridges.md")]
struct Page;

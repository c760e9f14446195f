//! Lines: what a logger records, and what a sink is given to read.
//!
//! ```
//! use mcp_vitals::{Vitals, info, logs::LogConfig};
//!
//! let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
//! let logger = vitals.logger("search");
//! info!(logger, "indexed", documents = 12, took_seconds = 0.25);
//! assert!(vitals.captured_logs()[0].contains("\"documents\":12"));
//! # Ok::<(), mcp_vitals::Error>(())
//! ```

// First: what it defines is known by its name to the modules below it.
#[macro_use]
mod macros;

#[cfg(feature = "rmcp")]
mod beside;
pub(crate) mod config;
mod context;
mod events;
pub(crate) mod export;
mod filter;
mod format;
// What each of the bridges needs of it.
#[cfg_attr(not(all(feature = "log", feature = "tracing")), allow(dead_code, unused_imports))]
pub(crate) mod inlet;
mod level;
pub(crate) mod limit;
mod loggable;
mod logger;
mod redact;
mod secret;
mod site;

pub use crate::batch::Record;
pub use crate::export::sink::settings::{Compression, LogFile, Rotation};
pub use crate::ring::frame::{ContextView, Field, Fields, Text, Value};
pub use crate::ring::set::Overflow;
pub(crate) use crate::ring::writer::UNKNOWN;
#[cfg(feature = "rmcp")]
pub(crate) use beside::{Around, Beside};
pub use config::LogConfig;
pub(crate) use context::Ready;
pub use context::{Context, ContextFuture, Entered, InContext, set_request_context};
pub use export::{Batch, Export, ExportError};
pub use filter::LogFilter;
pub use format::{LogFormat, UnknownFormat};
pub use level::{Level, UnknownLevel};
#[cfg(feature = "macros")]
pub(crate) use loggable::exception_of;
pub(crate) use loggable::{Cut, Line};
pub use loggable::{Exception, Loggable, exception};
pub use logger::Logger;
pub(crate) use logger::Loggers;
pub use redact::Redaction;
pub(crate) use redact::{Redacted, RedactedSpan, Redactions, Redactor, SiteRules};
pub use secret::Secret;

/// What the macros' code names.
pub(crate) mod private {
    // Not for macros, nor for anybody else to implement: what a line takes at most is promised by it.
    pub(crate) use super::loggable::Values;
    pub use super::site::{Site, StaticText, function_name, is_plain};
    pub use crate::ring::scratch::{Rendered, debug, display};
}

//! The catalog: what the metrics of an MCP server are, as plain data and as families to record into.
//!
//! One place says it: [`CATALOG`] the metrics, [`RULES`] what each end of a request counts as.
//! `docs/METRICS.md` is written out of them. Recording is done through
//! [`Vitals::mcp`](crate::Vitals::mcp).

#[cfg(feature = "cli")]
pub mod alerts;
#[cfg(feature = "cli")]
pub mod boards;
#[cfg(feature = "cli")]
mod generate;
#[cfg(any(feature = "cli", feature = "console"))]
pub mod key_alerts;
mod outcome;
mod table;

#[cfg(feature = "cli")]
pub use generate::{Generated, alert_files, dashboard_files, doc_files, has_threshold};
pub use outcome::{Outcome, RULES, Rule, Status};
pub use table::{CATALOG, Entry, Families};

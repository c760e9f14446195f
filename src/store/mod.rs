//! Traces in memory: those that wait to be decided on, and those that can be looked up. And the last
//! lines.

pub(crate) mod account;
pub(crate) mod flight;
// Made by the console alone.
#[cfg_attr(not(feature = "console"), allow(dead_code))]
pub(crate) mod lines;
mod lookup;
pub(crate) mod open;
pub(crate) mod recent;
pub(crate) mod table;

pub use flight::FlightRecorder;
pub use lookup::{RecentTraces, StoredTrace, TraceQuery};
pub use open::OpenSpan;

//! Traces in memory: those that wait to be decided on, and those that can be looked up.

pub(crate) mod account;
pub(crate) mod flight;
mod lookup;
pub(crate) mod open;
pub(crate) mod recent;
pub(crate) mod table;

pub use flight::FlightRecorder;
pub use lookup::{RecentTraces, StoredTrace, TraceQuery};
pub use open::OpenSpan;

//! What the code of the attribute macros names: it begins a record where a function begins, and ends
//! it where the function returns, panics or, as a future, is dropped.
//!
//! Each macro makes one static *site*, which looks up at its first call what it needs of the
//! process's engine, and wraps the function once. Without an engine that is a load.

mod failure;
mod logged;
mod run;
mod site;
mod traced;
mod tracked;

pub use failure::{Failure, Of, ViaAny, ViaCause, ViaDebug, ViaDisplay, ViaError, ViaResult};
pub use logged::{Logged, Place};
pub use run::{Record, Watched, run, watch};
pub use traced::{SpanOf, ToolTraced, Traced, recording};
pub use tracked::Tracked;

//! The MCP edge: requests, from their arrival to one of their outcomes.
//!
//! [`Vitals::request`](crate::Vitals::request) is the core that knows no transport and no SDK; the
//! `rmcp` wrappers are built on it.

#[cfg(feature = "rmcp")]
mod caller;
#[cfg(feature = "rmcp-client")]
mod client;
mod edge;
mod handle;
mod known;
mod lines;
mod method;
mod record;
pub(crate) mod rename;
mod request;
pub(crate) mod series;
#[cfg(feature = "rmcp")]
mod server;
#[cfg(feature = "rmcp")]
mod service;
#[cfg(feature = "rmcp")]
mod session;
mod spans;
#[cfg(feature = "rmcp")]
mod watch;

#[cfg(feature = "rmcp-client")]
pub use client::TracedClient;
pub use handle::{CatalogOptions, Mcp, UserId};
pub use record::{Agent, QueuedTask, RunningTask};
pub use rename::{InRequest, RequestFuture};
pub use request::{InFlight, Request};
#[cfg(feature = "rmcp")]
pub use server::{InstrumentExt, Instrumented};
#[cfg(feature = "rmcp")]
pub use service::{InstrumentServiceExt, InstrumentedService};

/// The guide's examples compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/INTEGRATE.md")]
mod integrate {}

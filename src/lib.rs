//! Observability for MCP servers: metrics, logs and traces for nanoseconds a record.
//!
//! ```
//! use mcp_vitals::{Desc, Vitals};
//!
//! let vitals = Vitals::builder().service("search-server", "1.4.0").build()?;
//! let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool"]))?;
//! calls.with(["search"]).inc();
//! assert!(vitals.export_prometheus().contains("calls_total{tool=\"search\"} 1\n"));
//! # Ok::<(), mcp_vitals::Error>(())
//! ```
#![deny(unsafe_code)]
// A model uses a few pieces of each room.
#![cfg_attr(vitals_loom, allow(dead_code, unused_imports))]

// Under model checking only the lock-free rooms are built: loom's atomics can't stand in statics.
mod shard;
mod sync;

#[cfg(not(vitals_loom))]
mod background;
#[cfg(not(vitals_loom))]
mod builder;
#[cfg(not(vitals_loom))]
pub mod catalog;
#[cfg(not(vitals_loom))]
mod clock;
#[cfg(not(vitals_loom))]
mod collect;
#[cfg(not(vitals_loom))]
mod encode;
#[cfg(not(vitals_loom))]
mod error;
#[cfg(not(vitals_loom))]
mod export;
#[cfg(not(vitals_loom))]
mod mcp;
#[cfg(not(vitals_loom))]
mod metrics;
#[cfg(not(vitals_loom))]
mod outlets;
#[cfg(not(vitals_loom))]
mod own;
#[cfg(not(vitals_loom))]
mod registry;
#[cfg(all(not(vitals_loom), any(feature = "http", feature = "tower")))]
mod serve;
#[cfg(not(vitals_loom))]
mod snapshot;
#[cfg(not(vitals_loom))]
mod system;
#[cfg(not(vitals_loom))]
mod vitals;

#[cfg(not(vitals_loom))]
pub use builder::VitalsBuilder;
#[cfg(not(vitals_loom))]
pub use catalog::{Outcome, Status};
#[cfg(not(vitals_loom))]
pub use error::Error;
#[cfg(not(vitals_loom))]
pub use mcp::{Agent, CatalogOptions, InFlight, Mcp, QueuedTask, Request, RunningTask, UserId};
#[cfg(all(not(vitals_loom), feature = "rmcp"))]
pub use mcp::{InstrumentExt, InstrumentServiceExt, Instrumented, InstrumentedService};
#[cfg(not(vitals_loom))]
pub use metrics::{Counter, Desc, Family, Gauge, Histogram, Kind, Metric, Timer, Unit, UpDown};
#[cfg(all(not(vitals_loom), feature = "http"))]
pub use serve::{ListenAddr, OnPortTaken};
#[cfg(all(not(vitals_loom), feature = "tower"))]
pub use serve::{MetricsFuture, MetricsService};
#[cfg(not(vitals_loom))]
pub use snapshot::{HistogramSnapshot, Snapshot};
#[cfg(not(vitals_loom))]
pub use system::HeapAlloc;
#[cfg(not(vitals_loom))]
pub use vitals::Vitals;

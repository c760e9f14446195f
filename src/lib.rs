//! Observability for MCP servers, at a price that they can't feel: Prometheus metrics with a memory
//! ceiling, nothing lost in silence, under a nanosecond for a counter.
//!
//! ```
//! use mcp_vitals::{Desc, Vitals};
//!
//! let vitals = Vitals::builder().service("search-server", "1.4.0").build()?;
//! let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool"]))?;
//! let search = calls.with(["search"]); // hold it where you can
//! search.inc();
//! assert!(vitals.export_prometheus().contains("calls_total{tool=\"search\"} 1\n"));
//! # Ok::<(), mcp_vitals::Error>(())
//! ```
//!
//! # Where to begin
//! * A server written with `rmcp`: `server.instrumented(&vitals)`, of the feature `rmcp`; another
//!   SDK: [`Vitals::request`]. The metrics are those of the [`catalog`], with helpers for what only
//!   the server's own code knows ([`Vitals::mcp`]).
//! * Numbers of your own: [`Vitals::register`] a [`Desc`], hold the [`Counter`], [`Gauge`],
//!   [`UpDown`] or [`Histogram`] that its [`Family`] gives, or record by name with
//!   [`Vitals::metric`]. With labels of your own types: [`Vitals::register_typed`].
//!   Numbers that stand elsewhere are asked for at each scrape:
//!   [`Vitals::callback_gauge`], [`Vitals::collector`].
//! * Ways out: [`VitalsBuilder::textfile`] for servers on stdio, `listen` (feature `http`) and
//!   `metrics_service` (feature `tower`) for the others, [`Vitals::scrape_into`],
//!   [`Vitals::scrape_as`] and [`Vitals::scrape_only`] by hand, [`Vitals::snapshot`] for tests.
//!
//! # Costs and limits
//! A record is wait-free and allocates nothing once its thread and series are known. All cells and
//! series are charged to [`VitalsBuilder::memory_limit`]; what goes past a limit is kept under
//! `_other` or refused, and counted in `mcp_vitals_…`. Nothing is ever written to stdout. Recording
//! in a signal handler, or in a global allocator, is not supported.
//!
//! # Features
//! None by default. `http`: `/metrics` and `/healthz` on a thread of their own. `tower`: `/metrics`
//! as a service to mount. `rmcp`: the wrappers; `rmcp-client`: a client's requests traced. `macros`:
//! the derive of [`Labels`] and the attributes. `log`: records of the `log` crate as lines.
//! `tracing`: events of `tracing` as lines, its spans as the engine's.
//! `signals`: engines shut down by SIGTERM and SIGINT, where asked. `gzip`, `zstd`: rolled log files
//! compressed. `patterns`: `Redaction::pattern` of the [`logs`]. `rayon`: threads for large scrapes.
//! `console`: a page of live charts, logs and traces beside `/metrics`.
//! `cli`: the `mcp-vitals` command with its demo.
#![deny(unsafe_code)]
// A model uses a few pieces of each room.
#![cfg_attr(vitals_loom, allow(dead_code, unused_imports))]

// Under model checking only the lock-free rooms are built: loom's atomics can't stand in statics.
mod ring;
mod shard;
mod sync;

#[cfg(not(vitals_loom))]
mod analysis;
#[cfg(all(not(vitals_loom), feature = "macros"))]
mod attributes;
#[cfg(not(vitals_loom))]
mod background;
#[cfg(not(vitals_loom))]
mod batch;
#[cfg(all(not(vitals_loom), any(feature = "log", feature = "tracing")))]
mod bridge;
#[cfg(not(vitals_loom))]
mod builder;
#[cfg(not(vitals_loom))]
mod cardinality;
#[cfg(not(vitals_loom))]
pub mod catalog;
#[cfg(not(vitals_loom))]
mod clock;
#[cfg(not(vitals_loom))]
mod collect;
#[cfg(not(vitals_loom))]
mod collectors;
#[cfg(all(not(vitals_loom), feature = "console"))]
mod console;
#[cfg(not(vitals_loom))]
mod encode;
#[cfg(not(vitals_loom))]
mod error;
#[cfg(not(vitals_loom))]
mod export;
#[cfg(not(vitals_loom))]
mod flusher;
#[cfg(not(vitals_loom))]
pub mod logs;
#[cfg(not(vitals_loom))]
mod mcp;
#[cfg(not(vitals_loom))]
mod metrics;
#[cfg(not(vitals_loom))]
mod outlets;
#[cfg(not(vitals_loom))]
mod own;
#[cfg(not(vitals_loom))]
mod pool;
#[cfg(all(not(vitals_loom), target_os = "linux"))]
pub mod recover;
#[cfg(not(vitals_loom))]
mod registry;
#[cfg(all(not(vitals_loom), any(feature = "http", feature = "tower")))]
mod serve;
#[cfg(not(vitals_loom))]
mod snapshot;
#[cfg(not(vitals_loom))]
mod stdio;
#[cfg(not(vitals_loom))]
mod store;
#[cfg(not(vitals_loom))]
mod system;
#[cfg(not(vitals_loom))]
pub mod traces;
#[cfg(not(vitals_loom))]
mod typed;
#[cfg(not(vitals_loom))]
mod vitals;

#[cfg(all(not(vitals_loom), feature = "log"))]
pub use bridge::LogBridge;
#[cfg(all(not(vitals_loom), feature = "tracing"))]
pub use bridge::{TracingBridge, TracingFilter, TracingLayer, TracingOptions};
#[cfg(not(vitals_loom))]
pub use builder::VitalsBuilder;
#[cfg(not(vitals_loom))]
pub use cardinality::{Cardinality, FamilyCardinality, HeavyValue, LabelCardinality};
#[cfg(not(vitals_loom))]
pub use catalog::{Outcome, Status};
#[cfg(not(vitals_loom))]
pub use collectors::{Collected, Describe, Samples};
#[cfg(all(not(vitals_loom), feature = "console"))]
pub use console::ConsoleConfig;
#[cfg(not(vitals_loom))]
pub use encode::format::Format;
#[cfg(not(vitals_loom))]
pub use error::Error;
#[cfg(not(vitals_loom))]
pub use logs::{Level, Logger};
#[cfg(all(not(vitals_loom), feature = "rmcp-client"))]
pub use mcp::TracedClient;
#[cfg(not(vitals_loom))]
pub use mcp::{
    Agent, CatalogOptions, InFlight, InRequest, Mcp, QueuedTask, Request, RequestFuture,
    RunningTask, UserId,
};
#[cfg(all(not(vitals_loom), feature = "rmcp"))]
pub use mcp::{InstrumentExt, InstrumentServiceExt, Instrumented, InstrumentedService};
#[cfg(all(not(vitals_loom), feature = "macros"))]
pub use mcp_vitals_macros::{Labels, log_operation, trace_mcp_tool, traced, track_request_metrics};
#[cfg(not(vitals_loom))]
pub use metrics::{Counter, Desc, Family, Gauge, Histogram, Kind, Metric, Timer, Unit, UpDown};
#[cfg(all(not(vitals_loom), feature = "http"))]
pub use serve::{ListenAddr, OnPortTaken};
#[cfg(all(not(vitals_loom), feature = "tower"))]
pub use serve::{MetricsFuture, MetricsService};
#[cfg(not(vitals_loom))]
pub use snapshot::{HistogramSnapshot, Snapshot};
#[cfg(not(vitals_loom))]
pub use stdio::StdoutGuard;
#[cfg(not(vitals_loom))]
pub use system::HeapAlloc;
#[cfg(not(vitals_loom))]
pub use traces::{Span, SpanContext, Tracer};
#[cfg(not(vitals_loom))]
pub use typed::{LabelValue, Labels, Typed};
#[cfg(not(vitals_loom))]
pub use vitals::{Collector, OnThread, Vitals, global};

/// What the macros' code names; no part of the API.
#[cfg(not(vitals_loom))]
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "macros")]
    pub mod attributes {
        pub use crate::attributes::*;
        pub use crate::logs::private::{debug, display, function_name};
        pub use crate::{Level, traces::SpanKind};
    }
    pub use crate::logs::private::*;
    pub use crate::typed::{Extent, Finite, LabelValue, Labels, OTHER, Open, bounded};
}

/// README's examples, which compile as they stand.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The page on labels, of which the same is true.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/LABELS.md")]
struct LabelsPage;

/// The page on where spans go.
#[cfg(doctest)]
#[doc = include_str!("../docs/TRACES-export.md")]
struct TracesExportPage;
/// The page on the attribute macros.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/MACROS.md")]
struct MacrosPage;

/// The page on logs.
#[cfg(doctest)]
#[doc = include_str!("../docs/LOGS.md")]
struct LogsPage;

/// The page on contexts that go from process to process.
#[cfg(doctest)]
#[doc = include_str!("../docs/PROPAGATION.md")]
struct PropagationPage;

/// The page on the console.
#[cfg(all(doctest, feature = "console"))]
#[doc = include_str!("../docs/CONSOLE.md")]
struct ConsolePage;

/// The page on exemplars and OpenMetrics.
#[cfg(doctest)]
#[doc = include_str!("../docs/EXEMPLARS.md")]
struct ExemplarsPage;

/// The page on what the times of spans say.
#[cfg(doctest)]
#[doc = include_str!("../docs/ANALYZE.md")]
struct AnalyzePage;

/// The pages on traces.
#[cfg(doctest)]
#[doc = include_str!("../docs/TRACES.md")]
struct TracesPage;

/// The same on which are kept.
#[cfg(doctest)]
#[doc = include_str!("../docs/TRACES-sampling.md")]
struct TracesSamplingPage;

/// The page on metrics of one's own.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/OWN-METRICS.md")]
struct OwnMetricsPage;

/// The first page of all.
#[cfg(all(doctest, feature = "http", feature = "rmcp"))]
#[doc = include_str!("../docs/QUICKSTART.md")]
struct QuickstartPage;

/// The page on what each option costs.
#[cfg(doctest)]
#[doc = include_str!("../docs/TUNING.md")]
struct TuningPage;

/// The page on what is exposed.
#[cfg(doctest)]
#[doc = include_str!("../docs/SECURITY.md")]
struct SecurityPage;

/// The pages on moving here from elsewhere.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../docs/MIGRATE-python.md")]
struct MigratePythonPage;

/// The same from `prometheus`.
#[cfg(doctest)]
#[doc = include_str!("../docs/MIGRATE-prometheus.md")]
struct MigratePrometheusPage;

/// The same from `metrics`.
#[cfg(doctest)]
#[doc = include_str!("../docs/MIGRATE-metrics.md")]
struct MigrateMetricsPage;

/// The page on running one.
#[cfg(doctest)]
#[doc = include_str!("../docs/DEPLOY.md")]
struct DeployPage;

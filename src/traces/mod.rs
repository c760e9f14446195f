//! Spans: what a tracer records, and what an exporter is given to read.

pub(crate) mod config;
pub(crate) mod context;
mod current;
pub(crate) mod export;
pub(crate) mod ids;
pub(crate) mod sample;
mod span;
mod tracer;

pub use crate::batch::{SpanEvent, SpanLink, SpanRecord};
pub use config::TraceConfig;
pub use context::{Parent, SpanContext};
pub use current::{EnteredSpan, InSpan, SpanFuture};
pub use export::{ExportSpans, SpanBatch};
pub use ids::{SpanId, TraceId, UnknownId};
pub use sample::Sampler;
pub use span::{Of, Span, SpanKind, SpanStatus};
pub(crate) use tracer::Core;
pub use tracer::Tracer;

/// What was decided of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // nobody drops any yet
pub(crate) enum Verdict {
    Kept,
    Dropped,
    Undecided,
}

//! Spans: what a tracer records, and what an exporter is given to read.

mod carrier;
pub(crate) mod config;
pub(crate) mod context;
mod current;
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(crate) mod entered;
mod env;
pub(crate) mod export;
pub(crate) mod ids;
mod propagation;
pub(crate) mod resource;
pub(crate) mod sample;
mod span;
mod spare;
pub(crate) mod tail;
mod tracer;
pub(crate) mod w3c;

/// What the times of spans say: the critical path and self time of a trace, latency by name, and what
/// slow traces have that others don't.
pub mod analysis {
    pub use crate::analysis::{
        Analysis, Difference, Irregular, NameStats, Segment, SpanData, Trace, TraceSpan, Trait,
    };
}

pub use crate::batch::{SpanEvent, SpanLink, SpanRecord};
pub use crate::encode::form::{Service, SpanForm};
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
pub use crate::export::trace::Otlp;
#[cfg(feature = "otlp")]
pub use crate::export::trace::OtlpBytes;
#[cfg(feature = "zipkin")]
pub use crate::export::trace::Zipkin;
pub use crate::store::{FlightRecorder, OpenSpan, RecentTraces, StoredTrace, TraceQuery};
pub use carrier::{Carrier, CarrierMut, FromFn, from_fn};
pub use config::TraceConfig;
pub use context::{Parent, SpanContext};
#[cfg(feature = "rmcp")]
pub(crate) use current::{Aside, Late};
pub use current::{EnteredSpan, InSpan, SpanFuture};
pub use export::{ExportSpans, SpanBatch};
pub use ids::{SpanId, TraceId, UnknownId};
pub use propagation::inject_current;
pub use resource::ResourceValue;
pub use sample::Sampler;
pub use span::{Of, Span, SpanKind, SpanStatus};
pub use tail::Tail;
pub(crate) use tracer::Core;
pub use tracer::Tracer;
pub use w3c::baggage::{Baggage, BaggageEntry};

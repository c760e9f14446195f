//! Plain data between the rings and the sinks.

mod known;
mod record;
mod span;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use crate::ring::names::SiteText;
pub(crate) use known::{Known, timed};
pub(crate) use record::Names;
pub use record::Record;
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
pub(crate) use span::Part;
pub use span::{SpanEvent, SpanLink, SpanRecord};

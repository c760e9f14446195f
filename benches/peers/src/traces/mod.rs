//! Spans: the peers that make them, each in a process of its own, because a process has one global
//! collector, subscriber or reporter.
//!
//! A side's exporter gets each span whole and hands it to the [check], which counts those that are as
//! they should be; for the processor's time it makes the bytes of an OTLP request of them instead.
//! What was made and didn't arrive is lost.

pub mod check;
pub mod child;
pub mod inside;
mod parent;
pub mod work;

pub use parent::row;

//! Data to bytes.

mod digits;
mod exponential;
pub(crate) mod form;
pub(crate) mod format;
mod histogram;
mod jaeger;
pub(crate) mod line;
pub(crate) mod number;
mod open;
pub(crate) mod otlp;
mod page;
pub(crate) mod pages;
mod perfetto;
pub(crate) mod protobuf;
mod sheet;
pub(crate) mod text;
mod wire;
pub(crate) mod zipkin;

//! Ways out for spans.
//!
//! Each is a sink behind a queue and a thread of its own. What goes to a server is made into requests
//! by a [`parcel::Carrier`]; [`parcel::Parcels`] splits and counts, and the sink's thread tries again.

#[cfg(feature = "otlp")]
mod bytes;
#[cfg(all(test, feature = "otlp"))]
mod encoding_tests;
mod file;
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
mod otlp;
#[cfg(any(feature = "_post", feature = "otlp-grpc"))]
pub(crate) mod parcel;
#[cfg(feature = "_post")]
pub(crate) mod post;
#[cfg(feature = "zipkin")]
mod zipkin;

#[cfg(feature = "otlp")]
pub use bytes::OtlpBytes;
pub(crate) use file::TraceFile;
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
pub use otlp::Otlp;
#[cfg(feature = "zipkin")]
pub use zipkin::Zipkin;

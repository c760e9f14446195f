//! The bytes of OTLP requests, for a transport of the host's own.

use crate::encode::otlp::{Form, Request};
use crate::traces::SpanBatch;
use crate::traces::resource::Resource;

/// Turns spans into the bytes of an OTLP `ExportTraceServiceRequest` in protobuf, for an
/// [`ExportSpans`](crate::traces::ExportSpans) that sends them its own way. Its buffers are used again.
///
/// ```
/// use mcp_vitals::logs::ExportError;
/// use mcp_vitals::traces::{ExportSpans, OtlpBytes, SpanBatch};
///
/// struct Mine {
///     otlp: OtlpBytes,
/// }
///
/// impl ExportSpans for Mine {
///     fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
///         let request: &[u8] = self.otlp.encode(batch);
///         assert!(!request.is_empty());
///         Ok(())
///     }
/// }
/// # let _ = Mine { otlp: OtlpBytes::new("search", "1.2.0") };
/// ```
pub struct OtlpBytes(Request);

impl OtlpBytes {
    /// With a service's name and version among what every request says of where it comes from.
    pub fn new(service: &str, version: &str) -> OtlpBytes {
        let resource = Resource::of(&(service.to_owned(), version.to_owned()), &[]);
        OtlpBytes(Request::new(Form::Protobuf, &resource))
    }

    /// One request of all these spans. Valid until the next.
    pub fn encode(&mut self, batch: &SpanBatch<'_>) -> &[u8] {
        self.0.fill(&mut batch.spans(), usize::MAX, usize::MAX);
        self.0.bytes()
    }
}

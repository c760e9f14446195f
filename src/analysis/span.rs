//! A span as plain data of one's own.

use std::sync::Arc;

use crate::traces::{SpanId, SpanKind, SpanRecord, SpanStatus, TraceId};

/// A span, as far as its times are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanData {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that it is a part of.
    pub parent_span_id: Option<SpanId>,
    /// What was done.
    pub name: Arc<str>,
    /// Who did it; empty where nobody said.
    pub service: Arc<str>,
    /// What part it had.
    pub kind: SpanKind,
    /// Whether it ended with an error.
    pub failed: bool,
    /// Nanoseconds since 1970, UTC.
    pub start_unix_nanos: u64,
    /// The same of its end; taken for the start where it is before that.
    pub end_unix_nanos: u64,
    /// What else was said, as texts.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl SpanData {
    /// A root of kind `Internal` that did not fail, with no attributes.
    pub fn new(
        trace_id: TraceId,
        span_id: SpanId,
        name: impl Into<Arc<str>>,
        start_unix_nanos: u64,
        end_unix_nanos: u64,
    ) -> SpanData {
        SpanData {
            trace_id,
            span_id,
            parent_span_id: None,
            name: name.into(),
            service: Arc::default(),
            kind: SpanKind::Internal,
            failed: false,
            start_unix_nanos,
            end_unix_nanos,
            attributes: Vec::new(),
        }
    }
}

impl From<&SpanRecord<'_>> for SpanData {
    /// Of no service: a record does not say whose it is. Values as `Debug` has them where they are
    /// no texts or numbers.
    fn from(span: &SpanRecord<'_>) -> SpanData {
        use crate::logs::Value;
        let text = |value: Value<'_>| -> Arc<str> {
            match value {
                Value::Null => "null".into(),
                Value::Bool(value) => value.to_string().into(),
                Value::I64(value) => value.to_string().into(),
                Value::U64(value) => value.to_string().into(),
                Value::F64(value) => value.to_string().into(),
                Value::Str(text) | Value::Bytes(text) => text.to_str().into(),
                Value::Redacted => crate::logs::Secret::new(()).to_string().into(),
                Value::Error { message, .. } => message.to_str().into(),
            }
        };
        // Ids that are all zero are no span's; a record of one is not made.
        let trace_id = span.trace_id().unwrap_or(TraceId::LEAST);
        let span_id = span.span_id().unwrap_or(SpanId::LEAST);
        let attributes = span.attributes().map(|field| {
            let key: Arc<str> = field.key.to_str().into();
            (key, text(field.value))
        });
        SpanData {
            parent_span_id: span.parent_span_id,
            kind: span.kind,
            failed: span.status == SpanStatus::Error,
            attributes: attributes.collect(),
            ..SpanData::new(
                trace_id,
                span_id,
                span.name.to_str(),
                span.start_unix_nanos,
                span.end_unix_nanos,
            )
        }
    }
}

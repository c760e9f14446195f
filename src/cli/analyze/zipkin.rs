//! Zipkin's v2 JSON.

use std::collections::{BTreeMap, HashSet};

use mcp_vitals::traces::SpanId;
use mcp_vitals::traces::analysis::SpanData;
use serde::Deserialize;
use serde_json::Value;

use super::otlp::kind;
use super::read::{Reading, id, nullable, whole};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    #[serde(default, deserialize_with = "nullable")]
    trace_id: String,
    #[serde(default, deserialize_with = "nullable")]
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    parent_id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    kind: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    duration: Value,
    #[serde(default, deserialize_with = "nullable")]
    shared: bool,
    #[serde(default, deserialize_with = "nullable")]
    local_endpoint: Endpoint,
    #[serde(default, deserialize_with = "nullable")]
    tags: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default, deserialize_with = "nullable")]
    service_name: String,
}

/// A server may go on with its caller's span, under the same id. Here it has one of its own, below
/// that; and so have those that it is the parent of.
pub(super) fn read(spans: Vec<Span>, reading: &mut Reading) {
    let read: Vec<(bool, Option<SpanData>)> =
        spans.iter().map(|span| (span.shared, self::span(span, reading))).collect();
    let halves: HashSet<_> = read
        .iter()
        .filter_map(|(shared, span)| span.as_ref().filter(|_| *shared))
        .map(|span| (span.trace_id, span.span_id, span.service.clone()))
        .collect();
    for (shared, span) in read {
        let span = span.map(|mut span| {
            let parent = span.parent_span_id.map(|id| (span.trace_id, id, span.service.clone()));
            if shared {
                span.parent_span_id = Some(span.span_id);
                span.span_id = other(span.span_id);
            } else if parent.is_some_and(|parent| halves.contains(&parent)) {
                span.parent_span_id = span.parent_span_id.map(other);
            }
            span
        });
        reading.add(span);
    }
}

/// An id that no other span has by chance any more than it has any.
fn other(id: SpanId) -> SpanId {
    SpanId::from_bytes(id.to_bytes().map(|byte| !byte)).unwrap_or(id)
}

fn span(span: &Span, reading: &mut Reading) -> Option<SpanData> {
    let start = Some(whole(&span.timestamp)).filter(|start| *start > 0)?;
    let end = start.saturating_add(whole(&span.duration));
    let mut read = SpanData::new(
        id(&span.trace_id, 32)?,
        id(&span.id, 16)?,
        reading.text(&span.name),
        start.saturating_mul(1_000),
        end.saturating_mul(1_000),
    );
    read.parent_span_id = id(&span.parent_id, 16);
    read.service = reading.text(&span.local_endpoint.service_name);
    read.kind = kind(&span.kind);
    for (key, value) in &span.tags {
        match key.as_str() {
            "error" => read.failed = true,
            "otel.status_code" => {}
            _ => {
                let value = reading.value(value);
                read.attributes.push((reading.text(key), value));
            }
        }
    }
    Some(read)
}

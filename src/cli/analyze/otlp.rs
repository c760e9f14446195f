//! OTLP in JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use mcp_vitals::traces::SpanKind;
use mcp_vitals::traces::analysis::SpanData;
use serde::Deserialize;
use serde_json::Value;

use super::read::{Reading, id, nullable, whole};

#[derive(Deserialize)]
pub(super) struct ResourceSpans {
    #[serde(default, deserialize_with = "nullable")]
    resource: Resource,
    #[serde(
        rename = "scopeSpans",
        alias = "scope_spans",
        alias = "instrumentationLibrarySpans",
        default,
        deserialize_with = "nullable"
    )]
    scopes: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default, deserialize_with = "nullable")]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default, deserialize_with = "nullable")]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(alias = "trace_id", default, deserialize_with = "nullable")]
    trace_id: String,
    #[serde(alias = "span_id", default, deserialize_with = "nullable")]
    span_id: String,
    #[serde(alias = "parent_span_id", default, deserialize_with = "nullable")]
    parent_span_id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default)]
    kind: Value,
    #[serde(alias = "start_time_unix_nano", default)]
    start_time_unix_nano: Value,
    #[serde(alias = "end_time_unix_nano", default)]
    end_time_unix_nano: Value,
    #[serde(default, deserialize_with = "nullable")]
    attributes: Vec<Attribute>,
    #[serde(default, deserialize_with = "nullable")]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: Value,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(default, deserialize_with = "nullable")]
    key: String,
    #[serde(default)]
    value: Value,
}

impl Attribute {
    /// `{"stringValue": "x"}`, `{"intValue": "1"}`, …: what is within.
    fn inner(&self) -> &Value {
        let only = self.value.as_object().and_then(|typed| typed.values().next());
        only.unwrap_or(&Value::Null)
    }
}

pub(super) fn read(resources: Vec<ResourceSpans>, reading: &mut Reading) {
    for ResourceSpans { resource, scopes } in resources {
        let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
        let service = name.map_or("".into(), |name| reading.value(name.inner()));
        for span in scopes.into_iter().flat_map(|scope| scope.spans) {
            let read = self::span(&span, reading).map(|mut read| {
                read.service = service.clone();
                read
            });
            reading.add(read);
        }
    }
}

fn span(span: &Span, reading: &mut Reading) -> Option<SpanData> {
    let start = whole(&span.start_time_unix_nano);
    let mut read = SpanData::new(
        id(&span.trace_id, 32)?,
        id(&span.span_id, 16)?,
        reading.text(&span.name),
        Some(start).filter(|start| *start > 0)?,
        whole(&span.end_time_unix_nano),
    );
    read.parent_span_id = id(&span.parent_span_id, 16);
    read.kind = match &span.kind {
        Value::String(name) => kind(name.trim_start_matches("SPAN_KIND_")),
        number => match number.as_u64() {
            Some(2) => SpanKind::Server,
            Some(3) => SpanKind::Client,
            Some(4) => SpanKind::Producer,
            Some(5) => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
    };
    read.failed = span.status.code == 2 || span.status.code == "STATUS_CODE_ERROR";
    for attribute in &span.attributes {
        let value = reading.value(attribute.inner());
        read.attributes.push((reading.text(&attribute.key), value));
    }
    Some(read)
}

/// A kind by its name, in any case.
pub(super) fn kind(name: &str) -> SpanKind {
    match name.to_ascii_lowercase().as_str() {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

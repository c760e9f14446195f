//! Jaeger's JSON: what its query service answers with and its UI saves.

use std::collections::HashMap;

use mcp_vitals::traces::analysis::SpanData;
use serde::Deserialize;
use serde_json::Value;

use super::otlp::kind;
use super::read::{Reading, id, nullable, whole};

#[derive(Deserialize)]
pub(super) struct Trace {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) spans: Vec<Span>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) processes: Processes,
}

pub(super) type Processes = HashMap<String, Process>;

#[derive(Deserialize)]
pub(super) struct Process {
    #[serde(rename = "serviceName", default, deserialize_with = "nullable")]
    service: String,
}

#[derive(Deserialize)]
pub(super) struct Span {
    #[serde(rename = "traceID", default, deserialize_with = "nullable")]
    trace_id: String,
    #[serde(rename = "spanID", default, deserialize_with = "nullable")]
    span_id: String,
    /// Of old versions, which had no references.
    #[serde(rename = "parentSpanID", default, deserialize_with = "nullable")]
    parent_span_id: String,
    #[serde(rename = "operationName", default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    references: Vec<Reference>,
    #[serde(rename = "startTime", default)]
    start: Value,
    #[serde(default)]
    duration: Value,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<Tag>,
    #[serde(rename = "processID", default, deserialize_with = "nullable")]
    process_id: String,
    process: Option<Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(default, deserialize_with = "nullable")]
    ref_type: String,
    #[serde(rename = "traceID", default, deserialize_with = "nullable")]
    trace_id: String,
    #[serde(rename = "spanID", default, deserialize_with = "nullable")]
    span_id: String,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default, deserialize_with = "nullable")]
    key: String,
    #[serde(default)]
    value: Value,
}

pub(super) fn read(traces: Vec<Trace>, reading: &mut Reading) {
    for Trace { spans, processes } in traces {
        for span in spans {
            let read = self::span(&span, &processes, reading);
            reading.add(read);
        }
    }
}

fn span(span: &Span, processes: &Processes, reading: &mut Reading) -> Option<SpanData> {
    let start = Some(whole(&span.start)).filter(|start| *start > 0)?;
    let end = start.saturating_add(whole(&span.duration));
    let mut read = SpanData::new(
        id(&span.trace_id, 32)?,
        id(&span.span_id, 16)?,
        reading.text(&span.name),
        start.saturating_mul(1_000),
        end.saturating_mul(1_000),
    );
    // What follows from a span is shown below it, too, where it is nothing's child.
    let of = |sort| {
        let mut references = span.references.iter();
        references.find(|one| one.ref_type == sort && one.trace_id == span.trace_id)
    };
    let parent = of("CHILD_OF").or_else(|| of("FOLLOWS_FROM")).map(|parent| &parent.span_id);
    read.parent_span_id = id(parent.unwrap_or(&span.parent_span_id), 16);
    let process = span.process.as_ref().or_else(|| processes.get(&span.process_id));
    read.service = process.map_or("".into(), |process| reading.text(&process.service));
    for Tag { key, value } in &span.tags {
        match key.as_str() {
            "span.kind" => read.kind = kind(value.as_str().unwrap_or_default()),
            "error" => read.failed |= *value == true || *value == "true",
            "otel.status_code" => read.failed |= *value == "ERROR",
            _ => {
                let value = reading.value(value);
                read.attributes.push((reading.text(key), value));
            }
        }
    }
    Some(read)
}

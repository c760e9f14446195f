//! What the peers' spans go through: an OpenTelemetry exporter that reads them, or makes the bytes of
//! an OTLP request by `opentelemetry-proto` and `prost` as OpenTelemetry's own exporter does.

use std::hint::black_box;

use mcp_vitals::traces::SpanBatch;
use opentelemetry::Value;
use opentelemetry::trace::SpanId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;

use crate::traces::check::{Arrived, Batch};
use crate::traces::work::{Gives, REQUEST, Work};

/// Reads each span, or encodes all of them.
#[derive(Debug)]
pub struct Exporter {
    resource: Option<ResourceAttributesWithSchema>,
}

impl Exporter {
    pub fn new(work: Work) -> Exporter {
        let encodes = work.gives == Gives::Cpu;
        Exporter { resource: encodes.then(|| (&Resource::builder().build()).into()) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match &self.resource {
            Some(resource) => {
                let spans = batch.len();
                let requests = batch.iter().filter(|span| span.name == REQUEST).count();
                let resource_spans = group_spans_by_resource_and_scope(batch, resource);
                let request = ExportTraceServiceRequest { resource_spans };
                black_box(request.encode_to_vec());
                Batch::encoded(spans, requests);
            }
            None => {
                let mut arrived = Batch::default();
                batch.iter().for_each(|span| arrived.add(read(span)));
                arrived.end();
            }
        }
        Ok(())
    }
}

fn read(span: &SpanData) -> Arrived<'_> {
    let mut attributes = [&[][..]; 2];
    // `tracing-opentelemetry` adds more of its own behind them.
    for (to, attribute) in attributes.iter_mut().zip(&span.attributes) {
        if let Value::String(text) = &attribute.value {
            *to = text.as_str().as_bytes();
        }
    }
    Arrived {
        name: span.name.as_bytes(),
        has_ids: span.span_context.is_valid() && span.parent_span_id != SpanId::INVALID,
        has_times: span.end_time >= span.start_time,
        attributes,
        event: span.events.first().map_or(&[], |event| event.name.as_bytes()),
    }
}

/// The bytes of a request of our spans; how many there are, and requests' own among them.
pub fn encode_ours(batch: &SpanBatch<'_>, bytes: &mut Vec<u8>) -> (usize, usize) {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::Event};
    let (mut spans, mut requests) = (Vec::new(), 0);
    for span in batch.spans() {
        requests += usize::from(span.name.as_bytes() == REQUEST.as_bytes());
        let key_value = |field: mcp_vitals::logs::Field<'_>| {
            let value = match field.value {
                mcp_vitals::logs::Value::Str(text) => Some(Any::StringValue(text.to_str().into())),
                mcp_vitals::logs::Value::I64(number) => Some(Any::IntValue(number)),
                _ => None,
            };
            KeyValue {
                key: field.key.to_str().into(),
                value: Some(AnyValue { value }),
                ..KeyValue::default()
            }
        };
        spans.push(Span {
            trace_id: span.trace_id().map_or(vec![], |id| id.to_bytes().to_vec()),
            span_id: span.span_id().map_or(vec![], |id| id.to_bytes().to_vec()),
            parent_span_id: span.parent_span_id.map_or(vec![], |id| id.to_bytes().to_vec()),
            name: span.name.to_str().into(),
            kind: span.kind as i32,
            start_time_unix_nano: span.start_unix_nanos,
            end_time_unix_nano: span.end_unix_nanos,
            attributes: span.attributes().map(key_value).collect(),
            events: span
                .events()
                .map(|event| Event {
                    time_unix_nano: event.unix_nanos,
                    name: event.name.to_str().into(),
                    attributes: event.attributes().map(key_value).collect(),
                    ..Event::default()
                })
                .collect(),
            ..Span::default()
        });
    }
    let count = spans.len();
    let scope = InstrumentationScope { name: "bench".into(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans };
    // A `Vec` takes all that it is given.
    let _ = request.encode(bytes);
    (count, requests)
}

//! What the peers' spans go through: an OpenTelemetry exporter that reads them, or makes the bytes of
//! an OTLP request by `opentelemetry-proto` and `prost` as OpenTelemetry's own exporter does.

use std::hint::black_box;

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

//! `opentelemetry_sdk` by itself: its batch processor, with batches of its own size, and an exporter
//! that only reads or encodes. Spans are started below a parent that is named, which spares them the
//! look at the thread's context, and with their attributes, which spares them a `Vec` that grows.

use std::hint::black_box;
use std::time::Duration;

use opentelemetry::trace::{Span, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use super::otlp::Exporter;
use super::{Opened, Side, Traces};
use crate::traces::work::{EVENT, Gives, NAME, OPERATION, REQUEST, SYSTEM, Work};

/// What a span takes in its queue, with its attributes and its event.
pub const BYTES: u64 = 1_024;

pub const SIDE: Side = Side { name: "opentelemetry_sdk", bytes: BYTES, has_otlp: true, open };

struct Otel {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    roots: bool,
}

/// With queues for so many spans.
pub(super) fn provider(work: Work, queue: u64) -> SdkTracerProvider {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(queue as usize)
        .with_scheduled_delay(Duration::from_millis(5))
        .build();
    let processor = BatchSpanProcessor::builder(Exporter::new(work)).with_batch_config(config);
    let sampler = if work.gives.records() { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
    SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_span_processor(processor.build())
        .build()
}

fn open(work: Work, queue: u64) -> Opened {
    let provider = provider(work, queue);
    let tracer = provider.tracer("bench");
    Ok(Box::new(Otel { provider, tracer, roots: work.gives == Gives::UnsampledRoot }))
}

impl Traces for Otel {
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let request = match self.roots {
            true => Context::new(),
            false => {
                Context::new().with_span(self.tracer.start_with_context(REQUEST, &Context::new()))
            }
        };
        each(&mut || {
            for _ in 0..calls {
                let tracer = black_box(&self.tracer);
                let attributes = vec![
                    KeyValue::new("db.system.name", SYSTEM),
                    KeyValue::new("db.operation.name", OPERATION),
                ];
                let builder = tracer.span_builder(NAME).with_attributes(attributes);
                let mut span = tracer.build_with_context(builder, &request);
                span.add_event(EVENT, Vec::new());
            }
        });
    }

    fn close(self: Box<Self>) {
        // The processor drains its queue first.
        let _ = self.provider.shutdown();
    }
}

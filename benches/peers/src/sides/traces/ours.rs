//! mcp-vitals: a quarter of the queue's bytes is the thread's ring, the rest is in front of the exporter.

use std::hint::black_box;
use std::time::Duration;

use mcp_vitals::logs::{ExportError, LogConfig, Overflow, Value};
use mcp_vitals::traces::{ExportSpans, OtlpBytes, Sampler, SpanBatch, TraceConfig};
use mcp_vitals::{Tracer, Vitals};

use super::{Opened, Side, Traces};
use crate::sides::ours::NAME as OURS;
use crate::traces::check::{Arrived, Batch};
use crate::traces::work::{EVENT, Gives, NAME, OPERATION, QUEUE_BYTES, REQUEST, SYSTEM, Work};

/// A frame has 200 bytes, and 8 more in front of the exporter. All that waits may be there, in three
/// quarters of the bytes.
pub const SIDE: Side = Side { name: OURS, bytes: 300, has_otlp: true, open };

struct Ours {
    vitals: Vitals,
    tracer: Tracer,
    /// Whether the spans begin traces.
    roots: bool,
}

/// As long as a slow exporter may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(work: Work, _: u64) -> Opened {
    let (ring, queue) = ((QUEUE_BYTES / 4) as u32, (QUEUE_BYTES / 4 * 3) as u32);
    let overflow = if work.waits { Overflow::Block(PATIENCE) } else { Overflow::DropNewest };
    let logs = LogConfig::to_memory().ring_bytes(ring).overflow(overflow);
    let sampler = if work.gives.records() { Sampler::Always } else { Sampler::Never };
    // Without what no peer has: traces that can be looked up.
    let traces = TraceConfig::to_memory().without_store().sampler(sampler).queue_bytes(queue);
    let traces = match work.gives {
        Gives::Cpu => traces.export(Bytes(OtlpBytes::new("bench", "1"))),
        _ => traces.export(Whole),
    };
    let vitals = Vitals::builder().system_metrics(false).logs(logs).traces(traces).build();
    let vitals = vitals.map_err(|error| error.to_string())?;
    let tracer = vitals.tracer("bench");
    Ok(Box::new(Ours { vitals, tracer, roots: work.gives == Gives::UnsampledRoot }))
}

impl Traces for Ours {
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let request = (!self.roots).then(|| self.tracer.span(REQUEST));
        let _current = request.as_ref().map(|request| request.enter());
        each(&mut || {
            for _ in 0..calls {
                let mut span = black_box(&self.tracer).span(NAME);
                span.set_attribute("db.system.name", SYSTEM);
                span.set_attribute("db.operation.name", OPERATION);
                span.add_event(EVENT);
            }
        });
    }

    fn close(self: Box<Self>) {
        self.vitals.shutdown(PATIENCE);
    }
}

/// Reads all of every span.
struct Whole;

impl ExportSpans for Whole {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        let mut arrived = Batch::default();
        for span in batch.spans() {
            let mut attributes = [&[][..]; 2];
            for (to, field) in attributes.iter_mut().zip(span.attributes()) {
                if let Value::Str(text) = field.value {
                    *to = text.as_bytes();
                }
            }
            let event = span.events().next();
            arrived.add(Arrived {
                name: span.name.as_bytes(),
                has_ids: span.context.span_id().is_some() && span.parent_span_id.is_some(),
                has_times: span.end_unix_nanos >= span.start_unix_nanos,
                attributes,
                event: event.map_or(&[], |event| event.name.as_bytes()),
            });
        }
        arrived.end();
        Ok(())
    }
}

/// Makes the bytes of an OTLP request.
struct Bytes(OtlpBytes);

impl ExportSpans for Bytes {
    fn export(&mut self, batch: &SpanBatch<'_>) -> Result<(), ExportError> {
        black_box(self.0.encode(batch));
        let (mut spans, mut requests) = (0, 0);
        for span in batch.spans() {
            spans += 1;
            requests += usize::from(span.name.as_bytes() == REQUEST.as_bytes());
        }
        Batch::encoded(spans, requests);
        Ok(())
    }
}

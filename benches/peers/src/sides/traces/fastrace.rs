//! `fastrace` by its local spans, the fastest it has: they are gathered in the thread and handed over
//! when the request's span is no more the local parent, which the clock of a burst doesn't see. Its
//! queue of commands has no bound, so it loses nothing and may take any memory; it holds what the gate
//! of a sustained run lets it hold. It looks for spans after 10 ms at the latest, not after a second, and
//! every tenth of a millisecond where whoever makes them waits for it.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use fastrace::Event;
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use fastrace::prelude::Span;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;

use super::otlp::Exporter;
use super::{Opened, Side, Traces};
use crate::traces::check::{Arrived, Batch};
use crate::traces::work::{EVENT, Gives, NAME, OPERATION, REQUEST, SYSTEM, Work};

/// Two entries of its local list, one of them with a `Vec` of properties.
pub const SIDE: Side = Side { name: "fastrace", bytes: 512, has_otlp: true, open };

struct Fastrace {
    sampled: bool,
    roots: bool,
}

fn open(work: Work, _: u64) -> Opened {
    let interval = Duration::from_micros(if work.waits { 100 } else { 10_000 });
    let config = Config::default().report_interval(interval);
    match work.gives {
        Gives::Cpu => {
            let resource = Cow::Owned(Resource::builder().build());
            let scope = InstrumentationScope::builder("bench").build();
            let reporter = OpenTelemetryReporter::new(Exporter::new(work), resource, scope);
            fastrace::set_reporter(reporter, config);
        }
        _ => fastrace::set_reporter(Whole, config),
    }
    Ok(Box::new(Fastrace {
        sampled: work.gives.records(),
        roots: work.gives == Gives::UnsampledRoot,
    }))
}

impl Traces for Fastrace {
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        if self.roots {
            return each(&mut || {
                for _ in 0..calls {
                    let context = SpanContext::random().sampled(black_box(self.sampled));
                    let span = Span::root(NAME, context)
                        .with_property(|| ("db.system.name", SYSTEM))
                        .with_property(|| ("db.operation.name", OPERATION));
                    span.add_event(Event::new(EVENT));
                }
            });
        }
        let request = Span::root(REQUEST, SpanContext::random().sampled(self.sampled));
        let _current = request.set_local_parent();
        each(&mut || {
            for _ in 0..calls {
                let properties = || [("db.system.name", SYSTEM), ("db.operation.name", OPERATION)];
                let _span =
                    LocalSpan::enter_with_local_parent(black_box(NAME)).with_properties(properties);
                LocalSpan::add_event(Event::new(EVENT));
            }
        });
    }

    fn close(self: Box<Self>) {
        fastrace::flush();
    }
}

/// Reads all of every span.
struct Whole;

impl Reporter for Whole {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        let mut arrived = Batch::default();
        for span in &spans {
            let mut attributes = [&[][..]; 2];
            for (to, (_, value)) in attributes.iter_mut().zip(&span.properties) {
                *to = value.as_bytes();
            }
            arrived.add(Arrived {
                name: span.name.as_bytes(),
                has_ids: span.span_id.0 != 0 && span.parent_id.0 != 0,
                has_times: span.begin_time_unix_ns > 0,
                attributes,
                event: span.events.first().map_or(&[], |event| event.name.as_bytes()),
            });
        }
        arrived.end();
    }
}

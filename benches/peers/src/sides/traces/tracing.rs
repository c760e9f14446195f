//! `tracing` with `tracing-opentelemetry` as the only layer of the global subscriber, before the same
//! batch processor as OpenTelemetry's own side. Its own additions to each span (file, line, thread,
//! busy and idle time) are off.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::subscriber::set_global_default;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

use super::otel::{BYTES, provider};
use super::{Opened, Side, Traces};
use crate::traces::work::{Gives, OPERATION, SYSTEM, Work};

pub const SIDE: Side = Side { name: "tracing-opentelemetry", bytes: BYTES, has_otlp: true, open };

struct Tracing {
    provider: SdkTracerProvider,
    roots: bool,
}

fn open(work: Work, queue: u64) -> Opened {
    let provider = provider(work, queue);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    set_global_default(subscriber).map_err(|error| error.to_string())?;
    Ok(Box::new(Tracing { provider, roots: work.gives == Gives::UnsampledRoot }))
}

impl Traces for Tracing {
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let request = (!self.roots).then(|| info_span!("tools/call swarm_init"));
        let _current = request.as_ref().map(|request| request.enter());
        each(&mut || {
            for _ in 0..calls {
                let (system, operation) = black_box((SYSTEM, OPERATION));
                let span = info_span!(
                    "database_query",
                    db.system.name = system,
                    db.operation.name = operation
                );
                let _current = span.enter();
                info!("cache miss");
            }
        });
    }

    fn close(self: Box<Self>) {
        let _ = self.provider.shutdown();
    }
}

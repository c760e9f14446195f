//! The traces of an engine: its tracers, and where its spans go.

use std::sync::Arc;
use std::time::Duration;

use super::Vitals;
use crate::batch::Known;
use crate::clock::Clock;
use crate::error::Error;
use crate::export::sink::{SinkEvents, SinkThread};
use crate::flusher::spans::{Kept, Spans};
use crate::sync::{AtomicU64, Ordering, lock};
use crate::traces::config::Wanted;
use crate::traces::export::SpanExporter;
use crate::traces::{Core, SpanBatch, SpanRecord, TraceConfig, Tracer, Verdict};

/// What an engine has where it traces.
pub(crate) struct Traces {
    core: Arc<Core>,
    kept: Arc<Kept>,
}

impl Traces {
    /// With what the flusher does.
    pub(crate) fn start(config: &TraceConfig, engine: u64) -> Result<(Traces, Spans), Error> {
        let core = Arc::new(Core {
            engine,
            limits: config.limits,
            clock: Clock::get(),
            threshold: AtomicU64::new(config.sampler.threshold()),
            open_spans: config.open_spans,
        });
        let kept = Arc::<Kept>::default();
        let mut sinks = Vec::new();
        for Wanted { name, export } in &config.exporters {
            let rule = "another engine has the exporter already";
            let export = lock(export).take().ok_or(Error::Logs { rule })?;
            let sink = Box::new(SpanExporter::new(export, engine));
            let events = Arc::new(SinkEvents::default());
            let thread = SinkThread::start(name, sink, config.queue_bytes as usize, events)?;
            sinks.push(Arc::new(thread));
        }
        let spans = Spans::new(sinks, kept.clone());
        Ok((Traces { core, kept }, spans))
    }

    /// What was decided of a trace: that it is kept, as long as nobody decides otherwise.
    pub(crate) fn verdict(&self, _trace: &[u8; 16]) -> Verdict {
        Verdict::Kept
    }

    /// Keeps a trace, as far as that can still be decided.
    pub(crate) fn keeper(&self) -> impl Fn(&[u8; 16]) + Send + 'static {
        |_| ()
    }

    /// Begins no trace any more.
    pub(crate) fn close(&self) {
        self.core.threshold.store(u64::MAX, Ordering::Relaxed);
    }
}

impl Vitals {
    /// The tracer of this name: OpenTelemetry's instrumentation scope. Locks and allocates: make it
    /// once and keep it.
    ///
    /// Where the builder was given no [`traces`](crate::VitalsBuilder::traces) its spans are of no
    /// trace and cost a comparison.
    pub fn tracer(&self, name: &str) -> Tracer {
        match self.traced() {
            Some(traces) => Tracer::new(traces.core.clone(), name),
            None => Tracer::disabled(),
        }
    }

    /// Shows the spans that were kept in memory, in the order in which they ended, after a flush: for
    /// tests.
    pub fn with_captured_spans<T>(&self, see: impl FnOnce(&[SpanRecord<'_>]) -> T) -> T {
        let Some(traces) = self.traced() else { return see(&[]) };
        self.flush(Duration::from_secs(10));
        let bytes = traces.kept.bytes();
        let mut known = Known::default();
        known.learn_all(&bytes);
        let spans: Vec<_> = SpanBatch::new(&bytes, &known).spans().collect();
        see(&spans)
    }

    fn traced(&self) -> Option<&Traces> {
        self.logs()?.traces()
    }
}

//! The traces of an engine: its tracers, and where its spans go.

mod shown;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Vitals;
use super::propagation::Propagation;
use crate::clock::Clock;
use crate::error::Error;
use crate::export::sink::{Sink, SinkEvents, SinkThread};
use crate::flusher::Flusher;
use crate::flusher::spans::control::Control;
use crate::flusher::spans::{Spans, Told};
use crate::logs::{LogConfig, Redactor};
use crate::shard::space::Space;
use crate::store::open::Open;
use crate::store::recent::Store;
use crate::sync::lock;
use crate::traces::config::{Origin, To, Wanted};
use crate::traces::export::SpanExporter;
use crate::traces::resource::Resource;
use crate::traces::sample::Sampling;
use crate::traces::{
    Core, OpenSpan, RecentTraces, Sampler, Service, SpanForm, SpanRecord, StoredTrace, Tail,
    TraceConfig, TraceId, TraceQuery, Tracer,
};
use shown::Shown;

/// What an engine has where it traces.
pub(crate) struct Traces {
    core: Arc<Core>,
    store: Option<Arc<Store>>,
    open: Option<Arc<Open>>,
    service: (String, String),
    control: Arc<Control>,
    told: Told,
    shown: Mutex<Shown>,
    pub(super) propagation: Propagation,
}

impl Traces {
    /// With what the flusher does.
    ///
    /// * `service`: its name and version.
    pub(crate) fn start(
        vitals: &Vitals,
        config: &TraceConfig,
        service: &(String, String),
        logs: &LogConfig,
        space: &Arc<Space>,
        engine: u64,
    ) -> Result<(Traces, Spans), Error> {
        let core = Arc::new(Core {
            engine: if config.propagation_only { 0 } else { engine },
            propagates: true,
            limits: config.limits,
            clock: Clock::get(),
            sampling: Sampling::new(&config.sampler),
            open_spans: config.open_spans,
        });
        let store = config.store.map(|bounds| Arc::new(Store::new(bounds, space.clone())));
        let mut sinks = Vec::new();
        let resource = Resource::of(service, &config.resource);
        let mut shown = Shown::new(vitals)?;
        for Wanted { name, to } in &config.exporters {
            let events = Arc::new(SinkEvents::default());
            let sink: Box<dyn Sink> = match to {
                To::Export(export) => {
                    let rule = "another engine has the exporter already";
                    let export = lock(export).take().ok_or(Error::Logs { rule })?;
                    Box::new(SpanExporter::new(export, engine))
                }
                To::Way(way) => {
                    let (resource, events) = (&resource, events.clone());
                    way.open(Origin { resource, service: &service.0, engine, events })?
                }
            };
            shown.add(vitals, name, events.clone())?;
            let thread = SinkThread::start(name, sink, config.queue_bytes as usize, events)?;
            sinks.push(Arc::new(thread));
        }
        let told = Told::default();
        let control = Control::new(config.keep.clone());
        let mut spans = Spans::new(
            sinks,
            store.clone(),
            Redactor::new(config.redaction_or(&logs.redaction).clone()),
            control.clone(),
            space.clone(),
            told.clone(),
        );
        if let Some(patience) = logs.patience() {
            spans.wait_for_room(patience);
        }
        let open = config.open_spans.then(|| Arc::new(Open::new(space.clone())));
        if let Some(open) = &open {
            spans.list_open(open.clone());
            shown.list_open(vitals, open.clone())?;
        }
        let propagation = Propagation::register(vitals)?;
        let service = service.clone();
        let shown = Mutex::new(shown);
        Ok((Traces { core, store, open, service, control, told, shown, propagation }, spans))
    }

    /// Brings the metrics up to date.
    pub(super) fn refresh(&self, flusher: &Flusher) {
        lock(&self.shown).refresh(flusher, &self.told.read(), self.control.refused());
    }

    /// Whether a trace is kept. Where rules choose, those that are kept are those that the store
    /// has: of one that is not there nobody can say whether it ever will be.
    pub(crate) fn is_kept(&self, trace: &[u8; 16]) -> bool {
        let stored = || {
            let id = u128::from_be_bytes(*trace);
            self.store.as_ref().is_some_and(|store| store.has(id))
        };
        !self.control.has_rules() || stored()
    }

    /// Keeps a trace, as far as that can still be decided.
    pub(crate) fn keeper(&self) -> impl Fn(&[u8; 16]) + Send + 'static {
        let control = self.control.clone();
        move |trace| {
            control.keep(u128::from_be_bytes(*trace));
        }
    }

    /// Begins no trace any more.
    pub(crate) fn close(&self) {
        self.core.sampling.close();
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

    /// Another sampler, for the traces that begin from now on; those that have begun go on as they were
    /// decided. Any thread, any time; without effect where nothing is traced.
    ///
    /// ```
    /// use mcp_vitals::traces::{Sampler, TraceConfig};
    /// # use mcp_vitals::Vitals;
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// vitals.set_sampler(Sampler::PerSecond(10));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn set_sampler(&self, sampler: Sampler) {
        if let Some(traces) = self.traced() {
            traces.core.sampling.set(&sampler);
        }
    }

    /// Shows the spans of all traces that can be [looked up](Self::traces), in the order in which they
    /// ended, after a flush: for tests.
    pub fn with_captured_spans<T>(&self, see: impl FnOnce(&[SpanRecord<'_>]) -> T) -> T {
        self.flush(Duration::from_secs(10));
        let traces = self.traces().find(&TraceQuery::new().limit(usize::MAX));
        let mut spans: Vec<_> = traces.iter().flat_map(StoredTrace::spans).collect();
        spans.sort_by_key(SpanRecord::end_ticks);
        see(&spans)
    }

    /// The recent traces, to be looked up: what [`TraceConfig::store`] keeps in memory. Spans come there
    /// within some milliseconds of their end, or with a [`flush`](Self::flush).
    pub fn traces(&self) -> RecentTraces {
        RecentTraces::new(self.traced().and_then(|traces| traces.store.clone()))
    }

    /// The spans that have begun and not ended, the oldest first; none without
    /// [`TraceConfig::open_spans`]. They come here within some milliseconds. 16,384 are listed at most;
    /// one whose end was lost because a ring was full stays.
    pub fn open_spans(&self) -> Vec<OpenSpan> {
        let open = self.traced().and_then(|traces| traces.open.as_ref());
        open.map_or_else(Vec::new, |open| open.list())
    }

    /// A recent trace as the JSON that Jaeger's UI imports; nothing where it is not in memory.
    pub fn export_jaeger(&self, trace_id: TraceId) -> Option<String> {
        self.export(trace_id, SpanForm::Jaeger)
    }

    /// The same as Zipkin's v2 JSON.
    pub fn export_zipkin(&self, trace_id: TraceId) -> Option<String> {
        self.export(trace_id, SpanForm::Zipkin)
    }

    fn export(&self, trace_id: TraceId, form: SpanForm) -> Option<String> {
        let (name, version) = &self.traced()?.service;
        let trace = self.traces().get(trace_id)?;
        let mut json = Vec::new();
        form.write(&Service { name, version, ..Service::default() }, trace.spans(), &mut json);
        String::from_utf8(json).ok()
    }

    /// Changes which of the recorded traces are kept, within milliseconds; `None` keeps all. Traces
    /// that wait to be decided on are looked at by the new rules. Locks briefly.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where a bound of the rules is.
    pub fn set_tail_rules(&self, rules: impl Into<Option<Tail>>) -> Result<(), Error> {
        let rules = rules.into();
        rules.as_ref().map_or(Ok(()), Tail::check)?;
        if let Some(traces) = self.traced() {
            traces.control.set_rules(rules);
        }
        Ok(())
    }

    /// Keeps a trace whatever the rules say: what it has that waits, and what comes of it. False where
    /// a thousand others have been named in the last few milliseconds. Without rules all are kept, and
    /// it costs a load; with them it locks briefly.
    pub fn keep_trace(&self, trace_id: TraceId) -> bool {
        let id = u128::from_be_bytes(trace_id.to_bytes());
        self.traced().is_none_or(|traces| traces.control.keep(id))
    }

    /// The recent traces and what the service is called, for the console; nothing where no spans are
    /// recorded.
    #[cfg(feature = "console")]
    pub(crate) fn shown_traces(&self) -> Option<(RecentTraces, &str)> {
        let traces = self.traced().filter(|traces| traces.core.engine != 0)?;
        Some((self.traces(), traces.service.0.as_str()))
    }

    /// What makes the engine's tracers, for whoever must not keep the engine alive; nothing where
    /// nothing is recorded.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code))]
    pub(crate) fn weak_tracer(&self) -> Option<impl Fn(&str) -> Tracer + Send + Sync + use<>> {
        let core = self.traced()?.core.clone();
        // Where contexts are passed on and nothing is recorded, another makes the spans.
        if core.engine == 0 {
            return None;
        }
        Some(move |name: &str| Tracer::new(core.clone(), name))
    }

    pub(super) fn traced(&self) -> Option<&Traces> {
        self.logs()?.traces()
    }
}

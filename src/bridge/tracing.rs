//! The layer for `tracing`: its events as lines with the fields of their spans, its spans as ours.

use std::fmt;
use std::sync::Arc;

use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::dispatcher::with_default;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::options::TracingOptions;
use super::ours::{self, Spans};
use super::records;
use super::sites::{self, Sites};
use super::spans::{Fields, Node};
use super::words::{NO_FIELD, Put, Words};
use crate::Vitals;
use crate::logs::Level;
use crate::logs::Line;
use crate::logs::inlet::{self, Inlet, Message, Origin, Source, UNKNOWN};
use crate::traces::{EnteredSpan, Parent};

/// Events of `tracing` as lines of an engine, and spans of `tracing` as its spans; from
/// [`Vitals::tracing_layer`]. Its filter is its own: other layers see what they saw.
pub type TracingLayer<S> = Filtered<TracingBridge, TracingFilter, S>;

/// What a layer does with what its filter takes; part of a [`TracingLayer`].
pub struct TracingBridge {
    takes: Takes,
}

/// The engine's [`LogFilter`](crate::logs::LogFilter), and that of its spans, as one of `tracing`;
/// part of a [`TracingLayer`].
pub struct TracingFilter {
    takes: Takes,
}

/// The two halves of a layer, of which each takes what it wants.
#[derive(Clone)]
pub(super) struct Takes {
    pub(super) lines: Option<Inlet>,
    pub(super) spans: Option<Arc<Spans>>,
}

impl fmt::Debug for TracingBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingBridge").finish_non_exhaustive()
    }
}

impl fmt::Debug for TracingFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingFilter").field("max_level", &self.most()).finish()
    }
}

impl Vitals {
    /// A layer for the host's `tracing` subscriber, with the [`TracingOptions`] as they are.
    ///
    /// Events become lines: their target is the logger, their fields are the line's. Fields of the
    /// spans around it go with each line, the outermost first, also those recorded late, and `span`
    /// with the spans' names, `outer:inner`. So does the thread's
    /// [`Context`](crate::logs::Context). The engine's [`LogFilter`](crate::logs::LogFilter) decides
    /// by target and module once for each call site, and again when it changes: an event or a span
    /// that is not taken costs what `tracing` costs. A span that is not taken gives no fields.
    ///
    /// An event costs no heap once its call site is known: the first 8,192 are, and lines of others
    /// say in fields where they come from. A span keeps at most 2 KiB of fields, a line has at most
    /// 4 KiB of those of 32 spans; what is cut is counted in
    /// `mcp_vitals_log_span_fields_cut_total`.
    ///
    /// Where the engine traces, spans of `tracing` at `info` and above become its spans, with the
    /// target as their scope and the fields as attributes. They begin where they are created and end
    /// where they are closed. Their parent is the one that they name, or else the thread's current
    /// span, which may be a [`Span`](crate::Span) of the engine's own; while one is entered it is the
    /// thread's current span in turn, whatever the order in which guards are dropped. Lines carry the
    /// ids of the innermost. `follows_from` is a link. An event at `error` is also an event of its
    /// span, and sets its status. Fields that `tracing-opentelemetry` has a meaning for (`otel.name`,
    /// `otel.kind`, `otel.status_code`, …) have it here. A span asks the heap for one box; in a trace that
    /// is not sampled it has ids alone, and its values are not asked for.
    ///
    /// The layer does not keep the engine alive. Where the builder was given no
    /// [`logs`](crate::VitalsBuilder::logs) it writes no lines, without
    /// [`traces`](crate::VitalsBuilder::traces) it makes no spans.
    ///
    /// ```
    /// use mcp_vitals::{Vitals, logs::LogConfig};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
    /// let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    /// tracing::subscriber::with_default(subscriber, || {
    ///     let _span = tracing::info_span!("index", tenant = "blue").entered();
    ///     tracing::info!(documents = 12, "indexed");
    /// });
    /// let line = &vitals.captured_logs()[0];
    /// assert!(line.contains("\"documents\":12") && line.contains("\"tenant\":\"blue\""));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn tracing_layer<S>(&self) -> TracingLayer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.tracing_layer_with(TracingOptions::new())
    }

    /// [`tracing_layer`](Self::tracing_layer) with other options: lines alone, spans alone, other
    /// spans, more of what they say.
    ///
    /// Of several engines' layers in one subscriber each writes its lines, and the first that takes a
    /// span has it.
    ///
    /// ```
    /// use mcp_vitals::logs::LogFilter;
    /// use mcp_vitals::traces::TraceConfig;
    /// use mcp_vitals::{Level, TracingOptions, Vitals};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// let options = TracingOptions::new().spans(LogFilter::level(Level::Debug));
    /// let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer_with(options));
    /// tracing::subscriber::with_default(subscriber, || {
    ///     let _request = tracing::info_span!("request", otel.kind = "server").entered();
    ///     tracing::debug_span!("query", rows = 3).in_scope(|| ());
    /// });
    /// vitals.with_captured_spans(|spans| {
    ///     let (query, request) = (&spans[0], &spans[1]);
    ///     assert_eq!(query.name.to_str(), "query");
    ///     assert_eq!(query.parent_span_id, request.span_id());
    /// });
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn tracing_layer_with<S>(&self, options: TracingOptions) -> TracingLayer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let lines = self.inlet().filter(|_| options.lines);
        let spans = self.weak_tracer().filter(|_| options.spans.most() > 0);
        let spans = spans.map(|tracer| Arc::new(Spans::new(tracer, &options)));
        let takes = Takes { lines, spans };
        TracingBridge { takes: takes.clone() }.with_filter(TracingFilter { takes })
    }
}

pub(super) fn level(level: &tracing_core::Level) -> Level {
    match *level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

impl Takes {
    /// Whether lines want it: an event, or a span for its fields.
    #[inline]
    fn line(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.module_path().unwrap_or_default();
        self.line_of(level(metadata.level()), module, metadata.target())
    }

    /// The same of an event that says itself where it is from.
    #[inline]
    pub(super) fn line_of(&self, level: Level, module: &str, target: &str) -> bool {
        let most = |inlet: &Inlet| inlet.most_verbose(module, target);
        level as u8 <= self.lines.as_ref().map_or(0, most)
    }

    /// What makes a span of it, or an event of one.
    #[inline]
    fn span(&self, metadata: &Metadata<'_>) -> Option<&Spans> {
        self.spans.as_deref().filter(|spans| spans.takes(metadata))
    }

    /// Where its line goes. What a filter let through was wanted by one of the two.
    #[inline]
    fn inlet(&self, metadata: &Metadata<'_>, span: Option<&Spans>) -> Option<&Inlet> {
        self.lines.as_ref().filter(|_| span.is_none() || self.line(metadata))
    }
}

impl TracingFilter {
    fn most(&self) -> LevelFilter {
        let lines = self.takes.lines.as_ref().map_or(0, Inlet::most);
        let spans = self.takes.spans.as_ref().map_or(0, |spans| spans.most());
        match Level::of(lines.max(spans)) {
            None => LevelFilter::OFF,
            Some(Level::Error) => LevelFilter::ERROR,
            Some(Level::Warn) => LevelFilter::WARN,
            Some(Level::Info) => LevelFilter::INFO,
            Some(Level::Debug) => LevelFilter::DEBUG,
            Some(Level::Trace) => LevelFilter::TRACE,
        }
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        self.takes.line(metadata) || self.takes.span(metadata).is_some()
    }
}

impl<S> Filter<S> for TracingFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.takes(metadata) {
            // A record of `log` that comes this way: its own target decides.
            _ if is_log(metadata) => Interest::sometimes(),
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most())
    }
}

/// Whether its events are records of the `log` crate, by way of `tracing-log`.
fn is_log(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "log" && metadata.fields().field("log.target").is_some()
}

/// What is the same for all events of a call site.
struct Site {
    metadata: &'static Metadata<'static>,
    /// `None` past the last one that has a number.
    origin: Option<Origin>,
    message_at: usize,
    is_log: bool,
}

impl Site {
    fn new(metadata: &'static Metadata<'static>) -> Site {
        let is_log = is_log(metadata);
        let message_at = message_at(metadata);
        let keys = metadata.fields().iter().filter(|field| field.index() != message_at);
        let names: Vec<&str> = keys.map(|field| super::words::name(&field)).collect();
        let define = || Origin::define(&source(metadata), names.into_iter());
        Site { metadata, origin: if is_log { None } else { define() }, message_at, is_log }
    }
}

fn message_at(metadata: &Metadata<'_>) -> usize {
    metadata.fields().field("message").map_or(NO_FIELD, |field| field.index())
}

fn source<'a>(metadata: &'a Metadata<'_>) -> Source<'a> {
    Source {
        target: metadata.target(),
        module: metadata.module_path().unwrap_or_default(),
        file: metadata.file().unwrap_or_default(),
        line: metadata.line().unwrap_or(0),
    }
}

/// What is known of a call site, by where its metadata stands; nothing past the last that is kept.
#[inline]
fn site(metadata: &'static Metadata<'static>) -> Option<&'static Site> {
    static SITES: Sites<Site, 8_192> = Sites::new();
    let hash = sites::hash(std::ptr::from_ref(metadata).addr());
    SITES.get(hash, |site| std::ptr::eq(site.metadata, metadata), || Site::new(metadata))
}

impl<S> Layer<S> for TracingBridge
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// Call sites are asked for again when the filter has changed. From within the subscriber: where
    /// there is only one, `tracing` asks the calling thread's, and a thread without any takes nothing.
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        let Some(inlet) = &self.takes.lines else { return };
        let subscriber = subscriber.downgrade();
        inlet.on_change(Arc::new(move |_| match subscriber.upgrade() {
            Some(subscriber) => {
                with_default(&subscriber, rebuild_interest_cache);
                true
            }
            None => false,
        }));
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() {
            site(metadata);
        }
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let spans = self.takes.span(metadata);
        let inlet = self.takes.inlet(metadata, spans);
        let mut fields = Fields::default();
        if let Some(inlet) = inlet {
            attributes.record(&mut fields);
            fields.count(&inlet.beside);
        }
        let Some(span) = context.span(id) else { return };
        if let Some(spans) = spans {
            spans.begin(attributes, &span);
        }
        if inlet.is_none() {
            return;
        }
        let parent = span.parent().and_then(|parent| node(&parent));
        let node = Node::new(parent, metadata.name(), fields);
        let mut extensions = span.extensions_mut();
        // Another engine's layer may have been here: it says the same.
        if extensions.get_mut::<Arc<Node>>().is_none() {
            extensions.insert(node);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(spans) = &self.takes.spans {
            spans.record(values, &span);
        }
        let (Some(inlet), Some(_)) = (&self.takes.lines, node(&span)) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(node) = node(&span) {
            node.record(&fields, &inlet.beside);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let Some(spans) = &self.takes.spans else { return };
        if let (Some(span), Some(cause)) = (context.span(id), context.span(follows)) {
            spans.link(&span, &cause);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(spans) = &self.takes.spans else { return };
        if let Some(span) = context.span(id) {
            spans.enter(&span);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(spans) = &self.takes.spans {
            spans.leave(id.into_u64());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(spans) = &self.takes.spans else { return };
        if let Some(span) = context.span(&id) {
            spans.end(&span);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let site = site(metadata);
        if site.is_some_and(|site| site.is_log) {
            return records::take(&self.takes, event, &context);
        }
        let spans = self.takes.span(metadata);
        let message_at = site.map_or_else(|| message_at(metadata), |site| site.message_at);
        let mut words = Words::new(message_at, spans.is_some());
        event.record(&mut words);
        // After the words: their code may record something in a span.
        let span = context.event_span(event);
        if let (Some(spans), Some(span)) = (spans, &span) {
            spans.add_event(event, &words, span);
        }
        let Some(inlet) = self.takes.inlet(metadata, spans) else { return };
        let message = words.message.as_ref().map_or(Message::None, Message::Rendered);
        let node = span.as_ref().and_then(node);
        let node = node.as_deref();
        let more = |out: &mut Vec<u8>| {
            if let Some(node) = node {
                node.append(out, &inlet.beside);
            }
        };
        let known = site.and_then(|site| site.origin);
        let origin = known.unwrap_or_else(sites::unknown);
        let more = node.is_some().then_some(&more as _);
        let fields = Of { event, words: &words, known: known.is_some() };
        let _current = elsewhere(event, span.as_ref());
        inlet.write(level(metadata.level()), origin, more, message, &fields);
    }
}

/// The span of an event that says itself which: its line has that one's ids.
pub(super) fn elsewhere<'a, S: LookupSpan<'a>>(
    event: &Event<'_>,
    span: Option<&SpanRef<'a, S>>,
) -> Option<EnteredSpan<'static>> {
    if event.is_contextual() {
        return None;
    }
    if event.is_root() {
        return Some(Parent::NOBODY.enter());
    }
    Some(ours::parent_of(span?)?.enter())
}

/// The fields of an event.
struct Of<'a> {
    event: &'a Event<'a>,
    words: &'a Words,
    known: bool,
}

impl inlet::Fields for Of<'_> {
    fn room(&self) -> usize {
        if self.known { self.words.room } else { UNKNOWN }
    }

    #[inline]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        self.event.record(&mut Put::new(line, self.words, self.known));
        if !self.known {
            super::put_source(&source(self.event.metadata()), line);
        }
    }
}

pub(super) fn node<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Arc<Node>> {
    span.extensions().get::<Arc<Node>>().cloned()
}

//! Events of `tracing` as lines, with the fields of their spans.

use std::fmt;
use std::sync::Arc;

use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::dispatcher::with_default;
use tracing_core::field::Visit;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, Field, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::sites::{self, Sites};
use super::spans::{Fields, Node};
use super::words::{NO_FIELD, Put, Words};
use crate::Vitals;
use crate::logs::Level;
use crate::logs::Line;
use crate::logs::inlet::{self, Inlet, Message, Origin, Source, UNKNOWN};
use crate::logs::private::{Rendered, debug, display};

/// Events of `tracing` as lines of an engine, those that its filter takes; from
/// [`Vitals::tracing_layer`]. Its filter is its own: other layers see what they saw.
pub type TracingLayer<S> = Filtered<TracingBridge, TracingFilter, S>;

/// Events of `tracing` as lines, without a filter; part of a [`TracingLayer`].
pub struct TracingBridge {
    inlet: Option<Inlet>,
}

/// The engine's [`LogFilter`](crate::logs::LogFilter) as one of `tracing`; part of a
/// [`TracingLayer`].
pub struct TracingFilter {
    inlet: Option<Inlet>,
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
    /// A layer for the host's `tracing` subscriber.
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
    /// The layer does not keep the engine alive. Where the builder was given no
    /// [`logs`](crate::VitalsBuilder::logs) it takes nothing.
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
        let inlet = self.inlet();
        TracingBridge { inlet: inlet.clone() }.with_filter(TracingFilter { inlet })
    }
}

fn level(level: &tracing_core::Level) -> Level {
    match *level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

impl TracingFilter {
    fn most(&self) -> LevelFilter {
        match self.inlet.as_ref().and_then(|inlet| Level::of(inlet.most())) {
            None => LevelFilter::OFF,
            Some(Level::Error) => LevelFilter::ERROR,
            Some(Level::Warn) => LevelFilter::WARN,
            Some(Level::Info) => LevelFilter::INFO,
            Some(Level::Debug) => LevelFilter::DEBUG,
            Some(Level::Trace) => LevelFilter::TRACE,
        }
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.module_path().unwrap_or_default();
        let most = |inlet: &Inlet| inlet.most_verbose(module, metadata.target());
        level(metadata.level()) as u8 <= self.inlet.as_ref().map_or(0, most)
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
    let at = std::ptr::from_ref(metadata).addr() as u64;
    // The upper half of a product with 2^64 / φ depends on all bits of the address.
    let hash = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    SITES.get(hash, |site| std::ptr::eq(site.metadata, metadata), || Site::new(metadata))
}

impl<S> Layer<S> for TracingBridge
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// Call sites are asked for again when the filter has changed. From within the subscriber: where
    /// there is only one, `tracing` asks the calling thread's, and a thread without any takes nothing.
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        let Some(inlet) = &self.inlet else { return };
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
        let Some(inlet) = &self.inlet else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.count(&inlet.beside);
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| node(&parent));
        let node = Node::new(parent, attributes.metadata().name(), fields);
        let mut extensions = span.extensions_mut();
        // Another engine's layer may have been here: it says the same.
        if extensions.get_mut::<Arc<Node>>().is_none() {
            extensions.insert(node);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(inlet) = &self.inlet else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        let node = context.span(id).and_then(|span| node(&span));
        if let Some(node) = node {
            node.record(&fields, &inlet.beside);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(inlet) = &self.inlet else { return };
        let metadata = event.metadata();
        let site = site(metadata);
        if site.is_some_and(|site| site.is_log) {
            return log_event(inlet, event, span_of(event, &context).as_deref());
        }
        let message_at = site.map_or_else(|| message_at(metadata), |site| site.message_at);
        let mut words = Words::new(message_at);
        event.record(&mut words);
        let message = words.message.as_ref().map_or(Message::None, Message::Rendered);
        // After the words: their code may record something in a span.
        let span = span_of(event, &context);
        let span = span.as_deref();
        let more = |out: &mut Vec<u8>| {
            if let Some(node) = span {
                node.append(out, &inlet.beside);
            }
        };
        let known = site.and_then(|site| site.origin);
        let origin = known.unwrap_or_else(sites::unknown);
        let more = span.is_some().then_some(&more as _);
        let fields = Of { event, words: &words, known: known.is_some() };
        inlet.write(level(metadata.level()), origin, more, message, &fields);
    }
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

/// No fields, but where the line comes from.
struct Unknown<'a>(Option<&'a Source<'a>>);

impl inlet::Fields for Unknown<'_> {
    fn room(&self) -> usize {
        UNKNOWN
    }

    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        if let Some(source) = self.0 {
            super::put_source(source, line);
        }
    }
}

fn node<'a, S: LookupSpan<'a>>(
    span: &tracing_subscriber::registry::SpanRef<'a, S>,
) -> Option<Arc<Node>> {
    span.extensions().get::<Arc<Node>>().cloned()
}

fn span_of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Option<Arc<Node>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    context.event_span(event).and_then(|span| node(&span))
}

/// What `tracing-log` says of a record.
#[derive(Default)]
struct LogEvent {
    message: Option<Rendered>,
    target: Option<Rendered>,
    module: Option<Rendered>,
    file: Option<Rendered>,
    line: u32,
}

impl Visit for LogEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        let place = match field.name() {
            "message" => &mut self.message,
            "log.target" => &mut self.target,
            "log.module_path" => &mut self.module,
            "log.file" => &mut self.file,
            _ => return,
        };
        *place = Some(display(&value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            self.line = value.try_into().unwrap_or(0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = Some(debug(&value));
        }
    }
}

/// A record of the `log` crate as the line that it would have been by itself.
#[cold]
fn log_event(inlet: &Inlet, event: &Event<'_>, span: Option<&Node>) {
    let mut said = LogEvent::default();
    event.record(&mut said);
    with(&said.target, &mut |target| {
        with(&said.module, &mut |module| {
            with(&said.file, &mut |file| {
                let source = Source { target, module, file, line: said.line };
                let known = sites::by_text(&source);
                let message = said.message.as_ref().map_or(Message::None, Message::Rendered);
                let more = |out: &mut Vec<u8>| {
                    if let Some(node) = span {
                        node.append(out, &inlet.beside);
                    }
                };
                let level = level(event.metadata().level());
                let more = span.is_some().then_some(&more as _);
                let origin = known.unwrap_or_else(sites::unknown);
                let unknown = if known.is_none() { Some(&source) } else { None };
                inlet.write(level, origin, more, message, &Unknown(unknown));
            });
        });
    });
}

fn with(text: &Option<Rendered>, read: &mut dyn FnMut(&str)) {
    match text {
        None => read(""),
        Some(text) => {
            text.with(&mut |text, _| read(std::str::from_utf8(text).unwrap_or_default()));
        }
    }
}

//! Spans of `tracing` as the engine's own.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing_core::field::Visit;
use tracing_core::span::Attributes;
use tracing_core::{Event, Field, Metadata};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::options::TracingOptions;
use super::sites::Sites;
use super::tracing::level;
use super::words::{Put, Take, Words, name};
use crate::Level;
use crate::logs::private::{Rendered, debug, display};
use crate::logs::{LogFilter, Loggable};
use crate::traces::{Of, Parent, Span, SpanKind, SpanStatus, Tracer, entered};

/// Call sites of spans whose tracers are kept.
const TRACERS: usize = 1_024;
/// The scope of those past them.
const OTHER: &str = "_other";
/// An event that says what went wrong, and the attribute for it, as OpenTelemetry has them.
const EXCEPTION: &str = "exception";
const EXCEPTION_MESSAGE: &str = "exception.message";

/// What a layer needs to make spans.
pub(super) struct Spans {
    tracer: Box<dyn Fn(&str) -> Tracer + Send + Sync>,
    filter: LogFilter,
    /// The most verbose level of events that spans have; 0 for none.
    events: u8,
    code_location: bool,
    level: bool,
    /// By where the metadata of a call site stands: a tracer is its target's.
    tracers: Sites<(usize, Tracer), TRACERS>,
    other: Tracer,
}

/// What a span of `tracing` has: the engine's span.
pub(super) struct Ours {
    /// Whose: of several layers in a subscriber, the first that takes a span has it.
    owner: usize,
    span: Span,
}

impl Spans {
    pub(super) fn new(
        tracer: impl Fn(&str) -> Tracer + Send + Sync + 'static,
        options: &TracingOptions,
    ) -> Spans {
        Spans {
            other: tracer(OTHER),
            tracer: Box::new(tracer),
            filter: options.spans.clone(),
            events: options.events.map_or(0, |level| level as u8),
            code_location: options.code_location,
            level: options.level,
            tracers: Sites::new(),
        }
    }

    /// Tells its spans from those of others.
    fn owner(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The most verbose level that is taken from anywhere.
    pub(super) fn most(&self) -> u8 {
        self.filter.most()
    }

    /// Whether a span, or an event into a span, is taken.
    #[inline]
    pub(super) fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let module = metadata.module_path().unwrap_or_default();
        self.takes_of(metadata.is_span(), level(metadata.level()), module, metadata.target())
    }

    /// The same of an event that says itself where it is from.
    #[inline]
    pub(super) fn takes_of(&self, span: bool, level: Level, module: &str, target: &str) -> bool {
        let level = level as u8;
        (span || level <= self.events) && level <= self.filter.most_verbose([module, target])
    }

    fn tracer(&self, metadata: &Metadata<'_>) -> Option<&Tracer> {
        let at = std::ptr::from_ref(metadata).addr();
        let make = || (at, (self.tracer)(metadata.target()));
        self.tracers.get(super::sites::hash(at), |(site, _)| *site == at, make).map(|(_, it)| it)
    }

    /// Begins what `attributes` say, and keeps it in `at`.
    pub(super) fn begin<'a, S: LookupSpan<'a>>(
        &self,
        attributes: &Attributes<'_>,
        at: &SpanRef<'a, S>,
    ) {
        if at.extensions().get::<Ours>().is_some() {
            return;
        }
        let span = self.span(attributes, at);
        at.extensions_mut().insert(Ours { owner: self.owner(), span });
    }

    fn span<'a, S: LookupSpan<'a>>(
        &self,
        attributes: &Attributes<'_>,
        at: &SpanRef<'a, S>,
    ) -> Span {
        let metadata = attributes.metadata();
        let known = self.tracer(metadata);
        let tracer = known.unwrap_or(&self.other);
        let parent = match attributes.parent() {
            Some(_) => at.parent().and_then(|parent| parent_of(&parent)),
            None => None,
        };
        let mut span = match parent {
            _ if attributes.is_root() => tracer.root(metadata.name()),
            Some(parent) => tracer.child(metadata.name(), parent),
            // What is entered is current. So is a span of our own that was entered within it.
            None => tracer.span(metadata.name()),
        };
        if span.is_recording() {
            if known.is_none() {
                span.set_attribute("target", metadata.target());
            }
            self.say_where(metadata, &mut span);
            attributes.record(&mut Fields(&mut span));
        }
        span
    }

    fn say_where(&self, metadata: &Metadata<'_>, span: &mut Span) {
        if self.level {
            span.set_attribute("level", level(metadata.level()).as_str());
        }
        if !self.code_location {
            return;
        }
        if let Some(file) = metadata.file() {
            span.set_attribute("code.file.path", file);
        }
        if let Some(line) = metadata.line() {
            span.set_attribute("code.line.number", line);
        }
        if let Some(module) = metadata.module_path() {
            span.set_attribute("code.module.name", module);
        }
    }

    /// What `record` says later.
    pub(super) fn record<'a, S: LookupSpan<'a>>(
        &self,
        values: &tracing_core::span::Record<'_>,
        at: &SpanRef<'a, S>,
    ) {
        let owner = self.owner();
        let is_recording = |ours: &Ours| ours.owner == owner && ours.span.is_recording();
        if at.extensions().get::<Ours>().is_some_and(is_recording) {
            values.record(&mut Fields(Within { at, owner }));
        }
    }

    /// Says that `at` was caused by `cause`, too.
    pub(super) fn link<'a, S: LookupSpan<'a>>(&self, at: &SpanRef<'a, S>, cause: &SpanRef<'a, S>) {
        let Some(cause) = parent_of(cause) else { return };
        let link = |span: &mut Span| {
            span.add_link(cause.context());
        };
        (Within { at, owner: self.owner() }).with(link);
    }

    /// It is the thread's current span.
    pub(super) fn enter<'a, S: LookupSpan<'a>>(&self, at: &SpanRef<'a, S>) {
        let owner = self.owner();
        let extensions = at.extensions();
        if let Some(ours) = extensions.get::<Ours>().filter(|ours| ours.owner == owner) {
            entered::enter((owner, at.id().into_u64()), ours.span.as_parent());
        }
    }

    /// It is so no more.
    pub(super) fn leave(&self, id: u64) {
        entered::leave((self.owner(), id));
    }

    /// It ends.
    pub(super) fn end<'a, S: LookupSpan<'a>>(&self, at: &SpanRef<'a, S>) {
        let owner = self.owner();
        let mut extensions = at.extensions_mut();
        let ours = match extensions.get_mut::<Ours>() {
            Some(ours) if ours.owner == owner => extensions.remove::<Ours>(),
            _ => None,
        };
        // Written without the lock.
        drop(extensions);
        drop(ours);
    }

    /// An event within `at`, whose words are there.
    pub(super) fn add_event<'a, S: LookupSpan<'a>>(
        &self,
        event: &Event<'_>,
        words: &Words,
        at: &SpanRef<'a, S>,
    ) {
        let metadata = event.metadata();
        let add = |span: &mut Span, message: Option<&str>| {
            let (name, is_error) = match message {
                Some(message) => (message, false),
                None if words.error.is_some() => (EXCEPTION, true),
                None => (metadata.name(), false),
            };
            let of = happened(span, name, level(metadata.level()), metadata.target());
            event.record(&mut Put::into_event(OfEvent { of: Some(of), is_error }, words));
            if level(metadata.level()) == Level::Error {
                let why = words.error.as_ref().or(words.message.as_ref());
                with(why, |why| span.set_status(SpanStatus::Error, why.unwrap_or_default()));
            }
        };
        self.within(at, |span| with(words.message.as_ref(), |message| add(span, message)));
    }

    /// The same of a record of `log`.
    pub(super) fn add_record<'a, S: LookupSpan<'a>>(
        &self,
        (message, level, target): (&str, Level, &str),
        at: &SpanRef<'a, S>,
    ) {
        self.within(at, |span| {
            happened(span, message, level, target);
            if level == Level::Error {
                span.set_status(SpanStatus::Error, message);
            }
        });
    }

    /// Calls `work` with the innermost of `at` and those around it that is recorded.
    fn within<'a, S: LookupSpan<'a>>(&self, at: &SpanRef<'a, S>, work: impl FnOnce(&mut Span)) {
        let owner = self.owner();
        let is_ours = |at: &SpanRef<'a, S>| {
            at.extensions().get::<Ours>().is_some_and(|ours| ours.owner == owner)
        };
        if let Some(at) = at.scope().find(is_ours) {
            let recorded = |span: &mut Span| {
                if span.is_recording() {
                    work(span)
                }
            };
            (Within { at: &at, owner }).with(recorded);
        }
    }
}

fn happened<'s>(span: &'s mut Span, name: &str, level: Level, target: &str) -> Of<'s> {
    span.add_event(name).attribute("level", level.as_str()).attribute("target", target)
}

/// The innermost of `at` and those around it that is some engine's.
pub(super) fn parent_of<'a, S: LookupSpan<'a>>(at: &SpanRef<'a, S>) -> Option<Parent> {
    at.scope().find_map(|at| at.extensions().get::<Ours>().map(|ours| ours.span.as_parent()))
}

/// Calls `read` with the text, if there is one.
fn with(text: Option<&Rendered>, read: impl FnOnce(Option<&str>)) {
    let mut read = Some(read);
    match text {
        None => {}
        Some(text) => text.with(&mut |text, _| {
            if let Some(read) = read.take() {
                read(std::str::from_utf8(text).ok());
            }
        }),
    }
    // Where there is none, or where it has gone.
    if let Some(read) = read {
        read(None);
    }
}

/// A way to a span.
trait Reach {
    fn with(&mut self, work: impl FnOnce(&mut Span));
}

impl Reach for &mut Span {
    #[inline]
    fn with(&mut self, work: impl FnOnce(&mut Span)) {
        work(self);
    }
}

/// A span that others see, too: locked for each field alone, and never while a host's code runs.
struct Within<'a, S> {
    at: &'a S,
    owner: usize,
}

impl<'a, S: LookupSpan<'a>> Reach for Within<'_, SpanRef<'a, S>> {
    fn with(&mut self, work: impl FnOnce(&mut Span)) {
        let mut extensions = self.at.extensions_mut();
        if let Some(ours) = extensions.get_mut::<Ours>().filter(|ours| ours.owner == self.owner) {
            work(&mut ours.span);
        }
    }
}

/// Sets fields as attributes; those that `tracing-opentelemetry` has a meaning for have it here.
struct Fields<R>(R);

impl<R: Reach> Fields<R> {
    #[inline]
    fn set(&mut self, field: &Field, value: impl Loggable) {
        self.0.with(|span| span.set_attribute(name(field), value));
    }

    /// Whether `text` is for the span itself.
    #[inline]
    fn is_special(&mut self, field: &Field, text: &str) -> bool {
        let Some(what) = field.name().strip_prefix("otel.") else { return false };
        self.special(what, text)
    }

    fn special(&mut self, what: &str, text: &str) -> bool {
        match what {
            "name" => self.0.with(|span| span.set_name(text)),
            "kind" => {
                if let Some(kind) = kind(text) {
                    self.0.with(|span| span.set_kind(kind));
                }
            }
            "status_code" => {
                if let Some(status) = status(text) {
                    self.0.with(|span| span.set_status(status, ""));
                }
            }
            "status_description" | "status_message" => {
                self.0.with(|span| span.set_status(SpanStatus::Error, text));
            }
            _ => return false,
        }
        true
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    let kinds = [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ];
    kinds.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

fn status(text: &str) -> Option<SpanStatus> {
    let words = [("ok", SpanStatus::Ok), ("error", SpanStatus::Error)];
    words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, status)| *status)
}

impl<R: Reach> Visit for Fields<R> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.set(field, value),
            Err(_) => self.set(field, display(&value)),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.set(field, value),
            Err(_) => self.set(field, display(&value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.is_special(field, value) {
            self.set(field, value);
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.set(field, value);
    }

    /// What went wrong is an attribute, and no verdict on the span.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let (text, causes) = (display(&value), display(&Causes(value)));
        self.0.with(|span| {
            span.set_attribute(EXCEPTION_MESSAGE, &text);
            if causes.whole_length() != Some(0) {
                span.set_attribute("exception.stacktrace", &causes);
            }
            span.set_attribute(name(field), &text);
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let words = debug(&value);
        let mut special = false;
        if field.name().starts_with("otel.") {
            words.with(&mut |text, _| {
                let text = std::str::from_utf8(text).unwrap_or_default();
                special = self.is_special(field, text);
            });
        }
        if !special {
            self.set(field, words);
        }
    }
}

/// What an error was caused by, a line for each.
struct Causes<'a>(&'a (dyn Error + 'static));

/// More causes than these go in a circle.
const MOST_CAUSES: usize = 32;

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes = std::iter::successors(self.0.source(), |&error| error.source());
        for (i, cause) in causes.take(MOST_CAUSES).enumerate() {
            let between = if i == 0 { "" } else { "\n" };
            write!(f, "{between}caused by: {cause}")?;
        }
        Ok(())
    }
}

/// Takes the fields of an event.
struct OfEvent<'s> {
    of: Option<Of<'s>>,
    /// The event is what went wrong, and its field `error` says so.
    is_error: bool,
}

impl Take for OfEvent<'_> {
    fn take(&mut self, key: Option<&str>, value: &(impl Loggable + ?Sized)) {
        let key = match key.unwrap_or_default() {
            "error" if self.is_error => EXCEPTION_MESSAGE,
            key => key,
        };
        self.of = self.of.take().map(|of| of.attribute(key, value));
    }

    fn take_error(&mut self, _: Option<&str>, value: &crate::logs::Exception) {
        self.of = self.of.take().map(|of| of.attribute(EXCEPTION, value));
    }
}

//! Spans, as whoever makes one sees them.

use std::error::Error;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::context::{Carried, Parent, SpanContext, flag};
use super::current::{self, EnteredSpan};
use super::spare;
use super::tracer::Core;
use crate::clock::Clock;
use crate::logs::{Exception, Line, Loggable, exception};
use crate::ring::draft::{Draft, EVENTS, LINKS, MOST_NAME, Texts};
use crate::ring::frame::{SPAN_LEVEL, kind};
use crate::ring::span::{Fixed, item};
use crate::ring::thread::{try_write_of, write_of_slowly};
use crate::ring::writer::{Fill, Head, Writer, cut};

/// What part a span has in what goes on between processes; as OpenTelemetry numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Within a process.
    #[default]
    Internal = 1,
    /// Handles a request from elsewhere.
    Server = 2,
    /// Waits for a request to another.
    Client = 3,
    /// Sends a message that is handled later.
    Producer = 4,
    /// Handles such a message.
    Consumer = 5,
}

/// How a span ended; as OpenTelemetry numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanStatus {
    /// Nothing went wrong that anybody said.
    #[default]
    Unset = 0,
    /// It went well, whatever an observer thinks.
    Ok = 1,
    /// It failed.
    Error = 2,
}

impl SpanKind {
    /// In lower case: `internal`, `server`, `client`, `producer`, `consumer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        }
    }

    /// Of this number, as a frame carries it.
    #[inline]
    pub(crate) fn of(number: u8) -> SpanKind {
        match number {
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        }
    }
}

impl SpanStatus {
    /// Of this number, as a frame carries it.
    #[inline]
    pub(crate) fn of(number: u8) -> SpanStatus {
        match number {
            1 => SpanStatus::Ok,
            2 => SpanStatus::Error,
            _ => SpanStatus::Unset,
        }
    }
}

/// What of a span is recorded. Made once and used again: see [`spare`].
pub(super) struct Open {
    engine: u64,
    clock: Clock,
    scope: u32,
    /// The spare behind this one.
    pub(super) next: Option<Box<Open>>,
    draft: Draft,
}

/// How a span begins.
pub(super) struct Beginning<'a> {
    pub(super) core: &'a Core,
    pub(super) scope: u32,
    pub(super) ticks: u64,
    pub(super) name: &'a str,
    /// A [`SpanKind`].
    pub(super) kind: u8,
    pub(super) parent: [u8; 8],
    /// A flag, where that one is in another process.
    pub(super) remote: u8,
}

/// A piece of work: how long it took, as part of what, and what there is to say of it.
///
/// From [`Tracer::span`](super::Tracer::span). It ends when it is dropped, or by [`end`](Self::end);
/// in a panic with an error. One that is not sampled carries its ids and nothing else, and all of this
/// costs it a comparison.
///
/// ```
/// use mcp_vitals::traces::TraceConfig;
/// # use mcp_vitals::Vitals;
/// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
/// let tracer = vitals.tracer("search");
///
/// let mut span = tracer.span("database_query");
/// span.set_attribute("db.system.name", "sqlite");
/// span.add_event("cache miss").attribute("rows", 3);
/// {
///     let _current = span.enter();
///     let _child = tracer.span("decode");
/// }
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
///
/// Bounded: 128 attributes, 128 events and 128 links of 16 KiB together; what is more is cut or left
/// out, and counted in the span. Takes no lock and allocates nothing but for the first few of a thread
/// and for one of more than 512 bytes.
#[must_use = "dropped at once, the span ends at once"]
pub struct Span {
    context: SpanContext,
    // Neither is dropped by itself, but both by `drop`, which sees at one glance that there are none:
    // so little that it is inlined where a span goes.
    carried: Option<ManuallyDrop<Arc<Carried>>>,
    open: Option<ManuallyDrop<Box<Open>>>,
}

/// A span as a call gives it, to be taken apart: where a call is given the place of a span itself, the
/// span stays in memory. Words, so that nothing is read in other widths than it was written in.
pub(super) struct Parts {
    ids: [u64; 3],
    flags: u8,
    carried: Option<ManuallyDrop<Arc<Carried>>>,
    open: Option<ManuallyDrop<Box<Open>>>,
}

impl Span {
    /// Without a trace: of an engine that records none.
    pub(crate) const NONE: Span = Span { context: SpanContext::NONE, carried: None, open: None };

    /// One that only carries its ids.
    #[inline(always)]
    pub(super) fn unsampled(context: SpanContext, carried: Option<Arc<Carried>>) -> Span {
        Span { context, carried: carried.map(ManuallyDrop::new), open: None }
    }

    #[inline(always)]
    pub(super) fn of(parts: Parts) -> Span {
        let Parts { ids: [low, high, span], flags, carried, open } = parts;
        let trace = u128::from(high) << 64 | u128::from(low);
        let context = SpanContext::with_flags(trace.to_le_bytes(), span.to_le_bytes(), flags);
        Span { context, carried, open }
    }

    #[inline(always)]
    pub(super) fn into_parts(mut self) -> Parts {
        let (trace, span) = (self.context.trace_bytes(), self.context.span_bytes());
        let trace = u128::from_le_bytes(trace);
        let ids = [trace as u64, (trace >> 64) as u64, u64::from_le_bytes(span)];
        let flags = self.context.active.flags;
        Parts { ids, flags, carried: self.carried.take(), open: self.open.take() }
    }

    /// One that is recorded.
    #[inline(always)]
    pub(super) fn recorded(
        context: SpanContext,
        carried: Option<Arc<Carried>>,
        open: Box<Open>,
    ) -> Span {
        let (carried, open) = (carried.map(ManuallyDrop::new), Some(ManuallyDrop::new(open)));
        Span { context, carried, open }
    }

    /// Its ids.
    #[inline]
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Whether it stands for anything: a span, or baggage to be passed on.
    #[inline(always)]
    pub(crate) fn is_any(&self) -> bool {
        self.context.active.flags != 0
    }

    pub(super) fn carried(&self) -> Option<&Carried> {
        self.carried.as_deref().map(Arc::as_ref)
    }

    /// To begin spans below it, on any thread.
    pub fn as_parent(&self) -> Parent {
        Parent { context: self.context, carried: self.carried.as_deref().cloned() }
    }

    /// Whether it is recorded. What is costly to find out need not be, where it is not.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.open.is_some()
    }

    /// Makes it the calling thread's current span until the guard is dropped: the parent of spans
    /// that begin there, whose ids log lines carry. Not to be held over an `await`: see
    /// [`in_span`](super::InSpan::in_span).
    #[inline]
    pub fn enter(&self) -> EnteredSpan<'_> {
        current::enter(self.context.active, self.carried.as_deref().cloned())
    }

    /// Sets an attribute; the last of a name counts.
    // Inlined so that a literal's length is known where it is copied.
    #[inline(always)]
    pub fn set_attribute(&mut self, key: &str, value: impl Loggable) {
        if let Some(open) = &mut self.open {
            open.draft.attribute(item::ATTRIBUTE, Attribute { key, value });
        }
    }

    /// Says that something happened now. What it gives takes the event's attributes.
    #[inline(always)]
    pub fn add_event(&mut self, name: &str) -> Of<'_> {
        let open = self.open.as_mut().and_then(|open| {
            let ticks = open.clock.ticks();
            open.event(name, ticks).then_some(&mut ***open)
        });
        Of { open, what: item::OF_EVENT }
    }

    /// Says that another span, which may be of another trace, has to do with this one. What it gives
    /// takes the link's attributes. A context without ids is of no span, and there is no link to it.
    pub fn add_link(&mut self, to: SpanContext) -> Of<'_> {
        let open = self.open.as_mut().filter(|_| to.is_present());
        let open = open.and_then(|open| open.link(to).then_some(&mut ***open));
        Of { open, what: item::OF_LINK }
    }

    /// What part it has; [`SpanKind::Internal`] unless somebody says so.
    pub fn set_kind(&mut self, kind: SpanKind) {
        if let Some(open) = &mut self.open {
            open.draft.set_kind(kind as u8);
        }
    }

    /// Gives it another name.
    pub fn set_name(&mut self, name: &str) {
        self.set_name_of(&[name]);
    }

    /// [`set_name`](Self::set_name) of parts.
    pub(crate) fn set_name_of(&mut self, parts: &[&str]) {
        if let Some(open) = &mut self.open {
            let (mut name, mut length) = ([0; MOST_NAME], 0);
            for part in parts {
                let part = cut(part.as_bytes(), MOST_NAME - length);
                name[length..length + part.len()].copy_from_slice(part);
                length += part.len();
            }
            open.draft.set_name(&name[..length]);
        }
    }

    /// How it ends, and why; the last one counts. An [`Ok`](SpanStatus::Ok) stays, and what was said
    /// is not taken back: [`Unset`](SpanStatus::Unset) does nothing.
    pub fn set_status(&mut self, status: SpanStatus, message: &str) {
        let Some(open) = &mut self.open else { return };
        if status == SpanStatus::Unset || open.draft.status() == SpanStatus::Ok as u8 {
            return;
        }
        open.draft.set_status(status as u8);
        if status == SpanStatus::Error && !message.is_empty() {
            open.draft.message(message.as_bytes());
        }
    }

    /// Says that it failed, and of what: the status, and an event `exception` with what `error` and
    /// its causes say, as OpenTelemetry has it.
    pub fn record_error<E: Error + ?Sized>(&mut self, error: &E) {
        if self.open.is_some() {
            self.record_exception(&exception(error));
        }
    }

    /// [`record_error`](Self::record_error) of what has been put into words.
    pub(crate) fn record_exception(&mut self, exception: &Exception) {
        let Some(open) = &mut self.open else { return };
        let ticks = open.clock.ticks();
        if open.event("exception", ticks) {
            open.draft.attribute(item::OF_EVENT, Attribute { key: "exception", value: exception });
        }
        exception.message().with(&mut |text, _| open.draft.message(text));
        if open.draft.status() != SpanStatus::Ok as u8 {
            open.draft.set_status(SpanStatus::Error as u8);
        }
    }

    /// It ends now. The same as dropping it.
    #[inline]
    pub fn end(self) {}

    /// It ended at so many ticks.
    pub(crate) fn end_at(mut self, ticks: u64) {
        self.close(ticks);
    }

    /// It ends now, and not by the panic that is under way on the thread.
    #[cfg_attr(not(feature = "macros"), allow(dead_code))]
    pub(crate) fn end_here(mut self) {
        if let Some(open) = &self.open {
            let ticks = open.clock.ticks();
            self.close(ticks);
        }
    }

    /// Nobody waited for its end.
    pub(crate) fn abandon(&mut self) {
        if let Some(open) = &mut self.open {
            let panicking = std::thread::panicking();
            open.fail(if panicking { "panic" } else { "dropped" });
            let ticks = open.clock.ticks();
            self.close(ticks);
        }
    }

    /// Writes it and gives back what it was kept in.
    #[inline(always)]
    fn close(&mut self, ticks: u64) {
        if let Some(open) = self.open.take() {
            ManuallyDrop::into_inner(open).end(ticks);
        }
    }
}

/// Out of line: a span that is not sampled has no more than a comparison of this. By value: where
/// nobody asks for a span's address it stays in registers, and ids that nobody asks for nowhere.
#[inline(never)]
fn ended(carried: Option<Arc<Carried>>, open: Option<Box<Open>>) {
    drop(carried);
    let Some(mut open) = open else { return };
    if std::thread::panicking() {
        open.fail("panic");
    }
    let ticks = open.clock.ticks();
    open.end(ticks);
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        if self.open.is_some() || self.carried.is_some() {
            let (carried, open) = (self.carried.take(), self.open.take());
            ended(carried.map(ManuallyDrop::into_inner), open.map(ManuallyDrop::into_inner));
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The event or the link that was just added, to say more of it.
pub struct Of<'a> {
    open: Option<&'a mut Open>,
    what: u8,
}

impl Of<'_> {
    /// Sets one of its attributes.
    #[inline(always)]
    pub fn attribute(mut self, key: &str, value: impl Loggable) -> Self {
        if let Some(open) = self.open.as_deref_mut() {
            open.draft.attribute(self.what, Attribute { key, value });
        }
        self
    }
}

impl Open {
    #[cold]
    pub(super) fn new() -> Box<Open> {
        Box::new(Open { engine: 0, clock: Clock::get(), scope: 0, next: None, draft: Draft::new() })
    }

    /// One that is recorded from here on.
    #[inline(always)]
    pub(super) fn begin(
        context: &SpanContext,
        carried: Option<&Carried>,
        beginning: Beginning<'_>,
    ) -> Box<Open> {
        let Beginning { core, scope, ticks, name, parent, .. } = beginning;
        let mut open = spare::take();
        if open.engine != core.engine {
            open.turn_to(core);
        }
        open.scope = scope;
        let fixed = Fixed {
            ids: context.active.ids,
            parent,
            start: ticks,
            flags: context.active.flags & flag::SENT | beginning.remote,
            kind: beginning.kind,
            status: 0,
            left_out: [0; 3],
        };
        let tracestate = carried.map_or("", |carried| &carried.tracestate);
        open.draft.begin(&fixed, name.as_bytes(), tracestate.as_bytes());
        if core.open_spans {
            open.tell(ticks);
        }
        open
    }

    /// It is another engine's from here on.
    #[cold]
    fn turn_to(&mut self, core: &Core) {
        self.engine = core.engine;
        self.clock = core.clock;
        self.draft.set_limits(core.limits);
    }

    /// Of one that has ended: what is too much to be kept is given up.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.draft.clear();
    }

    /// Writes it and keeps what it was kept in.
    #[inline(always)]
    fn end(self: Box<Self>, ticks: u64) {
        self.write(kind::SPAN, ticks);
        spare::give_back(self);
    }

    fn head(&self, kind: u8, ticks: u64) -> Head {
        Head { kind, level: SPAN_LEVEL, ticks, site: 0, logger: self.scope, thread: 0 }
    }

    #[inline(always)]
    fn write(&self, kind: u8, ticks: u64) {
        if !try_write_of(self.engine, self.head(kind, ticks), &self.draft) {
            self.write_slowly(kind, ticks);
        }
    }

    // With what the head is made of: else the head would be put together in memory for this, each time.
    #[cold]
    #[inline(never)]
    fn write_slowly(&self, kind: u8, ticks: u64) {
        write_of_slowly(self.engine, self.head(kind, ticks), &self.draft);
    }

    /// Writes a frame at the start, too.
    // Out of line, as few want that.
    #[inline(never)]
    fn tell(&self, ticks: u64) {
        self.write(kind::SPAN_START, ticks);
    }

    #[inline(always)]
    fn event(&mut self, name: &str, ticks: u64) -> bool {
        let text = cut(name.as_bytes(), MOST_NAME);
        self.draft.add(EVENTS, item::EVENT, Texts { word: Some(ticks), text })
    }

    fn link(&mut self, to: SpanContext) -> bool {
        let mut bytes = [0; 25];
        bytes[..24].copy_from_slice(&to.active.ids);
        bytes[24] = to.active.flags & (flag::SENT | flag::REMOTE);
        self.draft.add(LINKS, item::LINK, Raw(&bytes))
    }

    /// Where nobody said how it ended.
    #[cold]
    fn fail(&mut self, why: &str) {
        if self.draft.status() == SpanStatus::Unset as u8 {
            self.draft.set_status(SpanStatus::Error as u8);
            self.draft.message(why.as_bytes());
        }
    }
}

/// An attribute, as [`Fill`].
struct Attribute<'a, V> {
    key: &'a str,
    value: V,
}

impl<V: Loggable> Fill for Attribute<'_, V> {
    #[inline(always)]
    fn room(&self) -> usize {
        crate::logs::inlet::room(self.key, &self.value)
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.value.put(Some(self.key), &mut Line(writer));
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.value.put(Some(self.key), &mut Line(writer));
    }
}

/// Bytes as they are.
struct Raw<'a>(&'a [u8]);

impl Fill for Raw<'_> {
    fn room(&self) -> usize {
        self.0.len()
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        writer.raw(self.0);
    }

    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        writer.raw(self.0);
    }
}

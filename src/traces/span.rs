//! Spans, as whoever makes one sees them.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::context::{Carried, Parent, SpanContext, flag};
use super::current::{self, EnteredSpan};
use crate::clock::Clock;
use crate::logs::{Line, Loggable, exception};
use crate::ring::frame::{SPAN_LEVEL, kind};
use crate::ring::scratch::render;
use crate::ring::span::{Fixed, Items, Whole, item};
use crate::ring::thread::write_of;
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
    /// Of this number, as a frame carries it.
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
    pub(crate) fn of(number: u8) -> SpanStatus {
        match number {
            1 => SpanStatus::Ok,
            2 => SpanStatus::Error,
            _ => SpanStatus::Unset,
        }
    }
}

/// Bounds of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of attributes (those of events and links each), events and links.
    pub(crate) counts: [u16; 3],
    /// Of all of them together, encoded.
    pub(crate) bytes: usize,
}

/// Bytes of a span's name, of an event's, and of a status' message.
const MOST_NAME: usize = 256;
/// Bytes of a `tracestate` that are kept.
pub(crate) const MOST_TRACESTATE: usize = 512;

/// What of a span is recorded. Made once and used again: see [`spare`].
pub(super) struct Open {
    engine: u64,
    scope: u32,
    limits: Limits,
    clock: Clock,
    fixed: Fixed,
    name: Vec<u8>,
    items: Items,
    /// Attributes of the event or link that was added last.
    of_last: u16,
}

/// How a span begins.
pub(super) struct Beginning<'a> {
    pub(super) engine: u64,
    pub(super) scope: u32,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) ticks: u64,
    pub(super) name: &'a str,
    pub(super) kind: SpanKind,
    pub(super) parent: [u8; 8],
    /// Whether that one is in another process.
    pub(super) remote: bool,
    /// Write a frame at the start, too.
    pub(super) told: bool,
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
    carried: Option<Arc<Carried>>,
    open: Option<Box<Open>>,
}

impl Span {
    /// Without a trace: of an engine that records none.
    pub(crate) const NONE: Span = Span { context: SpanContext::NONE, carried: None, open: None };

    /// One that only carries its ids.
    #[inline(always)]
    pub(super) fn unsampled(context: SpanContext, carried: Option<Arc<Carried>>) -> Span {
        Span { context, carried, open: None }
    }

    #[inline]
    pub(super) fn begin(
        context: SpanContext,
        carried: Option<Arc<Carried>>,
        beginning: Beginning<'_>,
    ) -> Span {
        let Beginning { engine, scope, limits, clock, ticks, name, kind, parent, .. } = beginning;
        let remote = if beginning.remote { flag::REMOTE } else { 0 };
        let mut open = spare::take();
        open.engine = engine;
        open.scope = scope;
        open.limits = limits;
        open.clock = clock;
        open.of_last = 0;
        open.fixed = Fixed {
            ids: context.active.ids,
            parent,
            start: ticks,
            flags: context.active.flags & flag::SENT | remote,
            kind: kind as u8,
            status: 0,
            left_out: [0; 3],
        };
        open.name.clear();
        open.name.extend_from_slice(cut(name.as_bytes(), MOST_NAME));
        let span = Span { context, carried, open: Some(open) };
        if beginning.told {
            span.write(kind::SPAN_START, ticks);
        }
        span
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
        self.carried.as_deref()
    }

    /// To begin spans below it, on any thread.
    pub fn as_parent(&self) -> Parent {
        Parent { context: self.context, carried: self.carried.clone() }
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
        current::enter(self.context.active, self.carried.clone())
    }

    /// Sets an attribute; the last of a name counts.
    #[inline]
    pub fn set_attribute(&mut self, key: &str, value: impl Loggable) {
        if let Some(open) = &mut self.open {
            open.attribute(&value, key, item::ATTRIBUTE);
        }
    }

    /// Says that something happened now. What it gives takes the event's attributes.
    #[inline]
    pub fn add_event(&mut self, name: &str) -> Of<'_> {
        let open = self.open.as_deref_mut().and_then(|open| {
            let ticks = open.clock.ticks();
            open.event(name, ticks).then_some(open)
        });
        Of { open, what: item::OF_EVENT }
    }

    /// Says that another span, which may be of another trace, has to do with this one. What it gives
    /// takes the link's attributes.
    pub fn add_link(&mut self, to: SpanContext) -> Of<'_> {
        let open = self.open.as_deref_mut().and_then(|open| open.link(to).then_some(open));
        Of { open, what: item::OF_LINK }
    }

    /// What part it has; [`SpanKind::Internal`] unless somebody says so.
    pub fn set_kind(&mut self, kind: SpanKind) {
        if let Some(open) = &mut self.open {
            open.fixed.kind = kind as u8;
        }
    }

    /// Gives it another name.
    pub fn set_name(&mut self, name: &str) {
        self.set_name_of(&[name]);
    }

    /// [`set_name`](Self::set_name) of parts.
    pub(crate) fn set_name_of(&mut self, parts: &[&str]) {
        if let Some(open) = &mut self.open {
            open.name.clear();
            for part in parts {
                let room = MOST_NAME - open.name.len();
                open.name.extend_from_slice(cut(part.as_bytes(), room));
            }
        }
    }

    /// How it ends, and why; the last one counts. An [`Ok`](SpanStatus::Ok) stays.
    pub fn set_status(&mut self, status: SpanStatus, message: &str) {
        let Some(open) = &mut self.open else { return };
        if open.fixed.status == SpanStatus::Ok as u8 {
            return;
        }
        open.fixed.status = status as u8;
        if status == SpanStatus::Error && !message.is_empty() {
            open.put_text(item::MESSAGE, message.as_bytes());
        }
    }

    /// Says that it failed, and of what: the status, and an event `exception` with what `error` and
    /// its causes say, as OpenTelemetry has it.
    pub fn record_error<E: Error + ?Sized>(&mut self, error: &E) {
        let Some(open) = &mut self.open else { return };
        let ticks = open.clock.ticks();
        if open.event("exception", ticks) {
            open.attribute(&exception(error), "exception", item::OF_EVENT);
        }
        let message = render(&mut |out| write!(out, "{error}"));
        message.with(&mut |text, _| open.put_text(item::MESSAGE, text));
        if open.fixed.status != SpanStatus::Ok as u8 {
            open.fixed.status = SpanStatus::Error as u8;
        }
    }

    /// It ends now. The same as dropping it.
    #[inline]
    pub fn end(self) {}

    /// It ended at so many ticks.
    pub(crate) fn end_at(mut self, ticks: u64) {
        self.close(ticks);
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

    fn write(&self, kind: u8, ticks: u64) {
        let Some(open) = &self.open else { return };
        let tracestate = self.carried.as_ref().map_or("", |carried| &carried.tracestate);
        let whole = Whole {
            fixed: &open.fixed,
            name: &open.name,
            tracestate: cut(tracestate.as_bytes(), MOST_TRACESTATE),
            items: &open.items,
        };
        let head = Head { kind, level: SPAN_LEVEL, ticks, site: 0, logger: open.scope, thread: 0 };
        write_of(open.engine, head, &whole);
    }

    #[inline]
    fn close(&mut self, ticks: u64) {
        if self.open.is_some() {
            self.write(kind::SPAN, ticks);
            if let Some(open) = self.open.take() {
                spare::give_back(open);
            }
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = &mut self.open {
            if std::thread::panicking() {
                open.fail("panic");
            }
            let ticks = open.clock.ticks();
            self.close(ticks);
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
    #[inline]
    pub fn attribute(mut self, key: &str, value: impl Loggable) -> Self {
        if let Some(open) = self.open.as_deref_mut() {
            open.attribute(&value, key, self.what);
        }
        self
    }
}

/// Sorts of what is counted.
const ATTRIBUTES: usize = 0;
const EVENTS: usize = 1;
const LINKS: usize = 2;

impl Open {
    fn new() -> Open {
        Open {
            engine: 0,
            scope: 0,
            limits: Limits { counts: [0; 3], bytes: 0 },
            clock: Clock::get(),
            fixed: Fixed::default(),
            name: Vec::with_capacity(64),
            items: Items::new(),
            of_last: 0,
        }
    }

    #[inline(always)]
    fn attribute(&mut self, value: &impl Loggable, key: &str, what: u8) {
        let of_span = what == item::ATTRIBUTE;
        let count = if of_span { self.items.counts()[ATTRIBUTES] } else { self.of_last };
        let most = self.limits.counts[ATTRIBUTES];
        if count < most && self.items.put(what, self.limits.bytes, &Attribute { key, value }) {
            if of_span {
                self.items.count(ATTRIBUTES);
            } else {
                self.of_last += 1;
            }
        } else {
            self.leave_out(ATTRIBUTES);
        }
    }

    #[inline(always)]
    fn event(&mut self, name: &str, ticks: u64) -> bool {
        let name = cut(name.as_bytes(), MOST_NAME);
        let fill = Texts { words: Some(ticks), text: name };
        self.add(EVENTS, item::EVENT, &fill)
    }

    fn link(&mut self, to: SpanContext) -> bool {
        let mut bytes = [0; 25];
        bytes[..24].copy_from_slice(&to.active.ids);
        bytes[24] = to.active.flags & (flag::SENT | flag::REMOTE);
        self.add(LINKS, item::LINK, &Raw(&bytes))
    }

    #[inline(always)]
    fn add(&mut self, sort: usize, what: u8, fill: &impl Fill) -> bool {
        self.of_last = 0;
        let few = self.items.counts()[sort] < self.limits.counts[sort];
        let kept = few && self.items.put(what, self.limits.bytes, fill);
        if kept {
            self.items.count(sort);
        } else {
            self.leave_out(sort);
        }
        kept
    }

    /// Past the bytes for the rest, so that why it failed is there when nothing else is.
    fn put_text(&mut self, what: u8, text: &[u8]) {
        let text = cut(text, MOST_NAME);
        self.items.put(what, self.limits.bytes + 2 * MOST_NAME, &Texts { words: None, text });
    }

    #[cold]
    fn leave_out(&mut self, sort: usize) {
        let left_out = &mut self.fixed.left_out[sort];
        *left_out = left_out.saturating_add(1);
    }

    /// Where nobody said how it ended.
    #[cold]
    fn fail(&mut self, why: &str) {
        if self.fixed.status == SpanStatus::Unset as u8 {
            self.fixed.status = SpanStatus::Error as u8;
            self.put_text(item::MESSAGE, why.as_bytes());
        }
    }
}

/// An attribute, as [`Fill`].
struct Attribute<'a, V> {
    key: &'a str,
    value: &'a V,
}

impl<V: Loggable> Fill for Attribute<'_, V> {
    #[inline(always)]
    fn room(&self) -> usize {
        crate::logs::inlet::room(self.key, self.value)
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.value.put(Some(self.key), &mut Line(writer));
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.value.put(Some(self.key), &mut Line(writer));
    }
}

/// A word and a text.
struct Texts<'a> {
    words: Option<u64>,
    text: &'a [u8],
}

impl Texts<'_> {
    #[inline(always)]
    fn put<const C: bool>(&self, writer: &mut Writer<'_, C>) {
        if let Some(word) = self.words {
            writer.array(word.to_le_bytes());
        }
        writer.array((self.text.len() as u16).to_le_bytes());
        writer.raw(self.text);
    }
}

impl Fill for Texts<'_> {
    #[inline(always)]
    fn room(&self) -> usize {
        10 + self.text.len()
    }

    fn fill(&self, writer: &mut Writer<'_>) {
        self.put(writer);
    }

    #[inline(always)]
    fn fill_unchecked(&self, writer: &mut Writer<'_, false>) {
        self.put(writer);
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

/// What spans that have ended leave to the next ones.
mod spare {
    use super::{Cell, Open};

    /// Kept by a thread.
    const MOST: usize = 32;

    thread_local! {
        static SPARE: Cell<Vec<Box<Open>>> = const { Cell::new(Vec::new()) };
    }

    #[inline(always)]
    pub(super) fn take() -> Box<Open> {
        let taken = SPARE.try_with(|cell| {
            let mut spare = cell.take();
            let open = spare.pop();
            cell.set(spare);
            open
        });
        match taken {
            Ok(Some(open)) => open,
            _ => new(),
        }
    }

    #[cold]
    fn new() -> Box<Open> {
        Box::new(Open::new())
    }

    #[inline(always)]
    pub(super) fn give_back(mut open: Box<Open>) {
        open.items.clear();
        // Dropped where the thread ends, or has enough.
        let _ = SPARE.try_with(|cell| {
            let mut spare = cell.take();
            if spare.len() < MOST {
                spare.push(open);
            }
            cell.set(spare);
        });
    }
}

//! Which span is which: what goes from one to the next, in a process and between processes.

use std::fmt;
use std::sync::Arc;

use super::ids::{self, SpanId, TraceId};
use crate::ring::context::Active;
use crate::ring::frame::IDS;

/// Flags of an [`Active`]. The first two are W3C's.
pub(crate) mod flag {
    pub(crate) const SAMPLED: u8 = crate::ring::context::Active::SAMPLED;
    /// The trace id's last seven bytes are random.
    pub(crate) const RANDOM: u8 = 2;
    /// The ids came from another process.
    pub(crate) const REMOTE: u8 = 4;
    /// There is a span at all.
    pub(crate) const PRESENT: u8 = crate::ring::context::Active::PRESENT;
    /// It has a `tracestate` or baggage.
    pub(crate) const CARRIED: u8 = 16;
    /// What W3C sends.
    pub(crate) const SENT: u8 = SAMPLED | RANDOM;
}

/// The ids of a span, and whether its trace is sampled: all that a child, a link or a log line needs
/// to know of it. Small, and free to copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    pub(crate) active: Active,
}

impl SpanContext {
    /// Of no span.
    pub(crate) const NONE: SpanContext = SpanContext { active: Active::NONE };

    /// Of a span that was made elsewhere.
    pub fn new(trace_id: TraceId, span_id: SpanId, sampled: bool) -> SpanContext {
        let sampled = if sampled { flag::SAMPLED } else { 0 };
        SpanContext::of(trace_id.to_bytes(), span_id.to_bytes(), flag::REMOTE | sampled)
    }

    /// The calling thread's current span's, if there is one.
    pub fn current() -> Option<SpanContext> {
        let active = crate::ring::context::active();
        active.is_present().then_some(SpanContext { active })
    }

    #[inline(always)]
    pub(crate) fn of(trace: [u8; 16], span: [u8; 8], flags: u8) -> SpanContext {
        SpanContext::with_flags(trace, span, flags | flag::PRESENT)
    }

    #[inline(always)]
    pub(super) fn with_flags(trace: [u8; 16], span: [u8; 8], flags: u8) -> SpanContext {
        let mut ids = [0; IDS];
        ids[..16].copy_from_slice(&trace);
        ids[16..].copy_from_slice(&span);
        SpanContext { active: Active { ids, flags } }
    }

    /// Whether there are ids.
    #[inline(always)]
    pub(crate) fn is_present(&self) -> bool {
        self.active.is_present()
    }

    /// The trace that the span belongs to; nothing where it belongs to none.
    #[inline]
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(self.trace_bytes())
    }

    /// The span's own id.
    #[inline]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(self.span_bytes())
    }

    #[inline(always)]
    pub(crate) fn trace_bytes(&self) -> [u8; 16] {
        self.active.ids.first_chunk().copied().unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn span_bytes(&self) -> [u8; 8] {
        self.active.ids.last_chunk().copied().unwrap_or_default()
    }

    /// Whether the spans of the trace are recorded.
    #[inline]
    pub fn is_sampled(&self) -> bool {
        self.active.flags & flag::SAMPLED != 0
    }

    /// Whether the span was made in another process.
    #[inline]
    pub fn is_remote(&self) -> bool {
        self.active.flags & flag::REMOTE != 0
    }

    /// The ids of a new span of the same trace.
    #[inline(always)]
    pub(crate) fn child(&self) -> SpanContext {
        self.child_of(ids::span_id())
    }

    /// The same of a span whose id is there.
    #[inline(always)]
    pub(crate) fn child_of(&self, span: u64) -> SpanContext {
        let mut active = self.active;
        active.flags &= !flag::REMOTE;
        active.ids[16..].copy_from_slice(&span.to_ne_bytes());
        SpanContext { active }
    }
}

impl fmt::Debug for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanContext")
            .field("trace_id", &self.trace_id())
            .field("span_id", &self.span_id())
            .field("sampled", &self.is_sampled())
            .field("remote", &self.is_remote())
            .finish()
    }
}

/// What goes with a trace from process to process beside the ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// As it came, checked: `vendor=value,…`.
    pub(crate) tracestate: Box<str>,
    /// As it came, checked: `key=value,…`.
    pub(crate) baggage: Box<str>,
}

/// A span to be the parent of another: its ids, and what its trace carries. From a span of this
/// process, or [`extract`](Self::extract)ed from what another one has sent.
#[derive(Clone, Debug)]
pub struct Parent {
    pub(crate) context: SpanContext,
    pub(crate) carried: Option<Arc<Carried>>,
}

impl Parent {
    /// The calling thread's current span, if there is one: to be taken to another thread.
    pub fn current() -> Option<Parent> {
        let active = crate::ring::context::active();
        let parent =
            || Parent { context: SpanContext { active }, carried: super::current::carried(active) };
        (active.flags != 0).then(parent)
    }

    /// Its ids; without any where only baggage came.
    pub fn context(&self) -> SpanContext {
        self.context
    }
}

impl From<SpanContext> for Parent {
    fn from(context: SpanContext) -> Parent {
        Parent { context, carried: None }
    }
}

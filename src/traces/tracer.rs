//! Where spans come from.

use std::sync::{Arc, LazyLock};

use super::context::{Carried, Parent, SpanContext, flag};
use super::span::{Beginning, Limits, Span, SpanKind};
use super::{current, ids, sample};
use crate::clock::Clock;
use crate::ring::names;
use crate::sync::{AtomicU64, Ordering};

/// What the tracers of an engine share.
pub(crate) struct Core {
    /// The rings' number; 0 where nothing is recorded.
    pub(crate) engine: u64,
    /// Whether what comes from elsewhere is passed on.
    pub(crate) propagates: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    /// What the random part of a new trace's id must reach.
    pub(crate) threshold: AtomicU64,
    /// Frames are written at the start, too.
    pub(crate) open_spans: bool,
}

static DISABLED: LazyLock<Arc<Core>> = LazyLock::new(|| {
    Arc::new(Core {
        engine: 0,
        propagates: false,
        limits: Limits { counts: [0; 3], bytes: 0 },
        clock: Clock::get(),
        threshold: AtomicU64::new(u64::MAX),
        open_spans: false,
    })
});

/// Makes spans, under the name of the part of the program that they are of: OpenTelemetry's
/// instrumentation scope. From [`Vitals::tracer`](crate::Vitals::tracer); a clone is the same.
#[derive(Clone)]
pub struct Tracer {
    core: Arc<Core>,
    scope: u32,
}

impl Tracer {
    pub(crate) fn new(core: Arc<Core>, name: &str) -> Tracer {
        Tracer { core, scope: names::define_logger(name) }
    }

    /// Of an engine that traces nothing.
    pub(crate) fn disabled() -> Tracer {
        Tracer { core: DISABLED.clone(), scope: 0 }
    }

    /// Begins a span: below the thread's current one, or else a trace of its own.
    ///
    /// `name` is cut at 256 bytes; a low number of them is what back ends can group by.
    #[inline]
    pub fn span(&self, name: &str) -> Span {
        let active = current::current();
        if active.flags == 0 {
            return self.root(name);
        }
        // Carried on by the child, where there is anything.
        let carried = current::carried(active);
        self.below(name, SpanContext { active }, carried, SpanKind::Internal, None)
    }

    /// Begins a span below another one, whichever is current.
    pub fn child(&self, name: &str, parent: impl Into<Parent>) -> Span {
        let Parent { context, carried } = parent.into();
        self.below(name, context, carried, SpanKind::Internal, None)
    }

    /// Begins a trace.
    #[inline]
    pub fn root(&self, name: &str) -> Span {
        self.first(name, None, SpanKind::Internal, None)
    }

    /// Begins a span at so many ticks, below `parent` where there is one, whichever is current.
    #[inline]
    pub(crate) fn begin_at(
        &self,
        name: &str,
        parent: Option<Parent>,
        kind: SpanKind,
        ticks: u64,
    ) -> Span {
        match parent {
            Some(Parent { context, carried }) => {
                self.below(name, context, carried, kind, Some(ticks))
            }
            None => self.first(name, None, kind, Some(ticks)),
        }
    }

    /// Whether there is anything to do: spans to record, or contexts to pass on.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.core.propagates
    }

    #[inline(always)]
    fn first(
        &self,
        name: &str,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: Option<u64>,
    ) -> Span {
        if self.core.engine == 0 {
            return Span::NONE;
        }
        let trace = ids::trace_id();
        // Relaxed: a setting that publishes nothing.
        let threshold = self.core.threshold.load(Ordering::Relaxed);
        let sampled = sample::randomness(trace) >= threshold;
        let sampled = if sampled { flag::SAMPLED } else { 0 };
        let has = if carried.is_some() { flag::CARRIED } else { 0 };
        let context = SpanContext::of(trace, ids::span_id(), flag::RANDOM | sampled | has);
        if sampled == 0 {
            return Span::unsampled(context, carried);
        }
        self.begin(name, context, None, carried, kind, at)
    }

    #[inline(always)]
    fn below(
        &self,
        name: &str,
        parent: SpanContext,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: Option<u64>,
    ) -> Span {
        if self.core.engine == 0 {
            // There is no such span for anybody to be below.
            return Span::unsampled(parent, carried);
        }
        if !parent.is_present() {
            return self.first(name, carried, kind, at);
        }
        let context = parent.child();
        if !parent.is_sampled() {
            return Span::unsampled(context, carried);
        }
        self.begin(name, context, Some(parent), carried, kind, at)
    }

    #[inline(always)]
    fn begin(
        &self,
        name: &str,
        context: SpanContext,
        parent: Option<SpanContext>,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: Option<u64>,
    ) -> Span {
        let core = &*self.core;
        let beginning = Beginning {
            engine: core.engine,
            scope: self.scope,
            limits: core.limits,
            clock: core.clock,
            ticks: at.unwrap_or_else(|| core.clock.ticks()),
            name,
            kind,
            parent: parent.map_or([0; 8], |parent| parent.span_bytes()),
            remote: parent.is_some_and(|parent| parent.is_remote()),
            told: core.open_spans,
        };
        Span::begin(context, carried, beginning)
    }
}

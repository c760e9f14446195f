//! Where spans come from.

use std::sync::{Arc, LazyLock};

use super::context::{Carried, Parent, SpanContext, flag};
use super::sample::{Asked, Sampling};
use super::span::{Beginning, Open, Parts, Span, SpanKind};
use super::{current, ids};
use crate::clock::Clock;
use crate::ring::draft::Limits;
use crate::ring::names;

/// What the tracers of an engine share.
pub(crate) struct Core {
    /// The rings' number; 0 where nothing is recorded.
    pub(crate) engine: u64,
    /// Whether what comes from elsewhere is passed on.
    pub(crate) propagates: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) sampling: Sampling,
    /// Frames are written at the start, too.
    pub(crate) open_spans: bool,
}

static DISABLED: LazyLock<Arc<Core>> = LazyLock::new(|| {
    Arc::new(Core {
        engine: 0,
        propagates: false,
        limits: Limits { counts: [0; 3], bytes: 0 },
        clock: Clock::get(),
        sampling: Sampling::closed(),
        open_spans: false,
    })
});

/// Ticks that stand for a reading of the clock.
const NOW: u64 = 0;

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

    /// Whether its engine traces at all.
    #[cfg_attr(not(feature = "macros"), allow(dead_code))]
    pub(crate) fn is_tracing(&self) -> bool {
        self.core.engine != 0
    }

    /// Begins a span: below the thread's current one, or else a trace of its own.
    ///
    /// `name` is cut at 256 bytes; a low number of them is what back ends can group by.
    #[inline(always)]
    pub fn span(&self, name: &str) -> Span {
        // What most spans are is decided here as by `below`, which would take more registers.
        let active = current::current();
        let looked_at = flag::PRESENT | flag::CARRIED | flag::REMOTE;
        if active.flags & looked_at == flag::PRESENT {
            let parent = SpanContext { active };
            if self.core.engine == 0 {
                return Span::unsampled(parent, None);
            }
            if !parent.is_sampled() {
                return Span::unsampled(parent.child(), None);
            }
            let (open, span) = self.below_current(name);
            return Span::recorded(parent.child_of(span), None, open);
        }
        let parts = if active.flags == 0 { self.root_of(name) } else { self.otherwise(name) };
        Span::of(parts)
    }

    /// Begins a span below the current one, which is sampled and carries nothing; with its id. Out of
    /// line: what is not sampled has none of it. What it takes and gives are registers.
    #[inline(never)]
    fn below_current(&self, name: &str) -> (Box<Open>, u64) {
        let core = &*self.core;
        let ticks = core.clock.ticks();
        let parent = SpanContext { active: current::current() };
        let span = ids::span_id();
        let context = parent.child_of(span);
        let (scope, parent, kind) = (self.scope, parent.span_bytes(), SpanKind::Internal as u8);
        let beginning = Beginning { core, scope, ticks, name, kind, parent, remote: 0 };
        (Open::begin(&context, None, beginning), span)
    }

    /// Where one is current whose trace carries more than ids, or that is of another process.
    #[inline(never)]
    fn otherwise(&self, name: &str) -> Parts {
        let active = current::current();
        let context = SpanContext { active };
        self.below_any(name, context, current::carried(active), SpanKind::Internal, NOW)
            .into_parts()
    }

    // Out of line: with it `span` would not be inlined any more.
    #[inline(never)]
    fn root_of(&self, name: &str) -> Parts {
        self.first(name, None, SpanKind::Internal, NOW).into_parts()
    }

    /// Begins a span below another one, whichever is current.
    pub fn child(&self, name: &str, parent: impl Into<Parent>) -> Span {
        let Parent { context, carried } = parent.into();
        self.below_any(name, context, carried, SpanKind::Internal, NOW)
    }

    /// Begins a trace.
    #[inline]
    pub fn root(&self, name: &str) -> Span {
        Span::of(self.root_of(name))
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
                self.below_any(name, context, carried, kind, ticks)
            }
            None => self.first(name, None, kind, ticks),
        }
    }

    /// Whether there is anything to do: spans to record, or contexts to pass on.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.core.propagates
    }

    #[inline(always)]
    fn first(&self, name: &str, carried: Option<Arc<Carried>>, kind: SpanKind, at: u64) -> Span {
        if self.core.engine == 0 {
            return Span::NONE;
        }
        let (trace, span) = ids::trace_and_span();
        let has = if carried.is_some() { flag::CARRIED } else { 0 };
        let flags = flag::RANDOM | has;
        let threshold = self.core.sampling.threshold();
        if threshold.takes(trace) || threshold.asks() && self.ask(name, trace, span) {
            let context = SpanContext::of(trace, span, flags | flag::SAMPLED);
            return self.begin_with(name, context, None, carried, kind, at);
        }
        // Ids of a trace that nobody records are for whoever it is passed on to.
        Span::unsampled(SpanContext::of(trace, span, flags), carried)
    }

    #[cold]
    #[inline(never)]
    fn ask(&self, name: &str, trace: [u8; 16], span: [u8; 8]) -> bool {
        let context = SpanContext::of(trace, span, flag::RANDOM);
        self.core.sampling.of_root(self.asked(name, &context))
    }

    fn asked<'a>(&self, name: &'a str, context: &SpanContext) -> Asked<'a> {
        Asked { name, context: *context, clock: self.core.clock }
    }

    /// Below what may be of another process, or no more than what a trace carries.
    fn below_any(
        &self,
        name: &str,
        mut parent: SpanContext,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: u64,
    ) -> Span {
        if self.core.engine != 0 {
            if !parent.is_present() {
                return self.first(name, carried, kind, at);
            }
            if parent.is_remote() {
                let sampled = self.core.sampling.of_remote(self.asked(name, &parent));
                parent.active.flags &= !flag::SAMPLED;
                parent.active.flags |= if sampled { flag::SAMPLED } else { 0 };
            }
        }
        self.below(name, parent, carried, kind, at)
    }

    #[inline(always)]
    fn below(
        &self,
        name: &str,
        parent: SpanContext,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: u64,
    ) -> Span {
        if self.core.engine == 0 {
            // There is no such span for anybody to be below.
            return Span::unsampled(parent, carried);
        }
        let context = parent.child();
        if !parent.is_sampled() {
            return Span::unsampled(context, carried);
        }
        self.begin_with(name, context, Some(parent), carried, kind, at)
    }

    #[inline(always)]
    fn begin_with(
        &self,
        name: &str,
        context: SpanContext,
        parent: Option<SpanContext>,
        carried: Option<Arc<Carried>>,
        kind: SpanKind,
        at: u64,
    ) -> Span {
        let trace = u128::from_ne_bytes(context.trace_bytes());
        let span = u64::from_ne_bytes(context.span_bytes());
        let below = parent.map_or(0, |parent| u64::from_ne_bytes(parent.span_bytes()));
        let remote = parent.map_or(0, |parent| parent.active.flags & flag::REMOTE);
        let flags = u32::from_ne_bytes([context.active.flags, remote, kind as u8, 0]);
        self.begin(name, trace, span, below, flags, carried, at)
    }

    /// Out of line: what is not sampled has none of it. Ids and flags go in registers: what is written
    /// by words and read as a whole right after waits until it has reached the cache.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)]
    fn begin(
        &self,
        name: &str,
        trace: u128,
        span: u64,
        parent: u64,
        flags: u32,
        carried: Option<Arc<Carried>>,
        at: u64,
    ) -> Span {
        let core = &*self.core;
        let ticks = if at == NOW { core.clock.ticks() } else { at };
        let [flags, remote, kind, _] = flags.to_ne_bytes();
        let context = SpanContext::of(trace.to_ne_bytes(), span.to_ne_bytes(), flags);
        let (scope, parent) = (self.scope, parent.to_ne_bytes());
        let beginning = Beginning { core, scope, ticks, name, kind, parent, remote };
        let open = Open::begin(&context, carried.as_deref(), beginning);
        Span::recorded(context, carried, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vitals;
    use crate::traces::TraceConfig;

    fn engine(attributes: u16) -> Vitals {
        let mut traces = TraceConfig::to_memory();
        traces.limits.counts = [attributes; 3];
        Vitals::builder().system_metrics(false).traces(traces).build().unwrap()
    }

    /// What a span was kept in is used for the next one of the thread, whose engine may be another.
    #[test]
    fn a_span_has_the_bounds_of_its_own_engine() {
        let engines = [1, 3].map(|most| (engine(most), most));
        for _ in 0..3 {
            for (vitals, _) in &engines {
                let mut span = vitals.tracer("x").span("bounded");
                ["a", "b", "c", "d"].iter().for_each(|key| span.set_attribute(key, 1));
            }
        }
        for (vitals, most) in &engines {
            vitals.with_captured_spans(|spans| {
                assert_eq!(spans.len(), 3);
                for span in spans {
                    assert_eq!(span.attributes().count(), usize::from(*most));
                    assert_eq!(span.dropped_attributes, u32::from(4 - most));
                }
            });
        }
    }

    /// A span gives up what it carries, however it ends, sampled or not.
    #[test]
    fn what_is_carried_goes_with_the_last_that_carries_it() {
        let vitals = engine(1);
        let tracer = vitals.tracer("x");
        let carried = Arc::new(Carried { tracestate: "a=1".into(), ..Carried::default() });
        for sampled in [0, flag::SAMPLED] {
            let mut context = SpanContext::of([1; 16], [2; 8], sampled);
            context.active.flags |= flag::CARRIED;
            let span = || tracer.child("x", Parent { context, carried: Some(carried.clone()) });
            drop(span());
            span().end();
            span().end_at(1);
            span().abandon();
            let outer = span();
            {
                let _current = outer.enter();
                drop(tracer.span("inner"));
            }
            assert_eq!(outer.carried(), Some(&*carried));
            drop(outer);
            assert_eq!(Arc::strong_count(&carried), 1);
        }
        vitals.with_captured_spans(|spans| {
            assert_eq!(spans.len(), 6);
            assert!(spans.iter().all(|span| span.tracestate.to_str() == "a=1"));
        });
    }
}

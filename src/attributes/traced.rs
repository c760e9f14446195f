//! `#[traced]` and `#[trace_mcp_tool]`: a span for each call; a request's span is renamed.

use super::run::{End, Record};
use super::site::Cached;
use crate::Vitals;
use crate::mcp::rename::name_span;
use crate::traces::{EnteredSpan, Span, SpanKind, SpanStatus, Tracer};

/// A site of `#[traced]`.
pub struct Traced {
    name: &'static str,
    scope: &'static str,
    kind: SpanKind,
    /// Nothing where the engine does not trace.
    tracer: Cached<Option<Tracer>>,
}

/// A site of `#[trace_mcp_tool]`.
pub struct ToolTraced {
    /// Of a span of its own.
    name: &'static str,
    tool: &'static str,
    operation: &'static str,
    scope: &'static str,
    /// The same, and the engine's number.
    tracer: Cached<Option<(Tracer, u64)>>,
}

/// The span of a call.
pub struct SpanOf(Span);

fn tracer(vitals: &Vitals, scope: &str) -> Option<Tracer> {
    Some(vitals.tracer(scope)).filter(Tracer::is_tracing)
}

impl Traced {
    /// For a static; `scope` is the tracer's name.
    pub const fn new(name: &'static str, scope: &'static str, kind: SpanKind) -> Traced {
        Traced { name, scope, kind, tracer: Cached::new() }
    }

    /// A call begins. Nothing where nobody traces.
    #[inline(always)]
    pub fn begin(&'static self) -> Option<SpanOf> {
        let tracer = self.tracer.get(|vitals| tracer(vitals, self.scope))?;
        let mut span = tracer.as_ref()?.span(self.name);
        if self.kind as u8 != SpanKind::Internal as u8 {
            span.set_kind(self.kind);
        }
        Some(SpanOf(span))
    }
}

impl ToolTraced {
    /// For a static; `scope` is the tracer's name.
    pub const fn new(
        name: &'static str,
        tool: &'static str,
        operation: &'static str,
        scope: &'static str,
    ) -> ToolTraced {
        ToolTraced { name, tool, operation, scope, tracer: Cached::new() }
    }

    /// A call begins. Nothing where nobody traces; and in a request, whose span now has these names.
    #[inline(always)]
    pub fn begin(&'static self) -> Option<SpanOf> {
        let make = |vitals: &Vitals| Some((tracer(vitals, self.scope)?, vitals.mcp().engine()));
        let held = self.tracer.get(make)?;
        let (tracer, engine) = held.as_ref()?;
        self.span(tracer, *engine)
    }

    fn span(&self, tracer: &Tracer, engine: u64) -> Option<SpanOf> {
        if name_span(engine, self.tool, self.operation) {
            return None;
        }
        let mut span = tracer.span(self.name);
        span.set_attribute("gen_ai.operation.name", "execute_tool");
        span.set_attribute("gen_ai.tool.name", self.tool);
        span.set_attribute("mcp.operation.name", self.operation);
        Some(SpanOf(span))
    }
}

/// The span of a call, to set attributes: where they are recorded.
#[inline(always)]
pub fn recording(span: &mut Option<SpanOf>) -> Option<&mut Span> {
    span.as_mut().map(|span| &mut span.0).filter(|span| span.is_recording())
}

impl Record for SpanOf {
    type Scope<'a> = EnteredSpan<'a>;

    #[inline(always)]
    fn enter(&self) -> EnteredSpan<'_> {
        self.0.enter()
    }

    #[inline(always)]
    fn end(self, end: End<'_>) {
        let SpanOf(span) = self;
        match end {
            End::Returned(None) => returned(span),
            other => fail(span, other),
        }
    }
}

#[inline(always)]
fn returned(span: Span) {
    if std::thread::panicking() {
        // It returned while another unwinds: the panic is not its own.
        span.end_here();
    }
}

#[cold]
fn fail(mut span: Span, end: End<'_>) {
    if !span.is_recording() {
        return;
    }
    match end {
        End::Returned(None) => {}
        End::Returned(Some(failure)) => {
            let error_type = failure.error_type();
            span.set_attribute("error.type", error_type.as_str());
            match failure.exception() {
                Some(exception) => span.record_exception(&exception),
                None => span.set_status(SpanStatus::Error, error_type.as_str()),
            }
            returned(span);
        }
        End::Panicked => {
            span.set_attribute("error.type", "panic");
            span.abandon();
        }
        End::Dropped => {
            span.set_attribute("error.type", "dropped");
            span.abandon();
        }
    }
}

//! Contexts that come from other processes and go to them.

use std::sync::Arc;

use super::carrier::{Carrier, CarrierMut};
use super::context::{Carried, Parent, SpanContext, flag};
use super::span::Span;
use super::w3c::baggage::Baggage;
use super::w3c::{self, Header, traceparent};

impl Parent {
    /// What came with a request, as W3C Trace Context and Baggage have it: `traceparent`,
    /// `tracestate` and `baggage`. To begin a span below it, see [`Tracer::child`](super::Tracer::child).
    ///
    /// Nothing where nothing came, or nothing that was as it should be: then a trace begins here.
    /// Baggage without a `traceparent` is of no trace: a child begins one and takes the baggage on.
    /// [`Vitals::extract`](crate::Vitals::extract) does the same, and counts what was malformed.
    ///
    /// Allocates where there is a `tracestate` or baggage.
    ///
    /// ```
    /// use mcp_vitals::traces::Parent;
    ///
    /// let headers = [
    ///     ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"),
    ///     ("baggage", "tenant=blue"),
    /// ];
    /// let parent = Parent::extract(&headers).unwrap();
    /// assert!(parent.context().is_remote() && parent.context().is_sampled());
    /// assert_eq!(parent.baggage().get("tenant").as_deref(), Some("blue"));
    /// ```
    pub fn extract<C: Carrier + ?Sized>(carrier: &C) -> Option<Parent> {
        w3c::extract(carrier, &mut |_| {})
    }

    /// Writes it to `carrier`, so that whoever gets it is the span's child; what it carries goes
    /// along. A trace that is not sampled says so. Where it has no ids, only baggage is written.
    pub fn inject<C: CarrierMut + ?Sized>(&self, carrier: &mut C) {
        inject(self.context, self.carried.as_deref(), carrier);
    }

    /// What the application gave to all who take part in the trace.
    pub fn baggage(&self) -> Baggage<'_> {
        baggage(self.carried.as_deref())
    }

    /// What other systems keep in the trace, as it is sent; empty where there is nothing.
    pub fn tracestate(&self) -> &str {
        self.carried.as_deref().map_or("", |carried| &carried.tracestate)
    }

    /// With the baggage of `other`, where that has any, instead of its own.
    #[cfg(feature = "rmcp")]
    pub(crate) fn with_all_baggage_of(mut self, other: &Parent) -> Parent {
        if !other.baggage().is_empty() {
            let (tracestate, baggage) = (self.tracestate().into(), other.baggage().as_str().into());
            self.carried = Some(Arc::new(Carried { tracestate, baggage }));
            self.context.active.flags |= flag::CARRIED;
        }
        self
    }

    /// With `key` set to `value` in its baggage, for what begins below it. A `key` that is no token of
    /// HTTP (`[A-Za-z0-9]` and ``!#$%&'*+-.^_`|~``) and what would be more than 64 entries or 8 KiB
    /// changes nothing. Allocates.
    pub fn with_baggage(mut self, key: &str, value: &str) -> Parent {
        if let Some(baggage) = self.baggage().with(key, value) {
            let tracestate = self.tracestate().into();
            self.carried = Some(Arc::new(Carried { tracestate, baggage }));
            self.context.active.flags |= flag::CARRIED;
        }
        self
    }
}

impl Span {
    /// Writes its context to `carrier`: see [`Parent::inject`]. A span of no trace writes nothing.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use mcp_vitals::{Vitals, traces::TraceConfig};
    /// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
    /// let span = vitals.tracer("search").span("fetch");
    /// let mut headers = HashMap::new();
    /// span.inject(&mut headers);
    /// assert!(headers["traceparent"].contains(&span.context().span_id().unwrap().to_string()));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn inject<C: CarrierMut + ?Sized>(&self, carrier: &mut C) {
        inject(self.context(), self.carried(), carrier);
    }

    /// What the application gave to all who take part in its trace.
    pub fn baggage(&self) -> Baggage<'_> {
        baggage(self.carried())
    }
}

/// Writes the calling thread's current span to `carrier`, for a call to another process; where there
/// is none, nothing.
pub fn inject_current<C: CarrierMut + ?Sized>(carrier: &mut C) {
    if let Some(parent) = Parent::current() {
        parent.inject(carrier);
    }
}

fn baggage(carried: Option<&Carried>) -> Baggage<'_> {
    Baggage::new(carried.map_or("", |carried| &carried.baggage))
}

fn inject<C: CarrierMut + ?Sized>(
    context: SpanContext,
    carried: Option<&Carried>,
    carrier: &mut C,
) {
    let has_ids = context.is_present();
    if has_ids {
        let text = traceparent::write(context);
        // Hexadecimal digits and dashes.
        carrier.set(Header::Traceparent.name(), std::str::from_utf8(&text).unwrap_or_default());
    }
    let Some(carried) = carried else { return };
    if has_ids && !carried.tracestate.is_empty() {
        carrier.set(Header::Tracestate.name(), &carried.tracestate);
    }
    if !carried.baggage.is_empty() {
        carrier.set(Header::Baggage.name(), &carried.baggage);
    }
}

//! The headers of W3C Trace Context (level 2) and Baggage: read strictly, written as they say.
//!
//! Whoever sends a request chose what is in them. What is read here is bounded, what is not as the
//! recommendations have it is named by a [`Fault`], and the rest goes on without it: a malformed
//! `traceparent` begins a new trace, and a malformed `tracestate` or `baggage` never costs the
//! `traceparent`.

pub(crate) mod baggage;
pub(crate) mod traceparent;
pub(crate) mod tracestate;

use std::sync::Arc;

use super::carrier::Carrier;
use super::context::{Carried, Parent, SpanContext, flag};

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Traceparent,
    Tracestate,
    Baggage,
}

impl Header {
    /// Its name, as HTTP/2 and MCP's `_meta` have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Header::Traceparent => "traceparent",
            Header::Tracestate => "tracestate",
            Header::Baggage => "baggage",
        }
    }
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Of a `traceparent`: too short, or too long for its version.
    Length,
    /// `ff`, or no version at all.
    Version,
    /// A character where none of its kind may stand.
    Format,
    /// An id of zeroes.
    ZeroId,
    /// More than one `traceparent`.
    Repeated,
    /// More list members than there may be.
    Members,
    /// A key that was there before; the first one, which is the newest, was kept.
    DuplicateKey,
    /// Whole members were left out to make it as short as it has to be.
    TooLong,
}

impl Reason {
    /// As the metric's label has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Reason::Length => "length",
            Reason::Version => "version",
            Reason::Format => "format",
            Reason::ZeroId => "zero_id",
            Reason::Repeated => "repeated",
            Reason::Members => "members",
            Reason::DuplicateKey => "duplicate_key",
            Reason::TooLong => "too_long",
        }
    }
}

/// A header that was not as it should be; told once for a header and reason.
pub(crate) type Fault = (Header, Reason);

/// What came with a request; nothing where nothing came that could be used.
pub(crate) fn extract<C: Carrier + ?Sized>(
    carrier: &C,
    told: &mut dyn FnMut(Fault),
) -> Option<Parent> {
    let context = context(carrier, told);
    let mut carried = Carried::default();
    if context.is_some() {
        let mut list = tracestate::Reader::default();
        carrier.each_value(Header::Tracestate.name(), &mut |value| list.read(value));
        carried.tracestate = list.finish(&mut |reason| told((Header::Tracestate, reason)));
    }
    let mut list = baggage::Reader::default();
    carrier.each_value(Header::Baggage.name(), &mut |value| list.read(value));
    carried.baggage = list.finish(&mut |reason| told((Header::Baggage, reason)));

    if carried == Carried::default() {
        return context.map(Parent::from);
    }
    // Baggage alone belongs to no trace yet.
    let mut context = context.unwrap_or(SpanContext::NONE);
    context.active.flags |= flag::CARRIED;
    Some(Parent { context, carried: Some(Arc::new(carried)) })
}

fn context<C: Carrier + ?Sized>(carrier: &C, told: &mut dyn FnMut(Fault)) -> Option<SpanContext> {
    let mut read = None;
    carrier.each_value(Header::Traceparent.name(), &mut |value| {
        read = Some(match read {
            None => traceparent::parse(value),
            // Which of the two it is nobody can know.
            Some(_) => Err(Reason::Repeated),
        });
    });
    match read? {
        Ok(context) => Some(context),
        Err(reason) => {
            told((Header::Traceparent, reason));
            None
        }
    }
}

/// Spaces and tabs at both ends, which HTTP allows around a value and its list members.
fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

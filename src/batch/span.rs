//! A span as the background sees it: read where its frame stands, nothing copied.

use std::fmt;

use crate::clock::Clock;
use crate::ring::frame::{Field, Frame, Text};
use crate::ring::span::{Item, SpanFrame, SpanItems, item};
use crate::traces::context::flag;
use crate::traces::{SpanContext, SpanId, SpanKind, SpanStatus, TraceId};

use super::record::Names;

/// A span that has ended.
#[derive(Clone)]
#[non_exhaustive]
pub struct SpanRecord<'a> {
    /// The ids, and whether its trace was sampled where it began.
    pub context: SpanContext,
    /// The span that it is a part of; nothing for the first of a trace.
    pub parent_span_id: Option<SpanId>,
    /// Whether that one was made in another process.
    pub has_remote_parent: bool,
    /// Nanoseconds since 1970, UTC.
    pub start_unix_nanos: u64,
    /// The same of the end, never before the start.
    pub end_unix_nanos: u64,
    /// What was done.
    pub name: Text<'a>,
    /// The tracer's name: OpenTelemetry's instrumentation scope.
    pub scope: Text<'a>,
    /// The name of the thread that it ended on, or its number.
    pub thread: Text<'a>,
    /// What part it had.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// Why, where it failed; empty where nobody said.
    pub status_message: Text<'a>,
    /// W3C's `tracestate`, empty where there is none.
    pub tracestate: Text<'a>,
    /// What was left out for want of room.
    pub dropped_attributes: u32,
    /// The same of events.
    pub dropped_events: u32,
    /// The same of links.
    pub dropped_links: u32,
    items: SpanItems<'a>,
    /// What turns an event's ticks into the time of day.
    end_ticks: u64,
    clock: Clock,
}

/// Something that happened within a span.
#[derive(Clone)]
#[non_exhaustive]
pub struct SpanEvent<'a> {
    /// Nanoseconds since 1970, UTC.
    pub unix_nanos: u64,
    /// What happened.
    pub name: Text<'a>,
    items: SpanItems<'a>,
}

/// Another span that has to do with one.
#[derive(Clone)]
#[non_exhaustive]
pub struct SpanLink<'a> {
    /// Its ids.
    pub context: SpanContext,
    items: SpanItems<'a>,
}

impl<'a> SpanRecord<'a> {
    /// What `frame` says, which ended at `end_unix_nanos`; nothing where it makes no sense.
    #[inline(always)]
    pub(crate) fn read(
        frame: Frame<'a>,
        names: Names<'a>,
        end_unix_nanos: u64,
        clock: Clock,
    ) -> Option<SpanRecord<'a>> {
        let span = SpanFrame::read(frame)?;
        let (SpanFrame { fixed, end, name, tracestate, .. }, items) = (span, span.items());
        let (trace, span) = fixed.ids.split_first_chunk()?;
        let status = SpanStatus::of(fixed.status);
        let message = match status {
            SpanStatus::Error => items.message(),
            // Nearly all: no look at their items for what is not there.
            _ => Text::default(),
        };
        let took = clock.nanos(end.saturating_sub(fixed.start));
        let [attributes, events, links] = fixed.left_out.map(u32::from);
        Some(SpanRecord {
            context: SpanContext::of(*trace, *span.first_chunk()?, fixed.flags & flag::SENT),
            parent_span_id: SpanId::from_bytes(fixed.parent),
            has_remote_parent: fixed.flags & flag::REMOTE != 0,
            start_unix_nanos: end_unix_nanos.saturating_sub(took),
            end_unix_nanos,
            name,
            scope: Text::new(names.logger.as_bytes()),
            thread: Text::new(names.thread.as_bytes()),
            kind: SpanKind::of(fixed.kind),
            status,
            status_message: message,
            tracestate,
            dropped_attributes: attributes,
            dropped_events: events,
            dropped_links: links,
            items,
            end_ticks: end,
            clock,
        })
    }

    /// The trace that it belongs to.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.context.trace_id()
    }

    /// Its own id.
    pub fn span_id(&self) -> Option<SpanId> {
        self.context.span_id()
    }

    /// When it ended, on the process's own clock.
    pub(crate) fn end_ticks(&self) -> u64 {
        self.end_ticks
    }

    /// How long it took, in nanoseconds.
    pub fn duration_nanos(&self) -> u64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos)
    }

    /// Its attributes in the order in which they were set. Of two of one name the later counts.
    pub fn attributes(&self) -> impl Iterator<Item = Field<'a>> + Clone + use<'a> {
        let mut items = self.items.clone();
        std::iter::from_fn(move || items.next_field_of(item::ATTRIBUTE))
    }

    /// What happened within it, in its order.
    pub fn events(&self) -> impl Iterator<Item = SpanEvent<'a>> + use<'a> {
        let (end, end_ticks, clock) = (self.end_unix_nanos, self.end_ticks, self.clock);
        let mut items = self.items.clone();
        std::iter::from_fn(move || match items.next_of(item::EVENT)? {
            Item::Event { ticks, name } => {
                let unix_nanos = at(ticks, end_ticks, end, clock);
                Some(SpanEvent { unix_nanos, name, items: items.clone() })
            }
            _ => None,
        })
    }

    /// All of it in its order, in one walk: attributes, of which a later one of the same name counts,
    /// events and links.
    #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
    #[inline]
    pub(crate) fn parts(&self, mut give: impl FnMut(Part<'a>)) {
        let mut items = self.items.clone();
        while let Some(item) = items.next() {
            match item {
                Item::Attribute(field) => {
                    let it = (item::ATTRIBUTE, field.key.as_bytes());
                    let mut rest = items.clone();
                    if !std::iter::from_fn(|| rest.pass()).any(|passed| passed == it) {
                        give(Part::Attribute(field));
                    }
                }
                Item::Event { ticks, name } => {
                    let unix_nanos = at(ticks, self.end_ticks, self.end_unix_nanos, self.clock);
                    give(Part::Event(SpanEvent { unix_nanos, name, items: items.clone() }));
                }
                Item::Link { ids, flags } => {
                    if let Some(context) = linked(&ids, flags) {
                        give(Part::Link(SpanLink { context, items: items.clone() }));
                    }
                }
                // Of the event or link before, or read already.
                Item::OfEvent(_) | Item::OfLink(_) | Item::Message(_) => {}
            }
        }
    }

    /// The spans that it says it has to do with.
    pub fn links(&self) -> impl Iterator<Item = SpanLink<'a>> + use<'a> {
        let mut items = self.items.clone();
        std::iter::from_fn(move || match items.next_of(item::LINK)? {
            Item::Link { ids, flags } => {
                Some(SpanLink { context: linked(&ids, flags)?, items: items.clone() })
            }
            _ => None,
        })
    }
}

/// What a span has beside its fixed part.
#[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
pub(crate) enum Part<'a> {
    /// The last of its name.
    Attribute(Field<'a>),
    Event(SpanEvent<'a>),
    Link(SpanLink<'a>),
}

/// The time of day of an event in a span that ended so.
#[inline]
fn at(ticks: u64, end_ticks: u64, end_unix_nanos: u64, clock: Clock) -> u64 {
    match end_ticks.checked_sub(ticks) {
        Some(before) => end_unix_nanos.saturating_sub(clock.nanos(before)),
        None => end_unix_nanos,
    }
}

fn linked(ids: &[u8], flags: u8) -> Option<SpanContext> {
    let (trace, span) = ids.split_first_chunk()?;
    Some(SpanContext::of(*trace, *span.first_chunk()?, flags))
}

impl<'a> SpanEvent<'a> {
    /// Its attributes. What an error said is one field, [`Value::Error`](crate::logs::Value::Error).
    pub fn attributes(&self) -> impl Iterator<Item = Field<'a>> + Clone + use<'a> {
        self.items.clone().map_while(|item| match item {
            Item::OfEvent(field) => Some(field),
            _ => None,
        })
    }
}

impl<'a> SpanLink<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> impl Iterator<Item = Field<'a>> + Clone + use<'a> {
        self.items.clone().map_while(|item| match item {
            Item::OfLink(field) => Some(field),
            _ => None,
        })
    }
}

impl fmt::Debug for SpanRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanRecord")
            .field("name", &self.name)
            .field("context", &self.context)
            .field("parent_span_id", &self.parent_span_id)
            .field("duration_nanos", &self.duration_nanos())
            .field("status", &self.status)
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

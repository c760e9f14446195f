//! Chrome's trace event format, which Perfetto's UI and `chrome://tracing` open:
//! <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.
//!
//! A span is a complete event (`X`). Complete events of one track must lie within each other or
//! apart, and one that lies within another reads as its part. Spans of a thread do neither where
//! tasks take turns on it. So a thread has *lanes*, each a track of its own: a span is on its
//! parent's lane where it lies within it, else on one where nothing is open. Arrows (flow events)
//! lead from a parent to a child on another lane, and from a linked span to the one with the link.
//!
//! Times are microseconds with three decimals, counted from the first span on: as microseconds
//! since 1970 a double has no room for nanoseconds.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::form::{self, Service, cut_string, id, number, string};
use super::number::{LONGEST, write_scaled};
use crate::batch::SpanRecord;
use crate::ring::frame::{IDS, Value};
use crate::traces::SpanStatus;

/// Lanes of a thread. What overlaps with so many others is an asynchronous event (`b`, `e`), which
/// has no lane and nothing within it.
const MOST_LANES: usize = 32;

/// The one process.
const HEAD: &[u8] = b"\"pid\":1,\"tid\":";

/// Appends a document.
pub(crate) fn write<'a>(
    service: &Service<'_>,
    spans: impl IntoIterator<Item = SpanRecord<'a>>,
    out: &mut Vec<u8>,
) {
    let mut spans: Vec<SpanRecord<'_>> = spans.into_iter().collect();
    // They come by their ends: of two that are alike the later one is the parent.
    spans.reverse();
    spans.sort_by_key(|span| (span.start_unix_nanos, Reverse(span.end_unix_nanos)));
    let zero = spans.first().map_or(0, |span| span.start_unix_nanos);
    let mut lanes = Lanes::default();
    let places: Vec<Option<Place>> = spans.iter().map(|span| lanes.place(span)).collect();
    out.extend_from_slice(b"{\"displayTimeUnit\":\"ns\",\"otherData\":{\"start_unix_nanos\":\"");
    number(zero, out);
    out.push(b'"');
    for (key, text) in service.tags() {
        out.push(b',');
        string(key.as_bytes(), out);
        out.push(b':');
        string(text.as_bytes(), out);
    }
    out.extend_from_slice(b"},\"traceEvents\":[{\"ph\":\"M\",");
    out.extend_from_slice(HEAD);
    out.extend_from_slice(b"0,\"name\":\"process_name\",\"args\":{\"name\":");
    string(service.known_name().as_bytes(), out);
    out.extend_from_slice(b"}}");
    lanes.names(&spans, out);
    let mut events = Events { zero, flow: 0, out };
    for (span, place) in spans.iter().zip(&places) {
        events.span(span, *place, &lanes);
    }
    events.out.extend_from_slice(b"]}");
}

/// Where a span is.
#[derive(Clone, Copy)]
struct Place {
    lane: usize,
    /// Whether it lies within its parent there.
    within: bool,
    start: u64,
}

struct Lane {
    /// The span of which it has the thread's name.
    of: usize,
    /// Which of its thread's it is.
    nth: usize,
    /// The spans that were open at the last look, each within the one before: ends and ids.
    open: Vec<(u64, [u8; IDS])>,
}

impl Lane {
    fn close(&mut self, until: u64) {
        while self.open.pop_if(|(end, _)| *end <= until).is_some() {}
    }
}

#[derive(Default)]
struct Lanes<'a> {
    lanes: Vec<Lane>,
    of_thread: HashMap<&'a [u8], Vec<usize>>,
    of_span: HashMap<[u8; IDS], Place>,
    /// Spans that were placed, or could not be.
    seen: usize,
}

impl<'a> Lanes<'a> {
    /// Spans come by their starts, those that lie within others after these.
    fn place(&mut self, span: &SpanRecord<'a>) -> Option<Place> {
        let (start, end) = (span.start_unix_nanos, span.end_unix_nanos);
        let of = self.seen;
        self.seen += 1;
        let mine = self.of_thread.entry(span.thread.as_bytes()).or_default();
        let parent = parent(span);
        let mut found = None;
        if let Some(place) = parent.and_then(|parent| self.of_span.get(&parent))
            && mine.contains(&place.lane)
            && let Some(lane) = self.lanes.get_mut(place.lane)
        {
            lane.close(start);
            let top = lane.open.last();
            if top.is_some_and(|(least, ids)| *least >= end && Some(*ids) == parent) {
                found = Some((place.lane, true));
            }
        }
        for &lane in mine.iter() {
            if found.is_none() {
                self.lanes[lane].close(start);
                found = self.lanes[lane].open.is_empty().then_some((lane, false));
            }
        }
        if found.is_none() && mine.len() < MOST_LANES {
            mine.push(self.lanes.len());
            found = Some((self.lanes.len(), false));
            self.lanes.push(Lane { of, nth: mine.len(), open: Vec::new() });
        }
        let (lane, within) = found?;
        let ids = span.context.active.ids;
        self.lanes[lane].open.push((end, ids));
        let place = Place { lane, within, start };
        self.of_span.insert(ids, place);
        Some(place)
    }

    /// What the tracks are called, in the order of the threads' first spans.
    fn names(&self, spans: &[SpanRecord<'_>], out: &mut Vec<u8>) {
        let thread = |lane: &Lane| spans.get(lane.of).map_or_else(Default::default, |s| s.thread);
        for (at, lane) in self.lanes.iter().enumerate() {
            out.extend_from_slice(b",{\"ph\":\"M\",");
            out.extend_from_slice(HEAD);
            number(at + 1, out);
            out.extend_from_slice(b",\"name\":\"thread_name\",\"args\":{\"name\":");
            cut_string(thread(lane), out);
            if lane.nth > 1 {
                out.pop();
                out.extend_from_slice(b" (");
                number(lane.nth, out);
                out.extend_from_slice(b")\"");
            }
            out.extend_from_slice(b"}}");
        }
        // A thread's lanes beside each other, whenever they were needed first.
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        let first = |lane: &Lane| self.of_thread.get(thread(lane).as_bytes()).map(|all| all[0]);
        order.sort_by_key(|&at| (first(&self.lanes[at]), at));
        for (index, at) in order.into_iter().enumerate() {
            out.extend_from_slice(b",{\"ph\":\"M\",");
            out.extend_from_slice(HEAD);
            number(at + 1, out);
            out.extend_from_slice(b",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":");
            number(index, out);
            out.extend_from_slice(b"}}");
        }
    }
}

fn parent(span: &SpanRecord<'_>) -> Option<[u8; IDS]> {
    let mut ids = span.context.active.ids;
    ids[16..].copy_from_slice(&span.parent_span_id?.to_bytes());
    Some(ids)
}

struct Events<'a> {
    zero: u64,
    /// Numbers the arrows.
    flow: u64,
    out: &'a mut Vec<u8>,
}

impl Events<'_> {
    fn span(&mut self, span: &SpanRecord<'_>, place: Option<Place>, lanes: &Lanes<'_>) {
        let lane = place.map_or(0, |place| place.lane + 1);
        let (start, end) = (span.start_unix_nanos, span.end_unix_nanos);
        self.begin(if place.is_some() { b'X' } else { b'b' }, lane, start);
        if place.is_some() {
            self.out.extend_from_slice(b",\"dur\":");
            self.micros(end - start);
        } else {
            self.id(span);
        }
        self.out.extend_from_slice(b",\"cat\":\"span\",\"name\":");
        cut_string(span.name, self.out);
        self.out.extend_from_slice(b",\"args\":");
        self.args(span);
        self.out.push(b'}');
        if place.is_none() {
            self.begin(b'e', lane, end);
            self.id(span);
            self.out.extend_from_slice(b",\"cat\":\"span\",\"name\":");
            cut_string(span.name, self.out);
            self.out.push(b'}');
        }
        for event in span.events() {
            self.begin(b'i', lane, event.unix_nanos);
            self.out.extend_from_slice(b",\"s\":\"t\",\"cat\":\"event\",\"name\":");
            cut_string(event.name, self.out);
            self.out.extend_from_slice(b",\"args\":");
            let mut object = Object::begin(self.out);
            form::of_event(event.attributes(), |key, value| {
                json(value, object.key(key));
            });
            object.end();
            self.out.push(b'}');
        }
        let Some(place) = place else { return };
        if !place.within
            && let Some(from) = parent(span).and_then(|parent| lanes.of_span.get(&parent))
        {
            self.arrow(b"child", *from, place);
        }
        for link in span.links() {
            if let Some(from) = lanes.of_span.get(&link.context.active.ids) {
                self.arrow(b"link", *from, place);
            }
        }
    }

    /// What it is, where, and when.
    fn begin(&mut self, phase: u8, lane: usize, at: u64) {
        self.out.extend_from_slice(b",{\"ph\":\"");
        self.out.extend_from_slice(&[phase, b'"', b',']);
        self.out.extend_from_slice(HEAD);
        number(lane, self.out);
        self.out.extend_from_slice(b",\"ts\":");
        self.micros(at.saturating_sub(self.zero));
    }

    fn micros(&mut self, nanos: u64) {
        let mut room = [0; LONGEST];
        let length = write_scaled(&mut room, nanos, 3);
        self.out.extend_from_slice(&room[..length]);
    }

    fn id(&mut self, span: &SpanRecord<'_>) {
        self.out.extend_from_slice(b",\"id\":");
        id(&span.context.span_bytes(), self.out);
    }

    /// An arrow's end is tied to what is open on its lane then, the innermost: at a span's start that
    /// is the span. None leads back in time: Perfetto takes such a one for two that are broken.
    fn arrow(&mut self, name: &[u8], from: Place, to: Place) {
        if from.start > to.start {
            return;
        }
        let steps = [(b's', from.lane, from.start), (b'f', to.lane, to.start)];
        for (phase, lane, at) in steps {
            self.begin(phase, lane + 1, at);
            self.out.extend_from_slice(b",\"bp\":\"e\",\"id\":");
            number(self.flow, self.out);
            self.out.extend_from_slice(b",\"cat\":\"flow\",\"name\":\"");
            self.out.extend_from_slice(name);
            self.out.extend_from_slice(b"\"}");
        }
        self.flow += 1;
    }

    fn args(&mut self, span: &SpanRecord<'_>) {
        let mut args = Object::begin(self.out);
        id(&span.context.trace_bytes(), args.key(b"trace_id"));
        id(&span.context.span_bytes(), args.key(b"span_id"));
        if let Some(parent) = span.parent_span_id {
            id(&parent.to_bytes(), args.key(b"parent_span_id"));
        }
        string(span.kind.as_str().as_bytes(), args.key(b"kind"));
        let status = match span.status {
            SpanStatus::Unset => None,
            SpanStatus::Ok => Some(&b"ok"[..]),
            SpanStatus::Error => Some(&b"error"[..]),
        };
        if let Some(status) = status {
            string(status, args.key(b"status"));
        }
        for (key, text) in [(&b"status_message"[..], span.status_message), (b"scope", span.scope)] {
            if !text.as_bytes().is_empty() {
                cut_string(text, args.key(key));
            }
        }
        for (key, count) in form::dropped(span) {
            number(count, args.key(key.as_bytes()));
        }
        if span.attributes().next().is_some() {
            // Within an object of their own, so that none is taken for one of the above.
            let mut attributes = Object::begin(args.key(b"attributes"));
            form::latest(span.attributes(), |key, value| json(value, attributes.key(key)));
            attributes.end();
        }
        args.end();
    }
}

/// As all JSON has it; but Perfetto reads integers of 64 bits with a sign, and of a larger one makes -1.
fn json(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::U64(n) if n > i64::MAX as u64 => {
            string(itoa::Buffer::new().format(n).as_bytes(), out)
        }
        _ => form::json(value, out),
    }
}

/// `{"key":…,"key":…}`
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// The next key, behind which its value goes.
    fn key(&mut self, key: &[u8]) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        string(key, self.out);
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

//! Spans that wait until it is known whether their trace is kept.
//!
//! A trace is kept by the first of its spans that a rule keeps, and from then on its spans pass. What
//! waits is what no rule has kept yet; the end of the local root, a time-out, or a bound that is
//! reached makes it dropped. Of a trace with several local roots (requests of one client's trace, say)
//! a root's end drops the spans below it alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::timed;
use crate::clock::Clock;
use crate::ring::frame::Frame;
use crate::ring::span::{Fixed, SpanFrame};
use crate::shard::space::Space;
use crate::store::account::Account;
use crate::store::table::{At, Id, Table};
use crate::traces::context::flag;
use crate::traces::tail::{Tail, Why, is_local_root};

/// Queues of the table: spans wait, and no local root of them has ended; one has; a verdict is known.
const OPEN: usize = 0;
const ENDED: usize = 1;
const DECIDED: usize = 2;

/// Verdicts that are remembered.
const REMEMBERED: usize = 8_192;
/// Bytes that a trace's first span allocates, and buffers of that size that are kept for others.
const FIRST: usize = 512;
const SPARE: usize = 256;
/// Passes over a trace's spans in search of those below an ended root. Children end before their
/// parents, so that one is enough; what ended the other way round may take more, or waits on.
const PASSES: usize = 4;

/// What a trace that was dropped was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// A rule that keeps it.
    Rest,
    /// The end of its local root.
    TimedOut,
    /// Room.
    Overflow,
    /// Time: the engine ended.
    Stopped,
}

impl Dropped {
    /// Every reason, in the order of their numbers.
    pub(crate) const ALL: [Dropped; 4] =
        [Dropped::Rest, Dropped::TimedOut, Dropped::Overflow, Dropped::Stopped];

    /// The value of the label `rule`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Dropped::Rest => "rest",
            Dropped::TimedOut => "timeout",
            Dropped::Overflow => "overflow",
            Dropped::Stopped => "stopped",
        }
    }
}

/// What was decided, and what waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    /// Traces, by reason.
    pub(crate) kept: [u64; 7],
    pub(crate) dropped: [u64; 4],
    /// Spans.
    pub(crate) kept_spans: u64,
    pub(crate) dropped_spans: u64,
    /// Of those the ones that came after their trace had been dropped.
    pub(crate) late_spans: u64,
    /// Now.
    pub(crate) waiting: u64,
    pub(crate) waiting_bytes: u64,
}

/// What is known of a trace.
#[derive(Default)]
struct Trace {
    /// Of the spans that wait, each behind the time of its end.
    frames: Vec<u8>,
    spans: u32,
    /// Ticks: of the first that waits, or of the root's end.
    since: u64,
    kept: bool,
    /// It was dropped before.
    again: bool,
}

/// Puts traces together until they are decided on.
pub(super) struct Assembler {
    rules: Tail,
    decide_after: u64,
    grace: u64,
    clock: Clock,
    now: u64,
    table: Table<Trace, 3>,
    account: Account,
    bytes: u64,
    spare: Vec<Vec<u8>>,
    below: HashSet<[u8; 8], foldhash::fast::RandomState>,
    decisions: Decisions,
}

/// What goes on: a span's end and its frame.
pub(super) trait Pass: FnMut(u64, Frame<'_>) {}
impl<F: FnMut(u64, Frame<'_>)> Pass for F {}

type Waiting = Table<Trace, 3>;

impl Assembler {
    pub(super) fn new(
        rules: Tail,
        space: Arc<Space>,
        clock: Clock,
        decisions: Decisions,
    ) -> Assembler {
        let mut assembler = Assembler {
            decide_after: 0,
            grace: 0,
            rules,
            clock,
            now: clock.ticks(),
            table: Table::new(),
            account: Account::new(space),
            bytes: 0,
            spare: Vec::new(),
            below: HashSet::default(),
            decisions,
        };
        assembler.set_times();
        assembler
    }

    fn set_times(&mut self) {
        let ticks = |duration: Duration| self.clock.ticks_of(duration.as_nanos() as u64);
        self.decide_after = ticks(self.rules.decide_after);
        self.grace = ticks(self.rules.grace);
    }

    pub(super) fn decisions(&self) -> Decisions {
        let waiting = (self.table.length(OPEN) + self.table.length(ENDED)) as u64;
        Decisions { waiting, waiting_bytes: self.bytes, ..self.decisions }
    }

    /// Takes a span that ended at `end`; what is kept goes to `pass`.
    pub(super) fn take(
        &mut self,
        end: u64,
        frame: Frame<'_>,
        span: &SpanFrame<'_>,
        pass: &mut impl Pass,
    ) {
        let id = id_of(&span.fixed);
        let found = self.table.find(id);
        if let Some(at) = found
            && self.table.get(at).kept
        {
            // Not forgotten as long as it goes on.
            self.table.move_to(at, DECIDED);
            self.decisions.kept_spans += 1;
            return pass(end, frame);
        }
        match self.rules.why(span, self.clock) {
            // By the id: the next ones too, without being told.
            Some(Why::Share) if found.is_none() => {
                self.decisions.kept_spans += 1;
                // Spans of a trace are not counted as traces: its local root is.
                self.decisions.kept[Why::Share as usize] += u64::from(is_local_root(span));
                pass(end, frame);
            }
            Some(why) => {
                self.keep(id, why, pass);
                self.decisions.kept_spans += 1;
                pass(end, frame);
            }
            None => self.wait(id, end, frame, is_local_root(span)),
        }
    }

    /// Keeps a trace, whatever the rules say.
    pub(super) fn keep(&mut self, id: Id, why: Why, pass: &mut impl Pass) {
        let at = match self.table.find(id) {
            Some(at) => at,
            None => match self.add(id) {
                Some(at) => at,
                // It is kept now, and nobody will know later.
                None => return self.decisions.kept[why as usize] += 1,
            },
        };
        if std::mem::replace(&mut self.table.get(at).kept, true) {
            return;
        }
        self.decisions.kept[why as usize] += 1;
        let (frames, spans) = self.empty(at);
        self.decisions.kept_spans += u64::from(spans);
        let mut rest = &frames[..];
        while let Some((end, frame)) = timed(&mut rest) {
            pass(end, frame);
        }
        self.reuse(frames);
        self.table.move_to(at, DECIDED);
        self.forget();
    }

    fn wait(&mut self, id: Id, end: u64, frame: Frame<'_>, is_root: bool) {
        let length = 8 + frame.bytes().len();
        let Some(at) = self.room(id, length) else {
            // Not even alone.
            self.decisions.dropped_spans += 1;
            self.decisions.dropped[Dropped::Overflow as usize] += 1;
            return;
        };
        let trace = self.table.get(at);
        trace.frames.extend_from_slice(&end.to_le_bytes());
        trace.frames.extend_from_slice(frame.bytes());
        trace.spans += 1;
        let is_first = trace.spans == 1;
        if is_first {
            trace.since = self.now;
        }
        if is_root && (is_first || self.table.queue(at) == OPEN) {
            self.table.get(at).since = self.now;
            self.table.move_to(at, ENDED);
        } else if is_first {
            self.table.move_to(at, OPEN);
        }
    }

    /// Finds or makes a trace's entry with room for `length` bytes more, if others have to go for it.
    fn room(&mut self, id: Id, length: usize) -> Option<At> {
        if length as u64 > self.rules.most_bytes {
            return None;
        }
        // Each time one goes, and this one itself may.
        for _ in 0..2 * (self.waiting() + self.table.length(DECIDED)) + 4 {
            let found = self.table.find(id);
            let waits = found.is_some_and(|at| self.table.queue(at) != DECIDED);
            let at = match waits || self.waiting() < self.rules.most_traces as usize {
                true => found.or_else(|| self.add(id)),
                false => None,
            };
            if let Some(at) = at
                && self.grow(at, length)
            {
                return Some(at);
            }
            self.drop_oldest().or_else(|| self.forget_one())?;
        }
        None
    }

    fn waiting(&self) -> usize {
        self.table.length(OPEN) + self.table.length(ENDED)
    }

    /// Nothing where the budget has no room.
    fn add(&mut self, id: Id) -> Option<At> {
        self.account.take(Waiting::ENTRY).then(|| self.table.add(id, OPEN, Trace::default()))
    }

    fn grow(&mut self, at: At, length: usize) -> bool {
        let frames = &mut self.table.get(at).frames;
        let wanted = frames.len() + length;
        let before = frames.capacity();
        if wanted <= before {
            return true;
        }
        if before == 0
            && wanted <= FIRST
            && let Some(spare) = self.spare.pop()
        {
            // Whose bytes are charged while it is in use.
            if self.charge(spare.capacity()) {
                self.table.get(at).frames = spare;
                return true;
            }
            self.spare.push(spare);
            return false;
        }
        let after = wanted.next_power_of_two().max(FIRST);
        if !self.charge(after - before) {
            return false;
        }
        let frames = &mut self.table.get(at).frames;
        frames.reserve_exact(after - frames.len());
        true
    }

    fn charge(&mut self, bytes: usize) -> bool {
        if self.bytes + bytes as u64 > self.rules.most_bytes || !self.account.take(bytes) {
            return false;
        }
        self.bytes += bytes as u64;
        true
    }

    /// Takes what waits out of an entry.
    fn empty(&mut self, at: At) -> (Vec<u8>, u32) {
        let trace = self.table.get(at);
        let frames = std::mem::take(&mut trace.frames);
        let spans = std::mem::take(&mut trace.spans);
        self.bytes = self.bytes.saturating_sub(frames.capacity() as u64);
        self.account.give(frames.capacity());
        (frames, spans)
    }

    fn reuse(&mut self, mut frames: Vec<u8>) {
        if frames.capacity() == FIRST && self.spare.len() < SPARE {
            frames.clear();
            self.spare.push(frames);
        }
    }

    /// Decides on all of what has had its time.
    pub(super) fn tick(&mut self, now: u64) {
        self.now = now;
        while let Some(at) = self.table.first(ENDED) {
            if now.saturating_sub(self.table.get(at).since) < self.grace {
                break;
            }
            self.settle(at);
        }
        while let Some(at) = self.table.first(OPEN) {
            if now.saturating_sub(self.table.get(at).since) < self.decide_after {
                break;
            }
            self.drop_all(at, Dropped::TimedOut);
        }
    }

    /// The one that has waited for the longest goes; one whose root has ended first.
    fn drop_oldest(&mut self) -> Option<()> {
        let at = self.table.first(ENDED).or_else(|| self.table.first(OPEN))?;
        self.drop_all(at, Dropped::Overflow);
        Some(())
    }

    fn forget_one(&mut self) -> Option<()> {
        let at = self.table.first(DECIDED)?;
        self.table.remove(at);
        self.account.give(Waiting::ENTRY);
        Some(())
    }

    fn forget(&mut self) {
        while self.table.length(DECIDED) > REMEMBERED {
            self.forget_one();
        }
    }

    fn drop_all(&mut self, at: At, why: Dropped) {
        let was_open = self.table.queue(at) == OPEN;
        let (frames, spans) = self.empty(at);
        self.reuse(frames);
        self.dropped(at, spans, was_open, why);
        self.table.move_to(at, DECIDED);
        self.forget();
    }

    fn dropped(&mut self, at: At, spans: u32, without_root: bool, why: Dropped) {
        let again = std::mem::replace(&mut self.table.get(at).again, true);
        let spans = u64::from(spans);
        self.decisions.dropped_spans += spans;
        if spans == 0 {
            // Its first had no room.
        } else if again && without_root {
            // They follow the verdict that there was.
            self.decisions.late_spans += spans;
        } else {
            self.decisions.dropped[why as usize] += 1;
        }
    }

    /// A local root has ended: what is below it is dropped, what is not waits on.
    fn settle(&mut self, at: At) {
        let all = self.table.get(at).spans as usize;
        let frames = std::mem::take(&mut self.table.get(at).frames);
        self.find_below(&frames);
        if self.below.len() >= all {
            self.table.get(at).frames = frames;
            return self.drop_all(at, Dropped::Rest);
        }
        let mut kept = Vec::new();
        let mut spans = 0;
        let mut rest = &frames[..];
        while let Some((end, frame)) = timed(&mut rest) {
            let own = Fixed::of(frame).map(|fixed| span_of(&fixed));
            if own.is_none_or(|own| !self.below.contains(&own)) {
                kept.extend_from_slice(&end.to_le_bytes());
                kept.extend_from_slice(frame.bytes());
                spans += 1;
            }
        }
        if spans == 0 {
            self.table.get(at).frames = frames;
            return self.drop_all(at, Dropped::Rest);
        }
        self.dropped(at, all as u32 - spans, false, Dropped::Rest);
        let trace = self.table.get(at);
        trace.spans = spans;
        // In the same room: it is charged, and there is more to come.
        trace.frames = frames;
        trace.frames.clear();
        trace.frames.extend_from_slice(&kept);
        // Those that wait are of a root that has not been dropped yet.
        (trace.since, trace.again) = (self.now, false);
        self.table.move_to(at, OPEN);
    }

    /// Puts into `below` the spans of `frames` that are a local root or below one.
    fn find_below(&mut self, frames: &[u8]) {
        self.below.clear();
        let mut spans = Vec::new();
        let mut rest = frames;
        while let Some((_, frame)) = timed(&mut rest) {
            spans.extend(Fixed::of(frame));
        }
        for _ in 0..PASSES {
            let before = self.below.len();
            for span in spans.iter().rev() {
                let is_root = span.parent == [0; 8] || span.flags & flag::REMOTE != 0;
                if is_root || self.below.contains(&span.parent) {
                    self.below.insert(span_of(span));
                }
            }
            if self.below.len() == before || self.below.len() == spans.len() {
                break;
            }
        }
    }

    /// Other rules from here on, by which those that wait are looked at, too.
    pub(super) fn set_rules(&mut self, rules: Tail, pass: &mut impl Pass) {
        self.rules = rules;
        self.set_times();
        let waiting: Vec<At> = self.table.all(OPEN).chain(self.table.all(ENDED)).collect();
        for at in waiting {
            let mut rest = &self.table.get(at).frames[..];
            let mut why = None;
            while let Some((_, frame)) = timed(&mut rest) {
                let span = SpanFrame::read(frame);
                why = why.or_else(|| self.rules.why(&span?, self.clock));
            }
            if let Some(why) = why {
                self.keep(self.table.id(at), why, pass);
            }
        }
        while self.waiting() > self.rules.most_traces as usize || self.bytes > self.rules.most_bytes
        {
            if self.drop_oldest().is_none() {
                break;
            }
        }
    }

    /// No rules any more: all of what waits goes on.
    pub(super) fn let_go(&mut self, pass: &mut impl Pass) {
        for queue in [ENDED, OPEN] {
            while let Some(at) = self.table.first(queue) {
                self.keep(self.table.id(at), Why::Unruled, pass);
            }
        }
    }

    /// The engine ends: what no rule has kept is dropped.
    pub(super) fn finish(&mut self) {
        while let Some(at) = self.table.first(ENDED) {
            self.drop_all(at, Dropped::Rest);
        }
        while let Some(at) = self.table.first(OPEN) {
            self.drop_all(at, Dropped::Stopped);
        }
    }
}

pub(super) fn id_of(fixed: &Fixed) -> Id {
    u128::from_be_bytes(fixed.ids.first_chunk().copied().unwrap_or_default())
}

fn span_of(fixed: &Fixed) -> [u8; 8] {
    fixed.ids.last_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Traces that can be looked up: bounded in bytes, number and age; errors and slow ones stay longest.

use std::sync::{Arc, Mutex};

use super::account::Account;
use super::table::{At, Id, Table};
use crate::batch::timed;
use crate::clock::Clock;
use crate::ring::frame::Frame;
use crate::ring::span::{Fixed, SpanFrame};
use crate::shard::space::Space;
use crate::sync::lock;
use crate::traces::SpanStatus;
use crate::traces::context::flag;

/// Queues of the table, in the order in which they give way.
const ORDINARY: usize = 0;
const SLOW: usize = 1;
const FAILED: usize = 2;
const QUEUES: usize = 3;

/// Bytes that a trace's first span allocates, and buffers of that size that are kept for others.
const FIRST: usize = 512;
const SPARE: usize = 256;
/// The part of the store that one trace may take: a client may put all it does into one.
const SHARE: u64 = 8;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) traces: u32,
    /// Nanoseconds since a trace's last span.
    pub(crate) age: u64,
    /// Nanoseconds from which on a trace is slow.
    pub(crate) slow: u64,
}

/// What is there, and what went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) traces: u64,
    pub(crate) bytes: u64,
    /// Traces that gave way: to bytes, to others, by age, to the engine's budget.
    pub(crate) evicted: [u64; 4],
    /// Spans of traces that were too long, or for which the budget had no room.
    pub(crate) left_out: u64,
}

/// Why a trace gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    Bytes,
    Count,
    Age,
    Memory,
}

impl Evicted {
    /// Every reason, in the order of their numbers.
    pub(crate) const ALL: [Evicted; 4] =
        [Evicted::Bytes, Evicted::Count, Evicted::Age, Evicted::Memory];

    /// The value of the label `reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Evicted::Bytes => "bytes",
            Evicted::Count => "count",
            Evicted::Age => "age",
            Evicted::Memory => "memory_limit",
        }
    }
}

/// A trace, as far as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Frames in the order in which they came, each behind the time of its end.
    pub(crate) frames: Vec<u8>,
    /// Nanoseconds since 1970: of the first start, and of the last end.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    /// A local root has ended.
    pub(crate) rooted: bool,
    /// Spans that are missing.
    pub(crate) left_out: u32,
    /// Spans that are there, and those of them that failed.
    spans: u32,
    errors: u32,
    head: Head,
}

/// The span that a trace is called by: of those of the highest [`rank`] the one that took longest.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    rank: u8,
    nanos: u64,
    /// Where its frame stands.
    at: usize,
}

/// How well a span stands for its trace: the root before what another process has asked for, and this
/// before a part of either.
pub(crate) fn rank(is_root: bool, has_remote_parent: bool) -> u8 {
    if is_root { 2 } else { has_remote_parent.into() }
}

/// What is known of a trace without a look at its spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) id: Id,
    pub(crate) end: u64,
    pub(crate) nanos: u64,
    pub(crate) failed: bool,
    /// Spans that are there, and those of them that failed.
    pub(crate) spans: u32,
    pub(crate) errors: u32,
}

/// Recent traces. The flusher adds chunks of spans, anybody looks them up; either holds the lock for a
/// chunk or for one trace.
pub(crate) struct Store(Mutex<Inner>);

struct Inner {
    bounds: Bounds,
    clock: Clock,
    table: Table<Entry, QUEUES>,
    account: Account,
    /// Of frames, by queue.
    bytes: [u64; QUEUES],
    spare: Vec<Vec<u8>>,
    evicted: [u64; 4],
    left_out: u64,
}

type Traces = Table<Entry, QUEUES>;

impl Store {
    pub(crate) fn new(bounds: Bounds, space: Arc<Space>) -> Store {
        Store(Mutex::new(Inner {
            bounds,
            clock: Clock::get(),
            table: Table::new(),
            account: Account::new(space),
            bytes: [0; QUEUES],
            spare: Vec::new(),
            evicted: [0; 4],
            left_out: 0,
        }))
    }

    /// Adds spans, each behind the time of its end.
    pub(crate) fn add(&self, spans: &[u8]) {
        let mut inner = lock(&self.0);
        let mut rest = spans;
        // Spans of a trace often come together.
        let mut last: Option<(Id, At)> = None;
        while let Some((end, frame)) = timed(&mut rest) {
            let Some(fixed) = Fixed::of(frame) else { continue };
            let id = u128::from_be_bytes(fixed.ids.first_chunk().copied().unwrap_or_default());
            let known = last.filter(|last| last.0 == id).map(|last| last.1);
            last = inner.add(id, known, end, frame, &fixed).map(|at| (id, at));
        }
    }

    /// What is too old goes.
    pub(crate) fn tick(&self, unix_nanos: u64) {
        lock(&self.0).expire(unix_nanos);
    }

    pub(crate) fn has(&self, id: Id) -> bool {
        lock(&self.0).table.find(id).is_some()
    }

    /// A copy of a trace.
    pub(crate) fn get(&self, id: Id) -> Option<Entry> {
        let mut inner = lock(&self.0);
        let at = inner.table.find(id)?;
        Some(inner.table.get(at).clone())
    }

    /// All traces, the one first whose last span ended last.
    pub(crate) fn list(&self) -> Vec<Summary> {
        let mut inner = lock(&self.0);
        let all: Vec<At> = (0..QUEUES).flat_map(|queue| inner.table.all(queue)).collect();
        let summary = |at: At| {
            let id = inner.table.id(at);
            let Entry { start, end, failed, spans, errors, .. } = *inner.table.get(at);
            Summary { id, end, nanos: end.saturating_sub(start), failed, spans, errors }
        };
        let mut all: Vec<Summary> = all.into_iter().map(summary).collect();
        drop(inner);
        all.sort_by_key(|one| std::cmp::Reverse(one.end));
        all
    }

    /// What these traces are called, in their order; nothing for one that has gone. Copies no more of
    /// them, and holds the lock meanwhile: for some dozens at a time.
    #[cfg_attr(not(feature = "console"), allow(dead_code))]
    pub(crate) fn names(&self, ids: impl Iterator<Item = Id>) -> Vec<Option<Box<[u8]>>> {
        let mut inner = lock(&self.0);
        let name = |id| {
            let at = inner.table.find(id)?;
            let Entry { frames, head, .. } = inner.table.get(at);
            let frame = Frame::first(frames.get(head.at..)?)?;
            Some(SpanFrame::read(frame)?.name.as_bytes().into())
        };
        ids.map(name).collect()
    }

    pub(crate) fn stored(&self) -> Stored {
        let inner = lock(&self.0);
        Stored {
            traces: inner.traces() as u64,
            bytes: inner.bytes.iter().sum(),
            evicted: inner.evicted,
            left_out: inner.left_out,
        }
    }
}

impl Inner {
    fn traces(&self) -> usize {
        (0..QUEUES).map(|queue| self.table.length(queue)).sum()
    }

    /// Adds a span; where its trace is then, unless there was no room.
    fn add(
        &mut self,
        id: Id,
        known: Option<At>,
        end: u64,
        frame: Frame<'_>,
        fixed: &Fixed,
    ) -> Option<At> {
        let length = 8 + frame.bytes().len();
        let Some(at) = self.room(id, known, length) else {
            self.left_out += 1;
            return None;
        };
        let took = self.clock.nanos(frame.ticks().saturating_sub(fixed.start));
        let (start, slow) = (end.saturating_sub(took), self.bounds.slow);
        let entry = self.table.get(at);
        if entry.frames.is_empty() {
            entry.start = start;
        }
        let head = entry.frames.len() + 8;
        entry.frames.extend_from_slice(&end.to_le_bytes());
        entry.frames.extend_from_slice(frame.bytes());
        entry.start = entry.start.min(start);
        entry.end = entry.end.max(end);
        let failed = fixed.status == SpanStatus::Error as u8;
        let rank = rank(fixed.parent == [0; 8], fixed.flags & flag::REMOTE != 0);
        entry.failed |= failed;
        entry.rooted |= rank > 0;
        entry.spans += 1;
        entry.errors += u32::from(failed);
        if entry.spans == 1 || (rank, took) > (entry.head.rank, entry.head.nanos) {
            entry.head = Head { rank, nanos: took, at: head };
        }
        let queue = match entry {
            Entry { failed: true, .. } => FAILED,
            Entry { start, end, .. } if *end - *start >= slow => SLOW,
            _ => ORDINARY,
        };
        let capacity = entry.frames.capacity() as u64;
        let before = self.table.queue(at);
        if queue != before {
            self.bytes[before] -= capacity;
            self.bytes[queue] += capacity;
        }
        self.table.move_to(at, queue);
        Some(at)
    }

    /// The trace's entry, with room for `length` bytes more, if others have to go for it.
    fn room(&mut self, id: Id, known: Option<At>, length: usize) -> Option<At> {
        let mut found = known.or_else(|| self.table.find(id));
        if let Some(at) = found {
            let entry = self.table.get(at);
            let wanted = entry.frames.len() + length;
            if wanted <= entry.frames.capacity() {
                return Some(at);
            }
            if wanted as u64 > self.bounds.bytes / SHARE {
                entry.left_out += 1;
                return None;
            }
        } else if length as u64 > self.bounds.bytes / SHARE {
            return None;
        }
        // Each time one goes, and in the end this one itself.
        for _ in 0..self.traces() + 2 {
            let why = match found {
                None if self.traces() >= self.bounds.traces as usize => Evicted::Count,
                None => match self.account.take(Traces::ENTRY) {
                    true => {
                        found = Some(self.table.add(id, ORDINARY, Entry::default()));
                        continue;
                    }
                    false => Evicted::Memory,
                },
                Some(at) => match self.grow(at, length) {
                    Ok(()) => return Some(at),
                    Err(why) => why,
                },
            };
            self.evict(why)?;
            // It may have been this one.
            found = self.table.find(id);
        }
        // No spans, no trace.
        if let Some(at) = found
            && self.table.get(at).frames.is_empty()
        {
            self.remove(at);
        }
        None
    }

    fn grow(&mut self, at: At, length: usize) -> Result<(), Evicted> {
        let queue = self.table.queue(at);
        let entry = self.table.get(at);
        let before = entry.frames.capacity();
        let wanted = entry.frames.len() + length;
        if wanted <= before {
            return Ok(());
        }
        let after = wanted.next_power_of_two().max(FIRST);
        let more = after - before;
        if self.bytes.iter().sum::<u64>() + more as u64 > self.bounds.bytes {
            return Err(Evicted::Bytes);
        }
        if !self.account.take(more) {
            return Err(Evicted::Memory);
        }
        let entry = self.table.get(at);
        match self.spare.pop_if(|_| before == 0 && after == FIRST) {
            Some(spare) => entry.frames = spare,
            None => entry.frames.reserve_exact(after - entry.frames.len()),
        }
        // As it is: an allocator may give more.
        self.bytes[queue] += (entry.frames.capacity() - before) as u64;
        Ok(())
    }

    /// One trace gives way: an ordinary one, as long as the others have no more than half of it all.
    fn evict(&mut self, why: Evicted) -> Option<()> {
        let others = self.bytes[SLOW] + self.bytes[FAILED];
        let many = self.table.length(SLOW) + self.table.length(FAILED);
        let over = others * 2 > self.bounds.bytes || many * 2 > self.bounds.traces as usize;
        let order = if over { [SLOW, FAILED, ORDINARY] } else { [ORDINARY, SLOW, FAILED] };
        let at = order.into_iter().find_map(|queue| self.table.first(queue))?;
        self.remove(at);
        self.evicted[why as usize] += 1;
        Some(())
    }

    fn remove(&mut self, at: At) {
        let queue = self.table.queue(at);
        let (_, Entry { mut frames, .. }) = self.table.remove(at);
        let capacity = frames.capacity();
        self.bytes[queue] = self.bytes[queue].saturating_sub(capacity as u64);
        self.account.give(capacity + Traces::ENTRY);
        if capacity == FIRST && self.spare.len() < SPARE {
            frames.clear();
            self.spare.push(frames);
        }
    }

    fn expire(&mut self, unix_nanos: u64) {
        for queue in 0..QUEUES {
            while let Some(at) = self.table.first(queue)
                && unix_nanos.saturating_sub(self.table.get(at).end) > self.bounds.age
            {
                self.remove(at);
                self.evicted[Evicted::Age as usize] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;

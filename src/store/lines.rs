//! The last lines of the logs, for whoever opens the console: bounded in number and bytes.
//!
//! Kept are frames, as the flusher has redacted them, and not what they look like: a line costs the
//! flusher a copy, and is written as JSON when somebody reads it. A frame has its thread as a number,
//! whose name is forgotten soon after the thread has ended, so the names are kept with the frames.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::account::Account;
use crate::batch::timed;
use crate::shard::space::Space;
use crate::sync::lock;

/// Bytes of a block: the unit in which the oldest go, and at most what a reader copies.
const BLOCK: usize = 64 << 10;
/// Bytes of a thread's name beside its text, about.
const NAME: usize = 64;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) lines: u64,
    /// Four blocks at least.
    pub(crate) bytes: u64,
}

/// The last lines. The flusher adds some, anybody reads; either holds the lock for a copy of one block.
pub(crate) struct RecentLines {
    bounds: Bounds,
    /// Whether lines say where in the source they come from.
    pub(crate) source: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    full: VecDeque<Arc<Block>>,
    current: Block,
    /// Lines in the full blocks.
    lines: u64,
    /// Bytes that are taken from the account.
    used: usize,
    account: Account,
}

/// Lines that follow each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// The number of its first line; the first of all is 1.
    pub(crate) first: u64,
    pub(crate) lines: u64,
    /// Frames, each behind its time.
    pub(crate) bytes: Vec<u8>,
    /// What the threads that its frames name were called.
    pub(crate) threads: Arc<HashMap<u32, Arc<str>>>,
    /// What it has of the account.
    cost: usize,
}

impl Block {
    fn after(&self) -> u64 {
        self.first + self.lines
    }
}

/// What a reader is given.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The number of the oldest line that is there, whether or not it is among the blocks.
    pub(crate) first: u64,
    /// That of the newest; one less than `first` where there is none.
    pub(crate) newest: u64,
    /// The oldest first; the first of them may begin before what was asked for.
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl RecentLines {
    pub(crate) fn new(bounds: Bounds, source: bool, space: Arc<Space>) -> RecentLines {
        let inner = Inner {
            full: VecDeque::new(),
            current: Block { first: 1, ..Block::default() },
            lines: 0,
            used: 0,
            account: Account::new(space),
        };
        RecentLines { bounds, source, inner: Mutex::new(inner) }
    }

    /// Keeps lines, as frames behind their times; `name` says what a thread is called.
    pub(crate) fn add(&self, frames: &[u8], name: impl Fn(u32) -> Arc<str>) {
        let mut inner = lock(&self.inner);
        let mut rest = frames;
        // Most lines come from the thread that the one before came from.
        let mut last = None;
        loop {
            let before = rest;
            let Some((_, frame)) = timed(&mut rest) else { return };
            let bytes = &before[..before.len() - rest.len()];
            if !inner.room(bytes.len(), self.bounds) {
                // Not even one block: the number is passed over.
                inner.current.first += 1;
                continue;
            }
            let thread = frame.thread();
            if last != Some(thread) || inner.current.lines == 0 {
                inner.learn(thread, &name);
                last = Some(thread);
            }
            inner.current.bytes.extend_from_slice(bytes);
            inner.current.lines += 1;
        }
    }

    /// The number of the newest line; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        lock(&self.inner).current.after() - 1
    }

    /// What came after the line of this number, as far as it is there.
    pub(crate) fn since(&self, number: u64) -> Seen {
        if number >= self.newest() {
            return self.see(number, Vec::new());
        }
        // Before the lock is held.
        self.see(number, Vec::with_capacity(BLOCK))
    }

    fn see(&self, number: u64, room: Vec<u8>) -> Seen {
        let inner = lock(&self.inner);
        let current = &inner.current;
        let newest = current.after() - 1;
        let oldest = inner.full.front().map_or(current.first, |block| block.first);
        // Of more than that some are there because blocks go whole.
        let first = oldest.max((newest + 1).saturating_sub(self.bounds.lines));
        let fresh = |block: &Block| block.after() > number.saturating_add(1).max(first);
        let mut blocks: Vec<Arc<Block>> =
            inner.full.iter().filter(|block| fresh(block)).cloned().collect();
        if fresh(current) {
            let mut bytes = room;
            bytes.extend_from_slice(&current.bytes);
            let Block { first, lines, cost, .. } = *current;
            let threads = current.threads.clone();
            blocks.push(Arc::new(Block { first, lines, bytes, threads, cost }));
        }
        Seen { first, newest, blocks }
    }

    /// Bytes that are kept, as they are charged.
    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.inner).used as u64
    }
}

impl Inner {
    /// Makes room for `length` bytes in the block that is being filled; false where there is none.
    fn room(&mut self, length: usize, bounds: Bounds) -> bool {
        let current = &self.current;
        if current.bytes.len() + length <= current.bytes.capacity() {
            return true;
        }
        if current.lines > 0 {
            let next = Block { first: current.after(), ..Block::default() };
            let full = std::mem::replace(&mut self.current, next);
            self.lines += full.lines;
            self.full.push_back(Arc::new(full));
        }
        self.give_up_current();
        let wanted = length.max(BLOCK);
        let has_enough = |inner: &Inner| {
            let oldest = inner.full.front().map_or(0, |block| block.lines);
            inner.lines - oldest >= bounds.lines
        };
        while has_enough(self) && self.give_way() {}
        while (self.used + wanted) as u64 > bounds.bytes || !self.account.take(wanted) {
            if !self.give_way() {
                return false;
            }
        }
        self.used += wanted;
        self.current.cost = wanted;
        self.current.bytes = Vec::with_capacity(wanted);
        true
    }

    /// The oldest block goes; false where there is none.
    fn give_way(&mut self) -> bool {
        let Some(oldest) = self.full.pop_front() else { return false };
        self.lines -= oldest.lines;
        self.used -= oldest.cost;
        self.account.give(oldest.cost);
        true
    }

    /// An empty block that is too small for a line gives back what it has.
    fn give_up_current(&mut self) {
        let cost = std::mem::take(&mut self.current.cost);
        self.current.bytes = Vec::new();
        self.current.threads = Arc::default();
        self.used -= cost;
        self.account.give(cost);
    }

    /// Keeps what a thread is called, as long as the budget has room for it.
    fn learn(&mut self, thread: u32, name: impl Fn(u32) -> Arc<str>) {
        if self.current.threads.contains_key(&thread) {
            return;
        }
        let name = name(thread);
        let cost = NAME + name.len();
        if self.account.take(cost) {
            self.used += cost;
            self.current.cost += cost;
            // A reader may have it; it is copied then.
            Arc::make_mut(&mut self.current.threads).insert(thread, name);
        }
    }
}

impl std::fmt::Debug for RecentLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecentLines").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::frame::{kind, tag};
    use crate::ring::writer::{Head, MOST_TEXT, Writer};

    /// A line of about `length` bytes, which says its number as its time.
    fn line(number: u64, thread: u32, length: usize) -> Vec<u8> {
        let mut room = vec![0; 128 << 10];
        let mut writer = Writer::over(&mut room, 64 << 10, &[]);
        writer.text(Some("x"), tag::STR, &vec![b'x'; length], 0);
        let head = Head { kind: kind::LINE, level: 3, ticks: 1, site: 0, logger: 0, thread };
        let frame = writer.finish_bytes(head).unwrap();
        [&number.to_le_bytes()[..], frame].concat()
    }

    fn recent(lines: u64, bytes: u64, limit: u64) -> (RecentLines, Arc<Space>) {
        let space = Arc::new(Space::new(limit));
        (RecentLines::new(Bounds { lines, bytes }, true, space.clone()), space)
    }

    fn name(thread: u32) -> Arc<str> {
        format!("thread {thread}").into()
    }

    /// The numbers that a reader sees after `number`, by the blocks and by what the lines say.
    fn numbers(recent: &RecentLines, number: u64) -> (u64, u64, Vec<u64>) {
        let Seen { first, newest, blocks } = recent.since(number);
        let mut seen = Vec::new();
        for block in &blocks {
            let mut rest = &block.bytes[..];
            for number in block.first..block.after() {
                let (said, frame) = timed(&mut rest).unwrap();
                assert_eq!(said, number);
                assert_eq!(block.threads[&frame.thread()], name(frame.thread()));
                seen.push(number);
            }
            assert!(rest.is_empty());
        }
        seen.retain(|seen| *seen > number && *seen >= first);
        (first, newest, seen)
    }

    #[test]
    fn the_newest_are_kept_exactly_where_bytes_allow_it() {
        let (recent, _) = recent(10, 256 << 10, 16 << 20);
        assert_eq!(numbers(&recent, 0), (1, 0, vec![]));
        for number in 1..=5_000 {
            recent.add(&line(number, number as u32 % 3, 100), name);
            let first = number.saturating_sub(9).max(1);
            let expected = (first, number, (first..=number).collect());
            assert_eq!(numbers(&recent, 0), expected, "{number}");
        }
        assert_eq!(numbers(&recent, 4_998).2, [4_999, 5_000]);
        assert_eq!(numbers(&recent, 5_000).2, [] as [u64; 0]);
        assert_eq!(numbers(&recent, u64::MAX - 1).2, [] as [u64; 0]);
    }

    #[test]
    fn a_budget_without_room_keeps_no_line_and_goes_on_counting() {
        let (recent, space) = recent(1_000, 1 << 20, 32 << 10);
        for number in 1..=3 {
            recent.add(&line(number, 1, 10), name);
        }
        assert_eq!(numbers(&recent, 0), (4, 3, vec![]));
        assert_eq!((recent.bytes(), space.used()), (0, 0));
    }

    #[test]
    fn a_reader_that_holds_what_it_saw_holds_nobody_up() {
        let (recent, _) = recent(100, 256 << 10, 16 << 20);
        recent.add(&line(1, 1, 10), name);
        let seen = recent.since(0);
        for number in 2..10_000 {
            recent.add(&line(number, 2, 100), name);
        }
        assert_eq!((seen.blocks.len(), seen.blocks[0].lines), (1, 1));
        assert_eq!(seen.blocks[0].threads.len(), 1);
        assert_eq!(recent.newest(), 9_999);
    }

    proptest! {
        /// The oracle is a list of all lines.
        #[test]
        fn what_is_there_is_the_end_of_all(
            chunks in prop::collection::vec(
                prop::collection::vec((0u32..5, prop_oneof![0usize..200, 0..MOST_TEXT, 40_000..64_000usize]), 1..6),
                0..60,
            ),
            lines in 1u64..40,
            asked in 0u64..100,
        ) {
            let (recent, space) = recent(lines, 256 << 10, 16 << 20);
            let mut all = Vec::new();
            for chunk in chunks {
                let mut bytes = Vec::new();
                for (thread, length) in chunk {
                    all.push(line(all.len() as u64 + 1, thread, length));
                    bytes.extend_from_slice(all.last().unwrap());
                }
                recent.add(&bytes, name);
                let (first, newest, seen) = numbers(&recent, asked);
                prop_assert_eq!(newest, all.len() as u64);
                prop_assert!(newest + 1 - first <= lines);
                prop_assert_eq!(seen, (first.max(asked + 1)..=newest).collect::<Vec<_>>());
                // What fits into a block is there, but for what is too much by number.
                let fits = all.iter().rev().scan(0, |sum, line: &Vec<u8>| {
                    *sum += line.len();
                    Some(*sum)
                });
                let fits = fits.take_while(|sum| *sum <= BLOCK).count() as u64;
                prop_assert!(newest + 1 - first >= fits.min(lines), "{} {} {}", first, newest, fits);
                prop_assert!(recent.bytes() <= (256 << 10) + 2_000, "{}", recent.bytes());
                prop_assert!(space.used() >= recent.bytes());
            }
            drop(recent);
            prop_assert_eq!(space.used(), 0);
        }
    }

    #[test]
    fn one_writer_and_readers_see_each_number_once_and_in_order() {
        const LINES: u64 = 20_000;
        let (recent, _) = recent(500, 256 << 10, 16 << 20);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < LINES {
                        let (first, newest, seen) = numbers(&recent, last);
                        let from = first.max(last + 1);
                        assert_eq!(seen, (from..=newest).collect::<Vec<_>>());
                        last = newest;
                    }
                });
            }
            for number in 1..=LINES {
                recent.add(&line(number, number as u32 % 7, (number % 300) as usize), name);
            }
        });
        assert_eq!(recent.newest(), LINES);
    }
}

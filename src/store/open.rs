//! Spans that have begun and not ended, as far as the flusher knows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::account::Account;
use crate::batch::{Known, timed};
use crate::ring::frame::{Frame, IDS};
use crate::ring::span::{Fixed, SpanFrame};
use crate::shard::space::Space;
use crate::sync::lock;
use crate::traces::{SpanContext, SpanId};

/// Spans that are listed.
const MOST: usize = 16_384;
/// Bytes of an entry, about, beside its frame's.
const ENTRY: usize = 128;
/// Ends that are remembered because they came before their beginnings, which stood in other rings.
const EARLY: usize = 64;

/// A span that has begun and not ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenSpan {
    /// Its ids.
    pub context: SpanContext,
    /// The span that it is a part of.
    pub parent_span_id: Option<SpanId>,
    /// What is being done, as it was called at first.
    pub name: String,
    /// The tracer's name.
    pub scope: String,
    /// The name of the thread that it began on, or its number.
    pub thread: String,
    /// When it began: nanoseconds since 1970, UTC.
    pub start_unix_nanos: u64,
}

/// What there is to say of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) open: u64,
    /// When the oldest began; nothing where none is open.
    pub(crate) oldest: Option<u64>,
    /// Spans that had no room in the list.
    pub(crate) unlisted: u64,
}

/// Spans that have begun: the frames of their beginnings, each behind its time.
pub(crate) struct Open(Mutex<Inner>);

type Ids = [u8; IDS];

struct Inner {
    begun: HashMap<Ids, Arc<Vec<u8>>, foldhash::fast::RandomState>,
    /// In the order in which they came, with some that have ended.
    order: VecDeque<Ids>,
    early: VecDeque<Ids>,
    account: Account,
    unlisted: u64,
}

impl Open {
    pub(crate) fn new(space: Arc<Space>) -> Open {
        Open(Mutex::new(Inner {
            begun: HashMap::default(),
            order: VecDeque::new(),
            early: VecDeque::new(),
            account: Account::new(space),
            unlisted: 0,
        }))
    }

    /// A span began.
    pub(crate) fn begin(&self, unix_nanos: u64, frame: Frame<'_>, fixed: &Fixed) {
        let mut inner = lock(&self.0);
        if let Some(at) = inner.early.iter().position(|ids| *ids == fixed.ids) {
            inner.early.remove(at);
            return;
        }
        if inner.begun.len() >= MOST {
            // One whose end was lost would be there for good, and the newest never.
            inner.forget_oldest();
            inner.unlisted += 1;
        }
        let bytes = [&unix_nanos.to_le_bytes()[..], frame.bytes()].concat();
        if !inner.account.take(bytes.len() + ENTRY) {
            inner.unlisted += 1;
            return;
        }
        inner.order.push_back(fixed.ids);
        if inner.order.len() > 2 * MOST {
            let Inner { begun, order, .. } = &mut *inner;
            order.retain(|ids| begun.contains_key(ids));
        }
        if let Some(before) = inner.begun.insert(fixed.ids, Arc::new(bytes)) {
            inner.account.give(before.len() + ENTRY);
        }
    }

    /// A span has ended.
    pub(crate) fn end(&self, fixed: &Fixed) {
        let mut inner = lock(&self.0);
        match inner.begun.remove(&fixed.ids) {
            Some(bytes) => inner.account.give(bytes.len() + ENTRY),
            None => {
                if inner.early.len() >= EARLY {
                    inner.early.pop_front();
                }
                inner.early.push_back(fixed.ids);
            }
        }
    }

    pub(crate) fn begun(&self) -> Begun {
        let inner = lock(&self.0);
        let start = |bytes: &Arc<Vec<u8>>| Some(u64::from_le_bytes(*bytes.first_chunk()?));
        Begun {
            open: inner.begun.len() as u64,
            oldest: inner.begun.values().filter_map(start).min(),
            unlisted: inner.unlisted,
        }
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<OpenSpan> {
        // Copies of pointers: the flusher waits for no more.
        let all: Vec<Arc<Vec<u8>>> = lock(&self.0).begun.values().cloned().collect();
        let mut known = Known::default();
        let mut open: Vec<OpenSpan> = all
            .iter()
            .filter_map(|bytes| {
                let (start_unix_nanos, frame) = timed(&mut &bytes[..])?;
                known.learn(frame);
                let (_, names) = known.get(frame);
                let SpanFrame { fixed, name, .. } = SpanFrame::read(frame)?;
                let (trace, span) = fixed.ids.split_first_chunk()?;
                Some(OpenSpan {
                    context: SpanContext::of(*trace, *span.first_chunk()?, fixed.flags & 3),
                    parent_span_id: SpanId::from_bytes(fixed.parent),
                    name: name.to_string(),
                    scope: names.logger.to_owned(),
                    thread: names.thread.to_owned(),
                    start_unix_nanos,
                })
            })
            .collect();
        open.sort_by_key(|span| span.start_unix_nanos);
        open
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        while let Some(oldest) = self.order.pop_front() {
            if let Some(bytes) = self.begun.remove(&oldest) {
                self.account.give(bytes.len() + ENTRY);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_first_leaves_nothing_open() {
        let space = Arc::new(Space::new(1 << 20));
        let open = Open::new(space.clone());
        let frame = [64, 0, 0, 0, 4, 6, 0, 0].into_iter().chain([0; 56]).collect::<Vec<u8>>();
        let frame = Frame::first(&frame).unwrap();
        let of = |n: u8| Fixed { ids: [n; IDS], ..Fixed::default() };
        open.end(&of(1));
        open.begin(7, frame, &of(1));
        open.begin(9, frame, &of(2));
        open.begin(8, frame, &of(3));
        assert_eq!(open.begun(), Begun { open: 2, oldest: Some(8), unlisted: 0 });
        (2..=3).for_each(|n| open.end(&of(n)));
        assert_eq!(open.begun(), Begun::default());
        drop(open);
        assert_eq!(space.used(), 0);
    }

    #[test]
    fn what_never_ends_is_bounded_and_counted() {
        let open = Open::new(Arc::new(Space::new(64 << 20)));
        let frame = [64, 0, 0, 0, 4, 6, 0, 0].into_iter().chain([0; 56]).collect::<Vec<u8>>();
        for n in 0..60_000u32 {
            let mut ids = [0; IDS];
            ids[..4].copy_from_slice(&n.to_le_bytes());
            let fixed = Fixed { ids, ..Fixed::default() };
            open.begin(n.into(), Frame::first(&frame).unwrap(), &fixed);
            // Of every third one the end comes, at once.
            if n % 3 == 0 {
                open.end(&fixed);
            }
        }
        let begun = open.begun();
        let never = 60_000 - 20_000;
        assert_eq!((begun.open, begun.unlisted), (MOST as u64, never - MOST as u64));
        // The newest are there, and the oldest went.
        assert_eq!(begun.oldest, Some(60_000 - MOST as u64 / 2 * 3 + 1));
        assert!(lock(&open.0).order.len() <= 2 * MOST);
    }
}

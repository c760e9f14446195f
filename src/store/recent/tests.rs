//! What stays, against a list.

use proptest::prelude::*;

use super::*;
use crate::ring::frame::{SPAN_LEVEL, kind};
use crate::ring::span::by_hand::{Items, Whole};
use crate::ring::writer::{Fill, Head, Writer};

/// A span, as a test gives it: trace, start and end in nanoseconds, whether it failed.
#[derive(Clone, Copy, Debug)]
struct Given {
    trace: u128,
    end: u64,
    nanos: u64,
    failed: bool,
    name: usize,
}

impl Given {
    fn bytes(&self) -> Vec<u8> {
        self.ranked(2)
    }

    /// As what its [`rank`] says: a root, one that another process has asked for, a part.
    fn ranked(&self, rank: u8) -> Vec<u8> {
        let clock = Clock::get();
        let mut ids = [1; 24];
        ids[..16].copy_from_slice(&self.trace.to_be_bytes());
        let fixed = Fixed {
            ids,
            parent: [if rank < 2 { 9 } else { 0 }; 8],
            flags: if rank == 1 { flag::REMOTE } else { 0 },
            start: u64::MAX / 4 - clock.ticks_of(self.nanos),
            status: if self.failed { 2 } else { 0 },
            ..Fixed::default()
        };
        let items = Items::default();
        let name = vec![b'n'; self.name];
        let whole = Whole { fixed: &fixed, name: &name, tracestate: b"", items: &items };
        let mut room = vec![0; 128 << 10];
        let mut writer = Writer::over(&mut room, 64 << 10, &[]);
        whole.fill(&mut writer);
        let head =
            Head { kind: kind::SPAN, level: SPAN_LEVEL, ticks: u64::MAX / 4, ..Head::default() };
        let length = writer.finish(head).unwrap();
        [&self.end.to_le_bytes()[..], &room[..length]].concat()
    }
}

const BOUNDS: Bounds = Bounds { bytes: 64 << 10, traces: 8, age: 1_000, slow: 500_000 };

fn store(bounds: Bounds) -> (Store, Arc<Space>) {
    let space = Arc::new(Space::new(16 << 20));
    (Store::new(bounds, space.clone()), space)
}

fn ids(store: &Store) -> Vec<u128> {
    let mut ids: Vec<u128> = store.list().iter().map(|one| one.id).collect();
    ids.sort();
    ids
}

#[test]
fn ordinary_ones_give_way_first_and_others_have_half() {
    let (store, _) = store(BOUNDS);
    let add = |trace, failed, nanos| {
        store.add(&Given { trace, end: 10_000_000, nanos, failed, name: 4 }.bytes());
    };
    add(1, true, 0);
    add(2, false, 1_000_000);
    for trace in 3..20 {
        add(trace, false, 0);
    }
    // The oldest are there, and six of the ordinary ones.
    assert_eq!(ids(&store), [1, 2, 14, 15, 16, 17, 18, 19]);
    for trace in 100..120 {
        add(trace, true, 0);
    }
    // A flood of errors leaves the others half, and the slow one goes before any error.
    let left = ids(&store);
    assert!(!left.contains(&2) && !left.contains(&1), "{left:?}");
    assert_eq!(left.iter().filter(|id| **id < 100).count(), 3, "{left:?}");
    add(200, false, 0);
    assert!(ids(&store).contains(&200));
    assert_eq!(store.stored().evicted[Evicted::Count as usize], 40 - 8);
}

#[test]
fn a_trace_that_gets_worse_goes_with_the_worse() {
    let (store, _) = store(BOUNDS);
    let add =
        |trace, failed| store.add(&Given { trace, end: 1, nanos: 0, failed, name: 4 }.bytes());
    add(1, false);
    add(2, false);
    add(1, true);
    (3..30).for_each(|trace| add(trace, false));
    assert!(ids(&store).contains(&1) && !ids(&store).contains(&2));
    let entry = store.get(1).unwrap();
    let mut rest = &entry.frames[..];
    assert_eq!(std::iter::from_fn(|| timed(&mut rest)).count(), 2);
    assert!(entry.failed);
}

#[test]
fn what_is_too_old_goes_by_its_last_span() {
    let (store, space) = store(BOUNDS);
    for (trace, end, failed) in [(1, 10, true), (2, 500, false), (1, 900, false), (3, 2_000, false)]
    {
        store.add(&Given { trace, end, nanos: 0, failed, name: 4 }.bytes());
    }
    store.tick(1_800);
    assert_eq!(ids(&store), [1, 3]);
    store.tick(1_901);
    assert_eq!(ids(&store), [3]);
    store.tick(u64::MAX);
    assert_eq!((store.stored().bytes, store.stored().evicted), (0, [0, 0, 3, 0]));
    drop(store);
    assert_eq!(space.used(), 0);
}

#[test]
fn one_trace_has_an_eighth_at_most() {
    let (store, _) = store(BOUNDS);
    for end in 0..1_000 {
        store.add(&Given { trace: 1, end, nanos: 0, failed: false, name: 100 }.bytes());
    }
    store.add(&Given { trace: 2, end: 1, nanos: 0, failed: false, name: 20_000 }.bytes());
    let entry = store.get(1).unwrap();
    assert!(entry.frames.len() as u64 <= BOUNDS.bytes / SHARE);
    let mut rest = &entry.frames[..];
    let there = std::iter::from_fn(|| timed(&mut rest)).count();
    assert_eq!(there + entry.left_out as usize, 1_000);
    assert_eq!(store.stored().left_out, u64::from(entry.left_out) + 1);
    assert_eq!(ids(&store), [1]);
}

/// By how many steps of one kind are remembered: a list of traces, in the order of their last span.
#[derive(Default)]
struct Oracle(Vec<(u128, u64, u64, bool)>);

impl Oracle {
    fn class(&(_, _, nanos, failed): &(u128, u64, u64, bool)) -> usize {
        if failed { 2 } else { usize::from(nanos >= BOUNDS.slow) }
    }

    fn add(&mut self, given: Given) {
        let before = self.0.iter().position(|one| one.0 == given.trace);
        let mut one = match before {
            Some(at) => self.0.remove(at),
            None => {
                if self.0.len() >= BOUNDS.traces as usize {
                    let others = self.0.iter().filter(|one| Oracle::class(one) > 0).count();
                    let over = others * 2 > BOUNDS.traces as usize;
                    let order = if over { [1, 2, 0] } else { [0, 1, 2] };
                    let find = |class| self.0.iter().position(|one| Oracle::class(one) == class);
                    let at = order.into_iter().find_map(find).unwrap();
                    self.0.remove(at);
                }
                (given.trace, 0, 0, false)
            }
        };
        one.1 = one.1.max(given.end);
        one.2 = one.2.max(given.nanos);
        one.3 |= given.failed;
        self.0.push(one);
    }
}

proptest! {
    #[test]
    fn what_stays_is_what_a_list_says(given in prop::collection::vec(
        (0u128..30, any::<bool>(), prop::bool::weighted(0.2)), 0..200))
    {
        let (store, _) = store(BOUNDS);
        let mut oracle = Oracle::default();
        for (trace, slow, failed) in given {
            // All end at once, so that the longest is the trace's own length.
            let nanos = u64::from(slow) * 2 * BOUNDS.slow;
            let given = Given { trace, end: 10_000_000, nanos, failed, name: 4 };
            store.add(&given.bytes());
            oracle.add(given);
            let mut expected: Vec<u128> = oracle.0.iter().map(|one| one.0).collect();
            expected.sort();
            prop_assert_eq!(ids(&store), expected);
        }
    }

    /// The oracle looks at the spans that are there, one by one.
    #[test]
    fn a_summary_says_what_the_spans_say(given in prop::collection::vec(
        (0u128..4, 0u8..3, 0u64..5, any::<bool>(), 1usize..9), 1..100))
    {
        let (store, _) = store(BOUNDS);
        for (trace, rank, nanos, failed, name) in given {
            // Ticks are not nanoseconds: far enough from each other.
            let given = Given { trace, end: 10_000, nanos: nanos * 1_000, failed, name };
            store.add(&given.ranked(rank));
        }
        for summary in store.list() {
            let entry = store.get(summary.id).unwrap();
            let (mut rest, mut spans) = (&entry.frames[..], Vec::new());
            while let Some((_, frame)) = timed(&mut rest) {
                spans.push(SpanFrame::read(frame).unwrap());
            }
            prop_assert_eq!(summary.spans as usize, spans.len());
            let errors = spans.iter().filter(|span| span.fixed.status == 2).count();
            prop_assert_eq!(summary.errors as usize, errors);
            let of = |span: &SpanFrame<'_>| {
                let is_remote = span.fixed.flags & flag::REMOTE != 0;
                let took = Clock::get().nanos(span.end - span.fixed.start);
                (u8::from(is_remote).max(u8::from(span.fixed.parent == [0; 8]) * 2), took)
            };
            // The last of those that are as good is the first here.
            let head = spans.iter().rev().max_by_key(|span| of(span)).unwrap();
            let names = store.names([summary.id, u128::MAX].into_iter());
            prop_assert_eq!(names[0].as_deref(), Some(head.name.as_bytes()));
            prop_assert_eq!(&names[1], &None);
        }
    }

    /// Whatever comes, no bound is passed.
    #[test]
    fn bounds_hold(
        limit in 0u64..3,
        given in prop::collection::vec((0u128..20, 0usize..9_000, any::<bool>(), any::<bool>()), 0..200),
    ) {
        let space = Arc::new(Space::new(limit * (64 << 10)));
        let bounds = Bounds { bytes: 64 << 10, traces: 10, age: u64::MAX, slow: 500_000 };
        let store = Store::new(bounds, space.clone());
        for (end, (trace, name, failed, slow)) in given.into_iter().enumerate() {
            let nanos = u64::from(slow) * 1_000_000;
            store.add(&Given { trace, end: end as u64, nanos, failed, name }.bytes());
            let stored = store.stored();
            prop_assert!(stored.bytes <= bounds.bytes && stored.traces <= 10);
            prop_assert!(space.used() <= limit * (64 << 10));
            let held: usize = ids(&store).iter().map(|id| store.get(*id).unwrap().frames.len()).sum();
            prop_assert!(held as u64 <= stored.bytes);
            prop_assert!(ids(&store).iter().all(|id| !store.get(*id).unwrap().frames.is_empty()));
        }
        drop(store);
        prop_assert_eq!(space.used(), 0);
    }
}

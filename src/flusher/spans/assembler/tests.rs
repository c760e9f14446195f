//! What passes, against lists and walks.

use proptest::prelude::*;

use super::*;
use crate::ring::frame::{SPAN_LEVEL, kind};
use crate::ring::span::by_hand::{Items, Whole};
use crate::ring::writer::{Fill, Head, Writer};

/// A span as a test sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given {
    trace: u8,
    /// Above its parent, which is 0 where it has none.
    span: u8,
    parent: u8,
    remote: bool,
    error: bool,
}

impl Given {
    fn frame(&self) -> Vec<u8> {
        let mut ids = [0; 24];
        (ids[15], ids[23]) = (self.trace + 1, self.span);
        let mut parent = [0; 8];
        parent[7] = self.parent;
        let flags = if self.remote { flag::REMOTE } else { 0 };
        let status = if self.error { 2 } else { 0 };
        let fixed = Fixed { ids, parent, flags, status, ..Fixed::default() };
        frame(&fixed)
    }

    fn is_root(&self) -> bool {
        self.parent == 0 || self.remote
    }

    fn of(frame: Frame<'_>) -> Given {
        let Fixed { ids, parent, flags, status, .. } = Fixed::of(frame).unwrap();
        Given {
            trace: ids[15] - 1,
            span: ids[23],
            parent: parent[7],
            remote: flags & flag::REMOTE != 0,
            error: status == 2,
        }
    }
}

fn frame(fixed: &Fixed) -> Vec<u8> {
    let items = Items::default();
    let whole = Whole { fixed, name: b"n", tracestate: b"", items: &items };
    let mut room = [0; 256];
    let mut writer = Writer::over(&mut room, 256, &[]);
    whole.fill(&mut writer);
    let head = Head { kind: kind::SPAN, level: SPAN_LEVEL, ..Head::default() };
    let length = writer.finish(head).unwrap();
    room[..length].to_vec()
}

/// With rules in ticks.
fn assembler(rules: Tail, space: &Arc<Space>) -> Assembler {
    let clock = Clock::get();
    let mut assembler = Assembler::new(rules, space.clone(), clock, Decisions::default());
    (assembler.now, assembler.grace, assembler.decide_after) = (0, GRACE, DECIDE);
    assembler
}

fn space() -> Arc<Space> {
    Arc::new(Space::new(64 << 20))
}

const GRACE: u64 = 3;
const DECIDE: u64 = 10;

fn take(assembler: &mut Assembler, bytes: &[u8], mut pass: impl FnMut(Frame<'_>)) {
    let frame = Frame::first(bytes).unwrap();
    let span = SpanFrame::read(frame).unwrap();
    assembler.take(1, frame, &span, &mut |_, frame: Frame<'_>| pass(frame));
}

/// What waits, and what was decided: lists, walked from end to end.
#[derive(Default)]
struct Oracle {
    now: u64,
    waiting: Vec<Given>,
    since: [u64; 3],
    rooted: [bool; 3],
    kept: [bool; 3],
    passed: Vec<Given>,
}

impl Oracle {
    fn keep(&mut self, trace: u8) {
        self.kept[usize::from(trace)] = true;
        self.passed.extend(self.waiting.iter().filter(|given| given.trace == trace));
        self.waiting.retain(|given| given.trace != trace);
    }

    fn take(&mut self, given: Given) {
        let trace = usize::from(given.trace);
        if given.error {
            self.keep(given.trace);
        }
        if self.kept[trace] {
            return self.passed.push(given);
        }
        if !self.waiting.iter().any(|other| other.trace == given.trace) {
            self.since[trace] = self.now;
            self.rooted[trace] = false;
        }
        if given.is_root() && !self.rooted[trace] {
            self.rooted[trace] = true;
            self.since[trace] = self.now;
        }
        self.waiting.push(given);
    }

    /// Whether a walk upwards ends at a root that waits.
    fn is_below_root(&self, given: Given) -> bool {
        given.is_root()
            || self
                .waiting
                .iter()
                .find(|other| other.trace == given.trace && other.span == given.parent)
                .is_some_and(|parent| self.is_below_root(*parent))
    }

    fn tick(&mut self) {
        self.now += 1;
        for trace in 0..3 {
            let at = usize::from(trace);
            let of_trace = |given: &Given| given.trace == trace;
            if !self.waiting.iter().any(of_trace) {
                continue;
            }
            let waited = self.now - self.since[at];
            if self.rooted[at] && waited >= GRACE {
                let below: Vec<Given> = self
                    .waiting
                    .iter()
                    .copied()
                    .filter(|given| self.is_below_root(*given))
                    .collect();
                self.waiting.retain(|given| !of_trace(given) || !below.contains(given));
                self.rooted[at] = false;
                self.since[at] = self.now;
            } else if !self.rooted[at] && waited >= DECIDE {
                self.waiting.retain(|given| !of_trace(given));
            }
        }
    }
}

/// Three traces of spans that end in any order, with time between them.
fn given() -> impl Strategy<Value = Vec<(Option<Given>, u8)>> {
    let span = (0u8..3, 1u8..5, 0u8..4, prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    prop::collection::vec((span, 0u8..6), 0..40).prop_map(|steps| {
        let mut seen = HashSet::new();
        let once = |(trace, span, parent, remote, error)| {
            let parent = parent % span;
            let given = Given { trace, span, parent, remote: remote && parent > 0, error };
            seen.insert((trace, span)).then_some(given)
        };
        let (spans, ticks): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        spans.into_iter().map(once).collect::<Vec<_>>().into_iter().zip(ticks).collect()
    })
}

proptest! {
    #[test]
    fn what_passes_is_what_lists_say(steps in given()) {
        let space = space();
        let mut assembler = assembler(Tail::new().errors(), &space);
        let (mut oracle, mut passed) = (Oracle::default(), Vec::new());
        for (given, ticks) in steps {
            if let Some(given) = given {
                take(&mut assembler, &given.frame(), |frame| passed.push(Given::of(frame)));
                oracle.take(given);
            }
            for _ in 0..ticks {
                oracle.tick();
                assembler.tick(oracle.now);
            }
            prop_assert_eq!(&passed, &oracle.passed);
            let decisions = assembler.decisions();
            let mut traces: Vec<u8> = oracle.waiting.iter().map(|given| given.trace).collect();
            traces.sort();
            traces.dedup();
            prop_assert_eq!(decisions.waiting, traces.len() as u64);
            prop_assert_eq!(decisions.kept_spans, passed.len() as u64);
            prop_assert_eq!(decisions.waiting_bytes > 0, !oracle.waiting.is_empty());
        }
        let waited = oracle.waiting.len() as u64;
        let before = assembler.decisions().dropped_spans;
        assembler.finish();
        let decisions = assembler.decisions();
        prop_assert_eq!(decisions.dropped_spans, before + waited);
        prop_assert_eq!((decisions.waiting, decisions.waiting_bytes), (0, 0));
        drop(assembler);
        prop_assert_eq!(space.used(), 0);
    }

    /// Whatever comes, no bound is passed, and each span is somewhere.
    #[test]
    fn bounds_hold(
        most_traces in 1u32..6,
        most_bytes in 200u64..4_000,
        limit in 0u64..3,
        steps in prop::collection::vec((0u8..20, 1u8..200, any::<bool>(), 0u8..12), 0..200),
    ) {
        // The budget has room for a step of an account, or for two; or for none.
        let space = Arc::new(Space::new(limit * (64 << 10)));
        let rules = Tail::new().errors().most_traces(most_traces).most_bytes(most_bytes);
        let mut assembler = assembler(rules, &space);
        let (mut taken, mut passed) = (0, 0);
        for (now, (trace, span, root, error)) in steps.into_iter().enumerate() {
            let given =
                Given { trace, span, parent: u8::from(!root) * 201, remote: false, error: error == 0 };
            take(&mut assembler, &given.frame(), |_| passed += 1);
            taken += 1;
            assembler.tick(now as u64 / 3);
            let decisions = assembler.decisions();
            prop_assert!(decisions.waiting <= most_traces.into());
            prop_assert!(decisions.waiting_bytes <= most_bytes);
            prop_assert_eq!(decisions.kept_spans, passed);
            prop_assert!(space.used() <= limit * (64 << 10));
        }
        assembler.finish();
        let decisions = assembler.decisions();
        prop_assert_eq!(decisions.kept_spans + decisions.dropped_spans, taken);
    }
}

#[test]
fn traces_that_never_end_keep_memory_flat_and_are_counted() {
    let space = space();
    let rules = Tail::new().errors().most_bytes(1 << 20).most_traces(1_000);
    let mut assembler = assembler(rules, &space);
    let mut most = 0;
    const ALL: u64 = 50_000;
    for n in 1..=ALL {
        let mut ids = [1; 24];
        ids[..8].copy_from_slice(&n.to_be_bytes());
        let fixed = Fixed { ids, parent: [9; 8], ..Fixed::default() };
        take(&mut assembler, &frame(&fixed), |_| panic!("nothing keeps it"));
        most = most.max(space.used());
    }
    let decisions = assembler.decisions();
    assert_eq!(decisions.waiting, 1_000);
    assert_eq!(decisions.dropped[Dropped::Overflow as usize], ALL - 1_000);
    assert!(most <= (1 << 20) + (10_000 + 8_192) * Waiting::ENTRY as u64, "{most}");
    assert!(assembler.table.length(DECIDED) <= REMEMBERED);
    assert!(assembler.spare.len() <= SPARE);
}

#[test]
fn a_late_span_follows_its_trace_and_one_that_fails_is_kept_all_the_same() {
    let mut assembler = assembler(Tail::new().errors(), &space());
    let span = |span, parent, error| Given { trace: 0, span, parent, remote: false, error };
    let mut passed = Vec::new();
    let mut end = |assembler: &mut Assembler, given: Given| {
        take(assembler, &given.frame(), |frame| passed.push(Given::of(frame).span));
        passed.clone()
    };
    end(&mut assembler, span(1, 0, false));
    assembler.tick(GRACE);
    assert_eq!(assembler.decisions().dropped, [1, 0, 0, 0]);
    end(&mut assembler, span(2, 1, false));
    assembler.tick(GRACE + DECIDE);
    let decisions = assembler.decisions();
    assert_eq!((decisions.dropped, decisions.late_spans), ([1, 0, 0, 0], 1));
    assert_eq!(end(&mut assembler, span(3, 1, true)), [3]);
    assert_eq!(end(&mut assembler, span(4, 1, false)), [3, 4]);
}

#[test]
fn a_request_of_a_clients_trace_does_not_take_another_one_with_it() {
    let mut assembler = assembler(Tail::new().errors(), &space());
    let span = |span, parent, remote, error| Given { trace: 0, span, parent, remote, error };
    let mut passed = Vec::new();
    // Two requests below the client's span 9; the first ends while the second goes on.
    for given in [span(3, 2, false, false), span(4, 1, false, false), span(1, 9, true, false)] {
        take(&mut assembler, &given.frame(), |_| panic!("too soon"));
    }
    assembler.tick(GRACE);
    assert_eq!(assembler.decisions().dropped_spans, 2);
    take(&mut assembler, &span(2, 9, true, true).frame(), |frame| {
        passed.push(Given::of(frame).span);
    });
    assert_eq!(passed, [3, 2]);
}

#[test]
fn what_is_named_is_kept_with_what_waits_and_what_comes() {
    let mut assembler = assembler(Tail::new(), &space());
    let given = |span| Given { trace: 4, span, parent: 9, remote: false, error: false };
    let mut passed = Vec::new();
    take(&mut assembler, &given(1).frame(), |_| panic!("too soon"));
    assembler.keep(5, Why::Forced, &mut |_, frame: Frame<'_>| passed.push(Given::of(frame).span));
    take(&mut assembler, &given(2).frame(), |frame| passed.push(Given::of(frame).span));
    assert_eq!(passed, [1, 2]);
    assert_eq!(assembler.decisions().kept[Why::Forced as usize], 1);
}

#[test]
fn other_rules_hold_for_what_waits() {
    let space = space();
    let mut assembler = assembler(Tail::new(), &space);
    let given = |trace, error| Given { trace, span: 1, parent: 9, remote: false, error };
    for (trace, error) in [(0, true), (1, false), (2, true), (3, false)] {
        take(&mut assembler, &given(trace, error).frame(), |_| panic!("no rule"));
    }
    let mut passed = Vec::new();
    let mut pass = |_, frame: Frame<'_>| passed.push(Given::of(frame).trace);
    assembler.set_rules(Tail::new().errors().most_traces(1), &mut pass);
    assert_eq!((assembler.decisions().waiting, assembler.decisions().dropped[2]), (1, 1));
    assembler.let_go(&mut pass);
    assert_eq!(passed, [0, 2, 3]);
    assert_eq!(assembler.decisions().waiting_bytes, 0);
}

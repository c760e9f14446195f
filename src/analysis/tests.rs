//! Against the dullest code that could work: nanosecond by nanosecond, and span by span.

use proptest::prelude::*;

use super::{Analysis, Segment, SpanData, Trace, Trait};
use crate::traces::{SpanId, SpanKind, TraceId};

fn id(number: u64) -> SpanId {
    SpanId::from_bytes((number + 1).to_be_bytes()).unwrap()
}

fn trace_id(number: u128) -> TraceId {
    TraceId::from_bytes((number + 1).to_be_bytes()).unwrap()
}

/// Of trace 0 with this parent.
fn span(number: u64, parent: Option<u64>, start: u64, end: u64) -> SpanData {
    let mut span = SpanData::new(trace_id(0), id(number), format!("s{number}"), start, end);
    span.parent_span_id = parent.map(id);
    span
}

fn only(analysis: &Analysis) -> Trace<'_> {
    let mut traces = analysis.traces();
    let trace = traces.next().unwrap();
    assert!(traces.next().is_none());
    trace
}

/// Name, depth, own time, time on the path.
fn tree(spans: Vec<SpanData>) -> Vec<(String, u32, u64, u64)> {
    let analysis = Analysis::of(spans);
    let spans = only(&analysis).spans();
    spans.map(|s| (s.span.name.to_string(), s.depth, s.self_nanos, s.path_nanos)).collect()
}

#[test]
fn the_last_child_to_end_was_waited_for() {
    // 1 and 2 at once, of which 2 ends last; 3 after both, within it 4.
    let spans = vec![
        span(0, None, 100, 200),
        span(1, Some(0), 110, 130),
        span(2, Some(0), 120, 150),
        span(3, Some(0), 160, 190),
        span(4, Some(3), 165, 170),
    ];
    let expected = [("s0", 0, 30, 30), ("s1", 1, 20, 10), ("s2", 1, 30, 30), ("s3", 1, 25, 25)];
    let found = tree(spans.clone());
    // 1 had not ended when 2 began, so before that the root was busy itself.
    assert_eq!(found[1], ("s1".to_owned(), 1, 20, 0));
    assert_eq!(found[0], ("s0".to_owned(), 0, 30, 40));
    for (found, expected) in found[2..4].iter().zip(&expected[2..]) {
        assert_eq!((&*found.0, found.1, found.2, found.3), *expected);
    }
    assert_eq!(found[4], ("s4".to_owned(), 2, 5, 5));
    let analysis = Analysis::of(spans);
    let path = only(&analysis).critical_path();
    let names: Vec<_> = path.iter().map(|segment| segment.span).collect();
    assert_eq!(names, [0, 2, 0, 3, 4, 3, 0]);
    let joined = path.windows(2).all(|two| two[0].end_unix_nanos == two[1].start_unix_nanos);
    assert!(joined && path[0].start_unix_nanos == 100 && path[6].end_unix_nanos == 200);
}

#[test]
fn a_trace_without_its_root_is_several_trees() {
    let spans = vec![span(1, Some(0), 10, 20), span(2, Some(0), 40, 70), span(3, Some(2), 40, 50)];
    let analysis = Analysis::of(spans);
    let trace = only(&analysis);
    assert_eq!(analysis.irregular().orphans, 2);
    assert_eq!(trace.window_unix_nanos(), (10, 70));
    assert_eq!(&*trace.root().unwrap().span.name, "s2");
    let charged: u64 = trace.spans().map(|span| span.path_nanos).sum();
    assert_eq!(charged, 40, "nothing is charged between them");
    assert!(trace.spans().all(|span| span.is_orphan == (span.depth == 0)));
}

#[test]
fn what_came_twice_counts_once() {
    let mut again = span(1, Some(0), 0, 9);
    again.name = "again".into();
    let analysis = Analysis::of(vec![span(1, Some(0), 0, 5), span(0, None, 0, 10), again]);
    assert_eq!((analysis.span_count(), analysis.irregular().duplicates), (2, 1));
    assert_eq!(only(&analysis).spans().nth(1).unwrap().end_unix_nanos, 5);
}

#[test]
fn a_loop_is_cut_at_its_earliest_span() {
    // 1, 2, 3 in a loop, 4 and 5 below it, of which 5 begins before all; 6 its own parent.
    let spans = vec![
        span(1, Some(3), 20, 30),
        span(2, Some(1), 10, 40),
        span(3, Some(2), 15, 35),
        span(4, Some(3), 16, 17),
        span(5, Some(4), 1, 2),
        span(6, Some(6), 50, 60),
    ];
    let analysis = Analysis::of(spans);
    assert_eq!(analysis.irregular().loops, 2);
    let names: Vec<_> =
        only(&analysis).spans().map(|s| (s.span.name.to_string(), s.depth)).collect();
    let expected = [("s2", 0), ("s3", 1), ("s4", 2), ("s5", 3), ("s1", 2), ("s6", 0)];
    assert_eq!(names, expected.map(|(name, depth)| (name.to_owned(), depth)));
}

#[test]
fn a_servers_clock_is_moved_to_its_callers() {
    let of = |service: &str, kind, mut span: SpanData| {
        span.service = service.into();
        span.kind = kind;
        span
    };
    let spans = vec![
        of("a", SpanKind::Client, span(0, None, 1_000, 1_100)),
        // An hour behind, and what is within it with it.
        of("b", SpanKind::Server, span(1, Some(0), 100, 180)),
        of("b", SpanKind::Internal, span(2, Some(1), 110, 120)),
        // Of another service, but nobody waits for it.
        of("c", SpanKind::Consumer, span(3, Some(0), 1_500, 1_600)),
    ];
    let analysis = Analysis::of(spans);
    let times: Vec<_> =
        only(&analysis).spans().map(|s| (s.start_unix_nanos, s.end_unix_nanos)).collect();
    assert_eq!(times, [(1_000, 1_100), (1_010, 1_090), (1_020, 1_030), (1_500, 1_600)]);
    assert_eq!(analysis.irregular().moved, 1);
}

#[test]
fn times_that_make_no_sense_are_no_reason_to_fail() {
    let (least, most) = (0, u64::MAX);
    let mut server = span(3, Some(0), 5, most);
    (server.kind, server.service) = (SpanKind::Server, "other".into());
    let spans = vec![
        span(0, None, least, most),
        span(1, Some(0), most, least),
        span(2, Some(1), least, most),
        server,
        span(4, None, most, most),
    ];
    let analysis = Analysis::of(spans);
    assert_eq!(only(&analysis).duration_nanos(), most);
    assert_eq!(analysis.names().len(), 5);
    assert!(Analysis::of(Vec::new()).traces().next().is_none());
}

#[test]
fn a_chain_of_a_million_is_no_deeper_than_a_loop() {
    let most = 1_000_000;
    let mut spans: Vec<_> =
        (0..most).map(|at| span(at, at.checked_sub(1), at, 2 * most - at)).collect();
    spans.reverse();
    let analysis = Analysis::of(spans);
    let trace = only(&analysis);
    assert_eq!(trace.spans().last().unwrap().depth as u64, most - 1);
    assert_eq!(trace.spans().map(|span| span.path_nanos).sum::<u64>(), 2 * most);
    assert_eq!(trace.spans().next().unwrap().self_nanos, 2);
    // And one of which each is the parent of the one before.
    let all = (0..most).map(|at| span(at, Some((at + 1) % most), at, at + 1)).collect();
    let analysis = Analysis::of(all);
    assert_eq!((analysis.irregular().loops, analysis.span_count() as u64), (1, most));
}

#[test]
fn many_children_are_no_slower() {
    let most = 300_000;
    let mut spans: Vec<_> = (0..most).map(|at| span(at + 1, Some(0), at, at + most)).collect();
    spans.push(span(0, None, 0, 2 * most));
    let analysis = Analysis::of(spans);
    let root = only(&analysis).spans().next().unwrap();
    assert_eq!((root.self_nanos, root.path_nanos), (1, 1 + 2 * most - 1 - (most - 1 + 1)));
}

#[test]
fn names_have_quantiles() {
    let named = |at: u64, name: &str, took| {
        let mut span = span(at, None, 0, took);
        span.trace_id = trace_id(at.into());
        span.name = name.into();
        span.failed = at.is_multiple_of(2);
        span
    };
    let few = (0..100).map(|at| named(at, "few", at + 1));
    let many = (0..2_000).map(|at| named(100 + at, "many", 1_000 * (at + 1)));
    let analysis = Analysis::of(few.chain(many).collect());
    let names = analysis.names();
    let [many, few] = &names[..] else { panic!("{names:?}") };
    assert_eq!((many.name, many.count, many.failures), ("many", 2_000, 1_000));
    for (is, exact) in [(many.p50_nanos, 1_000_000), (many.p90_nanos, 1_800_000)] {
        assert!(is >= exact && is <= exact + exact / 500, "{is}");
    }
    assert_eq!(many.max_nanos, 2_000_000);
    assert_eq!((few.p50_nanos, few.p90_nanos, few.p99_nanos, few.max_nanos), (50, 90, 99, 100));
    assert_eq!((few.total_nanos, few.self_nanos, few.path_nanos), (5_050, 5_050, 5_050));
}

#[test]
fn slow_traces_have_what_others_do_not() {
    let spans = (0..100u64).flat_map(|at| {
        let is_slow = at % 20 == 7;
        let took = if is_slow { 900 } else { 100 + at % 7 };
        let mut root = span(0, None, 0, took);
        root.trace_id = trace_id(at.into());
        root.name = "call".into();
        root.attributes.push(("cache".into(), if is_slow { "miss" } else { "hit" }.into()));
        root.attributes.push(("half".into(), if at % 2 == 0 { "a" } else { "b" }.into()));
        root.attributes.push(("request".into(), at.to_string().into()));
        // As each of two clients counts: one value is in two slow traces and in two others.
        let turn = if at == 27 { 7 } else { at % 25 };
        root.attributes.push(("turn".into(), format!("{turn} of {}", at / 60).into()));
        let mut query = span(1, Some(0), 0, 10);
        query.trace_id = root.trace_id;
        query.name = "query".into();
        if is_slow { vec![root, query] } else { vec![root] }
    });
    let analysis = Analysis::of(spans.collect());
    let found = analysis.differences(9);
    let what: Vec<_> = found.iter().map(|difference| difference.what).collect();
    let expected =
        [Trait::Attribute("cache", "miss"), Trait::Span("query"), Trait::Attribute("half", "b")];
    assert_eq!(what, expected);
    let first = found[0];
    assert_eq!((first.slow, first.all_slow, first.other, first.all_other), (5, 5, 0, 95));
    assert_eq!(analysis.differences(1).len(), 1);
}

/// A span for the oracle: who it is within, and from when to when.
#[derive(Clone, Copy)]
struct Plain {
    number: usize,
    parent: Option<usize>,
    start: u64,
    end: u64,
}

/// Charges each instant of `span` within `from..to`, one by one, from the end. At an instant where
/// nobody is waited for, the child is looked for that ends just then.
fn charge(all: &[Plain], of: Option<usize>, from: u64, to: u64, charged: &mut Vec<(u64, usize)>) {
    let mut waited: Option<(Plain, u64)> = None;
    let mut now = to;
    while now > from {
        if waited.is_none() {
            let children = all.iter().filter(|span| span.parent == of);
            let ending =
                children.filter(|span| span.end.min(to) == now && span.start.max(from) < now);
            waited = ending
                .min_by_key(|span| {
                    (span.start.max(from), span.start, std::cmp::Reverse(span.end), span.number)
                })
                .map(|s| (*s, now));
        }
        now -= 1;
        match waited {
            Some((child, until)) if child.start.max(from) == now => {
                charge(all, Some(child.number), now, until, charged);
                waited = None;
            }
            Some(_) => {}
            None => charged.extend(of.map(|of| (now, of))),
        }
    }
}

proptest! {
    /// Trees whose children begin and end where they like, also outside of their parents.
    #[test]
    fn paths_and_self_times_are_those_of_each_instant(
        plan in prop::collection::vec((any::<prop::sample::Index>(), 0u64..40, 0u64..40, 0u8..8), 1..14),
    ) {
        let all: Vec<Plain> = plan
            .iter()
            .enumerate()
            .map(|(number, (parent, start, length, is_root))| {
                let parent = (number > 0 && *is_root > 0).then(|| parent.index(number));
                Plain { number, parent, start: *start, end: start + length }
            })
            .collect();
        let spans = all.iter().map(|plain| {
            span(plain.number as u64, plain.parent.map(|at| at as u64), plain.start, plain.end)
        });
        let analysis = Analysis::of(spans.rev().collect());
        let trace = only(&analysis);
        let numbers: Vec<usize> =
            trace.spans().map(|span| span.span.name[1..].parse().unwrap()).collect();
        let (from, to) = trace.window_unix_nanos();
        let roots = || all.iter().filter(|span| span.parent.is_none());
        prop_assert_eq!(from, roots().map(|root| root.start).min().unwrap());
        prop_assert_eq!(to, roots().map(|root| root.end).max().unwrap());
        let mut expected = Vec::new();
        charge(&all, None, from, to, &mut expected);
        expected.sort_unstable();
        let path = trace.critical_path();
        let instants: Vec<(u64, usize)> = path
            .iter()
            .flat_map(|&Segment { span, start_unix_nanos, end_unix_nanos, .. }| {
                (start_unix_nanos..end_unix_nanos).map(move |now| (now, span))
            })
            .map(|(now, span)| (now, numbers[span]))
            .collect();
        prop_assert_eq!(&instants, &expected);
        for (at, (found, &number)) in trace.spans().zip(&numbers).enumerate() {
            let Plain { start, end, .. } = all[number];
            let is_own = |now: &u64| {
                let mut children = all.iter().filter(|span| span.parent == Some(number));
                children.all(|child| *now < child.start || *now >= child.end)
            };
            prop_assert_eq!(found.self_nanos, (start..end).filter(is_own).count() as u64);
            let on_path = instants.iter().filter(|(_, span)| *span == number).count() as u64;
            prop_assert_eq!(found.path_nanos, on_path, "{}", at);
            let depth = std::iter::successors(Some(number), |&at| all[at].parent).count() - 1;
            prop_assert_eq!(found.depth as usize, depth);
        }
    }

    /// Whatever the parents: every span has its place, once.
    #[test]
    fn no_span_is_lost(parents in prop::collection::vec(prop::option::of(0u64..24), 0..20)) {
        let spans = parents.iter().enumerate().map(|(at, parent)| {
            span(at as u64, *parent, (at as u64 * 7) % 11, 20)
        });
        let analysis = Analysis::of(spans.collect());
        let mut ids: Vec<_> = analysis.spans.iter().map(|span| span.span_id).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, (0..parents.len() as u64).map(id).collect::<Vec<_>>());
        for trace in analysis.traces() {
            let mut depths: Vec<Option<SpanId>> = Vec::new();
            for found in trace.spans() {
                depths.truncate(found.depth as usize);
                prop_assert_eq!(depths.len(), found.depth as usize);
                // Below its parent, unless that is not there or the loop was cut above it.
                if let Some(Some(above)) = depths.last() {
                    prop_assert_eq!(Some(*above), found.span.parent_span_id);
                }
                depths.push(Some(found.span.span_id));
            }
        }
        let roots = analysis.traces().flat_map(|trace| trace.spans().filter(|span| span.depth == 0));
        let irregular = analysis.irregular();
        let without = parents.iter().filter(|parent| parent.is_none()).count() as u64;
        prop_assert_eq!(roots.count() as u64, without + irregular.orphans + irregular.loops);
    }
}

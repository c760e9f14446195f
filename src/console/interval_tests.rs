//! Intervals between readings made by hand: what is removed, comes back, or is too much.

use std::time::Duration;

use super::*;
use crate::snapshot::Number;

fn labels(of: &[&str]) -> Labels {
    of.iter().map(|label| Box::from(*label)).collect()
}

/// Requests by tool, each with as many observations of a millisecond.
fn reading(at: Instant, tools: &[(&str, u64)]) -> Reading {
    let mut reading = Reading::new(at);
    for (tool, total) in tools {
        let of = labels(&[tool, "execute", "success"]);
        reading.add(Of::Requests, of, Number::Total(*total));
        let cells = Cells::of(vec![(1_000_000, *total)]);
        reading.observe(Of::Duration, labels(&[tool, "execute"]), cells);
    }
    reading
}

fn key(tool: &str) -> [Box<str>; 2] {
    [tool.into(), "execute".into()]
}

fn ended(interval: &Interval, tool: &str) -> (u64, u64) {
    let work = interval.tools.get(&key(tool));
    work.map_or((0, 0), |work| (work.ended, work.cells.count()))
}

#[test]
fn nothing_was_before_the_first_and_all_since_the_birth() {
    let at = Instant::now();
    let later = reading(at + Duration::from_secs(2), &[("a", 5)]);
    assert!(Before::default().until(&later).is_none());
    let all = Before::birth(at).until(&later).unwrap();
    assert_eq!((all.seconds, ended(&all, "a"), all.all.answered), (2.0, (5, 5), 5));
}

#[test]
fn series_that_are_removed_and_born_again_never_count_backwards() {
    let at = Instant::now();
    let second = Duration::from_secs(1);
    let mut before = Before::default();
    before.set(&mut reading(at, &[("stays", 10), ("goes", 10), ("again", 10)]), 0);
    let mut now = reading(at + second, &[("stays", 12), ("again", 3), ("new", 4)]);
    let came = before.until(&now).unwrap();
    assert_eq!(ended(&came, "stays"), (2, 2));
    assert_eq!(ended(&came, "goes"), (0, 0));
    assert_eq!(ended(&came, "again"), (3, 3), "another's, in the place of one that was removed");
    assert_eq!(ended(&came, "new"), (4, 4));
    assert_eq!((came.all.ended, came.all.cells.count()), (9, 9));
    before.set(&mut now, 0);
    // One that was gone for a while begins anew.
    let back = before.until(&reading(at + 2 * second, &[("goes", 1)])).unwrap();
    assert_eq!((ended(&back, "goes"), back.all.ended), ((1, 1), 1));
    // A clock that stands still makes no rate.
    let same = before.until(&reading(at + second, &[("stays", 13)])).unwrap();
    assert_eq!(same.rate(same.all.ended), None);
}

#[test]
fn what_is_too_much_to_be_told_apart_is_one_and_none_is_lost() {
    let names: Vec<String> = (0..MOST_SERIES + 100).map(|n| format!("tool_{n}")).collect();
    let all = |times: u64| -> Vec<(&str, u64)> {
        names.iter().map(|name| (name.as_str(), times)).collect()
    };
    let at = Instant::now();
    let mut before = Before::birth(at);
    let mut sum = Interval::default();
    for round in 1..=5 {
        let mut now = reading(at + Duration::from_secs(round), &all(round * 3));
        let came = before.until(&now).unwrap();
        assert_eq!(came.all.cells.count(), 3 * names.len() as u64, "round {round}");
        assert!(came.tools.len() <= MOST_APART + 1);
        let of_tools: u64 = came.tools.values().map(|work| work.cells.count()).sum();
        assert_eq!(of_tools, came.all.cells.count(), "round {round}");
        before.set(&mut now, 0);
        sum.add(&came);
    }
    assert!(before.histograms[0].len() <= MOST_SERIES + 1);
    assert_eq!(sum.all.ended, 15 * names.len() as u64);
    assert!(sum.tools.len() <= MOST_APART + 1);
    // Most of them go: what is left does not count what it had counted before.
    let few = reading(at + Duration::from_secs(6), &all(15)[MOST_SERIES..]);
    assert_eq!(before.until(&few).unwrap().all.cells.count(), 0);
}

#[test]
fn errors_of_callers_and_what_was_cancelled_are_on_neither_side() {
    let at = Instant::now();
    let mut now = Reading::new(at + Duration::from_secs(1));
    for (status, total) in [("success", 10), ("error", 5), ("cancelled", 3)] {
        now.add(Of::Requests, labels(&["a", "execute", status]), Number::Total(total));
    }
    for (kind, total) in [("tool_error", 3), ("client_invalid_params", 2)] {
        now.add(Of::Errors, labels(&["a", "execute", kind]), Number::Total(total));
    }
    let came = Before::birth(at).until(&now).unwrap();
    assert_eq!((came.all.ended, came.all.answered, came.all.errors), (18, 15, 3));
    assert_eq!(came.all.error_ratio(), Some(0.2));
    assert_eq!(Work::default().error_ratio(), None);
}

#[test]
fn a_host_that_took_a_name_for_something_else_changes_nothing() {
    let at = Instant::now();
    let mut now = Reading::new(at + Duration::from_secs(1));
    now.add(Of::Requests, labels(&["alone"]), Number::Total(7));
    now.add(Of::Auth, labels(&[]), Number::Level(-7));
    now.observe(Of::Duration, labels(&[]), Cells::of(vec![(1, 1)]));
    let came = Before::birth(at).until(&now).unwrap();
    assert_eq!((came.all.ended, came.all.cells.count(), came.auth_failed), (0, 0, 0));
}

#[test]
fn a_slow_request_is_told_once() {
    let at = Instant::now();
    let slow = Slow { trace: [1; 16], units: 9, unix_ms: 500 };
    let with = |second: u64, total: u64| {
        let mut now = reading(at + Duration::from_secs(second), &[("a", total)]);
        now.slow(Of::Duration, slow);
        now
    };
    let mut before = Before::birth(at);
    let mut first = with(1, 1);
    assert_eq!(before.until(&first).unwrap().all.slow, Some(slow));
    before.set(&mut first, 1_000);
    assert_eq!(before.until(&with(2, 2)).unwrap().all.slow, None);
}

//! Labels: what a look-up finds is what was asked for, whatever is in the caches; limits by label hold
//! and leave the other labels true.

use std::collections::HashMap;

use mcp_vitals::{Counter, Desc, Family, Vitals};
use proptest::prelude::*;

const OVERFLOW: &str = "mcp_vitals_series_overflow_total";

fn engine() -> Vitals {
    Vitals::builder().system_metrics(false).build().unwrap()
}

/// Somebody floods the tools' names: the share of errors is still what it is.
#[test]
fn the_other_labels_stay_true_when_one_is_flooded() {
    let vitals = engine();
    let calls = Desc::counter("calls_total", "Calls.").labels(["tool", "status"]);
    let calls = vitals.register(calls.label_values_limit(10)).unwrap();
    for n in 0..1_000 {
        let status = if n % 4 == 0 { "error" } else { "success" };
        calls.with([&format!("tool{n}"), status]).inc();
    }
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.sum("calls_total", &[("status", "error")]), 250.0);
    assert_eq!(snapshot.sum("calls_total", &[("status", "success")]), 750.0);
    let own = snapshot.label_sets("calls_total").filter(|set| set[0].1 != "_other").count();
    assert_eq!(own, 10);
    let over = |label: &str| snapshot.sum(OVERFLOW, &[("metric", "calls_total"), ("label", label)]);
    assert_eq!((over("tool"), over("status"), over("_all")), (990.0, 0.0, 0.0));
}

#[test]
fn the_builders_limit_is_for_families_with_several_labels() {
    let vitals = Vitals::builder().label_values_limit(2).system_metrics(false).build().unwrap();
    let two = vitals.register(Desc::counter("two_total", "Two.").labels(["a", "b"])).unwrap();
    let one = vitals.register(Desc::counter("one_total", "One.").labels(["a"])).unwrap();
    let declared = [["x", "1"], ["y", "1"], ["z", "1"]];
    let wide = Desc::counter("wide_total", "Wide.").labels(["a", "b"]).declare(declared);
    let wide = vitals.register(wide).unwrap();
    for value in ["x", "y", "z"] {
        two.with([value, "1"]).inc();
        one.with([value]).inc();
        wide.with([value, "1"]).inc();
    }
    let snapshot = vitals.snapshot();
    let value = |name: &str, labels: &[(&str, &str)]| snapshot.value(name, labels);
    assert_eq!(value("two_total", &[("a", "_other"), ("b", "1")]), Some(1.0));
    assert_eq!(value("one_total", &[("a", "z")]), Some(1.0));
    assert_eq!(
        value("wide_total", &[("a", "z"), ("b", "1")]),
        Some(1.0),
        "declared ones have room"
    );
}

#[test]
fn the_heaviest_offenders_are_named_and_nothing_forges_a_line() {
    let vitals = engine();
    let calls = Desc::counter("calls_total", "Calls.").labels(["user", "status"]);
    let calls = vitals.register(calls.label_values_limit(1)).unwrap();
    calls.with(["first", "ok"]).inc();
    let text = vitals.export_prometheus();
    assert!(!text.contains("overflow_heaviest"), "nothing went past a limit");
    for n in 0..300 {
        calls.with(["loud\n\"user\"", "ok"]).inc();
        calls.with([&format!("quiet {n}"), "ok"]).inc();
    }
    let cardinality = vitals.cardinality();
    let family = cardinality.family("calls_total").unwrap();
    let label = &family.labels[0];
    assert_eq!((label.name.as_str(), label.values, label.values_limit), ("user", 1, 1));
    assert_eq!((label.overflow, label.heaviest.len()), (600, 16));
    let heavy = &label.heaviest[0];
    assert_eq!(heavy.value, "loud\n\"user\"");
    assert!(heavy.count >= 300 && heavy.count - heavy.error <= 300);
    assert!(cardinality.to_string().contains("loud\\n\\\"user\\\""));
    let labels = [("metric", "calls_total"), ("label", "user"), ("value", heavy.value.as_str())];
    let shown = vitals.snapshot().value("mcp_vitals_overflow_heaviest", &labels).unwrap();
    assert!((2.0..=300.0).contains(&shown), "{shown}");
    let text = vitals.export_prometheus();
    assert!(text.contains("value=\"loud\\n\\\"user\\\"\"} "), "{text}");
}

/// Two engines with a family of one name, and one that comes after another in the same thread: what
/// the thread's cache has of one is never taken for the other's.
#[test]
fn engines_never_find_each_others_series() {
    let family = |vitals: &Vitals| -> Family<Counter, 2> {
        vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool", "status"])).unwrap()
    };
    let total = |vitals: &Vitals| vitals.snapshot().sum("calls_total", &[]);
    let record = |family: &Family<Counter, 2>| {
        for n in 0..100 {
            family.with([&(n % 7).to_string(), "ok"]).inc();
            family.with_static(["static", "ok"]).inc();
        }
    };
    for _ in 0..5 {
        let (first, second) = (engine(), engine());
        let (ours, theirs) = (family(&first), family(&second));
        record(&ours);
        record(&theirs);
        record(&ours);
        assert_eq!((total(&first), total(&second)), (400.0, 200.0));
    }
}

#[derive(Clone, Debug)]
enum Call {
    With,
    ByName,
    Remove,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// The oracle is a map of strings. Values repeat, are prefixes of each other, are longer than the
    /// cache keeps, and hold whatever a client sends.
    #[test]
    fn a_look_up_finds_the_series_of_its_labels(
        calls in prop::collection::vec(
            (
                "[ab]{0,3}|.{0,3}|[x]{10,40}",
                "[ab]{0,2}|[y]{0,20}",
                prop_oneof![6 => Just(Call::With), 3 => Just(Call::ByName), 1 => Just(Call::Remove)],
            ),
            1..600,
        ),
        removable: bool,
    ) {
        let vitals = engine();
        let desc = Desc::counter("calls_total", "Calls.").labels(["a", "b"]).series_limit(10_000);
        let desc = if removable { desc.removable() } else { desc };
        let family = vitals.register(desc).unwrap();
        let mut expected = HashMap::<(String, String), f64>::new();
        for (a, b, call) in calls {
            match call {
                Call::With => family.with([&a, &b]).inc(),
                Call::ByName => {
                    vitals.metric("calls_total").unwrap().inc(&[("b", &b), ("a", &a)]);
                }
                Call::Remove => {
                    let was_there = expected.contains_key(&(a.clone(), b.clone()));
                    prop_assert_eq!(family.remove([&a, &b]), was_there && removable);
                    if removable {
                        expected.remove(&(a, b));
                    }
                    continue;
                }
            }
            *expected.entry((a, b)).or_default() += 1.0;
        }
        let snapshot = vitals.snapshot();
        prop_assert_eq!(snapshot.label_sets("calls_total").count(), expected.len());
        for ((a, b), count) in expected {
            let labels = [("a", a.as_str()), ("b", b.as_str())];
            prop_assert_eq!(snapshot.value("calls_total", &labels), Some(count), "{:?}", labels);
        }
    }
}

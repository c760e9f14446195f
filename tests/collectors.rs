//! Callbacks and collectors: what they give is what a scrape shows, bounded, under names that are
//! checked when they are registered.

mod collectors_fixture;
#[allow(dead_code)] // others use the rest of it
mod round_trip;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collectors_fixture::*;
use mcp_vitals::{Collector, Desc, Error, Snapshot, Vitals};
use openmetrics_parser::PrometheusType;
use proptest::prelude::*;
use round_trip::{as_read, cut, find, number, read};

#[test]
fn what_they_say_is_what_a_parser_and_a_snapshot_read() {
    let vitals = builder().const_label("zone", "eu\"1").build().unwrap();
    let depth = || Desc::gauge("depth", "Depth of\na queue.").labels(["queue"]);
    vitals.callback_gauge(depth(), ["a"], || 1.5).unwrap();
    vitals.callback_counter(total("read_total"), [], || 7.0).unwrap();
    let families = (Desc::gauge("open", "Open.").labels(["pool", "kind"]), total("waits_total"));
    vitals
        .collector("pools", families, |out, (open, waits)| {
            out.set(open, ["main", "x"], 3.0);
            out.set(waits, [], 9_007_199_254_740_991.0);
            out.set(open, ["side", "y"], f64::NEG_INFINITY);
        })
        .unwrap();
    // One family, whoever was registered in between.
    vitals.callback_gauge(depth(), ["b"], || -2.0).unwrap();
    vitals.counter("usual_total", "Usual.").unwrap().inc();

    let text = vitals.export_prometheus();
    let exposition = read(&text);
    let zone = ("zone", "eu\"1");
    let snapshot = vitals.snapshot();
    let mut own = 0.0;
    for (name, of, help, expected) in [
        (
            "depth",
            PrometheusType::Gauge,
            "Depth of\na queue.",
            vec![("a", "", 1.5), ("b", "", -2.0)],
        ),
        ("read_total", PrometheusType::Counter, "A total.", vec![("", "", 7.0)]),
        (
            "open",
            PrometheusType::Gauge,
            "Open.",
            vec![("main", "x", 3.0), ("side", "y", f64::NEG_INFINITY)],
        ),
        (
            "waits_total",
            PrometheusType::Counter,
            "A total.",
            vec![("", "", 9_007_199_254_740_991.0)],
        ),
    ] {
        let family = &exposition.families[name];
        assert_eq!((&family.family_type, &*family.help), (&of, &*as_read(help)), "{name}");
        assert_eq!(family.iter_samples().count(), expected.len(), "{name}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
        for (first, second, value) in expected {
            let labels: Vec<(&str, &str)> = match name {
                "depth" => vec![("queue", first), zone],
                "open" => vec![("pool", first), ("kind", second), zone],
                _ => vec![zone],
            };
            let found =
                find(family, &labels).unwrap_or_else(|| panic!("{name} {labels:?}\n{text}"));
            assert_eq!(number(found).as_f64(), value);
            assert_eq!(snapshot.value(name, &labels), Some(value));
            own += 1.0;
        }
        let kind = if of == PrometheusType::Counter { "counter" } else { "gauge" };
        assert!(snapshot.families().any(|family| family == (name, kind)));
    }
    assert!(text.contains("waits_total{zone=\"eu\\\"1\"} 9007199254740991\n"));
    // They are series of this engine, too.
    let without = |name: &str| ["depth", "read_total", "open", "waits_total"].contains(&name);
    let others: usize = snapshot
        .families()
        .filter(|(name, _)| !without(name))
        .map(|(name, _)| snapshot.label_sets(name).count())
        .sum();
    assert_eq!(snapshot.value("mcp_vitals_series", &[]), Some(others as f64 + own));
}

#[test]
fn what_is_not_named_disappears() {
    let vitals = engine();
    let there = Arc::new(Mutex::new(BTreeMap::from([("a", 1.0), ("b", 2.0)])));
    let said = there.clone();
    let desc = Desc::gauge("depth", "Depth.").labels(["queue"]);
    vitals
        .collector("queues", desc, move |out, depth| {
            for (queue, value) in &*said.lock().unwrap() {
                out.set(depth, [queue], *value);
            }
        })
        .unwrap();
    for sets in
        [vec![("a", 1.0), ("b", 2.0)], vec![("b", 3.0), ("c", 4.0)], vec![], vec![("a", 5.0)]]
    {
        *there.lock().unwrap() = sets.iter().copied().collect();
        let snapshot = vitals.snapshot();
        let text = vitals.export_prometheus();
        assert_eq!(snapshot.label_sets("depth").count(), sets.len());
        assert_eq!(text.contains("# TYPE depth gauge\n"), !sets.is_empty());
        for (queue, value) in sets {
            assert_eq!(snapshot.value("depth", &[("queue", queue)]), Some(value));
            assert!(text.contains(&format!("depth{{queue=\"{queue}\"}} {value}\n")));
        }
    }
}

#[test]
fn limits_hold_and_what_exceeds_them_is_counted() {
    let vitals = builder().series_limit(3).value_length_limit(16).build().unwrap();
    let families = (
        Desc::gauge("few", "Few.").labels(["a", "b"]),
        Desc::gauge("some", "Some.").labels(["a"]).series_limit(5),
        total("sum_total"),
    );
    vitals
        .collector("flood", families, |out, (few, some, sum)| {
            for n in 0..10 {
                out.set(few, [&n.to_string(), "x"], f64::from(n));
                out.set(some, [&n.to_string()], f64::from(n));
            }
            // What has a place keeps it, past the limit too.
            out.set(few, ["1", "x"], f64::NAN);
            // Cut to the same sixteen bytes, at a character's edge.
            out.set(some, ["0"], 100.0);
            for value in [f64::NAN, f64::INFINITY, -1.0] {
                out.set(sum, [], value);
            }
        })
        .unwrap();
    vitals
        .collector("cut", Desc::gauge("long", "Long.").labels(["a"]), |out, long| {
            out.set(long, ["0123456789abcdé 1"], 1.0);
            out.set(long, ["0123456789abcdé 2"], 2.0);
            out.set(long, ["0123456789abcdeé"], 3.0);
        })
        .unwrap();
    for scrape in 1..=2 {
        let times = |per_scrape: u32| Some(f64::from(per_scrape * scrape));
        let snapshot = vitals.snapshot();
        assert_eq!(snapshot.label_sets("few").count(), 3);
        assert_eq!(snapshot.label_sets("some").count(), 5);
        assert!(snapshot.value("few", &[("a", "1")]).unwrap().is_nan());
        assert_eq!(snapshot.value("few", &[("a", "_other")]), None);
        assert_eq!(snapshot.value("some", &[("a", "0")]), Some(100.0));
        assert_eq!(snapshot.value("sum_total", &[]), None);
        assert_eq!(lost(&snapshot, "series_overflow", "few"), times(7));
        assert_eq!(lost(&snapshot, "series_overflow", "some"), times(5));
        assert_eq!(lost(&snapshot, "refused", "sum_total"), times(3));
        assert_eq!(lost(&snapshot, "refused", "few"), None);
        assert_eq!(lost(&snapshot, "duplicate_samples", "few"), times(1));
        assert_eq!(lost(&snapshot, "duplicate_samples", "some"), times(1));
        assert_eq!(snapshot.label_sets("long").count(), 2);
        assert_eq!(snapshot.value("long", &[("a", "0123456789abcdé")]), Some(2.0));
        assert_eq!(snapshot.value("long", &[("a", "0123456789abcde")]), Some(3.0));
        assert_eq!(lost(&snapshot, "values_cut", "long"), times(3));
        assert_eq!(lost(&snapshot, "duplicate_samples", "long"), times(1));
        assert_eq!(failures(&snapshot, "flood", "panic"), 0.0);
    }
}

#[test]
fn callbacks_of_a_counter_are_held_to_be_totals() {
    let vitals = engine();
    let values = Arc::new(Mutex::new(vec![5.0, f64::NAN, -0.5, f64::INFINITY, 4.0]));
    let said = values.clone();
    vitals
        .callback_counter(total("some_total"), [], move || said.lock().unwrap().remove(0))
        .unwrap();
    vitals.callback_gauge(gauge("any"), [], || f64::NAN).unwrap();
    let seen: Vec<_> = (0..5)
        .map(|_| {
            let snapshot = vitals.snapshot();
            assert!(snapshot.value("any", &[]).unwrap().is_nan());
            snapshot.value("some_total", &[])
        })
        .collect();
    assert_eq!(seen, [Some(5.0), None, None, None, Some(4.0)]);
    values.lock().unwrap().push(6.0);
    assert_eq!(lost(&vitals.snapshot(), "refused", "some_total"), Some(3.0));
}

/// A flood is charged to the budget while it is there, and given back after it.
#[test]
fn the_memory_limit_holds_for_samples() {
    let vitals = builder().memory_limit(2 << 20).series_limit(1_000_000).build().unwrap();
    let flood = Arc::new(AtomicBool::new(true));
    let on = flood.clone();
    vitals
        .collector("flood", Desc::gauge("many", "Many.").labels(["n"]), move |out, many| {
            let count = if on.load(Ordering::SeqCst) { 200_000 } else { 1 };
            (0..count).for_each(|n| out.set(many, [&format!("{n:0>100}")], 1.0));
        })
        .unwrap();
    let used = |snapshot: &Snapshot| snapshot.value("mcp_vitals_memory_used_bytes", &[]).unwrap();
    let snapshot = vitals.snapshot();
    let shown = snapshot.label_sets("many").count() as f64;
    assert!(shown > 100.0 && shown < 20_000.0, "{shown}");
    assert_eq!(lost(&snapshot, "series_overflow", "many"), Some(200_000.0 - shown));
    let flooded = used(&snapshot);
    assert!(flooded <= f64::from(2 << 20));
    flood.store(false, Ordering::SeqCst);
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.label_sets("many").count(), 1);
    assert!(used(&snapshot) < flooded / 2.0, "{} {flooded}", used(&snapshot));
    // There is room again for what is recorded.
    let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["n"])).unwrap();
    (0..1_000).for_each(|n| calls.with([&n.to_string()]).inc());
    assert_eq!(lost(&vitals.snapshot(), "series_overflow", "calls_total"), Some(0.0));
}

#[test]
fn what_is_wrong_is_said_when_it_is_registered() {
    let vitals = builder().const_label("zone", "eu").series_limit(2).build().unwrap();
    let depth = || Desc::gauge("depth", "Depth.").labels(["queue"]);
    vitals.register(gauge("taken")).unwrap();
    vitals.register(Desc::histogram("time_seconds", "Time.")).unwrap();
    vitals.callback_gauge(depth(), ["a"], || 1.0).unwrap();
    vitals.collector("pool", gauge("pool_open"), |_, _| {}).unwrap();

    type Attempt = fn(&Vitals) -> Result<Collector, Error>;
    let attempts: &[(&str, Attempt)] = &[
        ("InvalidName", |v| v.callback_gauge(Desc::gauge("a b", "."), [], || 1.0)),
        ("InvalidLabel", |v| v.callback_gauge(Desc::gauge("a", ".").labels(["__a"]), [""], || 1.0)),
        ("InvalidLabel", |v| {
            v.callback_gauge(Desc::gauge("a", ".").labels(["zone"]), [""], || 1.0)
        }),
        ("Reserved", |v| v.callback_gauge(Desc::gauge("mcp_vitals_a", "."), [], || 1.0)),
        ("Reserved", |v| v.collector("a", (gauge("a"), gauge("target_info")), |_, _| {})),
        ("Conflict", |v| v.callback_gauge(gauge("taken"), [], || 1.0)),
        ("Conflict", |v| v.callback_gauge(gauge("time_seconds_sum"), [], || 1.0)),
        ("Conflict", |v| v.callback_gauge(gauge("pool_open"), [], || 1.0)),
        ("Conflict", |v| v.callback_gauge(gauge("mcp_requests_in_flight"), [], || 1.0)),
        // The same metric must be described alike.
        ("Conflict", |v| v.callback_gauge(gauge("depth"), [], || 1.0)),
        ("Conflict", |v| {
            v.callback_counter(Desc::counter("depth", "Depth.").labels(["queue"]), ["b"], || 1.0)
        }),
        ("Conflict", |v| {
            v.callback_gauge(Desc::gauge("depth", "Else.").labels(["queue"]), ["b"], || 1.0)
        }),
        // The same series twice.
        ("Conflict", |v| {
            v.callback_gauge(Desc::gauge("depth", "Depth.").labels(["queue"]), ["a"], || 1.0)
        }),
        // The second of a family is refused, so the first is not there either.
        ("Conflict", |v| v.collector("a", (gauge("a"), gauge("depth")), |_, _| {})),
        ("Conflict", |v| v.collector("a", [gauge("a"), gauge("a")], |_, _| {})),
        ("Collector", |v| v.collector("pool", gauge("a"), |_, _| {})),
        ("Collector", |v| v.collector("", gauge("a"), |_, _| {})),
        ("Collector", |v| v.collector("depth", gauge("a"), |_, _| {})),
        ("Collector", |v| v.callback_gauge(gauge("pool"), [], || 1.0)),
        ("OutOfRange", |v| v.collector("a", gauge("a").series_limit(0), |_, _| {})),
        ("OutOfRange", |v| {
            v.collector("a", Desc::gauge("a", ".").labels(["l"]).declare([["x"]]), |_, _| {})
        }),
    ];
    for (kind, attempt) in attempts {
        let error = attempt(&vitals).expect_err(kind);
        let shown = format!("{error:?}");
        assert!(shown.starts_with(kind), "{kind}: {shown}");
        assert!(!error.to_string().is_empty());
        // Nothing is left of it.
        let snapshot = vitals.snapshot();
        assert!(snapshot.families().all(|(name, _)| !["a", "pool"].contains(&name)), "{shown}");
    }
    vitals.callback_gauge(depth(), ["b"], || 2.0).unwrap();
    let error = vitals.callback_gauge(depth(), ["c"], || 3.0).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { value: 3, max: 2, .. }), "{error}");
    // Others can't have the names.
    for taken in ["depth", "pool_open"] {
        let error = vitals.register(gauge(taken)).unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
    assert!(matches!(vitals.metric("depth"), Err(Error::UnknownMetric { .. })));
    // What was refused above is free.
    vitals.collector("a", gauge("a"), |out, a| out.set(a, [], 1.0)).unwrap();
    assert_eq!(vitals.snapshot().value("a", &[]), Some(1.0));
    assert_eq!(vitals.snapshot().value("depth", &[("queue", "b")]), Some(2.0));

    for deadline in [Duration::ZERO, Duration::from_secs(61), Duration::MAX] {
        let error = Vitals::builder().collect_deadline(deadline).build().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
    }
}

#[test]
fn there_are_no_more_than_64_collectors() {
    let vitals = engine();
    let add = |n: usize| vitals.collector(&format!("c{n}"), gauge(&format!("g{n}")), |_, _| {});
    let mut collectors: Vec<Collector> = (0..64).map(|n| add(n).unwrap()).collect();
    assert!(matches!(add(64).unwrap_err(), Error::Collector { .. }));
    collectors.pop().unwrap().remove();
    add(64).unwrap();
    // Callbacks are no collectors.
    vitals.callback_gauge(gauge("callback"), [], || 1.0).unwrap();
    assert_eq!(vitals.snapshot().value("callback", &[]), Some(1.0));
}

#[test]
fn what_is_removed_leaves_its_names() {
    let vitals = engine();
    let depth = || Desc::gauge("depth", "Depth.").labels(["queue"]);
    let (kept, let_go) = dropped();
    let a = move || {
        let _kept = &kept;
        1.0
    };
    let a = vitals.callback_gauge(depth(), ["a"], a).unwrap();
    let b = vitals.callback_gauge(depth(), ["b"], || 2.0).unwrap();
    let pool = vitals.collector("pool", total("pool_total"), |out, t| out.set(t, [], 3.0)).unwrap();
    // Dropping the registration does nothing.
    drop(vitals.callback_gauge(gauge("stays"), [], || 4.0).unwrap());
    assert_eq!(vitals.snapshot().label_sets("depth").count(), 2);

    a.remove();
    let_go.recv_timeout(NEVER).unwrap();
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.value("depth", &[]), Some(2.0));
    // The family has another callback still.
    assert!(vitals.register(depth()).is_err());
    vitals.callback_gauge(depth(), ["a"], || 5.0).unwrap().remove();
    b.remove();
    pool.remove();
    let usual = vitals.register(depth()).unwrap();
    usual.with(["b"]).set(6.0);
    vitals.callback_gauge(gauge("pool"), [], || 7.0).unwrap();
    vitals.counter("pool_total", "Now a usual one.").unwrap().inc();
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.value("depth", &[("queue", "b")]), Some(6.0));
    assert_eq!(snapshot.value("pool_total", &[]), Some(1.0));
    assert_eq!(snapshot.value("pool", &[]), Some(7.0));
    assert_eq!(snapshot.value("stays", &[]), Some(4.0));

    // After the engine it is harmless.
    let late = vitals.callback_gauge(gauge("late"), [], || 1.0).unwrap();
    drop(vitals);
    late.remove();
}

#[test]
fn the_last_textfile_has_them() {
    let folder = std::env::temp_dir().join(format!("vitals-collectors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("own.prom");
    let vitals = builder().textfile(&path, Duration::from_secs(3600)).build().unwrap();
    let path = vitals.textfile_path().unwrap();
    vitals.callback_gauge(gauge("at_the_end"), [], || 42.0).unwrap();
    vitals.shutdown(NEVER);
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let line = text.lines().find(|line| line.starts_with("at_the_end"));
    assert!(line.is_some_and(|line| line.ends_with(" 42")), "{line:?}");
}

#[test]
fn a_disabled_engine_asks_nobody() {
    let vitals = Vitals::disabled();
    let (kept, let_go) = dropped();
    let registered = vitals
        .collector("any", gauge("mcp_vitals_any"), move |_, _| {
            let _kept = &kept;
            unreachable!("a disabled engine asks nobody")
        })
        .unwrap();
    let_go.recv_timeout(NEVER).unwrap();
    vitals.callback_gauge(gauge("any"), [], || unreachable!()).unwrap();
    assert_eq!(vitals.export_prometheus(), "");
    registered.remove();
}

#[test]
fn families_may_be_nested_in_any_shape() {
    let vitals = engine();
    let many = (0..3).map(|n| gauge(&format!("v{n}"))).collect::<Vec<_>>();
    let families = ((gauge("a"), total("b_total")), [gauge("c"), gauge("d")], many);
    vitals
        .collector("nested", families, |out, ((a, b), [c, d], many)| {
            out.set(a, [], 1.0);
            out.set(b, [], 2.0);
            out.set(c, [], 3.0);
            out.set(d, [], 4.0);
            (5..).zip(many).for_each(|(value, family)| out.set(family, [], f64::from(value)));
        })
        .unwrap();
    let snapshot = vitals.snapshot();
    let names = ["a", "b_total", "c", "d", "v0", "v1", "v2"];
    let shown = names.map(|name| snapshot.value(name, &[]));
    assert_eq!(shown, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(Some));
}

/// One run of a collector: family, labels and value of each sample.
type Run = Vec<(bool, String, String, f64)>;

fn label() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\"", "\\", "\n", "\\n", "} 1\n", "\",b=\"", "#", "\u{0}", "_other", "é"
        ])
        .prop_map(String::from),
    ];
    let long = prop::collection::vec(pieces, 0..8);
    let value = long.prop_map(|pieces| pieces.concat().replace('\u{e00d}', ""));
    // Few, so that some meet.
    prop_oneof![value, "[ab]"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against the dullest collector: a map.
    #[test]
    fn any_run_comes_back(
        runs in prop::collection::vec(
            prop::collection::vec((any::<bool>(), label(), label(), any::<f64>()), 0..20),
            1..4,
        ),
    ) {
        const LIMIT: usize = 20;
        let vitals = builder().value_length_limit(LIMIT as u32).series_limit(6).build().unwrap();
        let run: Arc<Mutex<Run>> = Arc::default();
        let families = (
            Desc::gauge("any", "Any.").labels(["a", "b"]),
            Desc::counter("any_total", "Any.").labels(["a"]),
        );
        let said = run.clone();
        vitals.collector("any", families, move |out, (gauge, total)| {
            for (is_gauge, a, b, value) in &*said.lock().unwrap() {
                match is_gauge {
                    true => out.set(gauge, [a, b], *value),
                    false => out.set(total, [a], *value),
                }
            }
        }).unwrap();
        for samples in runs {
            let mut held: [BTreeMap<(String, String), f64>; 2] = Default::default();
            for (is_gauge, a, b, value) in &samples {
                let b = if *is_gauge { b } else { "" };
                let key = (cut(a, LIMIT), cut(b, LIMIT));
                let held = &mut held[usize::from(*is_gauge)];
                let is_total = value.is_finite() && *value >= 0.0;
                if !(*is_gauge || is_total) {
                    continue;
                }
                if held.len() < 6 || held.contains_key(&key) {
                    held.insert(key, *value);
                }
            }
            *run.lock().unwrap() = samples;
            let text = vitals.export_prometheus();
            let exposition = read(&text);
            let snapshot = vitals.snapshot();
            for (name, held) in ["any_total", "any"].into_iter().zip(&held) {
                let samples = exposition.families.get(name).map_or(0, |f| f.iter_samples().count());
                prop_assert_eq!(samples, held.len(), "{}", text);
                prop_assert_eq!(snapshot.label_sets(name).count(), held.len());
                for ((a, b), value) in held {
                    let both = [("a", &**a), ("b", &**b)];
                    let labels = if name == "any" { &both[..] } else { &both[..1] };
                    let found = find(&exposition.families[name], labels);
                    let found = number(found.unwrap()).as_f64();
                    let own = snapshot.value(name, labels).unwrap();
                    for found in [found, own] {
                        prop_assert!(found == *value || found.is_nan() && value.is_nan());
                    }
                }
            }
        }
    }
}

/// A server may have one for each connection: what is counted of them is bounded, like any label.
#[test]
fn collectors_that_come_and_go_leave_a_bounded_number_of_series() {
    let vitals = builder().build().unwrap();
    for n in 0..1_500 {
        let depth = Desc::gauge("depth", "Depth.");
        let collector = vitals.collector(&format!("conn {n}"), depth, |out, depth| {
            out.set(depth, [], 1.0);
        });
        collector.unwrap().remove();
    }
    let failures = "mcp_vitals_collector_failures_total";
    assert!(vitals.snapshot().label_sets(failures).count() <= 2_100);
    // One more still counts, among the others.
    let depth = Desc::gauge("depth", "Depth.");
    let _broken = vitals.collector("the last", depth, |_, _| panic!("as it is to")).unwrap();
    let others = [("collector", "_other"), ("reason", "panic")];
    assert_eq!(vitals.snapshot().value(failures, &others), Some(1.0));
}

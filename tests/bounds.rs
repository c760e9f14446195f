//! Floods: each limit holds at every moment, what exceeds it is counted, and what exists stays
//! exact.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use mcp_vitals::{Counter, Desc, Error, Family, Histogram, Vitals};

fn value(vitals: &Vitals, name: &str, labels: &[(&str, &str)]) -> f64 {
    let found = vitals.snapshot().value(name, labels);
    found.unwrap_or_else(|| panic!("no {name} {labels:?}"))
}

#[test]
fn label_sets_past_the_series_limit_share_one_series() {
    let vitals = Vitals::builder().series_limit(3).build().unwrap();
    let calls = Desc::counter("calls_total", "Calls.").labels(["tool", "status"]);
    let calls = vitals.register(calls).unwrap();
    let tools: Vec<String> = (0..10).map(|n| format!("tool{n}")).collect();
    for _ in 0..2 {
        for tool in &tools {
            calls.with([tool, "ok"]).inc();
        }
    }
    // By name alike.
    vitals.metric("calls_total").unwrap().inc(&[("tool", "one more"), ("status", "ok")]);
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.label_sets("calls_total").count(), 3 + 1);
    for tool in &tools[..3] {
        assert_eq!(snapshot.value("calls_total", &[("tool", tool)]), Some(2.0));
    }
    let other = [("tool", "_other"), ("status", "_other")];
    assert_eq!(snapshot.value("calls_total", &other), Some(15.0));
    let overflow = "mcp_vitals_series_overflow_total";
    assert_eq!(snapshot.sum(overflow, &[("metric", "calls_total")]), 15.0);
    assert_eq!(snapshot.sum("calls_total", &[]), 21.0);

    // Whoever says `_other` means it: nothing overflowed.
    calls.with(["_other", "_other"]).inc();
    assert_eq!(value(&vitals, "calls_total", &other), 16.0);
    assert_eq!(vitals.snapshot().sum(overflow, &[("metric", "calls_total")]), 15.0);
}

#[test]
fn a_family_may_have_a_limit_of_its_own() {
    let vitals = Vitals::builder().series_limit(1).build().unwrap();
    let wide = Desc::counter("wide_total", "Wide.").labels(["n"]).series_limit(5);
    let wide = vitals.register(wide).unwrap();
    let narrow = Desc::gauge("narrow", "Narrow.").labels(["n"]).declare([["a"], ["b"]]);
    let narrow = vitals.register(narrow).unwrap();
    for n in 0..7 {
        wide.with([n.to_string().as_str()]).inc();
    }
    narrow.with(["a"]).set(1.0);
    narrow.with(["b"]).set(2.0);
    narrow.with(["c"]).set(3.0);
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.label_sets("wide_total").count(), 6);
    assert_eq!(snapshot.value("wide_total", &[("n", "_other")]), Some(2.0));
    // The engine's limit is for what comes later than what was declared.
    for (n, held) in [("a", 1.0), ("b", 2.0), ("_other", 3.0)] {
        assert_eq!(snapshot.value("narrow", &[("n", n)]), Some(held));
    }
    let overflow = "mcp_vitals_series_overflow_total";
    assert_eq!(snapshot.sum(overflow, &[("metric", "narrow")]), 1.0);

    // A limit of its own that does not hold what is declared is a mistake.
    let desc = Desc::gauge("wrong", "Wrong.").labels(["n"]).declare([["a"], ["b"]]).series_limit(1);
    let error = vitals.register(desc).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { value: 2, max: 1, .. }), "{error}");
    // The first registration's limit stands.
    let wider = Desc::counter("wide_total", "Wide.").labels(["n"]).series_limit(50);
    vitals.register(wider).unwrap().with(["one more"]).inc();
    assert_eq!(value(&vitals, "wide_total", &[("n", "_other")]), 3.0);
}

#[test]
fn the_limit_holds_when_threads_race_for_the_last_series() {
    const LIMIT: usize = 50;
    let vitals = Vitals::builder().series_limit(LIMIT as u32).build().unwrap();
    let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["n"])).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..200 {
                    calls.with([n.to_string().as_str()]).inc();
                }
            });
        }
    });
    let snapshot = vitals.snapshot();
    let sets = snapshot.label_sets("calls_total");
    let own = sets.filter(|set| set[0].1 != "_other").count();
    assert_eq!(own, LIMIT);
    assert_eq!(snapshot.sum("calls_total", &[]), 800.0);
    let other = snapshot.value("calls_total", &[("n", "_other")]);
    let overflow = snapshot.sum("mcp_vitals_series_overflow_total", &[("metric", "calls_total")]);
    assert_eq!(other.unwrap_or(0.0), overflow);
}

/// A set that has a place is never sent to `_other`, however many ask for the last one at once.
#[test]
fn the_last_place_is_for_all_who_ask_for_the_same_set() {
    const FAMILIES: usize = 1_000;
    let vitals = Vitals::builder().build().unwrap();
    let families: Vec<_> = (0..FAMILIES)
        .map(|n| {
            let desc = Desc::counter(&format!("calls_{n}_total"), "Calls.").labels(["n"]);
            vitals.register(desc.series_limit(1)).unwrap()
        })
        .collect();
    let arrived = AtomicUsize::new(0);
    thread::scope(|scope| {
        for late in [0, 1] {
            let (families, arrived) = (&families, &arrived);
            scope.spawn(move || {
                for (n, family) in families.iter().enumerate() {
                    arrived.fetch_add(1, Ordering::Relaxed);
                    while arrived.load(Ordering::Relaxed) < 2 * (n + 1) {
                        thread::yield_now();
                    }
                    // One of them a little later each time: into every moment of the other one's birth.
                    (0..late * (n % 100)).for_each(|_| hint::spin_loop());
                    family.with(["a"]).inc();
                }
            });
        }
    });
    let snapshot = vitals.snapshot();
    for n in 0..FAMILIES {
        assert_eq!(snapshot.sum(&format!("calls_{n}_total"), &[("n", "a")]), 2.0, "family {n}");
    }
    assert_eq!(snapshot.sum("mcp_vitals_series_overflow_total", &[]), 0.0);
}

#[test]
fn values_are_cut_at_a_characters_edge() {
    let vitals = Vitals::builder().value_length_limit(16).build().unwrap();
    let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool"])).unwrap();
    for (given, kept) in [
        ("0123456789abcdef".to_owned(), "0123456789abcdef"),
        ("0123456789abcdefg".to_owned(), "0123456789abcdef"),
        ("ä".repeat(20), "ääääääää"),
        (format!("x{}", "ä".repeat(20)), "xäääääää"),
        ("€".repeat(9), "€€€€€"),
        ("\u{1f980}".repeat(500_000), "\u{1f980}\u{1f980}\u{1f980}\u{1f980}"),
        // An escape counts as the byte that it stands for.
        ("\"".repeat(17), "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""),
    ] {
        let before = vitals.snapshot().value("calls_total", &[("tool", kept)]).unwrap_or(0.0);
        calls.with([&given]).inc();
        vitals.metric("calls_total").unwrap().inc(&[("tool", &given)]);
        assert_eq!(value(&vitals, "calls_total", &[("tool", kept)]), before + 2.0);
    }
    // What was cut is counted, each time; what fits is not.
    let cut = || value(&vitals, "mcp_vitals_values_cut_total", &[("metric", "calls_total")]);
    let before = cut();
    assert!(before > 0.0);
    calls.with(["just as long   !"]).inc();
    assert_eq!(cut(), before);
    calls.with(["one byte too long"]).inc();
    assert_eq!(cut(), before + 1.0);
    let longest = vitals.snapshot().label_sets("calls_total").map(|set| set[0].1.len()).max();
    assert_eq!(longest, Some(16));
}

const LIMIT: u64 = 1 << 20;

/// Reads what the engine says it uses until told to stop, and scrapes meanwhile.
fn hold_to_the_limit(vitals: &Vitals, stop: &AtomicBool) {
    let mut text = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let used = value(vitals, "mcp_vitals_memory_used_bytes", &[]);
        assert!(used <= LIMIT as f64, "{used} bytes of {LIMIT}");
        text.clear();
        vitals.scrape_into(&mut text);
    }
}

/// Stops whoever watches, also by a panic.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_flood_of_series_stays_within_memory_limit() {
    let vitals = Vitals::builder().memory_limit(LIMIT).series_limit(1_000_000).build().unwrap();
    assert_eq!(vitals.memory_ceiling(), LIMIT);
    let early = vitals.counter("early_total", "There before the flood.").unwrap();
    let level = vitals.updown("level", "There before the flood.").unwrap();
    let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool"])).unwrap();
    let readings = vitals.register(Desc::gauge("reading", "Read.").labels(["tool"])).unwrap();
    const THREADS: usize = 4;
    const SETS: usize = 5_000;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| hold_to_the_limit(&vitals, &stop));
        let stopper = StopOnDrop(&stop);
        let flood: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (early, level, calls, readings) = (&early, &level, &calls, &readings);
                scope.spawn(move || {
                    for n in 0..SETS {
                        let tool = format!("{thread} {n} {}", "x".repeat(100));
                        calls.with([&tool]).inc();
                        readings.with([&tool]).set(1.0);
                        early.inc();
                        level.inc();
                        level.dec();
                    }
                })
            })
            .collect();
        flood.into_iter().for_each(|thread| thread.join().unwrap());
        drop(stopper);
        watcher.join().unwrap();
    });
    let all = (THREADS * SETS) as f64;
    assert_eq!(early.get() as f64, all);
    assert_eq!(level.get(), 0);
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.sum("calls_total", &[]), all);
    let born = snapshot.label_sets("calls_total").count() as f64 - 1.0;
    assert!(born > 100.0 && born < all, "{born} series");
    let other = snapshot.value("calls_total", &[("tool", "_other")]).unwrap();
    assert_eq!(born + other, all);
    let overflow = |metric| snapshot.sum("mcp_vitals_series_overflow_total", &[("metric", metric)]);
    assert_eq!(overflow("calls_total"), other);
    let gauges = snapshot.label_sets("reading").count() as f64 - 1.0;
    assert_eq!(gauges + overflow("reading"), all);
}

#[test]
fn a_flood_of_observations_stays_within_memory_limit() {
    let vitals = Vitals::builder().memory_limit(LIMIT).series_limit(1_000_000).build().unwrap();
    let early = vitals.counter("early_total", "There before the flood.").unwrap();
    let known = vitals.histogram("known_seconds", "There before the flood.").unwrap();
    // Its cells are there before the flood takes the rest.
    known.record_nanos(1_000);
    let times = Desc::histogram("times_seconds", "Times.").labels(["tool"]);
    let times: Family<Histogram, 1> = vitals.register(times).unwrap();
    const THREADS: u64 = 4;
    const SETS: u64 = 300;
    const OCTAVES: u64 = 40;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| hold_to_the_limit(&vitals, &stop));
        let stopper = StopOnDrop(&stop);
        let flood: Vec<_> = (0..THREADS)
            .map(|_| {
                let (early, known, times) = (&early, &known, &times);
                scope.spawn(move || {
                    for n in 0..SETS {
                        let times = times.with([n.to_string().as_str()]);
                        for octave in 0..OCTAVES {
                            times.record_nanos(1 << octave);
                            known.record_nanos(1_000);
                            early.inc();
                        }
                    }
                })
            })
            .collect();
        flood.into_iter().for_each(|thread| thread.join().unwrap());
        drop(stopper);
        watcher.join().unwrap();
    });
    let all = THREADS * SETS * OCTAVES;
    assert_eq!(early.get(), all);
    let snapshot = vitals.snapshot();
    // What has its cells loses nothing, whoever else floods.
    let known = snapshot.histogram("known_seconds", &[]).unwrap();
    assert_eq!((known.count(), known.sum_units()), (all + 1, (all + 1) * 1_000));
    let lost = |metric| snapshot.value("mcp_vitals_lost_total", &[("metric", metric)]).unwrap();
    assert_eq!(lost("known_seconds"), 0.0);
    // Of the rest each observation is either in a bucket or counted as lost.
    assert!(lost("times_seconds") > 0.0);
    assert_eq!(snapshot.sum("times_seconds", &[]) + lost("times_seconds"), all as f64);
}

#[test]
fn families_are_refused_when_the_memory_is_used_up_and_the_engine_goes_on() {
    let vitals = Vitals::builder().memory_limit(LIMIT).build().unwrap();
    let mut counters: Vec<Counter> = Vec::new();
    let error = loop {
        match vitals.counter(&format!("jobs_{}_total", counters.len()), "Jobs.") {
            Ok(counter) => counters.push(counter),
            Err(error) => break error,
        }
        assert!(counters.len() < 1_000_000, "no end");
    };
    assert!(matches!(error, Error::MemoryLimit { limit: LIMIT, .. }), "{error}");
    // What is refused leaves no series about its losses.
    let series = value(&vitals, "mcp_vitals_series", &[]);
    for n in 0..10 {
        let desc = Desc::histogram(&format!("late_{n}_seconds"), "Too late.").labels(["tool"]);
        let error = vitals.register(desc).unwrap_err();
        assert!(matches!(error, Error::MemoryLimit { .. }), "{error}");
    }
    assert_eq!(value(&vitals, "mcp_vitals_series", &[]), series);
    assert!(!vitals.export_prometheus().contains("late_"));
    counters.iter().for_each(Counter::inc);
    assert!(counters.iter().all(|counter| counter.get() == 1));
    assert!(value(&vitals, "mcp_vitals_memory_used_bytes", &[]) <= LIMIT as f64);
    let text = vitals.export_prometheus();
    assert!(text.contains(&format!("jobs_{}_total 1\n", counters.len() - 1)));
    assert!(!text.contains(&format!("jobs_{}_total ", counters.len())));
}

//! Callbacks and collectors: what they give is what a scrape shows, and nothing they do harms one.

#[allow(dead_code)] // others use the rest of it
mod round_trip;

use std::collections::BTreeMap;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use mcp_vitals::{Collector, Counter, Desc, Error, Gauge, Snapshot, Vitals, VitalsBuilder};
use openmetrics_parser::PrometheusType;
use proptest::prelude::*;
use round_trip::{as_read, cut, find, number, read};

/// Longer than any test: where nothing hangs nothing may be late.
const NEVER: Duration = Duration::from_secs(60);
/// Where something hangs: each scrape takes this long, and what is healthy may be late too.
const SOON: Duration = Duration::from_millis(100);

fn builder() -> VitalsBuilder {
    Vitals::builder().system_metrics(false).collect_deadline(NEVER)
}

fn engine() -> Vitals {
    builder().build().unwrap()
}

fn impatient() -> Vitals {
    builder().collect_deadline(SOON).build().unwrap()
}

fn gauge(name: &str) -> Desc<Gauge, 0> {
    Desc::gauge(name, "A gauge.")
}

fn total(name: &str) -> Desc<Counter, 0> {
    Desc::counter(name, "A total.")
}

fn failures(snapshot: &Snapshot, collector: &str, reason: &str) -> f64 {
    let labels = [("collector", collector), ("reason", reason)];
    snapshot.value("mcp_vitals_collector_failures_total", &labels).unwrap()
}

fn lost(snapshot: &Snapshot, what: &str, metric: &str) -> Option<f64> {
    snapshot.value(&format!("mcp_vitals_{what}_total"), &[("metric", metric)])
}

/// Runs a test that would wait for ever if it failed.
fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // Ended, by a panic of its own perhaps.
        _ => test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Scrapes until one is as it should be; to be used under [`ends`].
fn until(vitals: &Vitals, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
    loop {
        let snapshot = vitals.snapshot();
        if is(&snapshot) {
            return snapshot;
        }
    }
}

/// A callback that hangs until the sender is dropped.
fn hung() -> (mpsc::Sender<()>, impl FnMut() -> f64 + Send + 'static) {
    let (release, held) = mpsc::channel::<()>();
    let callback = move || {
        let _ = held.recv();
        1.0
    };
    (release, callback)
}

/// Sends when it is dropped.
struct Dropped(mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn dropped() -> (Dropped, Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    (Dropped(sender), receiver)
}

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
fn a_panic_leaves_out_what_panicked_and_nothing_else() {
    /// Panics again when the panic's payload is dropped.
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("and once more");
        }
    }
    let vitals = engine();
    let quiet = Arc::new(AtomicBool::new(false));
    let (one, two, three) = (quiet.clone(), quiet.clone(), quiet.clone());
    vitals.callback_gauge(gauge("before"), [], || 1.0).unwrap();
    vitals
        .callback_gauge(gauge("bad"), [], move || {
            assert!(one.load(Ordering::SeqCst), "a callback's own mistake");
            2.0
        })
        .unwrap();
    vitals
        .callback_gauge(gauge("worse"), [], move || {
            if !two.load(Ordering::SeqCst) {
                panic_any(Grenade);
            }
            3.0
        })
        .unwrap();
    vitals
        .collector("half", (gauge("half_a"), gauge("half_b")), move |out, (a, b)| {
            out.set(a, [], 4.0);
            assert!(three.load(Ordering::SeqCst), "half way");
            out.set(b, [], 5.0);
        })
        .unwrap();
    vitals.callback_gauge(gauge("after"), [], || 6.0).unwrap();
    let names = ["before", "bad", "worse", "half_a", "half_b", "after"];
    let shown = |snapshot: &Snapshot| names.map(|name| snapshot.value(name, &[]));

    for scrape in 1..=3 {
        let snapshot = vitals.snapshot();
        assert_eq!(shown(&snapshot), [Some(1.0), None, None, None, None, Some(6.0)]);
        for collector in ["bad", "worse", "half"] {
            assert_eq!(failures(&snapshot, collector, "panic"), f64::from(scrape));
            assert_eq!(failures(&snapshot, collector, "deadline"), 0.0);
        }
        assert_eq!(failures(&snapshot, "before", "panic"), 0.0);
    }
    quiet.store(true, Ordering::SeqCst);
    let snapshot = vitals.snapshot();
    assert_eq!(shown(&snapshot), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(Some));
    assert_eq!(failures(&snapshot, "half", "panic"), 3.0);
}

#[test]
fn one_that_hangs_costs_the_others_nothing() {
    ends(|| {
        let vitals = impatient();
        let calls = Arc::new(AtomicU64::new(0));
        let (release, mut hang) = hung();
        let called = calls.clone();
        vitals.callback_gauge(gauge("before"), [], || 1.0).unwrap();
        vitals
            .callback_gauge(gauge("hung"), [], move || {
                called.fetch_add(1, Ordering::SeqCst);
                hang()
            })
            .unwrap();
        vitals.collector("after", gauge("after"), |out, after| out.set(after, [], 3.0)).unwrap();
        let others = |snapshot: &Snapshot| {
            [snapshot.value("before", &[]), snapshot.value("after", &[])] == [Some(1.0), Some(3.0)]
        };
        for _ in 0..3 {
            let snapshot = until(&vitals, others);
            assert_eq!(snapshot.value("hung", &[]), None);
            assert!(failures(&snapshot, "hung", "deadline") > 0.0);
            assert_eq!(failures(&snapshot, "hung", "panic"), 0.0);
        }
        // It runs still, so nobody asked it again.
        assert_eq!(calls.load(Ordering::SeqCst), 1);

        // Once it has come back it is asked as before.
        drop(release);
        let snapshot = until(&vitals, |snapshot| snapshot.value("hung", &[]) == Some(1.0));
        assert!(calls.load(Ordering::SeqCst) > 1);
        let counted = failures(&snapshot, "hung", "deadline");
        let snapshot = until(&vitals, |snapshot| snapshot.value("hung", &[]) == Some(1.0));
        assert!(failures(&snapshot, "hung", "deadline") >= counted);
    });
}

/// What comes late is of a time that has passed.
#[test]
fn a_late_answer_is_shown_to_nobody() {
    ends(|| {
        let vitals = impatient();
        let (go, gone) = mpsc::channel::<f64>();
        let (began, begun) = mpsc::channel();
        let answers = Mutex::new(gone);
        vitals
            .callback_gauge(gauge("late"), [], move || {
                began.send(()).unwrap();
                answers.lock().unwrap().recv().unwrap_or(f64::NAN)
            })
            .unwrap();
        assert_eq!(vitals.snapshot().value("late", &[]), None);
        begun.recv().unwrap();
        // The answer to a question that is over; the next ones are answered before they are asked.
        go.send(1.0).unwrap();
        (0..10_000).for_each(|_| go.send(2.0).unwrap());
        let mut seen = None;
        while seen.is_none() {
            seen = vitals.snapshot().value("late", &[]);
        }
        assert_eq!(seen, Some(2.0));
    });
}

#[test]
fn the_others_are_asked_though_many_hang() {
    const HUNG: usize = 80;
    ends(|| {
        let vitals = impatient();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let desc = || Desc::gauge("hung", "Hang.").labels(["n"]);
        vitals.callback_gauge(gauge("first"), [], || 1.0).unwrap();
        until(&vitals, |snapshot| snapshot.value("first", &[]).is_some());
        for n in 0..HUNG {
            let held = held.clone();
            let hang = move || {
                let _ = held.lock().map(|held| held.recv());
                2.0
            };
            vitals.callback_gauge(desc(), [&n.to_string()], hang).unwrap();
        }
        // More scrapes than it takes to fill all threads: one is kept for what came back before.
        for _ in 0..8 {
            until(&vitals, |snapshot| snapshot.value("first", &[]) == Some(1.0));
        }
        assert_eq!(vitals.snapshot().label_sets("hung").count(), 0);
        drop(release);
        until(&vitals, |snapshot| snapshot.label_sets("hung").count() == HUNG);
    });
}

#[test]
fn shutdown_and_the_last_drop_leave_behind_what_hangs() {
    ends(|| {
        for by_hand in [true, false] {
            let vitals = impatient();
            let (kept, let_go) = dropped();
            let (release, mut hang) = hung();
            let hang = move || {
                let _kept = &kept;
                hang()
            };
            vitals.callback_gauge(gauge("hung"), [], hang).unwrap();
            let (idle, idle_let_go) = dropped();
            let idle = move || {
                let _idle = &idle;
                1.0
            };
            vitals.callback_gauge(gauge("idle"), [], idle).unwrap();
            until(&vitals, |snapshot| snapshot.value("idle", &[]).is_some());
            if by_hand {
                vitals.shutdown(Duration::from_millis(10));
                let text = vitals.export_prometheus();
                assert!(!text.contains("# TYPE idle "), "{text}");
                // By hand all else goes on.
                vitals.counter("usual_total", "Usual.").unwrap().inc();
                assert_eq!(vitals.snapshot().value("usual_total", &[]), Some(1.0));
                let error = vitals.callback_gauge(gauge("new"), [], || 1.0).unwrap_err();
                assert!(matches!(error, Error::Collector { .. }), "{error}");
                vitals.register(gauge("new")).unwrap();
                vitals.shutdown(Duration::from_millis(10));
            }
            drop(vitals);
            // What did not hang is let go at once, what did when it has come back.
            idle_let_go.recv().unwrap();
            assert!(let_go.try_recv().is_err());
            drop(release);
            let_go.recv().unwrap();
        }
    });
}

/// The engine ends while a scrape waits for a collector, and on another thread than ours.
#[test]
fn the_engine_may_end_while_a_callback_runs() {
    ends(|| {
        let vitals = engine();
        let (began, begun) = mpsc::channel();
        let (release, mut hang) = hung();
        let hang = move || {
            let _ = began.send(());
            hang()
        };
        vitals.callback_gauge(gauge("hung"), [], hang).unwrap();
        vitals.callback_gauge(gauge("quick"), [], || 2.0).unwrap();
        let scraping = vitals.clone();
        let scrape = thread::spawn(move || scraping.snapshot());
        begun.recv().unwrap();
        // Whoever waits is let go, long before the deadline.
        vitals.shutdown(Duration::from_millis(1));
        let snapshot = scrape.join().unwrap();
        assert_eq!(snapshot.value("hung", &[]), None);
        assert_eq!(failures(&snapshot, "hung", "deadline"), 0.0);
        drop(vitals);
        drop(release);
    });
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    ends(|| {
        let own: Arc<OnceLock<Mutex<Option<Vitals>>>> = Arc::default();
        let vitals = builder().collect_deadline(SOON).build().unwrap();
        let (kept, let_go) = dropped();
        let (ready, wait) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let inside = own.clone();
        vitals
            .callback_gauge(gauge("last"), [], move || {
                let _kept = &kept;
                let _ = began.send(());
                // Until the scrape has given up: then this is the only handle.
                let _ = wait.recv();
                drop(inside.get().and_then(|own| own.lock().unwrap().take()));
                1.0
            })
            .unwrap();
        assert_eq!(vitals.snapshot().value("last", &[]), None);
        begun.recv().unwrap();
        assert!(own.set(Mutex::new(Some(vitals))).is_ok());
        drop(ready);
        // The engine has ended on the collector's thread, and so has that.
        let_go.recv().unwrap();
    });
}

#[test]
fn a_callback_may_use_the_engine() {
    ends(|| {
        let vitals = engine();
        let other = vitals.callback_gauge(gauge("other"), [], || 1.0).unwrap();
        let other = Mutex::new(Some(other));
        let own: Arc<Mutex<Option<Collector>>> = Arc::default();
        let (inside, itself) = (vitals.clone(), own.clone());
        let (said, saying) = mpsc::channel();
        let collect = move |out: &mut mcp_vitals::Samples, using: &mcp_vitals::Collected<0>| {
            // Its own scrape is without collectors, and waits for none.
            let snapshot = inside.snapshot();
            let mut text = Vec::new();
            inside.scrape_into(&mut text);
            let _ = said.send((snapshot, String::from_utf8(text).unwrap()));
            inside.counter("new_total", "New.").unwrap().inc();
            let nested = inside.callback_gauge(gauge("nested"), [], || 4.0);
            assert!(nested.is_ok() || matches!(nested, Err(Error::Conflict { .. })));
            if let Some(other) = other.lock().unwrap().take() {
                other.remove();
            }
            if let Some(itself) = itself.lock().unwrap().take() {
                itself.remove();
            }
            out.set(using, [], 2.0);
        };
        let using = vitals.collector("using", gauge("using"), collect).unwrap();
        assert!(vitals.export_prometheus().contains("\nusing 2\n"));
        let (inner, text) = saying.recv().unwrap();
        assert_eq!((inner.value("other", &[]), inner.value("using", &[])), (None, None));
        assert!(read(&text).families.contains_key("mcp_vitals_series"));
        let snapshot = vitals.snapshot();
        assert_eq!(snapshot.value("using", &[]), Some(2.0));
        assert_eq!(snapshot.value("other", &[]), None, "removed while a scrape was on");
        assert_eq!(snapshot.value("new_total", &[]), Some(2.0));
        assert_eq!(failures(&snapshot, "using", "panic"), 0.0);
        assert_eq!(snapshot.value("nested", &[]), Some(4.0), "registered by a callback");
        *own.lock().unwrap() = Some(using);
        let snapshot = vitals.snapshot();
        assert_eq!(snapshot.value("using", &[]), None, "it removed itself");
        // It held a handle of the engine: by now it is gone, and the engine ends with ours.
        let (kept, let_go) = dropped();
        vitals
            .callback_gauge(gauge("kept"), [], move || {
                let _kept = &kept;
                1.0
            })
            .unwrap();
        drop(vitals);
        let_go.recv().unwrap();
    });
}

/// A closure is dropped under no lock of ours, wherever that is: it is a host's code, too.
#[test]
fn what_a_closure_holds_may_use_the_engine_when_it_is_dropped() {
    struct Registers(Vitals, mpsc::Sender<bool>);
    impl Drop for Registers {
        fn drop(&mut self) {
            let name = format!("by_{}", self.0.snapshot().families().count());
            let added = self.0.callback_gauge(gauge(&name), [], || 1.0);
            let _ = self.1.send(added.map(Collector::remove).is_ok());
        }
    }
    ends(|| {
        let vitals = engine();
        let (said, heard) = mpsc::channel();
        let holding = || Registers(vitals.clone(), said.clone());
        // On the collectors' thread, before the next is asked and after the last.
        for n in 0..2 {
            let (held, own) = (holding(), Arc::new(Mutex::new(None::<Collector>)));
            let itself = own.clone();
            let remove = move || {
                let _held = &held;
                itself.lock().unwrap().take().into_iter().for_each(Collector::remove);
                1.0
            };
            let name = format!("own{n}");
            *own.lock().unwrap() = Some(vitals.callback_gauge(gauge(&name), [], remove).unwrap());
        }
        vitals.snapshot();
        assert_eq!([0, 1].map(|_| heard.recv()), [Ok(true); 2]);
        // On ours, by a removal, a refusal and the shutdown.
        let callback = |name: &str| {
            let held = holding();
            let keep = move || {
                let _held = &held;
                1.0
            };
            vitals.callback_gauge(gauge(name), [], keep)
        };
        callback("removed").unwrap().remove();
        assert_eq!(heard.recv(), Ok(true));
        callback("kept").unwrap();
        assert!(callback("kept").is_err() && callback("mcp_vitals_refused").is_err());
        assert_eq!([0, 1].map(|_| heard.recv()), [Ok(true); 2]);
        vitals.shutdown(NEVER);
        assert_eq!(heard.recv(), Ok(false), "no more are taken then");
    });
}

/// Neither of these is a good idea; both come back.
#[test]
fn a_callback_may_shut_the_engine_down_or_scrape_on_another_thread() {
    ends(|| {
        let vitals = impatient();
        let inside = vitals.clone();
        let scrape = move || {
            let vitals = inside.clone();
            // It does not know for whom it scrapes, and waits: until its own scrape gives up.
            thread::spawn(move || vitals.snapshot()).join().map_or(0.0, |_| 1.0)
        };
        vitals.callback_gauge(gauge("elsewhere"), [], scrape).unwrap();
        let snapshot = vitals.snapshot();
        assert_eq!(snapshot.value("elsewhere", &[]), None);
        assert!(failures(&snapshot, "elsewhere", "deadline") > 0.0);

        let inside = vitals.clone();
        let shutdown = move || {
            inside.shutdown(Duration::from_millis(1));
            1.0
        };
        vitals.callback_gauge(gauge("shutdown"), [], shutdown).unwrap();
        // Until it has been asked: then no more are taken, and what is refused is let go.
        until(&vitals, |_| {
            let refused = vitals.callback_gauge(gauge("refused"), [], || 1.0);
            matches!(refused.map(Collector::remove), Err(Error::Collector { .. }))
        });
        let (kept, let_go) = dropped();
        let refused = move || {
            let _kept = &kept;
            1.0
        };
        vitals.callback_gauge(gauge("refused"), [], refused).unwrap_err();
        let_go.recv().unwrap();
    });
}

/// One that holds a handle keeps its engine: until the shutdown.
#[test]
fn shutdown_lets_go_of_what_holds_the_engine() {
    ends(|| {
        let vitals = engine();
        let (kept, let_go) = dropped();
        let inside = vitals.clone();
        let callback = move || {
            let _kept = &kept;
            f64::from(u8::from(inside.is_disabled()))
        };
        vitals.callback_gauge(gauge("holds"), [], callback).unwrap();
        assert_eq!(vitals.snapshot().value("holds", &[]), Some(0.0));
        assert!(let_go.try_recv().is_err());
        vitals.shutdown(NEVER);
        let_go.recv().unwrap();
    });
}

#[test]
fn scrapes_at_once_share_and_see_what_was_set_before() {
    const SCRAPERS: u64 = 6;
    const SCRAPES: u64 = 50;
    ends(|| {
        let vitals = engine();
        let (clock, running) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let said = clock.clone();
        let desc = (total("clock_total"), Desc::gauge("wide", "Wide.").labels(["n"]));
        vitals
            .collector("clock", desc, move |out, (total, wide)| {
                assert!(!running.swap(true, Ordering::SeqCst), "it runs twice at once");
                out.set(total, [], said.load(Ordering::SeqCst) as f64);
                (0..20).for_each(|n| out.set(wide, [&n.to_string()], 1.0));
                running.store(false, Ordering::SeqCst);
            })
            .unwrap();
        let barrier = Arc::new(Barrier::new(SCRAPERS as usize));
        let threads: Vec<_> = (0..SCRAPERS)
            .map(|_| {
                let (vitals, clock, barrier) = (vitals.clone(), clock.clone(), barrier.clone());
                thread::spawn(move || {
                    for _ in 0..SCRAPES {
                        barrier.wait();
                        let before = clock.fetch_add(1, Ordering::SeqCst) + 1;
                        let snapshot = vitals.snapshot();
                        let after = clock.load(Ordering::SeqCst);
                        let seen = snapshot.value("clock_total", &[]).unwrap() as u64;
                        assert!((before..=after).contains(&seen), "{before} {seen} {after}");
                        assert_eq!(snapshot.label_sets("wide").count(), 20);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(failures(&vitals.snapshot(), "clock", "panic"), 0.0);
        assert_eq!(failures(&vitals.snapshot(), "clock", "deadline"), 0.0);
    });
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
                if !(*is_gauge || value.is_finite() && *value >= 0.0) {
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

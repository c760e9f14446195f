//! Nothing that a callback or a collector does harms a scrape, the others, or the engine: it panics,
//! hangs, uses the engine, ends it.

mod collectors_fixture;
#[allow(dead_code)] // others use the rest of it
mod round_trip;

use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use collectors_fixture::*;
use mcp_vitals::{Collector, Desc, Error, Snapshot, Vitals};
use round_trip::read;

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

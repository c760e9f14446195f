//! Series come and go: what is removed is gone at once, what is idle goes by itself, nothing that was
//! recorded is lost or credited to another series, and memory stays where it was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mcp_vitals::{Counter, Desc, Error, Family, Histogram, UserId, Vitals, VitalsBuilder};

/// Counts the bytes that are on the heap.
struct Held;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Held {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static HEAP: Held = Held;

/// The shortest time after which a series may go.
const IDLE: Duration = Duration::from_millis(10);

/// Runs `body` on a thread of its own while no other test of this process holds memory: some measure
/// it.
fn alone(body: impl FnOnce() + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn builder() -> VitalsBuilder {
    Vitals::builder().system_metrics(false)
}

fn engine() -> Vitals {
    builder().build().unwrap()
}

fn reading(vitals: &Vitals, name: &str) -> f64 {
    vitals.snapshot().value(name, &[]).unwrap()
}

/// The samples of one name by their labels as they are written.
fn samples(text: &str, name: &str) -> HashMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    lines
        .map(|line| {
            let (labels, value) = line.rsplit_once("} ").unwrap();
            (labels.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Scrapes until the text is as wished, and gives up when it will hardly ever be.
fn scrape_until(vitals: &Vitals, is_so: impl Fn(&str) -> bool) {
    let started = Instant::now();
    while !is_so(&vitals.export_prometheus()) {
        let text = || vitals.export_prometheus();
        assert!(started.elapsed() < Duration::from_secs(60), "{}", text());
        thread::yield_now();
    }
}

/// Stops the recording threads, also by a panic.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_removed_is_gone_at_once() {
    alone(|| {
        let vitals = engine();
        let desc = Desc::counter("calls_total", "Calls.").labels(["tool", "status"]).removable();
        let calls = vitals.register(desc).unwrap();
        for tool in ["a", "b", "c", "d"] {
            calls.with([tool, "ok"]).inc();
        }
        // Scraped before, so that the encoder has something to forget.
        assert_eq!(samples(&vitals.export_prometheus(), "calls_total").len(), 4);
        let by_name = vitals.metric("calls_total").unwrap();
        assert!(calls.remove(["b", "ok"]) && !calls.remove(["b", "ok"]));
        assert!(by_name.remove(&[("status", "ok"), ("tool", "c")]));
        assert!(!by_name.remove(&[("status", "ok"), ("tool", "c")]));
        assert!(!calls.remove(["a", "never there"]));
        let text = vitals.export_prometheus();
        let left = HashMap::from([
            ("tool=\"a\",status=\"ok\"".to_owned(), 1),
            ("tool=\"d\",status=\"ok\"".to_owned(), 1),
        ]);
        assert_eq!(samples(&text, "calls_total"), left);
        let snapshot = vitals.snapshot();
        assert_eq!(snapshot.value("calls_total", &[("tool", "b")]), None);
        assert_eq!(snapshot.label_sets("calls_total").count(), 2);
        assert_eq!(snapshot.sum("mcp_vitals_mismatched_total", &[]), 0.0);

        // Labels that are not the metric's remove nothing, and are counted.
        assert!(!by_name.remove(&[("tool", "a")]));
        assert_eq!(reading(&vitals, "mcp_vitals_mismatched_total"), 1.0);

        // Used again it begins at 0, by whichever way.
        calls.with(["b", "ok"]).add(5);
        by_name.inc(&[("tool", "c"), ("status", "ok")]);
        let text = vitals.export_prometheus();
        assert_eq!(samples(&text, "calls_total")["tool=\"b\",status=\"ok\""], 5);
        assert_eq!(samples(&text, "calls_total")["tool=\"c\",status=\"ok\""], 1);
    });
}

#[test]
fn only_what_is_removable_is_removed() {
    alone(|| {
        let vitals = engine();
        let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["n"])).unwrap();
        calls.with(["a"]).inc();
        assert!(!calls.remove(["a"]));
        // One series without labels, which stays; and the one past the limit.
        let alone = vitals.register(Desc::counter("alone_total", "Alone.").removable()).unwrap();
        alone.with([]).inc();
        assert!(!alone.remove([]));
        let desc = Desc::counter("few_total", "Few.").labels(["n"]).removable().series_limit(1);
        let few = vitals.register(desc).unwrap();
        few.with(["a"]).inc();
        few.with(["b"]).inc();
        assert!(!few.remove(["b"]) && !few.remove(["_other"]));
        let snapshot = vitals.snapshot();
        for (name, sum) in [("calls_total", 1.0), ("alone_total", 1.0), ("few_total", 2.0)] {
            assert_eq!(snapshot.sum(name, &[]), sum, "{name}");
        }
        assert!(
            !Vitals::disabled()
                .register(Desc::gauge("g", "G.").labels(["a"]))
                .unwrap()
                .remove(["x"])
        );
    });
}

/// At the limit there is room again once a series was removed and nobody holds it.
#[test]
fn a_handle_that_is_kept_records_nowhere_that_is_seen() {
    alone(|| {
        let vitals = engine();
        let desc = Desc::counter("calls_total", "Calls.").labels(["n"]).removable();
        let calls: Family<Counter, 1> = vitals.register(desc.series_limit(10)).unwrap();
        let kept = calls.with(["kept"]);
        kept.add(7);
        assert!(calls.remove(["kept"]));
        kept.add(1);
        let anew = calls.with(["kept"]);
        let others: Vec<Counter> = (0..8).map(|n| calls.with([n.to_string().as_str()])).collect();
        kept.add(1);
        // From another thread, which has not seen it before, and a clone.
        thread::scope(|scope| scope.spawn(|| kept.clone().add(1)).join().unwrap());
        assert_eq!((kept.get(), anew.get()), (10, 0));
        assert!(others.iter().all(|other| other.get() == 0));
        let sum = || samples(&vitals.export_prometheus(), "calls_total").values().sum::<u64>();
        assert_eq!(sum(), 0);
        assert_eq!(vitals.cardinality().family("calls_total").unwrap().series, 10);

        // Ten places are taken: eight others, the new one, and the one that is held.
        calls.with(["late"]).inc();
        assert_eq!(samples(&vitals.export_prometheus(), "calls_total")["n=\"_other\""], 1);
        drop(kept);
        calls.with(["late"]).inc();
        assert_eq!(samples(&vitals.export_prometheus(), "calls_total")["n=\"late\""], 1);
        assert_eq!(sum(), 2);
    });
}

#[test]
fn places_are_used_again_and_begin_at_0() {
    alone(|| {
        let vitals = engine();
        let family = |name: &str| Desc::counter(name, "C.").labels(["n", "m"]).removable();
        let calls = vitals.register(family("calls_total")).unwrap();
        let times = Desc::histogram("times_seconds", "T.").labels(["n"]).removable();
        let times: Family<Histogram, 1> = vitals.register(times).unwrap();
        let level = vitals.register(Desc::updown("level", "L.").labels(["n"]).removable()).unwrap();
        let read = vitals.register(Desc::gauge("read", "R.").labels(["n"]).removable()).unwrap();
        let round = |n: usize| {
            let n = format!("{n:06}");
            let (calls_n, times_n, level_n, read_n) =
                (calls.with([&n, "x"]), times.with([&n]), level.with([&n]), read.with([&n]));
            assert_eq!((calls_n.get(), level_n.get(), read_n.get()), (0, 0, 0.0));
            calls_n.add(3);
            level_n.add(5);
            level_n.sub(1);
            read_n.set(-1.5);
            (0..40).for_each(|octave| times_n.record_nanos(1 << octave));
            let text = vitals.export_prometheus();
            assert!(text.contains(&format!("calls_total{{n=\"{n}\",m=\"x\"}} 3\n")));
            assert!(text.contains(&format!("level{{n=\"{n}\"}} 4\n")));
            assert!(text.contains(&format!("read{{n=\"{n}\"}} -1.5\n")));
            assert!(text.contains(&format!("times_seconds_count{{n=\"{n}\"}} 40\n")));
            let snapshot = vitals.snapshot();
            let seen = snapshot.histogram("times_seconds", &[("n", &n)]).unwrap();
            assert_eq!((seen.count(), seen.sum_units()), (40, (1 << 40) - 1));
            drop((calls_n, times_n, level_n, read_n));
            assert!(calls.remove([&n, "x"]) && times.remove([&n]));
            assert!(level.remove([&n]) && read.remove([&n]));
        };
        // What a scrape takes is recorded, too, and may be any octave.
        let own = vitals.metric("mcp_vitals_scrape_duration_seconds").unwrap();
        (0..40).for_each(|octave| own.observe(&[], (1u64 << octave) as f64 / 1e9));
        (0..20).for_each(round);
        let figures = || {
            ["mcp_vitals_memory_used_bytes", "mcp_vitals_series"].map(|name| reading(&vitals, name))
        };
        let before = (figures(), HELD.load(Ordering::Relaxed));
        (20..500).for_each(round);
        assert_eq!(figures(), before.0);
        let grown = HELD.load(Ordering::Relaxed) - before.1;
        assert!(grown < 20_000, "{grown} bytes more on the heap");
    });
}

#[test]
fn series_of_every_kind_go_when_nobody_uses_them() {
    alone(|| {
        let vitals = engine();
        let calls = Desc::counter("calls_total", "C.").labels(["n"]).idle_expiry(IDLE);
        let calls = vitals.register(calls.declare([["declared"]])).unwrap();
        let times = Desc::histogram("times_seconds", "T.").labels(["n"]).idle_expiry(IDLE);
        let times = vitals.register(times).unwrap();
        let level = Desc::updown("level", "L.").labels(["n"]).idle_expiry(IDLE);
        let level = vitals.register(level).unwrap();
        let read = Desc::gauge("reading", "R.").labels(["n"]).idle_expiry(IDLE);
        let read = vitals.register(read).unwrap();
        let all = |text: &str| {
            ["calls_total{", "times_seconds_count{", "level{", "reading{"]
                .map(|series| text.lines().filter(|line| line.starts_with(series)).count())
        };
        // Twice: the second time in places that others left.
        for n in ["first", "second"] {
            calls.with([n]).inc();
            times.with([n]).record_nanos(5);
            level.with([n]).inc();
            level.with(["busy"]).inc();
            read.with([n]).set(4.0);
            // What is recorded is seen by the next scrape, however long it took to come.
            thread::sleep(3 * IDLE);
            let text = vitals.export_prometheus();
            assert!(text.contains(&format!("calls_total{{n=\"{n}\"}} 1\n")), "{text}");
            assert!(text.contains(&format!("times_seconds_count{{n=\"{n}\"}} 1\n")), "{text}");
            assert!(text.contains(&format!("reading{{n=\"{n}\"}} 4\n")), "{text}");
            // A level that is not 0 stays: something is under way.
            scrape_until(&vitals, |text| all(text) == [0, 0, 2, 0]);
            level.with([n]).dec();
            level.with(["busy"]).dec();
            scrape_until(&vitals, |text| all(text) == [0; 4]);
        }
        assert_eq!(reading(&vitals, "mcp_vitals_series"), {
            let fresh = engine();
            for name in ["calls_total", "times_seconds", "level", "reading"] {
                drop(fresh.register(Desc::histogram(name, "X.").labels(["n"])).unwrap());
            }
            // A histogram counts two losses more than the others do.
            reading(&fresh, "mcp_vitals_series") - 9.0
        });
    });
}

#[test]
fn what_is_held_or_used_stays() {
    alone(|| {
        let vitals = engine();
        let desc = |name: &str| Desc::gauge(name, "R.").labels(["n"]).idle_expiry(IDLE);
        let read = vitals.register(desc("reading")).unwrap();
        let held = read.with(["held"]);
        held.set(1.0);
        for _ in 0..3 {
            // Used later than the held one: when it goes, that one has been left alone for longer.
            read.with(["idle"]).set(2.0);
            scrape_until(&vitals, |text| {
                // The same number again changes nothing that can be read; by name, and by labels.
                read.with(["set"]).set(3.0);
                vitals.metric("reading").unwrap().set(&[("n", "by_name")], 4.0);
                let there = samples(text, "reading");
                assert_eq!(
                    (there.get("n=\"held\""), there.get("n=\"set\"")),
                    (Some(&1), there.get("n=\"set\"").map(|_| &3))
                );
                !there.contains_key("n=\"idle\"")
            });
            let there = samples(&vitals.export_prometheus(), "reading");
            for (n, value) in [("held", 1), ("set", 3), ("by_name", 4)] {
                assert_eq!(there.get(&format!("n=\"{n}\"")), Some(&value), "{n}");
            }
        }
        drop(held);
        scrape_until(&vitals, |text| !text.contains("reading{"));
    });
}

/// A thread that has a shard and a cache, and sleeps, holds up nothing.
#[test]
fn an_idle_thread_delays_nothing() {
    alone(|| {
        let vitals = engine();
        let desc = Desc::counter("calls_total", "C.").labels(["n"]).idle_expiry(IDLE);
        let calls: Family<Counter, 1> = vitals.register(desc).unwrap();
        let (parked, is_parked) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let wait = wait;
                // So often that the thread has a cache of its own and hits it.
                (0..100).for_each(|_| calls.with(["a"]).inc());
                parked.send(()).unwrap();
                assert!(wait.recv().is_err());
                // What the cache still has of the place is of another series by now.
                calls.with(["a"]).inc();
            });
            is_parked.recv().unwrap();
            calls.with(["b"]).inc();
            assert!(calls.remove(["b"]));
            let series = || vitals.cardinality().family("calls_total").unwrap().series;
            scrape_until(&vitals, |_| series() == 0);
            let others = ["c", "d"].map(|n| calls.with([n]));
            drop(done);
            sleeper.join().unwrap();
            assert_eq!(others.map(|other| other.get()), [0, 0]);
            assert_eq!(calls.with(["a"]).get(), 1);
        });
    });
}

/// Threads record while series go under their hands. A series' total is a set of bits: each record
/// adds one that no other record of these labels adds, ever. So a scrape that finds none of the bits of
/// the one before saw the series begin anew, whatever a comparison of the numbers would say; and in the
/// end each record must have been in exactly one of its lives. Prometheus' `increase` over these
/// scrapes is the sum over the lives of what each was last seen at.
#[test]
fn a_record_is_never_lost_nor_credited_to_another_series() {
    const LABELS: usize = 2_000;
    const BITS: u32 = 64;
    const RESTARTS: usize = 3_000;

    /// A series as the scrapes saw it: the bits of the lives that are over, and of this one.
    #[derive(Default)]
    struct Seen {
        before: u64,
        now: u64,
    }

    alone(|| {
        let vitals = builder().series_limit(100_000).memory_limit(1 << 30).build().unwrap();
        let desc = Desc::counter("calls_total", "C.").labels(["n"]).idle_expiry(IDLE);
        let calls: Family<Counter, 1> = vitals.register(desc).unwrap();
        // The label in each place, and how many bits of it were given out: one with all of them gives
        // way to the next.
        let places: Vec<Mutex<(usize, u32)>> = (0..LABELS).map(|n| Mutex::new((n, 0))).collect();
        let next = AtomicUsize::new(LABELS);
        let stop = AtomicBool::new(false);
        let take = |place: usize| {
            let mut place = places[place].lock().unwrap();
            if place.1 == BITS {
                *place = (next.fetch_add(1, Ordering::Relaxed), 0);
            }
            place.1 += 1;
            (place.0, 1u64 << (place.1 - 1))
        };
        let record = |thread: usize| {
            let by_name = vitals.metric("calls_total").unwrap();
            let mut random = thread as u64 + 1;
            let mut held = None;
            let mut records = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // A few are used all the time, from the threads' caches; most come round now and then.
                let range = if random.is_multiple_of(4) { 20 } else { LABELS };
                let (label, bit) = take((random >> 8) as usize % range);
                let name = label.to_string();
                match random >> 32 & 7 {
                    0 => by_name.add(&[("n", &name)], bit),
                    // Held over the next records, and then used.
                    1 => {
                        if let Some((counter, bit)) = held.replace((calls.with([&name]), bit)) {
                            counter.add(bit);
                        }
                    }
                    _ => calls.with([&name]).add(bit),
                }
                records.push((label, bit));
            }
            held.inspect(|(counter, bit)| counter.add(*bit));
            records
        };
        let mut seen = HashMap::<usize, Seen>::new();
        let mut restarts = 0;
        let mut scrape = || {
            let text = vitals.export_prometheus();
            let mut there = samples(&text, "calls_total");
            let mut restarts = 0;
            for (n, &bits) in &there {
                let n = n.strip_prefix("n=\"").unwrap().trim_end_matches('"').parse().unwrap();
                let Seen { before, now } = seen.entry(n).or_default();
                if bits & *now != *now {
                    assert_eq!(bits & *now, 0, "{n} lost records, or got another's");
                    *before |= std::mem::take(now);
                    restarts += 1;
                }
                assert_eq!(bits & *before, 0, "{n} has records of an earlier life");
                *now = bits;
            }
            // Those that are missing have ended.
            for (n, Seen { before, now }) in &mut seen {
                if *now != 0 && there.remove(&format!("n=\"{n}\"")).is_none() {
                    *before |= std::mem::take(now);
                    restarts += 1;
                }
            }
            restarts
        };
        let recorded = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..3).map(|n| scope.spawn(move || record(n))).collect::<Vec<_>>();
            let stopper = StopOnDrop(&stop);
            while restarts < RESTARTS {
                restarts += scrape();
            }
            drop(stopper);
            let threads = threads.into_iter().map(|thread| thread.join().unwrap());
            threads.flatten().collect::<Vec<_>>()
        });
        scrape();
        let mut expected = HashMap::<usize, u64>::new();
        for &(label, bit) in &recorded {
            *expected.entry(label).or_default() += bit;
        }
        for (label, bits) in &expected {
            let Seen { before, now } = &seen[label];
            assert_eq!(before | now, *bits, "{label}: a record was in no scrape");
        }
        assert_eq!(seen.len(), expected.len());
        assert!(recorded.len() > RESTARTS, "{} records", recorded.len());
        assert_eq!(vitals.snapshot().sum("mcp_vitals_series_overflow_total", &[]), 0.0);
    });
}

/// Users come and go by the thousand: an hour of a busy server.
#[test]
fn users_who_come_and_go_leave_nothing_behind() {
    const NAME: &str = "mcp_auth_rate_limit_exceeded_total";
    const WAVE: usize = 1_000;
    const WAVES: usize = 200;
    const WARM: usize = 20;
    alone(|| {
        let vitals = builder().user_id(UserId::Plain).idle_expiry(NAME, IDLE).build().unwrap();
        let own = vitals.metric("mcp_vitals_scrape_duration_seconds").unwrap();
        (0..40).for_each(|octave| own.observe(&[], (1u64 << octave) as f64 / 1e9));
        let figures = || {
            ["mcp_vitals_memory_used_bytes", "mcp_vitals_series"].map(|name| reading(&vitals, name))
        };
        let mut warm = None;
        for wave in 0..WAVES {
            for user in 0..WAVE {
                let user = format!("user_{:08}", wave * WAVE + user);
                (0..1 + wave % 3).for_each(|_| vitals.mcp().rate_limited(&user));
            }
            // Each is seen, with all that was counted.
            let there = samples(&vitals.export_prometheus(), NAME);
            let users: HashSet<_> = (0..WAVE)
                .map(|user| format!("user_id=\"user_{:08}\"", wave * WAVE + user))
                .collect();
            assert_eq!(there.keys().cloned().collect::<HashSet<_>>(), users);
            assert!(there.values().all(|&count| count == 1 + wave as u64 % 3));
            scrape_until(&vitals, |text| !text.contains("mcp_auth_rate_limit_exceeded_total{"));
            if wave + 1 == WARM {
                warm = Some((figures(), HELD.load(Ordering::Relaxed)));
            }
        }
        let (flat, held) = warm.unwrap();
        assert_eq!(figures(), flat);
        let grown = HELD.load(Ordering::Relaxed) - held;
        assert!(grown < 100_000, "{grown} bytes more on the heap after {WAVES} waves");
        let labels = [("metric", NAME)];
        assert_eq!(vitals.snapshot().sum("mcp_vitals_series_overflow_total", &labels), 0.0);
    });
}

#[test]
fn an_engine_may_go_while_handles_of_removed_series_live() {
    alone(|| {
        let round = || {
            let vitals = engine();
            let desc = Desc::counter("calls_total", "C.").labels(["n"]).idle_expiry(IDLE);
            let calls: Family<Counter, 1> = vitals.register(desc).unwrap();
            let times = Desc::histogram("times_seconds", "T.").labels(["n"]).removable();
            let times: Family<Histogram, 1> = vitals.register(times).unwrap();
            let handles: Vec<_> = (0..100)
                .map(|n| (calls.with([&n.to_string()]), times.with([&n.to_string()])))
                .collect();
            for n in 0..50 {
                assert!(calls.remove([&n.to_string()]) && times.remove([&n.to_string()]));
            }
            let by_name = vitals.metric("calls_total").unwrap();
            drop((vitals, times));
            for (calls, times) in &handles {
                calls.inc();
                times.record_nanos(1_000);
                assert_eq!(calls.get(), 1);
            }
            // The family lives as long as anybody has it.
            assert!(by_name.remove(&[("n", "70")]) && !by_name.remove(&[("n", "7")]));
            drop(calls);
            by_name.inc(&[("n", "after")]);
            let last = handles.into_iter().next().unwrap();
            drop(by_name);
            last.0.inc();
            assert_eq!(last.0.get(), 2);
            thread::spawn(|| drop(last)).join().unwrap();
        };
        (0..20).for_each(|_| round());
        let before = HELD.load(Ordering::Relaxed);
        (0..100).for_each(|_| round());
        let grown = HELD.load(Ordering::Relaxed) - before;
        // A page an engine would be 400 kilobytes.
        assert!(grown < 50_000, "{grown} bytes more on the heap after 100 engines");
    });
}

#[test]
fn the_builder_says_how_long_a_series_may_be_idle() {
    alone(|| {
        let vitals = builder()
            .idle_expiry("by_builder_total", Duration::from_secs(3_600))
            .idle_expiry("by_builder_total", IDLE)
            .idle_expiry("alone", IDLE)
            .build()
            .unwrap();
        let calls = Desc::counter("by_builder_total", "C.").labels(["n"]);
        // The builder's word goes before the metric's own.
        let calls = vitals.register(calls.idle_expiry(Duration::from_secs(60))).unwrap();
        vitals.gauge("alone", "A metric without labels stays.").unwrap().set(1.0);
        calls.with(["a"]).inc();
        calls.with(["b"]).inc();
        assert!(calls.remove(["b"]));
        scrape_until(&vitals, |text| !text.contains("by_builder_total{"));
        assert_eq!(reading(&vitals, "alone"), 1.0);

        let day = Duration::from_secs(86_400);
        for wrong in [Duration::ZERO, Duration::from_micros(9_999), 46 * day, Duration::MAX] {
            let error = builder().idle_expiry("calls_total", wrong).build().unwrap_err();
            let Error::OutOfRange { metric, field, min, max, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!((metric.as_str(), *min, *max), ("calls_total", 10, 45 * 86_400_000));
            assert!(field.starts_with("idle_expiry"), "{error}");
            if !wrong.is_zero() {
                let desc = Desc::counter("calls_total", "C.").labels(["n"]).idle_expiry(wrong);
                assert!(matches!(engine().register(desc), Err(Error::OutOfRange { .. })));
            }
        }
        assert!(builder().idle_expiry("calls_total", 45 * day).build().is_ok());
        for own in ["mcp_vitals_series", "target_info"] {
            let error = builder().idle_expiry(own, day).build().unwrap_err();
            assert!(matches!(error, Error::Reserved { .. }), "{error}");
        }
    });
}

/// A look-up may come at any moment of a removal, and so may another thread's.
#[test]
fn removals_by_hand_race_with_records() {
    alone(|| {
        let vitals = engine();
        let desc = Desc::counter("calls_total", "C.").labels(["n"]).removable();
        let calls: Family<Counter, 1> = vitals.register(desc).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let recorder = |own: &'static str| {
                let (calls, stop) = (&calls, &stop);
                scope.spawn(move || {
                    let mine = calls.with([own]);
                    let mut records = 0;
                    while !stop.load(Ordering::Relaxed) {
                        calls.with(["shared"]).inc();
                        // Nobody removes it, and what another series loses is not credited here.
                        calls.with([own]).inc();
                        records += 1;
                    }
                    assert_eq!(mine.get(), records);
                    records
                })
            };
            let recorders = ["a", "b"].map(recorder);
            let stopper = StopOnDrop(&stop);
            let (mut removed, mut tries) = (0, 0);
            while removed < 5_000 {
                removed += u32::from(calls.remove(["shared"]));
                tries += 1;
                if tries % 64 == 0 {
                    vitals.export_prometheus();
                }
            }
            drop(stopper);
            let records = recorders.map(|recorder| recorder.join().unwrap());
            // Whoever ended last may have made it once more.
            calls.remove(["shared"]);
            let there = samples(&vitals.export_prometheus(), "calls_total");
            let own = HashMap::from([
                ("n=\"a\"".to_owned(), records[0]),
                ("n=\"b\"".to_owned(), records[1]),
            ]);
            assert_eq!(there, own);
        });
        assert_eq!(vitals.cardinality().family("calls_total").unwrap().series, 2);
    });
}

/// A walk over many blocks shows what there was at one moment: not a series that was removed behind it and
/// born again before it.
#[test]
fn no_scrape_shows_a_series_twice() {
    alone(|| {
        const SERIES: usize = 6_000;
        const MOVING: usize = 64;
        let vitals = builder().series_limit(2 * SERIES as u32).build().unwrap();
        let calls = vitals.register(Desc::counter("calls_total", "C.").labels(["n"]).removable());
        let times =
            vitals.register(Desc::histogram("times", "T.").buckets(&[]).labels(["n"]).removable());
        let (calls, times) = (calls.unwrap(), times.unwrap());
        let name = |n: usize| format!("s{n}");
        (0..SERIES).for_each(|n| calls.with([&name(n)]).inc());
        (0..SERIES / 10).for_each(|n| times.with([&name(n)]).record_nanos(1));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..MOVING).cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
                    calls.remove([&name(n)]);
                    calls.with([&name(n)]).inc();
                    times.remove([&name(n)]);
                    times.with([&name(n)]).record_nanos(1);
                }
            });
            // Found first and said afterwards: a failure in between would leave the other at work.
            let mut found = (0..60).map(|_| {
                let text = vitals.export_prometheus();
                let lines = text.lines().filter(|line| !line.starts_with('#'));
                let series: Vec<_> = lines.filter_map(|line| line.rsplit_once(' ')).collect();
                let different: HashSet<_> = series.iter().map(|(begin, _)| begin).collect();
                (series.len() - different.len(), different.len())
            });
            let wrong = found.find(|&(twice, shown)| twice > 0 || shown <= SERIES - MOVING);
            stop.store(true, Ordering::Relaxed);
            assert_eq!(wrong, None, "twice, and shown");
        });
    });
}

//! Threads and engines come and go: nothing is lost, nothing goes back, nothing grows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, mpsc};
use std::thread;

use mcp_vitals::{Counter, Desc, Family, Histogram, UpDown, Vitals};

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

/// Runs `body` on a thread of its own while no other test of this process records: shards, and
/// how many are leased, belong to the process.
fn alone(body: impl FnOnce() + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Without the readings of the system, whose thread records and allocates when it likes.
fn engine() -> Vitals {
    Vitals::builder().system_metrics(false).build().unwrap()
}

fn reading(vitals: &Vitals, name: &str) -> u64 {
    vitals.snapshot().value(name, &[]).unwrap() as u64
}

const THREADS: u64 = 10_000;
const WAVE: u64 = 16;
/// Waves whose threads all live at once, so that every shard is made and touched.
const WARM_WAVES: u64 = 3;

#[derive(Clone)]
struct Work {
    vitals: Vitals,
    calls: Family<Counter, 1>,
    open: UpDown,
    latency: Histogram,
}

/// What threads record: one value in each of several octaves.
const LATENCIES: [u64; 4] = [900, 70_000, 1_000_000, 3_000_000_001];

impl Work {
    fn new() -> Work {
        let vitals = engine();
        let calls = Desc::counter("calls_total", "Calls.").labels(["worker"]);
        Work {
            calls: vitals.register(calls).unwrap(),
            open: vitals.updown("open", "Open.").unwrap(),
            latency: vitals.histogram("latency_seconds", "Latency.").unwrap(),
            vitals,
        }
    }

    fn record(&self, thread: u64) {
        let worker = ["a", "b", "c"][thread as usize % 3];
        self.open.inc();
        self.calls.with([worker]).add(thread);
        self.vitals.metric("calls_total").unwrap().inc(&[("worker", worker)]);
        for nanos in LATENCIES {
            self.latency.record_nanos(nanos);
        }
        self.open.dec();
    }
}

/// Scrapes until told to stop and compares each with the one before; gives how many it made.
fn watch(work: &Work, stop: &AtomicBool) -> u64 {
    let mut text = Vec::new();
    let mut seen: HashMap<String, f64> = HashMap::new();
    let (mut scrapes, mut snapshots) = (0, 0.0);
    while !stop.load(Ordering::SeqCst) {
        text.clear();
        work.vitals.scrape_into(&mut text);
        let text = std::str::from_utf8(&text).unwrap();
        let (mut inf, mut count) = (None, None);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            match series {
                "open" => assert!(value >= 0.0, "a balanced level of {value}"),
                "latency_seconds_bucket{le=\"+Inf\"}" => inf = Some(value),
                "latency_seconds_count" => count = Some(value),
                _ => {}
            }
            let grows = ["_total", "_bucket", "_sum", "_count"]
                .iter()
                .any(|end| series.split('{').next().unwrap().ends_with(end));
            if grows {
                let before = seen.get_mut(series);
                assert!(before.as_deref() <= Some(&value), "{series}: {before:?} then {value}");
                match before {
                    Some(before) => *before = value,
                    None => drop(seen.insert(series.to_owned(), value)),
                }
            }
        }
        assert!(inf.is_some() && inf == count, "{inf:?} {count:?}");
        // A snapshot adds up other cells than a text does.
        let count = work.vitals.snapshot().value("latency_seconds", &[]).unwrap();
        assert!(count >= snapshots, "{snapshots} then {count} in a snapshot");
        snapshots = count;
        scrapes += 1;
    }
    scrapes
}

#[test]
fn threads_come_and_go_and_every_record_stays() {
    alone(|| {
        let work = Work::new();
        // Every doubling of the scrape's own duration, so that it takes no new cells later.
        let own = work.vitals.metric("mcp_vitals_scrape_duration_seconds").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ready = Arc::new(Barrier::new(2));
        let watcher = {
            let (work, stop, ready) = (work.clone(), stop.clone(), ready.clone());
            thread::spawn(move || {
                let own = work.vitals.metric("mcp_vitals_scrape_duration_seconds").unwrap();
                (0..40).for_each(|octave| own.observe(&[], (1u64 << octave) as f64 / 1e9));
                ready.wait();
                watch(&work, &stop)
            })
        };
        ready.wait();
        drop(own);
        work.calls.with(["a"]).add(0);

        let mut flat = None;
        let figures = || {
            // The text of a series is charged when it is first scraped.
            work.vitals.export_prometheus();
            let snapshot = work.vitals.snapshot();
            ["mcp_vitals_memory_used_bytes", "mcp_vitals_shards", "mcp_vitals_series"]
                .map(|name| snapshot.value(name, &[]).unwrap())
        };
        for wave in 0..THREADS / WAVE {
            let together = Arc::new(Barrier::new(WAVE as usize));
            let threads: Vec<_> = (0..WAVE)
                .map(|n| {
                    let (work, together) = (work.clone(), together.clone());
                    thread::spawn(move || {
                        let thread = wave * WAVE + n;
                        if wave < WARM_WAVES {
                            // Each series is born before and each shard takes all of them.
                            ["a", "b", "c"].iter().for_each(|w| work.calls.with([*w]).add(0));
                            work.record(thread);
                            together.wait();
                        } else {
                            work.record(thread);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            if wave + 1 == WARM_WAVES {
                flat = Some(figures());
            }
        }
        assert_eq!(Some(figures()), flat, "memory, shards and series after {WARM_WAVES} waves");
        stop.store(true, Ordering::SeqCst);
        let scrapes = watcher.join().unwrap();
        assert!(scrapes > 10, "{scrapes} scrapes");

        let snapshot = work.vitals.snapshot();
        let expected = (0..THREADS).sum::<u64>() + THREADS;
        assert_eq!(snapshot.sum("calls_total", &[]), expected as f64);
        assert_eq!(snapshot.value("open", &[]), Some(0.0));
        let latency = snapshot.histogram("latency_seconds", &[]).unwrap();
        assert_eq!(latency.count(), THREADS * LATENCIES.len() as u64);
        assert_eq!(latency.sum_units(), THREADS * LATENCIES.iter().sum::<u64>());
        // Sixteen at a time, this one and the watcher; and all but this one have given back.
        assert!(reading(&work.vitals, "mcp_vitals_shards") <= WAVE + 2);
        assert_eq!(reading(&work.vitals, "mcp_vitals_shards_leased"), 1);
    });
}

/// Records when its thread ends.
struct AtEnd {
    calls: Counter,
    open: UpDown,
    latency: Histogram,
    ended: Arc<AtomicU64>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.calls.inc();
        self.open.inc();
        self.open.dec();
        self.latency.record_nanos(5_000);
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    static LATER: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Thread-locals end in the reverse order of their first use: one that was used before our lease
/// records after it went back, one that was used after records before, and a thread that records
/// nothing else makes its first record while it ends.
#[test]
fn a_destructor_that_records_loses_nothing_and_leaks_no_lease() {
    alone(|| {
        let vitals = engine();
        let calls = vitals.counter("calls_total", "Calls.").unwrap();
        let open = vitals.updown("open", "Open.").unwrap();
        let latency = vitals.histogram("latency_seconds", "Latency.").unwrap();
        let ended = Arc::new(AtomicU64::new(0));
        let at_end = || AtEnd {
            calls: calls.clone(),
            open: open.clone(),
            latency: latency.clone(),
            ended: ended.clone(),
        };
        calls.add(0);
        let leased = reading(&vitals, "mcp_vitals_shards_leased");
        let common = reading(&vitals, "mcp_vitals_common_records_total");
        let mut records = 0;
        const EACH: u64 = 300;
        let run = |body: &(dyn Fn() + Sync)| {
            thread::scope(|scope| {
                (0..EACH).for_each(|_| scope.spawn(body).join().unwrap());
            });
        };

        // After the lease went back.
        run(&|| {
            AT_END.with(|place| place.replace(Some(at_end())));
            calls.inc();
        });
        records += 2 * EACH;
        let late = reading(&vitals, "mcp_vitals_common_records_total") - common;
        // One for the counter, two for the level, one for the histogram.
        assert_eq!(late, 4 * EACH, "records after the lease went back");

        // Before it went back.
        run(&|| {
            calls.inc();
            AT_END.with(|place| place.replace(Some(at_end())));
        });
        records += 2 * EACH;

        // The first record of the thread, and another one's after it.
        run(&|| {
            LATER.with(|place| place.replace(Some(at_end())));
            AT_END.with(|place| place.replace(Some(at_end())));
        });
        records += 2 * EACH;

        assert_eq!(ended.load(Ordering::SeqCst), 4 * EACH);
        assert_eq!(calls.get(), records);
        assert_eq!(open.get(), 0);
        let snapshot = vitals.snapshot();
        let latency = snapshot.histogram("latency_seconds", &[]).unwrap();
        assert_eq!((latency.count(), latency.sum_units()), (4 * EACH, 4 * EACH * 5_000));
        assert_eq!(reading(&vitals, "mcp_vitals_shards_leased"), leased);
        assert_eq!(snapshot.sum("mcp_vitals_lost_total", &[]), 0.0);
    });
}

#[test]
fn engines_come_and_go_and_leave_nothing_behind() {
    alone(|| {
        // Threads that live on keep their shards, so that an engine's slots come back in shards
        // that held another's numbers.
        type Given = (Counter, Histogram, mpsc::Sender<()>);
        let (workers, threads): (Vec<mpsc::Sender<Given>>, Vec<_>) = (0..3)
            .map(|_| {
                let (send, receive) = mpsc::channel::<Given>();
                let thread = thread::spawn(move || {
                    for (calls, latency, done) in receive {
                        calls.add(7);
                        latency.record_nanos(1_000);
                        drop((calls, latency));
                        done.send(()).unwrap();
                    }
                });
                (send, thread)
            })
            .unzip();
        let round = || {
            let vitals = engine();
            let calls = Desc::counter("calls_total", "Calls.").labels(["tool"]);
            let calls = vitals.register(calls).unwrap();
            let latency = vitals.histogram("latency_seconds", "Latency.").unwrap();
            let level = vitals.updown("open", "Open.").unwrap();
            let snapshot = vitals.snapshot();
            for (name, _) in snapshot.families().filter(|family| family.1 != "gauge") {
                // What the process has recorded in common cells is not this engine's, nor its clock.
                let of_process =
                    ["mcp_vitals_common_records_total", "mcp_vitals_clock_went_back_total"];
                if !of_process.contains(&name) {
                    assert_eq!(snapshot.sum(name, &[]), 0.0, "{name} of a new engine");
                }
            }
            assert_eq!(snapshot.histogram("latency_seconds", &[]).unwrap().sum_units(), 0);
            assert_eq!(level.get(), 0);
            // Enough series for several chunks.
            let handles: Vec<Counter> =
                (0..700).map(|n| calls.with([n.to_string().as_str()])).collect();
            assert!(handles.iter().all(|calls| calls.get() == 0));
            handles.iter().for_each(Counter::inc);
            level.add(3);
            let (done, all_done) = mpsc::channel();
            for worker in &workers {
                worker.send((handles[699].clone(), latency.clone(), done.clone())).unwrap();
            }
            drop(done);
            assert_eq!(all_done.iter().count(), workers.len());
            assert_eq!(handles[699].get(), 1 + 3 * 7);
            assert_eq!(vitals.snapshot().value("latency_seconds", &[]), Some(3.0));
            // A handle outlives its engine.
            let last = handles.into_iter().next_back().unwrap();
            drop((vitals, calls));
            last.inc();
            assert_eq!(last.get(), 2 + 3 * 7);
        };
        (0..50).for_each(|_| round());
        let before = HELD.load(Ordering::Relaxed);
        (0..1_000).for_each(|_| round());
        let grown = HELD.load(Ordering::Relaxed) - before;
        // One page an engine would be four megabytes.
        assert!(grown < 100_000, "{grown} bytes more on the heap after 1,000 engines");
        // Their leases go back before another test counts leases.
        drop(workers);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// What is on the heap is in the budget: no family, of whatever kind, is nearly free.
#[test]
fn what_families_and_series_take_is_charged() {
    alone(|| {
        const HELP: &str = "A help text of the usual length, as they are.";
        let vitals = Vitals::builder().system_metrics(false).build().unwrap();
        let used = || reading(&vitals, "mcp_vitals_memory_used_bytes") as i64;
        let before = (used(), HELD.load(Ordering::Relaxed));
        let taken = |what: &str, make: &dyn Fn(usize)| {
            (0..1_000).for_each(make);
            // From the engine's start: a table that doubles does so for all that came before, and
            // which kind's turn it is then is chance (its hash is seeded).
            let (charged, held) = (used() - before.0, HELD.load(Ordering::Relaxed) - before.1);
            // Some hundreds of kilobytes: what the tests beside this one hold is nothing to it.
            assert!(held < charged + charged / 5, "{what}: {held} held, {charged} charged");
            assert!(charged < 2 * held, "{what}: {held} held, {charged} charged");
        };
        taken("gauges", &|n| drop(vitals.gauge(&format!("gauge_number_{n}"), HELP)));
        taken("counters", &|n| drop(vitals.counter(&format!("number_{n}_total"), HELP)));
        taken("histograms", &|n| drop(vitals.histogram(&format!("time_{n}_seconds"), HELP)));
        taken("labels", &|n| {
            let desc = Desc::gauge(&format!("labelled_number_{n}"), HELP);
            let labels = ["tool", "operation", "some_longer_label"];
            vitals.register(desc.labels(labels)).unwrap().with(["a", "b", "c"]).set(1.0);
        });
        let many = Desc::counter("many_total", HELP).labels(["a"]).series_limit(1_000_000);
        let many = vitals.register(many).unwrap();
        taken("series", &|n| drop(many.with([&n.to_string()])));
    });
}

/// So is the text that scrapes keep, though few lines of many be long.
#[test]
fn the_text_that_is_kept_is_charged() {
    alone(|| {
        let taken = |name: &str, long: &dyn Fn(usize) -> bool| {
            let builder = Vitals::builder().system_metrics(false).value_length_limit(4_096);
            let vitals = builder.memory_limit(1 << 30).build().unwrap();
            let used = || reading(&vitals, "mcp_vitals_memory_used_bytes") as i64;
            let before = (used(), HELD.load(Ordering::Relaxed));
            let many = Desc::counter(name, "").labels(["a"]).series_limit(1_000_000);
            let many = vitals.register(many.label_values_limit(1_000_000)).unwrap();
            for n in 0..10_000 {
                let value = format!("{n:0width$}", width = if long(n) { 4_000 } else { 1 });
                drop(many.with([&value]));
            }
            drop(vitals.export_prometheus());
            let (charged, held) = (used() - before.0, HELD.load(Ordering::Relaxed) - before.1);
            (held, charged, format!("{name}: {held} held, {charged} charged"))
        };
        // What the process has once is there after the first.
        let _ = taken("first_total", &|_| false);
        type Long = fn(usize) -> bool;
        let cases: [(&str, Long); 5] = [
            ("short_total", |_| false),
            ("long_total", |_| true),
            ("one_total", |n| n == 0),
            ("some_total", |n| n % 64 == 0),
            ("others_total", |n| n % 64 == 63),
        ];
        for (name, long) in cases {
            let (held, charged, said) = taken(name, &long);
            assert!(held < charged + charged / 5 && charged < 2 * held, "{said}");
        }
    });
}

//! Warm recording and warm scrapes allocate nothing and free nothing, on any thread; nor do warm log
//! calls on the thread that makes them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mcp_vitals::logs::{Context, LogConfig, Overflow};
use mcp_vitals::traces::{Parent, SpanId, TraceId};
use mcp_vitals::{
    Counter, Desc, Family, Format, Gauge, Histogram, SpanContext, UpDown, Vitals, debug, info,
};

/// Counts what all threads ask of the heap while the window is open.
struct Counting;

static OPEN: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread asked, whether or not the window is open.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count(what: &AtomicU64) {
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
    if OPEN.load(Ordering::SeqCst) {
        what.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(&FREES);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const SERIES: usize = 10_000;
const THREADS: usize = 3;
const SCRAPES: usize = 100;
/// Sets that are looked up by label while the window is open.
const LOOKED_UP: usize = 64;

struct Engine {
    vitals: Vitals,
    values: Vec<String>,
    counters: (Family<Counter, 2>, Vec<Counter>),
    gauges: (Family<Gauge, 1>, Vec<Gauge>),
    levels: (Family<UpDown, 1>, Vec<UpDown>),
    latencies: (Family<Histogram, 1>, Vec<Histogram>),
    sampled: Histogram,
    span: SpanContext,
}

impl Engine {
    fn new() -> Engine {
        let vitals = Vitals::builder()
            .service("alloc", "1")
            .memory_limit(1 << 30)
            // Reading the system's files allocates, on a thread of its own.
            .system_metrics(false)
            .series_limit(SERIES as u32)
            .exemplars(true)
            .build()
            .unwrap();
        let values: Vec<String> = (0..SERIES).map(|n| format!("tool \"{n}\"\\")).collect();
        let counters = Desc::counter("calls_total", "Calls.").labels(["tool", "status"]);
        let counters = vitals.register(counters).unwrap();
        let gauges =
            vitals.register(Desc::gauge("reading", "A reading.").labels(["tool"])).unwrap();
        let levels = vitals.register(Desc::updown("open", "A level.").labels(["tool"])).unwrap();
        let latencies = Desc::histogram("latency_seconds", "Latency.").buckets(&[0.001, 1.0]);
        let latencies = vitals.register(latencies.labels(["tool"])).unwrap();
        let sampled = Desc::histogram("sampled_seconds", "Latency.").sample(4);
        let trace = TraceId::from_bytes([7; 16]).unwrap();
        Engine {
            span: SpanContext::new(trace, SpanId::from_bytes([7; 8]).unwrap(), true),
            sampled: vitals.register(sampled).unwrap().with([]),
            counters: (counters.clone(), values.iter().map(|v| counters.with([v, "ok"])).collect()),
            gauges: (gauges.clone(), values.iter().map(|v| gauges.with([v])).collect()),
            levels: (levels.clone(), values.iter().map(|v| levels.with([v])).collect()),
            latencies: (latencies.clone(), values.iter().map(|v| latencies.with([v])).collect()),
            vitals,
            values,
        }
    }

    /// One record of each series by its handle.
    fn record(&self) {
        // Each is a candidate for an exemplar, too.
        let _current = Parent::from(self.span).enter();
        for (n, counter) in self.counters.1.iter().enumerate() {
            counter.inc();
            self.gauges.1[n].set(n as f64);
            self.gauges.1[n].add(0.5);
            self.levels.1[n].inc();
            self.levels.1[n].dec();
            self.latencies.1[n].record(Duration::from_micros(800));
        }
        // A timer's reading may fall into any octave: only one that is dropped without a record
        // is sure to be warm.
        self.latencies.1[0].start_timer().discard();
        // So often that some are kept by every thread that warms up.
        for _ in 0..1_000 {
            self.sampled.record(Duration::from_micros(800));
            self.sampled.start_timer().discard();
        }
    }

    /// One record of some series by their labels, in both ways.
    fn look_up(&self) {
        let find = |name| self.vitals.metric(name).unwrap();
        for value in &self.values[..LOOKED_UP] {
            self.counters.0.with([value, "ok"]).inc();
            self.gauges.0.with([value]).set(1.0);
            self.levels.0.with([value]).inc();
            self.latencies.0.with([value]).record_nanos(800_000);
            find("calls_total").inc(&[("status", "ok"), ("tool", value)]);
            find("reading").set(&[("tool", value)], 2.0);
            find("open").dec(&[("tool", value)]);
            find("latency_seconds").observe(&[("tool", value)], 0.0008);
            // What is refused is counted, in a cell like any other.
            find("latency_seconds").observe(&[("tool", value)], f64::NAN);
            find("calls_total").set(&[("tool", value)], 1.0);
        }
    }
}

/// Runs `work` with the window open; gives allocations and frees.
fn window(work: impl FnOnce()) -> (u64, u64) {
    ALLOCATIONS.store(0, Ordering::SeqCst);
    FREES.store(0, Ordering::SeqCst);
    OPEN.store(true, Ordering::SeqCst);
    work();
    OPEN.store(false, Ordering::SeqCst);
    (ALLOCATIONS.load(Ordering::SeqCst), FREES.load(Ordering::SeqCst))
}

/// Runs `work`; gives allocations and frees of this thread, whatever others do meanwhile.
fn asked(work: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    work();
    ASKED.get() - before
}

/// Lines, also those that no ring has room for, and contexts that are kept.
fn log_lines() {
    for overflow in [Overflow::DropNewest, Overflow::OverwriteOldest] {
        let config = LogConfig::to_memory().ring_bytes(16 << 10).overflow(overflow);
        let vitals = Vitals::builder().system_metrics(false).logs(config).build().unwrap();
        let logger = vitals.logger("alloc");
        let kept = Context::new().request_id("req-1").user_id("u-2").field("tenant", "blue");
        let (tool, owned) = ("swarm.init", String::from("owned"));
        let line = |n: u64| info!(logger, "called", tool, n, ok = true);
        let rendered = |n: u64| info!(logger, "called {owned} {n}", shown = %owned, n, ratio = 0.5);
        let none = |n: u64| debug!(logger, "called {owned}", tool, n, shown = %owned);
        let rounds = 10_000;
        let works: [(&str, &dyn Fn(u64)); 4] = [
            ("a line", &line),
            ("one with rendered values", &rendered),
            ("one of a level that is not taken", &none),
            ("a kept context, entered", &|_| drop(kept.enter())),
        ];
        let _context = kept.enter();
        for (what, work) in works {
            (0..10).for_each(work);
            let found = asked(|| (0..rounds).for_each(work));
            assert_eq!(found, 0, "allocations and frees of {rounds} times {what}, {overflow:?}");
        }
        assert!(!vitals.captured_logs().is_empty());
    }
}

/// A client that goes on with label sets for which `memory_limit` has no room costs no allocation.
fn past_the_memory_limit() {
    let builder = Vitals::builder().memory_limit(1 << 20).series_limit(1_000_000);
    let vitals = builder.system_metrics(false).build().unwrap();
    let counters = vitals.register(Desc::counter("calls_total", "Calls.").labels(["n"])).unwrap();
    let gauges = vitals.register(Desc::gauge("reading", "Read.").labels(["n"])).unwrap();
    let levels = vitals.register(Desc::updown("open", "Open.").labels(["n"])).unwrap();
    let latencies = Desc::histogram("latency_seconds", "Latency.").labels(["n"]);
    let latencies = vitals.register(latencies).unwrap();
    let record = |value: &str| {
        counters.with([value]).inc();
        gauges.with([value]).set(1.0);
        levels.with([value]).inc();
        latencies.with([value]).record_nanos(1);
    };
    // Long ones first, so that the last bytes are used up too.
    for length in [100, 50, 20, 10] {
        (0..10_000).for_each(|n| record(&format!("{n:length$}")));
    }
    let refused: Vec<String> = (0..100).map(|n| format!("\"{n}\" is refused")).collect();
    let found = window(|| refused.iter().for_each(|value| record(value)));
    assert_eq!(found, (0, 0), "allocations and frees of what memory_limit refuses");
    let overflow = vitals.snapshot().sum("mcp_vitals_series_overflow_total", &[]);
    assert!(overflow > 4.0 * 10_000.0, "{overflow} refused");
}

/// Labels as types, finite and open, of sets that are ready and of one that was used before.
#[cfg(feature = "macros")]
fn typed_labels() {
    use mcp_vitals::{Labels, Typed};

    #[derive(Clone, Copy, Labels)]
    enum Status {
        Success,
        Error,
    }
    #[derive(Labels)]
    struct Call<'a> {
        tool: &'a str,
        status: Status,
    }
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    let ready: Typed<Counter, Status> =
        vitals.register_typed(Desc::counter("ready_total", "Ready.")).unwrap();
    let lazy: Typed<Gauge, Status> = vitals.register_typed(Desc::gauge("lazy", "L.")).unwrap();
    let open: Typed<Counter, Call> =
        vitals.register_typed(Desc::counter("open_total", "Open.")).unwrap();
    let record = || {
        for status in [Status::Success, Status::Error] {
            ready.with(status).inc();
            lazy.with(status).set(1.0);
            open.with(Call { tool: "search", status }).inc();
        }
    };
    record();
    let found = window(|| (0..1_000).for_each(|_| record()));
    assert_eq!(found, (0, 0), "allocations and frees of warm records by typed labels");
    assert_eq!(vitals.snapshot().sum("open_total", &[]), 2_002.0);
}

/// A thread that looks up thousands of label sets keeps them all, and allocates for that once.
fn many_label_sets() {
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    let desc = Desc::counter("many_total", "").labels(["tool", "status"]).series_limit(4_000);
    let family = vitals.register(desc.label_values_limit(4_000)).unwrap();
    let tools: Vec<String> = (0..1_500).map(|n| format!("tool_{n}")).collect();
    let round = || {
        for tool in &tools {
            family.with([tool, "ok"]).inc();
            family.with([tool, "error"]).inc();
        }
    };
    (0..10).for_each(|_| round());
    let found = window(|| (0..10).for_each(|_| round()));
    assert_eq!(found, (0, 0), "allocations and frees of warm look-ups of many label sets");
    assert_eq!(vitals.snapshot().sum("many_total", &[]), 60_000.0);
}

fn main() {
    // A window that sees nothing would prove nothing.
    assert_eq!(window(|| drop(black_box(Box::new(1)))), (1, 1));
    assert_eq!(asked(|| drop(black_box(Box::new(1)))), 2);
    log_lines();
    past_the_memory_limit();
    #[cfg(feature = "macros")]
    typed_labels();
    // By a thread whose cache has seen nothing else.
    std::thread::spawn(many_label_sets).join().unwrap();

    let engine = Engine::new();
    // The engine times each scrape, and how long one takes is not ours to choose: every doubling
    // is warmed for the thread that scrapes.
    let own = engine.vitals.metric("mcp_vitals_scrape_duration_seconds").unwrap();
    (0..40).for_each(|octave| own.observe(&[], (1u64 << octave) as f64 / 1e9));

    let mut text = Vec::new();
    let [warm, open, done, closed] = std::array::from_fn(|_| Barrier::new(THREADS + 1));
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let mut found = (0, 0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                engine.record();
                engine.look_up();
                warm.wait();
                open.wait();
                while !stop.load(Ordering::SeqCst) {
                    engine.record();
                    engine.look_up();
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
                done.wait();
                // A thread's end frees: not before the window is closed.
                closed.wait();
            });
        }
        warm.wait();
        Format::ALL.iter().for_each(|format| engine.vitals.scrape_as(*format, &mut text));
        // Numbers grow by digits while the window is open, and counters are there twice.
        text.reserve(2 * text.len());
        text.clear();
        engine.vitals.scrape_into(&mut text);
        found = window(|| {
            open.wait();
            for scrape in 0..SCRAPES {
                text.clear();
                let format = Format::ALL[scrape % Format::ALL.len()];
                engine.vitals.scrape_as(format, &mut text);
                engine.vitals.scrape_only(format, &["calls_total", "latency"], &mut text);
            }
            // Both kinds of work were done while the other was.
            while rounds.load(Ordering::SeqCst) < 2 * THREADS as u64 {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::SeqCst);
            done.wait();
        });
        closed.wait();
    });
    assert_eq!(found, (0, 0), "allocations and frees in {SCRAPES} scrapes and {rounds:?} rounds");

    text.clear();
    engine.vitals.scrape_as(Format::OpenMetrics, &mut text);
    let exemplars = text.windows(17).filter(|part| part == b"# {trace_id=\"0707").count();
    assert!(exemplars > 100, "{exemplars} exemplars");

    // What was recorded meanwhile is all there.
    let passes = rounds.load(Ordering::SeqCst) + THREADS as u64;
    let last = engine.counters.1.last().unwrap();
    assert_eq!(last.get(), passes);
    let snapshot = engine.vitals.snapshot();
    let latencies = snapshot.sum("latency_seconds", &[]);
    let by_label = 2 * LOOKED_UP as u64 * passes;
    assert_eq!(latencies, (SERIES as u64 * passes + by_label) as f64);
    assert_eq!(snapshot.sum("open", &[]), 0.0);
    let kept = snapshot.sum("sampled_seconds", &[]) / (1_000 * passes) as f64;
    assert!((0.5..2.0).contains(&kept), "{kept} of what was recorded 1 in 4");
    for lost in ["mcp_vitals_series_overflow_total", "mcp_vitals_lost_total"] {
        assert_eq!(snapshot.sum(lost, &[]), 0.0, "{lost}");
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\ncalls_total{tool=\"tool \\\"9999\\\"\\\\\",status=\"ok\"} "));
    println!("{} bytes a scrape, {SCRAPES} scrapes, {rounds:?} rounds", text.len());
}

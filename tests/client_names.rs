//! A client may say a million names that the server never heard of: no label, no memory and no lost
//! call comes of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;

use mcp_vitals::{Outcome, Vitals};

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

/// A million where they take a second, not ten.
const NAMES: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
const THREADS: u64 = 2;
/// One call in so many is of a tool that the server has.
const KNOWN: u64 = 100;

fn requests(vitals: &Vitals, tool: &str, status: &str) -> u64 {
    let labels = [("tool", tool), ("operation", "execute"), ("status", status)];
    vitals.snapshot().value("mcp_requests_total", &labels).unwrap() as u64
}

#[test]
fn a_million_invented_names_are_one_label() {
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    vitals.mcp().learn_tools(["add"]);
    let asked = AtomicU64::new(0);
    let flood = |names: std::ops::Range<u64>| {
        let has = |name: &str| {
            asked.fetch_add(1, Ordering::Relaxed);
            name == "add"
        };
        for n in names {
            // Of any length and content, and a few that come again.
            let name = format!("invented_{}\"\n\\{}", n, "x".repeat(n as usize % 300));
            let name = if n % 10 == 9 { "again" } else { &name };
            let request = vitals.request("tools/call").tool(name).known_by(&has).start();
            request.finish(Outcome::JsonRpc(-32602));
            if n % KNOWN == 0 {
                vitals.request("tools/call").tool("add").known_by(&has).start().finish(Outcome::Ok);
            }
        }
    };
    let figures = || {
        vitals.export_prometheus();
        let snapshot = vitals.snapshot();
        let names = ["mcp_vitals_memory_used_bytes", "mcp_vitals_series"];
        (names.map(|name| snapshot.value(name, &[]).unwrap()), HELD.load(Ordering::Relaxed))
    };
    let on_threads = |from: u64, to: u64| {
        let each = (to - from) / THREADS;
        at_once(&|n| flood(from + n * each..from + (n + 1) * each));
    };
    // How long a request took may be any octave, and so may what a scrape takes.
    for (name, labels) in [
        ("mcp_request_duration_seconds", &[("tool", "_other"), ("operation", "execute")][..]),
        ("mcp_request_duration_seconds", &[("tool", "add"), ("operation", "execute")]),
        ("mcp_vitals_scrape_duration_seconds", &[]),
    ] {
        let metric = vitals.metric(name).unwrap();
        let warm = || (0..40).for_each(|octave| metric.record_units(labels, 1 << octave));
        // In as many shards as will be used.
        at_once(&|_| warm());
        warm();
    }
    let timed = requests_timed(&vitals);
    on_threads(0, NAMES / 10);
    let ((before, held_before), labels) = (figures(), tool_labels(&vitals));
    on_threads(NAMES / 10, NAMES);
    let (after, held) = figures();
    assert_eq!((after[1], tool_labels(&vitals)), (before[1], labels), "series");
    // A thread may touch a chunk of 8 KiB for the first time; a name has nothing.
    let most = 64.0 * 1024.0 + NAMES as f64 / 10.0;
    assert!(after[0] - before[0] < most, "{before:?} {after:?}");
    assert!(((held - held_before) as f64) < most, "{} bytes more", held - held_before);

    assert_eq!(requests(&vitals, "_other", "error"), NAMES);
    assert_eq!(requests(&vitals, "add", "success"), NAMES / KNOWN);
    assert_eq!(requests_timed(&vitals) - timed, NAMES + NAMES / KNOWN);
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.sum("mcp_vitals_unknown_tool_calls_total", &[]) as u64, NAMES);
    assert_eq!(snapshot.sum("mcp_vitals_series_overflow_total", &[]), 0.0);
    assert_eq!(snapshot.sum("mcp_requests_in_flight", &[]), 0.0);
    // 64 at once, and four for each second that this took: not one for each name.
    let asked = asked.into_inner();
    assert!((1..NAMES / 10).contains(&asked), "asked {asked} times");
}

/// `body` on each of [`THREADS`], all until the last is through, so that each has a shard of its own; these
/// are free again when this returns.
fn at_once(body: &(dyn Fn(u64) + Sync)) {
    let through = &Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        let run = |n| {
            scope.spawn(move || {
                body(n);
                through.wait();
            })
        };
        let threads: Vec<_> = (0..THREADS).map(run).collect();
        // The scope waits for the closures alone, a join for the threads' destructors too.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn requests_timed(vitals: &Vitals) -> u64 {
    vitals.snapshot().sum("mcp_request_duration_seconds", &[("operation", "execute")]) as u64
}

fn tool_labels(vitals: &Vitals) -> Vec<String> {
    let snapshot = vitals.snapshot();
    let sets = snapshot.label_sets("mcp_requests_in_flight");
    sets.map(|set| set[0].1.clone()).collect()
}

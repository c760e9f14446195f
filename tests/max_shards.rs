//! More threads than shards. In a process of its own: the number of shards is the process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use mcp_vitals::{Error, Vitals};

/// Counts allocations while the window is open.
struct Counting;

static OPEN: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

fn count(layout: Layout) {
    // The harness may allocate a little when it likes; a shard's directory is half a mebibyte.
    if OPEN.load(Ordering::SeqCst) && layout.size() >= 4096 {
        ALLOCATED.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const SHARDS: u64 = 2;
const THREADS: u64 = 8;
const RECORDS: u64 = 20_000;

#[test]
fn threads_past_the_last_shard_share_cells_and_lose_nothing() {
    for wrong in [0, 4097] {
        let error = Vitals::builder().max_shards(wrong).build().unwrap_err();
        assert!(matches!(error, Error::OutOfRange { field: "max_shards", .. }), "{error}");
    }
    // A thread that makes handles takes a shard too, as building an engine does: one that ends gives
    // it back.
    let set_up = || {
        let vitals = Vitals::builder()
            .max_shards(SHARDS as u32)
            // A thread that records for itself would take a shard.
            .system_metrics(false)
            .build()
            .unwrap();
        let calls = vitals.counter("calls_total", "Calls.").unwrap();
        let open = vitals.updown("open", "Open.").unwrap();
        let latency = vitals.histogram("latency_seconds", "Latency.").unwrap();
        (vitals, calls, open, latency)
    };
    let (vitals, calls, open, latency) = thread::spawn(set_up).join().unwrap();
    let reading = |name: &str| vitals.snapshot().value(name, &[]).unwrap() as u64;

    let [warm, window, leave] = std::array::from_fn(|_| Barrier::new(THREADS as usize + 1));
    let record = |thread: u64, n: u64| {
        open.inc();
        calls.add(n % 3);
        latency.record_nanos(1_000 * (thread + 1));
        open.dec();
    };
    // Held up to what is right after the scope: a panic within would leave threads at a barrier.
    let mut figures = [0; 2];
    thread::scope(|scope| {
        let record_all = |thread| {
            let (warm, window, leave, record) = (&warm, &window, &leave, &record);
            scope.spawn(move || {
                (0..10).for_each(|n| record(thread, n));
                warm.wait();
                window.wait();
                // Many times the thousand records after which a thread looks for a lease again.
                (10..RECORDS).for_each(|n| record(thread, n));
                window.wait();
                leave.wait();
            })
        };
        let threads: Vec<_> = (0..THREADS).map(record_all).collect();
        warm.wait();
        figures = ["mcp_vitals_shards", "mcp_vitals_shards_leased"].map(reading);
        OPEN.store(true, Ordering::SeqCst);
        window.wait();
        window.wait();
        OPEN.store(false, Ordering::SeqCst);
        leave.wait();
        // The scope waits for the closures alone, a join for the thread's destructors too: their
        // shards are free for the threads below.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(figures, [SHARDS, SHARDS], "shards, and leased ones");
    assert_eq!(ALLOCATED.load(Ordering::SeqCst), 0, "directories and chunks while warm");

    let each = (0..RECORDS).map(|n| n % 3).sum::<u64>();
    assert_eq!(calls.get(), THREADS * each);
    assert_eq!(open.get(), 0);
    let snapshot = vitals.snapshot();
    let read = snapshot.histogram("latency_seconds", &[]).unwrap();
    assert_eq!(read.count(), THREADS * RECORDS);
    assert_eq!(read.sum_units(), (1..=THREADS).sum::<u64>() * 1_000 * RECORDS);
    assert_eq!(read.buckets().last().unwrap().1, read.count());
    // Four records a round, of the six threads without a shard.
    let shared = reading("mcp_vitals_common_records_total");
    assert_eq!(shared, 4 * (THREADS - SHARDS) * RECORDS);
    assert_eq!(reading("mcp_vitals_shards"), SHARDS);

    // A thread without a shard gets one when another gives it back, a thousand records later at
    // the most.
    let shared = || reading("mcp_vitals_common_records_total");
    let [held, leave] = std::array::from_fn(|_| Barrier::new(SHARDS as usize + 1));
    let mut without_a_shard = 0;
    thread::scope(|scope| {
        let holders: Vec<_> = (0..SHARDS)
            .map(|_| {
                scope.spawn(|| {
                    calls.inc();
                    held.wait();
                    leave.wait();
                })
            })
            .collect();
        held.wait();
        let before = shared();
        calls.inc();
        without_a_shard = shared() - before;
        leave.wait();
        holders.into_iter().for_each(|holder| holder.join().unwrap());
    });
    assert_eq!(without_a_shard, 1);
    (0..1_000).for_each(|_| calls.inc());
    let before = shared();
    (0..1_000).for_each(|_| calls.inc());
    assert_eq!(shared(), before, "still without a shard");
    assert_eq!(calls.get(), THREADS * each + SHARDS + 2_001);
}

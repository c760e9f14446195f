//! Counts heap allocations of all threads while asked to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// The system's allocator, and a tally when one is wanted. While none is, it costs a load and a
/// predicted branch: under one part in a hundred of what an allocation costs.
pub struct Counting;

/// What was asked of the allocator during [`tally`].
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// How many times memory was asked for; growing a block counts.
    pub allocations: u64,
    /// By how many bytes what is allocated grew.
    pub bytes: i64,
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// What this thread asked for while anybody counted.
    static HERE: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` and tells what it, and whatever else ran meanwhile, allocated.
pub fn tally<T>(work: impl FnOnce() -> T) -> (T, Tally) {
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    COUNTING.store(true, Relaxed);
    let made = work();
    COUNTING.store(false, Relaxed);
    (made, Tally { allocations: ALLOCATIONS.load(Relaxed), bytes: BYTES.load(Relaxed) })
}

/// Runs `work` and tells how many times this thread asked for memory meanwhile, whatever others did.
pub fn tally_here<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HERE.get();
    let (made, _) = tally(work);
    (made, HERE.get() - before)
}

fn count(allocations: u64, bytes: i64) {
    if COUNTING.load(Relaxed) {
        ALLOCATIONS.fetch_add(allocations, Relaxed);
        // A thread that ends may have lost it already.
        let _ = HERE.try_with(|here| here.set(here.get() + allocations));
        BYTES.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(block, layout, size) }
    }
}

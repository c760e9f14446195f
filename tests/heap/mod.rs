//! What the calling thread asks of the heap. For tests in processes of their own: this is their allocator.

#![allow(dead_code)] // each test file uses its own part

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    static GIVEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts each thread's own.
struct Counting;

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let _ = GIVEN.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// How often the thread has allocated so far.
pub fn taken() -> u64 {
    TAKEN.get()
}

/// The same, and how often it has freed.
pub fn asked() -> u64 {
    TAKEN.get() + GIVEN.get()
}

/// How often `work` allocates.
pub fn taken_by(work: impl FnOnce()) -> u64 {
    let before = taken();
    work();
    taken() - before
}

/// How often it allocates and frees.
pub fn asked_by(work: impl FnOnce()) -> u64 {
    let before = asked();
    work();
    asked() - before
}

//! An allocator that knows how much the program holds.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Cells that threads share out among themselves; a power of two. 128 bytes each.
const CELLS: usize = 64;

/// Bytes taken less bytes given back, in two's complement: a thread may free what another took, so
/// that one cell alone may be below zero. Their sum is what the program holds.
static HELD: [CachePadded<AtomicU64>; CELLS] =
    [const { CachePadded::new(AtomicU64::new(0)) }; CELLS];

/// The next thread's cell.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// No cell has been chosen yet.
const UNCHOSEN: usize = usize::MAX;

thread_local! {
    // A constant that needs no destructor: reading it neither allocates nor fails, at a thread's
    // end either.
    static CELL: Cell<usize> = const { Cell::new(UNCHOSEN) };
}

/// Bytes that the program holds from a [`HeapAlloc`]; none when there is no such allocator.
pub(super) fn bytes() -> Option<f64> {
    // Relaxed: counts publish no other memory. A cell that is read before a block is taken and
    // another read after it is given back make the sum too small by that block, for one reading.
    let sum = HELD.iter().fold(0, |sum: u64, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)));
    let held = sum.cast_signed().max(0);
    // A program that runs holds something.
    (held > 0).then_some(held as f64)
}

#[inline]
fn cell() -> &'static AtomicU64 {
    let chosen = CELL.try_with(|cell| {
        if cell.get() == UNCHOSEN {
            // Relaxed: any cell will do; the numbers only spread threads over them.
            cell.set(NEXT.fetch_add(1, Ordering::Relaxed) & (CELLS - 1));
        }
        cell.get()
    });
    &HELD[chosen.unwrap_or(0) & (CELLS - 1)]
}

#[inline]
fn took(bytes: usize) {
    // Relaxed: see `bytes`. A locked add, because threads past the 64th share a cell.
    cell().fetch_add(bytes as u64, Ordering::Relaxed);
}

#[inline]
fn gave(bytes: usize) {
    // Relaxed: see `bytes`.
    cell().fetch_sub(bytes as u64, Ordering::Relaxed);
}

/// A global allocator that counts the bytes which the program holds, and passes everything on to
/// `A`. With it `mcp_memory_usage_bytes{type="heap"}` is shown; without it that series is not there.
///
/// ```
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: mcp_vitals::HeapAlloc<System> = mcp_vitals::HeapAlloc::new(System);
/// # fn main() {}
/// ```
///
/// Counted are the bytes that were asked for: what the allocator adds or keeps is not in it. Costs
/// one atomic add an allocation and one a release, 3 to 5 ns each, on a cache line that up to 64
/// threads have for themselves; 8 KiB of memory in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapAlloc<A> {
    inner: A,
}

impl<A> HeapAlloc<A> {
    /// Counts for `inner`, the allocator that does the work.
    pub const fn new(inner: A) -> Self {
        HeapAlloc { inner }
    }
}

// SAFETY: every method passes its arguments unchanged to `inner` and returns what that returned, so
// that `inner`'s own guarantees are this allocator's. What happens besides neither allocates nor
// unwinds: it is an atomic add and a thread-local constant without a destructor.
unsafe impl<A: GlobalAlloc> GlobalAlloc for HeapAlloc<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is `inner`'s.
        let block = unsafe { self.inner.alloc(layout) };
        if !block.is_null() {
            took(layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is `inner`'s.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if !block.is_null() {
            took(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: the caller's contract is `inner`'s; the block came from it.
        unsafe { self.inner.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is `inner`'s; the block came from it.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if !moved.is_null() {
            // One add of the difference, in two's complement.
            took(new_size.wrapping_sub(layout.size()));
        }
        moved
    }
}

//! The bytes that a ring lies in: the heap's, or a mapping's.

use std::any::Any;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::frame::ALIGN;

/// Bytes at one place for as long as it lives: a power of two, at least [`Memory::LEAST`].
///
/// Who may touch which of them at what time is for the ring's positions to say.
pub(crate) struct Memory {
    start: NonNull<u8>,
    mask: u64,
    /// What keeps the bytes there.
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the owner is both; the bytes are reached by the unsafe methods alone, whose callers keep
// writers and readers apart.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) const LEAST: usize = 4096;

    /// `bytes` of the heap, rounded up to a power of two; zero, and given by the system page by page
    /// as they are touched.
    pub(crate) fn heap(bytes: usize) -> Memory {
        let bytes = bytes.max(Self::LEAST).next_power_of_two();
        // Words, for the alignment: `alloc_zeroed` with more than 16 would be a memset.
        let words = NonNull::from(Box::leak(vec![0u64; bytes / 8].into_boxed_slice()));
        // SAFETY: the words' bytes, which are freed with their owner.
        unsafe { Memory::over(words.cast(), bytes, Arc::new(Heap(words))) }
    }

    /// # Safety
    /// `bytes`, a power of two, at `start`, aligned to [`ALIGN`], are this memory's alone for as long
    /// as `owner` lives, and initialised.
    pub(crate) unsafe fn over(
        start: NonNull<u8>,
        bytes: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Memory {
        debug_assert!(bytes.is_power_of_two() && bytes >= Self::LEAST);
        debug_assert!(start.as_ptr().addr().is_multiple_of(ALIGN));
        Memory { start, mask: bytes as u64 - 1, _owner: owner }
    }

    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    #[inline(always)]
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Bytes from position `at` to the end of the memory, at most `most`.
    #[inline(always)]
    pub(crate) fn contiguous(&self, at: u64, most: u64) -> usize {
        most.min(self.capacity() - (at & self.mask)) as usize
    }

    /// # Safety
    /// From `at` on `n` bytes, which must be contiguous, are written by nobody while the slice
    /// lives.
    pub(crate) unsafe fn read(&self, at: u64, n: usize) -> &[u8] {
        debug_assert!(n <= self.contiguous(at, u64::MAX));
        // SAFETY: within the memory, initialised, and the caller's promise.
        unsafe { slice::from_raw_parts(self.start().add((at & self.mask) as usize), n) }
    }

    /// # Safety
    /// From `at` on `n` bytes, which must be contiguous, are the caller's alone while the slice
    /// lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn room(&self, at: u64, n: usize) -> &mut [MaybeUninit<u8>] {
        debug_assert!(n <= self.contiguous(at, u64::MAX));
        // SAFETY: within the memory, and the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.start().add((at & self.mask) as usize).cast(), n) }
    }

    /// A pointer to the word at position `at`.
    pub(crate) fn word(&self, at: u64) -> *mut u64 {
        debug_assert!(at.is_multiple_of(8));
        // Within the memory and aligned: both `at` and the memory's start are.
        self.start().wrapping_add((at & self.mask) as usize).cast()
    }
}

/// Words that are reached by pointer only, until they are freed.
struct Heap(NonNull<[u64]>);

// SAFETY: an allocation, which any thread may free.
unsafe impl Send for Heap {}
// SAFETY: shared it does nothing.
unsafe impl Sync for Heap {}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: leaked by `Memory::heap` and freed here alone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_wrap_and_runs_end_at_the_end() {
        let memory = Memory::heap(5_000);
        assert_eq!(memory.capacity(), 8192);
        assert_eq!(memory.contiguous(8192 * 7 + 8184, 100), 8);
        assert_eq!(memory.contiguous(8192 * 7, 100), 100);
        assert_eq!(memory.word(8192 + 16), memory.word(16));
        // SAFETY: nobody else has the memory.
        let room = unsafe { memory.room(8192 * 3 + 24, 2) };
        room.copy_from_slice(&[MaybeUninit::new(7), MaybeUninit::new(9)]);
        // SAFETY: as above.
        assert_eq!(unsafe { memory.read(23, 4) }, [0, 7, 9, 0]);
    }
}

//! Memory that is asked for before it is needed.

/// Asks for the line of memory that `place` begins in, to be written soon; returns at once. A hint:
/// where the processor has no such thing, nothing.
#[inline(always)]
pub(crate) fn fetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that anybody could see, and `place` is a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

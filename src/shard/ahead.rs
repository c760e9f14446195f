//! Memory that is asked for before it is needed.

/// Asks for the line of memory that `place` is in, to be written soon; returns at once. A hint: where the
/// processor has no such thing, or nothing is there, nothing.
#[inline(always)]
pub(crate) fn fetch<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that anybody could see, from wherever it is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

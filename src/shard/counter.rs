//! The processor's own counter of time.

/// Reads it where it is; whether it may be used for a clock is for others to say. Nothing elsewhere.
#[inline(always)]
pub(crate) fn read() -> Option<u64> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: an instruction that each x86-64 has, and that writes two registers alone.
        Some(unsafe { std::arch::x86_64::_rdtsc() })
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    None
}

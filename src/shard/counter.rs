//! The processor's own counter of time.

/// Reads it where it is; whether it may be used for a clock is for others to say. Nothing elsewhere.
#[inline(always)]
pub(crate) fn read() -> Option<u64> {
    let (upper, lower) = halves()?;
    Some(u64::from(upper) << u32::BITS | u64::from(lower))
}

/// [`read`], as the two halves that the processor gives, the upper one first: who can do with these
/// doesn't wait for their being put together.
#[inline(always)]
pub(crate) fn halves() -> Option<(u32, u32)> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let (upper, lower): (u32, u32);
        // SAFETY: an instruction that each x86-64 has, and that writes these two registers alone. The
        // intrinsic gives the halves put together, and the compiler doesn't take them apart again.
        unsafe {
            std::arch::asm!(
                "rdtsc",
                out("edx") upper,
                out("eax") lower,
                options(nomem, nostack, preserves_flags)
            );
        }
        Some((upper, lower))
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    None
}

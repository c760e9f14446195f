//! The same code for wider vectors, where the processor has them.

/// Work that may be compiled for wide vectors.
pub(crate) trait Work {
    type Done;

    /// Must be `#[inline(always)]`, as must all be that it does with many numbers: what is called and
    /// not inlined is for narrow vectors still.
    fn work(self) -> Self::Done;
}

/// Does `work` by AVX2 where the processor has it: twice the width of what x86-64 has at least. Takes a
/// few instructions itself, so it is for some hundreds of bytes at once.
#[inline]
pub(crate) fn widely<W: Work>(work: W) -> W::Done {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        #[target_feature(enable = "avx2")]
        fn by_avx2<W: Work>(work: W) -> W::Done {
            work.work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { by_avx2(work) };
        }
    }
    work.work()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [u64]);

    impl Work for Sum<'_> {
        type Done = u64;

        #[inline(always)]
        fn work(self) -> u64 {
            self.0.iter().fold(0, |sum, n| sum.wrapping_add(*n))
        }
    }

    #[test]
    fn wide_or_not_it_is_the_same() {
        let numbers: Vec<u64> = (0..1_000).map(|n| n * n).collect();
        for len in 0..numbers.len() {
            let expected: u64 = (0..len as u64).map(|n| n * n).sum();
            assert_eq!(widely(Sum(&numbers[..len])), expected);
            assert_eq!(Sum(&numbers[..len]).work(), expected);
        }
    }
}

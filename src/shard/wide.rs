//! The same code for wider vectors, where the processor has them.

use std::sync::LazyLock;

/// Work that may be compiled for wide vectors.
pub(crate) trait Work {
    type Done;

    /// Must be `#[inline(always)]`, as must all be that it does with many numbers: what is called and
    /// not inlined is for narrow vectors still.
    fn work(self) -> Self::Done;
}

/// Does `work` by AVX-512 or AVX2 where the processor has it: four times or twice the width of what x86-64
/// has at least. Takes a few instructions itself, so it is for some hundreds of bytes at once.
#[inline]
pub(crate) fn widely<W: Work>(work: W) -> W::Done {
    // SAFETY: what was found is what the processor has.
    unsafe { at(*WIDTH, work) }
}

/// What vectors are made of. Each is more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Least,
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Avx2,
    #[cfg(all(target_arch = "x86_64", vitals_avx512, not(miri)))]
    Avx512,
}

static WIDTH: LazyLock<Width> = LazyLock::new(widest);

fn widest() -> Width {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // VBMI is not used: those that have it don't slow down for the widest vectors.
        #[cfg(vitals_avx512)]
        if std::arch::is_x86_feature_detected!("avx512vbmi")
            && std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
        {
            return Width::Avx512;
        }
        return Width::Avx2;
    }
    Width::Least
}

/// # Safety
/// The processor has vectors of this width.
#[inline]
unsafe fn at<W: Work>(width: Width, work: W) -> W::Done {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[target_feature(enable = "avx2")]
    fn by_avx2<W: Work>(work: W) -> W::Done {
        work.work()
    }
    #[cfg(all(target_arch = "x86_64", vitals_avx512, not(miri)))]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2")]
    fn by_avx512<W: Work>(work: W) -> W::Done {
        work.work()
    }
    match width {
        Width::Least => work.work(),
        // SAFETY: the caller's promise.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        Width::Avx2 => unsafe { by_avx2(work) },
        // SAFETY: as above.
        #[cfg(all(target_arch = "x86_64", vitals_avx512, not(miri)))]
        Width::Avx512 => unsafe { by_avx512(work) },
    }
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
        let widths = [
            Width::Least,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Width::Avx2,
            #[cfg(all(target_arch = "x86_64", vitals_avx512, not(miri)))]
            Width::Avx512,
        ];
        let numbers: Vec<u64> = (0..1_000).map(|n| n * n).collect();
        for len in 0..numbers.len() {
            let expected: u64 = (0..len as u64).map(|n| n * n).sum();
            assert_eq!(widely(Sum(&numbers[..len])), expected);
            for width in widths.into_iter().filter(|width| *width <= *WIDTH) {
                // SAFETY: the processor has what is no wider than what was found.
                assert_eq!(unsafe { at(width, Sum(&numbers[..len])) }, expected, "{width:?}");
            }
        }
    }
}

//! A histogram's cells in exponential buckets, which Prometheus calls a native histogram.
//!
//! Bucket `i` of schema `s` has what is above `2^((i - 1) / 2^s)` and not above `2^(i / 2^s)`, in the
//! exposed unit: the boundaries that every client has, so that what many processes counted can be
//! added up. Our cells are narrower by some factor and bounded elsewhere; one counts where its middle
//! lies, which is never off by more than half a cell.

use std::f64::consts::SQRT_2;
use std::ops::Range;

/// Eight buckets an octave, each 9 % wide.
const FINEST: i32 = 3;
const COARSEST: i32 = -4;

/// `2^(i / 8)`, up to the next octave.
const BOUNDS: [f64; 8] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];

/// Buckets that a `u64` can fall into: its octaves, and one more at either end.
const BUCKETS: usize = BOUNDS.len() * 64 + 2;

/// Buckets with a count, past which two become one: twenty octaves of the finest, and what other clients
/// recommend.
const MOST: usize = 160;

/// Empty buckets that are written rather than a new span.
const GAP: usize = 2;

/// What is not above that counts as zero: nothing else here, where the smallest unit is larger.
pub(super) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// A histogram in exponential buckets; kept for the next one's.
#[derive(Default)]
pub(super) struct Exponential {
    pub(super) schema: i32,
    /// Observations of zero.
    pub(super) zero: u64,
    /// How many of the integers that are observed make one of the exposed unit.
    pub(super) unit: f64,
    /// The first one's number, and how many observations each has.
    first: i32,
    counts: Vec<u64>,
}

impl Exponential {
    /// Forgets the last histogram; the next ones are of this unit.
    pub(super) fn begin(&mut self, unit: f64) {
        self.unit = unit;
        self.clear();
    }

    /// Forgets the last histogram.
    pub(super) fn clear(&mut self) {
        self.schema = FINEST;
        self.zero = 0;
        self.first = bucket(1.0 / self.unit);
        self.counts.clear();
        self.counts.resize(BUCKETS, 0);
    }

    /// Counts what a cell has, whose middle is this integer.
    pub(super) fn add(&mut self, middle: u64, count: u64) {
        if middle == 0 {
            self.zero = self.zero.wrapping_add(count);
            return;
        }
        let at = (bucket(middle as f64 / self.unit) - self.first) as usize;
        if let Some(bucket) = self.counts.get_mut(at.min(BUCKETS - 1)) {
            *bucket = bucket.wrapping_add(count);
        }
    }

    /// To be called when all cells are counted: makes wider buckets where there are many.
    pub(super) fn settle(&mut self) {
        while self.schema > COARSEST && self.used() > MOST {
            self.halve();
        }
    }

    fn used(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }

    /// Makes one bucket of two. Which two says their number: what is added up later by another schema must
    /// be added up the same way.
    fn halve(&mut self) {
        let half = |number: i32| (number + 1) >> 1;
        let first = half(self.first);
        for at in 0..self.counts.len() {
            let count = std::mem::take(&mut self.counts[at]);
            // Never behind `at`, whose count has been taken.
            let to = (half(self.first + at as i32) - first) as usize;
            self.counts[to] = self.counts[to].wrapping_add(count);
        }
        self.first = first;
        self.schema -= 1;
    }

    /// Runs of neighbouring buckets: how far each begins behind the end of the one before, the first one
    /// behind bucket 0, and how long it is.
    pub(super) fn spans(&self) -> impl Iterator<Item = (i32, u32)> {
        let mut end = -self.first;
        self.runs().map(move |run| {
            let offset = run.start as i32 - end;
            end = run.end as i32;
            (offset, run.len() as u32)
        })
    }

    /// By how much each bucket of the spans has more than the one before, the first one more than 0.
    pub(super) fn deltas(&self) -> impl Iterator<Item = i64> {
        let mut before = 0;
        self.runs().flat_map(|run| &self.counts[run]).map(move |count| {
            let delta = count.wrapping_sub(before) as i64;
            before = *count;
            delta
        })
    }

    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let next = |from: usize, within: usize| {
            let counts = self.counts.get(from..)?;
            Some(from + counts.iter().take(within).position(|count| *count > 0)?)
        };
        let mut end = 0;
        std::iter::from_fn(move || {
            let start = next(end, usize::MAX)?;
            end = start + 1;
            while let Some(another) = next(end, GAP + 1) {
                end = another + 1;
            }
            Some(start..end)
        })
    }
}

/// The finest bucket of a number above 0.
fn bucket(number: f64) -> i32 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = number.to_bits();
    let octave = (bits >> 52) as i32 - 1023;
    let within = f64::from_bits(bits & FRACTION | 1f64.to_bits());
    let above = BOUNDS.iter().filter(|bound| **bound < within).count();
    octave * BOUNDS.len() as i32 + above as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bucket by bucket, and the numbers of the schema.
    fn shown(of: &Exponential) -> Vec<(i32, u64)> {
        let (mut at, mut count, mut shown) = (0, 0i64, Vec::new());
        let mut deltas = of.deltas();
        for (offset, length) in of.spans() {
            at += offset;
            for _ in 0..length {
                count += deltas.next().unwrap();
                shown.push((at, count as u64));
                at += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        shown
    }

    /// The upper boundary, by the definition.
    fn bound(number: i32, schema: i32) -> f64 {
        (f64::from(number) * 2f64.powi(-schema)).exp2()
    }

    fn filled(cells: &[(u64, u64)], decimals: u8) -> Exponential {
        let mut exponential = Exponential::default();
        exponential.begin(1.0);
        exponential.add(7, 7);
        exponential.begin(10f64.powi(i32::from(decimals)));
        cells.iter().for_each(|(middle, count)| exponential.add(*middle, *count));
        exponential.settle();
        exponential
    }

    #[test]
    fn boundaries_belong_to_the_bucket_below() {
        assert_eq!([0.25, 0.5, 1.0, 2.0, 4.0].map(bucket), [-16, -8, 0, 8, 16]);
        assert_eq!([1.0001, 1.09, 1.0906, 2.0001].map(bucket), [1, 1, 2, 9]);
        let eights = filled(&[(8, 3), (9, 1), (0, 5)], 0);
        assert_eq!(
            (eights.schema, eights.zero, shown(&eights)),
            (3, 5, vec![(24, 3), (25, 0), (26, 1)])
        );
        let nothing = filled(&[], 9);
        assert!(nothing.zero == 0 && nothing.spans().next().is_none());
    }

    #[test]
    fn ends_of_the_range_have_a_bucket() {
        for decimals in 0..=9 {
            let both = filled(&[(1, 1), (u64::MAX, 1)], decimals);
            assert_eq!(shown(&both).iter().map(|(_, count)| count).sum::<u64>(), 2);
        }
    }

    #[test]
    fn many_octaves_have_wider_buckets() {
        let cells: Vec<(u64, u64)> = (0..64).map(|octave| (1 << octave, 1)).collect();
        assert_eq!(filled(&cells, 0).schema, 3);
        let cells: Vec<(u64, u64)> =
            (4..64).flat_map(|octave| (0..8).map(move |i| ((8 + i) << (octave - 3), 1))).collect();
        let wide = filled(&cells, 0);
        assert!(wide.schema < 3 && wide.used() <= MOST);
        assert_eq!(shown(&wide).iter().map(|(_, count)| count).sum::<u64>(), cells.len() as u64);
    }

    proptest! {
        /// Each cell is within the boundaries of the bucket that it counts in, whatever the schema.
        #[test]
        fn a_cell_counts_where_its_middle_lies(
            cells in prop::collection::vec((1u64.., 0u32..64, 1u64..1_000_000), 1..300),
            decimals in 0u8..10,
        ) {
            let cells: Vec<(u64, u64)> =
                cells.iter().map(|(middle, shift, count)| ((middle >> shift).max(1), *count)).collect();
            let of = filled(&cells, decimals);
            let mut left = shown(&of);
            for (middle, count) in cells {
                let number = middle as f64 / 10f64.powi(i32::from(decimals));
                // Where rounding leaves it open, either of two.
                let slack = 1.0 + 1e-12;
                let found = left.iter_mut().find(|(at, left)| {
                    number <= bound(*at, of.schema) * slack
                        && number > bound(*at - 1, of.schema) / slack
                        && *left >= count
                });
                let Some((_, left)) = found else {
                    return Err(TestCaseError::fail(format!("no bucket for {number}")));
                };
                *left -= count;
            }
            prop_assert!(left.iter().all(|(_, left)| *left == 0));
        }
    }
}

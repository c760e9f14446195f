//! Sampling: which observations of a histogram are kept, and what a kept one weighs.
//!
//! Of a family that is sampled 1 in n each observation is kept with probability 1/n, whatever it is
//! and whatever became of those before it, and then counts n times: in its cell, in its bucket and
//! in the sum. An observation adds `n · 1/n = 1` of itself on average, so count, buckets and sum
//! are unbiased, for each label set as for all of them together. What is kept is a random sample of
//! what happened, so its quantiles come arbitrarily close to the true ones as it grows. Every n-th
//! would not do: a server that does something slow every 64th time would have it kept always or
//! never.
//!
//! A draw for each observation would cost more than to record it. What is drawn instead is how many
//! are passed over until the next is kept: with `P(at least k) = (1 - 1/n)^k`, the geometric
//! distribution, it is the same process. The distribution has no memory: however many were passed
//! over already, those that are left are distributed as at first. So nothing is lost or favoured
//! where a thread ends and the next one goes on with its countdown, where several series share one,
//! or where n is changed and later changed back. A countdown that was drawn for another n is drawn
//! anew; from that observation on it is the process of the new n.
//!
//! Each thread counts down in a cell of its own shard, one for a family, which no scrape shows.
//!
//! | atomic      | writer | reader    | write / read      | what the pair publishes | model |
//! |-------------|--------|-----------|-------------------|-------------------------|-------|
//! | `warm_end`  | `set`  | recorders | Relaxed / Relaxed | nothing                 | none: nothing to weaken |
//! | `n`         | `set`  | recorders | Relaxed / Relaxed | nothing                 | none: nothing to weaken |
//! | a countdown | owner  | owner     | Relaxed / Relaxed | nothing; from one owner to the next by the lease | `a_shard_is_handed_over_with_its_values` |
//!
//! `warm_end` and `n` may be seen to change in either order. An observation that sees but one of them
//! is kept and weighs 1, or is sampled as the other says: each is right by itself.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::shard;
use crate::shard::cells::{Slot, SlotOnce};
use crate::shard::space::Space;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What n may be. Past it a minute of a busy server would leave nothing to see.
pub(crate) const RATES: RangeInclusive<u64> = 1..=65_536;

/// A countdown has what is left to pass over in its lower half, and above it the n that this was
/// drawn for.
const N_SHIFT: u32 = 32;
const LEFT: u64 = u32::MAX as u64;

/// How one family's observations are sampled; all its series share it.
pub(crate) struct Sampler {
    /// Below it nothing is asked of the sampler: all that is neither clamped nor so large that the sum is
    /// to be looked at, or nothing while the family is sampled. The warm path compares with it anyway: to be able to sample
    /// costs a family that is not sampled nothing there.
    warm_end: AtomicU64,
    /// 0 when off.
    n: AtomicU32,
    /// The countdown's, from the first time that the family is sampled.
    slot: SlotOnce,
    /// `warm_end` when off.
    unsampled: u64,
}

impl Sampler {
    /// Off. `warm` is the highest value that the warm path may record.
    pub(crate) fn new(warm: u64) -> Sampler {
        let unsampled = warm.saturating_add(1);
        Sampler {
            warm_end: AtomicU64::new(unsampled),
            n: AtomicU32::new(0),
            slot: SlotOnce::new(),
            unsampled,
        }
    }

    /// What is below it is kept, weighs 1, and is for the warm path.
    #[inline(always)]
    pub(crate) fn warm_end(&self) -> u64 {
        self.warm_end.load(Ordering::Relaxed)
    }

    /// What the next observation weighs, 0 where it is passed over. To be asked once for each.
    #[inline(always)]
    pub(crate) fn weigh(&self, space: &Arc<Space>) -> u64 {
        if self.n.load(Ordering::Relaxed) == 0 { 1 } else { self.weigh_sampled(space) }
    }

    // Not inlined: the usual caller is not sampled.
    #[inline(never)]
    fn weigh_sampled(&self, space: &Arc<Space>) -> u64 {
        if self.passes_over() { 0 } else { self.draw(space) }
    }

    /// Whether the next observation is passed over by a countdown that is under way. If not,
    /// [`draw`](Self::draw) says what it weighs. The two are [`weigh`](Self::weigh) in parts.
    #[inline(always)]
    pub(crate) fn passes_over(&self) -> bool {
        // Before anything else is in a register: it counts as a call until the linker has seen it.
        let own = shard::own();
        let n = u64::from(self.n.load(Ordering::Relaxed));
        let slot = self.slot.get();
        let Some(chunk) = own.chunk(slot.chunk()) else { return false };
        let cell = chunk.cell(slot);
        let countdown = cell.load(Ordering::Relaxed);
        // One compare for all: a countdown at its end wraps, and so does one of a smaller n; one of
        // a greater n has more left than fits. None is ever begun for the 0 of "off".
        let passes = countdown.wrapping_sub((n << N_SHIFT) + 1) < LEFT;
        if passes {
            cell.store(countdown - 1, Ordering::Relaxed);
        }
        passes
    }

    /// One in how many is kept now; 1 when off.
    pub(crate) fn rate(&self) -> u32 {
        self.n.load(Ordering::Relaxed).max(1)
    }

    /// Keeps one in `n`, of [`RATES`], from now on; 1 is off. Never fails: where `space` has no
    /// cell for the countdowns, each observation is drawn for.
    pub(crate) fn set(&self, space: &Space, n: u32) {
        let on = n > 1;
        // Kept while it is off: who switches to and fro uses up one.
        if on
            && self.slot.get() == Slot::NONE
            && let Some(new) = space.allocate(1)
            && self.slot.set(new).is_err()
        {
            space.give_back(new, 1);
        }
        self.n.store(if on { n } else { 0 }, Ordering::Relaxed);
        self.warm_end.store(if on { 0 } else { self.unsampled }, Ordering::Relaxed);
    }

    /// What the next observation weighs, which [`passes_over`](Self::passes_over) said nothing of:
    /// kept if the countdown is at its end, whereupon the next begins; else the first begins here.
    #[cold]
    pub(crate) fn draw(&self, space: &Arc<Space>) -> u64 {
        let n = u64::from(self.n.load(Ordering::Relaxed));
        if n == 0 {
            return 1;
        }
        let slot = self.slot.get();
        let chunk = if slot == Slot::NONE { None } else { shard::own_chunk(space, slot) };
        let Some(chunk) = chunk else {
            // A countdown that threads share would take a locked instruction each time: a draw
            // costs less.
            return if one_in(n) { n } else { 0 };
        };
        let (cell, none_left) = (chunk.cell(slot), n << N_SHIFT);
        // Not at its end: drawn for another n, or never.
        let left = if cell.load(Ordering::Relaxed) == none_left { 0 } else { skip(n) };
        let (left, weight) = if left == 0 { (skip(n), n) } else { (left - 1, 0) };
        cell.store(none_left | left, Ordering::Relaxed);
        weight
    }
}

/// How many observations are passed over before the next is kept; below 2^22.
fn skip(n: u64) -> u64 {
    // By inversion: skip >= k where uniform <= (1 - 1/n)^k, which is as likely as that power says.
    // In (0, 1] by steps of 2^-53, which is also all that it can be wrong by. Never 0, whose
    // logarithm would be endless.
    let uniform = ((random() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    (uniform.ln() / (-1.0 / n as f64).ln_1p()) as u64
}

/// True with probability 1/n, to 2^-64.
fn one_in(n: u64) -> bool {
    (u128::from(random()) * u128::from(n)) >> 64 == 0
}

thread_local! {
    // Const and without a destructor: it is there for what is recorded while other thread-locals
    // are destroyed.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// 64 bits of the calling thread's generator. Source: SplitMix64 (Steele, Lea, Flood 2014). Nobody
/// sees what it gives, so it need not be hard to guess.
fn random() -> u64 {
    let state = match STATE.get() {
        // A thread's first: keys that the standard library took from the system. Allocates nothing.
        0 => RandomState::new().build_hasher().finish(),
        state => state,
    };
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let bits = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Desc, Vitals};

    /// Standard deviations on either side of the mean that hold 99.9 % of a normal distribution.
    const Z: f64 = 3.2905;
    const SEEDS: u64 = 100;
    /// Of 100 intervals that each hold with 99.9 %, more than two fail once in 6,700 times; and as
    /// the seeds are fixed, so is what happens here.
    const MAY_BE_OUTSIDE: usize = 2;

    /// Makes what the calling thread draws from here on a matter of the seed.
    fn draw_from(seed: u64) {
        // 0 stands for a thread that has not drawn yet.
        STATE.set(seed + 1);
    }

    /// A uniform number in (0, 1] that has nothing to do with the generator under test.
    fn uniform(i: u64) -> f64 {
        let bits = (i + 1).wrapping_mul(6_364_136_223_846_793_005).rotate_left(31);
        let bits = (bits ^ bits >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((bits >> 32) + 1) as f64 / 4_294_967_296.0
    }

    struct Interval {
        what: &'static str,
        low: f64,
        high: f64,
        outside: usize,
        sum: f64,
    }

    impl Interval {
        fn around(what: &'static str, mean: f64, deviation: f64) -> Interval {
            let (low, high) = (mean - Z * deviation, mean + Z * deviation);
            Interval { what, low, high, outside: 0, sum: 0.0 }
        }

        fn see(&mut self, value: f64) {
            self.outside += usize::from(!(self.low..=self.high).contains(&value));
            self.sum += value;
        }

        fn holds_for_each(&self) -> bool {
            self.outside <= MAY_BE_OUTSIDE
        }

        /// The mean of all seeds deviates a tenth as much as each does, so that its interval for
        /// 99.9 % is a tenth as wide.
        fn holds_for_the_mean(&self) -> bool {
            let (middle, half) = ((self.low + self.high) / 2.0, (self.high - self.low) / 2.0);
            (self.sum / SEEDS as f64 - middle).abs() <= half / (SEEDS as f64).sqrt()
        }
    }

    /// 1 in 64 of a million records, 100 times, against what all the records say.
    ///
    /// With p = 1/n, each record is kept by itself with probability p and then counts n times:
    /// * the count is n times a binomial number, with mean N and variance
    ///   `n² N p (1 - p) = N (n - 1)`: 7,937 or 0.8 %, so that 99.9 % lie within 2.6 %;
    /// * the sum has the mean of all values' sum, and as its variance `(n - 1)` times the sum of
    ///   their squares;
    /// * of K = N/n kept records the q-quantile is the one at place qK. The share of the kept that is
    ///   at or below x deviates from the share F of all that is by `√(F (1 - F) (1 - p) / K)`. So the
    ///   value at that place has, among all, a rank within `q ± Z √(q (1 - q) (1 - p) / K)`: 0.487 to
    ///   0.513 for the median, 0.9874 to 0.9926 for the 99th percentile. What the snapshot gives is
    ///   the middle of the value's cell: one part in 128 more on either side, and one nanosecond of
    ///   rounding.
    ///
    /// Every 64th record is slow, and all grow slower with time. Seen to fail: with every 64th record
    /// kept (by the sum), and with a mean that is off by one either way (by the count): `skip` of
    /// n - 1 and of n + 1, and `skip(n) + 1`.
    #[test]
    fn totals_and_quantiles_of_a_sample_are_those_of_all() {
        const N: u32 = 64;
        const RECORDS: u64 = 1_000_000;
        let values: Vec<u64> = (0..RECORDS)
            .map(|i| {
                let slow = if i % u64::from(N) == 0 { 4.0 } else { 1.0 };
                let drift = 1.0 + i as f64 / RECORDS as f64;
                (100_000.0 * drift * slow * (0.2 - uniform(i).ln())) as u64
            })
            .collect();
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let squares: f64 = values.iter().map(|&value| (value as f64).powi(2)).sum();
        let (n, all) = (f64::from(N), RECORDS as f64);
        let kept = all / n;

        let quantile = |what, q: f64| {
            let deviation = Z * (q * (1.0 - q) * (1.0 - 1.0 / n) / kept).sqrt();
            let at = |rank: f64| sorted[(rank * all) as usize] as f64;
            let low = at(q - deviation) * (1.0 - 1.0 / 128.0) - 1.0;
            let high = at(q + deviation) * (1.0 + 1.0 / 128.0) + 1.0;
            Interval { what, low, high, outside: 0, sum: 0.0 }
        };
        let mut count = Interval::around("count", all, (all * (n - 1.0)).sqrt());
        let mean = values.iter().sum::<u64>() as f64;
        let mut sum = Interval::around("sum", mean, ((n - 1.0) * squares).sqrt());
        let (mut p50, mut p99) = (quantile("p50", 0.5), quantile("p99", 0.99));

        let vitals = Vitals::builder().system_metrics(false).build().unwrap();
        let desc = Desc::histogram("seconds", "Times.").labels(["seed"]).sample(N);
        let family = vitals.register(desc).unwrap();
        let labels: Vec<String> = (0..SEEDS).map(|seed| seed.to_string()).collect();
        for label in &labels {
            draw_from(label.parse().unwrap());
            let histogram = family.with([label]);
            values.iter().for_each(|&value| histogram.record_nanos(value));
        }
        let snapshot = vitals.snapshot();
        for label in &labels {
            let read = snapshot.histogram("seconds", &[("seed", label)]).unwrap();
            count.see(read.count() as f64);
            sum.see(read.sum_units() as f64);
            p50.see(read.quantile(0.5) * 1e9);
            p99.see(read.quantile(0.99) * 1e9);
        }
        for interval in [&count, &sum, &p50, &p99] {
            let Interval { what, low, high, outside, .. } = interval;
            assert!(
                interval.holds_for_each(),
                "{outside} of {SEEDS} {what} outside {low} to {high}"
            );
        }
        assert!(count.holds_for_the_mean() && sum.holds_for_the_mean());
    }

    /// Whoever is asked: a countdown, or a draw each time where there is no room for one. And n may
    /// change at any time. Seen to fail: with a countdown of another n that goes on, with a record
    /// that is always kept after a change, and with one too many that is passed over then.
    ///
    /// The variance of the total is the sum of each record's `n - 1`.
    #[test]
    fn a_total_stays_right_while_n_changes() {
        // The moments of change are drawn, too: none is at a countdown's end more than others are.
        let plan: Vec<(u32, u64)> = (0..10_000)
            .map(|i| ([2, 64, 1, 1_000, 3][i as usize % 5], 1 + (uniform(i) * 10.0) as u64))
            .collect();
        let records: u64 = plan.iter().map(|&(_, records)| records).sum();
        let variance: u64 = plan.iter().map(|&(n, records)| u64::from(n - 1) * records).sum();
        for limit in [1 << 20, 0] {
            let space = Arc::new(Space::new(limit));
            let sampler = Sampler::new(1_000);
            let deviation = (variance as f64).sqrt();
            let mut total = Interval::around("total", records as f64, deviation);
            for seed in 0..SEEDS {
                draw_from(seed);
                let mut sum = 0;
                for &(n, records) in &plan {
                    sampler.set(&space, n);
                    sum += (0..records).map(|_| sampler.weigh(&space)).sum::<u64>();
                }
                total.see(sum as f64);
            }
            assert_eq!(sampler.slot.get() == Slot::NONE, limit == 0);
            assert!(total.holds_for_each() && total.holds_for_the_mean(), "{limit}");
        }
    }

    /// A skip of at least k comes with `(1 - 1/n)^k`, for a few k on each side of the mean.
    #[test]
    fn skips_are_geometric() {
        const DRAWS: u64 = 100_000;
        for n in [2, 3, 10, 64, 1_000, *RATES.end()] {
            draw_from(n);
            let skips: Vec<u64> = (0..DRAWS).map(|_| skip(n)).collect();
            for k in [1, 2, n / 10, n / 2, n - 1, n, 2 * n, 5 * n] {
                let share = (1.0 - 1.0 / n as f64).powi(k as i32);
                let deviation = (DRAWS as f64 * share * (1.0 - share)).sqrt();
                let seen = skips.iter().filter(|&&skip| skip >= k).count() as f64;
                let off = (seen - DRAWS as f64 * share).abs();
                assert!(off <= Z * deviation, "{seen} of {DRAWS} at least {k}, 1 in {n}");
            }
            assert!(skips.iter().all(|&skip| skip < 1 << 22));
        }
    }

    /// One who toggles sampling for ever uses up one slot.
    #[test]
    fn to_and_fro_takes_one_slot() {
        let space = Space::new(1 << 20);
        let sampler = Sampler::new(1_000);
        sampler.set(&space, 2);
        let (slot, used) = (sampler.slot.get(), space.used());
        assert_ne!(slot, Slot::NONE);
        for n in [1, 64, 1, 3] {
            sampler.set(&space, n);
            assert_eq!((sampler.rate(), sampler.slot.get(), space.used()), (n, slot, used));
        }
        assert_eq!(space.allocate(1), Some(slot.offset(1)));
    }
}

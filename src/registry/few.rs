//! Whether what a thread looks up in its large cache has come down to so few label sets that a small one
//! would do.
//!
//! A large one that is hit tells nobody: only misses pass by those who could make it small again. So of
//! its look-ups one window in sixteen is counted by the sets that differ: each sets one of 256 bits, and
//! the fewer are set, the fewer there were (linear counting, Whang et al., ACM TODS 1990).

use std::cell::Cell;

use super::entries::Found;

/// Look-ups of which one window is counted, and how many that has.
const EVERY: u32 = 1 << 16;
const WINDOW: u32 = 1 << 12;
/// Bits that are set when a hundred sets differ, or some more: half of what a small cache keeps.
const FEW: u32 = 100;
/// Windows in a row that had few: a million look-ups, so that who goes back and forth pays for it once in
/// ten milliseconds at most.
const WINDOWS: u32 = 16;

/// In cells, each written where it stands: the whole would be copied out and back at each look-up.
pub(super) struct Few {
    look_ups: Cell<u32>,
    seen: Cell<[u64; 4]>,
    windows: Cell<u32>,
}

impl Few {
    pub(super) const fn new() -> Few {
        Few { look_ups: Cell::new(0), seen: Cell::new([0; 4]), windows: Cell::new(0) }
    }

    /// Begins anew, with a cache that has nothing in it.
    pub(super) fn begin(&self) {
        self.look_ups.set(0);
        self.seen.set([0; 4]);
        self.windows.set(0);
    }

    /// Notes a look-up; true when a window has just ended, the last of [many with few](Self::is_so).
    #[inline(always)]
    pub(super) fn note(&self, found: Option<Found>) -> bool {
        let now = self.look_ups.get().wrapping_add(1);
        self.look_ups.set(now);
        now % EVERY < WINDOW && self.count(now, found)
    }

    /// A million look-ups had few different sets.
    pub(super) fn is_so(&self) -> bool {
        self.windows.get() >= WINDOWS
    }

    fn count(&self, now: u32, found: Option<Found>) -> bool {
        // Each that is not found is another one: who misses much is not served by a small cache.
        let which = found.map_or(u64::from(now), Found::cells);
        // Twice: sets that are evenly apart come by one product to few of the bits.
        let mix = |word: u64| (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = mix(mix(which)) >> (u64::BITS - 8);
        let mut seen = self.seen.get();
        seen[bit as usize / 64] |= 1 << (bit % 64);
        self.seen.set(seen);
        if now % EVERY < WINDOW - 1 {
            return false;
        }
        let ones: u32 = seen.iter().map(|word| word.count_ones()).sum();
        self.windows.set(if ones <= FEW { self.windows.get().saturating_add(1) } else { 0 });
        self.seen.set([0; 4]);
        self.is_so()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many windows it takes until so many sets are few; nothing when they are not.
    fn windows(sets: u64, cells_apart: u64, misses: u32) -> Option<u32> {
        let few = Few::new();
        let look_ups = (WINDOWS + 2) * EVERY;
        let found = |n: u32| {
            let set = u64::from(n) % sets;
            (n % 100 >= misses).then(|| Found::new(0x7f00_1000 + set * cells_apart, set as u32, 1))
        };
        (0..look_ups).find(|&n| few.note(found(n))).map(|n| n.div_ceil(EVERY))
    }

    #[test]
    fn few_sets_are_seen_and_many_are_not() {
        // Counters are slots, a cell apart in the topmost bits of a word; histograms are addresses.
        // Those of the others come to few bits by one product.
        for cells_apart in [1 << 22, 280, 64, 672, 1_008, 22 << 22, 37 << 22, 44 << 22] {
            for (sets, misses) in [(1, 0), (8, 1), (50, 1), (64, 0), (100, 0)] {
                let windows = windows(sets, cells_apart, misses);
                assert_eq!(windows, Some(WINDOWS), "{sets} {cells_apart} {misses}");
            }
            for sets in [260, 500, 4_000, 8_000] {
                assert_eq!(windows(sets, cells_apart, 0), None, "{sets} {cells_apart}");
            }
            assert_eq!(windows(64, cells_apart, 10), None);
        }
    }
}

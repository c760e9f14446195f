//! Candidates for exemplars: observations with the ids of the span that they were made in.
//!
//! A shard has a table of them for each engine, in a chunk of the engine's cells: allocated at the
//! thread's first candidate, charged, handed over with the lease and freed with the engine like any
//! other. Its owner alone writes; a scrape copies, and throws away what was written meanwhile.
//!
//! | atomic  | writer | reader  | write / read                   | what the pair publishes                  | model                       |
//! |---------|--------|---------|--------------------------------|------------------------------------------|-----------------------------|
//! | `turn`  | owner  | scraper | Release / Acquire              | the words that were written before it    | `a_candidate_is_read_whole` |
//! | `turn`, odd | owner | scraper | Relaxed, fence Release / fence Acquire, Relaxed | that the words are about to change | `a_candidate_is_read_whole` |
//! | a word  | owner  | scraper | Relaxed / Relaxed              | nothing by itself                        | `a_candidate_is_read_whole` |
//!
//! From one owner to the next it goes by the lease: `a_shard_is_handed_over_with_its_values`.

use crate::sync::{AtomicU64, Ordering, fence};

/// Words of a place: its turn and what [`Candidate::words`] gives. A cache line.
pub(crate) const WORDS: usize = 8;

/// Where one candidate stands.
pub(crate) type Place = [AtomicU64; WORDS];

/// Places among which a series' bucket has its own.
pub(crate) const WAYS: usize = 4;

/// An observation within a sampled span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The series, by the slot of its header, and the bucket. Unlike that of any other bucket that the
    /// engine has.
    pub(crate) series: u32,
    pub(crate) bucket: u32,
    /// How many series had the slot before: what another one left is nobody's.
    pub(crate) life: u32,
    /// The stretch of time that it was made in.
    pub(crate) window: u32,
    /// The ids of its trace and span, as they stand in memory.
    pub(crate) ids: [u64; 3],
    /// In the histogram's integer unit.
    pub(crate) units: u64,
    pub(crate) ticks: u64,
}

impl Candidate {
    fn words(&self) -> [u64; WORDS - 1] {
        let [a, b, c] = self.ids;
        [
            pair(self.series, self.bucket),
            pair(self.window, self.life),
            a,
            b,
            c,
            self.units,
            self.ticks,
        ]
    }

    fn of(words: [u64; WORDS - 1]) -> Candidate {
        let [key, times, a, b, c, units, ticks] = words;
        let ([series, bucket], [window, life]) = (halves(key), halves(times));
        Candidate { series, bucket, life, window, ids: [a, b, c], units, ticks }
    }
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}

/// Where in a table of so many places the candidates of a bucket stand.
#[inline]
pub(crate) fn set(series: u32, bucket: u32, places: usize) -> usize {
    // Mixed twice: series stand evenly apart, and one product of such numbers is even, too.
    let mut mixed = pair(series, bucket);
    mixed = (mixed ^ mixed >> 32).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 29).wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 32;
    ((mixed * (places / WAYS) as u64) >> 32) as usize * WAYS
}

/// The place among `ways` that an observation is to be written in; nothing where what is there is worth
/// more: a larger one of the same bucket and window. For the table's owner.
#[inline]
pub(crate) fn choose(
    ways: &[Place],
    series: u32,
    bucket: u32,
    (window, life): (u32, u32),
    units: u64,
) -> Option<&Place> {
    // Relaxed, here and below: the owner reads what it wrote itself.
    let word = |place: &Place, at: usize| place[at].load(Ordering::Relaxed);
    let (key, times) = (pair(series, bucket), pair(window, life));
    if let Some(own) = ways.iter().find(|place| word(place, 1) == key) {
        let stays = word(own, 2) == times && word(own, 6) >= units;
        return (!stays).then_some(own);
    }
    // The oldest goes: of a place that was never used all words are 0.
    ways.iter().min_by_key(|place| (word(place, 2) >> 32, word(place, 7)))
}

/// Writes a candidate. For the table's owner: wait-free.
#[inline]
pub(crate) fn write(place: &Place, candidate: &Candidate) {
    let [turn, words @ ..] = place;
    publish(turn, words, &candidate.words());
}

/// What stands in a place; nothing where there was never anything, or where its owner is just writing.
pub(crate) fn read(place: &Place) -> Option<Candidate> {
    let [turn, words @ ..] = place;
    let mut copy = [0; WORDS - 1];
    copied(turn, words, &mut copy).then(|| Candidate::of(copy))
}

/// Writes all words, so that whoever reads them gets these or those before, or learns that it did not.
#[inline]
pub(super) fn publish(turn: &AtomicU64, words: &[AtomicU64], values: &[u64]) {
    // Relaxed: the owner's own.
    let before = turn.load(Ordering::Relaxed);
    // Relaxed: what comes after the fence is seen by nobody who does not see this, too.
    turn.store(before.wrapping_add(1), Ordering::Relaxed);
    // Release: with the reader's fence. A reader that has one of the words below sees the odd turn.
    fence(Ordering::Release);
    for (word, &value) in words.iter().zip(values) {
        word.store(value, Ordering::Relaxed);
    }
    // Release: whoever sees this turn sees the words.
    turn.store(before.wrapping_add(2), Ordering::Release);
}

/// Copies all words; false, with anything in `copy`, where they are being written or never were.
pub(super) fn copied(turn: &AtomicU64, words: &[AtomicU64], copy: &mut [u64]) -> bool {
    // Acquire: with the owner's Release. The words of this turn are there.
    let before = turn.load(Ordering::Acquire);
    if before == 0 || before % 2 == 1 {
        return false;
    }
    for (copy, word) in copy.iter_mut().zip(words) {
        *copy = word.load(Ordering::Relaxed);
    }
    // Acquire: with the owner's fence. One word of a later turn, and the load below sees that turn.
    fence(Ordering::Acquire);
    turn.load(Ordering::Relaxed) == before
}

#[cfg(all(test, not(vitals_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(places: usize) -> Vec<Place> {
        (0..places).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect()
    }

    fn candidate(series: u32, bucket: u32, window: u32, units: u64, ticks: u64) -> Candidate {
        Candidate { series, bucket, life: 7, window, ids: [1, 2, 3], units, ticks }
    }

    /// As a recorder does it; whether it was written.
    fn offer(table: &[Place], candidate: Candidate) -> bool {
        let Candidate { series, bucket, life, window, units, .. } = candidate;
        let set = set(series, bucket, table.len());
        let ways = &table[set..set + WAYS];
        let chosen = choose(ways, series, bucket, (window, life), units);
        chosen.inspect(|place| write(place, &candidate)).is_some()
    }

    fn read_all(table: &[Place]) -> Vec<Candidate> {
        table.iter().filter_map(read).collect()
    }

    /// As of 16 histograms of 20 words each, with three buckets: most have a place.
    #[test]
    fn neighbours_are_apart() {
        let mut used = [0; 32];
        for series in 0..16u32 {
            for bucket in 3..6 {
                used[set((series * 20) << 22 | 3, bucket, WAYS * used.len()) / WAYS] += 1;
            }
        }
        let lost: usize = used.iter().map(|&used: &usize| used.saturating_sub(WAYS)).sum();
        assert!(lost <= 2, "{lost} of 48 lost: {used:?}");
    }

    #[test]
    fn a_place_that_was_never_used_is_empty() {
        assert!(read_all(&table(4)).is_empty());
    }

    #[test]
    fn the_largest_of_a_window_stays_and_the_next_window_takes_any() {
        let table = table(128);
        assert!(offer(&table, candidate(5, 1, 3, 100, 1)));
        assert!(!offer(&table, candidate(5, 1, 3, 99, 2)));
        assert!(!offer(&table, candidate(5, 1, 3, 100, 3)));
        assert!(offer(&table, candidate(5, 1, 3, 101, 4)));
        assert_eq!(read_all(&table), [candidate(5, 1, 3, 101, 4)]);
        assert!(offer(&table, candidate(5, 1, 4, 1, 5)));
        assert_eq!(read_all(&table), [candidate(5, 1, 4, 1, 5)]);
    }

    #[test]
    fn another_series_in_the_slot_takes_the_place_at_once() {
        let table = table(128);
        assert!(offer(&table, candidate(5, 1, 3, 100, 1)));
        let next = Candidate { life: 8, ..candidate(5, 1, 3, 1, 2) };
        assert!(offer(&table, next));
        assert_eq!(read_all(&table), [next]);
    }

    #[test]
    fn of_more_than_there_are_ways_the_oldest_goes() {
        // One set for all.
        let table = table(WAYS);
        for bucket in 0..=WAYS as u32 {
            assert!(offer(&table, candidate(5, bucket, 3, 1, 10 + u64::from(bucket))));
        }
        let mut left: Vec<u32> = read_all(&table).iter().map(|found| found.bucket).collect();
        left.sort_unstable();
        assert!(left.into_iter().eq(1..=WAYS as u32));
    }

    proptest! {
        /// What is read was written, and is its bucket's last of a window or largest.
        #[test]
        fn what_is_found_was_offered(
            offers in prop::collection::vec((0u32..20, 0u32..4, 0u32..2, any::<u64>()), 1..200),
        ) {
            let table = table(128);
            let mut window = 1;
            let mut written = Vec::new();
            for (ticks, (series, bucket, later, units)) in offers.into_iter().enumerate() {
                window += later;
                let candidate = candidate(series, bucket, window, units, ticks as u64);
                if offer(&table, candidate) {
                    written.push(candidate);
                }
            }
            let found = read_all(&table);
            for candidate in &found {
                prop_assert!(written.contains(candidate));
                let same = |other: &&Candidate| {
                    (other.series, other.bucket) == (candidate.series, candidate.bucket)
                };
                prop_assert_eq!(written.iter().rfind(same), Some(candidate));
                prop_assert_eq!(found.iter().filter(same).count(), 1);
            }
        }

        #[test]
        fn words_are_those_of_the_candidate(words: [u64; WORDS - 1]) {
            prop_assert_eq!(Candidate::of(words).words(), words);
        }
    }
}

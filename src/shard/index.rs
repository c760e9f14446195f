//! From a label set to its place, without a lock.
//!
//! Open addressing with linear probing, in tables that double. One thread at a time writes, under the
//! births' lock; any number read meanwhile. A cell names a place and holds 12 bits of its hash; what
//! it says is compared with the labels that stand there. So a reader may at worst miss an entry
//! that is being moved at the moment, and then asks again under the lock, or learns from `changes`
//! that nothing moved. An entry that is taken out is overwritten by those that follow it, so that no
//! graves are left and a table never has to be made anew but to grow. Outgrown tables stay until
//! the family goes, because somebody may be reading: together they are smaller than the last.
//!
//! | atomic    | writer | reader  | write / read      | what the pair publishes            | model                         |
//! |-----------|--------|---------|-------------------|------------------------------------|-------------------------------|
//! | a cell    | births, removal | look-up | Release / Acquire | the labels of the place     | `a_place_is_found_with_its_labels` |
//! | `current` | births | look-up | Relaxed after a Release fence / Acquire | the table, whole | `what_is_there_is_never_called_missing` |
//! | `changes` | births, removal | look-up | Relaxed and Release fence, Release / Acquire, Relaxed | that no cell moved | `what_moves_is_never_called_missing` |

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::sync::{AtomicU32, Ordering, fence};

/// The series of a family by their labels, but for the one whose labels are all `_other`.
pub(crate) struct Index {
    seeds: [u64; 3],
    /// All made when they are needed: most families have few series, whatever their limit.
    shards: OnceLock<Box<[OnceLock<Box<Shard>>]>>,
    limit: u32,
}

/// A part of the index, chosen by the uppermost bits of the hash: growing one is short.
struct Shard {
    tables: [OnceLock<Box<[AtomicU32]>>; TABLES],
    /// The table that is read and written.
    current: AtomicU32,
    /// Odd while cells are being changed.
    changes: AtomicU32,
    live: AtomicU32,
}

/// Series that a shard should hold at most.
const SHARD_SERIES: u32 = 4096;
/// Cells of the first table, log2.
const FIRST: u32 = if cfg!(vitals_loom) { 2 } else { 4 };
/// Tables a shard may have: the last has 2^20 cells, for a limit of a million where all hash alike.
const TABLES: usize = if cfg!(vitals_loom) { 2 } else { 17 };
/// Bits of a cell that name the place; 0, which is `_other`'s, says that the cell is empty.
const PLACE_BITS: u32 = 20;

/// What a look-up without a lock found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Place(u32),
    /// It is not there.
    None,
    /// It may be there: cells were being moved.
    Unsure,
}

impl Index {
    /// An index for up to `limit` series.
    pub(crate) fn new(limit: u32) -> Index {
        let random = RandomState::new();
        // Odd: a zero would make all hashes one.
        let seeds = [1, 2, 3].map(|seed: u64| random.hash_one(seed) | 1);
        Index { seeds, shards: OnceLock::new(), limit }
    }

    /// Bytes an entry costs, for the budget: a table may be just three eighths full, and the
    /// outgrown ones are as large as it together.
    pub(crate) const fn entry_cost() -> u64 {
        2 * size_of::<AtomicU32>() as u64 * 8 / 3
    }

    /// Bytes that have to be made beside that before there can be an entry with this hash.
    pub(crate) fn cost_before(&self, hash: u64) -> u64 {
        let shard = size_of::<Shard>() + 4 * (1 << FIRST);
        match self.shards.get() {
            None => (self.shards() * size_of::<OnceLock<Box<Shard>>>() + shard) as u64,
            Some(_) if self.shard(hash).is_none() => shard as u64,
            Some(_) => 0,
        }
    }

    fn shards(&self) -> usize {
        self.limit.div_ceil(SHARD_SERIES).next_power_of_two().min(256) as usize
    }

    /// Seeded for this family, so that a client can't aim at one cell.
    #[inline]
    pub(crate) fn hash(&self, values: &[&str]) -> u64 {
        let [seed, each, last] = self.seeds;
        let mut hash = seed;
        for value in values {
            let bytes = value.as_bytes();
            let mut rest = bytes;
            while let Some((block, after)) = rest.split_first_chunk::<16>()
                && !after.is_empty()
            {
                let (low, high) = block.split_at(8);
                hash = fold(hash ^ word(low), word(high) ^ each);
                rest = after;
            }
            // At most 16 bytes are left; the length tells "ab", "c" from "a", "bc".
            let (low, high) = last_words(rest);
            hash = fold(hash ^ low, high ^ each ^ (bytes.len() as u64) << 56);
        }
        fold(hash, last)
    }

    /// The place that `is` it.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Seen {
        let Some(shard) = self.shard(hash) else { return Seen::None };
        // Acquire: no cell is read before it.
        let changes = shard.changes.load(Ordering::Acquire);
        let Some(table) = shard.table() else { return Seen::None };
        let mask = table.len() - 1;
        for step in 0..=mask {
            // Acquire: with the Release that put it there, publishes the labels of the place.
            let cell = table[(hash as usize).wrapping_add(step) & mask].load(Ordering::Acquire);
            if cell == 0 {
                break;
            }
            if cell >> PLACE_BITS == tag(hash) && is(place(cell)) {
                return Seen::Place(place(cell));
            }
        }
        // Relaxed, after cells that were read with Acquire: with the writer's fence, one that was seen
        // after it moved makes the number differ.
        let same = changes.is_multiple_of(2) && shard.changes.load(Ordering::Relaxed) == changes;
        if same { Seen::None } else { Seen::Unsure }
    }

    /// Puts a place in that is not there. Under the births' lock. `hash_of` is asked of the places
    /// that are there when the table grows.
    pub(crate) fn insert(&self, hash: u64, new: u32, hash_of: impl Fn(u32) -> u64) {
        let shards =
            self.shards.get_or_init(|| (0..self.shards()).map(|_| OnceLock::new()).collect());
        let Some(shard) = shards.get(part(hash, shards.len())) else { return };
        let shard = shard.get_or_init(|| Box::new(Shard::new()));
        // Relaxed: for the births' lock alone.
        let live = shard.live.load(Ordering::Relaxed) + 1;
        shard.live.store(live, Ordering::Relaxed);
        let full = |table: &[AtomicU32]| live as usize * 4 > table.len() * 3;
        if shard.table().is_none_or(full) {
            shard.grow(hash_of);
        }
        // Nothing moves: a reader that misses the new one was there before it.
        if let Some(table) = shard.table() {
            put(table, hash, new);
        }
    }

    /// Takes a place out. Under the births' lock. `hash_of` is asked of the places that follow it.
    pub(crate) fn remove(&self, hash: u64, old: u32, hash_of: impl Fn(u32) -> u64) {
        let Some((shard, table)) = self.shard(hash).and_then(|s| Some((s, s.table()?))) else {
            return;
        };
        let mask = table.len() - 1;
        let read = |at: usize| table[at & mask].load(Ordering::Relaxed);
        let home = hash as usize;
        let there = |at: &usize| read(*at) != 0 && place(read(*at)) == old;
        let Some(mut hole) = (home..=home + mask).take_while(|at| read(*at) != 0).find(there)
        else {
            return;
        };
        shard.live.fetch_sub(1, Ordering::Relaxed);
        shard.moving(|| {
            let mut at = hole;
            loop {
                at += 1;
                let cell = read(at);
                if cell == 0 {
                    break;
                }
                // It may fill the hole if that lies between where it would be at best and where it is.
                let best = hash_of(place(cell)) as usize;
                if at.wrapping_sub(best) & mask >= at - hole {
                    // Release: as in `put`, for readers that come by the new cell.
                    table[hole & mask].store(cell, Ordering::Release);
                    hole = at;
                }
            }
            table[hole & mask].store(0, Ordering::Relaxed);
        });
    }

    #[inline]
    fn shard(&self, hash: u64) -> Option<&Shard> {
        let shards = self.shards.get()?;
        Some(shards.get(part(hash, shards.len()))?.get()?)
    }
}

impl Shard {
    fn new() -> Shard {
        Shard {
            tables: [const { OnceLock::new() }; TABLES],
            current: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            live: AtomicU32::new(0),
        }
    }

    #[inline]
    fn table(&self) -> Option<&[AtomicU32]> {
        // Acquire: with the fence before its store, publishes the cells that the table was filled with.
        let current = self.current.load(Ordering::Acquire) as usize;
        self.tables.get(current)?.get().map(|table| &**table)
    }

    /// Goes over to a table twice as large; or to the first.
    fn grow(&self, hash_of: impl Fn(u32) -> u64) {
        let next = match self.table() {
            Some(_) => self.current.load(Ordering::Relaxed) + 1,
            None => 0,
        };
        let Some(there) = self.tables.get(next as usize) else { return };
        let table: Box<[AtomicU32]> = (0..1 << (FIRST + next)).map(|_| AtomicU32::new(0)).collect();
        for cell in self.table().unwrap_or_default() {
            let cell = cell.load(Ordering::Relaxed);
            if cell != 0 {
                put(&table, hash_of(place(cell)), place(cell));
            }
        }
        let _ = there.set(table);
        // Relaxed, after the fence in `moving`, which publishes the table whole. Who still reads the old
        // one misses what comes later, and learns of it.
        self.moving(|| self.current.store(next, Ordering::Relaxed));
    }

    /// Lets readers know that what they miss meanwhile may be there.
    fn moving(&self, change: impl FnOnce()) {
        let before = self.changes.load(Ordering::Relaxed);
        self.changes.store(before.wrapping_add(1), Ordering::Relaxed);
        // Release fence: whoever reads what is stored below, with Acquire, and then `changes`, sees that
        // it is odd, or a later number.
        fence(Ordering::Release);
        change();
        // Release: whoever starts from this number sees the cells as they are now.
        self.changes.store(before.wrapping_add(2), Ordering::Release);
    }
}

/// Puts a place into the first empty cell from where it would be at best. There is one: a table is
/// never filled to more than three quarters.
fn put(table: &[AtomicU32], hash: u64, new: u32) {
    let mask = table.len() - 1;
    let cells = (0..=mask).map(|step| &table[(hash as usize).wrapping_add(step) & mask]);
    if let Some(cell) = { cells }.find(|cell| cell.load(Ordering::Relaxed) == 0) {
        // Release: publishes the labels of the place.
        cell.store(tag(hash) << PLACE_BITS | new, Ordering::Release);
    }
}

/// Which of `shards`: by the uppermost bits. The cell comes from the lowest, the tag from between.
#[inline]
fn part(hash: u64, shards: usize) -> usize {
    ((u128::from(hash) * shards as u128) >> 64) as usize
}

/// The halves of the product laid over each other: every bit of one factor moves every bit.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes as a word; 0 where there are fewer.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Up to 16 bytes in two words, of which those of one length are never the same for two texts.
#[inline]
fn last_words(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    let at = |index: usize| bytes.get(index).copied().map_or(0, u64::from);
    (at(0) | at(1) << 8, at(2))
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> PLACE_BITS) as u32 & ((1 << (32 - PLACE_BITS)) - 1)
}

#[inline]
fn place(cell: u32) -> u32 {
    cell & ((1 << PLACE_BITS) - 1)
}

#[cfg(all(test, not(vitals_loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use proptest::prelude::*;

    /// A hash whose cells collide often: the low bits are few.
    fn poor(place: u32) -> u64 {
        let hash = u64::from(place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash & !0x3f | hash >> 60
    }

    fn find(index: &Index, wanted: u32) -> Seen {
        index.find(poor(wanted), |place| place == wanted)
    }

    proptest! {
        /// The oracle is a set.
        #[test]
        fn what_is_put_in_is_found_until_it_is_taken_out(
            steps in prop::collection::vec((1u32..400, any::<bool>()), 0..1_500),
        ) {
            let index = Index::new(2_000);
            let mut there = BTreeSet::new();
            for (place, add) in steps {
                if add && there.insert(place) {
                    index.insert(poor(place), place, poor);
                } else if !add && there.remove(&place) {
                    index.remove(poor(place), place, poor);
                }
            }
            for place in 1..400 {
                let expected = if there.contains(&place) { Seen::Place(place) } else { Seen::None };
                prop_assert_eq!(find(&index, place), expected);
            }
        }
    }

    /// A writer churns half of the places while readers look for the other half and for what was
    /// never there: those are found, or the reader is told that it can't be sure.
    #[test]
    fn readers_are_never_told_wrong() {
        let index = Index::new(2_000);
        (1..=300).for_each(|place| index.insert(poor(place), place, poor));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut unsure = 0u64;
                        while !done.load(Ordering::Relaxed) {
                            for place in 1..=150 {
                                match find(&index, place) {
                                    Seen::Place(found) => assert_eq!(found, place),
                                    Seen::Unsure => unsure += 1,
                                    Seen::None => panic!("{place} was there all the time"),
                                }
                            }
                            assert!(!matches!(find(&index, 9_999), Seen::Place(_)));
                        }
                        unsure
                    })
                })
                .collect();
            for round in 0..2_000u32 {
                for place in (151..=300).filter(|place| place % 7 == round % 7) {
                    index.remove(poor(place), place, poor);
                }
                for place in (151..=300).filter(|place| place % 7 == round % 7) {
                    index.insert(poor(place), place, poor);
                }
            }
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }

    #[test]
    fn values_that_join_alike_differ() {
        let index = Index::new(2);
        let hash = |values: &[&str]| index.hash(values);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["", "a"]), hash(&["a", ""]));
        // Every length and every byte counts.
        let text = "abcdefghijklmnopqrstuvwxyz0123456789";
        let texts: Vec<String> = (0..36)
            .flat_map(|len| (0..=len).map(move |at| text[..at].to_owned() + "!" + &text[at..len]))
            .collect();
        let hashes: BTreeSet<u64> = texts.iter().map(|text| hash(&[text])).collect();
        assert_eq!(hashes.len(), texts.len());
    }
}

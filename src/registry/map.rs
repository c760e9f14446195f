//! From a label set to its series.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use dashmap::{DashMap, SharedValue};

use super::values::Locked;

/// The series of a family by their labels. An entry is a place in the family and nothing else: the
/// labels stand there, to be compared, and to be hashed again when a shard grows.
pub(crate) struct SeriesMap {
    hasher: foldhash::fast::RandomState,
    map: DashMap<u32, (), BuildHasherDefault<Unused>>,
}

/// The map is entered by [`SeriesMap::hash`], which is seeded for this process, so that a client
/// can't aim at one shard or entry.
#[derive(Default)]
struct Unused;

impl Hasher for Unused {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, _: &[u8]) {}
}

/// Entries that a shard should hold at most: growing one hashes them all again under its lock.
const SHARD_ENTRIES: u32 = 4096;

impl SeriesMap {
    /// A map for up to `limit` series.
    pub(crate) fn new(limit: u32) -> SeriesMap {
        let shards = (limit / SHARD_ENTRIES).next_power_of_two().clamp(4, 256);
        let hasher = BuildHasherDefault::default();
        SeriesMap {
            hasher: foldhash::fast::RandomState::default(),
            map: DashMap::with_hasher_and_shard_amount(hasher, shards as usize),
        }
    }

    /// Bytes a small map takes without entries, for the budget.
    pub(crate) const fn fixed_cost() -> u64 {
        4 * 128
    }

    /// Bytes an entry costs, for the budget.
    pub(crate) const fn entry_cost() -> u64 {
        // With its byte of control. A table is filled to seven eighths and then doubles.
        (size_of::<(u32, SharedValue<()>)>() as u64 + 1) * 16 / 7
    }

    pub(crate) fn hash<'a>(&self, values: impl Iterator<Item = &'a str>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for value in values {
            hasher.write(value.as_bytes());
            // No value can hold this byte: ["ab", "c"] and ["a", "bc"] differ.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    /// What `then` makes of the place that `is` it, under the shard's read lock.
    pub(crate) fn find<R>(
        &self,
        hash: u64,
        is: impl Fn(u32, &Locked) -> bool,
        then: impl FnOnce(u32) -> R,
    ) -> Option<R> {
        let shard = self.map.shards()[self.shard(hash)].read();
        let (place, _) = shard.get(hash, |(place, _)| is(*place, &Locked::new()))?;
        Some(then(*place))
    }

    /// Puts a place in that is not there. Under the write lock nothing is rendered, freed or
    /// allocated but the map's own memory.
    pub(crate) fn insert(&self, hash: u64, place: u32, hash_of: impl Fn(u32, &Locked) -> u64) {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let entry = (place, SharedValue::new(()));
        shard.insert(hash, entry, |(place, _)| hash_of(*place, &Locked::new()));
    }

    /// Takes a place out if, under the write lock, `may` says so.
    pub(crate) fn remove(&self, hash: u64, place: u32, may: impl FnOnce() -> bool) -> bool {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        may() && shard.remove_entry(hash, |(there, _)| *there == place).is_some()
    }

    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Growing hashes every entry again; the oracle is the number itself.
    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let map = SeriesMap::new(100_000);
        let name = |place: u32| format!("name {place}");
        let hash = |place: u32| map.hash([name(place).as_str(), "x"].into_iter());
        for place in 0..10_000 {
            map.insert(hash(place), place, |other, _| hash(other));
        }
        let find = |place: u32| map.find(hash(place), |there, _| there == place, |place| place);
        assert!((0..10_000).all(|place| find(place) == Some(place)));
        assert_eq!(find(10_000), None);
        assert!(!map.remove(hash(7), 7, || false) && find(7) == Some(7));
        assert!(map.remove(hash(7), 7, || true) && find(7).is_none());
        assert!(!map.remove(hash(7), 7, || true));
    }

    #[test]
    fn values_that_join_alike_differ() {
        let map = SeriesMap::new(2);
        let hash = |values: &[&'static str]| map.hash(values.iter().copied());
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["", "a"]), hash(&["a", ""]));
    }
}

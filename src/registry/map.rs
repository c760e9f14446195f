//! Label sets to series, for all families of an engine.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::series::Series;

/// The series of an engine by the hash of their family and label values. Equal hashes share an
/// entry; the series' own text decides between them.
pub(crate) struct SeriesMap {
    hasher: foldhash::fast::RandomState,
    map: DashMap<u64, Same, BuildHasherDefault<Passed>>,
}

/// Series whose labels hash alike: nearly always one.
enum Same {
    One(Arc<Series>),
    Many(Vec<Arc<Series>>),
}

impl Same {
    fn as_slice(&self) -> &[Arc<Series>] {
        match self {
            Same::One(series) => std::slice::from_ref(series),
            Same::Many(series) => series,
        }
    }
}

/// The keys are hashes already, seeded for this process, so a client can't aim at one entry.
#[derive(Default)]
struct Passed(u64);

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl SeriesMap {
    pub(crate) fn new() -> SeriesMap {
        SeriesMap { hasher: foldhash::fast::RandomState::default(), map: DashMap::default() }
    }

    /// Bytes an entry costs, for the budget.
    pub(crate) const fn entry_cost() -> u64 {
        // With its byte of control. A table is filled to seven eighths and then doubles.
        (size_of::<(u64, Same)>() as u64 + 1) * 16 / 7
    }

    pub(crate) fn hash(&self, family: u32, values: &[&str]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(family);
        for value in values {
            hasher.write(value.as_bytes());
            // No value can hold this byte: ["ab", "c"] and ["a", "bc"] differ.
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    /// Takes a map shard's read lock for one comparison.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&Series) -> bool) -> Option<Arc<Series>> {
        let same = self.map.get(&hash)?;
        same.as_slice().iter().find(|series| is(series)).cloned()
    }

    /// Puts `series` in unless one that `is` the same got there first, which is given instead.
    /// Under the write lock nothing is rendered, freed or allocated but the map's own memory, and a
    /// list for two sets that hash alike: one in 2^64, by a hash that no client can aim.
    pub(crate) fn insert(
        &self,
        hash: u64,
        series: &Arc<Series>,
        is: impl Fn(&Series) -> bool,
        admit: impl FnOnce() -> bool,
    ) -> Result<(), Option<Arc<Series>>> {
        let series = series.clone();
        match self.map.entry(hash) {
            Entry::Vacant(place) => {
                if !admit() {
                    return Err(None);
                }
                place.insert(Same::One(series));
            }
            Entry::Occupied(mut place) => {
                if let Some(there) = place.get().as_slice().iter().find(|there| is(there)) {
                    return Err(Some(there.clone()));
                }
                if !admit() {
                    return Err(None);
                }
                let mut many = place.get().as_slice().to_vec();
                many.push(series);
                place.insert(Same::Many(many));
            }
        }
        Ok(())
    }
}

//! Reading what was recorded, off the hot path.

mod candidates;
mod column;
mod scrape;

pub(crate) use candidates::Largest;
pub(crate) use scrape::Scrape;

use crate::shard::all_cells;
use crate::shard::cells::{self, Slot};

/// The total of one slot over all shards.
pub(crate) fn total(slot: Slot) -> u64 {
    cells::total(all_cells(), slot)
}

/// An up-down gauge's level over all shards.
pub(crate) fn level(inc: Slot, dec: Slot) -> i64 {
    cells::level(all_cells, inc, dec)
}

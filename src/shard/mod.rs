//! Where numbers are held: shards leased by threads, cells in chunks, slots in spaces.
//!
//! Recording is one thread-local read, one index and one add. The thread-local names a directory
//! of chunks: the leased shard's, or [`EMPTY`] before the first record, past the last lease and
//! after the lease went back, where each record takes the cold path.

#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod ahead;
#[allow(unsafe_code)]
pub(crate) mod cells;
pub(crate) mod count;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod counter;
pub(crate) mod epoch;
pub(crate) mod exemplar;
pub(crate) mod hdr;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod held;
pub(crate) mod index;
#[allow(unsafe_code)]
pub(crate) mod lease;
#[cfg(all(test, vitals_loom))]
#[allow(unsafe_code)]
mod model;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod space;
#[cfg(not(vitals_loom))]
mod thread;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod wide;

#[cfg(not(vitals_loom))]
pub(crate) use thread::{
    add_slow, all_cells, common_cell, common_lost, common_records, own, own_chunk, pool, try_add,
    try_add_release, writer,
};
#[cfg(not(vitals_loom))]
pub(crate) use thread::{oldest_pin, pinned, retire};

//! A total that only grows.

use std::fmt;

use crate::collect;
use crate::registry::{FamilyCore, Handle};
use crate::shard;
use crate::shard::cells::Slot;
use crate::shard::held::{Held, Hold};

/// A total that only grows: requests, tokens, bytes sent.
///
/// Cheap to clone and to send; each thread adds in a cell of its own.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let jobs = vitals.counter("jobs_total", "Jobs done.")?;
/// jobs.inc();
/// jobs.add(2);
/// assert_eq!(jobs.get(), 3);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone)]
pub struct Counter {
    slot: Slot,
    // The slot stands beside it, not behind it: the warm path reads nothing of the family.
    family: Option<Held<FamilyCore>>,
}

impl Counter {
    /// A counter that records nothing.
    pub(crate) const DISABLED: Counter = Counter { slot: Slot::NONE, family: None };

    #[inline]
    pub(crate) fn new(handle: Handle) -> Counter {
        Counter { slot: handle.slot(), family: Some(handle.family) }
    }

    /// Adds one event.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n` events. Wait-free, below a nanosecond: one thread-local read, one index, one add.
    ///
    /// A thread's first record of a chunk of 1,024 series allocates 8 KiB; the rest allocate
    /// nothing. Past `memory_limit` or `max_shards` it is two locked adds, of which one counts that.
    /// The total wraps past `u64::MAX`, which a scraper reads as a restart. Not for signal handlers,
    /// nor for a global allocator, which a first record would call.
    #[inline]
    pub fn add(&self, n: u64) {
        if !shard::try_add(self.slot, n) {
            self.add_slow(n);
        }
    }

    #[cold]
    fn add_slow(&self, n: u64) {
        if let Some(family) = &self.family {
            shard::add_slow(family.space(), self.slot, n);
        }
    }

    /// The total over all threads; 0 when disabled. Reads one cell a thread: not for hot paths.
    pub fn get(&self) -> u64 {
        self.family.as_ref().map_or(0, |_| collect::total(self.slot))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

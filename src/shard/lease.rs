//! Shards and who records into them.
//!
//! A thread leases one shard at its first record and gives it back when it ends; the next thread
//! takes it over **with its values in it**. Nothing is folded or moved, so a value is never lost,
//! never counted twice and never goes back, whatever a scrape does meanwhile.
//!
//! | atomic   | writer        | reader      | write / read      | what the pair publishes         | model                            |
//! |----------|---------------|-------------|-------------------|---------------------------------|----------------------------------|
//! | `leased` | leaser, owner | next leaser | Release / Acquire | the last owner's relaxed stores | `a_shard_is_handed_over_with_its_values` |
//! | `shards` | leaser        | scraper     | Release / Acquire | the new shard's directory       | `a_new_shard_is_seen_whole`      |
//! | `len`    | leaser        | scraper     | Relaxed RMW / Relaxed | a number; an entry below it may be null | `two_threads_never_share_a_shard` |

use super::cells::Directory;
use super::epoch::Pin;
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Shards the process can ever have; `max_shards` sets how many it may make.
pub(crate) const MOST_SHARDS: usize = if cfg!(vitals_loom) { 2 } else { 4096 };

/// One writer's cells, and whether a thread has them now.
///
/// Two lines of its own (a CPU may fetch them in pairs): the pin is written at each look-up.
#[repr(align(128))]
pub(crate) struct Shard {
    leased: AtomicBool,
    pub(crate) pin: Pin,
    pub(crate) cells: Box<Directory>,
}

/// All shards of the process, and the cells that threads without a shard share.
pub(crate) struct Pool {
    shards: Box<[AtomicPtr<Shard>]>,
    len: AtomicUsize,
    limit: AtomicUsize,
    pub(crate) common: Box<Directory>,
}

impl Pool {
    /// A pool that makes at most `limit` shards; nothing where the allocator has no memory.
    pub(crate) fn new(limit: usize) -> Option<Pool> {
        let shards = (0..MOST_SHARDS).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        Some(Pool {
            shards,
            len: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit.min(MOST_SHARDS)),
            common: Directory::zeroed()?,
        })
    }

    /// How many shards the pool may make from now on; those that are there stay.
    pub(crate) fn set_limit(&self, limit: usize) {
        // Relaxed: a number that publishes nothing; a leaser that still sees the old one is early.
        self.limit.store(limit.min(MOST_SHARDS), Ordering::Relaxed);
    }

    /// A shard for the calling thread alone: one that was given back, else a new one, else none.
    ///
    /// Lock-free; allocates when it makes a new shard.
    pub(crate) fn lease(&self) -> Option<&Shard> {
        let limit = self.limit.load(Ordering::Relaxed);
        self.iter().take(limit).find(|shard| shard.take()).or_else(|| self.add(limit))
    }

    /// Gives `shard` back with its values in it.
    pub(crate) fn release(&self, shard: &Shard) {
        // Release: the next owner continues from this owner's last values, and must see them.
        shard.leased.store(false, Ordering::Release);
    }

    /// The shards made so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shard> + Clone {
        // Relaxed: publishes no entry, those say for themselves whether they are there. Whoever
        // was told of a record by any other way (a join, a dec) sees this number of then, or more.
        let len = self.len.load(Ordering::Relaxed);
        self.shards[..len].iter().filter_map(|entry| {
            // Acquire: publishes the shard that `add` built. Null: it is just being made, and
            // nobody has recorded into it.
            let shard = entry.load(Ordering::Acquire);
            // SAFETY: null or from `Box::into_raw` in `add`; shards are freed with the pool only.
            unsafe { shard.as_ref() }
        })
    }

    fn add(&self, limit: usize) -> Option<&Shard> {
        // Threads past the last lease come back here for ever: they must not allocate a directory
        // each time to find that there is no place for it.
        if self.len.load(Ordering::Relaxed) >= limit {
            return None;
        }
        let cells = Directory::zeroed()?;
        // Relaxed: hands out a place. Read-modify-write: two threads must not get the same one.
        let index = self
            .len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < limit).then_some(len + 1)
            })
            .ok()?;
        let shard = Shard { leased: AtomicBool::new(true), pin: Pin::new(), cells };
        let shard = Box::into_raw(Box::new(shard));
        // Release: whoever sees the pointer sees the directory behind it.
        self.shards[index].store(shard, Ordering::Release);
        // SAFETY: just made by `Box::into_raw`, and freed with the pool only.
        unsafe { shard.as_ref() }
    }
}

impl Shard {
    fn take(&self) -> bool {
        // Relaxed peek first: a scan over leased shards must not bounce their lines.
        // Acquire: the last owner's stores come before ours, or our first load + store would
        // start from a stale value and lose its counts.
        !self.leased.load(Ordering::Relaxed)
            && self
                .leased
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether a thread has it now: a reading for our own gauges.
    pub(crate) fn is_leased(&self) -> bool {
        self.leased.load(Ordering::Relaxed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for entry in &self.shards {
            let shard = entry.load(Ordering::Acquire);
            if !shard.is_null() {
                // SAFETY: from `Box::into_raw` in `add`, and `&mut self` says that nobody reads.
                drop(unsafe { Box::from_raw(shard) });
            }
        }
    }
}

//! A level that goes up and down by events.

use std::fmt;

use crate::collect;
use crate::registry::{FamilyCore, Handle};
use crate::shard;
use crate::shard::cells::Slot;
use crate::shard::held::{Held, Hold};

/// A level that goes up and down by events on any thread: requests in flight, open sessions.
///
/// As cheap as a [`Counter`](crate::Counter) on any number of threads. Incs and decs are kept
/// apart and read decs first, so that a level whose every dec follows its inc never shows
/// negative. To set a level that is measured elsewhere, use a [`Gauge`](crate::Gauge).
#[derive(Clone)]
pub struct UpDown {
    inc: Slot,
    dec: Slot,
    family: Option<Held<FamilyCore>>,
}

impl UpDown {
    pub(crate) const DISABLED: UpDown = UpDown { inc: Slot::NONE, dec: Slot::NONE, family: None };

    #[inline]
    pub(crate) fn new(handle: Handle) -> UpDown {
        let slot = handle.slot();
        UpDown { inc: slot, dec: slot.offset(1), family: Some(handle.family) }
    }

    /// One up. Cost as [`Counter::add`](crate::Counter::add).
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// One down.
    #[inline]
    pub fn dec(&self) {
        self.sub(1);
    }

    /// `n` up.
    #[inline]
    pub fn add(&self, n: u64) {
        if !shard::try_add(self.inc, n) {
            self.slow(self.inc, n);
        }
    }

    /// `n` down.
    #[inline]
    pub fn sub(&self, n: u64) {
        if !shard::try_add_release(self.dec, n) {
            self.slow(self.dec, n);
        }
    }

    #[cold]
    fn slow(&self, slot: Slot, n: u64) {
        if let Some(family) = &self.family {
            shard::add_slow(family.space(), slot, n);
        }
    }

    /// The level over all threads; 0 when disabled.
    pub fn get(&self) -> i64 {
        self.family.as_ref().map_or(0, |_| collect::level(self.inc, self.dec))
    }
}

impl fmt::Debug for UpDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpDown").field(&self.get()).finish()
    }
}

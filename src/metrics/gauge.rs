//! A reading that is set.

use std::fmt;

use crate::registry::{FamilyCore, Handle};
use crate::shard;
use crate::shard::cells::{Slot, add_float};
use crate::shard::held::Held;
use crate::sync::{AtomicU64, Ordering};

/// A reading that is set: a temperature, a queue's length, memory in use.
///
/// One word for all threads, so that the last `set` is what a scrape shows. For a level that
/// many threads move up and down, an [`UpDown`](crate::UpDown) costs less.
#[derive(Clone)]
pub struct Gauge {
    slot: Slot,
    family: Option<Held<FamilyCore>>,
}

impl Gauge {
    pub(crate) const DISABLED: Gauge = Gauge { slot: Slot::NONE, family: None };

    #[inline]
    pub(crate) fn new(handle: Handle) -> Gauge {
        Gauge { slot: handle.slot(), family: Some(handle.family) }
    }

    #[inline]
    fn word(&self) -> Option<&AtomicU64> {
        self.family.as_ref().and_then(|_| shard::common_cell(self.slot))
    }

    /// Sets the reading; any `f64`, shown as Prometheus writes it (`NaN`, `+Inf`). Wait-free.
    #[inline]
    pub fn set(&self, value: f64) {
        if let Some(word) = self.word() {
            // Relaxed: a reading publishes no other memory.
            word.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Adds to the reading. Lock-free: repeated when another thread sets it at the same moment.
    #[inline]
    pub fn add(&self, value: f64) {
        if let Some(word) = self.word() {
            add_float(word, value);
        }
    }

    /// One up.
    #[inline]
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// One down.
    #[inline]
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// The reading; 0 before the first `set` and when disabled.
    pub fn get(&self) -> f64 {
        self.word().map_or(0.0, |word| f64::from_bits(word.load(Ordering::Relaxed)))
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.get()).finish()
    }
}

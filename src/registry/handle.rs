//! What a look-up gives: a series, counted so that it stays.

use std::sync::Arc;

use super::cache::Found;
use super::family::FamilyCore;
use super::histogram::HistogramCells;
use super::values::Looking;
use crate::shard;
use crate::shard::cells::Slot;
use crate::shard::held::{Held, Hold, Part};
use crate::sync::Ordering;

/// A series to record in.
pub struct Handle {
    pub(crate) family: Held<FamilyCore>,
    pub(crate) slot: Slot,
    place: u32,
    /// Of a series that may be removed.
    generation: u32,
}

impl FamilyCore {
    /// A handle of a series that can't go meanwhile.
    #[inline]
    pub(super) fn handle(&self, place: u32, slot: Slot, generation: u32) -> Handle {
        // SAFETY: a `FamilyCore` is made by the table, in an `Arc` that it leaves to the orphans,
        // and whoever calls this has another `Arc` or a handle of it.
        let family = unsafe { Held::of(self, self.handles(slot)) };
        Handle { family, slot, place, generation }
    }

    /// A handle of the family itself.
    pub(crate) fn held(&self) -> Held<FamilyCore> {
        // SAFETY: as `handle`.
        unsafe { Held::of(self, self.own_handles()) }
    }

    /// A handle of a series that the index has: if it was being retired, it no longer is. Nothing if
    /// it has ended.
    pub(super) fn revived(&self, place: u32, _looking: &Looking) -> Option<Handle> {
        if !self.is_removable() {
            // SAFETY: as `handle`.
            let family = unsafe { Held::of(self, self.own_handles()) };
            return Some(Handle { family, slot: self.places.slot(place), place, generation: 0 });
        }
        let generation = self.places.life(place)?.revive()?;
        Some(self.handle(place, self.places.slot(place), generation))
    }

    /// What `look` gives, while nothing is reclaimed; nothing where only the births' lock can see to
    /// that.
    #[inline]
    pub(super) fn looking<R>(&self, look: impl FnOnce(&Looking) -> R) -> Option<R> {
        if !self.is_removable() {
            return Some(look(&Looking::new()));
        }
        // A thread that has no pin has no cells of its own, either.
        shard::pinned(|| look(&Looking::new()))
    }

    /// A handle of what the thread's cache has, if that still holds.
    #[inline(always)]
    pub(super) fn still(&self, found: Found) -> Option<Handle> {
        if self.is_removable() {
            return self.still_pinned(found);
        }
        let Found { place, slot, generation } = found;
        // SAFETY: as `handle`.
        let family = unsafe { Held::of(self, self.own_handles()) };
        Some(Handle { family, slot: Slot(slot), place, generation })
    }

    #[inline(never)]
    fn still_pinned(&self, found: Found) -> Option<Handle> {
        let Found { place, slot, generation } = found;
        let life = self.places.life(place)?;
        // A removal that has not been seen here waits until the handle has been counted.
        let look = |_: &_| {
            // Relaxed: after the pin's fence, see `shard::epoch`.
            (life.generation.load(Ordering::Relaxed) == generation)
                .then(|| self.handle(place, Slot(slot), generation))
        };
        self.looking(look).flatten()
    }
}

impl Handle {
    /// For the thread's cache.
    pub(super) fn found(&self) -> Found {
        Found { place: self.place, slot: self.slot.0, generation: self.generation }
    }

    /// The cells of a histogram; nothing where the series is none.
    #[inline]
    pub(crate) fn histogram(self) -> Option<Part<FamilyCore, HistogramCells>> {
        let place = self.place;
        self.family.part(|family| family.places().histogram(place))
    }
}

/// A family that the host holds.
#[derive(Clone)]
pub(crate) struct FamilyRef(Option<Arc<FamilyCore>>);

impl FamilyRef {
    pub(crate) fn new(family: Arc<FamilyCore>) -> FamilyRef {
        FamilyRef(Some(family))
    }

    /// Of an engine that is disabled.
    pub(crate) const fn none() -> FamilyRef {
        FamilyRef(None)
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&FamilyCore> {
        self.0.as_deref()
    }
}

impl Drop for FamilyRef {
    fn drop(&mut self) {
        // The last thing to hold on to a family whose engine is gone.
        if let Some(family) = self.0.take()
            && family.orphaned().load(Ordering::Relaxed)
        {
            drop(family);
            FamilyCore::release_orphans();
        }
    }
}

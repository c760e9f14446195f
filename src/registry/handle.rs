//! What a look-up gives: a series, counted so that it stays.

use std::sync::Arc;

use super::cache::Found;
use super::family::FamilyCore;
use super::histogram::HistogramCells;
use crate::shard;
use crate::shard::cells::Slot;
use crate::shard::held::{Held, Hold};
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

    /// A handle of a series that the map has, and whose shard is locked: if it is being retired, it
    /// no longer is.
    pub(super) fn revived(&self, place: u32) -> Handle {
        let generation = self.places.life(place).map_or(0, |life| life.revive());
        self.handle(place, self.places.slot(place), generation)
    }

    /// A handle of what the thread's cache has, if that still holds.
    #[inline]
    pub(super) fn still(&self, found: Found) -> Option<Handle> {
        let Found { place, slot, generation } = found;
        if !self.is_removable() {
            return Some(self.handle(place, Slot(slot), 0));
        }
        let life = self.places.life(place)?;
        // Pinned: a removal that has not been seen here waits until the handle has been counted.
        // A thread that has no pin has no cells of its own either, and asks the map.
        shard::pinned(|| {
            // Relaxed: after the pin's fence, see `shard::epoch`.
            (life.generation.load(Ordering::Relaxed) == generation)
                .then(|| self.handle(place, Slot(slot), generation))
        })
        .flatten()
    }
}

impl Handle {
    /// For the thread's cache.
    pub(super) fn found(&self) -> Found {
        Found { place: self.place, slot: self.slot.0, generation: self.generation }
    }

    /// The cells of a histogram; nothing where the series is none.
    #[inline]
    pub(crate) fn histogram(self) -> Option<Held<FamilyCore, HistogramCells>> {
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

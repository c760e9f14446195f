//! What a look-up gives: a series, counted so that it stays, or lent for one record.

use std::mem::ManuallyDrop;
use std::ptr;
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
    found: Found,
}

/// A handle of a family without the pointer to it, which whoever asked for it has. Two words, as
/// [`Found`] and for its reason.
///
/// Invariant: a handle of the family that was asked was counted and forgotten, and it is given back by the
/// one that is made of this.
#[must_use]
pub(super) struct Counted(Found);

impl FamilyCore {
    /// A handle of a series that can't go meanwhile.
    #[inline]
    pub(super) fn handle(&self, place: u32, generation: u32) -> Handle {
        // SAFETY: a `FamilyCore` is made by the table, in an `Arc` that it leaves to the orphans,
        // and whoever calls this has another `Arc` or a handle of it.
        let family = unsafe { Held::of(self, self.handles_at(place)) };
        Handle { family, found: self.found_at(place, generation) }
    }

    /// What a look-up finds of a series.
    pub(super) fn found_at(&self, place: u32, generation: u32) -> Found {
        let cells = match self.places.shape().histogram {
            // A place keeps its cells where they are for as long as the family lives.
            true => {
                let cells = self.places.histogram(place).map_or(ptr::null(), ptr::from_ref);
                cells.expose_provenance() as u64
            }
            false => self.places.slot(place).0.into(),
        };
        Found::new(cells, place, generation)
    }

    /// A handle of the family itself.
    pub(crate) fn held(&self) -> Held<FamilyCore> {
        // SAFETY: as `handle`.
        unsafe { Held::of(self, self.own_handles()) }
    }

    /// A handle of a series that the index has: if it was being retired, it no longer is. Nothing if
    /// it has ended.
    pub(super) fn revived(&self, place: u32, _looking: &Looking) -> Option<Handle> {
        let generation = match self.is_removable() {
            true => self.places.life(place)?.revive()?,
            false => 0,
        };
        Some(self.handle(place, generation))
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

    /// A handle of what the thread's cache has, or else of what `look_up` gives. That is asked for a
    /// series which may be removed as well: by [`still`](Self::still) it begins.
    #[inline(always)]
    pub(super) fn handle_of(
        &self,
        found: Option<Found>,
        look_up: impl FnOnce() -> Counted,
    ) -> Handle {
        match found {
            Some(found) if !self.is_removable() => {
                // SAFETY: as `handle`.
                let family = unsafe { Held::of(self, self.own_handles()) };
                Handle { family, found }
            }
            _ => {
                let Counted(found) = look_up();
                // SAFETY: by the invariant of `Counted`, a handle of this family that was counted where
                // those of its place are.
                let family = unsafe { Held::counted(self, self.handles_at(found.place())) };
                Handle { family, found }
            }
        }
    }

    /// Records through what `make` makes of a handle of what the thread's cache has: a kind of metric,
    /// which keeps the handle. Of a family whose series are never removed.
    ///
    /// The handle is lent: whoever records by name holds the family for longer than this takes, so that
    /// it is neither counted nor given back.
    #[inline(always)]
    pub(super) fn lend<K>(
        &self,
        found: Found,
        make: impl FnOnce(Handle) -> K,
        record: impl FnOnce(&K),
    ) {
        debug_assert!(!self.is_removable());
        // SAFETY: `make` keeps it: each kind does, a histogram because every place that is found in its
        // family has its cells. What it makes is never dropped, and no longer there than `self`, which
        // the caller holds; a clone counts for itself.
        let family = unsafe { Held::lent(self, self.own_handles()) };
        let lent = ManuallyDrop::new(make(Handle { family, found }));
        record(&lent);
    }

    /// A handle of what the thread's cache has of a series that may be removed, if that still holds.
    pub(super) fn still(&self, found: Found) -> Option<Handle> {
        let life = self.places.life(found.place())?;
        // A removal that has not been seen here waits until the handle has been counted.
        let look = |_: &_| {
            // Relaxed: after the pin's fence, see `shard::epoch`.
            (life.generation.load(Ordering::Relaxed) == found.generation())
                .then(|| self.handle(found.place(), found.generation()))
        };
        self.looking(look).flatten()
    }
}

impl Handle {
    /// For the thread's cache.
    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// Of the family that the handle is of.
    pub(super) fn counted(self) -> Counted {
        // Not dropped: it is counted on.
        std::mem::forget(self.family);
        Counted(self.found)
    }

    /// The first cell of a series that is no histogram.
    #[inline(always)]
    pub(crate) fn slot(&self) -> Slot {
        Slot(self.found.cells() as u32)
    }

    /// The cells of a histogram; nothing where the series is none.
    #[inline]
    pub(crate) fn histogram(self) -> Option<Part<FamilyCore, HistogramCells>> {
        let cells = ptr::with_exposed_provenance::<HistogramCells>(self.found.cells() as usize);
        self.family.part(|family| {
            // SAFETY: of a family of histograms it is null, or the address of a place's cells
            // (`found_at`): of this family's, as the threads' caches know it by a number that no other
            // ever has. They live as long as the family, and so does the reference.
            if family.places().shape().histogram { unsafe { cells.as_ref() } } else { None }
        })
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

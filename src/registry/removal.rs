//! Series that go: because the host said so, or because nothing was recorded in them for too long.
//!
//! A place is given to another series only when nobody can record in the old one any more:
//!
//! 1. It is *retired*: its generation changes, which is what the threads' caches compare. It stays in
//!    the index, where whoever looks it up brings it back.
//! 2. When no thread is pinned at an epoch from before (`shard::epoch`), it has no handle and still
//!    the same reading, it *ends*, in one step in which nobody can have brought it back, and is taken
//!    out of the index. One that the host removes ends at once.
//! 3. When no thread is pinned at an epoch from before that, and its handles are gone, its cells are
//!    zeroed in every shard and its place is free.
//!
//! All of it in the engine's turn and under the births' lock, but for the host's removal, which has
//! the lock alone. A thread that does nothing is not pinned, so it holds up nothing.

use std::time::Instant;

use super::family::{Births, FamilyCore, MetricKind};
use super::places::{Life, PAGE};
use super::values::Turn;
use crate::shard::cells::{self, Slot};
use crate::shard::hdr::FIRST_BUCKET;
use crate::shard::index::Index;
use crate::shard::{self, all_cells};
use crate::sync::{Ordering, lock};

/// A series that was retired, or has ended, and is not yet reclaimed.
pub(super) struct Retired {
    place: u32,
    /// No thread that is pinned at a later epoch than this has it in its hands.
    stamp: u64,
    /// What it read when it was retired; nothing of one that has ended.
    reading: Option<u64>,
}

impl FamilyCore {
    /// Removes a series, and says whether it was there. What is recorded through a handle that lives
    /// on goes with it.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        if !self.is_removable() || values.is_empty() {
            return false;
        }
        let hash = self.index.hash(values);
        let mut births = lock(&self.births);
        let Some(place) = self.place_of(hash, values, &births.looking()) else { return false };
        // Not twice, where it was idle and had been retired already.
        births.retired.retain(|retired| retired.place != place);
        self.end(place, hash, &births);
        births.retired.push(Retired { place, stamp: shard::retire(), reading: None });
        self.reclaim_if_free(&mut births);
        true
    }

    /// Ends a series, so that nobody finds it any more.
    fn end(&self, place: u32, hash: u64, births: &Births) {
        self.places.life(place).inspect(|life| life.end());
        self.index.remove(hash, place, |place| self.hash_of(place, &births.looking()));
        self.places.unlist(place);
    }

    /// Retires what was idle for too long, and reclaims what can be. For every scrape.
    pub(crate) fn sweep(&self, turn: &mut Turn<'_>) {
        if !self.is_removable() {
            return;
        }
        let mut births = lock(&self.births);
        self.retire_idle(&mut births);
        self.reclaim(turn, &mut births);
    }

    /// Reclaims what can be, unless a scrape is under way, which does so itself.
    pub(super) fn reclaim_if_free(&self, births: &mut Births) {
        if let Some(mut turn) = self.shared.try_turn() {
            self.reclaim(&mut turn, births);
        }
    }

    fn retire_idle(&self, births: &mut Births) {
        let now = self.now();
        // Each series is looked at often enough to go within an eighth of its time.
        if self.limits.idle == 0 || now.wrapping_sub(births.looked) < self.limits.idle / 8 {
            return;
        }
        births.looked = now;
        let before = births.retired.len();
        for number in 0..self.places.blocks() {
            let present = self.places.block(number).map_or(0, |block| block.shown().1);
            let places = (0..PAGE).filter(|index| present & 1 << index != 0);
            for place in places.map(|index| (number * PAGE + index) as u32) {
                let Some(life) = self.places.life(place) else { continue };
                if self.is_the_other(place) || !life.is_alive() || !self.is_idle(place, life, now) {
                    continue;
                }
                life.retire();
                let reading = Some(self.reading(place));
                births.retired.push(Retired { place, stamp: u64::MAX, reading });
            }
        }
        if births.retired.len() > before {
            let stamp = shard::retire();
            births.retired[before..].iter_mut().for_each(|retired| retired.stamp = stamp);
        }
    }

    /// Whether nothing was recorded for too long, and nobody holds a handle to do so.
    fn is_idle(&self, place: u32, life: &Life, now: u32) -> bool {
        let reading = self.reading(place);
        // Relaxed, all: for whoever has the turn alone.
        let seen = life.seen.swap(reading, Ordering::Relaxed);
        // A gauge that goes up and down by events stays while something is under way.
        let busy = self.spec.kind == MetricKind::UpDown && {
            let inc = self.places.slot(place);
            cells::level(all_cells, inc, inc.offset(1)) != 0
        };
        if seen != reading || busy || self.is_held(place) {
            life.since.store(now, Ordering::Relaxed);
        }
        now.wrapping_sub(life.since.load(Ordering::Relaxed)) >= self.limits.idle
    }

    fn reclaim(&self, turn: &mut Turn<'_>, births: &mut Births) {
        if births.retired.is_empty() {
            return;
        }
        let oldest = shard::oldest_pin();
        let mut ended = Vec::new();
        let mut retired = std::mem::take(&mut births.retired);
        retired.retain(|&Retired { place, stamp, reading }| {
            if stamp >= oldest {
                return true;
            }
            let Some(reading) = reading else {
                // Nobody can make another: once the last is gone, none comes.
                let held = self.is_held(place);
                if !held {
                    self.clear(place);
                    self.give_back(turn, births, place);
                }
                return held;
            };
            let Some(life) = self.places.life(place) else { return false };
            let stays = self.is_held(place) || self.reading(place) != reading;
            if stays || !life.end_retired() {
                life.revive();
                life.since.store(self.now(), Ordering::Relaxed);
            } else {
                self.end(place, self.hash_of(place, turn), births);
                ended.push(place);
            }
            false
        });
        births.retired.append(&mut retired);
        if !ended.is_empty() {
            let stamp = shard::retire();
            let ended = ended.into_iter().map(|place| Retired { place, stamp, reading: None });
            births.retired.extend(ended);
        }
    }

    /// Zeroes a place in every shard. Nobody can record in it, and whoever is given it next learns of
    /// it by way of a lock or a release that comes after this.
    fn clear(&self, place: u32) {
        let zero = |slot: Slot, cells: usize| {
            for shard in all_cells() {
                let Some(chunk) = shard.chunk(slot.chunk()) else { continue };
                for cell in 0..cells {
                    // Relaxed: see above.
                    chunk.cell(slot.offset(cell)).store(0, Ordering::Relaxed);
                }
            }
        };
        zero(self.places.slot(place), self.cells());
        for (run, len) in self.places.histogram(place).into_iter().flat_map(|h| h.take_octaves()) {
            zero(run, len);
            self.shared.space.give_back(run, len);
        }
    }

    fn give_back(&self, turn: &Turn<'_>, births: &mut Births, place: u32) {
        let mut bytes = Index::entry_cost();
        for label in 0..self.label_names().len() {
            let text = self.value(place, label, turn).to_owned();
            let id = self.places.id(place, label);
            bytes += self.values.give_back(&mut births.uses, label, id, &text);
        }
        births.free.push(place);
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.shared.space.refund(bytes);
    }

    fn is_held(&self, place: u32) -> bool {
        let count = self.handles(self.places.slot(place));
        cells::level(all_cells, count, count.offset(1)) != 0
    }

    /// What a series reads: a number that every record changes.
    fn reading(&self, place: u32) -> u64 {
        let slot = self.places.slot(place);
        let total = |cell| cells::total(all_cells(), slot.offset(cell));
        match (&self.histogram, self.spec.kind) {
            (Some(kind), _) => {
                let buckets = kind.layout.bounds().len() + 1;
                (0..buckets).map(|bucket| total(FIRST_BUCKET + bucket)).fold(0, u64::wrapping_add)
            }
            (None, MetricKind::UpDown) => total(0).wrapping_add(total(1)),
            (None, _) => total(0),
        }
    }

    /// Milliseconds since the engine began.
    fn now(&self) -> u32 {
        // Wraps after 49 days, of which only differences are taken.
        Instant::now().duration_since(self.shared.began).as_millis() as u32
    }
}

//! Series that go: because the host said so, or because nobody used them for too long.
//!
//! A place is given to another series only when nobody can record in the old one any more:
//!
//! 1. It is *retired*: its generation changes, which is what the threads' caches compare. It stays in
//!    the index, where whoever looks it up brings it back.
//! 2. When no thread is pinned at an epoch from before (`shard::epoch`), is of the same generation
//!    still and has had no handle since, it *ends*, in one step in which nobody can have brought it
//!    back, and is taken out of the index. One that the host removes ends at once.
//! 3. When no thread is pinned at an epoch from before that, and its handles are gone, its cells are
//!    zeroed in every shard and its place is free.
//!
//! All of it in the engine's turn and under the births' lock, but for the host's removal, which has
//! the lock alone. A thread that does nothing is not pinned, so it holds up nothing.
//!
//! Who records has a handle. So what tells whether a series is idle is not what it reads, which a
//! gauge that is set to the same number again and an observation that sampling passes over leave as it
//! is, but how many handles of it were made and dropped. These numbers only grow, also over the lives
//! of a place. An idle series has no handle, and as many were made and dropped as at an earlier look,
//! which a scrape followed: that one saw all that was ever recorded in it.

use std::time::Instant;

use super::family::{Births, FamilyCore, MetricKind};
use super::name::MOST_LABELS;
use super::places::{Life, PAGE};
use super::values::Turn;
use crate::shard::cells::{self, Slot};
use crate::shard::index::Index;
use crate::shard::{self, all_cells};
use crate::sync::{Ordering, lock};

/// Retired series that a scrape looks at in one go, while nobody can be born.
const AT_ONCE: usize = 64;
/// The same of a birth that looks for a place, on its caller's time: there may be thousands whose
/// handles the host still has.
const AT_A_BIRTH: usize = 8;

/// A series that was retired, or has ended, and is not yet reclaimed.
pub(super) struct Retired {
    place: u32,
    /// What its place's became. Another one says that it was brought back, and perhaps is among the
    /// retired a second time.
    generation: u32,
    /// No thread that is pinned at a later epoch than this has it in its hands.
    stamp: u64,
    /// The handles that it had had when it was retired; nothing of one that has ended.
    handles: Option<u64>,
}

/// What becomes of a retired series.
enum Fate {
    Waits,
    Stays,
    Ends,
    Goes,
}

impl FamilyCore {
    /// Removes a series, and says whether it was there. What is recorded through a handle that lives
    /// on goes with it.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        if !self.is_removable() || values.is_empty() {
            return false;
        }
        let mut within = [""; MOST_LABELS];
        self.cut(values, &mut within);
        let values = &within[..values.len()];
        let hash = self.index.hash(values);
        let mut births = lock(&self.births);
        let Some(place) = self.place_of(hash, values, &births.looking()) else { return false };
        // Not twice, where it was idle and had been retired already.
        births.retired.retain(|retired| retired.place != place);
        self.places.life(place).inspect(|life| life.end());
        let ended = self.ended(place, hash, &births);
        // The first to be looked at below.
        births.retired.push_front(ended);
        self.reclaim_if_free(&mut births);
        true
    }

    /// Has a series that has ended found no more.
    fn ended(&self, place: u32, hash: u64, births: &Births) -> Retired {
        self.index.remove(hash, place, |place| self.hash_of(place, &births.looking()));
        self.places.unlist(place);
        Retired { place, generation: 0, stamp: shard::retire(), handles: None }
    }

    /// Retires what was idle for too long, and reclaims what can be. For every scrape.
    #[inline]
    pub(crate) fn sweep(&self, turn: &mut Turn<'_>) {
        if self.is_removable() {
            self.sweep_at(turn, self.now());
        }
    }

    fn sweep_at(&self, turn: &mut Turn<'_>, now: u32) {
        self.retire_idle(now);
        // Twice: what ends in the first round may go in the second.
        for _ in 0..2 {
            let mut left = lock(&self.births).retired.len();
            while left > 0 {
                self.reclaim(turn, &mut lock(&self.births), AT_ONCE);
                left = left.saturating_sub(AT_ONCE);
            }
        }
    }

    /// Reclaims some of what can be, unless a scrape is under way, which does so itself.
    pub(super) fn reclaim_if_free(&self, births: &mut Births) {
        if births.retired.is_empty() {
            return;
        }
        if let Some(mut turn) = self.shared.try_turn() {
            self.reclaim(&mut turn, births, AT_A_BIRTH);
        }
    }

    fn retire_idle(&self, now: u32) {
        let mut births = lock(&self.births);
        // Each series is looked at often enough to go within an eighth of its time.
        if self.limits.idle == 0 || now.wrapping_sub(births.looked) < self.limits.idle / 8 {
            return;
        }
        births.looked = now;
        drop(births);
        for number in 0..self.places.blocks() {
            // Block by block, so that births go on between them.
            let mut births = lock(&self.births);
            let present = self.places.block(number).map_or(0, |block| block.shown().1);
            let before = births.retired.len();
            let places = (0..PAGE).filter(|index| present & 1 << index != 0);
            for place in places.map(|index| (number * PAGE + index) as u32) {
                let Some(life) = self.places.life(place) else { continue };
                if self.is_the_other(place) || !life.is_alive() {
                    continue;
                }
                if let Some(handles) = self.idle(place, life, now) {
                    let (generation, handles) = (life.retire(), Some(handles));
                    let stamp = u64::MAX;
                    births.retired.push_back(Retired { place, generation, stamp, handles });
                }
            }
            if births.retired.len() > before {
                let stamp = shard::retire();
                births.retired.range_mut(before..).for_each(|retired| retired.stamp = stamp);
            }
        }
    }

    /// The handles that a series has had, if it has none and got none for too long.
    fn idle(&self, place: u32, life: &Life, now: u32) -> Option<u64> {
        let (is_held, handles) = self.handles_of(place);
        // Relaxed, all: under the births' lock. What another series of this place left there is no
        // harm: this one had a handle since, at its birth.
        let seen = life.seen.swap(handles, Ordering::Relaxed);
        if seen != handles || is_held {
            life.since.store(now, Ordering::Relaxed);
            return None;
        }
        let is_idle = now.wrapping_sub(life.since.load(Ordering::Relaxed)) >= self.limits.idle;
        (is_idle && !self.is_under_way(place)).then_some(handles)
    }

    /// Whether the level of a gauge that goes up and down by events says that something is.
    fn is_under_way(&self, place: u32) -> bool {
        let inc = self.places.slot(place);
        self.spec.kind == MetricKind::UpDown && cells::level(all_cells, inc, inc.offset(1)) != 0
    }

    /// Reclaims what can be of the `most` that have waited longest.
    fn reclaim(&self, turn: &mut Turn<'_>, births: &mut Births, most: usize) {
        let most = births.retired.len().min(most);
        if most == 0 {
            return;
        }
        let oldest = shard::oldest_pin();
        for _ in 0..most {
            let Some(retired) = births.retired.pop_front() else { return };
            match self.fate(&retired, oldest) {
                Fate::Waits => births.retired.push_back(retired),
                Fate::Stays => {}
                Fate::Ends => {
                    let hash = self.hash_of(retired.place, turn);
                    let ended = self.ended(retired.place, hash, births);
                    births.retired.push_back(ended);
                }
                Fate::Goes => {
                    self.clear(retired.place);
                    self.give_back(turn, births, retired.place);
                }
            }
        }
    }

    /// What becomes of a retired series, where no thread is pinned at an epoch before `oldest`.
    fn fate(&self, retired: &Retired, oldest: u64) -> Fate {
        let &Retired { place, generation, stamp, handles } = retired;
        if stamp >= oldest {
            return Fate::Waits;
        }
        let (is_held, now) = self.handles_of(place);
        match (handles, self.places.life(place)) {
            // Nobody can make another: once the last is gone, none comes.
            (None, _) if is_held => Fate::Waits,
            (None, _) => Fate::Goes,
            // Otherwise it was brought back, and perhaps is among the retired a second time.
            (Some(handles), Some(life)) if life.is(generation) => {
                let is_used = is_held || now != handles;
                if !is_used && life.end_retired(generation) {
                    return Fate::Ends;
                }
                life.revive();
                Fate::Stays
            }
            (Some(_), _) => Fate::Stays,
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
        let histogram = self.places.histogram(place);
        histogram.inspect(|histogram| histogram.end());
        for (run, len) in histogram.into_iter().flat_map(|h| h.take_octaves()) {
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

    /// Whether a handle of a series lives, and a number that each one that is made or dropped changes.
    fn handles_of(&self, place: u32) -> (bool, u64) {
        let count = self.handles_at(place);
        // All decs before any inc, and Acquire: see `shard::count`. What was recorded through a
        // handle whose dec is read is seen, too.
        let dropped = cells::sum(all_cells(), count.offset(1), Ordering::Acquire);
        let made = cells::sum(all_cells(), count, Ordering::Relaxed);
        (made != dropped, made.wrapping_add(dropped))
    }

    /// Milliseconds since the engine began.
    fn now(&self) -> u32 {
        // Wraps after 49 days, of which only differences are taken.
        Instant::now().duration_since(self.shared.began).as_millis() as u32
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::*;
    use crate::metrics::Counter;
    use crate::registry::table::Table;
    use crate::registry::{Limits, Losses, Spec};
    use crate::shard::space::Space;

    const IDLE: u32 = 1_000;

    fn family(kind: MetricKind, series: u32) -> (Table, Arc<FamilyCore>) {
        let table = Table::new(Arc::new(Space::new(64 << 20)), &[]);
        let spec = Spec {
            name: "m".into(),
            help: "M.".into(),
            kind,
            labels: vec!["a".into(), "b".into()],
            decimals: 0,
            buckets: vec![10.0, 100.0],
            bits: 6,
            highest: 1 << 40,
        };
        let limits =
            Limits { series, label_values: 1_000, value_length: 16, removable: true, idle: IDLE };
        let family = table.register(spec, limits, Losses::none).unwrap();
        (table, family)
    }

    fn inc(family: &FamilyCore, values: [&str; 2]) {
        Counter::new(family.with(&values)).inc();
    }

    fn is_there(family: &FamilyCore, values: [&str; 2]) -> bool {
        place_of(family, values).is_some()
    }

    fn place_of(family: &FamilyCore, values: [&str; 2]) -> Option<u32> {
        let births = lock(&family.births);
        family.place_of(family.index.hash(&values), &values, &births.looking())
    }

    /// Sweeps at a moment of the engine's age. Other tests of the process may be pinned for an
    /// instant, which delays what is retired: not so where nothing is.
    fn sweep(table: &Table, family: &FamilyCore, now: u32) {
        family.sweep_at(&mut table.turn(), now);
    }

    fn sweep_until_gone(table: &Table, family: &FamilyCore, now: u32, values: [&str; 2]) {
        while is_there(family, values) {
            sweep(table, family, now);
            thread::yield_now();
        }
    }

    /// Holds a pin from when this returns until it is dropped.
    struct Pinned(Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>);

    fn pin(family: &Arc<FamilyCore>) -> Pinned {
        let (done, wait) = mpsc::channel::<()>();
        let (pinned, is_pinned) = mpsc::channel();
        let family = family.clone();
        let thread = thread::spawn(move || {
            // A shard, without which there is no pin; by a series that never goes.
            drop(family.with(&["_other", "_other"]));
            let held = shard::pinned(|| {
                pinned.send(()).unwrap();
                assert!(wait.recv().is_err());
            });
            assert!(held.is_some());
        });
        is_pinned.recv().unwrap();
        Pinned(Some((done, thread)))
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            let (done, thread) = self.0.take().unwrap();
            drop(done);
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_series_goes_when_it_was_idle_for_its_time_and_not_before() {
        let (table, family) = family(MetricKind::Counter, 10);
        inc(&family, ["x", "y"]);
        sweep(&table, &family, 5_000);
        sweep(&table, &family, 5_800);
        assert!(is_there(&family, ["x", "y"]));
        sweep_until_gone(&table, &family, 6_000, ["x", "y"]);
        // Whoever else is pinned at the moment delays the last step.
        while family.series_count() > 0 {
            sweep(&table, &family, 6_000);
        }

        // In the same place, with the same total, and at a later time: it has as long.
        inc(&family, ["x", "z"]);
        sweep(&table, &family, 20_000);
        assert!(is_there(&family, ["x", "z"]));
        sweep(&table, &family, 20_500);
        inc(&family, ["x", "z"]);
        sweep(&table, &family, 21_400);
        sweep(&table, &family, 22_300);
        assert!(is_there(&family, ["x", "z"]));
        sweep_until_gone(&table, &family, 22_500, ["x", "z"]);
        assert_eq!(family.places.len(), 64, "places are used again");
    }

    /// Retired, brought back and retired again while a pin held the first time up: the second time
    /// has a wait of its own.
    #[test]
    fn what_was_retired_twice_waits_for_the_pins_of_the_second_time() {
        let (table, family) = family(MetricKind::Counter, 10);
        drop(family.with(&["x", "y"]));
        let first = pin(&family);
        sweep(&table, &family, 1_000);
        sweep(&table, &family, 2_000);
        let place = place_of(&family, ["x", "y"]).unwrap();
        let life = family.places.life(place).unwrap();
        assert!(!life.is_alive());
        drop(family.with(&["x", "y"]));
        assert!(life.is_alive());
        let second = pin(&family);
        sweep(&table, &family, 3_000);
        sweep(&table, &family, 4_000);
        assert!(!life.is_alive());
        drop(first);
        sweep(&table, &family, 4_000);
        assert!(is_there(&family, ["x", "y"]) && !life.is_alive());
        drop(second);
        sweep_until_gone(&table, &family, 4_000, ["x", "y"]);
        while lock(&family.births).free.is_empty() {
            sweep(&table, &family, 4_000);
        }
    }

    #[test]
    fn what_is_used_after_it_was_retired_stays_whole() {
        let (table, family) = family(MetricKind::Counter, 10);
        inc(&family, ["x", "y"]);
        let held = pin(&family);
        sweep(&table, &family, 1_000);
        sweep(&table, &family, 2_000);
        inc(&family, ["x", "y"]);
        drop(held);
        // Whoever else is pinned at the moment delays it.
        while !lock(&family.births).retired.is_empty() {
            sweep(&table, &family, 2_000);
        }
        assert_eq!(Counter::new(family.with(&["x", "y"])).get(), 2);
    }

    /// A look-up that found the generation as it was before counts its handle when it likes, while
    /// it is pinned; and may be done with it before anybody looks.
    #[test]
    fn what_a_pinned_look_up_has_in_its_hands_stays() {
        let (table, family) = family(MetricKind::Counter, 10);
        inc(&family, ["x", "y"]);
        let place = place_of(&family, ["x", "y"]).unwrap();
        let life = family.places.life(place).unwrap();
        let (found, has_found) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let family = &family;
            let look_up = scope.spawn(move || {
                drop(family.with(&["_other", "_other"]));
                let handle = shard::pinned(|| {
                    assert!(life.is_alive());
                    found.send(()).unwrap();
                    may_go.recv().unwrap();
                    family.handle(place, 0)
                });
                Counter::new(handle.unwrap()).inc();
            });
            has_found.recv().unwrap();
            for now in [1_000, 2_000, 3_000, 4_000] {
                sweep(&table, family, now);
                assert!(is_there(family, ["x", "y"]));
            }
            assert!(!life.is_alive());
            go.send(()).unwrap();
            look_up.join().unwrap();
        });
        while !lock(&family.births).retired.is_empty() {
            sweep(&table, &family, 4_000);
        }
        assert!(is_there(&family, ["x", "y"]) && life.is_alive());
        assert_eq!(Counter::new(family.with(&["x", "y"])).get(), 2);
    }

    /// A birth looks at a few of those that wait; each comes to its turn.
    #[test]
    fn a_place_is_found_among_many_that_wait_for_their_handles() {
        let (_table, family) = family(MetricKind::Counter, 100);
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let mut handles: Vec<_> = names.iter().map(|name| family.with(&[name, "y"])).collect();
        assert!(names.iter().all(|name| family.remove(&[name, "y"])));
        assert_eq!(family.series_count(), 100);
        drop(handles.swap_remove(50));
        // Each of these births looks at a few. Whoever is pinned meanwhile delays it.
        while !is_there(&family, ["new", "y"]) {
            drop(family.with(&["new", "y"]));
        }
        assert_eq!(lock(&family.births).retired.len(), handles.len());
    }

    #[test]
    fn a_value_is_cut_alike_where_a_series_is_made_and_removed() {
        let (_table, family) = family(MetricKind::Counter, 10);
        let long = "0123456789abcdef and more";
        inc(&family, [long, "y"]);
        assert!(family.remove(&[long, "y"]) && !family.remove(&[long, "y"]));
    }

    /// All that was charged for is given back, whatever came and went.
    #[test]
    fn what_is_charged_for_a_series_is_refunded_once() {
        for kind in [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram] {
            let (table, family) = family(kind, 1_000);
            let fill = || {
                for n in 0..200 {
                    drop(family.with(&[&n.to_string(), &(n % 7).to_string()]));
                }
            };
            let empty = |now| {
                while family.series_count() > 0 {
                    (0..100).for_each(|n| {
                        family.remove(&[&n.to_string(), &(n % 7).to_string()]);
                    });
                    sweep(&table, &family, now);
                    sweep(&table, &family, now + IDLE);
                }
            };
            fill();
            empty(10_000);
            let used = table.space().used();
            for round in 0..3 {
                fill();
                assert!(table.space().used() > used);
                empty(20_000 + round * 10_000);
                assert_eq!(table.space().used(), used, "{kind:?}");
            }
        }
    }

    /// Cached hits, look-ups, removals and sweeps at once: what is counted in a family, with what
    /// the removals took, is what was recorded. Read by the handles, so that nothing is lost or
    /// counted twice in between.
    #[test]
    fn no_record_goes_to_another_series() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let (table, family) = family(MetricKind::Counter, 1_000);
        let start = Barrier::new(3);
        thread::scope(|scope| {
            let (table, family, start) = (&table, &family, &start);
            // Each has a series that only it records in, beside those that others make and remove.
            let workers: Vec<_> = ["a", "b"]
                .map(|own| {
                    scope.spawn(move || {
                        let mine = family.with(&[own, "mine"]);
                        start.wait();
                        for n in 0..rounds {
                            let other = (n % 3).to_string();
                            inc(family, [&other, "shared"]);
                            if n % 5 == 0 {
                                family.remove(&[&other, "shared"]);
                            }
                            inc(family, [own, "mine"]);
                        }
                        assert_eq!(Counter::new(mine).get(), rounds);
                    })
                })
                .into();
            start.wait();
            let mut now = 0;
            while !workers.iter().all(|worker| worker.is_finished()) {
                now += IDLE;
                sweep(table, family, now);
            }
        });
    }
}

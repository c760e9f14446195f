//! Exemplars of an engine: where candidates are put, and what a scrape finds of them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Clock;
use crate::shard;
use crate::shard::cells::{CHUNK_CELLS, Chunk, Slot};
use crate::shard::exemplar::{self, Candidate, Place, WAYS, WORDS};
use crate::shard::space::Space;
use crate::sync::{AtomicU32, Ordering, lock};

/// Places of a thread's table: one chunk of cells.
const PLACES: usize = CHUNK_CELLS / WORDS;

/// How long the largest observation of a bucket keeps its place in a thread's table.
const WINDOW: Duration = Duration::from_secs(10);

/// Windows that can still be told the time of.
const WINDOWS: usize = 8;

/// How old an exemplar may be.
const OLDEST: Duration = Duration::from_secs(60);

/// What has candidates where an engine has exemplars.
pub(crate) struct Exemplars {
    space: Arc<Space>,
    /// The first cell of the tables' chunk.
    first: Slot,
    clock: Clock,
    /// The number of the window that is on.
    window: AtomicU32,
    /// The window in which there was no memory for a thread's table: until the next nobody asks again.
    full: AtomicU32,
    begun: Mutex<[Begun; WINDOWS]>,
}

/// When a window began, on both clocks. A candidate is told the time by its own window's, so that it
/// is the same in each scrape: another time would make it another exemplar.
#[derive(Clone, Copy)]
struct Begun {
    window: u32,
    ticks: u64,
    unix_nanos: u64,
}

impl Begun {
    fn now(window: u32, clock: Clock) -> Begun {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Begun { window, ticks: clock.ticks(), unix_nanos }
    }
}

impl Exemplars {
    /// Nothing where the budget has no room for them.
    pub(crate) fn new(space: &Arc<Space>) -> Option<Exemplars> {
        let (clock, space) = (Clock::get(), space.clone());
        let first = space.allocate(CHUNK_CELLS)?;
        let begun = Mutex::new([Begun::now(1, clock); WINDOWS]);
        let (window, full) = (AtomicU32::new(1), AtomicU32::new(0));
        Some(Exemplars { space, first, clock, window, full, begun })
    }

    /// Offers an observation that was made in the span of these ids. Wait-free once the thread has its
    /// table; reads the clock only for what is kept. A thread without cells of its own has no table.
    #[inline]
    pub(crate) fn offer(&self, series: Slot, bucket: usize, life: u32, units: u64, ids: &[u8; 24]) {
        // Relaxed: a number. One that is just over takes a candidate more or less.
        let window = self.window.load(Ordering::Relaxed);
        let chunk = shard::own().chunk(self.first.chunk()).or_else(|| self.table(window));
        let Some(places) = chunk.map(|chunk| self.places(chunk)) else { return };
        let (series, bucket) = (series.0, bucket as u32);
        let set = exemplar::set(series, bucket, PLACES);
        let Some(ways) = places.get(set..set + WAYS) else { return };
        let chosen = exemplar::choose(ways, series, bucket, (window, life), units);
        let Some(place) = chosen else { return };
        let ticks = self.clock.ticks();
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(ids.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let candidate = Candidate { series, bucket, life, window, ids: words, units, ticks };
        exemplar::write(place, &candidate);
    }

    /// The calling thread's table, made now if it can be.
    #[cold]
    fn table(&self, window: u32) -> Option<&'static Chunk> {
        if self.full.load(Ordering::Relaxed) == window {
            return None;
        }
        let chunk = shard::own_chunk(&self.space, self.first);
        if chunk.is_none() {
            // Relaxed: a hint.
            self.full.store(window, Ordering::Relaxed);
        }
        chunk
    }

    fn places<'a>(&self, chunk: &'a Chunk) -> &'a [Place] {
        chunk.cells(self.first).as_chunks().0
    }

    /// Begins the next window where this one has been on for long enough. To be called now and then.
    pub(crate) fn turn(&self) {
        let mut begun = lock(&self.begun);
        let window = self.window.load(Ordering::Relaxed);
        let on = self.clock.ticks().saturating_sub(begun[window as usize % WINDOWS].ticks);
        if self.clock.nanos(on) < WINDOW.as_nanos() as u64 {
            return;
        }
        self.begin(&mut begun, window.wrapping_add(1));
    }

    /// Begins the next window now.
    #[cfg(test)]
    pub(crate) fn turn_at_once(&self) {
        let next = self.window.load(Ordering::Relaxed) + 1;
        self.begin(&mut lock(&self.begun), next);
    }

    fn begin(&self, begun: &mut [Begun; WINDOWS], window: u32) {
        begun[window as usize % WINDOWS] = Begun::now(window, self.clock);
        // Relaxed: its beginning is read under the lock.
        self.window.store(window, Ordering::Relaxed);
    }

    /// Gives what all threads' tables hold of the last minute, each with its time in nanoseconds since
    /// 1970. What a thread writes just then is left out.
    pub(crate) fn each(&self, mut take: impl FnMut(Candidate, u64)) {
        let begun = *lock(&self.begun);
        let now = self.clock.ticks();
        let oldest = self.clock.ticks_of(OLDEST.as_nanos() as u64);
        for shard in shard::all_cells() {
            let Some(chunk) = shard.chunk(self.first.chunk()) else { continue };
            for candidate in self.places(chunk).iter().filter_map(exemplar::read) {
                let begun = begun[candidate.window as usize % WINDOWS];
                let is_young = now.saturating_sub(candidate.ticks) <= oldest;
                if is_young && begun.window == candidate.window {
                    take(candidate, self.unix_nanos(begun, candidate.ticks));
                }
            }
        }
    }

    /// The window that is on.
    pub(crate) fn window(&self) -> u32 {
        self.window.load(Ordering::Relaxed)
    }

    fn unix_nanos(&self, begun: Begun, ticks: u64) -> u64 {
        match ticks.checked_sub(begun.ticks) {
            Some(later) => begun.unix_nanos.saturating_add(self.clock.nanos(later)),
            None => begun.unix_nanos.saturating_sub(self.clock.nanos(begun.ticks - ticks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SERIES: Slot = Slot(5 << 16 | 1);

    fn exemplars() -> Arc<Exemplars> {
        Arc::new(Exemplars::new(&Arc::new(Space::new(1 << 20))).unwrap())
    }

    fn found(exemplars: &Exemplars) -> Vec<(u32, u64, [u64; 3])> {
        let mut found = Vec::new();
        exemplars.each(|candidate, _| {
            found.push((candidate.bucket, candidate.units, candidate.ids));
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn each_thread_has_a_table_that_outlives_it() {
        let exemplars = exemplars();
        let ids = |byte| [u64::from_ne_bytes([byte; 8]); 3];
        thread::scope(|scope| {
            for byte in [1u8, 2] {
                let exemplars = exemplars.clone();
                let offer = move || exemplars.offer(SERIES, byte.into(), 0, 70, &[byte; 24]);
                scope.spawn(offer).join().unwrap();
            }
        });
        assert_eq!(found(&exemplars), [(1, 70, ids(1)), (2, 70, ids(2))]);
    }

    #[test]
    fn the_time_is_that_of_the_day_and_stays() {
        let exemplars = exemplars();
        exemplars.offer(SERIES, 0, 0, 1, &[1; 24]);
        let times = || {
            let mut times = Vec::new();
            exemplars.each(|_, unix_nanos| times.push(unix_nanos));
            times
        };
        let before = times();
        let now = Begun::now(0, Clock::get()).unix_nanos;
        assert!(now.abs_diff(before[0]) < 60_000_000_000, "{before:?} {now}");
        exemplars.turn();
        exemplars.turn_at_once();
        assert_eq!(times(), before);
        (0..WINDOWS).for_each(|_| exemplars.turn_at_once());
        assert!(times().is_empty(), "of a window that is forgotten");
    }

    #[test]
    fn without_memory_there_are_none() {
        let space = Arc::new(Space::new(crate::shard::cells::CHUNK_COST));
        assert!(Exemplars::new(&Arc::new(Space::new(0))).is_none());
        let exemplars = Exemplars::new(&space).unwrap();
        for _ in 0..3 {
            exemplars.offer(SERIES, 0, 0, 1, &[1; 24]);
        }
        assert!(found(&exemplars).is_empty());
    }
}

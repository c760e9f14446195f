//! The rings of one engine: bounded in number, on lease to threads, and one for everyone else.

use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::frame::SPAN_LEVEL;
use super::memory::Memory;
use super::overwrite::Overwrite;
use super::shared::Shared;
use super::spsc::Ring;
use super::store::Store;
use super::{Refused, forked};
use crate::shard::space::Space;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, lock};

/// What happens to a line that finds its ring full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// It is dropped and counted by level; an eighth of each ring is kept for warnings and errors.
    #[default]
    DropNewest,
    /// Its caller waits for so long; the one exception to "a call never waits". Past it the line is
    /// dropped, and further ones at once until the ring has been emptied.
    Block(Duration),
    /// The oldest lines go instead: a flight recorder. They are counted by level if no sink had them.
    OverwriteOldest,
}

/// The parts of a ring that are kept for warnings and errors.
const RESERVE: u64 = 8;

/// Sizes, and what to do when they are used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ring_bytes: usize,
    pub(crate) rings: usize,
    pub(crate) overflow: Overflow,
}

/// Lines lost, by level; the first is [`Level::Error`](crate::logs::Level::Error)'s, and behind the
/// levels stand the spans.
pub(crate) type ByLevel = [u64; LEVELS];

/// Levels, and one for spans.
pub(crate) const LEVELS: usize = SPAN_LEVEL as usize;

/// Counts of one writer at a time, or of many.
#[derive(Default)]
pub(crate) struct Lost([AtomicU64; LEVELS]);

impl Lost {
    pub(crate) fn count(&self, level: u8) {
        if let Some(lost) = self.0.get(usize::from(level).wrapping_sub(1)) {
            // Relaxed: a count publishes nothing.
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As [`count`](Self::count), of a line that is in its ring: who [sees](Self::seen) it sees the line
    /// there, or that it went.
    pub(crate) fn count_pushed(&self, level: u8) {
        if let Some(pushed) = self.0.get(usize::from(level).wrapping_sub(1)) {
            // Release: the ring's positions come before.
            pushed.fetch_add(1, Ordering::Release);
        }
    }

    /// The counts.
    pub(crate) fn seen(&self) -> ByLevel {
        // Acquire: with `count_pushed`.
        std::array::from_fn(|at| self.0[at].load(Ordering::Acquire))
    }

    /// Raises each count to the one given. By one thread alone.
    pub(crate) fn raise(&self, to: ByLevel) {
        for (lost, to) in self.0.iter().zip(to) {
            lost.fetch_max(to, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, sum: &mut ByLevel) {
        for (sum, lost) in sum.iter_mut().zip(&self.0) {
            *sum += lost.load(Ordering::Relaxed);
        }
    }
}

/// What a thread has on lease.
pub(crate) enum Kind {
    Queue(Ring),
    Recorder(Overwrite),
}

/// A ring with what was lost in front of it.
pub(crate) struct Leased {
    pub(crate) kind: Kind,
    /// Lines that found it full; of a [`Kind::Recorder`] those that were overwritten, which its reader
    /// counts.
    pub(crate) lost: Lost,
    /// Lines that were written, of a [`Kind::Recorder`].
    pub(crate) pushed: Lost,
    missed: Missed,
}

/// Whether a caller waited in vain for room in a ring that has not been empty since.
#[derive(Default)]
struct Missed(AtomicBool);

impl Missed {
    fn still(&self, is_empty: impl FnOnce() -> bool) -> bool {
        if !self.0.load(Ordering::Relaxed) {
            return false;
        }
        let still = !is_empty();
        self.0.store(still, Ordering::Relaxed);
        still
    }
}

#[derive(Default)]
struct Leases {
    all: Vec<Arc<Leased>>,
    free: Vec<Arc<Leased>>,
}

/// Where an engine's lines wait for its flusher.
pub(crate) struct Rings {
    id: u64,
    /// Of the process, which a fork ends for the child.
    life: u32,
    me: Weak<Rings>,
    /// With the bytes that a ring has in fact.
    settings: Settings,
    store: Store,
    space: Arc<Space>,
    /// Bytes charged to it.
    charged: AtomicU64,
    leases: Mutex<Leases>,
    /// How many there are, so that the flusher asks for the list only when it has grown.
    count: AtomicUsize,
    pub(crate) shared: Shared,
    pub(crate) shared_lost: Lost,
    shared_missed: Missed,
    /// Lines that no ring would take, or of a process that was forked off.
    pub(crate) refused: Lost,
    /// Lines of threads that work for this engine.
    pub(crate) own: Lost,
    waiting: AtomicUsize,
    room: (Mutex<()>, Condvar),
    flusher: OnceLock<Thread>,
    /// There is one reader, and somebody has it.
    read: AtomicBool,
    /// The engine has ended.
    closed: AtomicBool,
}

/// Numbers engines; 0 is nobody's.
static ENGINES: AtomicU64 = AtomicU64::new(1);

/// Those that there are, for whoever has a number alone.
pub(super) static BY_ENGINE: Mutex<Vec<(u64, Weak<Rings>)>> = Mutex::new(Vec::new());

/// The rings of the engine of this number, as long as there are any. Briefly locks.
pub(crate) fn of_engine(engine: u64) -> Option<Arc<Rings>> {
    lock(&BY_ENGINE).iter().find(|(number, _)| *number == engine)?.1.upgrade()
}

/// How long a caller that waits for room sleeps at most before it looks again.
const NAP: Duration = Duration::from_millis(2);

impl Rings {
    /// In the heap, with the shared ring charged to `space`; nothing when it has no room for it.
    #[cfg(test)]
    pub(crate) fn new(settings: Settings, space: Arc<Space>) -> Option<Arc<Rings>> {
        Rings::in_store(settings, space, Store::Heap)
    }

    /// In `store`. What it takes at once is charged to `space` now, the rest with each ring.
    pub(crate) fn in_store(
        settings: Settings,
        space: Arc<Space>,
        store: Store,
    ) -> Option<Arc<Rings>> {
        let bytes = settings.ring_bytes.max(Memory::LEAST).checked_next_power_of_two()?;
        let settings = Settings { ring_bytes: bytes, ..settings };
        let now = store.bytes().unwrap_or(bytes as u64);
        if !space.charge(now) {
            return None;
        }
        let Some((memory, cursor)) = store.shared(ring_bytes(&settings)) else {
            space.refund(now);
            return None;
        };
        let rings = Arc::new_cyclic(|me| Rings {
            me: me.clone(),
            id: ENGINES.fetch_add(1, Ordering::Relaxed),
            life: forked::begin(),
            settings,
            store,
            space,
            charged: AtomicU64::new(now),
            leases: Mutex::default(),
            count: AtomicUsize::new(0),
            shared: Shared::new(memory, cursor),
            shared_lost: Lost::default(),
            shared_missed: Missed::default(),
            refused: Lost::default(),
            own: Lost::default(),
            waiting: AtomicUsize::new(0),
            room: Default::default(),
            flusher: OnceLock::new(),
            read: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let mut by_engine = lock(&BY_ENGINE);
        by_engine.retain(|(_, rings)| rings.strong_count() > 0);
        by_engine.push((rings.id, Arc::downgrade(&rings)));
        drop(by_engine);
        Some(rings)
    }

    #[inline(always)]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// Whether this process was forked off with these rings, which are its parent's.
    pub(crate) fn is_inherited(&self) -> bool {
        forked::is_inherited(self.life)
    }

    pub(crate) fn weak(&self) -> Weak<Rings> {
        self.me.clone()
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.settings.overflow
    }

    /// Bytes of a ring of `capacity` that lines less urgent than a warning leave free.
    pub(crate) fn reserve(capacity: u64) -> u64 {
        capacity / RESERVE
    }

    /// A ring for the calling thread alone, until it is given back; nothing past the last one, or
    /// where the budget has no room. Briefly locks.
    pub(crate) fn lease(&self) -> Option<Arc<Leased>> {
        let mut leases = lock(&self.leases);
        if let Some(ring) = leases.free.pop() {
            return Some(ring);
        }
        if leases.all.len() >= self.settings.rings {
            return None;
        }
        let ring = self.make(leases.all.len())?;
        leases.all.push(ring.clone());
        // Relaxed: the list itself is behind the lock.
        self.count.store(leases.all.len(), Ordering::Relaxed);
        Some(ring)
    }

    fn make(&self, number: usize) -> Option<Arc<Leased>> {
        let bytes = ring_bytes(&self.settings);
        let each = if self.store.bytes().is_some() { 0 } else { bytes };
        if !self.space.charge(each) {
            return None;
        }
        self.charged.fetch_add(each, Ordering::Relaxed);
        let kind = match self.settings.overflow {
            Overflow::OverwriteOldest => Kind::Recorder(Overwrite::new(bytes as usize)),
            _ => {
                let (memory, cursor) = self.store.ring(number, bytes)?;
                Kind::Queue(Ring::new(memory, cursor))
            }
        };
        Some(Arc::new(Leased {
            kind,
            lost: Lost::default(),
            pushed: Lost::default(),
            missed: Missed::default(),
        }))
    }

    /// Takes a ring back, with what is still in it. The lock hands its positions to the next thread.
    pub(crate) fn give_back(&self, ring: Arc<Leased>) {
        lock(&self.leases).free.push(ring);
    }

    /// Adds the rings that `known` does not have yet.
    pub(crate) fn list(&self, known: &mut Vec<Arc<Leased>>) {
        if self.count.load(Ordering::Relaxed) > known.len() {
            let leases = lock(&self.leases);
            known.extend(leases.all[known.len()..].iter().cloned());
        }
    }

    /// Whether the caller is the first to ask for the reader's side.
    pub(crate) fn take_reader(&self) -> bool {
        !self.read.swap(true, Ordering::Relaxed)
    }

    /// Says that nobody will read what comes from here on. Relaxed, as is the question: both stand
    /// under the locks of whoever acts on it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Who drains these rings; told to wake up by callers that wait.
    pub(crate) fn set_flusher(&self, thread: Thread) {
        let _ = self.flusher.set(thread);
    }

    pub(crate) fn wake_flusher(&self) {
        if let Some(thread) = self.flusher.get() {
            thread.unpark();
        }
    }

    /// Whether a caller waits for room.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Tells callers that wait that there is room.
    pub(crate) fn made_room(&self) {
        // Relaxed: who is missed here looks again after a nap.
        if self.is_waited_for() {
            drop(lock(&self.room.0));
            self.room.1.notify_all();
        }
    }

    /// Calls `write` until it has room, or for as long as a caller may wait.
    #[cold]
    pub(crate) fn wait_for_room(
        &self,
        ring: Option<&Leased>,
        mut write: impl FnMut() -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let Overflow::Block(patience) = self.settings.overflow else { return Err(Refused::Full) };
        let (missed, is_missed) = match ring {
            Some(ring) => (&ring.missed, ring.missed.still(|| ring.is_empty())),
            None => (&self.shared_missed, self.shared_missed.still(|| self.shared.is_empty())),
        };
        if is_missed || super::thread::is_ours() {
            return Err(Refused::Full);
        }
        let began = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.wake_flusher();
        let result = loop {
            let guard = lock(&self.room.0);
            // Under the lock: the flusher, which was told of a caller that waits, may have made room
            // already, and says so only once.
            let tried = write();
            let left = patience.saturating_sub(began.elapsed());
            match tried {
                Err(Refused::Full) if left.is_zero() => {
                    missed.0.store(true, Ordering::Relaxed);
                    break Err(Refused::Full);
                }
                Err(Refused::Full) => {}
                other => break other,
            }
            let woken = self.room.1.wait_timeout(guard, left.min(NAP));
            if woken.is_ok_and(|(_, waited)| waited.timed_out()) {
                self.wake_flusher();
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// Lines lost in front of the rings, by level.
    pub(crate) fn lost(&self, rings: &[Arc<Leased>]) -> ByLevel {
        let mut sum = ByLevel::default();
        self.shared_lost.add_to(&mut sum);
        self.refused.add_to(&mut sum);
        rings.iter().for_each(|ring| ring.lost.add_to(&mut sum));
        sum
    }

    /// Lines that threads of ours wanted to log, by level.
    pub(crate) fn own(&self) -> ByLevel {
        let mut sum = ByLevel::default();
        self.own.add_to(&mut sum);
        sum
    }
}

impl Leased {
    fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Queue(ring) if ring.used() == 0)
    }
}

/// Bytes of each ring.
fn ring_bytes(settings: &Settings) -> u64 {
    settings.ring_bytes.max(Memory::LEAST).next_power_of_two() as u64
}

impl Drop for Rings {
    fn drop(&mut self) {
        self.space.refund(self.charged.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings =
        Settings { ring_bytes: 4096, rings: 1, overflow: Overflow::DropNewest };

    fn rings(overflow: Overflow) -> Arc<Rings> {
        Rings::new(Settings { overflow, ..SETTINGS }, Arc::new(Space::new(1 << 20))).unwrap()
    }

    #[test]
    fn a_ring_larger_than_the_budget_is_never_made() {
        // The last one has no power of two above it, and the one before no place in any memory.
        for ring_bytes in [1 << 21, isize::MAX as usize, usize::MAX] {
            let space = Arc::new(Space::new(1 << 20));
            assert!(Rings::new(Settings { ring_bytes, ..SETTINGS }, space.clone()).is_none());
            assert_eq!(space.used(), 0);
        }
    }

    #[test]
    fn patience_may_be_longer_than_any_clock_runs() {
        let rings = rings(Overflow::Block(Duration::MAX));
        let mut tries = 0;
        let write = || {
            tries += 1;
            if tries < 3 { Err(Refused::Full) } else { Ok(()) }
        };
        assert_eq!(rings.wait_for_room(None, write), Ok(()));
    }

    #[test]
    fn room_that_is_made_before_a_caller_sleeps_is_not_slept_over() {
        let rings = rings(Overflow::Block(Duration::MAX));
        let (mut tries, mut held) = (0, 0);
        let write = || {
            tries += 1;
            // Who makes room tells of it under this lock.
            held += usize::from(rings.room.0.try_lock().is_err());
            if tries < 3 { Err(Refused::Full) } else { Ok(()) }
        };
        assert_eq!(rings.wait_for_room(None, write), Ok(()));
        assert_eq!((tries, held), (3, 3));
    }

    #[test]
    fn who_shares_a_ring_does_not_wait_in_vain_twice() {
        let rings = rings(Overflow::Block(Duration::ZERO));
        let frame = [(64u64).to_le_bytes(), [0; 8]].concat().repeat(4);
        while rings.shared.push(&frame, 0).is_ok() {}
        let tried = || {
            let mut tries = 0;
            let write = || {
                tries += 1;
                Err(Refused::Full)
            };
            assert_eq!(rings.wait_for_room(None, write), Err(Refused::Full));
            tries > 0
        };
        assert!(tried());
        assert!(!tried(), "nothing was read since");
        rings.shared.empty();
        assert!(tried(), "it has been empty");
    }
}

//! The rings of one engine: bounded in number, on lease to threads, and one for everyone else.

use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

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

/// Lines lost, by level; the first is [`Level::Error`](crate::logs::Level::Error)'s.
pub(crate) type ByLevel = [u64; 5];

/// Counts of one writer at a time, or of many.
#[derive(Default)]
pub(crate) struct Lost([AtomicU64; 5]);

impl Lost {
    pub(crate) fn count(&self, level: u8) {
        if let Some(lost) = self.0.get(usize::from(level).wrapping_sub(1)) {
            // Relaxed: a count publishes nothing.
            lost.fetch_add(1, Ordering::Relaxed);
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
    /// Lines that found it full, or that were overwritten.
    pub(crate) lost: Lost,
    /// Up to where the flusher has read a [`Kind::Recorder`]: what goes before is no loss.
    pub(crate) seen: AtomicU64,
    /// A caller waited in vain, and the ring has not been empty since.
    missed: AtomicBool,
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
    /// Lines that no ring would take, or of a process that was forked off.
    pub(crate) refused: Lost,
    waiting: AtomicUsize,
    room: (Mutex<()>, Condvar),
    flusher: OnceLock<Thread>,
    /// There is one reader, and somebody has it.
    read: AtomicBool,
}

/// Numbers engines; 0 is nobody's.
static ENGINES: AtomicU64 = AtomicU64::new(1);

/// How long a caller that waits for room sleeps at most before it looks again.
const NAP: Duration = Duration::from_millis(2);

impl Rings {
    /// In the heap, with the shared ring charged to `space`; nothing when it has no room for it.
    pub(crate) fn new(settings: Settings, space: Arc<Space>) -> Option<Arc<Rings>> {
        Rings::in_store(settings, space, Store::Heap)
    }

    /// In `store`. What it takes at once is charged to `space` now, the rest with each ring.
    pub(crate) fn in_store(
        settings: Settings,
        space: Arc<Space>,
        store: Store,
    ) -> Option<Arc<Rings>> {
        let now = store.bytes().unwrap_or(ring_bytes(&settings));
        if !space.charge(now) {
            return None;
        }
        let Some((memory, cursor)) = store.shared(ring_bytes(&settings)) else {
            space.refund(now);
            return None;
        };
        Some(Arc::new_cyclic(|me| Rings {
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
            refused: Lost::default(),
            waiting: AtomicUsize::new(0),
            room: Default::default(),
            flusher: OnceLock::new(),
            read: AtomicBool::new(false),
        }))
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
            seen: AtomicU64::new(0),
            missed: AtomicBool::new(false),
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
        if ring.is_some_and(Leased::still_missed) || super::thread::is_ours() {
            return Err(Refused::Full);
        }
        let until = Instant::now() + patience;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let result = loop {
            self.wake_flusher();
            let guard = lock(&self.room.0);
            let left = until.saturating_duration_since(Instant::now());
            drop(self.room.1.wait_timeout(guard, left.min(NAP)));
            match write() {
                Err(Refused::Full) if left.is_zero() => {
                    if let Some(ring) = ring {
                        ring.missed.store(true, Ordering::Relaxed);
                    }
                    break Err(Refused::Full);
                }
                Err(Refused::Full) => {}
                other => break other,
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
}

impl Leased {
    /// Whether a caller waited in vain, and the ring has not been empty since.
    fn still_missed(&self) -> bool {
        if !self.missed.load(Ordering::Relaxed) {
            return false;
        }
        let empty = matches!(&self.kind, Kind::Queue(ring) if ring.used() == 0);
        self.missed.store(!empty, Ordering::Relaxed);
        !empty
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

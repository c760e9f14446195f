//! Removal by epochs: no add is credited to the series that gets the cell next, and none is lost.
//!
//! Loom's SeqCst fences pass on all that earlier ones had seen, which is more than the language
//! promises. `epoch.rs` argues by the promise alone; what the models show is that both fences are
//! needed, and every Release and Acquire.

use loom::sync::Arc;
use loom::thread;

use super::{SLOT, add, cells_with_a_chunk, free};
use crate::shard::cells::{Chunk, Directory, add_owned_release, level, total};
use crate::shard::epoch::{Epochs, Pin};
use crate::shard::lease::Pool;
use crate::sync::{AtomicU64, Ordering};

/// The generation of the first series, and of the one that gets its cell. Between: being removed.
const FIRST: u64 = 0;
const RETIRING: u64 = 1;
const SECOND: u64 = 2;

/// One series' cell in two shards, with the cells that count its handles, and how it is known.
struct World {
    epochs: Epochs,
    pins: [Pin; 2],
    generation: AtomicU64,
    /// The generation that a look-up under the lock finds; the lock is but its Release and
    /// Acquire here.
    entry: AtomicU64,
    cells: [Box<Directory>; 2],
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            epochs: Epochs::new(),
            pins: [Pin::new(), Pin::new()],
            generation: AtomicU64::new(FIRST),
            entry: AtomicU64::new(FIRST),
            cells: [cells_with_a_chunk(), cells_with_a_chunk()],
        })
    }

    fn cells(&self) -> impl Iterator<Item = &Directory> {
        self.cells.iter().map(|cells| &**cells)
    }

    fn total(&self) -> u64 {
        total(self.cells(), SLOT)
    }

    /// A hit in the cache of the thread that has `shard`; whether it was one.
    fn hit(&self, shard: usize, remembered: u64, act: impl FnOnce(&Directory)) -> bool {
        let pin = &self.pins[shard];
        self.epochs.pin(pin);
        let hit = self.generation.load(Ordering::Relaxed) == remembered;
        if hit {
            act(&self.cells[shard]);
        }
        pin.unpin();
        hit
    }

    /// Adds one by a hit.
    fn record(&self, shard: usize, remembered: u64) -> u64 {
        self.hit(shard, remembered, |cells| add(cells, SLOT, 1)).into()
    }

    /// Marks the series and gives the stamp.
    fn retire(&self) -> u64 {
        self.generation.store(RETIRING, Ordering::Relaxed);
        self.epochs.retire()
    }

    fn is_over(&self, stamp: u64) -> bool {
        self.epochs.oldest(self.pins.iter()) > stamp
    }

    /// Gives the cell to the next series, which the caller saw to be free for it.
    fn hand_over(&self) {
        for cells in &self.cells {
            cells.chunk(0).unwrap().cell(SLOT).store(0, Ordering::Relaxed);
        }
        self.generation.store(SECOND, Ordering::Relaxed);
        self.entry.store(SECOND, Ordering::Release);
    }

    /// What the look-up after a miss finds.
    fn look_up(&self) -> u64 {
        self.entry.load(Ordering::Acquire)
    }

    fn free(&self) {
        self.cells().for_each(free);
    }
}

/// The cell as the next series has it holds what was recorded to that one, whoever records, and
/// nothing of the first.
#[test]
fn a_removed_series_takes_no_more_adds() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let recorder = thread::spawn(move || {
            let first = other.record(0, FIRST);
            let entry = other.look_up();
            let second = if entry == SECOND { other.record(0, SECOND) } else { 0 };
            (first, second)
        });
        let stamp = world.retire();
        let handed = world.is_over(stamp);
        if handed {
            world.hand_over();
        }
        let (first, second) = recorder.join().unwrap();
        assert_eq!(world.total(), if handed { second } else { first });
        world.free();
    });
}

/// What is still added while a series is being removed is seen, and the removal given up.
#[test]
fn an_add_before_a_removal_is_over_stops_it() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let recorder = thread::spawn(move || other.record(0, FIRST));
        let before = world.total();
        let stamp = world.retire();
        let handed = world.is_over(stamp) && world.total() == before;
        if handed {
            world.hand_over();
        }
        let recorded = recorder.join().unwrap();
        // What was added before the removal began was on its last scrape.
        assert_eq!(if handed { before } else { world.total() }, recorded);
        world.free();
    });
}

/// A thread that holds a shard with values and sleeps delays nothing, nor one that is pinned since;
/// when it wakes up, it goes on with the cell as it was handed over.
#[test]
fn an_idle_thread_delays_no_removal() {
    loom::model(|| {
        let world = World::new();
        // The idle thread's, before it fell asleep.
        world.record(1, FIRST);
        let other = world.clone();
        let idle = thread::spawn(move || match other.look_up() {
            SECOND => other.record(1, SECOND),
            _ => 0,
        });
        let stamp = world.retire();
        world.epochs.pin(&world.pins[0]);
        let over = world.is_over(stamp);
        world.pins[0].unpin();
        world.hand_over();
        let recorded = idle.join().unwrap();
        assert!(over, "nobody had it in his hands");
        assert_eq!(world.total(), recorded);
        world.free();
    });
}

/// Two look-ups are under way: the older one counts.
#[test]
fn the_oldest_pin_holds_a_removal_back() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let recorder = thread::spawn(move || other.record(1, FIRST));
        let stamp = world.retire();
        // As a third thread would, which has missed the series already.
        world.epochs.pin(&world.pins[0]);
        let handed = world.is_over(stamp);
        if handed {
            world.hand_over();
        }
        world.pins[0].unpin();
        let first = recorder.join().unwrap();
        assert_eq!(world.total(), if handed { 0 } else { first });
        world.free();
    });
}

/// A thread leases its first shard, pins it and records, while a removal goes on.
#[test]
fn a_shard_that_was_made_meanwhile_is_asked_too() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(1).unwrap());
        let (epochs, generation) = (Arc::new(Epochs::new()), Arc::new(AtomicU64::new(FIRST)));
        let (others, now, mark) = (pool.clone(), epochs.clone(), generation.clone());
        let recorder = thread::spawn(move || {
            let shard = others.lease().unwrap();
            now.pin(&shard.pin);
            let hit = mark.load(Ordering::Relaxed) == FIRST;
            if hit {
                shard.cells.place(0, Chunk::zeroed().unwrap());
                add(&shard.cells, SLOT, 1);
            }
            shard.pin.unpin();
            hit
        });
        generation.store(RETIRING, Ordering::Relaxed);
        let stamp = epochs.retire();
        let over = epochs.oldest(pool.iter().map(|shard| &shard.pin)) > stamp;
        let seen = total(pool.iter().map(|shard| &*shard.cells), SLOT);
        let hit = recorder.join().unwrap();
        assert!(!over || seen == u64::from(hit), "a look-up went on that nobody asked");
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

/// A handle that was made by a look-up in time keeps its series, also while nobody is pinned.
#[test]
fn a_handle_made_under_a_pin_keeps_its_series() {
    let (inc, dec) = (SLOT.offset(1), SLOT.offset(2));
    loom::model(move || {
        let world = World::new();
        let other = world.clone();
        let recorder = thread::spawn(move || {
            let cells = &*other.cells[0];
            if !other.hit(0, FIRST, |cells| add(cells, inc, 1)) {
                return 0;
            }
            add(cells, SLOT, 1);
            add_owned_release(cells.chunk(0).unwrap().cell(dec), 1);
            1
        });
        let before = world.total();
        let stamp = world.retire();
        let handed = world.is_over(stamp)
            && level(|| world.cells(), inc, dec) == 0
            && world.total() == before;
        if handed {
            world.hand_over();
        }
        let recorded = recorder.join().unwrap();
        assert_eq!(if handed { before } else { world.total() }, recorded);
        world.free();
    });
}

/// Whoever finds a shard pinned again has the adds of the pin before behind it.
#[test]
fn a_second_pin_shows_what_the_first_one_did() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let recorder = thread::spawn(move || {
            let first = other.record(0, FIRST);
            other.epochs.pin(&other.pins[0]);
            first
        });
        let stamp = world.retire();
        let handed = world.is_over(stamp);
        if handed {
            world.hand_over();
        }
        let first = recorder.join().unwrap();
        assert_eq!(world.total(), if handed { 0 } else { first });
        world.free();
    });
}

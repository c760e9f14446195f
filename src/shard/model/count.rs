//! Handles by counts: an owner is freed once, and not before its last handle is gone.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::{SLOT, add, cells_with_a_chunk, free};
use crate::shard::cells::{Directory, Slot, add_owned_release};
use crate::shard::count::{give_back, unheld};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

const INC: Slot = SLOT;
const DEC: Slot = SLOT.offset(1);

/// An owner with what stands around it: the counts, which outlive it.
struct World {
    cells: [Box<Directory>; 2],
    /// The count of an `Arc` as std has it; loom's own says more than that.
    arcs: AtomicUsize,
    orphaned: AtomicBool,
    freed: UnsafeCell<bool>,
    /// The collector's list: whether the owner is in it.
    listed: Mutex<bool>,
}

impl World {
    /// With `arcs` of them, and `handles` counted in the first shard.
    fn new(arcs: usize, handles: u64) -> Arc<World> {
        let cells = [cells_with_a_chunk(), cells_with_a_chunk()];
        add(&cells[0], INC, handles);
        Arc::new(World {
            cells,
            arcs: AtomicUsize::new(arcs),
            orphaned: AtomicBool::new(false),
            freed: UnsafeCell::new(false),
            listed: Mutex::new(false),
        })
    }

    fn use_owner(&self) {
        // SAFETY: loom looks after it.
        self.freed.with(|freed| assert!(!unsafe { *freed }, "used after it was freed"));
    }

    fn hold(&self, shard: usize) {
        self.use_owner();
        add(&self.cells[shard], INC, 1);
    }

    fn drop_arc(&self) {
        // Release: as std's does.
        self.arcs.fetch_sub(1, Ordering::Release);
    }

    fn give_back(&self, shard: usize) {
        let orphaned = || {
            self.use_owner();
            self.orphaned.load(Ordering::Relaxed)
        };
        let look = give_back(orphaned, || {
            add_owned_release(self.cells[shard].chunk(0).unwrap().cell(DEC), 1);
        });
        if look {
            self.look(&mut self.listed.lock().unwrap());
        }
    }

    /// As `Orphans::leave`.
    fn leave(&self) {
        self.orphaned.store(true, Ordering::Relaxed);
        let mut listed = self.listed.lock().unwrap();
        *listed = true;
        self.look(&mut listed);
    }

    fn look(&self, listed: &mut bool) {
        let shards = || self.cells.iter().map(|cells| &**cells);
        // Relaxed: as std's `strong_count`.
        let arcs = || self.arcs.load(Ordering::Relaxed);
        if *listed && unheld(arcs, shards, || [INC].into_iter()) {
            *listed = false;
            self.freed.with_mut(|freed| {
                // SAFETY: loom looks after it.
                let freed = unsafe { &mut *freed };
                assert!(!*freed, "freed twice");
                *freed = true;
            });
        }
    }

    /// After all threads: nobody holds it.
    fn end(&self) {
        self.look(&mut self.listed.lock().unwrap());
        // SAFETY: the model's threads have ended.
        assert!(self.freed.with(|freed| unsafe { *freed }), "never freed");
        self.cells.iter().for_each(|cells| free(cells));
    }
}

/// One thread makes a handle from its `Arc`, drops the `Arc` and sends the handle to another one,
/// which drops it, while the owner's side lets go.
#[test]
fn handles_keep_their_owner() {
    loom::model(|| {
        let world = World::new(2, 0);
        let other = world.clone();
        let holder = thread::spawn(move || {
            other.hold(0);
            other.drop_arc();
            let receiver = other.clone();
            thread::spawn(move || receiver.give_back(1)).join().unwrap();
        });
        world.leave();
        holder.join().unwrap();
        world.end();
    });
}

/// A handle is cloned and dropped before its clone is.
#[test]
fn clones_keep_their_owner() {
    loom::model(|| {
        let world = World::new(1, 1);
        let other = world.clone();
        let holder = thread::spawn(move || {
            other.hold(1);
            other.give_back(1);
            other.give_back(1);
        });
        world.leave();
        holder.join().unwrap();
        world.end();
    });
}

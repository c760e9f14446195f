//! The calling thread's shard.

use std::cell::Cell;
use std::sync::LazyLock;

use crossbeam_utils::CachePadded;

use super::cells::{Chunk, Directory, Slot, Writer, add_common, add_owned, add_owned_release};
use super::epoch::{Epochs, Pin};
use super::lease::{Pool, Shard};
use super::space::{Space, common_chunk};
use crate::sync::{AtomicU64, Ordering};

/// Shards the process makes unless a builder says otherwise.
pub(crate) const DEFAULT_SHARDS: usize = 256;
/// A thread without a shard looks for a free one again after so many records.
const RETRY_AFTER: u32 = 1_000;

static EMPTY: Directory = Directory::empty();

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    // Half a mebibyte of address space that the allocator refuses at the first series: nothing
    // could be recorded, and set-up is where a host may be stopped.
    Pool::new(DEFAULT_SHARDS).expect("no memory for the common cells")
});

/// Records that went to the common cells since the process began. On a line of its own: it is
/// written by the threads that had to share.
static COMMON_RECORDS: CachePadded<AtomicU64> = CachePadded::new(AtomicU64::new(0));

/// Cells of records that were lost because the allocator had no memory for the common ones.
static COMMON_LOST: AtomicU64 = AtomicU64::new(0);

/// On a line of its own: each look-up reads it, removals alone write it.
static EPOCHS: CachePadded<Epochs> = CachePadded::new(Epochs::new());

#[derive(Clone, Copy)]
enum State {
    /// Nothing recorded yet.
    Fresh,
    Leased,
    /// No shard was free; look again after so many records.
    Waiting(u32),
    /// The lease went back: a destructor of another thread-local is recording.
    Ended,
}

struct Lease(Cell<Option<&'static Shard>>);

thread_local! {
    // Const and without a destructor: one read relative to the thread pointer, and still there
    // while other thread-locals are destroyed.
    static CELLS: Cell<&'static Directory> = const { Cell::new(&EMPTY) };
    static PIN: Cell<Option<&'static Pin>> = const { Cell::new(None) };
    static STATE: Cell<State> = const { Cell::new(State::Fresh) };
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

impl Drop for Lease {
    fn drop(&mut self) {
        // `EMPTY`, never null: what is recorded from here on goes to the common cells, and a
        // second lease, which nobody would give back, is not taken.
        CELLS.set(&EMPTY);
        PIN.set(None);
        STATE.set(State::Ended);
        if let Some(shard) = self.0.take() {
            POOL.release(shard);
        }
    }
}

pub(crate) fn pool() -> &'static Pool {
    &POOL
}

/// The cells of every shard, and the common ones.
pub(crate) fn all_cells() -> impl Iterator<Item = &'static Directory> + Clone {
    POOL.iter().map(|shard| &*shard.cells).chain([&*POOL.common])
}

pub(crate) fn common_records() -> u64 {
    COMMON_RECORDS.load(Ordering::Relaxed)
}

pub(crate) fn common_lost() -> u64 {
    COMMON_LOST.load(Ordering::Relaxed)
}

/// The word of `slot` that all threads share, for what is set and not counted. Whoever asks has a
/// handle that keeps it.
#[inline]
pub(crate) fn common_cell(slot: Slot) -> Option<&'static AtomicU64> {
    POOL.common.chunk(slot.chunk()).map(|chunk| chunk.cell(slot))
}

/// The calling thread's own directory as it stands; empty where it has none.
#[inline(always)]
pub(crate) fn own() -> &'static Directory {
    CELLS.get()
}

/// Runs `look` with the thread's shard pinned: what it finds unmarked stays as it is until it
/// returns. Nothing where the thread has no shard; it then looks under the lock that removals take.
/// A store and a fence, 5 ns. Never within another: for code of this crate that calls none of a
/// host's.
#[inline(always)]
pub(crate) fn pinned<R>(look: impl FnOnce() -> R) -> Option<R> {
    PIN.get().map(|pin| EPOCHS.pinned(pin, look))
}

/// The stamp for what the caller has marked until now: no look-up has it in its hands any more once
/// [`oldest_pin`] is above the stamp.
pub(crate) fn retire() -> u64 {
    EPOCHS.retire()
}

/// The oldest epoch at which a shard is pinned, `u64::MAX` when none is.
pub(crate) fn oldest_pin() -> u64 {
    EPOCHS.oldest(POOL.iter().map(|shard| &shard.pin))
}

/// Adds `n` at `slot` in the calling thread's shard. Wait-free; false where the thread has no
/// shard, or has not touched the chunk: [`add_slow`] then does it.
#[inline(always)]
pub(crate) fn try_add(slot: Slot, n: u64) -> bool {
    match own().chunk(slot.chunk()) {
        Some(chunk) => {
            add_owned(chunk.cell(slot), n);
            true
        }
        None => false,
    }
}

/// [`try_add`], published to whoever reads the cell with Acquire.
#[inline(always)]
pub(crate) fn try_add_release(slot: Slot, n: u64) -> bool {
    match own().chunk(slot.chunk()) {
        Some(chunk) => {
            add_owned_release(chunk.cell(slot), n);
            true
        }
        None => false,
    }
}

/// Adds `n` at `slot` whatever the thread's state: leases a shard and allocates the chunk where
/// that is possible, else takes the common cells. Release, so that it serves decs too.
#[cold]
pub(crate) fn add_slow(space: &Space, slot: Slot, n: u64) {
    add_by(writer(space, &[slot]), slot, n);
}

/// Adds `n` at `slot` by a writer that was found for it. Release, so that it serves decs too.
pub(crate) fn add_by(writer: Writer<'static>, slot: Slot, n: u64) {
    let Some(chunk) = writer.chunk(slot) else { return };
    match writer {
        Writer::Own(_) => add_owned_release(chunk.cell(slot), n),
        Writer::Common(_) => {
            add_common(chunk.cell(slot), n);
        }
    }
}

/// The writer for `slots`, all of `space`: the thread's own shard when it has or gets one and the
/// budget has room for its chunks, else the common cells, which are counted.
#[cold]
pub(crate) fn writer(space: &Space, slots: &[Slot]) -> Writer<'static> {
    let writer = find_writer(space, slots);
    if let Writer::Common(_) = writer {
        COMMON_RECORDS.fetch_add(1, Ordering::Relaxed);
    }
    writer
}

/// [`writer`], for what is no record.
pub(crate) fn find_writer(space: &Space, slots: &[Slot]) -> Writer<'static> {
    if let Some(cells) = own_with(space, slots) {
        return Writer::Own(cells);
    }
    for slot in slots {
        if common_chunk(slot.chunk()).is_none() {
            COMMON_LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
    Writer::Common(&POOL.common)
}

/// The chunk of `slot` in the calling thread's own shard, leased and allocated now if that can be;
/// nothing where the thread has to share. For what is no record: it is not counted.
#[cold]
pub(crate) fn own_chunk(space: &Space, slot: Slot) -> Option<&'static Chunk> {
    own_with(space, &[slot])?.chunk(slot.chunk())
}

/// The calling thread's own directory with the chunks of `slots` in it.
fn own_with(space: &Space, slots: &[Slot]) -> Option<&'static Directory> {
    let cells = leased()?;
    let ready = slots
        .iter()
        .all(|slot| cells.chunk(slot.chunk()).is_some() || space.grow(cells, slot.chunk()));
    ready.then_some(cells)
}

/// The calling thread's directory, leased now if it can be.
fn leased() -> Option<&'static Directory> {
    match STATE.get() {
        State::Leased => return Some(own()),
        State::Ended => return None,
        State::Waiting(0) | State::Fresh => {}
        State::Waiting(records) => {
            STATE.set(State::Waiting(records - 1));
            return None;
        }
    }
    let Some(shard) = POOL.lease() else {
        STATE.set(State::Waiting(RETRY_AFTER));
        return None;
    };
    // The guard gives the shard back when the thread ends. Where its own destructor has run
    // already, nobody would: the shard goes back at once.
    if LEASE.try_with(|lease| lease.0.set(Some(shard))).is_err() {
        POOL.release(shard);
        STATE.set(State::Ended);
        return None;
    }
    STATE.set(State::Leased);
    CELLS.set(&shard.cells);
    PIN.set(Some(&shard.pin));
    Some(&shard.cells)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Other tests of the process may be pinned for a moment.
    fn passes(stamp: u64) {
        while oldest_pin() <= stamp {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_without_a_shard_is_not_pinned() {
        let looked = thread::spawn(|| pinned(|| ())).join().unwrap();
        assert_eq!(looked, None);
    }

    #[test]
    fn a_pinned_thread_holds_a_stamp_back_and_an_idle_one_does_not() {
        let space = Space::new(1 << 20);
        let slot = space.allocate(1).unwrap();
        let (stamped, stamps) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let space = &space;
            scope.spawn(move || {
                writer(space, &[slot]);
                let stamp = pinned(|| {
                    let stamp = retire();
                    assert!(oldest_pin() <= stamp);
                    stamp
                });
                stamped.send(stamp).unwrap();
                // Idle, with its shard and what it recorded.
                assert!(wait.recv().is_err());
            });
            let stamp = stamps.recv().unwrap();
            passes(stamp.expect("a shard was free"));
            drop(done);
        });
    }

    #[test]
    fn a_thread_that_ends_is_not_pinned_any_more() {
        struct Looks;
        impl Drop for Looks {
            fn drop(&mut self) {
                // Before or after the lease went back: either is fine, and leaves no pin.
                pinned(|| ());
            }
        }
        thread_local! {
            static LOOKS: Looks = const { Looks };
        }
        let space = Space::new(1 << 20);
        let slot = space.allocate(1).unwrap();
        let look = || {
            LOOKS.with(|_| ());
            writer(&space, &[slot]);
            pinned(|| ());
        };
        thread::scope(|scope| scope.spawn(look).join().unwrap());
        passes(retire());
    }
}

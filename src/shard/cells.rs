//! Dense cells in chunks: what one writer holds.
//!
//! A *slot* is one number's place, the same in every shard. A [`Directory`] maps the slot's chunk
//! to memory that is allocated when its shard first touches it, so a series costs eight bytes for
//! each shard that recorded it and none for the others.
//!
//! | atomic  | writer          | reader         | write / read                | what the pair publishes       | model                          |
//! |---------|-----------------|----------------|-----------------------------|-------------------------------|--------------------------------|
//! | `chunk` | owner        | owner, scraper | Release / Acquire           | the chunk's zeroed cells      | `a_chunk_is_seen_whole` |
//! | `chunk`, common | any  | any            | AcqRel CAS / Acquire        | the chunk's zeroed cells      | `a_common_chunk_is_placed_once` |
//! | `cell`, owned  | owner    | scraper        | Relaxed / Relaxed           | nothing but the count         | `no_add_is_lost_and_no_scrape_goes_back` |
//! | `cell`, common | any      | scraper        | Relaxed RMW / Relaxed       | nothing but the count         | `common_adds_are_not_lost`     |
//! | `cell`, a dec  | owner, any | scraper      | Release / Acquire           | the inc that it balances      | `a_balanced_up_down_is_never_negative` |
//! | `cell`, marks  | owner, any | scraper      | Relaxed, common RMW / Relaxed | nothing but the bits        | `a_count_once_seen_stays`, `common_marks_are_not_lost` |
//! | `SlotOnce`     | whoever allocates | recorder, scraper | AcqRel CAS / Acquire | the run's common cells     | `a_run_is_seen_with_its_common_cells` |

use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Cells a chunk: 8 KiB, in which 15 octaves of a histogram leave a thirtieth; of half as many cells
/// seven left a tenth. Small under loom, which explores every cell.
pub(crate) const CHUNK_CELLS: usize = if cfg!(vitals_loom) { 4 } else { 1024 };
/// Where a slot's cell begins: as many bits are left as number the cells of a chunk.
const CELL_SHIFT: u32 = u32::BITS - CHUNK_CELLS.ilog2();
/// Chunks a directory can name: 2^26 slots, 512 KiB of address space a shard.
pub(crate) const CHUNKS: usize = if cfg!(vitals_loom) { 2 } else { 1 << 16 };
/// What a chunk is charged to its engine's budget: its cells, its line of alignment and its entry.
pub(crate) const CHUNK_COST: u64 = (CHUNK_CELLS * 8 + 64 + 8) as u64;

/// The place of one number in every shard: the chunk's number in the lower half, the cell's in the
/// topmost bits, so that each is one instruction away and within bounds by its width. Chunk 0 is never given out: a handle that records
/// nothing holds its first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) const NONE: Slot = Slot(0);

    pub(crate) fn new(chunk: usize, cell: usize) -> Slot {
        debug_assert!(chunk < CHUNKS && cell < CHUNK_CELLS);
        Slot((cell << CELL_SHIFT | chunk) as u32)
    }

    #[inline(always)]
    pub(crate) fn chunk(self) -> usize {
        // As many chunks as a u16 names: the index needs no bounds check.
        usize::from(self.0 as u16) % CHUNKS
    }

    #[inline(always)]
    fn cell(self) -> usize {
        (self.0 >> CELL_SHIFT) as usize
    }

    /// How many cells further on `other` is, where it is in the same chunk.
    pub(crate) fn cells_to(self, other: Slot) -> Option<usize> {
        if self.chunk() == other.chunk() { other.cell().checked_sub(self.cell()) } else { None }
    }

    /// The slot `cells` further on in the same chunk, counted around its end.
    #[inline(always)]
    pub(crate) const fn offset(self, cells: usize) -> Slot {
        Slot(self.0.wrapping_add((cells as u32) << CELL_SHIFT))
    }

    /// The slot that this one is `cells` [further on](Self::offset) of.
    pub(crate) const fn back(self, cells: usize) -> Slot {
        Slot(self.0.wrapping_sub((cells as u32) << CELL_SHIFT))
    }
}

/// A slot that the first thread to need it allocates.
pub(crate) struct SlotOnce(AtomicU32);

impl SlotOnce {
    pub(crate) fn new() -> SlotOnce {
        SlotOnce(AtomicU32::new(Slot::NONE.0))
    }

    /// The slot, or `Slot::NONE`.
    #[inline(always)]
    pub(crate) fn get(&self) -> Slot {
        // Acquire: a run that was another series' was zeroed in every shard before its number was
        // stored here; the recorder's own cell among them.
        Slot(self.0.load(Ordering::Acquire))
    }

    /// Takes the slot out, for its run to be zeroed and given back. Nobody records into it.
    pub(crate) fn take(&self) -> Slot {
        // Relaxed: the run is published again by whoever is given it next.
        Slot(self.0.swap(Slot::NONE.0, Ordering::Relaxed))
    }

    /// Sets the slot unless another thread was first: then gives that one's.
    pub(crate) fn set(&self, new: Slot) -> Result<(), Slot> {
        // Release on success: publishes the zeroes. Acquire on failure: the other's run is ours now.
        self.0
            .compare_exchange(Slot::NONE.0, new.0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Slot)
    }
}

/// A page of cells. Aligned to a cache line so that two shards' chunks never share one.
#[repr(C, align(64))]
pub(crate) struct Chunk([AtomicU64; CHUNK_CELLS]);

impl Chunk {
    /// A chunk of zeroes, or nothing when the allocator has none: recording then goes to the
    /// common cells instead of aborting the host.
    #[cfg(not(vitals_loom))]
    pub(crate) fn zeroed() -> Option<Box<Chunk>> {
        let layout = std::alloc::Layout::new::<Chunk>();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Chunk>();
        // SAFETY: `memory` is null, or of `Chunk`'s layout from the global allocator and zeroed,
        // which is a valid `[AtomicU64; _]`; nobody else has it.
        (!memory.is_null()).then(|| unsafe { Box::from_raw(memory) })
    }

    #[cfg(vitals_loom)]
    pub(crate) fn zeroed() -> Option<Box<Chunk>> {
        Some(Box::new(Chunk(std::array::from_fn(|_| AtomicU64::new(0)))))
    }

    #[inline(always)]
    pub(crate) fn cell(&self, slot: Slot) -> &AtomicU64 {
        &self.0[slot.cell()]
    }

    /// The cell of the slot so many [further on](Slot::offset).
    #[inline(always)]
    pub(crate) fn cell_after(&self, slot: Slot, cells: usize) -> &AtomicU64 {
        // Also the index's proof, in one instruction.
        &self.0[(slot.cell() + cells) % CHUNK_CELLS]
    }

    /// The cells from `slot` on to the chunk's end.
    #[inline]
    pub(crate) fn cells(&self, slot: Slot) -> &[AtomicU64] {
        &self.0[slot.cell()..]
    }
}

/// The chunks of one shard, by chunk number.
///
/// Invariant: a pointer in it is null or came from `Box::into_raw`, and is taken out only by the
/// `Space` that was given its number, when that space is dropped. Whoever names a slot holds its
/// space alive (a handle and a family do), so a chunk outlives every reference to its cells.
#[repr(transparent)]
pub(crate) struct Directory([AtomicPtr<Chunk>; CHUNKS]);

impl Directory {
    /// A directory without chunks, for threads that have no shard: every record on it takes the
    /// cold path, so the hot path needs no test of its own for "leased".
    #[cfg(not(vitals_loom))]
    pub(crate) const fn empty() -> Directory {
        Directory([const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS])
    }

    /// A directory on the heap whose pages the system provides when they are touched.
    #[cfg(not(vitals_loom))]
    pub(crate) fn zeroed() -> Option<Box<Directory>> {
        let layout = std::alloc::Layout::new::<Directory>();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Directory>();
        // SAFETY: `memory` is null, or of `Directory`'s layout from the global allocator and
        // zeroed, which is an array of null pointers; nobody else has it.
        (!memory.is_null()).then(|| unsafe { Box::from_raw(memory) })
    }

    #[cfg(vitals_loom)]
    pub(crate) fn zeroed() -> Option<Box<Directory>> {
        Some(Box::new(Directory(std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())))))
    }

    #[inline(always)]
    pub(crate) fn chunk(&self, number: usize) -> Option<&Chunk> {
        // Acquire: the scraper must see the zeroes that the owner's allocation wrote before any
        // count, and a writer of the common cells those of the registrar.
        let chunk = self.0[number].load(Ordering::Acquire);
        // SAFETY: null or a live chunk, by the invariant of `Directory`.
        unsafe { chunk.as_ref() }
    }

    /// Puts `chunk` under `number`. For a directory's owner alone; an entry is filled once.
    pub(crate) fn place(&self, number: usize, chunk: Box<Chunk>) {
        // Release: publishes the zeroed cells to the scraper's Acquire.
        self.0[number].store(Box::into_raw(chunk), Ordering::Release);
    }

    /// Puts `chunk` under `number` unless another thread was first, in a directory that all threads
    /// write to; an entry is filled once.
    pub(crate) fn place_common(&self, number: usize, chunk: Box<Chunk>) {
        let chunk = Box::into_raw(chunk);
        // Release on success: publishes the zeroed cells. Relaxed on failure: nothing is read of
        // the other's chunk here.
        let null = std::ptr::null_mut();
        if self.0[number]
            .compare_exchange(null, chunk, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            // SAFETY: from `Box::into_raw` just above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(chunk) });
        }
    }

    /// Takes the chunk out.
    ///
    /// # Safety
    /// No thread records into, or reads, the slots of `number` now or before the next `place`.
    pub(crate) unsafe fn take(&self, number: usize) -> Option<Box<Chunk>> {
        // Acquire: the owner's last store into the chunk comes before its memory is freed.
        let chunk = self.0[number].swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: by the invariant it is from `Box::into_raw`, the swap made it ours alone, and
        // the caller promises that no reference lives.
        (!chunk.is_null()).then(|| unsafe { Box::from_raw(chunk) })
    }

    /// What this shard holds of `slot`; 0 where it never touched the chunk.
    #[inline]
    pub(crate) fn read(&self, slot: Slot, order: Ordering) -> u64 {
        self.chunk(slot.chunk()).map_or(0, |chunk| chunk.cell(slot).load(order))
    }
}

/// Adds to a cell of which the calling thread is the only writer; gives what was there.
///
/// Wait-free: no locked instruction, no line shared with another writer.
#[inline(always)]
pub(crate) fn add_owned(cell: &AtomicU64, n: u64) -> u64 {
    // Relaxed load + store, not a read-modify-write: nobody else writes this cell (the lease), and
    // a count publishes no other memory.
    let before = cell.load(Ordering::Relaxed);
    cell.store(before.wrapping_add(n), Ordering::Relaxed);
    before
}

/// [`add_owned`] for the dec half of an up-down gauge.
#[inline(always)]
pub(crate) fn add_owned_release(cell: &AtomicU64, n: u64) {
    // Release: whoever reads this dec (Acquire) then also reads the inc that it balances.
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
}

/// Adds to a cell that any thread may write; gives what was there.
#[inline]
pub(crate) fn add_common(cell: &AtomicU64, n: u64) -> u64 {
    // Release: incs and decs share this function, see `add_owned_release`. Read-modify-write:
    // load + store would lose the add of another thread.
    cell.fetch_add(n, Ordering::Release)
}

/// Adds to a word that holds the bits of an `f64`, for any thread.
#[inline]
pub(crate) fn add_float(word: &AtomicU64, value: f64) {
    // Compare-and-swap: load + store would lose the add of another thread. Relaxed: a reading
    // publishes no other memory.
    let mut bits = word.load(Ordering::Relaxed);
    loop {
        let sum = (f64::from_bits(bits) + value).to_bits();
        match word.compare_exchange_weak(bits, sum, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => bits = now,
        }
    }
}

/// The total of one slot over `shards`.
#[inline]
pub(crate) fn total<'a>(shards: impl Iterator<Item = &'a Directory>, slot: Slot) -> u64 {
    sum(shards, slot, Ordering::Relaxed)
}

/// An up-down gauge's level over all that `shards` gives.
#[inline]
pub(crate) fn level<'a, I>(shards: impl Fn() -> I, inc: Slot, dec: Slot) -> i64
where
    I: Iterator<Item = &'a Directory>,
{
    // All decs before any inc, and Acquire: the inc that a dec balances was made before it, so it
    // is seen too, and a balanced level is never read negative.
    let decs = sum(shards(), dec, Ordering::Acquire);
    // The shards are listed anew: that inc may stand in one that was made since.
    sum(shards(), inc, Ordering::Relaxed).wrapping_sub(decs) as i64
}

pub(crate) fn sum<'a>(
    shards: impl Iterator<Item = &'a Directory>,
    slot: Slot,
    order: Ordering,
) -> u64 {
    shards.map(|cells| cells.read(slot, order)).fold(0, u64::wrapping_add)
}

/// Where a thread records: its own cells, or the ones that all threads share.
#[derive(Clone, Copy)]
pub(crate) enum Writer<'a> {
    Own(&'a Directory),
    Common(&'a Directory),
}

impl<'a> Writer<'a> {
    pub(crate) fn chunk(self, slot: Slot) -> Option<&'a Chunk> {
        let (Writer::Own(cells) | Writer::Common(cells)) = self;
        cells.chunk(slot.chunk())
    }

    /// Adds to a cell of this writer's chunk and gives what was there.
    pub(crate) fn add(self, cell: &AtomicU64, n: u64) -> u64 {
        match self {
            Writer::Own(_) => add_owned(cell, n),
            Writer::Common(_) => add_common(cell, n),
        }
    }

    /// Adds to a cell of this writer's chunk, up to `most` and no further.
    pub(crate) fn add_up_to(self, cell: &AtomicU64, n: u64, most: u64) {
        // What is past `most` already (small adds go there, see `MOST_UNITS`) stays as it is.
        let sum = |before: u64| before.max(before.saturating_add(n).min(most));
        match self {
            // Relaxed: as `add_owned`.
            Writer::Own(_) => cell.store(sum(cell.load(Ordering::Relaxed)), Ordering::Relaxed),
            Writer::Common(_) => {
                // Relaxed: a sum publishes nothing, and no dec is balanced by it. Read-modify-write
                // as `add_common`.
                let _ = cell
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| Some(sum(before)));
            }
        }
    }

    /// Sets bits in a cell of this writer's chunk.
    pub(crate) fn set_bits(self, cell: &AtomicU64, bits: u64) {
        match self {
            // Relaxed load + store: one writer. A mark that a scrape sees late makes it see the
            // count late, as if it had been recorded later.
            Writer::Own(_) => cell.store(cell.load(Ordering::Relaxed) | bits, Ordering::Relaxed),
            Writer::Common(_) => {
                cell.fetch_or(bits, Ordering::Relaxed);
            }
        }
    }
}

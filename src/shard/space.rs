//! An engine's slots, and the one budget that all its memory is charged to.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::cells::{CHUNK_CELLS, CHUNK_COST, CHUNKS, Chunk, Directory, Slot};
use super::{all_cells, pool};
use crate::sync::{AtomicU64, Ordering, lock};

/// Cells of the longest run that is cut off a longer one: a counter's, a gauge's, or what a histogram
/// has beside its octaves. These come back in lengths of their own.
const MOST_SPLIT: usize = 32;

/// Chunk numbers of the process that no engine has. Number 0 is never given out.
struct Numbers {
    next: usize,
    free: Vec<usize>,
}

static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { next: 1, free: Vec::new() });

/// The slots that one engine's series live in. Dropped with the last series, family or engine that
/// holds it; its chunks are then freed in every shard and their numbers go back.
pub(crate) struct Space {
    limit: u64,
    used: AtomicU64,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    numbers: Vec<usize>,
    /// The chunk that slots are taken from, and its cells that are left.
    chunk: usize,
    left: usize,
    /// Runs that were given back or left over at a chunk's end, by length.
    free: BTreeMap<usize, Vec<Slot>>,
}

impl Space {
    pub(crate) fn new(limit: u64) -> Space {
        Space { limit, used: AtomicU64::new(0), slots: Mutex::default() }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes` of the budget, or refuses.
    pub(crate) fn charge(&self, bytes: u64) -> bool {
        // Relaxed: an account that publishes nothing. The update refuses instead of overshooting,
        // so the limit holds at every moment.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= self.limit)
            })
            .is_ok()
    }

    pub(crate) fn refund(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// `cells` neighbouring slots of one chunk, zero in every shard; nothing where the budget or the
    /// process's slots are used up. Briefly locks.
    pub(crate) fn allocate(&self, cells: usize) -> Option<Slot> {
        debug_assert!((1..=CHUNK_CELLS).contains(&cells));
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.reuse(cells) {
            return Some(slot);
        }
        if slots.left < cells {
            let number = self.new_chunk()?;
            slots.keep_rest();
            slots.numbers.push(number);
            slots.chunk = number;
            slots.left = CHUNK_CELLS;
        }
        let slot = slots.next();
        slots.left -= cells;
        Some(slot)
    }

    /// Gives back slots that are zero in every shard.
    pub(crate) fn give_back(&self, slot: Slot, cells: usize) {
        lock(&self.slots).free.entry(cells).or_default().push(slot);
    }

    /// Puts the chunk `number` into the calling thread's own directory; false past the budget.
    pub(crate) fn grow(&self, own: &Directory, number: usize) -> bool {
        if !self.charge(CHUNK_COST) {
            return false;
        }
        match Chunk::zeroed() {
            Some(chunk) => {
                own.place(number, chunk);
                true
            }
            None => {
                self.refund(CHUNK_COST);
                false
            }
        }
    }

    fn new_chunk(&self) -> Option<usize> {
        // For the common cells, which come only when a record needs them: that is when there is no
        // budget left, so they are paid for now.
        if !self.charge(CHUNK_COST) {
            return None;
        }
        let mut numbers = lock(&NUMBERS);
        if let Some(number) = numbers.free.pop() {
            return Some(number);
        }
        if numbers.next < CHUNKS {
            numbers.next += 1;
            return Some(numbers.next - 1);
        }
        self.refund(CHUNK_COST);
        None
    }
}

/// The common chunk `number`, which its space has paid for; nothing where the allocator has no memory.
pub(crate) fn common_chunk(number: usize) -> Option<&'static Chunk> {
    let common = &pool().common;
    if common.chunk(number).is_none()
        && let Some(chunk) = Chunk::zeroed()
    {
        common.place_common(number, chunk);
    }
    common.chunk(number)
}

impl Slots {
    /// A run of this length that was given back; a single cell may come off any longer one.
    fn reuse(&mut self, cells: usize) -> Option<Slot> {
        if let Some(slot) = self.free.get_mut(&cells).and_then(Vec::pop) {
            return Some(slot);
        }
        if cells > MOST_SPLIT {
            return None;
        }
        // Counters fill what runs left over at their chunk's end.
        let length = self.free.iter().find(|(len, runs)| **len > cells && !runs.is_empty())?.0;
        let length = *length;
        let slot = self.free.get_mut(&length)?.pop()?;
        self.free.entry(length - cells).or_default().push(slot.offset(cells));
        Some(slot)
    }

    fn next(&self) -> Slot {
        Slot::new(self.chunk, CHUNK_CELLS - self.left)
    }

    fn keep_rest(&mut self) {
        if self.left > 0 {
            let rest = self.next();
            self.free.entry(self.left).or_default().push(rest);
        }
        self.left = 0;
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let slots = self.slots.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        for &number in &slots.numbers {
            for cells in all_cells() {
                // SAFETY: the last holder of this space is gone, and whoever names one of its
                // slots holds it; the number goes back to the process only below.
                drop(unsafe { cells.take(number) });
            }
        }
        lock(&NUMBERS).free.append(&mut slots.numbers);
    }
}

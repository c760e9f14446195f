//! How many label sets a thread's cache keeps, and where: the small form, and the large one, of
//! which the process has eight at most.
//!
//! A counter's `with` of three values and `inc`, sets in a shuffled order: 11 ns at 64 sets by the
//! small form. By the large one 13 ns at 500 and 14 to 15 at 8,000, where all but 255 of them went to
//! the shared index before: 36 to 57 ns. Tried: both forms in one inlined look-up, which cost the
//! small one 1 ns; an index that panics out of bounds instead of one that finds nothing, which cost
//! the large one 2.5.

use super::entries::{Entry, Table};
use crate::sync::{AtomicU32, Ordering};

/// Memory of a table: entries, and four cells to each.
pub(super) trait Form: Sized {
    /// The last entry. Entry 0 is nobody's.
    const LAST: u32;
    const CELL_BITS: u32;
    type Entries: AsRef<[Entry]> + AsMut<[Entry]>;
    type Cells;

    /// An empty table; none where there is no memory.
    fn table() -> Option<Box<[Table<Self>; 1]>>;

    /// The entry that a cell names.
    fn named(cells: &Self::Cells, cell: usize) -> usize;

    /// Has the cell name an entry.
    fn name(cells: &mut Self::Cells, cell: usize, at: usize);

    /// The next entry is about to be written.
    fn give(entries: &mut Self::Entries);
}

/// 255 entries, as many as a byte names; 34 KiB.
#[derive(Clone, Copy)]
pub(super) struct Small;

const SMALL: usize = 1 << 8;
const SMALL_CELL_BITS: u32 = 10;

/// Copied to the heap: one that is made where it is written would be made on the stack first. All
/// zeroes, so that it takes no room in the program's file.
static EMPTY: Table<Small> = Table::new([Entry::NONE; SMALL], [0; 1 << SMALL_CELL_BITS]);

impl Form for Small {
    const LAST: u32 = SMALL as u32 - 1;
    const CELL_BITS: u32 = SMALL_CELL_BITS;
    // Arrays: what a byte names is never out of their bounds, so that nothing asks.
    type Entries = [Entry; SMALL];
    type Cells = [u8; 1 << SMALL_CELL_BITS];

    fn table() -> Option<Box<[Table<Small>; 1]>> {
        let mut tables = reserved(1)?;
        tables.extend_from_slice(std::slice::from_ref(&EMPTY));
        tables.into_boxed_slice().try_into().ok()
    }

    #[inline(always)]
    fn named(cells: &Self::Cells, cell: usize) -> usize {
        cells[cell].into()
    }

    fn name(cells: &mut Self::Cells, cell: usize, at: usize) {
        cells[cell] = at as u8;
    }

    fn give(_: &mut Self::Entries) {}
}

/// 8,191 entries; 1.1 MB when all are taken, of which an entry's 128 bytes are touched when it is.
pub(super) struct Large;

const LARGE: usize = 1 << 13;
const LARGE_CELL_BITS: u32 = 15;

impl Form for Large {
    const LAST: u32 = LARGE as u32 - 1;
    const CELL_BITS: u32 = LARGE_CELL_BITS;
    // Grows within what was reserved: a megabyte that is cleared beforehand costs the look-up that
    // does it 0.2 ms.
    type Entries = Vec<Entry>;
    type Cells = Box<[u16; 1 << LARGE_CELL_BITS]>;

    fn table() -> Option<Box<[Table<Large>; 1]>> {
        let mut entries = reserved(LARGE)?;
        entries.push(Entry::NONE);
        let mut cells = reserved(1 << LARGE_CELL_BITS)?;
        cells.resize(1 << LARGE_CELL_BITS, 0);
        let cells = cells.into_boxed_slice().try_into().ok()?;
        let mut tables = reserved(1)?;
        tables.push(Table::new(entries, cells));
        tables.into_boxed_slice().try_into().ok()
    }

    #[inline(always)]
    fn named(cells: &Self::Cells, cell: usize) -> usize {
        cells[cell].into()
    }

    fn name(cells: &mut Self::Cells, cell: usize, at: usize) {
        cells[cell] = at as u16;
    }

    fn give(entries: &mut Self::Entries) {
        entries.push(Entry::NONE);
    }
}

fn reserved<T>(length: usize) -> Option<Vec<T>> {
    let mut all = Vec::new();
    all.try_reserve_exact(length).ok()?;
    Some(all)
}

/// Most large tables of a process at a time: 9 MB, which no engine's memory limit counts.
pub(super) const MOST_LARGE: u32 = 8;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The right to have a large table; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn(());

impl Turn {
    /// None where eight have one. Wait-free; two that come at once for the last may both get none.
    pub(super) fn take() -> Option<Turn> {
        // Relaxed, here and where it is given back: no other memory goes by this number.
        if TAKEN.fetch_add(1, Ordering::Relaxed) < MOST_LARGE {
            return Some(Turn(()));
        }
        TAKEN.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

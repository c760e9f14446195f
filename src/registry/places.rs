//! The places that a family's series stand in: their cells, and the numbers of their label values.
//!
//! Places come in blocks of 64. A place keeps its cells for ever: a series that is removed leaves
//! them zeroed to the next one that is born there.
//!
//! | atomic       | writer          | reader           | write / read      | what the pair publishes                | model |
//! |--------------|-----------------|------------------|-------------------|----------------------------------------|-------|
//! | `present`    | births, removal | scraper          | Release / Acquire | the slot and the ids of a listed place | –     |
//! | `version`    | removal         | scraper          | Release / Acquire | that `present` lost a bit              | –     |
//! | `generation` | removal, look-up | look-up         | Relaxed, see `removal` | whether what a thread found still holds | `a_removed_series_takes_no_more_adds` |

use std::sync::OnceLock;

use super::histogram::HistogramCells;
use super::list::List;
use super::values::{Keeps, Texts};
use crate::shard::cells::Slot;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Places a block: as many as a word has bits.
pub(crate) const PAGE: usize = 64;
/// Parts the three numbers of `Block::even`: more than there are places.
const EVEN: usize = 2 * PAGE;

/// Places of a block whose cells stand evenly in one chunk: a scrape then reads the first slot alone.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) first: Slot,
    pub(crate) places: usize,
    /// Cells from one place to the next.
    pub(crate) apart: usize,
}

impl Run {
    /// Whether this is where the next of its places would stand.
    fn goes_on_at(self, slot: Slot) -> bool {
        self.places > 0 && self.first.cells_to(slot) == Some(self.places * self.apart)
    }
}

pub(crate) struct Places {
    blocks: List<Block>,
    labels: usize,
    shape: Shape,
}

/// What each place of a family has.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) histogram: bool,
    pub(crate) removable: bool,
    /// Whether the family has more places than one.
    pub(crate) labelled: bool,
}

/// Stands in the list itself: a scrape that goes through a million series finds what it needs of a
/// block beside the one before, and follows no pointer.
pub(crate) struct Block {
    /// A bit for each place that a scrape shows.
    present: AtomicU64,
    /// How often a place left `present`: what an encoder kept of the block is then stale.
    version: AtomicU32,
    /// How many places each of the two runs has that a block begins with, and above that how far apart
    /// these are: a block that begins in one chunk ends in another.
    even: AtomicU32,
    /// How many places, from the first on, have their cells in its chunk, evenly or not.
    near: AtomicU32,
    /// The slots of the runs' first places, once more.
    firsts: [AtomicU32; 2],
    slots: Box<[AtomicU32]>,
    ids: Box<[AtomicU32]>,
    histograms: Box<[OnceLock<Box<HistogramCells>>]>,
    lives: Box<[Life]>,
}

/// What is known of a series that may be removed.
#[derive(Default)]
pub(crate) struct Life {
    /// How many series there were, times four, and whether this one is retired or has ended. What a
    /// thread's cache holds of the series is true while it is the same.
    pub(crate) generation: AtomicU32,
    /// Milliseconds of the engine's age at which it was last seen in use, and how many handles it
    /// had had then. Read and written under the births' lock.
    pub(crate) since: AtomicU32,
    pub(crate) seen: AtomicU64,
}

impl Places {
    pub(crate) fn new(labels: usize, shape: Shape) -> Places {
        Places { blocks: List::new(), labels, shape }
    }

    /// Bytes that a block takes.
    pub(crate) fn block_cost(labels: usize, shape: Shape) -> u64 {
        let one = (1 + labels) * size_of::<AtomicU32>()
            + usize::from(shape.histogram) * size_of::<OnceLock<Box<HistogramCells>>>()
            + usize::from(shape.removable) * size_of::<Life>();
        List::<Block>::entry_cost() + (one * Places::block_len(shape)) as u64
    }

    fn block_len(shape: Shape) -> usize {
        if shape.labelled { PAGE } else { 1 }
    }

    /// Adds the next block; under the births' lock.
    pub(crate) fn grow(&self) {
        let len = Places::block_len(self.shape);
        let words = |len: usize| (0..len).map(|_| AtomicU32::new(0)).collect();
        let when = |wanted: bool| if wanted { len } else { 0 };
        self.blocks.push(Block {
            present: AtomicU64::new(0),
            version: AtomicU32::new(0),
            even: AtomicU32::new(0),
            near: AtomicU32::new(0),
            firsts: Default::default(),
            slots: words(len),
            ids: words(len * self.labels),
            histograms: (0..when(self.shape.histogram)).map(|_| OnceLock::new()).collect(),
            lives: (0..when(self.shape.removable)).map(|_| Life::default()).collect(),
        });
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * Places::block_len(self.shape)
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    #[inline]
    pub(crate) fn block(&self, number: usize) -> Option<&Block> {
        self.blocks.get(number)
    }

    /// The first cell of a place; none where the place was never used.
    #[inline]
    pub(crate) fn slot(&self, place: u32) -> Slot {
        self.block(number(place)).map_or(Slot::NONE, |block| block.slot(index(place)))
    }

    #[inline]
    pub(crate) fn histogram(&self, place: u32) -> Option<&HistogramCells> {
        self.block(number(place))?.histogram(index(place))
    }

    #[inline]
    pub(crate) fn life(&self, place: u32) -> Option<&Life> {
        self.block(number(place))?.lives.get(index(place))
    }

    /// The value of one label of a place that has a series.
    pub(crate) fn value<'a>(
        &self,
        texts: &'a Texts,
        place: u32,
        label: usize,
        keeps: &'a impl Keeps,
    ) -> &'a str {
        texts.get(self.id(place, label), keeps)
    }

    /// The numbers of the labels' values.
    #[inline]
    pub(crate) fn ids(&self, place: u32) -> &[AtomicU32] {
        let from = index(place) * self.labels;
        let ids = self.block(number(place)).and_then(|block| block.ids.get(from..));
        ids.and_then(|ids| ids.get(..self.labels)).unwrap_or_default()
    }

    /// The number of one label's value.
    pub(crate) fn id(&self, place: u32, label: usize) -> u32 {
        // Relaxed: who knows of the place got it from the index or from `present`, which publish it.
        self.ids(place).get(label).map_or(0, |id| id.load(Ordering::Relaxed))
    }

    /// Gives a place its cells, which it keeps. Under the births' lock.
    pub(crate) fn set_cells(&self, place: u32, slot: Slot, histogram: Option<Box<HistogramCells>>) {
        let Some(block) = self.block(number(place)) else { return };
        // Relaxed: as `id`.
        block.slots[index(place)].store(slot.0, Ordering::Relaxed);
        block.note_even(index(place), slot);
        block.note_near(index(place), slot);
        if let Some(cells) = histogram {
            let _ = block.histograms[index(place)].set(cells);
        }
    }

    /// Says whose place it is now. Under the births' lock, while nobody can find it.
    pub(crate) fn set_ids(&self, place: u32, ids: &[u32]) {
        let Some(block) = self.block(number(place)) else { return };
        let own = &block.ids[index(place) * self.labels..];
        // Relaxed: as `id`.
        own.iter().zip(ids).for_each(|(own, &id)| own.store(id, Ordering::Relaxed));
    }

    /// Shows a place from now on. Whether it was hidden.
    pub(crate) fn list(&self, place: u32) -> bool {
        let Some(block) = self.block(number(place)) else { return false };
        let bit = 1 << index(place);
        // Release: publishes the cells and the ids. Relaxed peek: a shared line is not written for
        // nothing.
        block.present.load(Ordering::Relaxed) & bit == 0
            && block.present.fetch_or(bit, Ordering::Release) & bit == 0
    }

    /// Hides a place from now on.
    pub(crate) fn unlist(&self, place: u32) {
        let Some(block) = self.block(number(place)) else { return };
        block.present.fetch_and(!(1 << index(place)), Ordering::Relaxed);
        // Release, and after the bit: who sees this version sees that the place is gone.
        block.version.fetch_add(1, Ordering::Release);
    }
}

impl Life {
    /// Bits below the count: retired, and dead.
    const RETIRED: u32 = 1;
    const DEAD: u32 = 3;

    /// Makes what the threads' caches hold untrue; gives the generation that says so. Under the
    /// births' lock, before an epoch is retired.
    pub(super) fn retire(&self) -> u32 {
        // Relaxed, here and below: numbers, that are seen in time by the pins' and the births' doing.
        // They wrap after 2^30 lives of a place, so an entry of a thread's cache that slept through
        // just so many would be taken for true.
        self.generation.fetch_or(Self::RETIRED, Ordering::Relaxed) | Self::RETIRED
    }

    /// Ends a series that was retired as `generation`, so that it can't be brought back; false where
    /// it has been, though it be retired again.
    pub(super) fn end_retired(&self, generation: u32) -> bool {
        self.set(generation, generation | Self::DEAD).is_ok()
    }

    /// Ends a series whatever it is.
    pub(super) fn end(&self) {
        self.generation.fetch_or(Self::DEAD, Ordering::Relaxed);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.generation.load(Ordering::Relaxed) & Self::DEAD == 0
    }

    pub(super) fn is(&self, generation: u32) -> bool {
        self.generation.load(Ordering::Relaxed) == generation
    }

    /// Makes what is being retired stay after all; gives the generation that holds now, or nothing
    /// where the series has ended.
    pub(super) fn revive(&self) -> Option<u32> {
        let mut now = self.generation.load(Ordering::Relaxed);
        while now & Self::DEAD == Self::RETIRED {
            let alive = (now | Self::DEAD).wrapping_add(1);
            now = self.set(now, alive).map_or_else(|other| other, |_| alive);
        }
        // Nothing but a live one: whoever kept another in a cache would go on finding a series that is
        // being reclaimed.
        (now & Self::DEAD == 0).then_some(now)
    }

    /// Begins the life of another series. Under the births' lock, while nobody can find it.
    pub(super) fn begin(&self) {
        let last = self.generation.load(Ordering::Relaxed) | Self::DEAD;
        self.generation.store(last.wrapping_add(1), Ordering::Relaxed);
    }

    fn set(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.generation.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

/// The version of a block, and a bit for each place that a scrape shows.
pub(crate) type Shown = (u32, u64);

impl Block {
    /// The version, and then the places to show.
    pub(crate) fn shown(&self) -> Shown {
        // Acquire, both: see `unlist` and `list`.
        let version = self.version.load(Ordering::Acquire);
        (version, self.present.load(Ordering::Acquire))
    }

    /// The first cell of each place that the block has.
    #[inline]
    pub(crate) fn slots(&self) -> &[AtomicU32] {
        &self.slots
    }

    /// What the places from the first on stand in, one run after the other.
    #[inline]
    pub(crate) fn runs(&self) -> [Run; 2] {
        // Relaxed, all: as `Places::id`; of more places than are shown the cells are there too.
        let even = self.even.load(Ordering::Relaxed) as usize;
        let run = |first: &AtomicU32, places| {
            let first = Slot(first.load(Ordering::Relaxed));
            Run { first, places, apart: even / (EVEN * EVEN) }
        };
        [run(&self.firsts[0], even % EVEN), run(&self.firsts[1], even / EVEN % EVEN)]
    }

    /// Counts a place to a run if it stands in one. Under the births' lock, in their order.
    fn note_even(&self, index: usize, slot: Slot) {
        let [mut one, mut two] = self.runs();
        if index == 1 {
            one.apart = one.first.cells_to(slot).unwrap_or(0);
        }
        if index != one.places + two.places {
            return;
        }
        if index == 0 || (two.places == 0 && one.goes_on_at(slot)) {
            one.places += 1;
        } else if two.goes_on_at(slot) || (two.places == 0 && one.apart > 0) {
            two.places += 1;
        } else {
            return;
        }
        // Relaxed, all: as `Places::id`.
        match (one.places, two.places) {
            (1, 0) => self.firsts[0].store(slot.0, Ordering::Relaxed),
            (_, 1) => self.firsts[1].store(slot.0, Ordering::Relaxed),
            _ => {}
        }
        let even = (one.apart * EVEN + two.places) * EVEN + one.places;
        self.even.store(even as u32, Ordering::Relaxed);
    }

    /// How many places, from the first on, have their cells in its chunk.
    #[inline]
    pub(crate) fn near(&self) -> usize {
        // Relaxed: as `runs`.
        self.near.load(Ordering::Relaxed) as usize
    }

    /// Counts a place that stands in the first one's chunk, as all before it do. As `note_even`, and after
    /// the slot was stored.
    fn note_near(&self, index: usize, slot: Slot) {
        if index == self.near() && slot.chunk() == self.slot(0).chunk() {
            // Relaxed: as `Places::id`.
            self.near.store(index as u32 + 1, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> Slot {
        // Relaxed: as `Places::id`.
        Slot(self.slots[index].load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn histogram(&self, index: usize) -> Option<&HistogramCells> {
        self.histograms.get(index)?.get().map(|cells| &**cells)
    }
}

#[inline]
fn number(place: u32) -> usize {
    place as usize / PAGE
}

#[inline]
fn index(place: u32) -> usize {
    place as usize % PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::cells::CHUNK_CELLS;
    use proptest::prelude::*;

    /// How many places from the first on stand as far apart as the first two, in one chunk.
    fn even(slots: &[Slot], apart: usize) -> usize {
        let stands = |(n, slot): &(usize, &Slot)| slots[0].cells_to(**slot) == Some(n * apart);
        slots.iter().enumerate().take_while(stands).count()
    }

    proptest! {
        /// Cells that are given out one after the other, with others in between somewhere.
        #[test]
        fn runs_are_as_long_as_they_can_be(
            begin in 0..CHUNK_CELLS, apart in 1usize..20, gap in (0..2 * PAGE, 0usize..3),
        ) {
            let places = Places::new(0, Shape { histogram: false, removable: false, labelled: true });
            places.grow();
            let slots: Vec<Slot> = (0..PAGE)
                .map(|index| begin + index * apart + if index >= gap.0 { gap.1 } else { 0 })
                .map(|cell| Slot::new(1 + cell / CHUNK_CELLS, cell % CHUNK_CELLS))
                .collect();
            for (index, &slot) in slots.iter().enumerate() {
                places.set_cells(index as u32, slot, None);
                let runs = places.block(0).unwrap().runs();
                let said: Vec<Slot> = runs
                    .iter()
                    .flat_map(|run| (0..run.places).map(|n| run.first.offset(n * run.apart)))
                    .collect();
                let there = &slots[..=index];
                let one = there.get(1).and_then(|&slot| slots[0].cells_to(slot));
                let first = one.map_or(1, |apart| even(there, apart));
                let second = match (one, &there[first..]) {
                    (None, _) | (_, []) => 0,
                    (Some(apart), others) => even(others, apart),
                };
                prop_assert_eq!(&said, &slots[..first + second]);
                let near = there.iter().take_while(|slot| slot.chunk() == slots[0].chunk());
                prop_assert_eq!(places.block(0).unwrap().near(), near.count());
            }
        }
    }
}

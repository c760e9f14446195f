//! One walk over all families: merges each series' cells and hands it to a visitor.

use crate::registry::table::Families;
use crate::registry::{Cells, FamilyCore, HistogramCells, Listed};
use crate::shard::all_cells;
use crate::shard::cells::{self, Chunk, Directory, Slot};
use crate::shard::hdr::{CELL_MARKS, FIRST_BUCKET, FIRST_CELL, OCTAVE_MARKS, SUM};
use crate::snapshot::{Head, HistogramReading, Line, Number, Visit};
use crate::sync::Ordering;

/// Buffers that a scrape reuses, so that a warm one allocates nothing.
#[derive(Default)]
pub(crate) struct Scrape {
    shards: Vec<&'static Directory>,
    column: Column,
    buckets: Vec<u64>,
}

/// One chunk number in all shards that have it: neighbouring series look their shards up once.
#[derive(Default)]
struct Column {
    number: Option<usize>,
    chunks: Vec<&'static Chunk>,
}

impl Scrape {
    /// Walks `families`. Asks nothing of the writers: an idle thread's cells are read like any
    /// other's, and nobody is waited for.
    pub(crate) fn walk<V: Visit>(&mut self, families: &Families, visit: &mut V) {
        self.shards.clear();
        self.shards.extend(all_cells());
        for (number, family) in families.in_order.iter().enumerate() {
            self.family(number, family, visit);
        }
        // The chunks are the engine's, which may be gone before the next walk.
        self.column.clear();
    }

    fn family<V: Visit>(&mut self, number: usize, family: &FamilyCore, visit: &mut V) {
        if family.series().is_empty() {
            return;
        }
        visit.family(&Head {
            number,
            name: &family.spec.name,
            type_name: family.spec.kind.type_name(),
            text: family.head(),
            bounds: &family.spec.buckets,
        });
        family.series().for_each(|place, Listed { slot, series }| {
            let line = || Line { text: series.text(), labels: series.labels() };
            if *slot != Slot::NONE {
                let total = Number::Total(self.column.total(&self.shards, *slot));
                return visit.number(place, total, line);
            }
            let number = match series.cells() {
                &Cells::Counter(slot) => Number::Total(self.column.total(&self.shards, slot)),
                &Cells::UpDown { inc, dec } => Number::Level(cells::level(all_cells, inc, dec)),
                Cells::Gauge(word) => Number::Reading(f64::from_bits(word.load(Ordering::Relaxed))),
                Cells::Histogram(cells) => {
                    let sum = self.histogram(cells, visit);
                    let reading = HistogramReading {
                        name: &family.spec.name,
                        bounds_text: &cells.kind.bounds_text,
                        buckets: &self.buckets,
                        sum,
                        decimals: cells.kind.decimals,
                        bits: family.spec.bits,
                    };
                    return visit.histogram(line(), &reading);
                }
            };
            visit.number(place, number, line);
        });
        visit.family_end();
    }

    /// Adds a histogram's buckets up into `self.buckets` and gives its sum.
    ///
    /// From the header's counts, or, where the visitor wants the cells, from these: what one visitor
    /// sees is one read.
    fn histogram<V: Visit>(&mut self, cells: &HistogramCells, visit: &mut V) -> u64 {
        self.buckets.clear();
        self.buckets.resize(cells.layout().bounds().len() + 1, 0);
        let mut sum = 0u64;
        for shard in &self.shards {
            let Some(header) = shard.chunk(cells.header.chunk()) else { continue };
            let read = |word| header.cell(cells.header.offset(word)).load(Ordering::Relaxed);
            // A mark that is not seen yet hides what is just being recorded: it is seen next
            // time. Marks are never taken back.
            let octaves = read(OCTAVE_MARKS);
            if octaves == 0 {
                continue;
            }
            if V::CELLS {
                cells_of(shard, cells, octaves, &mut self.buckets, visit);
            } else {
                for (index, bucket) in self.buckets.iter_mut().enumerate() {
                    *bucket = bucket.wrapping_add(read(FIRST_BUCKET + index));
                }
            }
            sum = sum.saturating_add(read(SUM));
        }
        sum
    }
}

impl Column {
    /// The total of one slot over `shards`.
    #[inline]
    fn total(&mut self, shards: &[&'static Directory], slot: Slot) -> u64 {
        let number = slot.chunk();
        if self.number != Some(number) {
            self.clear();
            self.number = Some(number);
            self.chunks.extend(shards.iter().filter_map(|shard| shard.chunk(number)));
        }
        let cells = self.chunks.iter().map(|chunk| chunk.cell(slot).load(Ordering::Relaxed));
        cells.fold(0, u64::wrapping_add)
    }

    fn clear(&mut self) {
        self.number = None;
        self.chunks.clear();
    }
}

/// Visits one shard's cells of a histogram and counts them into `buckets`.
fn cells_of<V: Visit>(
    shard: &Directory,
    cells: &HistogramCells,
    octaves: u64,
    buckets: &mut [u64],
    visit: &mut V,
) {
    let layout = cells.layout();
    for octave in ones(octaves) {
        let run = cells.octave(octave);
        let Some(chunk) = shard.chunk(run.chunk()) else { continue };
        let marks = chunk.cell(run.offset(CELL_MARKS)).load(Ordering::Relaxed);
        for (bucket, range) in layout.buckets(octave) {
            layout.touched(marks, range, |cell| {
                let count = chunk.cell(run.offset(FIRST_CELL + cell)).load(Ordering::Relaxed);
                if count > 0 {
                    let (low, high) = layout.range(octave, cell);
                    visit.cell(low, high, count);
                    buckets[bucket] = buckets[bucket].wrapping_add(count);
                }
            });
        }
    }
}

/// The positions of the bits that are set, lowest first.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = bits.trailing_zeros() as usize;
        (bits != 0).then(|| {
            bits &= bits - 1;
            lowest
        })
    })
}

//! One walk over all families: merges each series' cells and hands it to a visitor.

use crate::registry::table::Families;
use crate::registry::{Cells, FamilyCore, HistogramCells};
use crate::shard::all_cells;
use crate::shard::cells::{self, Directory};
use crate::shard::hdr::{CELL_MARKS, FIRST_CELL, OCTAVE_MARKS, SUM};
use crate::snapshot::{Head, HistogramReading, Number, Visit};
use crate::sync::Ordering;

/// Buffers that a scrape reuses, so that a warm one allocates nothing.
#[derive(Default)]
pub(crate) struct Scrape {
    shards: Vec<&'static Directory>,
    buckets: Vec<u64>,
}

impl Scrape {
    /// Walks `families`. Asks nothing of the writers: an idle thread's cells are read like any
    /// other's, and nobody is waited for.
    pub(crate) fn walk<V: Visit>(&mut self, families: &Families, visit: &mut V) {
        self.shards.clear();
        self.shards.extend(all_cells());
        for family in &families.in_order {
            self.family(family, visit);
        }
    }

    fn family<V: Visit>(&mut self, family: &FamilyCore, visit: &mut V) {
        let mut series = family.series().peekable();
        if series.peek().is_none() {
            return;
        }
        visit.family(&Head {
            name: &family.spec.name,
            type_name: family.spec.kind.type_name(),
            text: family.head(),
            bounds: &family.spec.buckets,
        });
        for series in series {
            let number = match series.cells() {
                &Cells::Counter(slot) => Number::Total(cells::total(self.shards(), slot)),
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
                    };
                    visit.histogram(series.text(), series.labels(), &reading);
                    continue;
                }
            };
            visit.number(series.text(), series.labels(), number);
        }
    }

    fn shards(&self) -> impl Iterator<Item = &'static Directory> {
        self.shards.iter().copied()
    }

    /// Adds a histogram's cells up into `self.buckets` and gives its sum.
    fn histogram<V: Visit>(&mut self, cells: &HistogramCells, visit: &mut V) -> u64 {
        let layout = cells.layout();
        self.buckets.clear();
        self.buckets.resize(layout.bounds().len() + 1, 0);
        let mut sum = 0u64;
        for shard in &self.shards {
            let Some(header) = shard.chunk(cells.header.chunk()) else { continue };
            // A mark that is not seen yet hides counts that are just being recorded: they are
            // seen next time, whole. Marks are never taken back.
            let octaves = header.cell(cells.header.offset(OCTAVE_MARKS)).load(Ordering::Relaxed);
            let runs = || {
                ones(octaves).filter_map(|octave| {
                    let run = cells.octave(octave);
                    Some((octave, run, shard.chunk(run.chunk())?))
                })
            };
            // All octaves at once, before any is read: one after the other, each begins with a
            // wait for memory (2,100 ns a series against 1,000 at 10,000 series).
            runs().for_each(|(octave, run, chunk)| chunk.fetch_ahead(run, layout.run(octave)));
            for (octave, run, chunk) in runs() {
                let read = |cell| chunk.cell(run.offset(FIRST_CELL + cell)).load(Ordering::Relaxed);
                let marks = chunk.cell(run.offset(CELL_MARKS)).load(Ordering::Relaxed);
                for (bucket, cells) in layout.buckets(octave) {
                    let mut count = 0u64;
                    layout.touched(marks, cells, |cell| count = count.wrapping_add(read(cell)));
                    self.buckets[bucket] = self.buckets[bucket].wrapping_add(count);
                }
                if V::CELLS {
                    for cell in 0..layout.run(octave) - FIRST_CELL {
                        let (low, high) = layout.range(octave, cell);
                        visit.cell(low, high, read(cell));
                    }
                }
            }
            sum = sum.wrapping_add(header.cell(cells.header.offset(SUM)).load(Ordering::Relaxed));
        }
        sum
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

//! One walk over all families: merges each series' cells and hands it to a visitor.

use super::column::Column;
use crate::registry::places::{Block, PAGE};
use crate::registry::table::Families;
use crate::registry::{FamilyCore, HistogramCells, Line, MetricKind, Turn};
use crate::shard::cells::{self, Directory};
use crate::shard::hdr::{CELL_MARKS, FIRST_BUCKET, FIRST_CELL, OCTAVE_MARKS, SUM};
use crate::shard::{all_cells, common_cell};
use crate::snapshot::{Head, HistogramReading, NumberKind, PageHead, SHEET, Visit};
use crate::sync::Ordering;

/// Pages whose cells are asked for before they are read: a processor that sees what is read one after
/// the other asks by itself, but no further than to the end of a page of 4 KiB.
const AHEAD: usize = 8;

/// Buffers that a scrape reuses, so that a warm one allocates nothing.
#[derive(Default)]
pub(crate) struct Scrape {
    shards: Vec<&'static Directory>,
    column: Column,
    pages: Vec<PageHead>,
    bits: Vec<[u64; PAGE]>,
    buckets: Vec<u64>,
}

impl Scrape {
    /// Walks `families`. Asks nothing of the writers: an idle thread's cells are read like any
    /// other's, and nobody is waited for.
    pub(crate) fn walk<V: Visit>(&mut self, families: &Families, turn: &Turn<'_>, visit: &mut V) {
        self.shards.clear();
        self.shards.extend(all_cells());
        self.bits.resize(SHEET, [0; PAGE]);
        for (number, family) in families.in_order.iter().enumerate() {
            self.family(number, family, turn, visit);
        }
        // The chunks are the engine's, which may be gone before the next walk.
        self.column.clear();
    }

    fn family<V: Visit>(
        &mut self,
        number: usize,
        family: &FamilyCore,
        turn: &Turn<'_>,
        visit: &mut V,
    ) {
        let places = family.places();
        let line =
            |page: PageHead, index| Line::new(family, (page.number * PAGE + index) as u32, turn);
        let mut begun = false;
        self.pages.clear();
        for page in 0..places.blocks() {
            let Some(block) = places.block(page) else { continue };
            let (version, present) = block.shown();
            if present == 0 {
                continue;
            }
            if !begun {
                begun = true;
                visit.family(&Head {
                    name: &family.spec.name,
                    type_name: family.spec.kind.type_name(),
                    text: family.head(),
                    bounds: &family.spec.buckets,
                });
            }
            let head = PageHead { family: number, number: page, version, present };
            if family.spec.kind == MetricKind::Histogram {
                self.histograms(family, block, head, line, visit);
                continue;
            }
            if self.pages.first().is_some_and(|first| first.number / SHEET != page / SHEET) {
                visit.numbers(number_kind(family.spec.kind), &self.pages, &self.bits, line);
                self.pages.clear();
            }
            if let Some(later) = places.block(page + AHEAD) {
                self.column.fetch(&self.shards, later);
            }
            self.numbers(family.spec.kind, block, present);
            self.pages.push(head);
        }
        if !self.pages.is_empty() {
            visit.numbers(number_kind(family.spec.kind), &self.pages, &self.bits, line);
        }
    }

    /// Reads the numbers of the next page.
    fn numbers(&mut self, kind: MetricKind, block: &Block, present: u64) {
        let len = (PAGE - present.leading_zeros() as usize).min(block.slots().len());
        let bits = &mut self.bits[self.pages.len()];
        match kind {
            MetricKind::UpDown => {
                for (index, bits) in bits[..len].iter_mut().enumerate() {
                    let inc = block.slot(index);
                    *bits = cells::level(all_cells, inc, inc.offset(1)) as u64;
                }
            }
            MetricKind::Gauge | MetricKind::Observed => {
                for (index, bits) in bits[..len].iter_mut().enumerate() {
                    let word = common_cell(block.slot(index));
                    *bits = word.map_or(0, |word| word.load(Ordering::Relaxed));
                }
            }
            MetricKind::Counter | MetricKind::Histogram => {
                self.column.totals(&self.shards, block, &mut bits[..len]);
            }
        }
    }

    fn histograms<'a, V: Visit>(
        &mut self,
        family: &FamilyCore,
        block: &Block,
        page: PageHead,
        line: impl Fn(PageHead, usize) -> Line<'a>,
        visit: &mut V,
    ) {
        for index in ones(page.present) {
            let Some(cells) = block.histogram(index) else { continue };
            let sum = self.histogram(cells, visit);
            let reading = HistogramReading {
                name: &family.spec.name,
                bounds_text: &cells.kind.bounds_text,
                buckets: &self.buckets,
                sum,
                decimals: cells.kind.decimals,
                bits: family.spec.bits,
            };
            visit.histogram(page, index, line(page, index), &reading);
        }
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

/// What the numbers of a family that has no histograms are.
fn number_kind(kind: MetricKind) -> NumberKind {
    match kind {
        MetricKind::UpDown => NumberKind::Level,
        MetricKind::Gauge | MetricKind::Observed => NumberKind::Reading,
        MetricKind::Counter | MetricKind::Histogram => NumberKind::Total,
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

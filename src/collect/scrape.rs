//! One walk over all families: merges each series' cells and hands it to a visitor.

use crate::registry::table::Families;
use crate::registry::{Cells, FamilyCore, HistogramCells, List, Listed, MetricKind, Series};
use crate::shard::all_cells;
use crate::shard::cells::{self, Chunk, Directory, Slot};
use crate::shard::hdr::{CELL_MARKS, FIRST_BUCKET, FIRST_CELL, OCTAVE_MARKS, SUM};
use crate::snapshot::{Head, HistogramReading, Line, Number, PAGE, Visit};
use crate::sync::Ordering;

/// Buffers that a scrape reuses, so that a warm one allocates nothing.
#[derive(Default)]
pub(crate) struct Scrape {
    shards: Vec<&'static Directory>,
    column: Column,
    /// Of each family the pages of counters that have no gaps.
    pages: Vec<Vec<Page>>,
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
        if family.spec.kind == MetricKind::Counter {
            self.counters(number, family, visit);
        } else {
            self.others(family, visit);
        }
        visit.family_end();
    }

    /// Hands counters over by pages: what is looked up or copied is so for 64 of them at once.
    fn counters<V: Visit>(&mut self, number: usize, family: &FamilyCore, visit: &mut V) {
        let series = family.series();
        let line = |place| series.get(place).map(|listed| line(&listed.series));
        let Scrape { shards, column, pages, .. } = self;
        if pages.len() <= number {
            pages.resize_with(number + 1, Vec::new);
        }
        let full = &mut pages[number];
        let mut hand_over = |page: &Page| {
            let mut totals = [0; PAGE];
            column.totals(shards, &page.slots[..page.len], &mut totals);
            visit.totals(page.number, page.present, &totals[..page.len], line);
        };
        full.iter().for_each(&mut hand_over);
        for number in full.len()..series.len().div_ceil(PAGE) {
            let page = Page::gather(series, number);
            hand_over(&page);
            // A series' slot never changes: a page without gaps is kept, and the list of such
            // series is not read again.
            if page.present == !0 && number == full.len() {
                full.push(page);
            }
        }
    }

    fn others<V: Visit>(&mut self, family: &FamilyCore, visit: &mut V) {
        family.series().for_each(|place, Listed { series, .. }| {
            let number = match series.cells() {
                // In a family of its own kind, which `counters` walks.
                Cells::Counter(_) => return,
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
                    return visit.histogram(line(series), &reading);
                }
            };
            visit.number(place, number, line(series));
        });
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

fn line(series: &Series) -> Line<'_> {
    Line { text: series.text(), labels: series.labels() }
}

/// The slots of neighbouring counters.
struct Page {
    number: usize,
    present: u64,
    slots: [Slot; PAGE],
    len: usize,
}

impl Page {
    fn gather(series: &List<Listed>, number: usize) -> Page {
        let mut page = Page { number, present: 0, slots: [Slot::NONE; PAGE], len: 0 };
        for (index, slot) in page.slots.iter_mut().enumerate() {
            if let Some(listed) = series.get(number * PAGE + index) {
                *slot = listed.slot;
                page.present |= 1 << index;
                page.len = index + 1;
            }
        }
        page
    }
}

impl Column {
    /// Adds the totals of `slots` over `shards` to `totals`.
    fn totals(&mut self, shards: &[&'static Directory], slots: &[Slot], totals: &mut [u64]) {
        let (mut slots, mut totals) = (slots, totals);
        while let Some(first) = slots.first() {
            let number = first.chunk();
            let same = slots.iter().take_while(|slot| slot.chunk() == number).count();
            let (column, further) = slots.split_at(same);
            let (sums, left) = totals.split_at_mut(same);
            self.look_up(shards, number);
            for chunk in &self.chunks {
                for (sum, slot) in sums.iter_mut().zip(column) {
                    *sum = sum.wrapping_add(chunk.cell(*slot).load(Ordering::Relaxed));
                }
            }
            (slots, totals) = (further, left);
        }
    }

    fn look_up(&mut self, shards: &[&'static Directory], number: usize) {
        if self.number != Some(number) {
            self.clear();
            self.number = Some(number);
            self.chunks.extend(shards.iter().filter_map(|shard| shard.chunk(number)));
        }
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

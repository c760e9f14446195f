//! One walk over all families: merges each series' cells and hands it to a visitor.

use super::candidates::Candidates;
use super::column::Column;
use crate::registry::places::{Block, PAGE, Shown};
use crate::registry::table::Families;
use crate::registry::{FamilyCore, HistogramCells, Line, MetricKind, Turn};
use crate::shard::cells::{self, Directory};
use crate::shard::hdr::{FIRST_BUCKET, OCTAVE_MARKS, SUM};
use crate::shard::{all_cells, common_cell};
use crate::snapshot::{Head, HistogramReading, NumberKind, Numbers, PageHead, SHEET, Visit};
use crate::sync::Ordering;

/// Sheets from which on a family is worth more than one thread: 65,536 series.
const LARGE: usize = 16;

/// Pages whose cells are asked for before they are read: a processor that sees what is read one after
/// the other asks by itself, but no further than to the end of a page of 4 KiB.
const AHEAD: usize = 8;

/// Buffers that a scrape reuses, so that a warm one allocates nothing.
#[derive(Default)]
pub(crate) struct Scrape {
    shards: Vec<&'static Directory>,
    parts: Vec<Part>,
    buckets: Vec<u64>,
    /// What the blocks of the family at hand show: see [`FamilyCore::shown_at_once`].
    shown: Vec<Shown>,
    /// For the next walk.
    pub(crate) candidates: Candidates,
}

/// A sheet, and what it is read by.
#[derive(Default)]
struct Part {
    column: Column,
    numbers: Numbers,
}

impl AsMut<Numbers> for Part {
    fn as_mut(&mut self) -> &mut Numbers {
        &mut self.numbers
    }
}

impl Scrape {
    /// Walks `families`. Asks nothing of the writers: an idle thread's cells are read like any
    /// other's, and nobody is waited for.
    pub(crate) fn walk<V: Visit>(&mut self, families: &Families, turn: &Turn<'_>, visit: &mut V) {
        self.shards.clear();
        self.shards.extend(all_cells());
        if self.parts.is_empty() {
            self.parts.push(Part::default());
        }
        // Of a walk that ended in a panic of whoever took the text; threads have come since.
        self.forget();
        for (number, family) in families.shown() {
            self.family(number, family, turn, visit);
        }
        // The chunks are the engine's, which may be gone before the next walk.
        self.forget();
    }

    fn forget(&mut self) {
        self.parts.iter_mut().for_each(|part| part.column.clear());
    }

    fn family<V: Visit>(
        &mut self,
        number: usize,
        family: &FamilyCore,
        turn: &Turn<'_>,
        visit: &mut V,
    ) {
        let places = family.places();
        let kind = number_kind(family.spec.kind);
        // Most families have one page, with a series or a few: that is read by itself.
        let has_one = kind.is_some() && places.blocks() == 1;
        let only = if has_one { places.block(0) } else { None };
        let only = only.map(|block| (block, PageHead::of(number, 0, block.shown())));
        let is_shown = match only {
            Some((_, page)) => page.present != 0,
            None => {
                family.shown_at_once(&mut self.shown);
                let mut blocks = (0..places.blocks()).map(|page| shown(&self.shown, family, page));
                blocks.any(|(_, present)| present != 0)
            }
        };
        if !is_shown {
            return;
        }
        let head = Head {
            name: &family.spec.name,
            kind: family.spec.kind,
            help: &family.spec.help,
            clash: Some(family.clash()),
            text: family.head(),
            bounds: &family.spec.buckets,
            decimals: family.spec.decimals,
        };
        if !visit.wants(&head) {
            return;
        }
        let line =
            |page: &PageHead, index| Line::new(family, (page.number * PAGE + index) as u32, turn);
        let Some(kind) = kind else {
            visit.family(&head);
            return self.histograms(number, family, line, visit);
        };
        if let Some((block, page)) = only {
            let now = self.parts[0].only(&self.shards, family, block, &page);
            return visit.only(&head, kind, &page, now, line);
        }
        visit.family(&head);
        let sheets = places.blocks().div_ceil(SHEET);
        let at_once = if sheets < LARGE { 1 } else { visit.at_once() };
        if self.parts.len() < at_once {
            self.parts.resize_with(at_once, Part::default);
        }
        for first in (0..sheets).step_by(at_once) {
            let parts = &mut self.parts[..at_once.min(sheets - first)];
            for (sheet, part) in parts.iter_mut().enumerate() {
                part.numbers.family = number;
                part.numbers.sheet = first + sheet;
            }
            let (shards, shown) = (&self.shards, &self.shown);
            visit.numbers(kind, parts, |part| part.read(shards, shown, family), line);
        }
    }

    fn histograms<'a, V: Visit>(
        &mut self,
        number: usize,
        family: &FamilyCore,
        line: impl Fn(&PageHead, usize) -> Line<'a>,
        visit: &mut V,
    ) {
        for page in 0..family.places().blocks() {
            let Some(block) = family.places().block(page) else { continue };
            let head = PageHead::of(number, page, shown(&self.shown, family, page));
            for index in ones(head.present) {
                let Some(cells) = block.histogram(index) else { continue };
                let sum = self.histogram(cells, visit);
                let reading = HistogramReading {
                    name: &family.spec.name,
                    bounds_text: &cells.kind.bounds_text,
                    buckets: &self.buckets,
                    sum,
                    decimals: cells.kind.decimals,
                    bits: family.spec.bits,
                    exemplars: self.candidates.of(cells),
                };
                visit.histogram(head, index, line(&head, index), &reading);
            }
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

impl Part {
    /// Reads what the sheet's series stand at.
    fn read(&mut self, shards: &[&'static Directory], at_once: &[Shown], family: &FamilyCore) {
        let Numbers { family: number, sheet, heads, bits } = &mut self.numbers;
        let places = family.places();
        heads.clear();
        bits.resize(SHEET, [0; PAGE]);
        for page in *sheet * SHEET..places.blocks().min((*sheet + 1) * SHEET) {
            let Some(block) = places.block(page) else { continue };
            let head = PageHead::of(*number, page, shown(at_once, family, page));
            if head.present == 0 {
                continue;
            }
            if let Some(later) = places.block(page + AHEAD) {
                self.column.fetch(shards, later);
            }
            read(&mut self.column, shards, family.spec.kind, block, &head, &mut bits[heads.len()]);
            heads.push(head);
        }
    }

    /// Reads a family's only page.
    fn only(
        &mut self,
        shards: &[&'static Directory],
        family: &FamilyCore,
        block: &Block,
        head: &PageHead,
    ) -> &[u64; PAGE] {
        if self.numbers.bits.is_empty() {
            self.numbers.bits.push([0; PAGE]);
        }
        let now = &mut self.numbers.bits[0];
        read(&mut self.column, shards, family.spec.kind, block, head, now);
        now
    }
}

/// What a block shows: as it was `at_once` with all others, or where there is no such list, now.
#[inline]
fn shown(at_once: &[Shown], family: &FamilyCore, page: usize) -> Shown {
    if at_once.is_empty() {
        family.places().block(page).map(Block::shown).unwrap_or_default()
    } else {
        at_once.get(page).copied().unwrap_or_default()
    }
}

/// Reads what the series of a page stand at.
#[inline]
fn read(
    column: &mut Column,
    shards: &[&'static Directory],
    kind: MetricKind,
    block: &Block,
    head: &PageHead,
    now: &mut [u64; PAGE],
) {
    let len = PAGE - head.present.leading_zeros() as usize;
    let now = &mut now[..len.min(block.slots().len())];
    match kind {
        MetricKind::UpDown => {
            for (index, now) in now.iter_mut().enumerate() {
                let inc = block.slot(index);
                *now = cells::level(all_cells, inc, inc.offset(1)) as u64;
            }
        }
        MetricKind::Gauge | MetricKind::Observed | MetricKind::Info => {
            for (index, now) in now.iter_mut().enumerate() {
                let word = common_cell(block.slot(index));
                *now = word.map_or(0, |word| word.load(Ordering::Relaxed));
            }
        }
        MetricKind::Counter | MetricKind::Histogram => column.totals(shards, block, now),
    }
}

/// What the numbers of a family are; nothing where it has histograms.
fn number_kind(kind: MetricKind) -> Option<NumberKind> {
    match kind {
        MetricKind::UpDown => Some(NumberKind::Level),
        MetricKind::Gauge | MetricKind::Observed | MetricKind::Info => Some(NumberKind::Reading),
        MetricKind::Counter => Some(NumberKind::Total),
        MetricKind::Histogram => None,
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
        let origin = cells.octave(octave);
        let Some(chunk) = shard.chunk(origin.chunk()) else { continue };
        let marks = chunk.cell(origin.offset(layout.end(octave))).load(Ordering::Relaxed);
        for (bucket, range) in layout.buckets(octave) {
            layout.touched(octave, marks, range, |cell| {
                let count = chunk.cell(origin.offset(cell)).load(Ordering::Relaxed);
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

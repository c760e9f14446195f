//! Log-linear buckets: which cell a value belongs to.
//!
//! As in HdrHistogram, a value's octave is the position of its highest bit and its cell the bits
//! below it, so the error is bounded relative to the value: with 64 cells an octave a cell is at
//! most 1.6 % wide. The classic histogram's `le` boundaries are exact all the same: a boundary
//! that falls inside a cell makes it two, split at `value <= boundary`.
//!
//! An octave's *run* of slots holds its cells, then one word of marks: which cells were ever touched, so
//! that a reader passes over the others. A cell is numbered by all of the value's leading bits, the
//! highest included, from the octave's *origin*: where its run would have begun if it had cells for
//! smaller values, counted around the end of the chunk. So a record neither masks that bit out nor asks
//! whether there is one. The series' *header* holds the exact sum, one
//! word that marks the octaves, and a count for each boundary. Those counts could be added up from
//! the cells, but a scrape would read ten octaves to write fifteen lines; the third add of a
//! record costs a fifth of a nanosecond and makes such a scrape two to three times faster.

use std::num::NonZeroU64;
use std::ops::Range;

/// Octaves a value of 64 bits can have, with the fewest cells an octave.
pub(crate) const MOST_OCTAVES: usize = 64;
/// Boundaries one octave may hold, so that its marks fit one word and its run a chunk; the lowest may hold
/// twice as many.
const MOST_BOUNDS_AN_OCTAVE: usize = 64;
/// The largest value that is kept, and where a sum stops taking values that only the cold path sees:
/// the upper half of its word is left to those that it does not, so that no sum goes back.
pub(crate) const MOST_UNITS: u64 = i64::MAX as u64;
/// The largest value that the warm path records, which looks at no sum: it takes 65,536 of them in a thread for
/// one to wrap. In nanoseconds three days.
pub(crate) const MOST_WARM: u64 = (1 << 48) - 1;
/// Where in the header things stand.
pub(crate) const SUM: usize = 0;
pub(crate) const OCTAVE_MARKS: usize = 1;
pub(crate) const FIRST_BUCKET: usize = 2;

/// The buckets of one family; every series and shard of it shares them.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Lowest boundary of each octave, or `u64::MAX`: one compare decides the usual case.
    split: [u64; MOST_OCTAVES],
    /// log2 of the cells an octave, and the cells.
    bits: u32,
    cells: NonZeroU64,
    /// Highest trackable value.
    highest: u64,
    /// All boundaries, ascending, inclusive, in the histogram's integer unit.
    bounds: Box<[u64]>,
    /// For each octave, where in the header the bucket of its lowest boundary is, or would be: the
    /// distance to the next is how many of `bounds` lie in it.
    first: [u16; MOST_OCTAVES + 1],
    /// The octaves that have several boundaries, a bit for each.
    crowded: u64,
}

/// Where a value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) octave: usize,
    /// Cells from the octave's origin.
    pub(crate) cell: usize,
    /// Where in the header its classic bucket is, from [`FIRST_BUCKET`] on: that of the lowest boundary at
    /// or above the value, or `+Inf`.
    pub(crate) bucket: usize,
}

impl Layout {
    /// `bounds` must ascend; `bits` is 4 to 8; `highest` at most [`MOST_UNITS`]; nothing when an
    /// octave would hold too many.
    pub(crate) fn new(bits: u32, highest: u64, bounds: &[u64]) -> Option<Layout> {
        debug_assert!((4..=8).contains(&bits) && bounds.is_sorted());
        let mut layout = Layout {
            split: [u64::MAX; MOST_OCTAVES],
            bits,
            cells: NonZeroU64::new(1 << bits)?,
            highest,
            bounds: bounds.into(),
            first: [FIRST_BUCKET as u16; MOST_OCTAVES + 1],
            crowded: 0,
        };
        for octave in 0..MOST_OCTAVES {
            // A boundary on the last value of an octave (2^k - 1) cuts nothing there, but is still
            // that octave's: everything in the octave is at or below it.
            let is_mine = |&&bound: &&u64| layout.octave(bound) == octave;
            let count = bounds.iter().filter(is_mine).count();
            let lowest = bounds.iter().find(is_mine).copied().unwrap_or(u64::MAX);
            if count > MOST_BOUNDS_AN_OCTAVE << u32::from(layout.begin(octave) == 0) {
                return None;
            }
            layout.crowded |= u64::from(count > 1) << octave;
            layout.split[octave] = lowest;
            layout.first[octave + 1] = layout.first[octave] + count as u16;
        }
        Some(layout)
    }

    #[inline(always)]
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    pub(crate) fn bounds(&self) -> &[u64] {
        &self.bounds
    }

    #[inline(always)]
    fn octave(&self, value: u64) -> usize {
        // Values below 2^bits lie in the octave of those from there on, one cell each like them. The octaves
        // below it are nobody's: to number from there would be one more step for every record, and one
        // for the index to be within bounds.
        (self.cells | value).ilog2() as usize
    }

    /// How many octaves have several boundaries, which no single compare decides.
    pub(crate) fn crowded(&self) -> usize {
        self.crowded.count_ones() as usize
    }

    /// The number of an octave among those; nothing where it is none.
    #[inline]
    pub(crate) fn crowded_number(&self, octave: usize) -> Option<usize> {
        let below = self.crowded & ((1 << octave) - 1);
        (self.crowded >> octave & 1 != 0).then_some(below.count_ones() as usize)
    }

    /// The place of `value`, which is at most [`highest`](Self::highest). Its octave is right, and the rest if
    /// that is not [crowded](Self::crowded_number).
    #[inline(always)]
    pub(crate) fn place_warm(&self, value: u64) -> Place {
        let octave = self.octave(value);
        // Cells above a boundary stand one further. Added, not branched on: which side of a
        // boundary a latency falls is what no processor predicts.
        let above = usize::from(value > self.split[octave]);
        let cell = self.cell(octave, value) + above;
        Place { octave, cell, bucket: usize::from(self.first[octave]) + above }
    }

    /// The place of `value`; what exceeds the range belongs where its highest value does.
    pub(crate) fn place(&self, value: u64) -> Place {
        let value = value.min(self.highest);
        let octave = self.octave(value);
        let below = self.octave_bounds(octave).iter().filter(|&&bound| value > bound).count();
        let bucket = usize::from(self.first[octave]) + below;
        Place { octave, cell: self.cell(octave, value) + below, bucket }
    }

    /// The cell of `value`, from its octave's origin, when no boundary is counted.
    #[inline(always)]
    fn cell(&self, octave: usize, value: u64) -> usize {
        (value >> self.shift(octave)) as usize
    }

    /// How many bits of a value in `octave` a cell does not tell apart.
    #[inline(always)]
    fn shift(&self, octave: usize) -> u32 {
        debug_assert!(octave >= self.bits as usize, "the octaves below are nobody's");
        (octave as u32).wrapping_sub(self.bits) % u64::BITS
    }

    /// How many cells from its origin an octave's run begins.
    #[inline]
    pub(crate) fn begin(&self, octave: usize) -> usize {
        if octave > self.bits as usize { 1 << self.bits } else { 0 }
    }

    /// How many cells from its origin an octave's cells end, and its marks are.
    #[inline]
    pub(crate) fn end(&self, octave: usize) -> usize {
        (2 << self.bits) + self.octave_bounds(octave).len()
    }

    /// Slots of a series' header.
    pub(crate) fn header(&self) -> usize {
        FIRST_BUCKET + self.bounds.len() + 1
    }

    fn octave_bounds(&self, octave: usize) -> &[u64] {
        let index = |octave: usize| usize::from(self.first[octave]) - FIRST_BUCKET;
        &self.bounds[index(octave)..index(octave + 1)]
    }

    /// Slots of an octave's run: the cells and the marks.
    pub(crate) fn run(&self, octave: usize) -> usize {
        self.end(octave) - self.begin(octave) + 1
    }

    /// The mark of `cell` in its octave's word of marks; a mark stands for a few neighbours.
    #[inline]
    pub(crate) fn mark(&self, octave: usize, cell: usize) -> u32 {
        ((cell - self.begin(octave)) >> self.cells_a_mark_log2(octave)) as u32
    }

    /// Visits those of an octave's `cells` that may have been touched.
    #[inline(always)]
    pub(crate) fn touched(
        &self,
        octave: usize,
        marks: u64,
        cells: Range<usize>,
        mut visit: impl FnMut(usize),
    ) {
        let (begin, a_mark) = (self.begin(octave), self.cells_a_mark_log2(octave));
        let mut left = marks;
        while left != 0 {
            let first = begin + ((left.trailing_zeros() as usize) << a_mark);
            left &= left - 1;
            let range = first.max(cells.start)..(first + (1 << a_mark)).min(cells.end);
            range.for_each(&mut visit);
        }
    }

    #[inline]
    fn cells_a_mark_log2(&self, octave: usize) -> u32 {
        // The lowest octave in use has twice as many.
        match self.bits + u32::from(self.begin(octave) == 0) {
            // 16 + 64 cells, 32 + 64, 64 + 64: two a mark. 128 + 64: four. 256 + 64: eight.
            0..=6 => 1,
            log2 => log2 - 5,
        }
    }

    /// The classic buckets of an octave: for each the index of its boundary (the number of
    /// boundaries for `+Inf`), and the cells that it counts.
    pub(crate) fn buckets(&self, octave: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = usize::from(self.first[octave]) - FIRST_BUCKET;
        let bounds = self.octave_bounds(octave);
        let mut from = self.begin(octave);
        (0..=bounds.len()).map(move |index| {
            // A boundary's own cell is the last at or below it; `index` boundaries stand before it.
            let end = match bounds.get(index) {
                Some(&bound) => self.cell(octave, bound) + index + 1,
                None => self.end(octave),
            };
            let cells = from..end;
            from = end;
            (first + index, cells)
        })
    }

    /// The lowest and highest value that `cell` counts.
    pub(crate) fn range(&self, octave: usize, cell: usize) -> (u64, u64) {
        let bounds = self.octave_bounds(octave);
        let passed = self.buckets(octave).take_while(|(_, cells)| cells.end <= cell).count();
        let shift = self.shift(octave);
        let mut low = ((cell - passed) as u64) << shift;
        let mut high = low + ((1u64 << shift) - 1);
        if passed > 0 {
            low = low.max(bounds[passed - 1].saturating_add(1));
        }
        if let Some(&bound) = bounds.get(passed) {
            high = high.min(bound);
        }
        (low, high.max(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layouts() -> impl Strategy<Value = Layout> {
        layouts_of(40)
    }

    fn layouts_of(most_bounds: usize) -> impl Strategy<Value = Layout> {
        let bounds = prop::collection::btree_set(value(), 0..most_bounds);
        (4u32..=8, bounds).prop_filter_map("at most 64 an octave", |(bits, bounds)| {
            let bounds: Vec<u64> = bounds.into_iter().collect();
            Layout::new(bits, u64::MAX, &bounds)
        })
    }

    /// Values of every magnitude alike.
    fn value() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
    }

    proptest! {
        /// The oracle for `le` is a comparison with each boundary.
        #[test]
        fn a_boundary_counts_exactly_what_is_at_or_below_it(layout in layouts(), value in value()) {
            let place = layout.place(value);
            let bucket = layout
                .buckets(place.octave)
                .find(|(_, cells)| cells.contains(&place.cell))
                .map(|(bucket, _)| bucket);
            let expected = layout.bounds().iter().filter(|&&bound| bound < value).count();
            prop_assert_eq!(bucket, Some(expected));
            prop_assert_eq!(place.bucket, FIRST_BUCKET + expected);
        }

        /// So do the boundaries themselves and their neighbours, which random values rarely hit.
        #[test]
        fn a_boundary_is_inside_its_bucket(layout in layouts()) {
            for (index, &bound) in layout.bounds().iter().enumerate() {
                for (value, bucket) in [(bound, index), (bound.saturating_add(1), index + 1)] {
                    let place = layout.place(value);
                    let found = layout.buckets(place.octave).find(|(_, c)| c.contains(&place.cell));
                    // Neighbouring boundaries, and the top of the range, make the next bucket another.
                    let exact = layout.bounds().iter().filter(|&&b| b < value).count();
                    prop_assert!(found.map(|f| f.0) == Some(exact) && (exact == bucket || value != bound));
                }
            }
        }

        #[test]
        fn a_cell_is_as_narrow_as_promised_and_holds_its_values(layout in layouts(), value in value()) {
            let place = layout.place(value);
            let octave = place.octave;
            prop_assert!((layout.begin(octave)..layout.end(octave)).contains(&place.cell));
            let (low, high) = layout.range(place.octave, place.cell);
            prop_assert!((low..=high).contains(&value), "{} {} {}", low, value, high);
            let width = high - low;
            prop_assert!(width <= value >> layout.bits, "{} wide at {}", width, value);
        }

        #[test]
        fn the_warm_path_finds_the_same_place(layout in layouts_of(6), value in value()) {
            let (warm, place) = (layout.place_warm(value), layout.place(value));
            prop_assert_eq!(warm.octave, place.octave);
            match layout.crowded_number(place.octave) {
                None => prop_assert_eq!(warm, place),
                Some(number) => prop_assert!(number < layout.crowded()),
            }
        }

        /// Whatever is marked, each touched cell is visited once, within its range.
        #[test]
        fn touched_cells_are_visited_once(layout in layouts(), values in prop::collection::vec(value(), 1..60)) {
            let octave = layout.place(values[0]).octave;
            let mut touched: Vec<usize> = values
                .iter()
                .map(|&value| layout.place(value))
                .filter(|place| place.octave == octave)
                .map(|place| place.cell)
                .collect();
            touched.sort_unstable();
            touched.dedup();
            let marks =
                touched.iter().fold(0, |marks, &cell| marks | 1u64 << layout.mark(octave, cell));
            let mut visited = Vec::new();
            for (_, cells) in layout.buckets(octave) {
                layout.touched(octave, marks, cells, |cell| visited.push(cell));
            }
            let once = visited.len();
            visited.sort_unstable();
            visited.dedup();
            prop_assert_eq!(visited.len(), once);
            prop_assert!(touched.iter().all(|cell| visited.contains(cell)));
            let cells = layout.begin(octave)..layout.end(octave);
            prop_assert!(visited.iter().all(|cell| cells.contains(cell)));
        }
    }

    #[test]
    fn what_exceeds_the_range_is_above_the_last_boundary() {
        let layout = Layout::new(6, 1_001, &[10, 1_000]).unwrap();
        assert_eq!(layout.place(u64::MAX), layout.place(1_001));
        assert_ne!(layout.place(1_001), layout.place(1_000));
    }

    #[test]
    fn too_many_boundaries_in_an_octave_are_refused() {
        let bounds: Vec<u64> = (1_024..1_024 + 65).collect();
        assert!(Layout::new(6, u64::MAX, &bounds).is_none());
        assert!(Layout::new(6, u64::MAX, &bounds[1..]).is_some());
    }

    /// A boundary at each of the smallest values, where a cell is one value: as many as there may be.
    #[test]
    fn the_lowest_octave_holds_twice_as_many_boundaries() {
        for bits in 4..=8 {
            let most = (2u64 << bits).min(128);
            let bounds: Vec<u64> = (0..most).collect();
            let layout = Layout::new(bits, u64::MAX, &bounds).unwrap();
            for value in 0..2 << bits {
                let place = layout.place(value);
                assert_eq!(place.bucket - FIRST_BUCKET, value.min(most) as usize);
                assert!(layout.mark(place.octave, place.cell) < u64::BITS);
                let (low, high) = layout.range(place.octave, place.cell);
                assert_eq!((low, high), (value, value), "{bits}");
            }
            assert!(layout.run(bits as usize) <= 1_024);
            let one_more: Vec<u64> = (0..129).collect();
            assert!(bits < 7 || Layout::new(bits, u64::MAX, &one_more).is_none(), "{bits}");
        }
    }
}

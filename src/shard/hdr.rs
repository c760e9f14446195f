//! Log-linear buckets: which cell a value belongs to.
//!
//! As in HdrHistogram, a value's octave is the position of its highest bit and its cell the bits
//! below it, so the error is bounded relative to the value: with 64 cells an octave a cell is at
//! most 1.6 % wide. The classic histogram's `le` boundaries are exact all the same: a boundary
//! that falls inside a cell makes it two, split at `value <= boundary`.
//!
//! An octave's *run* of slots holds one word of marks (which cells were ever touched, so that a
//! scrape passes over the others), then its cells. The series' *header* holds the exact sum and
//! one word that marks the octaves.

/// Octaves a value of 64 bits can have, with the fewest cells an octave.
pub(crate) const MOST_OCTAVES: usize = 64;
/// Boundaries one octave may hold, so that its marks fit one word.
const MOST_BOUNDS_AN_OCTAVE: usize = 64;
/// Slots of a series' header: the sum and the octave marks.
pub(crate) const HEADER_CELLS: usize = 2;
/// Where in the header, and in a run, things stand.
pub(crate) const SUM: usize = 0;
pub(crate) const OCTAVE_MARKS: usize = 1;
pub(crate) const CELL_MARKS: usize = 0;
pub(crate) const FIRST_CELL: usize = 1;

/// The buckets of one family; every series and shard of it shares them.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Lowest boundary of each octave, or `u64::MAX`: one compare decides the usual case.
    split: [u64; MOST_OCTAVES],
    /// log2 of the cells an octave.
    bits: u32,
    /// Highest trackable value.
    highest: u64,
    /// All boundaries, ascending, inclusive, in the histogram's integer unit.
    bounds: Box<[u64]>,
    /// For each octave, which of `bounds` lie in it.
    first: [u16; MOST_OCTAVES + 1],
}

/// Where a value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) octave: usize,
    /// Cell within the octave's run, after its marks.
    pub(crate) cell: usize,
}

impl Layout {
    /// `bounds` must ascend; `bits` is 4 to 8; nothing when an octave would hold too many.
    pub(crate) fn new(bits: u32, highest: u64, bounds: &[u64]) -> Option<Layout> {
        debug_assert!((4..=8).contains(&bits) && bounds.is_sorted());
        let mut layout = Layout {
            split: [u64::MAX; MOST_OCTAVES],
            bits,
            highest,
            bounds: bounds.into(),
            first: [0; MOST_OCTAVES + 1],
        };
        for octave in 0..MOST_OCTAVES {
            // A boundary on the last value of an octave (2^k - 1) cuts nothing there, but is still
            // that octave's: everything in the octave is at or below it.
            let mine = bounds.iter().filter(|&&bound| layout.octave(bound) == octave);
            let count = mine.clone().count();
            if count > MOST_BOUNDS_AN_OCTAVE {
                return None;
            }
            layout.split[octave] = mine.min().copied().unwrap_or(u64::MAX);
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
        // Values below 2^bits lie in octave 0, one cell each.
        let top = 63 - (value | ((1 << self.bits) - 1)).leading_zeros();
        (top + 1 - self.bits) as usize
    }

    /// The place of `value`; what exceeds the range belongs where its highest value does.
    #[inline(always)]
    pub(crate) fn place(&self, value: u64) -> Place {
        let octave = self.octave(value) % MOST_OCTAVES;
        let shift = octave.saturating_sub(1);
        let cell = (value >> shift) as usize & ((1 << self.bits) - 1);
        let mut place = Place { octave, cell };
        if value > self.split[octave] {
            // Cells above a boundary stand one further for each boundary below the value.
            place.cell += 1;
            if self.first[octave + 1] - self.first[octave] > 1 {
                place.cell += self.further_bounds_below(octave, value);
            }
        }
        place
    }

    #[cold]
    fn further_bounds_below(&self, octave: usize, value: u64) -> usize {
        self.octave_bounds(octave)[1..].iter().filter(|&&bound| value > bound).count()
    }

    fn octave_bounds(&self, octave: usize) -> &[u64] {
        &self.bounds[usize::from(self.first[octave])..usize::from(self.first[octave + 1])]
    }

    /// Slots of an octave's run: the marks and the cells.
    pub(crate) fn run(&self, octave: usize) -> usize {
        FIRST_CELL + (1 << self.bits) + self.octave_bounds(octave).len()
    }

    /// The mark of `cell` in its octave's word of marks; a mark stands for a few neighbours.
    #[inline]
    pub(crate) fn mark(&self, cell: usize) -> u32 {
        // At most 2^bits + 64 cells: 2^bits / 32 a mark leaves room for both.
        (cell >> self.cells_a_mark_log2()) as u32
    }

    /// The cells that `mark` stands for.
    pub(crate) fn marked(&self, octave: usize, mark: u32) -> std::ops::Range<usize> {
        let first = (mark as usize) << self.cells_a_mark_log2();
        let end = first + (1 << self.cells_a_mark_log2());
        first..end.min(self.run(octave) - FIRST_CELL)
    }

    #[inline]
    fn cells_a_mark_log2(&self) -> u32 {
        match self.bits {
            // 16 + 64 cells, 32 + 64, 64 + 64: two a mark. 128 + 64: four. 256 + 64: eight.
            0..=6 => 1,
            bits => bits - 5,
        }
    }

    /// The classic bucket that `cell` is counted in: the index of the first boundary at or above
    /// all its values, or the number of boundaries for `+Inf`.
    #[inline]
    pub(crate) fn bucket(&self, octave: usize, cell: usize) -> usize {
        let first = usize::from(self.first[octave]);
        let below = self.octave_bounds(octave).iter().enumerate().filter(|&(index, &bound)| {
            // The boundary's own place: `index` boundaries stand before it in the octave.
            let shift = octave.saturating_sub(1);
            let own = ((bound >> shift) as usize & ((1 << self.bits) - 1)) + index;
            own < cell
        });
        first + below.count()
    }

    /// The lowest and highest value that `cell` counts.
    pub(crate) fn range(&self, octave: usize, cell: usize) -> (u64, u64) {
        let bounds = self.octave_bounds(octave);
        let passed = self.bucket(octave, cell) - usize::from(self.first[octave]);
        let base = (cell - passed) as u64;
        let shift = octave.saturating_sub(1);
        let leading = if octave == 0 { 0 } else { 1 << self.bits };
        let mut low = (leading + base) << shift;
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

//! Where a histogram's numbers are.

use std::sync::Arc;

use super::exemplars::Exemplars;
use super::family::Losses;
use crate::clock::Clock;
use crate::metrics::sample::Sampler;
use crate::shard::cells::{Slot, SlotOnce};
use crate::shard::hdr::{Layout, MOST_OCTAVES};
use crate::shard::space::Space;
use crate::sync::{AtomicU32, Ordering};

/// What a family's histograms share.
pub(crate) struct HistogramKind {
    pub(crate) layout: Layout,
    /// Decimals between the integer that is kept and the unit that is exposed: 9 for seconds.
    pub(crate) decimals: u8,
    /// 10^decimals.
    pub(crate) units_per_one: f64,
    /// For each boundary, `+Inf` last.
    pub(crate) bounds_text: Box<[BoundText]>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) clock: Clock,
    pub(crate) sampler: Sampler,
    /// Where the engine has them.
    pub(crate) exemplars: Option<Arc<Exemplars>>,
}

/// `le="0.005"} `, with room behind it: to be copied whole, without a look at its length.
pub(crate) struct BoundText {
    text: [u8; BoundText::ROOM],
    len: u8,
}

impl BoundText {
    /// A boundary is a positive `f64`, of at most 23 characters.
    pub(crate) const ROOM: usize = 32;

    /// Of a boundary's text, which is cut where it is none.
    pub(crate) fn new(bound: &str) -> BoundText {
        let bytes = b"le=\"".iter().chain(bound.as_bytes()).chain(b"\"} ");
        let mut text = [b' '; BoundText::ROOM];
        text.iter_mut().zip(bytes).for_each(|(place, &byte)| *place = byte);
        BoundText { text, len: (bound.len() + 7).min(BoundText::ROOM) as u8 }
    }

    /// The text, and how many bytes of it count.
    #[inline]
    pub(crate) fn get(&self) -> (&[u8; BoundText::ROOM], usize) {
        (&self.text, usize::from(self.len))
    }
}

/// A header, and a run of cells for each octave that was touched.
pub(crate) struct HistogramCells {
    pub(crate) kind: Arc<HistogramKind>,
    pub(crate) space: Arc<Space>,
    /// The sum, the marks and the bucket counts.
    pub(crate) header: Slot,
    /// The origin of each octave; none where no thread has recorded.
    octaves: [SlotOnce; MOST_OCTAVES],
    /// How many series there were here before this one.
    life: AtomicU32,
}

impl HistogramCells {
    pub(crate) fn new(kind: &Arc<HistogramKind>, space: &Arc<Space>, header: Slot) -> Self {
        let octaves = std::array::from_fn(|_| SlotOnce::new());
        let life = AtomicU32::new(0);
        HistogramCells { kind: kind.clone(), space: space.clone(), header, octaves, life }
    }

    /// An octave's origin, from which its cells are numbered, or `Slot::NONE`.
    #[inline(always)]
    pub(crate) fn octave(&self, octave: usize) -> Slot {
        self.octaves[octave].get()
    }

    /// An octave's origin, its run allocated now if nobody has; briefly locks.
    pub(crate) fn octave_or_allocate(&self, octave: usize) -> Option<Slot> {
        let there = self.octave(octave);
        if there != Slot::NONE {
            return Some(there);
        }
        let cells = self.kind.layout.run(octave);
        let run = self.space.allocate(cells)?;
        let origin = run.back(self.kind.layout.begin(octave));
        match self.octaves[octave].set(origin) {
            Ok(()) => Some(origin),
            Err(other) => {
                self.space.give_back(run, cells);
                Some(other)
            }
        }
    }

    /// Unlike that of the series that was here before.
    #[inline]
    pub(crate) fn life(&self) -> u32 {
        // Relaxed: as the cells, it was written before anybody could find this series.
        self.life.load(Ordering::Relaxed)
    }

    /// Ends the series: what was kept of it elsewhere is nobody's. Nobody can record into it.
    pub(crate) fn end(&self) {
        self.life.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes every octave's run out, with its length. For a series that nobody can record into.
    pub(crate) fn take_octaves(&self) -> impl Iterator<Item = (Slot, usize)> {
        self.octaves.iter().enumerate().filter_map(|(octave, origin)| {
            let (origin, layout) = (origin.take(), &self.kind.layout);
            (origin != Slot::NONE)
                .then(|| (origin.offset(layout.begin(octave)), layout.run(octave)))
        })
    }

    #[inline(always)]
    pub(crate) fn layout(&self) -> &Layout {
        &self.kind.layout
    }
}

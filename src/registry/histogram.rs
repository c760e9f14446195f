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
    /// The origin of each octave; none where no thread has recorded, and for the crowded ones, whose values
    /// the warm path thus leaves to the other.
    octaves: [SlotOnce; MOST_OCTAVES],
    /// Those of the octaves that have several boundaries, one after the other.
    crowded: Box<[SlotOnce]>,
    /// How many series there were here before this one.
    life: AtomicU32,
}

impl HistogramCells {
    pub(crate) fn new(kind: &Arc<HistogramKind>, space: &Arc<Space>, header: Slot) -> Self {
        let octaves = std::array::from_fn(|_| SlotOnce::new());
        let crowded = (0..kind.layout.crowded()).map(|_| SlotOnce::new()).collect();
        let life = AtomicU32::new(0);
        HistogramCells { kind: kind.clone(), space: space.clone(), header, octaves, crowded, life }
    }

    /// Bytes that one takes.
    pub(crate) fn cost(layout: &Layout) -> u64 {
        (size_of::<HistogramCells>() + layout.crowded() * size_of::<SlotOnce>()) as u64
    }

    /// An octave's origin, from which its cells are numbered, or `Slot::NONE`.
    pub(crate) fn octave(&self, octave: usize) -> Slot {
        self.once(octave).get()
    }

    /// That of an octave that has one boundary at most, or `Slot::NONE`.
    #[inline(always)]
    pub(crate) fn octave_warm(&self, octave: usize) -> Slot {
        self.octaves[octave].get()
    }

    #[inline]
    fn once(&self, octave: usize) -> &SlotOnce {
        match self.layout().crowded_number(octave) {
            Some(number) => &self.crowded[number],
            None => &self.octaves[octave],
        }
    }

    /// An octave's origin, its run allocated now if nobody has; briefly locks.
    pub(crate) fn octave_or_allocate(&self, octave: usize) -> Option<Slot> {
        let there = self.octave(octave);
        if there != Slot::NONE {
            return Some(there);
        }
        let run = self.space.allocate(self.layout().run(octave))?;
        Some(self.set_octave(octave, run))
    }

    /// Gives an octave a run, or the run back where somebody else was first; gives the octave's origin.
    fn set_octave(&self, octave: usize, run: Slot) -> Slot {
        let layout = self.layout();
        let origin = run.back(layout.begin(octave));
        match self.once(octave).set(origin) {
            Ok(()) => origin,
            Err(other) => {
                self.space.give_back(run, layout.run(octave));
                other
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
        (0..MOST_OCTAVES).filter_map(|octave| {
            let (origin, layout) = (self.once(octave).take(), self.layout());
            (origin != Slot::NONE)
                .then(|| (origin.offset(layout.begin(octave)), layout.run(octave)))
        })
    }

    #[inline(always)]
    pub(crate) fn layout(&self) -> &Layout {
        &self.kind.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::hdr::FIRST_BUCKET;

    fn cells(bounds: &[u64]) -> HistogramCells {
        let layout = Layout::new(6, 1 << 30, bounds).unwrap();
        let kind = Arc::new(HistogramKind {
            sampler: Sampler::new(layout.highest()),
            layout,
            decimals: 0,
            units_per_one: 1.0,
            bounds_text: Box::default(),
            losses: Losses::none(),
            clock: Clock::get(),
            exemplars: None,
        });
        let space = Arc::new(Space::new(1 << 20));
        let header = space.allocate(FIRST_BUCKET + bounds.len() + 1).unwrap();
        HistogramCells::new(&kind, &space, header)
    }

    #[test]
    fn who_comes_second_gives_the_run_back_and_takes_the_other() {
        // The lowest octave, whose origin is where its run is, one without a boundary, and a crowded one.
        for octave in [6, 9, 20] {
            let cells = cells(&[1_050_000, 1_060_000, 1_070_000]);
            let len = cells.layout().run(octave);
            let [first, second] = [(); 2].map(|()| cells.space.allocate(len).unwrap());
            let origin = cells.set_octave(octave, first);
            assert_eq!(cells.set_octave(octave, second), origin);
            assert_eq!(cells.octave_or_allocate(octave), Some(origin));
            assert_eq!(cells.space.allocate(len), Some(second));
            assert_eq!(cells.octave_warm(octave) == Slot::NONE, octave == 20);
            let taken: Vec<_> = cells.take_octaves().collect();
            assert_eq!(taken, [(first, len)]);
            assert_eq!(cells.octave(octave), Slot::NONE);
        }
    }
}

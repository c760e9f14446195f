//! One label set of one family, and where its numbers are.

use std::sync::Arc;

use crate::shard::cells::{Slot, SlotOnce};
use crate::shard::hdr::{Layout, MOST_OCTAVES};
use crate::shard::space::Space;
use crate::sync::AtomicU64;

use super::family::{HistogramKind, MetricKind};
use super::list::List;
use super::map::SeriesMap;
use super::name;

/// One label set of one family. Held by the family's list and map, and by every handle.
pub struct Series {
    space: Arc<Space>,
    /// The number of its family within the engine.
    family: u32,
    /// Where in `text` the labels begin.
    labels_at: u32,
    /// For a number `name{labels} `, what its line begins with; for a histogram `name_bucket{labels,`.
    text: Box<str>,
    cells: Cells,
}

/// Where a series' numbers are.
pub(crate) enum Cells {
    Counter(Slot),
    /// Incs and decs apart: each only grows, so that sharding them is exact.
    UpDown {
        inc: Slot,
        dec: Slot,
    },
    /// The bits of an `f64`: `set` must be seen by the next reader whoever wrote it, so it is one
    /// word for all threads.
    Gauge(AtomicU64),
    Histogram(Arc<HistogramCells>),
}

/// Where a histogram's numbers are: a header, and a run of cells for each octave that was touched.
pub(crate) struct HistogramCells {
    pub(crate) kind: Arc<HistogramKind>,
    pub(crate) space: Arc<Space>,
    /// The sum, the marks and the bucket counts.
    pub(crate) header: Slot,
    /// First slot of each octave's run; none where no thread has recorded.
    octaves: [SlotOnce; MOST_OCTAVES],
}

/// A series in its family's list, and a counter's slot beside it: a scrape of counters reads the
/// list from front to back and none of the series.
pub(crate) struct Listed {
    /// `Slot::NONE` where the series is no counter.
    pub(crate) slot: Slot,
    pub(crate) series: Arc<Series>,
}

impl Listed {
    pub(crate) fn new(series: Arc<Series>) -> Listed {
        let slot = match series.cells() {
            Cells::Counter(slot) => *slot,
            _ => Slot::NONE,
        };
        Listed { slot, series }
    }
}

/// What a series costs beside its text and cells: itself, its entry in the map and in the list, and
/// its slot in a page of the scrape.
const FIXED_COST: u64 = (size_of::<Series>() + 16 + size_of::<Slot>()) as u64
    + SeriesMap::entry_cost()
    + List::<Listed>::entry_cost();

impl Series {
    /// A series with these labels; nothing where the budget has no room, and then nothing was
    /// allocated either: a client that repeats a label set past the limit comes here each time.
    pub(crate) fn new(
        space: &Arc<Space>,
        family: u32,
        name: &str,
        labels: Labels<'_>,
        kind: MetricKind,
        histogram: Option<&Arc<HistogramKind>>,
    ) -> Option<Arc<Series>> {
        let begin = Begin::new(name, labels, histogram.is_some());
        let cost = FIXED_COST
            + begin.len() as u64
            + histogram.map_or(0, |_| size_of::<HistogramCells>() as u64);
        if !space.charge(cost) {
            return None;
        }
        let cells = match (kind, histogram) {
            (MetricKind::Counter, _) => space.allocate(1).map(Cells::Counter),
            (MetricKind::UpDown, _) => {
                space.allocate(2).map(|inc| Cells::UpDown { inc, dec: inc.offset(1) })
            }
            (MetricKind::Histogram, Some(kind)) => {
                space.allocate(kind.layout.header()).map(|header| {
                    let octaves = std::array::from_fn(|_| SlotOnce::new());
                    let (kind, space) = (kind.clone(), space.clone());
                    Cells::Histogram(Arc::new(HistogramCells { kind, space, header, octaves }))
                })
            }
            (MetricKind::Gauge | MetricKind::Observed | MetricKind::Histogram, _) => {
                Some(Cells::Gauge(AtomicU64::new(0)))
            }
        };
        match cells {
            Some(cells) => {
                let space = space.clone();
                let (text, labels_at) = begin.render();
                Some(Arc::new(Series { space, family, labels_at, text, cells }))
            }
            None => {
                space.refund(cost);
                None
            }
        }
    }

    /// Gives back what a series took that lost the race to be born.
    pub(crate) fn unborn(&self) {
        let cost = match &self.cells {
            Cells::Counter(slot) => {
                self.space.give_back_unused(*slot, 1);
                0
            }
            Cells::UpDown { inc, .. } => {
                self.space.give_back_unused(*inc, 2);
                0
            }
            Cells::Histogram(cells) => {
                self.space.give_back_unused(cells.header, cells.layout().header());
                size_of::<HistogramCells>() as u64
            }
            Cells::Gauge(_) => 0,
        };
        self.space.refund(FIXED_COST + self.text.len() as u64 + cost);
    }

    #[inline(always)]
    pub(crate) fn cells(&self) -> &Cells {
        &self.cells
    }

    #[inline(always)]
    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// What every line of the series begins with; see [`Series::text`] in the struct.
    #[inline(always)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The labels as rendered, own ones first.
    pub(crate) fn labels(&self) -> &str {
        &self.text[self.labels_at as usize..]
    }

    /// Whether this is the series of `values` in `family`, whose labels are `names`.
    pub(crate) fn is(&self, family: u32, names: &[Box<str>], values: &[&str]) -> bool {
        self.family == family && name::labels_are(self.labels(), names, values)
    }
}

/// The labels of one series: its family's names, a value for each, and the constant ones, rendered.
#[derive(Clone, Copy)]
pub(crate) struct Labels<'a> {
    pub(crate) names: &'a [Box<str>],
    pub(crate) values: &'a [&'a str],
    pub(crate) constant: &'a str,
}

/// What the lines of a series begin with, before it is rendered: a name, an opening, the labels with
/// a comma after each, and a close in the last comma's place.
struct Begin<'a> {
    name: &'a str,
    open: &'static str,
    labels: Labels<'a>,
    close: &'static str,
}

impl<'a> Begin<'a> {
    fn new(name: &'a str, labels: Labels<'a>, histogram: bool) -> Begin<'a> {
        let bare = labels.names.is_empty() && labels.constant.is_empty();
        let (open, close) = match (histogram, bare) {
            // `le` follows.
            (true, true) => ("_bucket{", ""),
            (true, false) => ("_bucket{", ","),
            (false, true) => ("", " "),
            (false, false) => ("{", "} "),
        };
        Begin { name, open, labels, close }
    }

    fn own(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let Labels { names, values, .. } = self.labels;
        names.iter().map(|name| &**name).zip(values.iter().copied())
    }

    /// Bytes of the text.
    fn len(&self) -> usize {
        let labels = name::labels_len(self.own()) + self.labels.constant.len();
        self.name.len() + self.open.len() + labels.saturating_sub(1) + self.close.len()
    }

    /// The text, and where in it the labels begin.
    fn render(&self) -> (Box<str>, u32) {
        let mut text = String::with_capacity(self.len() + 1);
        text.push_str(self.name);
        text.push_str(self.open);
        let labels_at = text.len();
        name::push_labels(&mut text, self.own());
        text.push_str(self.labels.constant);
        if text.len() > labels_at {
            text.pop();
        }
        text.push_str(self.close);
        (text.into_boxed_str(), labels_at as u32)
    }
}

impl HistogramCells {
    /// The first slot of an octave's run, or `Slot::NONE`.
    #[inline(always)]
    pub(crate) fn octave(&self, octave: usize) -> Slot {
        self.octaves[octave].get()
    }

    /// The first slot of an octave's run, allocated now if nobody has; briefly locks.
    pub(crate) fn octave_or_allocate(&self, octave: usize) -> Option<Slot> {
        let there = self.octave(octave);
        if there != Slot::NONE {
            return Some(there);
        }
        let cells = self.kind.layout.run(octave);
        let new = self.space.allocate(cells)?;
        match self.octaves[octave].set(new) {
            Ok(()) => Some(new),
            Err(other) => {
                self.space.give_back_unused(new, cells);
                Some(other)
            }
        }
    }

    #[inline(always)]
    pub(crate) fn layout(&self) -> &Layout {
        &self.kind.layout
    }
}

//! A metric name, its fixed label names, and its series up to a limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::cache::{self, Found, Values};
use super::exposed::Clash;
use super::handle::{Counted, Handle};
use super::histogram::{HistogramCells, HistogramKind};
use super::name::{self, LabelName, MOST_LABELS};
use super::offenders::Offender;
use super::places::{Block, PAGE, Places, Shape, Shown};
use super::removal::Retired;
use super::table::Shared;
use super::values;
use super::values::{Keeps, Looking, OTHER, OTHER_ID, Uses};
use crate::metrics::Counter;
use crate::shard::cells::Slot;
use crate::shard::held::{Hold, Orphans};
use crate::shard::index::{Index, Seen};
use crate::shard::space::{Space, common_chunk};
use crate::sync::{AtomicBool, AtomicU32, Ordering, lock};

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    /// A counter whose total is read elsewhere and set, as the processor seconds of the process.
    Observed,
    Gauge,
    /// A gauge that is always 1 and whose labels say something: OpenMetrics has a type for it.
    Info,
    UpDown,
    Histogram,
}

impl MetricKind {
    /// The type as the exposition formats call it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            MetricKind::Counter | MetricKind::Observed => "counter",
            MetricKind::Gauge | MetricKind::UpDown | MetricKind::Info => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }

    /// What OpenMetrics has its samples' names end in, and its family's name not.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            MetricKind::Counter | MetricKind::Observed => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::UpDown | MetricKind::Histogram => "",
        }
    }
}

/// Where a family counts what it could not keep as it was given.
pub(crate) struct Losses {
    /// Label sets that went to the series whose labels are all `_other`.
    pub(crate) overflow: Counter,
    /// Values that became `_other`, label by label.
    pub(crate) label_overflow: Box<[Counter]>,
    /// Label values longer than the limit.
    pub(crate) cut: Counter,
    /// Observations above the histogram's range.
    pub(crate) clamped: Counter,
    /// Values that are no number of the metric's kind: not finite, negative, or 2^63 units.
    pub(crate) refused: Counter,
    /// Observations for which `memory_limit` had no cell.
    pub(crate) lost: Counter,
    /// Records by name whose labels or kind are not the family's.
    pub(crate) mismatched: Counter,
}

/// What a family is made of; two registrations of a name must agree in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: MetricKind,
    pub(crate) labels: Vec<String>,
    pub(crate) decimals: u8,
    /// Histogram only: boundaries in the exposed unit, log2 of the cells an octave, and the
    /// highest trackable value in the integer unit.
    pub(crate) buckets: Vec<f64>,
    pub(crate) bits: u32,
    pub(crate) highest: u64,
}

/// What may differ between two registrations: the first one's stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) series: u32,
    /// Distinct values of one label.
    pub(crate) label_values: u32,
    /// In bytes.
    pub(crate) value_length: u32,
    /// Whether a series may be removed.
    pub(crate) removable: bool,
    /// Milliseconds without a change after which one goes by itself; 0 for never.
    pub(crate) idle: u32,
}

/// A name and its series. Lives in an `Arc` that the engine's table holds, and after it the
/// [`ORPHANS`], until no handle counts on it.
pub(crate) struct FamilyCore {
    /// Unlike that of any family of the process, ever: the threads' caches know it by this.
    id: u64,
    pub(crate) spec: Spec,
    /// `# HELP` and `# TYPE`, rendered once.
    head: Box<str>,
    label_names: Box<[LabelName]>,
    clash: Clash,
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Limits,
    pub(super) index: Index,
    pub(super) places: Places,
    pub(super) values: values::Values,
    pub(super) births: Mutex<Births>,
    /// Places that are not free, but for `_other`.
    pub(super) count: AtomicU32,
    /// Where this family's handles are counted: what came, and what went in the next cell.
    handles: Slot,
    orphaned: AtomicBool,
    pub(crate) losses: Arc<Losses>,
    pub(crate) histogram: Option<Arc<HistogramKind>>,
}

/// What changes when a series is born or removed, one at a time.
pub(crate) struct Births {
    pub(super) uses: Uses,
    /// Places that a removed series left.
    pub(super) free: Vec<u32>,
    next: u32,
    pub(super) retired: VecDeque<Retired>,
    /// Milliseconds of the engine's age when idle series were last looked for.
    pub(super) looked: u32,
}

impl Births {
    /// Nothing is reclaimed while somebody has the births' lock.
    pub(super) fn looking(&self) -> Looking {
        Looking::new()
    }

    fn new() -> Births {
        Births { uses: Uses::new(), free: Vec::new(), next: 0, retired: VecDeque::new(), looked: 0 }
    }
}

/// Families whose engine is gone, and handles are not.
static ORPHANS: Orphans<FamilyCore> = Orphans::new();

impl Hold for FamilyCore {
    fn space(&self) -> &Space {
        &self.shared.space
    }
    fn counts(&self) -> impl Iterator<Item = Slot> {
        // The family's own pair, and one for each place where series have their own.
        let places = if self.is_removable() { self.places.len() as u32 } else { 0 };
        let used = (0..places).filter(|&place| self.places.slot(place) != Slot::NONE);
        let own = used.map(|place| self.handles_at(place));
        own.chain([self.handles])
    }
    fn orphaned(&self) -> &AtomicBool {
        &self.orphaned
    }
    fn release_orphans() {
        ORPHANS.release();
    }
}

/// The place of the series whose labels are all `_other`; of a family without labels, its only one.
const OTHER_PLACE: u32 = 0;

impl FamilyCore {
    /// Nothing where the budget has no room for the family's first series.
    pub(crate) fn new(
        id: u64,
        spec: Spec,
        histogram: Option<Arc<HistogramKind>>,
        limits: Limits,
        shared: Arc<Shared>,
        losses: Arc<Losses>,
        clash: Clash,
    ) -> Option<FamilyCore> {
        let label_names: Box<[_]> = spec.labels.iter().map(|l| LabelName::new(l)).collect();
        let labels = label_names.len();
        let shape = Shape {
            histogram: histogram.is_some(),
            removable: limits.removable && labels > 0,
            labelled: labels > 0,
        };
        let handles = shared.space.allocate(2)?;
        // Now, because no handle may be left uncounted: not even where there is no memory.
        common_chunk(handles.chunk())?;
        let family = FamilyCore {
            id,
            head: head(&spec),
            spec,
            label_names,
            clash,
            shared,
            limits,
            index: Index::new(limits.series),
            places: Places::new(labels, shape),
            values: values::Values::new(labels),
            births: Mutex::new(Births::new()),
            count: AtomicU32::new(0),
            handles,
            orphaned: AtomicBool::new(false),
            losses,
            histogram,
        };
        let other = family.new_place(&mut lock(&family.births));
        if other.is_none() {
            family.shared.space.give_back(handles, 2);
            return None;
        }
        if labels == 0 {
            family.places.list(OTHER_PLACE);
        }
        Some(family)
    }

    /// Bytes that a family takes beside its series: itself, its texts, and its places in the table.
    pub(crate) fn cost(spec: &Spec) -> u64 {
        let name = spec.name.len();
        // Each is there as it was given and as it is used; the name in the list by name too, and the head
        // in the kept text.
        let label = |label: &String| 2 * label.len() + size_of::<String>() + size_of::<LabelName>();
        let labels: usize = spec.labels.iter().map(label).sum();
        let texts = 3 * name + 3 * spec.help.len() + 2 * head_len(name) + labels;
        let histogram = match spec.kind {
            // A boundary as a number, in the integer unit, and as its text.
            MetricKind::Histogram => size_of::<HistogramKind>() + (spec.buckets.len() + 1) * 64,
            _ => 0,
        };
        // The names of its samples, and the tables that are doubled when they are full.
        let samples = sample_names(spec).map(|sample| 2 * (sample.len() + 56)).sum::<usize>();
        let places = 2 * (size_of::<(Box<str>, usize)>() + size_of::<Arc<FamilyCore>>());
        (size_of::<FamilyCore>() + texts + histogram + samples + places) as u64
            + spec.labels.len() as u64 * values::Values::LABEL_COST
    }

    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    pub(crate) fn clash(&self) -> &Clash {
        &self.clash
    }

    pub(crate) fn label_names(&self) -> &[LabelName] {
        &self.label_names
    }

    pub(crate) fn constants(&self) -> &[(String, String)] {
        &self.shared.constants
    }

    pub(crate) fn constants_text(&self) -> &str {
        &self.shared.constants_text
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// What each block shows, all of them at one moment, for a walk that has the turn: a series that is removed
    /// and born again meanwhile stands in another place. Nothing where none can be removed.
    pub(crate) fn shown_at_once(&self, shown: &mut Vec<Shown>) {
        shown.clear();
        if self.is_removable() {
            let _births = lock(&self.births);
            let block = |block| self.places.block(block).map(Block::shown).unwrap_or_default();
            shown.extend((0..self.places.blocks()).map(block));
        }
    }

    /// The value of one label of a series.
    pub(crate) fn value<'a>(&'a self, place: u32, label: usize, keeps: &'a impl Keeps) -> &'a str {
        self.places.value(&self.values.texts, place, label, keeps)
    }

    pub(crate) fn series_count(&self) -> u32 {
        let other = self.places.block(0).map_or(0, |block| block.shown().1 & 1);
        self.count.load(Ordering::Relaxed) + other as u32
    }

    /// Most series, and most values of a label.
    pub(crate) fn limits(&self) -> (u32, u32) {
        (self.limits.series, self.limits.label_values)
    }

    /// Distinct values of a label.
    pub(crate) fn distinct(&self, label: usize) -> u32 {
        self.values.distinct(label)
    }

    /// The values of a label that went past a limit the most.
    pub(crate) fn offenders(&self, label: usize) -> Vec<Offender> {
        self.shared.offenders.heaviest(self.id, label)
    }

    /// Gives the family to whoever still counts on it: its engine is gone.
    pub(crate) fn leave(self: Arc<Self>) {
        ORPHANS.leave(self);
    }

    /// The series of `values`, one for each label name in their order. Never fails: past a limit
    /// it is one with `_other` among its labels, and that is counted.
    #[inline]
    pub(crate) fn with<const N: usize>(&self, values: &[&str; N]) -> Handle {
        if N == 0 {
            return self.only();
        }
        let found = cache::find(self.id, values);
        self.handle_of(found, || self.look_up_text(found, values))
    }

    /// [`with`](Self::with), for text that never moves: known again by where it stands.
    #[inline]
    pub(crate) fn with_static<const N: usize>(&self, values: &[&'static str; N]) -> Handle {
        if N == 0 {
            return self.only();
        }
        let found = cache::find_static(self.id, values);
        self.handle_of(found, || self.look_up_static(found, values))
    }

    /// What the thread's cache has for `values`, whether or not it still holds.
    #[inline(always)]
    pub(super) fn kept<const N: usize>(&self, values: &[&str; N]) -> Option<Found> {
        match N {
            0 => Some(self.found_at(OTHER_PLACE, 0)),
            _ => cache::find(self.id, values),
        }
    }

    /// [`kept`](Self::kept), for values whose number is not known beforehand.
    pub(super) fn kept_any(&self, values: &[&str]) -> Option<Found> {
        cache::find_any(self.id, values)
    }

    #[inline]
    fn only(&self) -> Handle {
        self.handle(OTHER_PLACE, 0)
    }

    /// The handle of `values`, for which the thread's cache had this.
    pub(super) fn handle_after(&self, found: Option<Found>, values: &[&str]) -> Handle {
        match values {
            [] => self.only(),
            values => self.look_up(found, Values::Text(values)),
        }
    }

    #[inline(never)]
    fn look_up_text(&self, found: Option<Found>, values: &[&str]) -> Counted {
        self.look_up(found, Values::Text(values)).counted()
    }

    #[inline(never)]
    fn look_up_static(&self, found: Option<Found>, values: &[&'static str]) -> Counted {
        self.look_up(found, Values::Static(values)).counted()
    }

    /// What the thread's cache has, if that still holds, or else what the index has, which the threads
    /// share.
    fn look_up(&self, found: Option<Found>, values: Values<'_>) -> Handle {
        if let Some(found) = found {
            if let Some(handle) = self.still(found) {
                return handle;
            }
            cache::forget(self.id, values);
        }
        let given = values;
        let values = given.text();
        let limit = self.limits.value_length as usize;
        if values.iter().any(|value| value.len() > limit) {
            return self.look_up_cut(values);
        }
        let hash = self.index.hash(values);
        let handle = match self.find(hash, values) {
            Ok(handle) => handle,
            Err(seen) => match self.birth(hash, values, seen) {
                Ok(handle) => handle,
                // Not kept: each time is counted, and there may be room the next time.
                Err(other) => return other,
            },
        };
        cache::keep(self.id, given, handle.found());
        handle
    }

    /// [`look_up`](Self::look_up) for values that are too long. Not kept: it is counted each time.
    #[cold]
    fn look_up_cut(&self, values: &[&str]) -> Handle {
        let mut within = [""; MOST_LABELS];
        self.losses.cut.add(self.cut(values, &mut within));
        let values = &within[..values.len()];
        let hash = self.index.hash(values);
        match self.find(hash, values) {
            Ok(handle) => handle,
            Err(seen) => self.birth(hash, values, seen).unwrap_or_else(|other| other),
        }
    }

    /// Fills in the values as they are kept; gives how many are longer than that.
    pub(super) fn cut<'a>(&self, values: &[&'a str], within: &mut [&'a str; MOST_LABELS]) -> u64 {
        let limit = self.limits.value_length as usize;
        let mut cut = 0;
        for (place, value) in within.iter_mut().zip(values) {
            *place = name::cut(value, limit);
            cut += u64::from(place.len() < value.len());
        }
        cut
    }

    /// The series of `values`, without a lock; or whether it is certain that there is none.
    #[inline]
    fn find(&self, hash: u64, values: &[&str]) -> Result<Handle, Seen> {
        let look = |looking: &Looking| self.find_while(hash, values, looking);
        self.looking(look).unwrap_or(Err(Seen::Unsure))
    }

    #[inline]
    fn find_while(&self, hash: u64, values: &[&str], looking: &Looking) -> Result<Handle, Seen> {
        match self.index.find(hash, |place| self.is(place, values, looking)) {
            Seen::Place(place) => self.revived(place, looking).ok_or(Seen::Unsure),
            none => Err(none),
        }
    }

    pub(super) fn place_of(&self, hash: u64, values: &[&str], looking: &Looking) -> Option<u32> {
        match self.index.find(hash, |place| self.is(place, values, looking)) {
            Seen::Place(place) => Some(place),
            Seen::None | Seen::Unsure => None,
        }
    }

    #[inline]
    fn is(&self, place: u32, values: &[&str], looking: &Looking) -> bool {
        let mut own = self.places.ids(place).iter();
        values.iter().all(|&value| own.next().is_some_and(|id| self.values.is(id, value, looking)))
    }

    /// A series of its own for `values`, or the one that they share with others, as an error.
    /// `seen`: what a look without the lock saw.
    #[cold]
    fn birth(&self, hash: u64, values: &[&str], seen: Seen) -> Result<Handle, Handle> {
        if values.iter().all(|&value| value == OTHER) {
            // Asked for by name: nothing went past a limit.
            self.places.list(OTHER_PLACE);
            return Ok(self.only());
        }
        let mut within = [""; MOST_LABELS];
        let within = &mut within[..values.len()];
        within.copy_from_slice(values);
        // A flood of values or sets past a limit does not come as far as the lock.
        if seen == Seen::None {
            if self.fold(within) {
                if let Ok(handle) = self.find_folded(within) {
                    return Err(handle);
                }
            } else if self.is_full() && !self.is_removable() {
                // Once more: what was counted before is found now, this very set perhaps.
                match self.find(hash, values) {
                    Ok(handle) => return Ok(handle),
                    Err(Seen::None) => return Err(self.overflow(values)),
                    Err(_) => {}
                }
            }
        }
        let mut births = lock(&self.births);
        // Somebody else may have been first, with this set or with the last value of a label.
        if within == values
            && let Ok(handle) = self.find_while(hash, values, &births.looking())
        {
            return Ok(handle);
        }
        let full = |label| self.values.distinct(label) >= self.limits.label_values;
        if self.is_removable() && (0..values.len()).any(full) {
            // Perhaps values of one that was removed wait for a scrape.
            self.reclaim_if_free(&mut births);
        }
        self.fold(within);
        if within == values {
            return self.born(&mut births, hash, values).ok_or_else(|| self.overflow(values));
        }
        if within.iter().all(|&value| value == OTHER) {
            self.places.list(OTHER_PLACE);
            return Err(self.only());
        }
        // The other labels stay true.
        let hash = self.index.hash(within);
        Err(self
            .find_while(hash, within, &births.looking())
            .ok()
            .or_else(|| self.born(&mut births, hash, within))
            .unwrap_or_else(|| self.overflow(values)))
    }

    /// Makes `_other` of the values that are past their label's limit, and counts them. Whether any
    /// is.
    fn fold(&self, values: &mut [&str]) -> bool {
        let mut over = false;
        for (label, value) in values.iter_mut().enumerate() {
            let full = self.values.distinct(label) >= self.limits.label_values;
            if full && self.values.find(label, value).is_none() {
                self.losses.label_overflow.get(label).inspect(|counter| counter.inc());
                self.note_offender(label, value);
                *value = OTHER;
                over = true;
            }
        }
        over
    }

    fn find_folded(&self, values: &[&str]) -> Result<Handle, Seen> {
        if values.iter().all(|&value| value == OTHER) {
            self.places.list(OTHER_PLACE);
            return Ok(self.only());
        }
        self.find(self.index.hash(values), values)
    }

    fn note_offender(&self, label: usize, value: &str) {
        self.shared.offenders.note(&self.shared.space, self.id, label, value);
    }

    fn is_full(&self) -> bool {
        // Acquire: whoever sees the last series counted finds it.
        self.count.load(Ordering::Acquire) >= self.limits.series
    }

    /// Makes a series that is not there; nothing past a limit.
    fn born(&self, births: &mut Births, hash: u64, values: &[&str]) -> Option<Handle> {
        if self.is_full() && self.is_removable() {
            // Perhaps one that was removed waits for a scrape.
            self.reclaim_if_free(births);
        }
        if self.is_full() {
            return None;
        }
        let cost = self.index.cost_before(hash) + self.series_cost(values);
        if !self.shared.space.charge(cost) {
            return None;
        }
        let Some(place) = births.free.pop().or_else(|| self.new_place(births)) else {
            self.shared.space.refund(cost);
            return None;
        };
        let mut ids = [OTHER_ID; MOST_LABELS];
        for (label, value) in values.iter().enumerate() {
            ids[label] = self.values.take(&mut births.uses, label, value);
        }
        self.places.set_ids(place, &ids[..values.len()]);
        self.places.life(place).inspect(|life| life.begin());
        let handle = self.revived(place, &births.looking());
        self.index.insert(hash, place, |place| self.hash_of(place, &births.looking()));
        // Release: see `is_full`.
        self.count.fetch_add(1, Ordering::Release);
        self.places.list(place);
        handle
    }

    /// Bytes that a series takes beside its place: its entry in the map, and values that are new.
    fn series_cost(&self, values: &[&str]) -> u64 {
        let new = |(label, value): &(usize, &&str)| self.values.find(*label, value).is_none();
        let values = values.iter().enumerate().filter(new);
        Index::entry_cost() + values.map(|(_, value)| values::Values::cost(value)).sum::<u64>()
    }

    pub(super) fn hash_of(&self, place: u32, keeps: &impl Keeps) -> u64 {
        let mut values = [""; MOST_LABELS];
        let values = &mut values[..self.label_names.len()];
        for (label, value) in values.iter_mut().enumerate() {
            *value = self.value(place, label, keeps);
        }
        self.index.hash(values)
    }

    /// A place that no series ever had, with cells; nothing past the budget.
    fn new_place(&self, births: &mut Births) -> Option<u32> {
        let (place, space) = (births.next, &self.shared.space);
        let block = (place as usize)
            .is_multiple_of(PAGE)
            .then(|| Places::block_cost(self.label_names.len(), self.places.shape()));
        let kind = self.histogram.as_ref();
        let cost = block.unwrap_or(0) + kind.map_or(0, |kind| HistogramCells::cost(&kind.layout));
        if !space.charge(cost) {
            return None;
        }
        let slot = space.allocate(self.cells() + if self.is_removable() { 2 } else { 0 });
        // A gauge is one word for all threads, and no handle may be left uncounted.
        let common =
            matches!(self.spec.kind, MetricKind::Gauge | MetricKind::Observed | MetricKind::Info)
                || self.is_removable();
        let slot = slot.filter(|slot| !common || common_chunk(slot.chunk()).is_some());
        let Some(slot) = slot else {
            space.refund(cost);
            return None;
        };
        if block.is_some() {
            self.places.grow();
        }
        let histogram = kind.map(|kind| Box::new(HistogramCells::new(kind, space, slot)));
        self.places.set_cells(place, slot, histogram);
        births.next += 1;
        Some(place)
    }

    pub(super) fn is_removable(&self) -> bool {
        self.places.shape().removable
    }

    /// Where the family's own handles are counted.
    pub(super) fn own_handles(&self) -> Slot {
        self.handles
    }

    /// Where the handles of a series are counted: where it may be removed, by itself.
    #[inline]
    pub(super) fn handles_at(&self, place: u32) -> Slot {
        match self.is_removable() {
            true => self.places.slot(place).offset(self.cells()),
            false => self.handles,
        }
    }

    /// Cells of one series, beside those that count its handles.
    pub(super) fn cells(&self) -> usize {
        match (&self.histogram, self.spec.kind) {
            (Some(kind), _) => kind.layout.header(),
            (None, MetricKind::UpDown) => 2,
            _ => 1,
        }
    }

    /// Whether this is the series whose labels are all `_other`, which never goes.
    pub(super) fn is_the_other(&self, place: u32) -> bool {
        place == OTHER_PLACE
    }

    /// The series that all share for which there is no place.
    fn overflow(&self, values: &[&str]) -> Handle {
        self.losses.overflow.inc();
        // Of several labels the one that brought something new.
        let new = |(label, value): &(usize, &&str)| self.values.find(*label, value).is_none();
        if let Some((label, value)) = values.iter().enumerate().find(new) {
            self.note_offender(label, value);
        }
        self.places.list(OTHER_PLACE);
        self.only()
    }
}

/// The names of the samples that a family exposes.
pub(crate) fn sample_names(spec: &Spec) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match spec.kind {
        MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
        _ => &[""],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", spec.name))
}

/// Bytes of a head beside its help text.
fn head_len(name: usize) -> usize {
    2 * name + "# HELP  \n# TYPE  histogram\n".len()
}

/// `# HELP` and `# TYPE`, rendered.
pub(crate) fn head(spec: &Spec) -> Box<str> {
    let mut head = format!("# HELP {} ", spec.name);
    name::push_escaped_help(&mut head, &spec.help);
    head.push_str("\n# TYPE ");
    head.push_str(&spec.name);
    head.push(' ');
    head.push_str(spec.kind.type_name());
    head.push('\n');
    head.into_boxed_str()
}

//! The families of an engine, published as one list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::exemplars::Exemplars;
use super::exposed::{Clash, Exposed};
use super::family::{FamilyCore, Limits, Losses, MetricKind, Spec};
use super::histogram::{BoundText, HistogramKind};
use super::key::MOST_IDS;
use super::name;
use super::offenders::Offenders;
use super::values::Turn;
use crate::Error;
use crate::clock::Clock;
use crate::encode::number;
use crate::metrics::sample::Sampler;
use crate::shard::hdr::{Layout, MOST_UNITS, MOST_WARM};
use crate::shard::held::Hold;
use crate::shard::space::Space;
use crate::sync::{AtomicU64, Ordering, lock};

/// Most boundaries one histogram family may have.
const MOST_BUCKETS: usize = 500;

/// What says whose metrics these are.
pub(crate) const TARGET_INFO: &str = "target_info";

/// The number of the next family of the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What all families of an engine share.
pub(crate) struct Shared {
    pub(crate) space: Arc<Space>,
    /// The engine's constant labels, and the same rendered.
    pub(crate) constants: Vec<(String, String)>,
    pub(crate) constants_text: String,
    pub(crate) offenders: Offenders,
    pub(crate) began: Instant,
    pub(crate) exemplars: Option<Arc<Exemplars>>,
    /// See [`Turn`].
    turn: Mutex<()>,
}

impl Shared {
    /// The engine's turn, if nobody has it.
    pub(super) fn try_turn(&self) -> Option<Turn<'_>> {
        match self.turn.try_lock() {
            Ok(guard) => Some(Turn::new(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Turn::new(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What readers see: replaced as a whole when a family is added, which is rare.
#[derive(Default)]
pub(crate) struct Families {
    pub(crate) in_order: Vec<Arc<FamilyCore>>,
    /// Where [`TARGET_INFO`] is among them.
    target: Option<usize>,
    by_name: HashMap<Box<str>, usize>,
}

impl Families {
    /// Each with its number, in the order in which all formats have them: OpenMetrics wants
    /// [`TARGET_INFO`] before all else.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (usize, &FamilyCore)> {
        let all = || self.in_order.iter().map(|family| &**family).enumerate();
        let first = self.target.map(|number| (number, &*self.in_order[number]));
        first.into_iter().chain(all().filter(|(number, _)| Some(*number) != self.target))
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

pub(crate) struct Table {
    families: ArcSwap<Families>,
    /// Held while a family is added: the names of all samples that are exposed.
    adding: Mutex<Exposed>,
    shared: Arc<Shared>,
}

impl Table {
    /// A table whose families all have these constant labels, which have been checked.
    pub(crate) fn new(space: Arc<Space>, constant: &[(String, String)]) -> Table {
        let mut text = String::new();
        name::push_labels(&mut text, constant.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        Table {
            families: ArcSwap::default(),
            adding: Mutex::default(),
            shared: Arc::new(Shared {
                space,
                constants: constant.to_vec(),
                constants_text: text,
                offenders: Offenders::default(),
                began: Instant::now(),
                exemplars: None,
                turn: Mutex::new(()),
            }),
        }
    }

    /// With exemplars, where the budget has room for them. Before any family is registered.
    pub(crate) fn with_exemplars(mut self) -> Table {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.exemplars = Exemplars::new(&shared.space).map(Arc::new);
        }
        self
    }

    pub(crate) fn exemplars(&self) -> Option<&Arc<Exemplars>> {
        self.shared.exemplars.as_ref()
    }

    /// The families as they are now; cheap, and no lock.
    pub(crate) fn families(&self) -> arc_swap::Guard<Arc<Families>> {
        self.families.load()
    }

    /// Waits for the engine's turn.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn::new(lock(&self.shared.turn))
    }

    /// Frees what was removed or has been idle, in every family, and the families of engines that are
    /// gone.
    pub(crate) fn sweep(&self, turn: &mut Turn<'_>) {
        FamilyCore::release_orphans();
        self.families().in_order.iter().for_each(|family| family.sweep(turn));
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.shared.space
    }

    /// Adds a family, or gives the one that is there if it was registered the same.
    pub(crate) fn register(
        &self,
        spec: Spec,
        limits: Limits,
        losses: impl FnOnce() -> Arc<Losses>,
    ) -> Result<Arc<FamilyCore>, Error> {
        self.check_names(&spec)?;
        let is_histogram = spec.kind == MetricKind::Histogram;

        let mut exposed = lock(&self.adding);
        if let Some(there) = self.there(&spec)? {
            return Ok(there);
        }
        exposed.check(&spec)?;
        let layout = is_histogram.then(|| layout(&spec)).transpose()?;
        let name = spec.name.clone();
        let no_room = || Error::MemoryLimit { name: name.clone(), limit: self.space().limit() };
        let cost = FamilyCore::cost(&spec);
        if !self.space().charge(cost) {
            return Err(no_room());
        }
        // Only now: what is refused leaves no series about its losses behind, but for a family that
        // takes the very last of the memory and has none for its first series.
        let losses = losses();
        let exemplars = self.shared.exemplars.clone();
        let histogram =
            layout.map(|layout| Arc::new(histogram_kind(&spec, layout, losses.clone(), exemplars)));
        let now = self.families.load();
        // Relaxed: only hands out numbers.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        // No two families may ever be the same to a thread's cache.
        if id >= MOST_IDS {
            self.space().refund(cost);
            return Err(no_room());
        }
        let (shared, clash) = (self.shared.clone(), Clash::default());
        let family = FamilyCore::new(id, spec, histogram, limits, shared, losses, clash.clone());
        let Some(family) = family.map(Arc::new) else {
            self.space().refund(cost);
            return Err(no_room());
        };
        exposed.add(&family.spec, &clash);
        let mut in_order = now.in_order.clone();
        in_order.push(family.clone());
        let mut by_name = now.by_name.clone();
        let number = now.in_order.len();
        let target = if name == TARGET_INFO { Some(number) } else { now.target };
        by_name.insert(name.into(), number);
        self.families.store(Arc::new(Families { in_order, target, by_name }));
        Ok(family)
    }

    /// Takes the names and the memory of a family that has no series here: its samples come from
    /// elsewhere.
    pub(crate) fn reserve(&self, spec: &Spec) -> Result<Clash, Error> {
        self.check_names(spec)?;
        let mut exposed = lock(&self.adding);
        exposed.check(spec)?;
        if !self.space().charge(FamilyCore::cost(spec)) {
            let (name, limit) = (spec.name.clone(), self.space().limit());
            return Err(Error::MemoryLimit { name, limit });
        }
        let clash = Clash::default();
        exposed.add(spec, &clash);
        Ok(clash)
    }

    /// Gives back what [`reserve`](Self::reserve) took.
    pub(crate) fn release(&self, spec: &Spec) {
        lock(&self.adding).remove(spec);
        self.space().refund(FamilyCore::cost(spec));
    }

    /// Whether any label value of any family went past a limit.
    pub(crate) fn has_offenders(&self) -> bool {
        !self.shared.offenders.is_empty()
    }

    /// The engine's constant labels.
    pub(crate) fn constants(&self) -> &[(String, String)] {
        &self.shared.constants
    }

    fn check_names(&self, spec: &Spec) -> Result<(), Error> {
        name::check_metric(&spec.name)?;
        let labels = spec.labels.iter().chain(self.shared.constants.iter().map(|(name, _)| name));
        let labels = labels.map(String::as_str);
        name::check_labels(&spec.name, labels, spec.kind == MetricKind::Histogram)
    }

    fn there(&self, spec: &Spec) -> Result<Option<Arc<FamilyCore>>, Error> {
        let families = self.families.load();
        let Some(index) = families.by_name(&spec.name) else { return Ok(None) };
        let there = &families.in_order[index];
        let what = match &there.spec {
            other if other.kind != spec.kind => "registered already with another type",
            other if other.help != spec.help => "registered already with another help text",
            other if other.labels != spec.labels => "registered already with another set of labels",
            other if other != spec => {
                "registered already with another set of buckets, range or unit"
            }
            _ => return Ok(Some(there.clone())),
        };
        Err(Error::Conflict { name: spec.name.clone(), what })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let families = self.families.swap(Arc::default());
        // Ours alone, but for a scrape that is just ending: then each is freed a little later.
        let in_order = match Arc::try_unwrap(families) {
            Ok(families) => families.in_order,
            Err(families) => families.in_order.clone(),
        };
        in_order.into_iter().for_each(FamilyCore::leave);
    }
}

fn layout(spec: &Spec) -> Result<Layout, Error> {
    let refuse = |rule| Error::InvalidBuckets { name: spec.name.clone(), rule };
    if spec.buckets.len() > MOST_BUCKETS {
        return Err(refuse("at most 500 boundaries"));
    }
    let mut bounds = Vec::with_capacity(spec.buckets.len());
    for &bound in &spec.buckets {
        // Observations are integers: what is at or below 2.5 is at or below 2. But 0.3 s times 10^9
        // is a float's error away from its integer, which is meant.
        let exact = bound * units_per_one(spec);
        let near = exact.round();
        let units = if (exact - near).abs() <= near * 1e-12 { near } else { exact.floor() };
        // NaN is in no range. Below 2^63, so that the cell above the last boundary exists.
        if !(0.0..9.2e18).contains(&units) {
            return Err(refuse("must be finite, not negative and below 2^63 of the integer unit"));
        }
        if bounds.last().is_some_and(|&last| units as u64 <= last) {
            return Err(refuse("must ascend, by at least one integer unit (a nanosecond)"));
        }
        bounds.push(units as u64);
    }
    if !(1..=MOST_UNITS).contains(&spec.highest) {
        let (metric, field, value) = (spec.name.clone(), "highest", spec.highest);
        return Err(Error::OutOfRange { metric, field, value, min: 1, max: MOST_UNITS });
    }
    // `le` is exact even for what is clamped: that is above every boundary.
    let highest = spec.highest.max(bounds.last().map_or(0, |&last| last + 1));
    Layout::new(spec.bits, highest, &bounds).ok_or_else(|| {
        refuse(
            "at most 64 boundaries between a value and its double, 128 among the smallest values",
        )
    })
}

fn histogram_kind(
    spec: &Spec,
    layout: Layout,
    losses: Arc<Losses>,
    exemplars: Option<Arc<Exemplars>>,
) -> HistogramKind {
    let bounds = spec.buckets.iter().map(|&bound| BoundText::new(&number::boundary(bound)));
    HistogramKind {
        sampler: Sampler::new(layout.highest().min(MOST_WARM)),
        layout,
        decimals: spec.decimals,
        units_per_one: units_per_one(spec),
        bounds_text: bounds.chain([BoundText::new("+Inf")]).collect(),
        losses,
        clock: Clock::get(),
        exemplars,
    }
}

fn units_per_one(spec: &Spec) -> f64 {
    10f64.powi(i32::from(spec.decimals))
}

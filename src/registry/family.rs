//! A metric name, its fixed label names, and its series up to a limit.

use std::sync::Arc;

use super::list::List;
use super::map::SeriesMap;
use super::name::{self, MOST_LABELS};
use super::series::{Labels, Listed, Series};
use crate::clock::Clock;
use crate::metrics::Counter;
use crate::shard::hdr::Layout;
use crate::shard::space::Space;
use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// The value that labels past a limit share.
pub(crate) const OTHER: &str = "_other";

/// What a family's series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    /// A counter whose total is read elsewhere and set, as the processor seconds of the process.
    Observed,
    Gauge,
    UpDown,
    Histogram,
}

impl MetricKind {
    /// The type as the exposition formats call it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            MetricKind::Counter | MetricKind::Observed => "counter",
            MetricKind::Gauge | MetricKind::UpDown => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// What a family's histograms share.
pub(crate) struct HistogramKind {
    pub(crate) layout: Layout,
    /// Decimals between the integer that is kept and the unit that is exposed: 9 for seconds.
    pub(crate) decimals: u8,
    /// 10^decimals.
    pub(crate) units_per_one: f64,
    /// `le="0.005"} ` for each boundary, `+Inf` last.
    pub(crate) bounds_text: Box<[Box<str>]>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) clock: Clock,
}

/// Where a family counts what it could not keep as it was given.
pub(crate) struct Losses {
    /// Label sets that went to the `_other` series.
    pub(crate) overflow: Counter,
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
    /// In bytes.
    pub(crate) value_length: u32,
}

/// What all families of an engine share.
pub(crate) struct Shared {
    pub(crate) map: SeriesMap,
    pub(crate) space: Arc<Space>,
    /// The engine's constant labels, rendered.
    pub(crate) constant: String,
}

pub(crate) struct FamilyCore {
    id: u32,
    pub(crate) spec: Spec,
    /// `# HELP` and `# TYPE`, rendered once.
    head: Box<str>,
    label_names: Box<[Box<str>]>,
    shared: Arc<Shared>,
    limits: Limits,
    count: AtomicU32,
    series: List<Listed>,
    /// The series of all label sets past a limit; of a family without labels, its only one.
    other: Arc<Series>,
    other_listed: AtomicBool,
    pub(crate) losses: Arc<Losses>,
    pub(crate) histogram: Option<Arc<HistogramKind>>,
}

impl FamilyCore {
    /// Nothing where the budget has no room for the family's first series.
    pub(crate) fn new(
        id: u32,
        spec: Spec,
        histogram: Option<Arc<HistogramKind>>,
        limits: Limits,
        shared: Arc<Shared>,
        losses: Arc<Losses>,
    ) -> Option<FamilyCore> {
        let label_names: Box<[Box<str>]> = spec.labels.iter().map(|l| l.as_str().into()).collect();
        let labels = Labels {
            names: &label_names,
            values: &[OTHER; MOST_LABELS],
            constant: &shared.constant,
        };
        let other =
            Series::new(&shared.space, id, &spec.name, labels, spec.kind, histogram.as_ref())?;
        let family = FamilyCore {
            id,
            head: head(&spec),
            spec,
            label_names,
            shared,
            limits,
            count: AtomicU32::new(0),
            series: List::new(),
            other,
            other_listed: AtomicBool::new(false),
            losses,
            histogram,
        };
        if family.label_names.is_empty() {
            family.list_other();
        }
        Some(family)
    }

    /// Bytes that a family takes beside its series: itself, its texts, and its places in the table.
    pub(crate) fn cost(spec: &Spec) -> u64 {
        let name = spec.name.len();
        // Each is there as it was given and as it is used; the name in the list by name too.
        let labels: usize = spec.labels.iter().map(|label| 2 * (label.len() + 24)).sum();
        let texts = 3 * name + 2 * spec.help.len() + head_len(name) + labels;
        let histogram = match spec.kind {
            // A boundary as a number, in the integer unit, and as its text.
            MetricKind::Histogram => size_of::<HistogramKind>() + (spec.buckets.len() + 1) * 64,
            _ => 0,
        };
        // The names of its samples, and the tables that are doubled when they are full.
        let samples = sample_names(spec).map(|sample| 2 * (sample.len() + 48)).sum::<usize>();
        let places = 2 * (size_of::<(Box<str>, usize)>() + size_of::<Arc<FamilyCore>>());
        (size_of::<FamilyCore>() + texts + histogram + samples + places) as u64
    }

    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    pub(crate) fn label_names(&self) -> &[Box<str>] {
        &self.label_names
    }

    /// The series born so far, in the order of their birth.
    pub(crate) fn series(&self) -> &List<Listed> {
        &self.series
    }

    pub(crate) fn series_count(&self) -> u32 {
        let other = self.other_listed.load(Ordering::Relaxed);
        self.count.load(Ordering::Relaxed) + u32::from(other)
    }

    /// The series of `values`, one for each label name in their order. Never fails: past a limit
    /// it is the `_other` series, and that is counted.
    pub(crate) fn with(&self, values: &[&str]) -> Arc<Series> {
        if values.is_empty() {
            return self.other.clone();
        }
        let mut within = [""; MOST_LABELS];
        let limit = self.limits.value_length as usize;
        let mut cut = 0;
        for (place, value) in within.iter_mut().zip(values) {
            *place = name::cut(value, limit);
            cut += u64::from(place.len() < value.len());
        }
        if cut > 0 {
            self.losses.cut.add(cut);
        }
        let values = &within[..values.len()];
        let hash = self.shared.map.hash(self.id, values);
        let is = |series: &Series| series.is(self.id, &self.label_names, values);
        self.shared.map.find(hash, is).unwrap_or_else(|| self.birth(hash, values))
    }

    #[cold]
    fn birth(&self, hash: u64, values: &[&str]) -> Arc<Series> {
        if values.iter().all(|&value| value == OTHER) {
            self.list_other();
            return self.other.clone();
        }
        let is = |series: &Series| series.is(self.id, &self.label_names, values);
        if self.count.load(Ordering::Relaxed) >= self.limits.series {
            // The last place may have gone to this very set since it was looked for.
            return self.shared.map.find(hash, is).unwrap_or_else(|| self.overflow());
        }
        // Rendered and allocated before the map's lock is taken: whoever is suspended inside the
        // lock holds up the others for one insertion and no more.
        let labels = Labels { names: &self.label_names, values, constant: &self.shared.constant };
        let histogram = self.histogram.as_ref();
        let (name, kind) = (&self.spec.name, self.spec.kind);
        let Some(series) = Series::new(&self.shared.space, self.id, name, labels, kind, histogram)
        else {
            return self.overflow();
        };
        // Counted under the map's lock, where it is certain that the set is new: a place that is
        // taken and given back would send another set to `_other` for good.
        match self.shared.map.insert(hash, &series, is, || self.reserve()) {
            Ok(()) => {
                self.series.push(Listed::new(series.clone()));
                series
            }
            Err(there) => {
                series.unborn();
                there.unwrap_or_else(|| self.overflow())
            }
        }
    }

    fn reserve(&self) -> bool {
        // Relaxed: only a number. The update refuses instead of overshooting.
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.limits.series).then_some(count + 1)
            })
            .is_ok()
    }

    fn overflow(&self) -> Arc<Series> {
        self.losses.overflow.inc();
        self.list_other();
        self.other.clone()
    }

    /// Shows the `_other` series from its first use on.
    fn list_other(&self) {
        // AcqRel: one thread lists it, whoever else comes at the same moment goes on.
        if !self.other_listed.swap(true, Ordering::AcqRel) {
            self.series.push(Listed::new(self.other.clone()));
        }
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

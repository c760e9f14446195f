//! `fastmetrics`: handles cloned out of its families, its text encoder into a reused `String`.
//! Labels that are looked up are a struct that derives `LabelSet`, as its documentation has them: of
//! `&'static str` where they live that long, else of `String`, because a family's key owns its text.

use std::hash::Hash;
use std::sync::Arc;

use fastmetrics::derive::LabelSet;
use fastmetrics::encoder::{EncodeLabelSet, EncodeLabelValue};
use fastmetrics::format::text::{self, TextProfile};
use fastmetrics::metrics::counter::Counter;
use fastmetrics::metrics::family::Family;
use fastmetrics::metrics::gauge::Gauge;
use fastmetrics::metrics::histogram::Histogram;
use fastmetrics::raw::LabelSetSchema;
use fastmetrics::registry::{Metric, Registry};

use super::called::{looked_up, looked_up_static, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, SECONDS, seconds, start_value};

pub(super) const NAME: &str = "fastmetrics";

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct Labels<S: EncodeLabelValue> {
    tool: S,
    operation: S,
    status: S,
}

impl<S: EncodeLabelValue> From<[S; 3]> for Labels<S> {
    fn from([tool, operation, status]: [S; 3]) -> Labels<S> {
        Labels { tool, operation, status }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct HistogramLabels<S: EncodeLabelValue> {
    tool: S,
    operation: S,
}

impl<S: EncodeLabelValue> From<[S; 2]> for HistogramLabels<S> {
    fn from([tool, operation]: [S; 2]) -> HistogramLabels<S> {
        HistogramLabels { tool, operation }
    }
}

/// What a family's labels must be.
pub(super) trait Key:
    EncodeLabelSet + LabelSetSchema + Clone + Eq + Hash + Send + Sync + 'static
{
}
impl<L: EncodeLabelSet + LabelSetSchema + Clone + Eq + Hash + Send + Sync + 'static> Key for L {}

fn registered<M: Metric + Clone + Send + Sync>(name: &str, family: M) -> (Arc<Registry>, M) {
    let mut registry = Registry::default();
    let name = name.to_owned();
    registry.register(name, work::HELP, family.clone()).expect("the name is new and valid");
    (Arc::new(registry), family)
}

pub(super) fn counter_family<L: Key>() -> (Arc<Registry>, Family<L, Counter>) {
    registered(work::COUNTER, Family::default())
}

fn histogram_family<L: Key>() -> (Arc<Registry>, Family<L, Histogram>) {
    registered(work::HISTOGRAM, Family::new(|| Histogram::new(work::BOUNDS)))
}

fn render(registry: &Registry, out: &mut String) {
    out.clear();
    text::encode(out, registry, TextProfile::PrometheusV0_0_4).expect("a String takes all");
}

pub(super) fn reader(
    registry: Arc<Registry>,
    name: &'static str,
) -> impl Fn() -> Result<Holdings, String> {
    move || {
        let mut out = String::new();
        render(&registry, &mut out);
        read_text(&out, name, 1.0)
    }
}

fn one_histogram() -> (Arc<Registry>, Histogram) {
    let (registry, family) = histogram_family::<HistogramLabels<_>>();
    (registry, family.with_or_new(&work::ONE_HISTOGRAM.into(), Histogram::clone))
}

pub fn counter(threads: usize) -> Subject {
    let (registry, family) = counter_family::<Labels<_>>();
    let handle = family.with_or_new(&work::ONE.into(), Counter::clone);
    Subject::new(NAME, runs!(threads, handle.clone(), |h| h.inc()), reader(registry, work::COUNTER))
}

pub fn gauge(threads: usize) -> Subject {
    let (registry, family) = registered(work::GAUGE, Family::<Labels<_>, Gauge>::default());
    let handle = family.with_or_new(&work::ONE.into(), Gauge::clone);
    let runs = runs!(threads, handle.clone(), |h| { h.inc(); h.dec() }, then h.inc());
    Subject::new(NAME, runs, reader(registry, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (registry, handle) = one_histogram();
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.observe(v));
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (registry, handle) = one_histogram();
    let runs = runs!(threads, handle.clone(), |h| {
        let start = std::time::Instant::now();
        h.observe(start.elapsed().as_secs_f64())
    });
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let (registry, family) = counter_family::<Labels<String>>();
    let runs = looked_up(
        threads,
        work::called_counters(sets),
        || family.clone(),
        |f, l| f.with_or_new(&l.map(str::to_owned).into(), |c| c.inc()),
    );
    Subject::new(NAME, runs, reader(registry, work::COUNTER))
}

pub fn static_counter(sets: usize, threads: usize) -> Subject {
    let (registry, family) = counter_family::<Labels<&'static str>>();
    let runs = looked_up_static(
        threads,
        work::called_counters(sets),
        || family.clone(),
        |f, l| f.with_or_new(&l.into(), |c| c.inc()),
    );
    Subject::new(NAME, runs, reader(registry, work::COUNTER))
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let (registry, family) = histogram_family::<HistogramLabels<String>>();
    let runs = observed(
        threads,
        work::called_histograms(sets),
        &SECONDS,
        || family.clone(),
        |f, l, v| f.with_or_new(&l.map(str::to_owned).into(), |h| h.observe(v)),
    );
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = counter_family::<Labels<_>>();
    let labels = work::counter_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.with_or_new(&labels.into(), Counter::clone)).collect();
    handles.iter().enumerate().for_each(|(i, handle)| handle.inc_by(start_value(i)));
    let touch = |handle: &Counter, _| handle.inc();
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = histogram_family::<HistogramLabels<_>>();
    let labels = work::histogram_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.with_or_new(&labels.into(), Histogram::clone)).collect();
    prefill(series, |series, i| handles[series].observe(seconds(i)));
    let touch = |handle: &Histogram, round| handle.observe(seconds(round));
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

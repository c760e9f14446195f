//! `prometheus-client`: handles from `get_or_create_owned`, its text encoder into a reused
//! `String`. Labels that are looked up are a struct, as its documentation recommends for speed: of
//! `&'static str` where they live that long, else of `String`, because a family's key owns its text.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::called::{looked_up, looked_up_static, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, SECONDS, seconds, start_value};

pub(super) const NAME: &str = "prometheus-client";

/// A struct of labels. The derive takes no type parameters.
macro_rules! labels {
    ($name:ident, $text:ty, $($label:ident)+) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            $($label: $text),+
        }

        impl From<[$text; [$(stringify!($label)),+].len()]> for $name {
            fn from([$($label),+]: [$text; [$(stringify!($label)),+].len()]) -> $name {
                $name { $($label),+ }
            }
        }
    };
}
labels!(Labels, &'static str, tool operation status);
labels!(OwnedLabels, String, tool operation status);
labels!(HistogramLabels, &'static str, tool operation);
labels!(OwnedHistogramLabels, String, tool operation);

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(work::BOUNDS)
    }
}

fn registered<M: Metric + Clone>(name: &str, family: M) -> (Arc<Registry>, M) {
    let mut registry = Registry::default();
    // The encoder ends the sentence by itself.
    registry.register(name, work::HELP.trim_end_matches('.'), family.clone());
    (Arc::new(registry), family)
}

pub(super) fn counter_family<L: LabelSet>() -> (Arc<Registry>, Family<L, Counter>) {
    registered(work::COUNTER_STEM, Family::default())
}

fn histogram_family<L: LabelSet>() -> (Arc<Registry>, Family<L, Histogram, Buckets>) {
    registered(work::HISTOGRAM, Family::new_with_constructor(Buckets))
}

/// What a family's labels must be.
pub(super) trait LabelSet:
    EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}
impl<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static> LabelSet for L {}

fn render(registry: &Registry, out: &mut String) {
    out.clear();
    encode(out, registry).expect("a String takes all");
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

pub fn counter(threads: usize) -> Subject {
    let (registry, family) = counter_family::<Labels>();
    let handle = family.get_or_create_owned(&work::ONE.into());
    Subject::new(NAME, runs!(threads, handle.clone(), |h| h.inc()), reader(registry, work::COUNTER))
}

pub fn gauge(threads: usize) -> Subject {
    let (registry, family) = registered(work::GAUGE, Family::<Labels, Gauge>::default());
    let handle = family.get_or_create_owned(&work::ONE.into());
    let runs = runs!(threads, handle.clone(), |h| { h.inc(); h.dec() }, then h.inc());
    Subject::new(NAME, runs, reader(registry, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (registry, family) = histogram_family::<HistogramLabels>();
    let handle = family.get_or_create_owned(&work::ONE_HISTOGRAM.into());
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.observe(v));
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (registry, family) = histogram_family::<HistogramLabels>();
    let handle = family.get_or_create_owned(&work::ONE_HISTOGRAM.into());
    let runs = runs!(threads, handle.clone(), |h| {
        let start = std::time::Instant::now();
        h.observe(start.elapsed().as_secs_f64())
    });
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let (registry, family) = counter_family::<OwnedLabels>();
    let runs = looked_up(
        threads,
        work::called_counters(sets),
        || family.clone(),
        |f, l| _ = f.get_or_create(&l.map(str::to_owned).into()).inc(),
    );
    Subject::new(NAME, runs, reader(registry, work::COUNTER))
}

pub fn static_counter(sets: usize, threads: usize) -> Subject {
    let (registry, family) = counter_family::<Labels>();
    let runs = looked_up_static(
        threads,
        work::called_counters(sets),
        || family.clone(),
        |f, l| _ = f.get_or_create(&l.into()).inc(),
    );
    Subject::new(NAME, runs, reader(registry, work::COUNTER))
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let (registry, family) = histogram_family::<OwnedHistogramLabels>();
    let runs = observed(
        threads,
        work::called_histograms(sets),
        &SECONDS,
        || family.clone(),
        |f, l, v| f.get_or_create(&l.map(str::to_owned).into()).observe(v),
    );
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = counter_family::<Labels>();
    let labels = work::counter_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.get_or_create_owned(&labels.into())).collect();
    for (i, handle) in handles.iter().enumerate() {
        handle.inc_by(start_value(i));
    }
    let touch = |handle: &Counter, _| _ = handle.inc();
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = histogram_family::<HistogramLabels>();
    let labels = work::histogram_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.get_or_create_owned(&labels.into())).collect();
    prefill(series, |series, i| handles[series].observe(seconds(i)));
    let touch = |handle: &Histogram, round| handle.observe(seconds(round));
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

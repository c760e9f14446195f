//! `prometheus-client`: handles from `get_or_create_owned`, its text encoder into a reused
//! `String`.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, seconds, start_value};

const NAME: &str = "prometheus-client";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    tool: &'static str,
    operation: &'static str,
    status: &'static str,
}

impl From<[&'static str; 3]> for Labels {
    fn from([tool, operation, status]: [&'static str; 3]) -> Labels {
        Labels { tool, operation, status }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HistogramLabels {
    tool: &'static str,
    operation: &'static str,
}

impl From<[&'static str; 2]> for HistogramLabels {
    fn from([tool, operation]: [&'static str; 2]) -> HistogramLabels {
        HistogramLabels { tool, operation }
    }
}

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

fn counter_family() -> (Arc<Registry>, Family<Labels, Counter>) {
    registered(work::COUNTER_STEM, Family::default())
}

fn histogram_family() -> (Arc<Registry>, Family<HistogramLabels, Histogram, Buckets>) {
    registered(work::HISTOGRAM, Family::new_with_constructor(Buckets))
}

fn render(registry: &Registry, out: &mut String) {
    out.clear();
    encode(out, registry).expect("a String takes all");
}

fn reader(registry: Arc<Registry>, name: &'static str) -> impl Fn() -> Result<Holdings, String> {
    move || {
        let mut out = String::new();
        render(&registry, &mut out);
        read_text(&out, name, 1.0)
    }
}

pub fn counter(threads: usize) -> Subject {
    let (registry, family) = counter_family();
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
    let (registry, family) = histogram_family();
    let handle = family.get_or_create_owned(&work::ONE_HISTOGRAM.into());
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.observe(v));
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (registry, family) = histogram_family();
    let handle = family.get_or_create_owned(&work::ONE_HISTOGRAM.into());
    let runs = runs!(threads, handle.clone(), |h| {
        let start = std::time::Instant::now();
        h.observe(start.elapsed().as_secs_f64())
    });
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = counter_family();
    let labels = work::counter_labels(series).into_iter();
    let handles: Vec<_> = labels.map(|labels| family.get_or_create_owned(&labels.into())).collect();
    for (i, handle) in handles.iter().enumerate() {
        handle.inc_by(start_value(i));
    }
    let touch = move |_| {
        for handle in &handles {
            handle.inc();
        }
    };
    Texts::boxed(NAME, touch, move |out: &mut String| render(&registry, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = histogram_family();
    let labels = work::histogram_labels(series).into_iter();
    let handles: Vec<_> = labels.map(|labels| family.get_or_create_owned(&labels.into())).collect();
    prefill(series, |series, i| handles[series].observe(seconds(i)));
    let touch = move |round| handles.iter().for_each(|handle| handle.observe(seconds(round)));
    Texts::boxed(NAME, touch, move |out: &mut String| render(&registry, out))
}

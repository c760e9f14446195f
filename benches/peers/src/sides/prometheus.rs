//! `prometheus` without its protobuf feature: handles from `with_label_values`, and the text
//! encoder into a reused `String`.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::called::{looked_up, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, SECONDS, seconds, start_value};

const NAME: &str = "prometheus";

fn registered<C: Collector + Clone + 'static>(family: C) -> (Registry, C) {
    let registry = Registry::new();
    registry.register(Box::new(family.clone())).expect("the name is new");
    (registry, family)
}

fn counter_vec() -> (Registry, IntCounterVec) {
    let opts = Opts::new(work::COUNTER, work::HELP);
    registered(IntCounterVec::new(opts, &work::LABELS).expect("the names are valid"))
}

fn gauge_vec() -> (Registry, IntGaugeVec) {
    let opts = Opts::new(work::GAUGE, work::HELP);
    registered(IntGaugeVec::new(opts, &work::LABELS).expect("the names are valid"))
}

fn histogram_vec() -> (Registry, HistogramVec) {
    let opts = HistogramOpts::new(work::HISTOGRAM, work::HELP).buckets(work::BOUNDS.to_vec());
    registered(HistogramVec::new(opts, &work::HISTOGRAM_LABELS).expect("the names are valid"))
}

fn render(registry: &Registry, out: &mut String) {
    out.clear();
    TextEncoder::new().encode_utf8(&registry.gather(), out).expect("a String takes all");
}

fn reader(registry: Registry, name: &'static str) -> impl Fn() -> Result<Holdings, String> {
    move || {
        let mut out = String::new();
        render(&registry, &mut out);
        read_text(&out, name, 1.0)
    }
}

pub fn counter(threads: usize) -> Subject {
    let (registry, family) = counter_vec();
    let handle = family.with_label_values(&work::ONE);
    Subject::new(NAME, runs!(threads, handle.clone(), |h| h.inc()), reader(registry, work::COUNTER))
}

/// The unsynchronised counter, which nobody sees before it is flushed: here, as a run ends.
pub fn local_counter(threads: usize) -> Subject {
    let (registry, family) = counter_vec();
    let handle = family.with_label_values(&work::ONE);
    let runs = runs!(threads, handle.local(), |h| h.inc(), then h.flush());
    let read = reader(registry, work::COUNTER);
    Subject { prompt: false, ..Subject::new("prometheus-local", runs, read) }
}

pub fn gauge(threads: usize) -> Subject {
    let (registry, family) = gauge_vec();
    let handle = family.with_label_values(&work::ONE);
    let runs = runs!(threads, handle.clone(), |h| { h.inc(); h.dec() }, then h.inc());
    Subject::new(NAME, runs, reader(registry, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (registry, family) = histogram_vec();
    let handle = family.with_label_values(&work::ONE_HISTOGRAM);
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.observe(v));
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (registry, family) = histogram_vec();
    let handle = family.with_label_values(&work::ONE_HISTOGRAM);
    let runs = runs!(threads, handle.clone(), |h| h.start_timer().observe_duration());
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let (registry, family) = counter_vec();
    let sets = work::called_counters(sets);
    let runs = looked_up(threads, sets, || family.clone(), |f, l| f.with_label_values(&l).inc());
    Subject::new(NAME, runs, reader(registry, work::COUNTER))
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let (registry, family) = histogram_vec();
    let sets = work::called_histograms(sets);
    let call = |f: &HistogramVec, l: [&str; 2], v| f.with_label_values(&l).observe(v);
    let runs = observed(threads, sets, &SECONDS, || family.clone(), call);
    Subject::new(NAME, runs, reader(registry, work::HISTOGRAM))
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = counter_vec();
    let labels = work::counter_labels(series);
    let handles: Vec<_> = labels.iter().map(|labels| family.with_label_values(labels)).collect();
    handles.iter().enumerate().for_each(|(i, handle)| handle.inc_by(start_value(i)));
    let touch = |handle: &IntCounter, _| handle.inc();
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let (registry, family) = histogram_vec();
    let labels = work::histogram_labels(series);
    let handles: Vec<_> = labels.iter().map(|labels| family.with_label_values(labels)).collect();
    prefill(series, |series, i| handles[series].observe(seconds(i)));
    let touch = |handle: &Histogram, round| handle.observe(seconds(round));
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&registry, out))
}

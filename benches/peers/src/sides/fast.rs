//! `fast-telemetry`: series handles of its dynamic metrics, a shard for each core, and its text
//! export into a reused `String`. Its histograms hold integers, so it counts and shows
//! nanoseconds. It has no up-down gauge and tells users to take a counter and negative additions.

use std::sync::Arc;

use fast_telemetry::{
    Distribution, DynamicCounter, DynamicCounterSeries, DynamicHistogram, DynamicHistogramSeries,
    PrometheusExport, SampledTimer,
};

use super::called::{looked_up, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, Point, join_labels, read_text};
use crate::work::{self, BOUNDS_NANOS, NANOS, nanos, start_value};

pub(super) const NAME: &str = "fast-telemetry";
const NANOS_PER_SECOND: f64 = 1e9;

pub(super) fn shards() -> usize {
    std::thread::available_parallelism().map_or(4, usize::from)
}

fn pairs<'a, const N: usize>(names: [&'a str; N], values: [&'a str; N]) -> [(&'a str, &'a str); N] {
    std::array::from_fn(|i| (names[i], values[i]))
}

fn histogram_family(series: usize) -> Arc<DynamicHistogram> {
    Arc::new(DynamicHistogram::with_limits(&BOUNDS_NANOS, shards(), series + 1))
}

fn render(family: &impl PrometheusExport, name: &str, out: &mut String) {
    out.clear();
    family.export_prometheus(out, name, work::HELP);
}

fn reader<F: PrometheusExport>(
    family: Arc<F>,
    name: &'static str,
) -> impl Fn() -> Result<Holdings, String> {
    move || {
        let mut out = String::new();
        render(&*family, name, &mut out);
        read_text(&out, name, NANOS_PER_SECOND)
    }
}

pub fn counter(threads: usize) -> Subject {
    let family = Arc::new(DynamicCounter::new(shards()));
    let handle = family.series(&pairs(work::LABELS, work::ONE));
    let runs = runs!(threads, handle.clone(), |h| h.inc());
    Subject::new(NAME, runs, reader(family, work::COUNTER))
}

pub fn updown(threads: usize) -> Subject {
    let family = Arc::new(DynamicCounter::new(shards()));
    let handle = family.series(&pairs(work::LABELS, work::ONE));
    let runs = runs!(threads, handle.clone(), |h| { h.add(1); h.add(-1) }, then h.add(1));
    Subject::new(NAME, runs, reader(family, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let family = histogram_family(1);
    let handle = family.series(&pairs(work::HISTOGRAM_LABELS, work::ONE_HISTOGRAM));
    let runs = runs!(threads, handle.clone(), NANOS, |h, v| h.record(v));
    Subject::new(NAME, runs, reader(family, work::HISTOGRAM))
}

/// Buckets of a factor of two, and no boundaries to choose: it keeps a sum, so it takes part.
pub fn distribution(threads: usize) -> Subject {
    let handle = Arc::new(Distribution::new(shards()));
    let runs = runs!(threads, Arc::clone(&handle), NANOS, |h, v| h.record(v));
    let read = move || {
        let (sum, count) = handle.sum_and_count();
        let sum = Some(sum as f64 / NANOS_PER_SECOND);
        let labels = join_labels(pairs(work::HISTOGRAM_LABELS, work::ONE_HISTOGRAM).to_vec());
        Ok(Holdings::from([(labels, Point { value: count as f64, sum, buckets: None })]))
    };
    Subject::new("fast-telemetry-distribution", runs, read)
}

pub fn timer(threads: usize) -> Subject {
    let family = histogram_family(1);
    let handle = family.series(&pairs(work::HISTOGRAM_LABELS, work::ONE_HISTOGRAM));
    let runs = runs!(threads, handle.clone(), |h| {
        let start = std::time::Instant::now();
        h.record(start.elapsed().as_nanos() as u64)
    });
    Subject::new(NAME, runs, reader(family, work::HISTOGRAM))
}

/// A timer that reads the clock for one section in so many: its stride is 65,536, as ours.
pub fn sampled_timer(threads: usize) -> Subject {
    let timer = Arc::new(SampledTimer::new(&BOUNDS_NANOS, shards(), 65_536));
    let runs = runs!(threads, Arc::clone(&timer), |t| t.start().finish());
    Subject::new(NAME, runs, || Ok(Holdings::new()))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let family = Arc::new(DynamicCounter::with_max_series(shards(), sets + 1));
    let handle = || Arc::clone(&family);
    let call = |f: &Arc<DynamicCounter>, l: [&str; 3]| f.inc(&pairs(work::LABELS, l));
    let runs = looked_up(threads, work::called_counters(sets), handle, call);
    Subject::new(NAME, runs, reader(family, work::COUNTER))
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let family = histogram_family(sets);
    let handle = || Arc::clone(&family);
    let call = |f: &Arc<DynamicHistogram>, l: [&str; 2], v| {
        f.record(&pairs(work::HISTOGRAM_LABELS, l), v);
    };
    let runs = observed(threads, work::called_histograms(sets), &NANOS, handle, call);
    Subject::new(NAME, runs, reader(family, work::HISTOGRAM))
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let family = DynamicCounter::with_max_series(shards(), series + 1);
    let labels = work::counter_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.series(&pairs(work::LABELS, labels))).collect();
    handles.iter().enumerate().for_each(|(i, handle)| handle.add(start_value(i) as isize));
    let touch = |handle: &DynamicCounterSeries, _| handle.inc();
    Texts::boxed(NAME, handles, touch, move |out: &mut String| render(&family, work::COUNTER, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let family = histogram_family(series);
    let labels = work::histogram_labels(series).iter();
    let handles: Vec<_> =
        labels.map(|&labels| family.series(&pairs(work::HISTOGRAM_LABELS, labels))).collect();
    prefill(series, |series, i| handles[series].record(nanos(i)));
    let touch = |handle: &DynamicHistogramSeries, round| handle.record(nanos(round));
    let render = move |out: &mut String| render(&*family, work::HISTOGRAM, out);
    Texts::boxed_in(NANOS_PER_SECOND, NAME, handles, touch, render)
}

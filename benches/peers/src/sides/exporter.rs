//! `metrics` with `metrics-exporter-prometheus`: handles kept from the macros, `render`, and
//! upkeep between bursts, as the exporter's documentation asks for: recorded histogram values queue
//! until it, or a scrape, sorts them into buckets. Labels that are looked up go through the macros
//! at each call; a label that is not `'static` has to be a `String`.

use std::sync::Arc;
use std::time::Instant;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::called::{looked_up, looked_up_static, observed};
use super::{Run, Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, SECONDS, seconds, start_value};

const NAME: &str = "metrics";

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new().set_buckets(&work::BOUNDS).expect("there are bounds");
    builder.build_recorder()
}

/// What `make` registers, under a recorder of its own.
fn recorded<T>(make: impl FnOnce() -> T) -> (PrometheusHandle, T) {
    let recorder = recorder();
    let made = metrics::with_local_recorder(&recorder, make);
    (recorder.handle(), made)
}

fn counter_of(labels: [&'static str; 3]) -> metrics::Counter {
    let [tool, operation, status] = labels;
    metrics::counter!(work::COUNTER, "tool" => tool, "operation" => operation, "status" => status)
}

fn one_gauge() -> metrics::Gauge {
    let [tool, operation, status] = work::ONE;
    metrics::gauge!(work::GAUGE, "tool" => tool, "operation" => operation, "status" => status)
}

fn histogram_of(labels: [&'static str; 2]) -> metrics::Histogram {
    let [tool, operation] = labels;
    metrics::histogram!(work::HISTOGRAM, "tool" => tool, "operation" => operation)
}

fn reader(
    exporter: PrometheusHandle,
    name: &'static str,
) -> impl Fn() -> Result<Holdings, String> + 'static {
    move || read_text(&exporter.render(), name, 1.0)
}

pub fn counter(threads: usize) -> Subject {
    let (exporter, handle) = recorded(|| counter_of(work::ONE));
    let runs = runs!(threads, handle.clone(), |h| h.increment(1));
    Subject::new(NAME, runs, reader(exporter, work::COUNTER))
}

pub fn gauge(threads: usize) -> Subject {
    let (exporter, handle) = recorded(one_gauge);
    let runs = runs!(threads, handle.clone(), |h| { h.increment(1.0); h.decrement(1.0) },
        then h.increment(1.0));
    Subject::new(NAME, runs, reader(exporter, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (exporter, handle) = recorded(|| histogram_of(work::ONE_HISTOGRAM));
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.record(v));
    let upkeep = exporter.clone();
    Subject::new(NAME, runs, reader(exporter, work::HISTOGRAM)).upkeep(move || upkeep.run_upkeep())
}

pub fn timer(threads: usize) -> Subject {
    let (exporter, handle) = recorded(|| histogram_of(work::ONE_HISTOGRAM));
    let runs = runs!(threads, handle.clone(), |h| {
        let start = Instant::now();
        h.record(start.elapsed())
    });
    let upkeep = exporter.clone();
    Subject::new(NAME, runs, reader(exporter, work::HISTOGRAM)).upkeep(move || upkeep.run_upkeep())
}

/// Runs whose macros find `recorder`.
fn under(recorder: PrometheusRecorder, runs: Vec<Run>) -> Vec<Run> {
    let recorder = Arc::new(recorder);
    let under = |mut run: Run| -> Run {
        let recorder = Arc::clone(&recorder);
        Box::new(move |calls| metrics::with_local_recorder(&*recorder, || run(calls)))
    };
    runs.into_iter().map(under).collect()
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let recorder = recorder();
    let read = reader(recorder.handle(), work::COUNTER);
    let call = |(): &(), labels: [&str; 3]| {
        let [tool, operation, status] = labels.map(str::to_owned);
        let counter = metrics::counter!(
            work::COUNTER, "tool" => tool, "operation" => operation, "status" => status
        );
        counter.increment(1);
    };
    let runs = looked_up(threads, work::called_counters(sets), || (), call);
    Subject::new(NAME, under(recorder, runs), read)
}

pub fn static_counter(sets: usize, threads: usize) -> Subject {
    let recorder = recorder();
    let read = reader(recorder.handle(), work::COUNTER);
    let call = |(): &(), labels| counter_of(labels).increment(1);
    let runs = looked_up_static(threads, work::called_counters(sets), || (), call);
    Subject::new(NAME, under(recorder, runs), read)
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let recorder = recorder();
    let read = reader(recorder.handle(), work::HISTOGRAM);
    let upkeep = recorder.handle();
    let call = |(): &(), labels: [&str; 2], value: f64| {
        let [tool, operation] = labels.map(str::to_owned);
        metrics::histogram!(work::HISTOGRAM, "tool" => tool, "operation" => operation)
            .record(value);
    };
    let runs = observed(threads, work::called_histograms(sets), &SECONDS, || (), call);
    Subject::new(NAME, under(recorder, runs), read).upkeep(move || upkeep.run_upkeep())
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    let (exporter, handles) = recorded(|| {
        metrics::describe_counter!(work::COUNTER, work::HELP);
        let labels = work::counter_labels(series).iter();
        labels.copied().map(counter_of).collect::<Vec<_>>()
    });
    handles.iter().enumerate().for_each(|(i, handle)| handle.increment(start_value(i)));
    let touch = |handle: &metrics::Counter, _| handle.increment(1);
    Texts::boxed(NAME, handles, touch, move |out: &mut String| *out = exporter.render())
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let (exporter, handles) = recorded(|| {
        metrics::describe_histogram!(work::HISTOGRAM, work::HELP);
        let labels = work::histogram_labels(series).iter();
        labels.copied().map(histogram_of).collect::<Vec<_>>()
    });
    prefill(series, |series, i| handles[series].record(seconds(i)));
    exporter.run_upkeep();
    let touch = |handle: &metrics::Histogram, round| handle.record(seconds(round));
    Texts::boxed(NAME, handles, touch, move |out: &mut String| *out = exporter.render())
}

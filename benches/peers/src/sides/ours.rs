//! mcp-vitals: handles from `Family::with`, and `scrape_into` a reused buffer.

use std::hint::black_box;

use mcp_vitals::{Counter, Desc, Family, Histogram, Metric, UpDown, Vitals};

use super::called::{looked_up, looked_up_static, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, Point, read_text};
use crate::work::{self, NANOS, nanos, start_value};

/// The name of our side: it is the one that the others are compared with.
pub const NAME: &str = "mcp-vitals";

const MEMORY: u64 = 4 << 30;

pub(super) fn engine(series: usize) -> Vitals {
    let limit = u32::try_from(series.max(1)).expect("a modest number of series");
    let builder = Vitals::builder().service("peers", "0").memory_limit(MEMORY);
    builder.series_limit(limit).system_metrics(false).build().expect("the settings are valid")
}

fn counter_family(vitals: &Vitals) -> Family<Counter, 3> {
    let desc = Desc::counter(work::COUNTER, work::HELP).labels(work::LABELS);
    vitals.register(desc).expect("the name is new")
}

fn updown_family(vitals: &Vitals) -> Family<UpDown, 3> {
    let desc = Desc::updown(work::GAUGE, work::HELP).labels(work::LABELS);
    vitals.register(desc).expect("the name is new")
}

fn histogram_family(vitals: &Vitals) -> Family<Histogram, 2> {
    let desc = Desc::histogram(work::HISTOGRAM, work::HELP).labels(work::HISTOGRAM_LABELS);
    vitals.register(desc.buckets(&work::BOUNDS)).expect("the name is new")
}

pub(super) fn reader(vitals: Vitals, name: &'static str) -> impl Fn() -> Result<Holdings, String> {
    move || read_text(&vitals.export_prometheus(), name, 1.0)
}

/// One counter, and the engine that must outlive its use.
pub fn one_counter() -> (Vitals, Counter) {
    let vitals = engine(1);
    let handle = counter_family(&vitals).with(work::ONE);
    (vitals, handle)
}

/// A family of counters with room for so many series, and its engine.
pub fn counters_for(series: usize) -> (Vitals, Family<Counter, 3>) {
    let vitals = engine(series);
    let family = counter_family(&vitals);
    (vitals, family)
}

/// The sum over all series of that family, by the text.
pub fn total(vitals: &Vitals) -> f64 {
    let held = read_text(&vitals.export_prometheus(), work::COUNTER, 1.0).unwrap_or_default();
    held.values().map(|point| point.value).sum()
}

/// One up-down gauge.
pub fn one_updown() -> (Vitals, UpDown) {
    let vitals = engine(1);
    let handle = updown_family(&vitals).with(work::ONE);
    (vitals, handle)
}

/// One histogram.
pub fn one_histogram() -> (Vitals, Histogram) {
    let vitals = engine(1);
    let handle = histogram_family(&vitals).with(work::ONE_HISTOGRAM);
    (vitals, handle)
}

pub fn counter(threads: usize) -> Subject {
    let (vitals, handle) = one_counter();
    let runs = runs!(threads, handle.clone(), |h| h.inc());
    Subject::new(NAME, runs, reader(vitals, work::COUNTER))
}

pub fn updown(threads: usize) -> Subject {
    let (vitals, handle) = one_updown();
    let runs = runs!(threads, handle.clone(), |h| { h.inc(); h.dec() }, then h.inc());
    Subject::new(NAME, runs, reader(vitals, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (vitals, handle) = one_histogram();
    let runs = runs!(threads, handle.clone(), NANOS, |h, v| h.record_nanos(v));
    Subject::new(NAME, runs, reader(vitals, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (vitals, handle) = one_histogram();
    let runs = runs!(threads, handle.clone(), |h| h.start_timer().stop());
    Subject::new(NAME, runs, reader(vitals, work::HISTOGRAM))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let vitals = engine(sets);
    let family = counter_family(&vitals);
    let call = |f: &Family<Counter, 3>, l: [&str; 3]| f.with(l).inc();
    let runs = looked_up(threads, work::called_counters(sets), || family.clone(), call);
    Subject::new(NAME, runs, reader(vitals, work::COUNTER))
}

/// The metric is found once, its labels at each call by name.
pub fn named_counter(sets: usize, threads: usize) -> Subject {
    let vitals = engine(sets);
    counter_family(&vitals);
    let metric = vitals.metric(work::COUNTER).expect("it is registered");
    let call = |m: &Metric, [tool, operation, status]: [&str; 3]| {
        m.inc(&[("tool", tool), ("operation", operation), ("status", status)]);
    };
    let runs = looked_up(threads, work::called_counters(sets), || metric.clone(), call);
    Subject::new(NAME, runs, reader(vitals, work::COUNTER))
}

pub fn static_counter(sets: usize, threads: usize) -> Subject {
    let vitals = engine(sets);
    let family = counter_family(&vitals);
    let call = |f: &Family<Counter, 3>, l| f.with_static(l).inc();
    let runs = looked_up_static(threads, work::called_counters(sets), || family.clone(), call);
    Subject::new(NAME, runs, reader(vitals, work::COUNTER))
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let vitals = engine(sets);
    let family = histogram_family(&vitals);
    let call = |f: &Family<Histogram, 2>, l: [&str; 2], v| f.with(l).record_nanos(v);
    let handle = || family.clone();
    let runs = observed(threads, work::called_histograms(sets), &NANOS, handle, call);
    Subject::new(NAME, runs, reader(vitals, work::HISTOGRAM))
}

fn render(vitals: &Vitals, out: &mut Vec<u8>) {
    out.clear();
    vitals.scrape_into(out);
}

/// One timed section in so many is kept: nearly all are passed over.
const PASSED_OVER: u32 = 65_536;

/// What it holds can't be known, but for a few in so many calls it is nothing.
pub fn sampled_timer(threads: usize) -> Subject {
    let vitals = engine(1);
    let desc = Desc::histogram(work::HISTOGRAM, work::HELP).labels(work::HISTOGRAM_LABELS);
    let family = vitals.register(desc.buckets(&work::BOUNDS).sample(PASSED_OVER));
    let handle = family.expect("the name is new").with(work::ONE_HISTOGRAM);
    let runs = runs!(threads, handle.clone(), |h| h.start_timer().stop());
    let read = reader(vitals, work::HISTOGRAM);
    let whole = |point: &Point| point.value % f64::from(PASSED_OVER) == 0.0;
    Subject::new(NAME, runs, move || match read()?.into_values().all(|point| whole(&point)) {
        true => Ok(Holdings::new()),
        false => Err("a section that was kept doesn't weigh what it should".into()),
    })
}

pub fn counters(series: usize) -> Box<dyn Scraped> {
    counters_of(&engine(series), series)
}

/// The same, their text handed out in slices as it stands.
pub fn streamed_counters(series: usize) -> Box<dyn Scraped> {
    let vitals = engine(series);
    Box::new(Streamed { texts: counters_of(&vitals, series), vitals, text: Vec::new() })
}

struct Streamed {
    vitals: Vitals,
    texts: Box<dyn Scraped>,
    text: Vec<u8>,
}

impl Scraped for Streamed {
    fn name(&self) -> &'static str {
        self.texts.name()
    }

    fn touch(&mut self, round: usize, every: usize) {
        self.texts.touch(round, every);
    }

    fn scrape(&mut self) -> &[u8] {
        self.text.clear();
        self.vitals.scrape_with(|text| self.text.extend_from_slice(text));
        &self.text
    }

    fn hand_out(&mut self) -> usize {
        let mut bytes = 0;
        self.vitals.scrape_with(|text| bytes += black_box(text).len());
        bytes
    }

    fn per_second(&self) -> f64 {
        self.texts.per_second()
    }

    fn held(&self) -> usize {
        self.texts.held() + self.text.capacity()
    }
}

fn counters_of(vitals: &Vitals, series: usize) -> Box<dyn Scraped> {
    let vitals = vitals.clone();
    let family = counter_family(&vitals);
    let labels = work::counter_labels(series).iter();
    let handles: Vec<_> = labels.map(|&labels| family.with(labels)).collect();
    handles.iter().enumerate().for_each(|(i, handle)| handle.add(start_value(i)));
    let touch = |handle: &Counter, _| handle.inc();
    Texts::boxed(NAME, handles, touch, move |out: &mut Vec<u8>| render(&vitals, out))
}

pub fn histograms(series: usize) -> Box<dyn Scraped> {
    let vitals = engine(series);
    let family = histogram_family(&vitals);
    let labels = work::histogram_labels(series).iter();
    let handles: Vec<_> = labels.map(|&labels| family.with(labels)).collect();
    prefill(series, |series, i| handles[series].record_nanos(nanos(i)));
    let touch = |handle: &Histogram, round| handle.record_nanos(nanos(round));
    Texts::boxed(NAME, handles, touch, move |out: &mut Vec<u8>| render(&vitals, out))
}

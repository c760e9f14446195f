//! What all sides of a figure must hold after the same work.

use crate::sides::touched;
use crate::totals::{Holdings, Point, expected_histogram, join_labels};
use crate::work;

/// Of so many calls of each of so many threads, by handle.
pub type Totals = fn(calls: u64, threads: usize) -> Holdings;
/// The same, by labels looked up among so many sets.
pub type CalledTotals = fn(sets: usize, calls: u64, threads: usize) -> Holdings;

/// Which text.
#[derive(Clone, Copy)]
pub enum Exposed {
    /// Counters, from [`work::start_value`] on.
    Counters,
    /// Histograms, prefilled.
    Histograms,
}

/// A counter that every call added one to.
pub fn counted(calls: u64, threads: usize) -> Holdings {
    one(Point { value: (calls * threads as u64) as f64, ..Point::default() })
}

/// One a run is left, because a run of incs and decs ends with one more inc.
pub fn left_over(_: u64, threads: usize) -> Holdings {
    one(Point { value: threads as f64, ..Point::default() })
}

/// A histogram that was fed the values, by every thread from the first on.
pub fn observed(calls: u64, threads: usize) -> Holdings {
    one_histogram(expected_histogram(0, calls as usize, threads))
}

/// Nobody knows beforehand how long it will have taken.
pub fn timed(calls: u64, threads: usize) -> Holdings {
    one_histogram(Point { value: (calls * threads as u64) as f64, ..Point::default() })
}

/// Nobody knows at all.
pub fn unknown(_: u64, _: usize) -> Holdings {
    Holdings::new()
}

fn one(point: Point) -> Holdings {
    Holdings::from([(labels(&work::LABELS, &work::ONE), point)])
}

fn one_histogram(point: Point) -> Holdings {
    Holdings::from([(labels(&work::HISTOGRAM_LABELS, &work::ONE_HISTOGRAM), point)])
}

fn labels(names: &[&str], values: &[&str]) -> String {
    join_labels(names.iter().copied().zip(values.iter().copied()).collect())
}

/// Counters that each call added one to, the next of the sets in turn.
pub fn called_counters(sets: usize, calls: u64, threads: usize) -> Holdings {
    let labels_of = |set: usize| labels(&work::LABELS, &work::called_counters(sets)[set]);
    called(sets, calls, threads, labels_of, |point, _| point.value += 1.0)
}

/// Counters whose labels are enums.
pub fn called_enums(sets: usize, calls: u64, threads: usize) -> Holdings {
    let order = work::called_enums();
    let labels_of = |set: usize| {
        let values: Vec<_> = (0..3).map(|i| work::ENUM_VALUES[i][order[set][i]]).collect();
        labels(&work::LABELS, &values)
    };
    called(sets, calls, threads, labels_of, |point, _| point.value += 1.0)
}

/// Histograms that each call fed the next value, the next of the sets in turn.
pub fn called_histograms(sets: usize, calls: u64, threads: usize) -> Holdings {
    let labels_of =
        |set: usize| labels(&work::HISTOGRAM_LABELS, &work::called_histograms(sets)[set]);
    called(sets, calls, threads, labels_of, |point, call| {
        if point.buckets.is_none() {
            *point = expected_histogram(call, 0, 1);
        }
        add(point, &expected_histogram(call, 1, 1));
    })
}

fn called(
    sets: usize,
    calls: u64,
    threads: usize,
    labels_of: impl Fn(usize) -> String,
    mut call: impl FnMut(&mut Point, usize),
) -> Holdings {
    let mut points = vec![None; sets];
    for thread in 0..threads {
        let start = work::called_start(sets, thread, threads);
        for i in 0..calls as usize {
            call(points[(start + i) % sets].get_or_insert_default(), i);
        }
    }
    let points = points.into_iter().enumerate();
    points.filter_map(|(set, point)| Some((labels_of(set), point?))).collect()
}

/// What the text of so many series must say after `touches`: the round and every how many series
/// of each.
pub fn text(series: usize, kind: Exposed, touches: &[(usize, usize)]) -> Holdings {
    let rounds = |i| touches.iter().filter(move |&&(round, every)| touched(round, every)(i));
    match kind {
        Exposed::Counters => work::counter_labels(series)
            .iter()
            .enumerate()
            .map(|(i, values)| {
                let value = (work::start_value(i) + rounds(i).count() as u64) as f64;
                (labels(&work::LABELS, values), Point { value, ..Point::default() })
            })
            .collect(),
        Exposed::Histograms => work::histogram_labels(series)
            .iter()
            .enumerate()
            .map(|(i, values)| {
                let mut point = expected_histogram(work::prefill_start(i), work::PREFILL, 1);
                rounds(i).for_each(|&(round, _)| add(&mut point, &expected_histogram(round, 1, 1)));
                (labels(&work::HISTOGRAM_LABELS, values), point)
            })
            .collect(),
    }
}

fn add(point: &mut Point, other: &Point) {
    point.value += other.value;
    point.sum = point.sum.zip(other.sum).map(|(a, b)| a + b);
    let both = point.buckets.iter_mut().flatten().zip(other.buckets.iter().flatten());
    both.for_each(|(count, more)| count.1 += more.1);
}

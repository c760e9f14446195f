//! Latency by name.

use hdrhistogram::Histogram;

use super::SpanData;
use super::tree::Node;

/// What the spans of one name and service took. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameStats<'a> {
    /// What was done.
    pub name: &'a str,
    /// Who did it.
    pub service: &'a str,
    /// How many spans.
    pub count: u64,
    /// How many of them failed.
    pub failures: u64,
    /// All their durations together; where they overlap, more than went by.
    pub total_nanos: u64,
    /// What of it was not their children's.
    pub self_nanos: u64,
    /// What of it was waited for: on the critical paths of their traces.
    pub path_nanos: u64,
    /// Half of them took at most this. Exact up to 999 spans, else to 0.1 %.
    pub p50_nanos: u64,
    /// Nine tenths of them.
    pub p90_nanos: u64,
    /// All but one in a hundred.
    pub p99_nanos: u64,
    /// The longest.
    pub max_nanos: u64,
}

/// From so many on a histogram counts them: below it, emptying it would cost more than to sort.
const MANY: usize = 1_000;

pub(super) fn of<'a>(spans: &'a [SpanData], nodes: &[Node]) -> Vec<NameStats<'a>> {
    let key = |at: usize| (&*spans[at].name, &*spans[at].service);
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_unstable_by_key(|&at| (key(at), nodes[at].end - nodes[at].start));
    let mut histogram = None;
    let mut all: Vec<NameStats<'a>> = order
        .chunk_by(|one, next| key(*one) == key(*next))
        .filter_map(|group| {
            let took = |&at: &usize| nodes[at].end - nodes[at].start;
            let sum = |nanos: fn(&Node) -> u64| {
                group.iter().fold(0u64, |sum, &at| sum.saturating_add(nanos(&nodes[at])))
            };
            let (name, service) = key(*group.first()?);
            let [p50_nanos, p90_nanos, p99_nanos] = match group.len() < MANY {
                true => [50, 90, 99].map(|percent| took(&group[rank(group.len(), percent)])),
                false => quantiles(&mut histogram, group.iter().map(took)),
            };
            Some(NameStats {
                name,
                service,
                count: group.len() as u64,
                failures: group.iter().filter(|&&at| spans[at].failed).count() as u64,
                total_nanos: sum(|node| node.end - node.start),
                self_nanos: sum(|node| node.self_nanos),
                path_nanos: sum(|node| node.path_nanos),
                p50_nanos,
                p90_nanos,
                p99_nanos,
                max_nanos: group.last().map_or(0, took),
            })
        })
        .collect();
    all.sort_by_key(|stats| std::cmp::Reverse(stats.self_nanos));
    all
}

/// Where the value stands, among `count` sorted ones, that so many percent do not pass.
pub(super) fn rank(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).saturating_sub(1)
}

fn quantiles(
    histogram: &mut Option<Histogram<u64>>,
    values: impl Iterator<Item = u64>,
) -> [u64; 3] {
    if histogram.is_none() {
        *histogram = Histogram::new_with_bounds(1, u64::MAX / 2, 3).ok();
    }
    let Some(histogram) = histogram else { return [0; 3] };
    histogram.reset();
    values.for_each(|value| histogram.saturating_record(value));
    [0.5, 0.9, 0.99].map(|quantile| histogram.value_at_quantile(quantile))
}

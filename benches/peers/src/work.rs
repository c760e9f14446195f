//! The work that every side does: the same labels, boundaries, values and counts.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Name of the counter family, as the text must show it.
pub const COUNTER: &str = "bench_requests_total";
/// [`COUNTER`] without the suffix, for the side that adds it by itself.
pub const COUNTER_STEM: &str = "bench_requests";
/// Name of the gauge family.
pub const GAUGE: &str = "bench_requests_in_flight";
/// Name of the histogram family.
pub const HISTOGRAM: &str = "bench_request_duration_seconds";
/// The one help text: encoders that write it are not to be slower for it.
pub const HELP: &str = "Requests that the server answered.";

/// Label names of [`COUNTER`].
pub const LABELS: [&str; 3] = ["tool", "operation", "status"];
/// Label names of [`HISTOGRAM`].
pub const HISTOGRAM_LABELS: [&str; 2] = ["tool", "operation"];
/// The values of the label `operation`.
pub const OPERATIONS: [&str; 10] =
    ["execute", "list", "call", "read", "get", "subscribe", "complete", "cancel", "notify", "ping"];
/// The values of the label `status`.
pub const STATUSES: [&str; 4] = ["success", "error", "cancelled", "timeout"];

/// The labels of the one counter or gauge that is recorded into by handle.
pub const ONE: [&str; 3] = ["swarm.init", "execute", "success"];
/// The labels of the one histogram that is recorded into by handle.
pub const ONE_HISTOGRAM: [&str; 2] = ["swarm.init", "execute"];

/// Classic boundaries in seconds.
pub const BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// [`BOUNDS`] in nanoseconds, for the side whose histograms hold integers.
pub const BOUNDS_NANOS: [u64; 14] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
];

/// How many values a histogram is fed before they repeat: 32 KiB, so that the branch predictor
/// can't learn them by heart and the prefetcher still can follow.
pub const VALUES: usize = 4096;
/// Observations in each histogram before its scrape is measured.
pub const PREFILL: usize = 300;

/// The values in nanoseconds, spread evenly over the logarithm of 200 µs to 200 ms.
pub static NANOS: LazyLock<[u64; VALUES]> = LazyLock::new(|| {
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    std::array::from_fn(|_| (200_000.0 * 1000f64.powf(random.unit())) as u64)
});
/// The same values in seconds, so that no side pays for converting them.
pub static SECONDS: LazyLock<[f64; VALUES]> = LazyLock::new(|| NANOS.map(|n| n as f64 / 1e9));

/// The `i`th value that a histogram is fed, in nanoseconds.
pub fn nanos(i: usize) -> u64 {
    NANOS[i % VALUES]
}

/// The `i`th value that a histogram is fed, in seconds.
pub fn seconds(i: usize) -> f64 {
    SECONDS[i % VALUES]
}

/// Where histogram number `series` begins in the values, so that no two hold the same.
pub fn prefill_start(series: usize) -> usize {
    series * 37
}

/// What counter number `series` starts with: one to seven digits.
pub fn start_value(series: usize) -> u64 {
    (series as u64).wrapping_mul(2_654_435_761) % 10u64.pow(series as u32 % 7 + 1)
}

/// The first `n` tool names. They live as long as the process, as do a server's own.
fn tools(n: usize) -> impl Iterator<Item = &'static str> {
    (0..n).map(|i| &*String::leak(format!("swarm.tool_{i:04}")))
}

/// So many label sets, made once: what is measured doesn't make them, and keeps nobody's alive.
type Sets<const N: usize> = Mutex<BTreeMap<usize, &'static [[&'static str; N]]>>;

fn once<const N: usize>(
    made: &Sets<N>,
    sets: usize,
    make: impl FnOnce() -> Vec<[&'static str; N]>,
) -> &'static [[&'static str; N]] {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(sets).or_insert_with(|| Vec::leak(make()))
}

/// `series` different label sets of [`COUNTER`].
pub fn counter_labels(series: usize) -> &'static [[&'static str; 3]] {
    static MADE: Sets<3> = Mutex::new(BTreeMap::new());
    once(&MADE, series, || {
        let of_tool = |tool| {
            OPERATIONS.into_iter().flat_map(move |op| STATUSES.map(|status| [tool, op, status]))
        };
        let tools = tools(series.div_ceil(OPERATIONS.len() * STATUSES.len()));
        tools.flat_map(of_tool).take(series).collect()
    })
}

/// `series` different label sets of [`HISTOGRAM`].
pub fn histogram_labels(series: usize) -> &'static [[&'static str; 2]] {
    static MADE: Sets<2> = Mutex::new(BTreeMap::new());
    once(&MADE, series, || {
        let tools = tools(series.div_ceil(OPERATIONS.len()));
        tools.flat_map(|tool| OPERATIONS.map(|op| [tool, op])).take(series).collect()
    })
}

/// [`counter_labels`] in the order in which they are looked up, over and over.
pub fn called_counters(sets: usize) -> &'static [[&'static str; 3]] {
    static MADE: Sets<3> = Mutex::new(BTreeMap::new());
    once(&MADE, sets, || shuffled(counter_labels(sets)))
}

/// [`histogram_labels`] in the order in which they are looked up, over and over.
pub fn called_histograms(sets: usize) -> &'static [[&'static str; 2]] {
    static MADE: Sets<2> = Mutex::new(BTreeMap::new());
    once(&MADE, sets, || shuffled(histogram_labels(sets)))
}

/// Values of the three enums: four each.
pub const ENUM_VALUES: [[&str; 4]; 3] = [
    ["Search", "Fetch", "Write", "Plan"],
    ["Execute", "List", "Call", "Read"],
    ["Success", "Error", "Cancelled", "Timeout"],
];
/// Sets that they make.
pub const ENUM_SETS: usize = 64;

/// All sets of enums in the order in which they are looked up, as indices of [`ENUM_VALUES`].
pub fn called_enums() -> Vec<[usize; 3]> {
    let all: Vec<_> = (0..ENUM_SETS).map(|set| [set / 16, set / 4 % 4, set % 4]).collect();
    shuffled(&all)
}

/// Where a thread begins in the sets that it looks up: no two go through them in step.
pub fn called_start(sets: usize, thread: usize, threads: usize) -> usize {
    sets * thread / threads
}

/// The same disorder on every machine.
fn shuffled<T: Copy>(of: &[T]) -> Vec<T> {
    let mut random = XorShift(0x2545_F491_4F6C_DD1D);
    let mut all = of.to_vec();
    for i in (1..all.len()).rev() {
        all.swap(i, (random.unit() * (i + 1) as f64) as usize);
    }
    all
}

/// Marsaglia's xorshift: the same numbers on every machine.
struct XorShift(u64);

impl XorShift {
    /// The next number in `0.0..1.0`.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn label_sets_are_as_many_as_asked_and_differ() {
        for series in [64, 1_000, 8_000] {
            let sets: BTreeSet<_> = counter_labels(series).iter().collect();
            assert_eq!(sets.len(), series);
            let sets: BTreeSet<_> = histogram_labels(series).iter().collect();
            assert_eq!(sets.len(), series);
        }
    }

    #[test]
    fn calls_go_through_the_same_sets_in_another_order() {
        let sorted = |sets: &[[&'static str; 3]]| sets.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(sorted(called_counters(640)), sorted(counter_labels(640)));
        assert_ne!(called_counters(640), counter_labels(640));
    }

    #[test]
    fn bounds_agree_in_both_units() {
        assert_eq!(BOUNDS_NANOS.map(|n| n as f64 / 1e9), BOUNDS);
    }

    #[test]
    fn values_span_three_decades_and_differ() {
        let (low, high) = (NANOS.iter().min().unwrap(), NANOS.iter().max().unwrap());
        assert!(high / low > 900, "{low} to {high}");
    }
}

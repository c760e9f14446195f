//! The work that every side does: the same labels, boundaries, values and counts.

use std::sync::LazyLock;

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
pub fn tools(n: usize) -> Vec<&'static str> {
    (0..n).map(|i| &*String::leak(format!("swarm.tool_{i:04}"))).collect()
}

/// `series` different label sets of [`COUNTER`]; a multiple of 40.
pub fn counter_labels(series: usize) -> Vec<[&'static str; 3]> {
    let tools = tools(series / (OPERATIONS.len() * STATUSES.len()));
    let of_tool =
        |tool| OPERATIONS.into_iter().flat_map(move |op| STATUSES.map(|status| [tool, op, status]));
    tools.into_iter().flat_map(of_tool).collect()
}

/// `series` different label sets of [`HISTOGRAM`]; a multiple of 10.
pub fn histogram_labels(series: usize) -> Vec<[&'static str; 2]> {
    let tools = tools(series / OPERATIONS.len());
    tools.into_iter().flat_map(|tool| OPERATIONS.map(|op| [tool, op])).collect()
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
    use super::*;

    #[test]
    fn label_sets_are_as_many_as_asked_and_differ() {
        for series in [1_000, 10_000] {
            let sets: std::collections::BTreeSet<_> = counter_labels(series).into_iter().collect();
            assert_eq!(sets.len(), series);
            let sets: std::collections::BTreeSet<_> =
                histogram_labels(series).into_iter().collect();
            assert_eq!(sets.len(), series);
        }
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

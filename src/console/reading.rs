//! What the console reads of an engine: the families that it shows, and nothing of the others.

use std::time::Instant;

use super::cells::Cells;
use crate::snapshot::{Head, HistogramReading, Line, Number, PageHead, Visit};

/// Writes the families that are read: a place in the table for each, and the labels that are kept. What
/// differs in others is added up.
macro_rules! wanted {
    ($($place:ident = $name:literal [$($label:literal),*];)*) => {
        /// A family that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        pub(super) enum Of { $($place),* }

        static WANTED: &[(&str, &[&str])] = &[$(($name, &[$($label),*])),*];
    };
}

wanted! {
    Requests = "mcp_requests_total" ["tool", "operation", "status"];
    Duration = "mcp_request_duration_seconds" ["tool", "operation"];
    Errors = "mcp_request_errors_total" ["tool", "operation", "error_type"];
    InFlight = "mcp_requests_in_flight" [];
    Sessions = "mcp_sessions_active" [];
    AgentsActive = "mcp_agents_active" ["type", "status"];
    AgentsSpawned = "mcp_agents_spawned_total" ["type"];
    AgentsFailed = "mcp_agents_failed_total" ["type", "reason"];
    TasksPending = "mcp_tasks_pending" ["priority"];
    TasksRunning = "mcp_tasks_running" [];
    TaskDuration = "mcp_task_duration_seconds" ["task_type", "status"];
    Inference = "mcp_neural_inference_duration_seconds" ["model", "operation"];
    Tokens = "mcp_neural_tokens_processed_total" ["model", "direction"];
    MemoryOperations = "mcp_memory_operations_total" ["operation", "status"];
    Auth = "mcp_auth_attempts_total" ["method", "status"];
    RateLimited = "mcp_auth_rate_limit_exceeded_total" [];
    Cpu = "mcp_system_cpu_usage_percent" [];
    MemoryPercent = "mcp_system_memory_usage_percent" [];
    Memory = "mcp_memory_usage_bytes" ["type"];
    Threads = "process_threads" [];
    OpenFds = "process_open_fds" [];
    CpuSeconds = "process_cpu_seconds_total" [];
    Series = "mcp_vitals_series" [];
    MemoryUsed = "mcp_vitals_memory_used_bytes" [];
    MemoryLimit = "mcp_vitals_memory_limit_bytes" [];
    Shards = "mcp_vitals_shards" [];
    ScrapeDuration = "mcp_vitals_scrape_duration_seconds" [];
    CommonRecords = "mcp_vitals_common_records_total" [];
    LogLines = "mcp_vitals_log_lines_total" [];
    LogLost = "mcp_vitals_log_lost_total" ["reason"];
    Spans = "mcp_vitals_spans_total" [];
    SpanLost = "mcp_vitals_span_lost_total" ["reason"];
}

impl Of {
    /// How many labels are kept.
    pub(super) fn labels(self) -> usize {
        WANTED[self as usize].1.len()
    }
}

/// The values of the labels that are kept.
pub(super) type Labels = Box<[Box<str>]>;

/// A histogram at one moment.
pub(super) struct Observed {
    pub(super) labels: Labels,
    pub(super) cells: Cells,
    pub(super) count: u64,
    /// In the integer unit.
    pub(super) sum: u64,
    /// The highest that the scrape had with a span.
    pub(super) exemplars: Vec<Slow>,
}

/// An observation and the trace that it was made in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slow {
    pub(super) trace: [u8; 16],
    /// In the integer unit.
    pub(super) units: u64,
    pub(super) unix_ms: u64,
}

/// One read of an engine.
pub(crate) struct Reading {
    pub(super) at: Instant,
    numbers: Vec<Vec<(Labels, Number)>>,
    histograms: Vec<Vec<Observed>>,
    /// Of the family that is being visited.
    family: Option<usize>,
    cells: Vec<(u64, u64)>,
    /// Series that were looked at.
    #[cfg(test)]
    visited: u64,
}

impl Reading {
    pub(crate) fn new(at: Instant) -> Reading {
        Reading {
            at,
            numbers: WANTED.iter().map(|_| Vec::new()).collect(),
            histograms: WANTED.iter().map(|_| Vec::new()).collect(),
            family: None,
            cells: Vec::new(),
            #[cfg(test)]
            visited: 0,
        }
    }

    /// The series of a family that has numbers.
    pub(super) fn numbers(&self, of: Of) -> &[(Labels, Number)] {
        &self.numbers[of as usize]
    }

    /// The series of a family that has histograms.
    pub(super) fn histograms(&self, of: Of) -> &[Observed] {
        &self.histograms[of as usize]
    }

    pub(super) fn histograms_mut(&mut self, of: Of) -> &mut [Observed] {
        &mut self.histograms[of as usize]
    }

    /// The only number of a family whose labels are not kept.
    pub(super) fn number(&self, of: Of) -> Option<f64> {
        self.numbers(of).first().map(|(_, number)| number.as_f64())
    }

    /// A family's totals where the labels are as wanted, added up.
    pub(super) fn total(&self, of: Of, wanted: impl Fn(&Labels) -> bool) -> u64 {
        let series = self.numbers(of).iter().filter(|(labels, _)| wanted(labels));
        series.fold(0, |sum, (_, number)| sum.wrapping_add(whole(*number)))
    }

    /// As if it had been read.
    #[cfg(test)]
    pub(super) fn add(&mut self, of: Of, labels: Labels, number: Number) {
        self.numbers[of as usize].push((labels, number));
    }

    /// The same of a histogram.
    #[cfg(test)]
    pub(super) fn observe(&mut self, of: Of, labels: Labels, cells: Cells) {
        let (count, sum, exemplars) = (cells.count(), 0, Vec::new());
        self.histograms[of as usize].push(Observed { labels, cells, count, sum, exemplars });
    }

    /// The same of an exemplar of its first series.
    #[cfg(test)]
    pub(super) fn slow(&mut self, of: Of, slow: Slow) {
        self.histograms[of as usize][0].exemplars.push(slow);
    }

    /// Series that were looked at: what a read costs.
    #[cfg(test)]
    pub(crate) fn visited(&self) -> u64 {
        self.visited
    }

    fn push(&mut self, labels: impl Fn(&str) -> Option<Box<str>>, number: Number) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
        let Some(family) = self.family else { return };
        let kept: Labels = WANTED[family].1.iter().filter_map(|label| labels(label)).collect();
        let series = &mut self.numbers[family];
        // What is added up comes to a few series.
        let few = series.len() < 64;
        match series.iter_mut().find(|(other, _)| few && *other == kept) {
            Some((_, sum)) => *sum = added(*sum, number),
            None => series.push((kept, number)),
        }
    }
}

/// A total, or a level that is not below 0.
pub(super) fn whole(number: Number) -> u64 {
    match number {
        Number::Total(total) => total,
        Number::Level(level) => u64::try_from(level).unwrap_or(0),
        Number::Reading(reading) => reading as u64,
    }
}

pub(super) fn added(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Total(a), Number::Total(b)) => Number::Total(a.wrapping_add(b)),
        (Number::Level(a), Number::Level(b)) => Number::Level(a.wrapping_add(b)),
        (a, b) => Number::Reading(a.as_f64() + b.as_f64()),
    }
}

/// The value of a label of one line.
fn label(line: Line<'_>, name: &str) -> Option<Box<str>> {
    line.labels().find(|(own, _)| *own == name).map(|(_, value)| value.into())
}

impl Visit for Reading {
    const CELLS: bool = true;

    fn wants(&self, head: &Head<'_>) -> bool {
        WANTED.iter().any(|(wanted, _)| *wanted == head.name)
    }

    fn family(&mut self, head: &Head<'_>) {
        self.family = WANTED.iter().position(|(wanted, _)| *wanted == head.name);
    }

    fn number(&mut self, number: Number, line: Line<'_>) {
        self.push(|name| label(line, name), number);
    }

    fn sample<'a>(
        &mut self,
        number: Number,
        _begin: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let labels: Vec<_> = labels.collect();
        let find = |name: &str| labels.iter().find(|(own, _)| *own == name);
        self.push(|name| find(name).map(|(_, value)| (*value).into()), number);
    }

    fn cell(&mut self, low: u64, high: u64, count: u64) {
        self.cells.push((low + (high - low) / 2, count));
    }

    fn histogram(
        &mut self,
        _page: PageHead,
        _index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
    ) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
        // A copy is as long as it has to be, and the buffer serves the next one.
        let cells = Cells::of(self.cells.clone());
        self.cells.clear();
        let Some(family) = self.family else { return };
        let found = reading.exemplars.iter();
        let exemplars = found.map(|found| Slow {
            trace: found.trace,
            units: found.units,
            unix_ms: found.unix_millis,
        });
        self.histograms[family].push(Observed {
            labels: WANTED[family].1.iter().filter_map(|name| label(line, name)).collect(),
            cells,
            count: reading.buckets.iter().fold(0, |sum, bucket| sum.wrapping_add(*bucket)),
            sum: reading.sum,
            exemplars: exemplars.collect(),
        });
    }
}

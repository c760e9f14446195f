//! The state of the eight key rules, by plain code: thresholds, windows, waits and least counts are the
//! catalog's alerts', as Prometheus evaluates them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::cells::Cells;
use super::interval::Interval;
use super::reading::{Of, Reading};
use crate::catalog::key_alerts::{self as key, AGENTS, FAILED_LOGINS, KeyAlert, REQUESTS};

/// The rules, with what their values are.
const RULES: [(KeyAlert, Asks, &str); 8] = [
    (key::HIGH_ERROR_RATE, Asks::Errors, "error ratio"),
    (key::CRITICAL_ERROR_RATE, Asks::Errors, "error ratio"),
    (key::HIGH_REQUEST_LATENCY, Asks::Latency, "p95 of request duration, in seconds"),
    (key::HIGH_AGENT_FAILURE_RATE, Asks::Agents, "agents failed over spawned"),
    (key::HIGH_TASK_QUEUE_DEPTH, Asks::Queue, "tasks pending"),
    (key::HIGH_MEMORY_USAGE, Asks::Memory, "memory used over total"),
    (key::HIGH_CPU_USAGE, Asks::Cpu, "CPU in use, in percent"),
    (key::POSSIBLE_BRUTE_FORCE_ATTACK, Asks::Logins, "failed authentications a second"),
];

/// How far the longest window reaches back.
const LONGEST: Duration = Duration::from_secs(AGENTS.window as u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Errors,
    Latency,
    Agents,
    Queue,
    Memory,
    Cpu,
    Logins,
}

/// One rule as the page is told.
#[derive(Serialize)]
pub(super) struct Told {
    name: &'static str,
    severity: &'static str,
    state: Standing,
    value: Option<f64>,
    threshold: f64,
    for_s: u32,
    /// Since when it is pending or fires.
    since_unix_ms: Option<u64>,
    meaning: &'static str,
    /// `ratio`, `percent`, `seconds` or `number`.
    unit: &'static str,
    #[serde(skip)]
    asks: Asks,
    #[serde(skip)]
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Ok,
    Pending,
    Firing,
    /// There is nothing to compare.
    NoData,
}

/// What stands at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    pub(super) pending: Option<f64>,
    /// Share of the memory that the process may use; of the heap where an allocator reports it.
    pub(super) memory: Option<f64>,
    pub(super) cpu: Option<f64>,
    pub(super) logins: bool,
}

impl Levels {
    pub(super) fn of(now: &Reading) -> Levels {
        let bytes = |kind: &str| {
            let mut series = now.numbers(Of::Memory).iter();
            series.find(|(labels, _)| labels.iter().any(|label| &**label == kind))
        };
        let bytes = |kind| bytes(kind).map(|(_, number)| number.as_f64());
        let pending = now.numbers(Of::TasksPending);
        let sum = || pending.iter().map(|(_, number)| number.as_f64()).sum();
        Levels {
            pending: (!pending.is_empty()).then(sum),
            memory: used_share(bytes("heap"), bytes("rss"), bytes("total")),
            cpu: now.number(Of::Cpu),
            logins: !now.numbers(Of::Auth).is_empty(),
        }
    }
}

/// What is held of all there is; nothing where nobody knows how much that is.
fn used_share(heap: Option<f64>, rss: Option<f64>, total: Option<f64>) -> Option<f64> {
    let total = total.filter(|total| *total > 0.0);
    heap.or(rss).zip(total).map(|(used, all)| used / all)
}

/// What the rules read of an interval.
struct Slice {
    at: Instant,
    answered: u64,
    errors: u64,
    cells: Cells,
    spawned: u64,
    failed: u64,
    logins: u64,
}

/// The rules, and as much of the past as they ask for.
pub(super) struct Rules {
    slices: VecDeque<Slice>,
    told: Vec<Told>,
}

impl Rules {
    pub(super) fn new() -> Rules {
        let told = RULES.map(|(alert, asks, meaning)| told(alert, asks, meaning));
        Rules { slices: VecDeque::new(), told: told.into() }
    }

    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let cells: usize = self.slices.iter().map(|slice| slice.cells.bytes()).sum();
        self.slices.capacity() * size_of::<Slice>() + cells
    }

    /// Evaluates all of them.
    ///
    /// * `came`: what happened since the last time.
    pub(super) fn next(
        &mut self,
        at: Instant,
        unix_ms: u64,
        came: Option<&Interval>,
        levels: Levels,
    ) {
        self.slices.extend(came.map(|came| Slice {
            at,
            answered: came.all.answered,
            errors: came.all.errors,
            cells: came.all.cells.clone(),
            spawned: came.agents_spawned,
            failed: came.agents_failed,
            logins: came.auth_failed,
        }));
        let old = |slice: &Slice| at.saturating_duration_since(slice.at) >= LONGEST;
        while self.slices.front().is_some_and(old) {
            self.slices.pop_front();
        }
        for place in 0..self.told.len() {
            let (value, enough) = self.value(self.told[place].asks, at, levels);
            self.told[place].next(value, enough, at, unix_ms);
        }
    }

    /// What a rule compares, and whether it says something.
    fn value(&self, asks: Asks, at: Instant, levels: Levels) -> (Option<f64>, bool) {
        let within = |seconds: u32| {
            let window = Duration::from_secs(seconds.into());
            self.slices.iter().filter(move |slice| at.saturating_duration_since(slice.at) < window)
        };
        let sum = |seconds, of: fn(&Slice) -> u64| -> f64 {
            within(seconds).map(|slice| of(slice) as f64).sum()
        };
        match asks {
            Asks::Errors => {
                let answered = sum(REQUESTS.window, |slice| slice.answered);
                let errors = sum(REQUESTS.window, |slice| slice.errors);
                ((answered > 0.0).then_some(errors / answered), answered >= REQUESTS.least)
            }
            Asks::Latency => {
                let mut cells = Cells::default();
                within(REQUESTS.window).for_each(|slice| cells.add(&slice.cells));
                let seconds = cells.quantile(0.95).map(|nanos| nanos as f64 / 1e9);
                (seconds, cells.count() as f64 >= REQUESTS.least)
            }
            Asks::Agents => {
                let failed = sum(AGENTS.window, |slice| slice.failed);
                let spawned = sum(AGENTS.window, |slice| slice.spawned);
                let events = failed + spawned;
                // With none spawned it is infinite, and fires.
                ((events > 0.0).then_some(failed / spawned), events >= AGENTS.least)
            }
            Asks::Logins => {
                let failed = sum(FAILED_LOGINS.window, |slice| slice.logins);
                let rate = failed / f64::from(FAILED_LOGINS.window);
                (levels.logins.then_some(rate), failed >= FAILED_LOGINS.least)
            }
            Asks::Queue => (levels.pending, true),
            Asks::Memory => (levels.memory, true),
            Asks::Cpu => (levels.cpu, true),
        }
    }
}

fn told(alert: KeyAlert, asks: Asks, meaning: &'static str) -> Told {
    Told {
        name: alert.name,
        severity: alert.severity.as_str(),
        state: Standing::NoData,
        value: None,
        threshold: alert.threshold,
        for_s: alert.wait,
        since_unix_ms: None,
        meaning,
        unit: match asks {
            Asks::Errors | Asks::Agents | Asks::Memory => "ratio",
            Asks::Cpu => "percent",
            Asks::Latency => "seconds",
            Asks::Queue | Asks::Logins => "number",
        },
        asks,
        since: None,
    }
}

impl Told {
    /// * `enough`: whether there was enough for the value to say something.
    fn next(&mut self, value: Option<f64>, enough: bool, at: Instant, unix_ms: u64) {
        self.value = value;
        let over = enough && value.is_some_and(|value| value > self.threshold);
        if !over {
            (self.since, self.since_unix_ms) = (None, None);
            self.state = if value.is_some() { Standing::Ok } else { Standing::NoData };
            return;
        }
        let since = *self.since.get_or_insert(at);
        self.since_unix_ms.get_or_insert(unix_ms);
        let wait = Duration::from_secs(self.for_s.into());
        let waited = at.saturating_duration_since(since) >= wait;
        self.state = if waited { Standing::Firing } else { Standing::Pending };
    }
}

// The cases are those of the alerts, which come with the command line.
#[cfg(all(test, feature = "cli"))]
#[path = "rules_tests.rs"]
mod tests;

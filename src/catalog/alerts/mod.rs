//! The alerts: what each one asks, what it means, and the cases that it is tested with.
//!
//! `mcp-vitals generate` writes them as Prometheus rules, with the same cases for promtool.

/// The series of a histogram: of each set of labels what is at most so much, and all of it.
macro_rules! buckets {
    ($metric:literal, $low:literal, $high:literal; $($labels:literal => $fast:expr, $all:expr;)*) => {
        &[$(
            input(concat!($metric, "_bucket{", $labels, "le=\"", $low, "\"}"), $fast),
            input(concat!($metric, "_bucket{", $labels, "le=\"", $high, "\"}"), $all),
            input(concat!($metric, "_bucket{", $labels, "le=\"+Inf\"}"), $all),
            input(concat!($metric, "_count{", $labels, "}"), $all),
        )*]
    };
}

mod engine;
mod optional;
mod process;
mod requests;
mod work;

use std::collections::BTreeMap;

pub use super::key_alerts::{AGENTS, FAILED_LOGINS, REQUESTS, Reads, Severity};

/// The file that an alert stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What every MCP server is watched for.
    Server,
    /// What the measuring itself costs and loses.
    Engine,
    /// What only some servers have: to be switched on.
    Optional,
}

impl Group {
    /// Every file, in its order.
    pub const ALL: [Group; 3] = [Group::Server, Group::Engine, Group::Optional];

    /// The file's name below `alerts/`, without its ending.
    pub const fn file(self) -> &'static str {
        match self {
            Group::Server => "mcp",
            Group::Engine => "engine",
            Group::Optional => "optional",
        }
    }
}

impl Reads {
    /// The window as PromQL has it.
    pub(crate) fn range(self) -> String {
        format!("{}m", self.window / 60)
    }
}

/// One alert, as plain data.
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// How urgent it is.
    pub severity: Severity,
    /// The file that it stands in.
    pub group: Group,
    /// What it is about: of two alerts about the same, the critical one silences the other.
    pub subject: &'static str,
    /// What it compares with, unless the settings say otherwise.
    pub threshold: f64,
    /// How long its expression holds before it fires, in seconds.
    pub wait: u32,
    /// The expression, with the settings' matchers and this threshold.
    pub expr: fn(&Selectors<'_>, &str) -> String,
    /// Labels of the result beside `job` and `instance`.
    pub by: &'static [&'static str],
    /// Whether it can have other thresholds for some tools.
    pub by_tool: bool,
    /// One line, with `{instance}`, `{over}` (the threshold, shown) and the labels of `by`.
    pub summary: &'static str,
    /// More of it, with `{value}` also.
    pub description: &'static str,
    /// How the value is shown.
    pub shown: Shown,
    /// What it means and where to look first, in Markdown.
    pub runbook: &'static str,
    /// What it is tested with.
    pub case: Case,
}

/// How a value reads in an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `0.05` is `5 %`.
    Ratio,
    /// `5` is `5 %`.
    Percent,
    /// `300` is `5m`.
    Seconds,
    /// As it is, with an SI prefix.
    Number,
    /// Bytes, `1048576` as `1Mi`, of which the threshold says in how many hours.
    BytesWithin,
}

impl Shown {
    /// The template of an annotation.
    pub(crate) const fn template(self) -> &'static str {
        match self {
            Shown::Ratio => "{{ $value | humanizePercentage }}",
            Shown::Percent => "{{ $value | humanize }}%",
            Shown::Seconds => "{{ $value | humanizeDuration }}",
            Shown::Number => "{{ $value | humanize }}",
            Shown::BytesWithin => "{{ $value | humanize1024 }}B",
        }
    }

    /// A threshold in words.
    pub(crate) fn threshold(self, over: f64) -> String {
        match self {
            Shown::Ratio => format!("{} %", trimmed(over * 100.0)),
            Shown::Percent => format!("{} %", trimmed(over)),
            Shown::Seconds if over >= 120.0 => format!("{} minutes", trimmed(over / 60.0)),
            Shown::Seconds if over < 1.0 => format!("{} ms", trimmed(over * 1e3)),
            Shown::Seconds => format!("{} s", trimmed(over)),
            Shown::Number => trimmed(over),
            Shown::BytesWithin => format!("{} hours", trimmed(over)),
        }
    }
}

/// Rounded to four digits, for people.
pub(crate) fn trimmed(number: f64) -> String {
    rounded(number, 3)
}

/// Rounded to ten digits, for an expression: a small number stays what it is, and `0.1 + 0.2` is 0.3.
pub(crate) fn exact(number: f64) -> String {
    rounded(number, 9)
}

fn rounded(number: f64, digits: usize) -> String {
    let rounded: f64 = format!("{number:.digits$e}").parse().unwrap_or(number);
    rounded.to_string()
}

/// What a server does in a test, a sample every 15 seconds. What each server has (`up`, its start, its
/// scrapes) need not be said.
pub struct Case {
    /// What the instance that is in trouble exposes.
    pub fires: &'static [Input],
    /// What one exposes that is just not.
    pub quiet: &'static [Input],
    /// What the counts of `fires` are taken by so that they are just the least number that the rule
    /// asks for; 0 where it asks for none.
    pub least: f64,
    /// The first evaluation at which it fires, in seconds.
    pub at: u32,
    /// The first one at which it is over; 0 where that is not looked at.
    pub gone: u32,
    /// Labels of the alert beside `job` and `instance`.
    pub labels: &'static [(&'static str, &'static str)],
    /// `{value}` as it is shown at that time.
    pub value: &'static str,
    /// Metrics without which it fires all the same.
    pub spare: &'static [&'static str],
    /// What else it is tested with.
    pub scenes: &'static [Scene],
}

/// A server in a situation of its own.
pub struct Scene {
    /// The situation, in a few words.
    pub what: &'static str,
    /// What it exposes.
    pub inputs: &'static [Input],
    /// The first evaluation at which it fires, and `{value}` then; without, it never does.
    pub fires: Option<(u32, &'static str)>,
    /// The first one at which it is over; 0 where that is not looked at.
    pub gone: u32,
}

/// One in which it never fires.
pub(crate) const fn quiet(what: &'static str, inputs: &'static [Input]) -> Scene {
    Scene { what, inputs, fires: None, gone: 0 }
}

/// One in which it fires at this second, with this value.
pub(crate) const fn fires(
    what: &'static str,
    inputs: &'static [Input],
    at: u32,
    value: &'static str,
) -> Scene {
    Scene { what, inputs, fires: Some((at, value)), gone: 0 }
}

/// The same, and it is over at this second.
pub(crate) const fn ends(gone: u32, scene: Scene) -> Scene {
    Scene { gone, ..scene }
}

/// One series of a test, of one instance.
pub struct Input {
    /// Name and labels, without `job` and `instance`: `name{a="b"}`.
    pub series: &'static str,
    /// Its samples.
    pub samples: Samples,
}

/// Samples, one every 15 seconds.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    /// A counter that goes up by so much each time.
    Count(f64),
    /// A counter whose pace changes: so much each time, up to that second; at last up to the end.
    Turns(&'static [(f64, u32)]),
    /// A gauge that stays.
    Level(f64),
    /// A gauge that stays until that second, and then at the next level; at last to the end.
    Levels(&'static [(f64, u32)]),
    /// A gauge from one value on, by so much each time.
    Ramp(f64, f64),
    /// A counter that goes up by one each time, so many times.
    Until(u32),
    /// Turns, each pace taken by so much; without turns, a counter of this pace.
    Scaled(&'static [(f64, u32)], f64),
    /// Turns, or none, and at that step a restart, from 0 on at this pace.
    Anew(&'static [(f64, u32)], f64, u32),
    /// In promtool's own notation.
    As(&'static str),
}

/// One series, for a table of them.
pub(crate) const fn input(series: &'static str, samples: Samples) -> Input {
    Input { series, samples }
}

/// What a user says of the alerts that are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertSettings {
    /// Matchers that each selector gets: `job="mcp", cluster="eu"`.
    pub matchers: String,
    /// By alert, what it compares with.
    pub thresholds: BTreeMap<String, f64>,
    /// By alert and tool, what it compares with there.
    pub by_tool: BTreeMap<String, BTreeMap<String, f64>>,
    /// The objective of the burn-rate rules, 0.9 to 0.9999.
    pub objective: Option<f64>,
    /// Where the runbook is on the web: each alert gets the annotation `runbook_url`, this and its anchor.
    pub runbook_url: Option<String>,
}

/// What tells processes apart: several that share a textfile have `vitals_copy` also.
const PROCESS: &str = "job, instance, vitals_copy";

/// Writes selectors with the settings' matchers.
pub struct Selectors<'a> {
    pub(crate) matchers: &'a str,
    /// On `tool`, where a rule is for some tools or for all others.
    pub(crate) tool: String,
    /// Whether it is for one tool: then that is a label of its alerts, too.
    pub(crate) one_tool: bool,
}

impl Selectors<'_> {
    /// The labels that a rule sums by: those of a process.
    pub(crate) fn by(&self) -> &'static str {
        if self.one_tool { "job, instance, vitals_copy, tool" } else { PROCESS }
    }

    /// Behind a rule over gauges: the process is there. The node exporter hands on the last values of
    /// one that was killed until its textfile is written again; nobody counts its scrapes then.
    pub(crate) fn alive(&self) -> String {
        let scrapes = self.of("mcp_vitals_scrape_duration_seconds_count", "");
        format!("\nand\nsum by ({PROCESS}) (increase({scrapes}[2m])) > 0")
    }

    /// `metric{its own matchers, the settings'}`.
    pub(crate) fn of(&self, metric: &str, matchers: &str) -> String {
        let all: Vec<&str> =
            [matchers, self.matchers].into_iter().filter(|part| !part.is_empty()).collect();
        if all.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", all.join(", ")) }
    }

    /// The same of a metric that has the label `tool`.
    pub(crate) fn by_tool(&self, metric: &str, matchers: &str) -> String {
        let all: Vec<&str> =
            [matchers, &self.tool].into_iter().filter(|part| !part.is_empty()).collect();
        self.of(metric, &all.join(", "))
    }
}

/// Every alert, by what it is about: each set has a file of cases of its own, of this name.
pub(crate) const SETS: [(&str, &[Alert]); 5] = [
    ("mcp_requests", requests::ALERTS),
    ("mcp_work", work::ALERTS),
    ("mcp_process", process::ALERTS),
    ("engine", engine::ALERTS),
    ("optional", optional::ALERTS),
];

/// Every alert, in the order in which they are written.
pub fn alerts() -> impl Iterator<Item = &'static Alert> {
    SETS.into_iter().flat_map(|(_, alerts)| alerts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_names_are_all_there() {
        let names: Vec<&str> = alerts().map(|alert| alert.name).collect();
        for name in [
            "HighErrorRate",
            "CriticalErrorRate",
            "HighRequestLatency",
            "HighAgentFailureRate",
            "HighTaskQueueDepth",
            "HighMemoryUsage",
            "HighCPUUsage",
            "PossibleBruteForceAttack",
            "RequestsStalled",
            "NoActiveAgents",
            "TooManyActiveAgents",
            "CriticalTaskQueueDepth",
            "TaskExecutionStalled",
            "LongRunningTasks",
            "CriticalMemoryUsage",
            "MemoryLeakSuspected",
            "SlowNeuralInference",
            "LowTokenThroughput",
            "CriticalCPUUsage",
            "HighSystemMemoryUsage",
            "CriticalSystemMemoryUsage",
            "HighAuthenticationFailureRate",
            "HighRateLimitViolations",
            "NoAuthenticationAttempts",
            "MCPServerDown",
            "MCPServerFlapping",
            "TelemetryDropped",
            "SeriesOverflow",
            "HandlerPanics",
            "SessionLeak",
            "ScrapeSlow",
        ] {
            assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}");
        }
        assert_eq!(names.len(), 31);
    }

    #[test]
    fn a_critical_one_shares_its_subject_with_its_warning() {
        for critical in alerts().filter(|alert| alert.name.starts_with("Critical")) {
            let warning = alerts().find(|alert| {
                alert.subject == critical.subject && alert.severity == Severity::Warning
            });
            assert!(warning.is_some(), "{}", critical.name);
        }
    }

    #[test]
    fn thresholds_are_shown_as_people_say_them() {
        assert_eq!(Shown::Ratio.threshold(0.05), "5 %");
        assert_eq!(Shown::Ratio.threshold(0.125), "12.5 %");
        assert_eq!(Shown::Seconds.threshold(5.0), "5 s");
        assert_eq!(Shown::Seconds.threshold(300.0), "5 minutes");
        assert_eq!(Shown::Seconds.threshold(0.5), "500 ms");
        assert_eq!(Shown::BytesWithin.threshold(4.0), "4 hours");
    }

    #[test]
    fn small_numbers_stay_what_they_are() {
        assert_eq!(exact(14.4 * (1.0 - 0.9999)), "0.00144");
        assert_eq!(exact(1.0 - 0.9999), "0.0001");
        assert_eq!(exact(0.1 + 0.2), "0.3");
        assert_eq!(trimmed(0.05 * 100.0), "5");
        assert_eq!(trimmed(16.66666), "16.67");
        assert_eq!(exact(1e12), "1000000000000");
    }
}

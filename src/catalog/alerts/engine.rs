//! Alerts about the measuring itself.

use super::Samples::{As, Count, Level, Turns};
use super::{Alert, Case, Group, Selectors, Severity, Shown, ends, fires, input};

/// Whatever was lost, of metrics, lines and spans: one loss each is worth a look.
fn dropped(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let lost = |metric| format!("sum by ({by}) (increase({}[10m])) > {over}", s.of(metric, ""));
    [
        "mcp_vitals_lost_total",
        "mcp_vitals_common_lost_total",
        "mcp_vitals_log_lost_total",
        "mcp_vitals_span_lost_total",
    ]
    .map(lost)
    .join("\nor\n")
}

fn overflow(s: &Selectors<'_>, over: &str) -> String {
    let overflow = s.of("mcp_vitals_series_overflow_total", "");
    format!("sum by ({}, metric) (increase({overflow}[10m])) > {over}", s.by())
}

fn scrapes(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let buckets = s.of("mcp_vitals_scrape_duration_seconds_bucket", "");
    let count = s.of("mcp_vitals_scrape_duration_seconds_count", "");
    format!(
        "histogram_quantile(0.95, sum by ({by}, le) (rate({buckets}[10m]))) > {over}
and
sum by ({by}) (increase({count}[10m])) >= 5"
    )
}

const LOST: [&str; 2] =
    [r#"mcp_vitals_lost_total{metric="m"}"#, r#"mcp_vitals_lost_total{metric="n"}"#];
const COMMON: [&str; 1] = ["mcp_vitals_common_lost_total"];
const RING: [&str; 2] = [
    r#"mcp_vitals_log_lost_total{place="ring", level="info", reason="full"}"#,
    r#"mcp_vitals_log_lost_total{place="sink", level="info", reason="full"}"#,
];
const SPANS: [&str; 2] = [
    r#"mcp_vitals_span_lost_total{place="ring", reason="full"}"#,
    r#"mcp_vitals_span_lost_total{place="otlp", reason="failed"}"#,
];

/// Five of one are lost now, and of the others there were some before.
macro_rules! lost {
    (COMMON; $($before:ident),*) => {
        &[input(COMMON[0], As("0x8 5x60")), $(input($before[0], Level(9.0)),)*]
    };
    ($now:ident; $($before:ident),*) => {
        &[
            input($now[0], As("0x8 3x60")),
            input($now[1], As("0x8 2x60")),
            $(input($before[0], Level(9.0)),)*
        ]
    };
}

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "TelemetryDropped",
        severity: Severity::Warning,
        group: Group::Engine,
        subject: "telemetry",
        threshold: 0.0,
        wait: 0,
        expr: dropped,
        by: &[],
        by_tool: false,
        summary: "{instance} loses telemetry",
        description: "{instance} lost {value} records, lines or spans in the last 10 minutes.",
        shown: Shown::Number,
        runbook: "Something that was recorded was not kept. It is counted by reason:\n\n\
            1. `increase(mcp_vitals_lost_total{instance=\"I\"}[10m]) > 0`: metrics; the memory limit, mostly. `mcp_vitals_common_lost_total` also.\n\
            2. `increase(mcp_vitals_log_lost_total{instance=\"I\"}[10m]) > 0`: lines; by `place` the rings (larger ones: `ring_bytes`) or a sink that is too slow.\n\
            3. `increase(mcp_vitals_span_lost_total{instance=\"I\"}[10m]) > 0`: spans; the rings, or an exporter whose back end is down.",
        case: Case {
            fires: &[
                input(LOST[0], As("0x8 5x400")),
                input(COMMON[0], As("0x8 5x400")),
                input(RING[0], As("0x8 5x400")),
                input(SPANS[0], As("0x8 5x400")),
            ],
            quiet: &[
                input(LOST[0], Level(5.0)),
                input(COMMON[0], Level(5.0)),
                input(RING[0], Level(5.0)),
                input(SPANS[0], Level(5.0)),
            ],
            least: 0.0,
            at: 135,
            gone: 735,
            labels: &[],
            value: "5",
            spare: &[
                "mcp_vitals_lost_total",
                "mcp_vitals_common_lost_total",
                "mcp_vitals_log_lost_total",
                "mcp_vitals_span_lost_total",
            ],
            // Each by itself, of two kinds; and the others lost something once.
            scenes: &[
                ends(735, fires("metrics are lost", lost!(LOST; COMMON, RING, SPANS), 135, "5")),
                ends(
                    735,
                    fires(
                        "records of all engines are lost",
                        lost!(COMMON; LOST, RING, SPANS),
                        135,
                        "5",
                    ),
                ),
                ends(735, fires("lines are lost", lost!(RING; LOST, COMMON, SPANS), 135, "5")),
                ends(735, fires("spans are lost", lost!(SPANS; LOST, COMMON, RING), 135, "5")),
            ],
        },
    },
    Alert {
        name: "SeriesOverflow",
        severity: Severity::Warning,
        group: Group::Engine,
        subject: "series",
        threshold: 0.0,
        wait: 0,
        expr: overflow,
        by: &["metric"],
        by_tool: false,
        summary: "{metric} of {instance} is over its limit of series",
        description: "{value} label sets of {metric} of {instance} became `_other` in the last 10 minutes.",
        shown: Shown::Number,
        runbook: "A metric has more label values than its limit lets it have; the further ones are counted as `_other`, the totals stay true.\n\n\
            1. Which label, and which values: `vitals.cardinality()`, or the console's page on it.\n\
            2. An id in a label is a bug. Names that are few and known: raise the limit of that family.",
        case: Case {
            fires: &[
                input(
                    r#"mcp_vitals_series_overflow_total{metric="mcp_requests_total", label="tool"}"#,
                    As("0x8 3x400"),
                ),
                input(
                    r#"mcp_vitals_series_overflow_total{metric="mcp_requests_total", label="_all"}"#,
                    As("0x8 2x400"),
                ),
            ],
            quiet: &[input(
                r#"mcp_vitals_series_overflow_total{metric="mcp_requests_total", label="tool"}"#,
                Level(5.0),
            )],
            least: 0.0,
            at: 135,
            gone: 735,
            labels: &[("metric", "mcp_requests_total")],
            value: "5",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: "ScrapeSlow",
        severity: Severity::Info,
        group: Group::Engine,
        subject: "scrape",
        threshold: 0.5,
        wait: 600,
        expr: scrapes,
        by: &[],
        by_tool: false,
        summary: "Scrapes of {instance} take more than {over}",
        description: "The 95th percentile of a scrape of {instance} is {value}, over the last 10 minutes.",
        shown: Shown::Seconds,
        runbook: "A scrape of the process takes more than {over}.\n\n\
            1. How many series: `mcp_vitals_series{instance=\"I\"}`. From a hundred thousand on a pool of threads helps (`scrape_threads`).\n\
            2. Few series: a collector of the host's own is slow; it is counted in `mcp_vitals_collector_…`.",
        case: Case {
            fires: buckets! { "mcp_vitals_scrape_duration_seconds", "0.5", "1.0";
            "" => Turns(&[(100.0, 600), (94.0, 0)]), Count(100.0);
            },
            quiet: buckets! { "mcp_vitals_scrape_duration_seconds", "0.5", "1.0";
            "" => Count(95.1), Count(100.0);
            },
            least: 0.00125,
            at: 1710,
            gone: 0,
            labels: &[],
            value: "583.3ms",
            spare: &[],
            scenes: &[],
        },
    },
];

//! Alerts about the process and its machine.

use super::Samples::{As, Level, Levels, Ramp};
use super::{Alert, Case, Group, Selectors, Severity, Shown, fires, input, quiet};
use crate::catalog::key_alerts::{HIGH_CPU_USAGE, HIGH_MEMORY_USAGE};

/// One of the kinds of memory, of a process.
fn kind(s: &Selectors<'_>, kind: &str, of: impl Fn(String) -> String) -> String {
    let bytes = s.of("mcp_memory_usage_bytes", &format!("type=\"{kind}\""));
    format!("max by ({}) ({})", s.by(), of(bytes))
}

/// What the allocator holds where one reports it, else what the process does.
fn used(s: &Selectors<'_>, of: impl Fn(String) -> String) -> String {
    format!("({} or {})", kind(s, "heap", &of), kind(s, "rss", &of))
}

/// The limit of the cgroup, or else the memory of the host.
fn total(s: &Selectors<'_>) -> String {
    format!("({} > 0)", kind(s, "total", |bytes| bytes))
}

fn memory(s: &Selectors<'_>, over: &str) -> String {
    let used = used(s, |bytes| bytes);
    format!("{used}\n/\n{}\n> {over}{}", total(s), s.alive())
}

/// At the pace of the last hour all of it is used within so many hours; a quarter of it is used
/// already, which a server that is still warming up seldom does; and it is the hour of one process.
fn leak(s: &Selectors<'_>, over: &str) -> String {
    let (now, pace) = (used(s, |bytes| bytes), used(s, |bytes| format!("deriv({bytes}[1h])")));
    let (by, total) = (s.by(), total(s));
    let started = s.of("process_start_time_seconds", "");
    format!(
        "{pace} * 3600 * {over}
+
{now}
>
{total}
and
{now} / {total} > 0.25
and
max by ({by}) ({started}) <= time() - 3600
and
max by ({by}) ({started} offset 1h)"
    )
}

fn cpu(s: &Selectors<'_>, over: &str) -> String {
    let busy = s.of("mcp_system_cpu_usage_percent", "");
    format!("max by ({}) ({busy}) > {over}{}", s.by(), s.alive())
}

fn system_memory(s: &Selectors<'_>, over: &str) -> String {
    let used = s.of("mcp_system_memory_usage_percent", "");
    format!("max by ({}) ({used}) > {over}{}", s.by(), s.alive())
}

/// Only targets that have been one of ours within a day: the rule needs no name of a job.
fn down(s: &Selectors<'_>, _: &str) -> String {
    let (up, ours) = (s.of("up", ""), s.of("mcp_vitals_build_info", ""));
    format!(
        "max by (job, instance) ({up}) == 0
and
max by (job, instance) (last_over_time({ours}[1d]))"
    )
}

fn flapping(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let started = s.of("process_start_time_seconds", "");
    let ours = s.of("mcp_vitals_build_info", "");
    format!(
        "max by ({by}) (changes({started}[15m])) > {over}
and
max by ({by}) (last_over_time({ours}[1d]))"
    )
}

const RSS: &str = r#"mcp_memory_usage_bytes{type="rss"}"#;
const HEAP: &str = r#"mcp_memory_usage_bytes{type="heap"}"#;
const TOTAL: &str = r#"mcp_memory_usage_bytes{type="total"}"#;
const OURS: &str = r#"mcp_vitals_build_info{version="0.1.0"}"#;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "MCPServerDown",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "up",
        threshold: 0.0,
        wait: 60,
        expr: down,
        by: &[],
        by_tool: false,
        summary: "{instance} can't be scraped",
        description: "{instance} was measured within the last day and can't be scraped now.",
        shown: Shown::Number,
        runbook: "Prometheus can't scrape a target that was one of ours within the last day.\n\n\
            1. The target's page in Prometheus has the error: refused (the process is gone), time-out (it hangs), 401, 404.\n\
            2. A server that is meant to be gone: take it out of the targets.",
        case: Case {
            fires: &[input("up", As("1x8 0x6000")), input(OURS, As("1x8 stale"))],
            quiet: &[input("up", As("1x8 0x2 1x12000")), input(OURS, As("1x8 _x2 1x12000"))],
            least: 0.0,
            at: 195,
            gone: 0,
            labels: &[],
            value: "0",
            spare: &[],
            scenes: &[quiet(
                "never one of ours",
                &[input("up", Level(0.0)), input(OURS, As("_x4"))],
            )],
        },
    },
    Alert {
        name: "MCPServerFlapping",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "restarts",
        threshold: 2.0,
        wait: 0,
        expr: flapping,
        by: &[],
        by_tool: false,
        summary: "{instance} was started more than {over} times in 15 minutes",
        description: "{instance} was started {value} times in the last 15 minutes.",
        shown: Shown::Number,
        runbook: "The process starts again and again.\n\n\
            1. How it ends: the exit code that its supervisor saw, and the last lines of its log (in durable mode also those before a SIGKILL).\n\
            2. Killed for memory: `mcp_memory_usage_bytes` before each end.",
        case: Case {
            fires: &[input("process_start_time_seconds", As("100x8 200x8 300x8 400x400"))],
            quiet: &[input("process_start_time_seconds", As("100x8 200x8 300x400"))],
            least: 0.0,
            at: 405,
            gone: 1035,
            labels: &[],
            value: "3",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: HIGH_MEMORY_USAGE.name,
        severity: HIGH_MEMORY_USAGE.severity,
        group: Group::Server,
        subject: "memory",
        threshold: HIGH_MEMORY_USAGE.threshold,
        wait: HIGH_MEMORY_USAGE.wait,
        expr: memory,
        by: &[],
        by_tool: false,
        summary: "{instance} uses more than {over} of its memory",
        description: "{instance} holds {value} of the memory that it may use.",
        shown: Shown::Ratio,
        runbook: "The process holds more than {over} of what its cgroup (or its host) has; of the heap where an allocator reports it.\n\n\
            1. Since when, and how fast: [MemoryLeakSuspected](#memoryleaksuspected).\n\
            2. `mcp_vitals_memory_used_bytes` is the share that the measuring itself has, under its own limit.",
        case: Case {
            fires: &[
                input(RSS, Level(99.0)),
                input(HEAP, Levels(&[(85.0, 600), (86.0, 0)])),
                input(TOTAL, Level(100.0)),
            ],
            quiet: &[input(RSS, Level(99.0)), input(HEAP, Level(85.0)), input(TOTAL, Level(100.0))],
            least: 0.0,
            at: 780,
            gone: 0,
            labels: &[],
            value: "86%",
            spare: &[],
            scenes: &[
                fires(
                    "no allocator reports its heap",
                    &[input(RSS, Level(86.0)), input(TOTAL, Level(100.0))],
                    195,
                    "86%",
                ),
                quiet(
                    "no allocator reports its heap, and just below",
                    &[input(RSS, Level(85.0)), input(TOTAL, Level(100.0))],
                ),
                quiet(
                    "nobody knows the total",
                    &[input(RSS, Level(99.0)), input(TOTAL, Level(0.0))],
                ),
            ],
        },
    },
    Alert {
        name: "CriticalMemoryUsage",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "memory",
        threshold: 0.95,
        wait: 60,
        expr: memory,
        by: &[],
        by_tool: false,
        summary: "{instance} uses more than {over} of its memory",
        description: "{instance} holds {value} of the memory that it may use, and will be killed when it has all of it.",
        shown: Shown::Ratio,
        runbook: "As [HighMemoryUsage](#highmemoryusage): the next step is the kernel's. Restart it at a moment of your own choice.",
        case: Case {
            fires: &[
                input(RSS, Level(99.0)),
                input(HEAP, Levels(&[(95.0, 600), (96.0, 0)])),
                input(TOTAL, Level(100.0)),
            ],
            quiet: &[input(RSS, Level(99.0)), input(HEAP, Level(95.0)), input(TOTAL, Level(100.0))],
            least: 0.0,
            at: 660,
            gone: 0,
            labels: &[],
            value: "96%",
            spare: &[],
            scenes: &[
                fires(
                    "no allocator reports its heap",
                    &[input(RSS, Level(96.0)), input(TOTAL, Level(100.0))],
                    75,
                    "96%",
                ),
                quiet(
                    "no allocator reports its heap, and just below",
                    &[input(RSS, Level(95.0)), input(TOTAL, Level(100.0))],
                ),
                quiet(
                    "nobody knows the total",
                    &[input(RSS, Level(99.0)), input(TOTAL, Level(0.0))],
                ),
            ],
        },
    },
    Alert {
        name: "MemoryLeakSuspected",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "leak",
        threshold: 4.0,
        wait: 900,
        expr: leak,
        by: &[],
        by_tool: false,
        summary: "{instance} uses all its memory within {over}, if it goes on so",
        description: "The memory of {instance} has grown for an hour; at this pace it has {value} in {over}, which is more than it may have.",
        shown: Shown::BytesWithin,
        runbook: "The memory of the process has grown for an hour at a pace that uses all of it within {over}.\n\n\
            1. Growth with the load (requests, sessions, agents): a cache without a bound, or sessions that are not closed.\n\
            2. Growth without load: a leak. A heap profile, twice an hour apart, names it.",
        case: Case {
            fires: &[input(RSS, As("700x400 700+0.5x1000")), input(TOTAL, Level(1000.0))],
            quiet: &[input(RSS, Ramp(100.0, 0.2)), input(TOTAL, Level(1000.0))],
            least: 0.0,
            at: 8730,
            gone: 0,
            labels: &[],
            value: "1.169kiB",
            spare: &[],
            scenes: &[
                fires(
                    "the heap grows and the process does not",
                    &[
                        input(RSS, Level(990.0)),
                        input(HEAP, As("700x400 700+0.5x1000")),
                        input(TOTAL, Level(1000.0)),
                    ],
                    8_730,
                    "1.169kiB",
                ),
                fires(
                    "a quarter of it is the process, and not before",
                    &[input(RSS, Ramp(0.0, 0.85)), input(TOTAL, Level(1000.0))],
                    5_325,
                    "1.092kiB",
                ),
                fires(
                    "the process holds more than it may, and most is not the heap",
                    &[
                        input(RSS, Level(3000.0)),
                        input(HEAP, Ramp(260.0, 1.0)),
                        input(TOTAL, Level(1000.0)),
                    ],
                    4_500,
                    "1.484kiB",
                ),
                fires(
                    "a quarter is used, and not before",
                    &[
                        input(RSS, Level(990.0)),
                        input(HEAP, Ramp(0.0, 0.85)),
                        input(TOTAL, Level(1000.0)),
                    ],
                    5_325,
                    "1.092kiB",
                ),
                fires(
                    "an hour is over, and not before",
                    &[input(RSS, Ramp(300.0, 1.0)), input(TOTAL, Level(1000.0))],
                    4_500,
                    "1.523kiB",
                ),
                fires(
                    "a process in the place of another grows for an hour",
                    &[
                        input("process_start_time_seconds", As("0x240 3615x1000")),
                        input(RSS, As("300x240 301+1x1000")),
                        input(TOTAL, Level(1000.0)),
                    ],
                    8_115,
                    "1.524kiB",
                ),
                quiet(
                    "it may have more and more",
                    &[input(RSS, Level(900.0)), input(TOTAL, Ramp(1000.0, 1.0))],
                ),
                quiet(
                    "the process grows, and its heap does not",
                    &[
                        input(RSS, Ramp(300.0, 1.0)),
                        input(HEAP, Level(500.0)),
                        input(TOTAL, Level(1000.0)),
                    ],
                ),
                quiet(
                    "it was restarted, and grows, within the hour",
                    &[
                        input(
                            "process_start_time_seconds",
                            As("0x240 3615x240 7230x240 10845x240 14460x2000"),
                        ),
                        input(RSS, As("300+1x240 300+1x240 300+1x240 300+1x240 300x2000")),
                        input(TOTAL, Level(1000.0)),
                    ],
                ),
                quiet(
                    "an old process that is watched anew grows for half an hour",
                    &[
                        input("process_start_time_seconds", As("_x400 0x1000")),
                        input(RSS, As("_x400 300+1x150 450x1000")),
                        input(TOTAL, Level(1000.0)),
                    ],
                ),
                quiet(
                    "nobody knows the total",
                    &[input(RSS, Ramp(300.0, 1.0)), input(TOTAL, Level(0.0))],
                ),
            ],
        },
    },
    Alert {
        name: HIGH_CPU_USAGE.name,
        severity: HIGH_CPU_USAGE.severity,
        group: Group::Server,
        subject: "cpu",
        threshold: HIGH_CPU_USAGE.threshold,
        wait: HIGH_CPU_USAGE.wait,
        expr: cpu,
        by: &[],
        by_tool: false,
        summary: "The CPU of {instance} has been over {over} for 5 minutes",
        description: "The CPU that {instance} may use is {value} busy.",
        shown: Shown::Percent,
        runbook: "The CPU that the process may use (its cgroup's share, or the host's) has been busy for 5 minutes.\n\n\
            1. The process itself, or a neighbour: `rate(process_cpu_seconds_total{instance=\"I\"}[5m])`\n\
            2. More requests than usual, or dearer ones: the rate and the duration by tool.",
        case: Case {
            fires: &[input("mcp_system_cpu_usage_percent", Levels(&[(85.0, 600), (86.0, 0)]))],
            quiet: &[input("mcp_system_cpu_usage_percent", Level(85.0))],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "86%",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: "CriticalCPUUsage",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "cpu",
        threshold: 95.0,
        wait: 300,
        expr: cpu,
        by: &[],
        by_tool: false,
        summary: "The CPU of {instance} has been over {over} for 5 minutes",
        description: "The CPU that {instance} may use is {value} busy: requests wait for it.",
        shown: Shown::Percent,
        runbook: "As [HighCPUUsage](#highcpuusage), with nothing left. Requests wait; shed load, or give it more.",
        case: Case {
            fires: &[input("mcp_system_cpu_usage_percent", Levels(&[(95.0, 600), (96.0, 0)]))],
            quiet: &[input("mcp_system_cpu_usage_percent", Level(95.0))],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "96%",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: "HighSystemMemoryUsage",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "system_memory",
        threshold: 85.0,
        wait: 300,
        expr: system_memory,
        by: &[],
        by_tool: false,
        summary: "More than {over} of the memory around {instance} is used",
        description: "{value} of the memory of the cgroup or host of {instance} is used.",
        shown: Shown::Percent,
        runbook: "The cgroup or the host that the server runs in is short of memory, whoever uses it.\n\n\
            1. The server's own share: [HighMemoryUsage](#highmemoryusage) fires too, or it is a neighbour.",
        case: Case {
            fires: &[input("mcp_system_memory_usage_percent", Levels(&[(85.0, 600), (86.0, 0)]))],
            quiet: &[input("mcp_system_memory_usage_percent", Level(85.0))],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "86%",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: "CriticalSystemMemoryUsage",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "system_memory",
        threshold: 95.0,
        wait: 120,
        expr: system_memory,
        by: &[],
        by_tool: false,
        summary: "More than {over} of the memory around {instance} is used",
        description: "{value} of the memory of the cgroup or host of {instance} is used: something will be killed.",
        shown: Shown::Percent,
        runbook: "As [HighSystemMemoryUsage](#highsystemmemoryusage): the kernel kills something next, and it may be the server.",
        case: Case {
            fires: &[input("mcp_system_memory_usage_percent", Levels(&[(95.0, 600), (96.0, 0)]))],
            quiet: &[input("mcp_system_memory_usage_percent", Level(95.0))],
            least: 0.0,
            at: 720,
            gone: 0,
            labels: &[],
            value: "96%",
            spare: &[],
            scenes: &[],
        },
    },
];

//! Alerts about the process and its machine.

use super::Samples::{As, Level, Ramp};
use super::{Alert, Case, Group, Selectors, Severity, Shown, input};

/// What the allocator holds where one reports it, else what the process does.
fn used(s: &Selectors<'_>) -> String {
    let heap = s.of("mcp_memory_usage_bytes", r#"type="heap""#);
    let rss = s.of("mcp_memory_usage_bytes", r#"type="rss""#);
    format!("(max by (job, instance) ({heap}) or max by (job, instance) ({rss}))")
}

/// The limit of the cgroup, or else the memory of the host.
fn total(s: &Selectors<'_>) -> String {
    let total = s.of("mcp_memory_usage_bytes", r#"type="total""#);
    format!("(max by (job, instance) ({total}) > 0)")
}

fn memory(s: &Selectors<'_>, over: &str) -> String {
    format!("{} / {} > {over}", used(s), total(s))
}

/// At the pace of the last hour all of it is used within so many hours; and there was an hour, and a
/// quarter of it is used already, which a server that is still warming up seldom does.
fn leak(s: &Selectors<'_>, over: &str) -> String {
    let rss = s.of("mcp_memory_usage_bytes", r#"type="rss""#);
    let (used, total) = (used(s), total(s));
    format!(
        "max by (job, instance) (deriv({rss}[1h])) * 3600 * {over} + {used} > {total}
and
{used} / {total} > 0.25
and
max by (job, instance) ({rss} offset 1h) > 0"
    )
}

fn cpu(s: &Selectors<'_>, over: &str) -> String {
    format!("max by (job, instance) ({}) > {over}", s.of("mcp_system_cpu_usage_percent", ""))
}

fn system_memory(s: &Selectors<'_>, over: &str) -> String {
    format!("max by (job, instance) ({}) > {over}", s.of("mcp_system_memory_usage_percent", ""))
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
    let started = s.of("process_start_time_seconds", "");
    let ours = s.of("mcp_vitals_build_info", "");
    format!(
        "max by (job, instance) (changes({started}[15m])) > {over}
and
max by (job, instance) (last_over_time({ours}[1d]))"
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
            fires: &[input("up", As("1x8 0x400")), input(OURS, As("1x8 stale"))],
            quiet: &[input("up", As("1x8 0x2 1x400")), input(OURS, As("1x8 _x2 1x400"))],
            few: 0.0,
            at: 195,
            labels: &[],
            value: "0",
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
            fires: &[
                input("process_start_time_seconds", As("100x8 200x8 300x8 400x400")),
                input(OURS, Level(1.0)),
            ],
            quiet: &[
                input("process_start_time_seconds", As("100x8 200x8 300x400")),
                input(OURS, Level(1.0)),
            ],
            few: 0.0,
            at: 405,
            labels: &[],
            value: "3",
        },
    },
    Alert {
        name: "HighMemoryUsage",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "memory",
        threshold: 0.85,
        wait: 180,
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
            fires: &[input(RSS, Level(95.0)), input(HEAP, Level(86.0)), input(TOTAL, Level(100.0))],
            quiet: &[input(RSS, Level(95.0)), input(HEAP, Level(85.0)), input(TOTAL, Level(100.0))],
            few: 0.0,
            at: 180,
            labels: &[],
            value: "86%",
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
            fires: &[input(RSS, Level(96.0)), input(TOTAL, Level(100.0))],
            quiet: &[input(RSS, Level(95.0)), input(TOTAL, Level(100.0))],
            few: 0.0,
            at: 60,
            labels: &[],
            value: "96%",
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
        summary: "{instance} uses all its memory within {over} hours, if it goes on so",
        description: "The memory of {instance} has grown for an hour; at this pace it has {value} in 4 hours, which is more than it may have.",
        shown: Shown::Bytes,
        runbook: "The memory of the process has grown for an hour at a pace that uses all of it within {over} hours.\n\n\
            1. Growth with the load (requests, sessions, agents): a cache without a bound, or sessions that are not closed.\n\
            2. Growth without load: a leak. A heap profile, twice an hour apart, names it.",
        case: Case {
            fires: &[
                // 0.1 of 1,000 MiB each 15 s: 24 MiB an hour.
                input(RSS, Ramp(950.0 * 1_048_576.0, 0.1 * 1_048_576.0)),
                input(TOTAL, Level(1_000.0 * 1_048_576.0)),
            ],
            quiet: &[
                input(RSS, Ramp(500.0 * 1_048_576.0, 0.1 * 1_048_576.0)),
                input(TOTAL, Level(1_000.0 * 1_048_576.0)),
            ],
            few: 0.0,
            at: 4_500,
            labels: &[],
            value: "1.051GiB",
        },
    },
    Alert {
        name: "HighCPUUsage",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "cpu",
        threshold: 85.0,
        wait: 300,
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
            fires: &[input("mcp_system_cpu_usage_percent", Level(86.0))],
            quiet: &[input("mcp_system_cpu_usage_percent", Level(85.0))],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "86%",
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
            fires: &[input("mcp_system_cpu_usage_percent", Level(96.0))],
            quiet: &[input("mcp_system_cpu_usage_percent", Level(95.0))],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "96%",
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
            fires: &[input("mcp_system_memory_usage_percent", Level(86.0))],
            quiet: &[input("mcp_system_memory_usage_percent", Level(85.0))],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "86%",
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
            fires: &[input("mcp_system_memory_usage_percent", Level(96.0))],
            quiet: &[input("mcp_system_memory_usage_percent", Level(95.0))],
            few: 0.0,
            at: 120,
            labels: &[],
            value: "96%",
        },
    },
];

//! Alerts about agents, tasks and models.

use super::Samples::{As, Count, Level};
use super::{AGENTS, Alert, Case, Group, Selectors, Severity, Shown, input};

/// Failures count as events too: agents that were spawned long ago and fail now, with none spawned
/// meanwhile, are a ratio of +Inf, and fire.
fn agent_failures(s: &Selectors<'_>, over: &str) -> String {
    let failed = s.of("mcp_agents_failed_total", "");
    let spawned = s.of("mcp_agents_spawned_total", "");
    let (range, least) = (AGENTS.range(), AGENTS.least);
    format!(
        "(
    sum by (job, instance) (rate({failed}[{range}]))
  /
    sum by (job, instance) (rate({spawned}[{range}]))
) > {over}
and
(
    sum by (job, instance) (increase({failed}[{range}]))
  +
    sum by (job, instance) (increase({spawned}[{range}]))
) >= {least}"
    )
}

fn queued(s: &Selectors<'_>, over: &str) -> String {
    format!("sum by (job, instance) ({}) > {over}", s.of("mcp_tasks_pending", ""))
}

fn not_started(s: &Selectors<'_>, over: &str) -> String {
    let (pending, running) = (s.of("mcp_tasks_pending", ""), s.of("mcp_tasks_running", ""));
    format!(
        "sum by (job, instance) ({pending}) > {over}
and
sum by (job, instance) ({running}) == 0"
    )
}

fn long_tasks(s: &Selectors<'_>, over: &str) -> String {
    let buckets = s.of("mcp_task_duration_seconds_bucket", "");
    let count = s.of("mcp_task_duration_seconds_count", "");
    format!(
        "histogram_quantile(
  0.95,
  sum by (job, instance, task_type, le) (rate({buckets}[10m]))
) > {over}
and
sum by (job, instance, task_type) (increase({count}[10m])) >= 5"
    )
}

fn slow_models(s: &Selectors<'_>, over: &str) -> String {
    let buckets = s.of("mcp_neural_inference_duration_seconds_bucket", "");
    let count = s.of("mcp_neural_inference_duration_seconds_count", "");
    format!(
        "histogram_quantile(
  0.95,
  sum by (job, instance, model, le) (rate({buckets}[5m]))
) > {over}
and
sum by (job, instance, model) (increase({count}[5m])) >= 10"
    )
}

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "HighAgentFailureRate",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "agents",
        threshold: 0.2,
        wait: 120,
        expr: agent_failures,
        by: &[],
        by_tool: false,
        summary: "More than {over} of the agents of {instance} fail",
        description: "{instance} lost {value} as many agents as it spawned, over the last 5 minutes.",
        shown: Shown::Ratio,
        runbook: "More than one agent fails for five that are spawned, of at least 10 events in 5 minutes.\n\n\
            1. Why: `sum by (type, reason) (rate(mcp_agents_failed_total{instance=\"I\"}[5m]))`\n\
            2. `reason=\"panic\"` is a bug: see [HandlerPanics](#handlerpanics).",
        case: Case {
            fires: &[
                input(r#"mcp_agents_spawned_total{type="coder"}"#, Count(4.0)),
                input(r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#, Count(1.0)),
            ],
            quiet: &[
                input(r#"mcp_agents_spawned_total{type="coder"}"#, Count(100.0)),
                input(r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#, Count(19.9)),
            ],
            few: 0.08,
            at: 150,
            labels: &[],
            value: "25%",
        },
    },
    Alert {
        name: "HighTaskQueueDepth",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "queue",
        threshold: 50.0,
        wait: 300,
        expr: queued,
        by: &[],
        by_tool: false,
        summary: "More than {over} tasks wait in {instance}",
        description: "{value} tasks wait in {instance}, over all priorities; more than {over} have waited for 5 minutes.",
        shown: Shown::Number,
        runbook: "More than {over} tasks have waited for 5 minutes.\n\n\
            1. `mcp_tasks_running{instance=\"I\"}` at its limit: more work than workers. At 0: see [TaskExecutionStalled](#taskexecutionstalled).\n\
            2. Task durations risen: what tasks wait for got slower.",
        case: Case {
            fires: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(20.0)),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(31.0)),
                input("mcp_tasks_running", Level(4.0)),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(20.0)),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(30.0)),
                input("mcp_tasks_running", Level(4.0)),
            ],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "51",
        },
    },
    Alert {
        name: "CriticalTaskQueueDepth",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "queue",
        threshold: 200.0,
        wait: 120,
        expr: queued,
        by: &[],
        by_tool: false,
        summary: "More than {over} tasks wait in {instance}",
        description: "{value} tasks wait in {instance}, over all priorities; more than {over} have waited for 2 minutes.",
        shown: Shown::Number,
        runbook: "As [HighTaskQueueDepth](#hightaskqueuedepth), and worse: refuse new work before the memory does it.",
        case: Case {
            fires: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(201.0)),
                input("mcp_tasks_running", Level(4.0)),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(200.0)),
                input("mcp_tasks_running", Level(4.0)),
            ],
            few: 0.0,
            at: 120,
            labels: &[],
            value: "201",
        },
    },
    Alert {
        name: "TaskExecutionStalled",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "tasks",
        threshold: 0.0,
        wait: 300,
        expr: not_started,
        by: &[],
        by_tool: false,
        summary: "Tasks wait in {instance} and none runs",
        description: "{value} tasks wait in {instance} and none has run for 5 minutes.",
        shown: Shown::Number,
        runbook: "Tasks wait and none runs, for 5 minutes: whoever starts them is dead or blocked.\n\n\
            1. Does the process still answer requests? If not: [RequestsStalled](#requestsstalled).\n\
            2. The logs of the scheduler, from when `mcp_tasks_running` went to 0.",
        case: Case {
            fires: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(1.0)),
                input("mcp_tasks_running", Level(0.0)),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(1.0)),
                input("mcp_tasks_running", Level(1.0)),
            ],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "1",
        },
    },
    Alert {
        name: "LongRunningTasks",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "task_latency",
        threshold: 300.0,
        wait: 300,
        expr: long_tasks,
        by: &["task_type"],
        by_tool: false,
        summary: "One task of {task_type} in twenty takes more than {over} in {instance}",
        description: "The 95th percentile of the duration of the tasks {task_type} of {instance} is {value}, over the last 10 minutes.",
        shown: Shown::Seconds,
        runbook: "The slowest twentieth of the tasks of one type takes more than {over}, of at least 5 in 10 minutes.\n\n\
            1. By status: a time-out shows as many tasks of the same length that end in an error.\n\
            2. Tasks that are meant to be long want another threshold.",
        case: Case {
            fires: &[
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="300.0"}"#,
                    Count(94.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="600.0"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="+Inf"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_count{task_type="index", status="success"}"#,
                    Count(100.0),
                ),
            ],
            quiet: &[
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="300.0"}"#,
                    Count(96.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="600.0"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_bucket{task_type="index", status="success", le="+Inf"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_task_duration_seconds_count{task_type="index", status="success"}"#,
                    Count(100.0),
                ),
            ],
            few: 0.001,
            at: 315,
            labels: &[("task_type", "index")],
            value: "5m 50s",
        },
    },
    Alert {
        name: "SlowNeuralInference",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "inference",
        threshold: 10.0,
        wait: 300,
        expr: slow_models,
        by: &["model"],
        by_tool: false,
        summary: "One answer of {model} in twenty takes more than {over} in {instance}",
        description: "The 95th percentile of the inference duration of {model} in {instance} is {value}, over the last 5 minutes.",
        shown: Shown::Seconds,
        runbook: "The slowest twentieth of a model's answers takes more than {over}, of at least 10 in 5 minutes.\n\n\
            1. Longer answers, or slower ones: compare with `rate(mcp_neural_tokens_processed_total{instance=\"I\", direction=\"output\"}[5m])`.\n\
            2. One model alone: its provider, or the machine that it runs on.",
        case: Case {
            fires: &[
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="10.0"}"#,
                    Count(94.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="15.0"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="+Inf"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_count{model="m", operation="predict"}"#,
                    Count(100.0),
                ),
            ],
            quiet: &[
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="10.0"}"#,
                    Count(96.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="15.0"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_bucket{model="m", operation="predict", le="+Inf"}"#,
                    Count(100.0),
                ),
                input(
                    r#"mcp_neural_inference_duration_seconds_count{model="m", operation="predict"}"#,
                    Count(100.0),
                ),
            ],
            few: 0.003,
            at: 315,
            labels: &[("model", "m")],
            value: "10.83s",
        },
    },
];

/// An hour without anything, for what stands and is never touched.
pub(super) const STILL: super::Samples = As("0x600");

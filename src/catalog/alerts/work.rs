//! Alerts about agents, tasks and models.

use super::Samples::{Anew, Count, Level, Levels, Turns};
use super::{AGENTS, Alert, Case, Group, Selectors, Severity, Shown, fires, input, quiet};
use crate::catalog::key_alerts::{HIGH_AGENT_FAILURE_RATE, HIGH_TASK_QUEUE_DEPTH};

/// Failures count as events too: agents that were spawned long ago and fail now, with none spawned
/// meanwhile, are a ratio of +Inf, and fire.
fn agent_failures(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let failed = s.of("mcp_agents_failed_total", "");
    let spawned = s.of("mcp_agents_spawned_total", "");
    let (range, least) = (AGENTS.range(), AGENTS.least);
    format!(
        "(
    sum by ({by}) (rate({failed}[{range}]))
  /
    sum by ({by}) (rate({spawned}[{range}]))
) > {over}
and
(
    sum by ({by}) (increase({failed}[{range}]))
  +
    sum by ({by}) (increase({spawned}[{range}]))
) >= {least}"
    )
}

fn queued(s: &Selectors<'_>, over: &str) -> String {
    format!("sum by ({}) ({}) > {over}{}", s.by(), s.of("mcp_tasks_pending", ""), s.alive())
}

fn not_started(s: &Selectors<'_>, over: &str) -> String {
    let (by, alive) = (s.by(), s.alive());
    let (pending, running) = (s.of("mcp_tasks_pending", ""), s.of("mcp_tasks_running", ""));
    format!(
        "sum by ({by}) ({pending}) > {over}
and
sum by ({by}) ({running}) == 0{alive}"
    )
}

fn long_tasks(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let buckets = s.of("mcp_task_duration_seconds_bucket", "");
    let count = s.of("mcp_task_duration_seconds_count", "");
    format!(
        "histogram_quantile(
  0.95,
  sum by ({by}, task_type, le) (rate({buckets}[10m]))
) > {over}
and
sum by ({by}, task_type) (increase({count}[10m])) >= 5"
    )
}

fn slow_models(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let buckets = s.of("mcp_neural_inference_duration_seconds_bucket", "");
    let count = s.of("mcp_neural_inference_duration_seconds_count", "");
    format!(
        "histogram_quantile(
  0.95,
  sum by ({by}, model, le) (rate({buckets}[5m]))
) > {over}
and
sum by ({by}, model) (increase({count}[5m])) >= 10"
    )
}

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: HIGH_AGENT_FAILURE_RATE.name,
        severity: HIGH_AGENT_FAILURE_RATE.severity,
        group: Group::Server,
        subject: "agents",
        threshold: HIGH_AGENT_FAILURE_RATE.threshold,
        wait: HIGH_AGENT_FAILURE_RATE.wait,
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
                input(r#"mcp_agents_spawned_total{type="coder"}"#, Turns(&[(6.0, 600), (3.0, 0)])),
                input(r#"mcp_agents_spawned_total{type="tester"}"#, Turns(&[(2.0, 600), (1.0, 0)])),
                input(
                    r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#,
                    Turns(&[(0.0, 600), (0.5, 0)]),
                ),
                input(
                    r#"mcp_agents_failed_total{type="coder", reason="panic"}"#,
                    Turns(&[(0.0, 600), (0.5, 0)]),
                ),
            ],
            quiet: &[
                input(r#"mcp_agents_spawned_total{type="coder"}"#, Count(100.0)),
                input(r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#, Count(10.0)),
                input(r#"mcp_agents_failed_total{type="coder", reason="panic"}"#, Count(9.8)),
            ],
            least: 0.1,
            at: 990,
            gone: 0,
            labels: &[],
            value: "25%",
            spare: &[],
            scenes: &[
                fires(
                    "agents of long ago fail and none is spawned",
                    &[
                        input(r#"mcp_agents_spawned_total{type="coder"}"#, Level(40.0)),
                        input(
                            r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#,
                            Turns(&[(0.0, 600), (1.0, 0)]),
                        ),
                    ],
                    870,
                    "+Inf%",
                ),
                fires(
                    "agents of another process fail, and this one is restarted",
                    &[
                        input(r#"mcp_agents_spawned_total{type="coder"}"#, Level(0.0)),
                        input(
                            r#"mcp_agents_failed_total{type="coder", reason="timeout"}"#,
                            Anew(&[(0.0, 600), (1.0, 0)], 1.0, 55),
                        ),
                    ],
                    870,
                    "+Inf%",
                ),
            ],
        },
    },
    Alert {
        name: HIGH_TASK_QUEUE_DEPTH.name,
        severity: HIGH_TASK_QUEUE_DEPTH.severity,
        group: Group::Server,
        subject: "queue",
        threshold: HIGH_TASK_QUEUE_DEPTH.threshold,
        wait: HIGH_TASK_QUEUE_DEPTH.wait,
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
                input(r#"mcp_tasks_pending{priority="high"}"#, Levels(&[(20.0, 600), (21.0, 0)])),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(30.0)),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(20.0)),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(30.0)),
            ],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "51",
            spare: &[],
            scenes: &[],
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
                input(r#"mcp_tasks_pending{priority="high"}"#, Levels(&[(100.0, 600), (101.0, 0)])),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(100.0)),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(100.0)),
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(100.0)),
            ],
            least: 0.0,
            at: 720,
            gone: 0,
            labels: &[],
            value: "201",
            spare: &[],
            scenes: &[],
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
                input(r#"mcp_tasks_pending{priority="low"}"#, Level(1.0)),
                input("mcp_tasks_running", Levels(&[(1.0, 600), (0.0, 0)])),
            ],
            quiet: &[
                input(r#"mcp_tasks_pending{priority="high"}"#, Level(1.0)),
                input("mcp_tasks_running", Level(1.0)),
            ],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "2",
            spare: &[],
            scenes: &[quiet(
                "nothing waits and nothing runs",
                &[
                    input(r#"mcp_tasks_pending{priority="high"}"#, Level(0.0)),
                    input("mcp_tasks_running", Level(0.0)),
                ],
            )],
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
            fires: buckets! { "mcp_task_duration_seconds", "300.0", "600.0";
            r#"task_type="index", status="error", "# => Count(50.0), Count(50.0);
            r#"task_type="index", status="success", "# => Turns(&[(50.0, 600), (43.0, 0)]), Count(50.0);
            },
            quiet: buckets! { "mcp_task_duration_seconds", "300.0", "600.0";
            r#"task_type="index", status="error", "# => Count(50.0), Count(50.0);
            r#"task_type="index", status="success", "# => Count(45.1), Count(50.0);
            },
            least: 0.00125,
            at: 1335,
            gone: 0,
            labels: &[("task_type", "index")],
            value: "6m 25s",
            spare: &[],
            scenes: &[quiet(
                "another type is slow, of few",
                buckets! { "mcp_task_duration_seconds", "300.0", "600.0";
                    r#"task_type="index", status="success", "# => Count(50.0), Count(50.0);
                    r#"task_type="dig", status="success", "# => Count(0.0), Count(0.1);
                },
            )],
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
            fires: buckets! { "mcp_neural_inference_duration_seconds", "10.0", "30.0";
            r#"model="m", operation="embed", "# => Count(50.0), Count(50.0);
            r#"model="m", operation="predict", "# => Turns(&[(50.0, 600), (44.0, 0)]), Count(50.0);
            },
            quiet: buckets! { "mcp_neural_inference_duration_seconds", "10.0", "30.0";
            r#"model="m", operation="embed", "# => Count(50.0), Count(50.0);
            r#"model="m", operation="predict", "# => Count(45.1), Count(50.0);
            },
            least: 0.005,
            at: 1155,
            gone: 0,
            labels: &[("model", "m")],
            value: "13.33s",
            spare: &[],
            scenes: &[quiet(
                "another model is slow, of few",
                buckets! { "mcp_neural_inference_duration_seconds", "10.0", "30.0";
                    r#"model="m", operation="predict", "# => Count(50.0), Count(50.0);
                    r#"model="n", operation="predict", "# => Count(0.0), Count(0.4);
                },
            )],
        },
    },
];

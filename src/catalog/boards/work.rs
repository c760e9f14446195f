//! Dashboards of what a server works at: agents and tasks, models and tokens.

use super::{Board, Draw, OF_INFERENCE, OF_QUEUE, Row, holds, lines, q, quantile, share, stat};

pub(super) static AGENTS: Board = Board {
    uid: "mcp-vitals-agents",
    title: "MCP server: agents and tasks",
    about: "Agents that live, start and fail, and the tasks that wait, run and end.",
    rows: &[
        Row {
            title: "Now",
            panels: &[
                stat(
                    "Active agents",
                    "All that live, busy or idle.",
                    "short",
                    6,
                    &[q("sum(mcp_agents_active{@})", "")],
                ),
                stat(
                    "Agent success rate",
                    "Of the agents that were spawned, those that did not fail.",
                    "percentunit",
                    6,
                    &[q(
                        concat!(
                            "1 - clamp_max(",
                            share!("mcp_agents_failed_total{@}", "mcp_agents_spawned_total{@}", ""),
                            ", 1)"
                        ),
                        "",
                    )],
                )
                .up_to(1.0)
                .good(&[holds("HighAgentFailureRate")]),
                stat(
                    "Task queue depth",
                    "Tasks that wait.",
                    "short",
                    6,
                    &[q("sum(mcp_tasks_pending{@})", "")],
                )
                .steps(OF_QUEUE),
                stat(
                    "Tasks running",
                    "Tasks that a worker has taken up.",
                    "short",
                    6,
                    &[q("sum(mcp_tasks_running{@})", "")],
                ),
            ],
        },
        Row {
            title: "Agents",
            panels: &[
                lines(
                    "Active agents by type",
                    "All that live, busy or idle.",
                    "short",
                    8,
                    &[q("sum by (type) (mcp_agents_active{@})", "{{type}}")],
                )
                .whole(),
                lines(
                    "Active agents by status",
                    "Of all types.",
                    "short",
                    8,
                    &[q("sum by (status) (mcp_agents_active{@})", "{{status}}")],
                )
                .whole(),
                lines(
                    "Agents spawned",
                    "A second, by type.",
                    "ops",
                    8,
                    &[q("sum by (type) (rate(mcp_agents_spawned_total{@}~))", "{{type}}")],
                ),
                lines(
                    "Agents failed by type",
                    "A second.",
                    "ops",
                    12,
                    &[q("sum by (type) (rate(mcp_agents_failed_total{@}~))", "{{type}}")],
                ),
                lines(
                    "Agents failed by reason",
                    "A second.",
                    "ops",
                    12,
                    &[q("sum by (reason) (rate(mcp_agents_failed_total{@}~))", "{{reason}}")],
                ),
            ],
        },
        Row {
            title: "Tasks",
            panels: &[
                lines(
                    "Task queue depth by priority",
                    "And those that run.",
                    "short",
                    8,
                    &[
                        q("sum by (priority) (mcp_tasks_pending{@})", "{{priority}} waiting"),
                        q("sum(mcp_tasks_running{@})", "running"),
                    ],
                )
                .whole()
                .steps(OF_QUEUE),
                lines(
                    "Tasks finished",
                    "A second, by how they ended.",
                    "ops",
                    8,
                    &[q(
                        "sum by (status) (rate(mcp_task_duration_seconds_count{@}~))",
                        "{{status}}",
                    )],
                ),
                lines(
                    "Tasks finished by type",
                    "A second, however they ended.",
                    "ops",
                    8,
                    &[q(
                        "sum by (task_type) (rate(mcp_task_duration_seconds_count{@}~))",
                        "{{task_type}}",
                    )],
                ),
                lines(
                    "Task duration",
                    "How many tasks took how long.",
                    "s",
                    12,
                    &[q("sum by (le) (increase(mcp_task_duration_seconds_bucket{@}~))", "{{le}}")],
                )
                .drawn(Draw::Heat),
                lines(
                    "Task duration: p95",
                    "By type, however they ended.",
                    "s",
                    12,
                    &[q(
                        quantile!("0.95", "mcp_task_duration_seconds", "@", "task_type, "),
                        "{{task_type}}",
                    )],
                ),
            ],
        },
    ],
};

pub(super) static NEURAL: Board = Board {
    uid: "mcp-vitals-neural",
    title: "MCP server: models",
    about: "How long models take to answer, and the tokens that they read and write.",
    rows: &[
        Row {
            title: "Now",
            panels: &[
                stat(
                    "Inference p95",
                    "The duration that one answer in twenty exceeds.",
                    "s",
                    6,
                    &[q(quantile!("0.95", "mcp_neural_inference_duration_seconds", "@", ""), "")],
                )
                .steps(OF_INFERENCE),
                stat(
                    "Inference p50",
                    "The duration that half of the answers exceed.",
                    "s",
                    6,
                    &[q(quantile!("0.5", "mcp_neural_inference_duration_seconds", "@", ""), "")],
                ),
                stat(
                    "Inferences",
                    "Answers a second.",
                    "ops",
                    6,
                    &[q("sum(rate(mcp_neural_inference_duration_seconds_count{@}~))", "")],
                ),
                stat(
                    "Token throughput",
                    "Tokens a second, both directions.",
                    "short",
                    6,
                    &[q("sum(rate(mcp_neural_tokens_processed_total{@}~))", "")],
                ),
            ],
        },
        Row {
            title: "Models",
            panels: &[
                lines(
                    "Inference duration: p50 and p95",
                    "By model and operation.",
                    "s",
                    12,
                    &[
                        q(
                            quantile!(
                                "0.5",
                                "mcp_neural_inference_duration_seconds",
                                "@",
                                "model, operation, "
                            ),
                            "{{model}} {{operation}} p50",
                        ),
                        q(
                            quantile!(
                                "0.95",
                                "mcp_neural_inference_duration_seconds",
                                "@",
                                "model, operation, "
                            ),
                            "{{model}} {{operation}} p95",
                        ),
                    ],
                )
                .steps(OF_INFERENCE),
                lines(
                    "Token throughput by model",
                    "Tokens a second, by direction.",
                    "short",
                    12,
                    &[q(
                        "sum by (model, direction) (rate(mcp_neural_tokens_processed_total{@}~))",
                        "{{model}} {{direction}}",
                    )],
                ),
                lines(
                    "Inference duration",
                    "How many answers took how long.",
                    "s",
                    12,
                    &[q(
                        "sum by (le) (increase(mcp_neural_inference_duration_seconds_bucket{@}~))",
                        "{{le}}",
                    )],
                )
                .drawn(Draw::Heat),
                lines(
                    "Tokens an inference",
                    "How much a model reads and writes for one answer.",
                    "short",
                    12,
                    &[q(
                        "sum by (model, direction) (rate(mcp_neural_tokens_processed_total{@}~)) / on (model) group_left () sum by (model) (rate(mcp_neural_inference_duration_seconds_count{@}~))",
                        "{{model}} {{direction}}",
                    )],
                ),
            ],
        },
    ],
};

//! Dashboards of the machine that a server runs on, and of who comes in.

use super::{
    Board, OF_CPU, OF_MEMORY, OF_SYSTEM_MEMORY, Row, burns, holds, lines, q, share, stat, warns,
};

pub(super) static SYSTEM: Board = Board {
    uid: "mcp-vitals-system",
    title: "MCP server: memory and system",
    about: "The memory and the CPU of the process and of what it runs in, and the server's own memory store.",
    rows: &[
        Row {
            title: "Now",
            panels: &[
                stat("Memory usage", "Resident memory of the process, of what it may use: the fullest instance.", "percentunit", 6,
                    &[q("max(mcp_memory_usage_bytes{@, type=\"rss\"} / ignoring (type) (mcp_memory_usage_bytes{@, type=\"total\"} > 0))", "")]).up_to(1.0).steps(OF_MEMORY),
                stat("CPU", "In use, of what the cgroup allows or the machine has: the busiest instance.", "percent", 6,
                    &[q("max(mcp_system_cpu_usage_percent{@})", "")]).up_to(100.0).steps(OF_CPU),
                stat("System memory", "In use, of what the cgroup allows or the machine has: the fullest instance.", "percent", 6,
                    &[q("max(mcp_system_memory_usage_percent{@})", "")]).up_to(100.0).steps(OF_SYSTEM_MEMORY),
                stat("Up for", "Since the start of the process: the youngest instance.", "s", 6,
                    &[q("min(time() - process_start_time_seconds{@})", "")]),
            ],
        },
        Row {
            title: "Memory",
            panels: &[
                lines("Memory by kind", "What the process holds. What it may hold is the limit of its cgroup, or else the memory of its host: the type total of the same metric.", "bytes", 8,
                    &[q("mcp_memory_usage_bytes{@, type!=\"total\"}", "{{instance}} {{type}}")]),
                lines("Memory operations", "Of the server's memory store, a second, whatever came of them.", "ops", 8,
                    &[q("sum by (operation) (rate(mcp_memory_operations_total{@}~))", "{{operation}}")]),
                lines("Memory operations that failed", "Of the server's memory store, a second.", "ops", 8,
                    &[q("sum by (operation) (rate(mcp_memory_operations_total{@, status=\"error\"}~))", "{{operation}}")]),
            ],
        },
        Row {
            title: "System",
            panels: &[
                lines("CPU by instance", "Of what the cgroup allows or the machine has.", "percent", 6,
                    &[q("mcp_system_cpu_usage_percent{@}", "{{instance}}")]).up_to(100.0).steps(OF_CPU),
                lines("CPU of the process", "In cores: 1 is one core, all of the time.", "none", 6,
                    &[q("rate(process_cpu_seconds_total{@}~)", "{{instance}}")]),
                lines("System memory by instance", "Of what the cgroup allows or the machine has.", "percent", 6,
                    &[q("mcp_system_memory_usage_percent{@}", "{{instance}}")]).up_to(100.0).steps(OF_SYSTEM_MEMORY),
                lines("Restarts", "How often the process was started anew in the last hour.", "short", 6,
                    &[q("changes(process_start_time_seconds{@}[1h])", "{{instance}}")]).whole(),
            ],
        },
    ],
};

pub(super) static AUTH: Board = Board {
    uid: "mcp-vitals-auth",
    title: "MCP server: authentication",
    about: "Who tries to come in, who fails, and who comes too often.",
    rows: &[
        Row {
            title: "Now",
            panels: &[
                stat(
                    "Auth success rate",
                    "Of the attempts to authenticate, those that succeeded.",
                    "percentunit",
                    6,
                    &[q(
                        share!(
                            "mcp_auth_attempts_total{@, status=\"success\"}",
                            "mcp_auth_attempts_total{@}",
                            ""
                        ),
                        "",
                    )],
                )
                .up_to(1.0)
                .good(&[holds("HighAuthenticationFailureRate")]),
                stat(
                    "Attempts",
                    "To authenticate, a second.",
                    "ops",
                    6,
                    &[q("sum(rate(mcp_auth_attempts_total{@}~))", "")],
                ),
                stat(
                    "Failed attempts",
                    "A second. In red there are as many as of somebody who guesses.",
                    "ops",
                    6,
                    &[q("sum(rate(mcp_auth_attempts_total{@, status=\"failed\"}~))", "")],
                )
                .steps(&[burns("PossibleBruteForceAttack")]),
                stat(
                    "Rate-limit violations",
                    "Requests refused a second because a user went over a limit.",
                    "reqps",
                    6,
                    &[q("sum(rate(mcp_auth_rate_limit_exceeded_total{@}~))", "")],
                )
                .steps(&[warns("HighRateLimitViolations")]),
            ],
        },
        Row {
            title: "Authentication",
            panels: &[
                lines(
                    "Attempts by outcome",
                    "A second.",
                    "ops",
                    12,
                    &[q("sum by (status) (rate(mcp_auth_attempts_total{@}~))", "{{status}}")],
                ),
                lines(
                    "Auth success rate by method",
                    "Of the attempts to authenticate, those that succeeded.",
                    "percentunit",
                    12,
                    &[q(
                        share!(
                            "mcp_auth_attempts_total{@, status=\"success\"}",
                            "mcp_auth_attempts_total{@}",
                            "by (method) "
                        ),
                        "{{method}}",
                    )],
                )
                .up_to(1.0),
                lines(
                    "Attempts by method",
                    "A second, whatever came of them.",
                    "ops",
                    12,
                    &[q("sum by (method) (rate(mcp_auth_attempts_total{@}~))", "{{method}}")],
                ),
                lines(
                    "Rate-limit violations by user",
                    "The ten that were refused most often.",
                    "reqps",
                    12,
                    &[q(
                        "topk(10, sum by (user_id) (rate(mcp_auth_rate_limit_exceeded_total{@}~)))",
                        "{{user_id}}",
                    )],
                ),
            ],
        },
    ],
};

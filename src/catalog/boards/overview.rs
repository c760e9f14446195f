//! The dashboard to begin with: requests, by tool and operation.

use super::{
    Board, Draw, OF_ERRORS, OF_PERCENT, OF_SHARE, Panel, Row, error_ratio, lines, q, quantile, stat,
};

pub(super) static BOARD: Board = Board {
    uid: "mcp-vitals-overview",
    title: "MCP server: overview",
    about: "One MCP server or many, measured by mcp-vitals: requests, errors, latency and sessions, by tool and operation.",
    rows: &[
        Row {
            title: "Now",
            panels: &[
                stat("Request rate", "Requests finished a second, whatever their outcome.", "reqps", 4,
                    &[q("sum(rate(mcp_requests_total{@o}~))", "")]),
                stat("Error rate", "Errors of the server over what ended in success or error. The caller's own faults and cancelled requests are no errors.", "percentunit", 4,
                    &[q(error_ratio!(""), "")]).steps(OF_ERRORS),
                stat("Request p95", "The duration that one request in twenty exceeds.", "s", 4,
                    &[q(quantile!("0.95", "mcp_request_duration_seconds", "@o", ""), "")]).steps(&[(5.0, "orange")]),
                stat("In flight", "Requests that are being handled now.", "short", 4,
                    &[q("sum(mcp_requests_in_flight{@t})", "")]),
                stat("CPU", "The busiest instance: CPU in use, of what its cgroup allows or its machine has.", "percent", 4,
                    &[q("max(mcp_system_cpu_usage_percent{@})", "")]).up_to(100.0).steps(OF_PERCENT),
                stat("Memory", "The fullest instance: resident memory of the process, of what it may use.", "percentunit", 4,
                    &[q("max(mcp_memory_usage_bytes{@, type=\"rss\"} / ignoring (type) (mcp_memory_usage_bytes{@, type=\"total\"} > 0))", "")]).up_to(1.0).steps(OF_SHARE),
            ],
        },
        Row {
            title: "Requests",
            panels: &[
                lines("Request rate by outcome", "", "reqps", 8,
                    &[q("sum by (status) (rate(mcp_requests_total{@o}~))", "{{status}}")]),
                lines("Request duration: p50, p95, p99", "Points are exemplars: each leads to the trace of one request.", "s", 8, &[
                    q(quantile!("0.5", "mcp_request_duration_seconds", "@o", ""), "p50"),
                    q(quantile!("0.95", "mcp_request_duration_seconds", "@o", ""), "p95"),
                    q(quantile!("0.99", "mcp_request_duration_seconds", "@o", ""), "p99"),
                ]).steps(&[(5.0, "orange")]),
                lines("Error rate by tool", "Errors of the server over what ended in success or error, for each tool.", "percentunit", 8,
                    &[q(error_ratio!("by (tool) "), "{{tool}}")]).steps(OF_ERRORS),
                lines("Request rate by tool", "", "reqps", 8,
                    &[q("sum by (tool) (rate(mcp_requests_total{@o}~))", "{{tool}}")]),
                lines("In flight by tool", "", "short", 8,
                    &[q("sum by (tool) (mcp_requests_in_flight{@t})", "{{tool}}")]),
                lines("Errors by type", "What begins with client_ is the caller's own fault.", "reqps", 8,
                    &[q("sum by (error_type) (rate(mcp_request_errors_total{@o}~))", "{{error_type}}")]),
                Panel {
                    title: "Request duration",
                    about: "How many requests took how long.",
                    draw: Draw::Heat,
                    unit: "s",
                    wide: 12,
                    queries: &[q("sum by (le) (increase(mcp_request_duration_seconds_bucket{@o}~))", "{{le}}")],
                    max: None,
                    steps: &[],
                },
                lines("Sessions", "Those that are open, and those that were opened, a second.", "short", 6, &[
                    q("sum(mcp_sessions_active{@})", "open"),
                    q("sum(rate(mcp_sessions_total{@}~))", "opened"),
                ]),
                lines("Panics and cancellations", "A second.", "reqps", 6, &[
                    q("sum by (tool) (rate(mcp_panics_total{@t}~))", "{{tool}} panicked"),
                    q("sum by (tool) (rate(mcp_cancellations_total{@t}~))", "{{tool}} cancelled"),
                ]),
            ],
        },
        Row {
            title: "By tool",
            panels: &[
                lines("Tools and operations", "Over the last window.", "short", 24, &[
                    q("sum by (tool, operation) (rate(mcp_requests_total{@o}~))", "Rate"),
                    q(error_ratio!("by (tool, operation) "), "Error rate"),
                    q(quantile!("0.5", "mcp_request_duration_seconds", "@o", "tool, operation, "), "p50"),
                    q(quantile!("0.95", "mcp_request_duration_seconds", "@o", "tool, operation, "), "p95"),
                    q(quantile!("0.99", "mcp_request_duration_seconds", "@o", "tool, operation, "), "p99"),
                ]).drawn(Draw::Table),
            ],
        },
    ],
};

//! The dashboard to begin with: requests, by tool and operation.

use super::{
    Board, Draw, OF_CPU, OF_ERRORS, OF_LATENCY, OF_MEMORY, Row, any, error_ratio, lines, q,
    quantile, stat,
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
                    &[q(quantile!("0.95", "mcp_request_duration_seconds", "@o", ""), "")]).steps(OF_LATENCY),
                stat("In flight", "Requests that are being handled now.", "short", 4,
                    &[q("sum(mcp_requests_in_flight{@t})", "")]),
                stat("CPU", "The busiest instance: CPU in use, of what its cgroup allows or its machine has.", "percent", 4,
                    &[q("max(mcp_system_cpu_usage_percent{@})", "")]).up_to(100.0).steps(OF_CPU),
                stat("Memory", "The fullest instance: resident memory of the process, of what it may use.", "percentunit", 4,
                    &[q("max(mcp_memory_usage_bytes{@, type=\"rss\"} / ignoring (type) (mcp_memory_usage_bytes{@, type=\"total\"} > 0))", "")]).up_to(1.0).steps(OF_MEMORY),
            ],
        },
        Row {
            title: "Requests",
            panels: &[
                lines("Request rate by outcome", "Finished requests.", "reqps", 8,
                    &[q("sum by (status) (rate(mcp_requests_total{@o}~))", "{{status}}")]),
                lines("Request duration: p50, p95, p99", "Points are exemplars: each leads to the trace of one request.", "s", 8, &[
                    q(quantile!("0.5", "mcp_request_duration_seconds", "@o", ""), "p50"),
                    q(quantile!("0.95", "mcp_request_duration_seconds", "@o", ""), "p95"),
                    q(quantile!("0.99", "mcp_request_duration_seconds", "@o", ""), "p99"),
                ]).steps(OF_LATENCY),
                lines("Errors by type", "In red what is the server's fault; what begins with client_ is the caller's own.", "reqps", 8,
                    &[q("sum by (error_type) (rate(mcp_request_errors_total{@o}~))", "{{error_type}}")]),
                lines("Request duration", "How many requests took how long.", "s", 12,
                    &[q("sum by (le) (increase(mcp_request_duration_seconds_bucket{@o}~))", "{{le}}")]).drawn(Draw::Heat),
                lines("Sessions", "Those that are open, and how many were opened in five minutes.", "short", 6, &[
                    q("sum(mcp_sessions_active{@})", "open"),
                    q("sum(increase(mcp_sessions_total{@}[5m]))", "opened in 5 min"),
                ]).whole(),
                lines("Panics and cancellations", "By tool, where there are any.", "reqps", 6, &[
                    q(any!("tool", "mcp_panics_total{@t}"), "{{tool}} panicked"),
                    q(any!("tool", "mcp_cancellations_total{@t}"), "{{tool}} cancelled"),
                ]),
            ],
        },
        Row {
            title: "Tools and operations",
            panels: &[
                lines("Request rate by tool", "Finished requests, whatever their outcome.", "reqps", 12,
                    &[q("sum by (tool) (rate(mcp_requests_total{@o}~))", "{{tool}}")]),
                lines("Error rate by tool", "Errors of the server over what ended in success or error, for each tool.", "percentunit", 12,
                    &[q(error_ratio!("by (tool) "), "{{tool}}")]).steps(OF_ERRORS),
                lines("Request p95 by tool", "The duration that one request in twenty exceeds.", "s", 12,
                    &[q(quantile!("0.95", "mcp_request_duration_seconds", "@o", "tool, "), "{{tool}}")]).steps(OF_LATENCY),
                lines("In flight by tool", "Requests that are being handled.", "short", 12,
                    &[q("sum by (tool) (mcp_requests_in_flight{@t})", "{{tool}}")]).whole(),
                lines("Each tool and operation", "Over the last window.", "short", 24, &[
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

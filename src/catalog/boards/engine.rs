//! The dashboard of the measuring itself.

use super::{Board, Draw, Row, any, lines, q, quantile, stat, warns};

pub(super) static BOARD: Board = Board {
    uid: "mcp-vitals-engine",
    title: "MCP server: mcp-vitals itself",
    about: "What the measuring costs, holds and loses. All losses at 0 is as it should be.",
    rows: &[
        Row {
            title: "Losses",
            panels: &[
                lines(
                    "Metrics",
                    "What could not be kept as it was recorded, a second, by metric.",
                    "ops",
                    12,
                    &[
                        q(
                            any!("metric", "mcp_vitals_series_overflow_total{@}"),
                            "{{metric}}: recorded as _other",
                        ),
                        q(any!("metric", "mcp_vitals_lost_total{@}"), "{{metric}}: no room"),
                        q(any!("metric", "mcp_vitals_refused_total{@}"), "{{metric}}: not finite"),
                        q(any!("metric", "mcp_vitals_clamped_total{@}"), "{{metric}}: clamped"),
                        q("sum(rate(mcp_vitals_mismatched_total{@}~))", "wrong labels"),
                        q(
                            any!("metric", "mcp_vitals_values_cut_total{@}"),
                            "{{metric}}: label cut",
                        ),
                    ],
                ),
                lines(
                    "Unknown tools",
                    "Calls of tools that the server does not have, a second; their series is _other.",
                    "ops",
                    12,
                    &[q(
                        "sum by (reason) (rate(mcp_vitals_unknown_tool_calls_total{@}~))",
                        "{{reason}}",
                    )],
                ),
                lines(
                    "Lines",
                    "Lines that were lost, a second, by place and reason.",
                    "ops",
                    12,
                    &[q(
                        "sum by (place, reason) (rate(mcp_vitals_log_lost_total{@}~))",
                        "{{place}}: {{reason}}",
                    )],
                ),
                lines(
                    "Spans",
                    "Spans that were lost, a second, by place and reason.",
                    "ops",
                    12,
                    &[q(
                        "sum by (place, reason) (rate(mcp_vitals_span_lost_total{@}~))",
                        "{{place}}: {{reason}}",
                    )],
                ),
            ],
        },
        Row {
            title: "What it holds",
            panels: &[
                lines("Memory of the engine", "Charged to memory_limit.", "bytes", 6, &[
                    q("mcp_vitals_memory_used_bytes{@}", "{{instance}} used"),
                    q("mcp_vitals_memory_limit_bytes{@}", "{{instance}} limit"),
                ]),
                lines("Series", "Label sets that are held.", "short", 6,
                    &[q("mcp_vitals_series{@}", "{{instance}}")]).whole(),
                lines("Shards", "Cells of threads that record: all, and those that a thread has now.", "short", 6, &[
                    q("mcp_vitals_shards{@}", "{{instance}}"),
                    q("mcp_vitals_shards_leased{@}", "{{instance}} in use"),
                ]).whole(),
                lines("Queues", "Bytes that wait for a sink of the logs.", "bytes", 6,
                    &[q("sum by (instance, sink) (mcp_vitals_log_queued_bytes{@})", "{{instance}} {{sink}}")]),
            ],
        },
        Row {
            title: "What it does",
            panels: &[
                lines(
                    "Scrape duration: p95",
                    "How long it takes to merge and encode all series.",
                    "s",
                    8,
                    &[q(
                        quantile!("0.95", "mcp_vitals_scrape_duration_seconds", "@", "instance, "),
                        "{{instance}}",
                    )],
                )
                .steps(&[warns("ScrapeSlow")]),
                lines(
                    "Lines written",
                    "A second, by sink and level.",
                    "ops",
                    8,
                    &[q(
                        "sum by (sink, level) (rate(mcp_vitals_log_lines_total{@}~))",
                        "{{sink}} {{level}}",
                    )],
                ),
                lines(
                    "Spans ended",
                    "A second.",
                    "ops",
                    8,
                    &[q("sum by (instance) (rate(mcp_vitals_spans_total{@}~))", "{{instance}}")],
                ),
                stat("Version", "Of mcp-vitals.", "none", 4, &[q("mcp_vitals_build_info{@}", "{{version}}")])
                    .drawn(Draw::Name),
                lines(
                    "Every series of the engine",
                    "What is not 0, as it stands, from the start of the process, over the instances.",
                    "short",
                    20,
                    &[q(
                        "sum by (__name__, metric, place, sink, reason) ({__name__=~\"mcp_vitals_.+\", __name__!~\".+_bucket\", @}) > 0",
                        "Value",
                    )],
                )
                .drawn(Draw::Table),
            ],
        },
    ],
};

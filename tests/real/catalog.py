"""What the exposition of an MCP server promises, written down a second time.

The crate's own catalog is the first time. This one is typed by hand on purpose: a name, a type or a
label that changes there has to be changed here too, by somebody who knows that operators' queries
change with it.
"""

# metric -> (type, label names)
CATALOG = {
    "mcp_requests_total": ("counter", {"tool", "operation", "status"}),
    "mcp_request_duration_seconds": ("histogram", {"tool", "operation"}),
    "mcp_request_errors_total": ("counter", {"tool", "operation", "error_type"}),
    "mcp_agents_active": ("gauge", {"type", "status"}),
    "mcp_agents_spawned_total": ("counter", {"type"}),
    "mcp_agents_failed_total": ("counter", {"type", "reason"}),
    "mcp_tasks_pending": ("gauge", {"priority"}),
    "mcp_tasks_running": ("gauge", set()),
    "mcp_task_duration_seconds": ("histogram", {"task_type", "status"}),
    "mcp_memory_usage_bytes": ("gauge", {"type"}),
    "mcp_memory_operations_total": ("counter", {"operation", "status"}),
    "mcp_neural_inference_duration_seconds": ("histogram", {"model", "operation"}),
    "mcp_neural_tokens_processed_total": ("counter", {"model", "direction"}),
    "mcp_system_cpu_usage_percent": ("gauge", set()),
    "mcp_system_memory_usage_percent": ("gauge", set()),
    "mcp_auth_attempts_total": ("counter", {"method", "status"}),
    "mcp_auth_rate_limit_exceeded_total": ("counter", {"user_id"}),
}

# Beside the catalog: what else the shipped dashboard and alerts read.
BESIDES = {
    "mcp_requests_in_flight": ("gauge", {"tool"}),
    "mcp_panics_total": ("counter", {"tool"}),
    "mcp_cancellations_total": ("counter", {"tool"}),
    "mcp_sessions_active": ("gauge", set()),
    "mcp_vitals_series_overflow_total": ("counter", {"metric", "label"}),
    "mcp_vitals_values_cut_total": ("counter", {"metric"}),
    "mcp_vitals_lost_total": ("counter", {"metric"}),
    "mcp_vitals_refused_total": ("counter", {"metric"}),
    "mcp_vitals_clamped_total": ("counter", {"metric"}),
    "mcp_vitals_mismatched_total": ("counter", set()),
    "mcp_vitals_unknown_tool_calls_total": ("counter", {"reason"}),
    "mcp_vitals_memory_used_bytes": ("gauge", set()),
    "mcp_vitals_memory_limit_bytes": ("gauge", set()),
    "mcp_vitals_series": ("gauge", set()),
    "mcp_vitals_shards": ("gauge", set()),
    "mcp_vitals_shards_leased": ("gauge", set()),
    "mcp_vitals_scrape_duration_seconds": ("histogram", set()),
}

REQUEST_STATUSES = {"success", "error", "cancelled"}

# The labels of the dashboard's variables, for each metric that has them in the variables' sense.
# (`operation` of mcp_memory_operations_total is not the operation of a request.)
VARIABLES = {
    "mcp_requests_total": {"instance", "tool", "operation"},
    "mcp_request_duration_seconds": {"instance", "tool", "operation"},
    "mcp_request_errors_total": {"instance", "tool", "operation"},
    "mcp_requests_in_flight": {"instance", "tool"},
    "mcp_panics_total": {"instance", "tool"},
    "mcp_cancellations_total": {"instance", "tool"},
}

ALERTS = {
    "HighErrorRate": "warning",
    "CriticalErrorRate": "critical",
    "HighRequestLatency": "warning",
    "HighAgentFailureRate": "warning",
    "HighTaskQueueDepth": "warning",
    "HighMemoryUsage": "warning",
    "HighCPUUsage": "warning",
    "PossibleBruteForceAttack": "critical",
}

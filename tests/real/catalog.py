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

# Beside the catalog: what else the shipped dashboards and alerts read, of a server with logs and traces.
BESIDES = {
    "mcp_requests_in_flight": ("gauge", {"tool"}),
    "mcp_panics_total": ("counter", {"tool"}),
    "mcp_cancellations_total": ("counter", {"tool"}),
    "mcp_sessions_active": ("gauge", set()),
    "mcp_sessions_total": ("counter", set()),
    "mcp_vitals_series_overflow_total": ("counter", {"metric", "label"}),
    "mcp_vitals_values_cut_total": ("counter", {"metric"}),
    "mcp_vitals_lost_total": ("counter", {"metric"}),
    "mcp_vitals_refused_total": ("counter", {"metric"}),
    "mcp_vitals_clamped_total": ("counter", {"metric"}),
    "mcp_vitals_mismatched_total": ("counter", set()),
    "mcp_vitals_common_lost_total": ("counter", set()),
    "mcp_vitals_unknown_tool_calls_total": ("counter", {"reason"}),
    "mcp_vitals_memory_used_bytes": ("gauge", set()),
    "mcp_vitals_memory_limit_bytes": ("gauge", set()),
    "mcp_vitals_series": ("gauge", set()),
    "mcp_vitals_shards": ("gauge", set()),
    "mcp_vitals_shards_leased": ("gauge", set()),
    "mcp_vitals_scrape_duration_seconds": ("histogram", set()),
    "mcp_vitals_log_lines_total": ("counter", {"sink", "level"}),
    "mcp_vitals_log_lost_total": ("counter", {"place", "level", "reason"}),
    "mcp_vitals_log_queued_bytes": ("gauge", {"sink"}),
    "mcp_vitals_spans_total": ("counter", set()),
    "mcp_vitals_span_lost_total": ("counter", {"place", "reason"}),
    "process_cpu_seconds_total": ("counter", set()),
    "process_start_time_seconds": ("gauge", set()),
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

# The dashboards: file -> uid, as links and bookmarks have them.
BOARDS = {
    "overview": "mcp-vitals-overview",
    "agents": "mcp-vitals-agents",
    "neural": "mcp-vitals-neural",
    "system": "mcp-vitals-system",
    "auth": "mcp-vitals-auth",
    "engine": "mcp-vitals-engine",
}

# The fifteen panels of the original: board, title, how it is drawn, unit, and what it has to read.
ORIGINALS = [
    ("overview", "Request rate", "stat", "reqps", {"mcp_requests_total"}),
    ("overview", "Request p95", "stat", "s", {"mcp_request_duration_seconds"}),
    (
        "overview",
        "Error rate",
        "stat",
        "percentunit",
        {"mcp_request_errors_total", "mcp_requests_total"},
    ),
    ("agents", "Active agents", "stat", "short", {"mcp_agents_active"}),
    (
        "agents",
        "Agent success rate",
        "stat",
        "percentunit",
        {"mcp_agents_failed_total", "mcp_agents_spawned_total"},
    ),
    ("agents", "Task queue depth", "stat", "short", {"mcp_tasks_pending"}),
    ("agents", "Task duration", "heatmap", "s", {"mcp_task_duration_seconds"}),
    ("system", "Memory usage", "stat", "percentunit", {"mcp_memory_usage_bytes"}),
    ("system", "Memory operations", "timeseries", "ops", {"mcp_memory_operations_total"}),
    ("neural", "Inference p95", "stat", "s", {"mcp_neural_inference_duration_seconds"}),
    ("neural", "Inference p50", "stat", "s", {"mcp_neural_inference_duration_seconds"}),
    ("neural", "Token throughput", "stat", "short", {"mcp_neural_tokens_processed_total"}),
    ("system", "CPU", "stat", "percent", {"mcp_system_cpu_usage_percent"}),
    ("system", "System memory", "stat", "percent", {"mcp_system_memory_usage_percent"}),
    ("auth", "Auth success rate", "stat", "percentunit", {"mcp_auth_attempts_total"}),
    ("auth", "Rate-limit violations", "stat", "reqps", {"mcp_auth_rate_limit_exceeded_total"}),
]

# file of rules -> files of its cases, in alerts/tests.
CASES = {
    "mcp": ["mcp_requests", "mcp_work", "mcp_process", "mcp_days"],
    "engine": ["engine"],
    "optional": ["optional"],
    "slo": ["slo", "slo_days"],
}

# file -> alert -> severity. Four windows of the budget: the fast ones wake somebody.
ALERTS = {
    "mcp": {
        "HighErrorRate": {"warning"},
        "CriticalErrorRate": {"critical"},
        "HighRequestLatency": {"warning"},
        "RequestsStalled": {"critical"},
        "HandlerPanics": {"warning"},
        "SessionLeak": {"warning"},
        "HighAgentFailureRate": {"warning"},
        "HighTaskQueueDepth": {"warning"},
        "CriticalTaskQueueDepth": {"critical"},
        "TaskExecutionStalled": {"critical"},
        "LongRunningTasks": {"warning"},
        "SlowNeuralInference": {"warning"},
        "HighMemoryUsage": {"warning"},
        "CriticalMemoryUsage": {"critical"},
        "MemoryLeakSuspected": {"warning"},
        "HighCPUUsage": {"warning"},
        "CriticalCPUUsage": {"critical"},
        "HighSystemMemoryUsage": {"warning"},
        "CriticalSystemMemoryUsage": {"critical"},
        "PossibleBruteForceAttack": {"critical"},
        "HighAuthenticationFailureRate": {"warning"},
        "HighRateLimitViolations": {"warning"},
        "MCPServerDown": {"critical"},
        "MCPServerFlapping": {"warning"},
    },
    "engine": {
        "TelemetryDropped": {"warning"},
        "SeriesOverflow": {"warning"},
        "ScrapeSlow": {"info"},
    },
    "optional": {
        "NoActiveAgents": {"warning"},
        "TooManyActiveAgents": {"warning"},
        "LowTokenThroughput": {"info"},
        "NoAuthenticationAttempts": {"info"},
    },
    "slo": {"ErrorBudgetBurn": {"critical", "warning"}},
}

# Those whose threshold and time were promised: what the expression compares, for how many seconds.
PROMISED = {
    "HighErrorRate": ("> 0.05", 120),
    "CriticalErrorRate": ("> 0.15", 60),
    "HighRequestLatency": ("> 5", 180),
    "HighAgentFailureRate": ("> 0.2", 120),
    "HighTaskQueueDepth": ("> 50", 300),
    "HighMemoryUsage": ("> 0.85", 180),
    "HighCPUUsage": ("> 85", 300),
    "PossibleBruteForceAttack": ("> 10", None),
    "RequestsStalled": ("> 0", 300),
}

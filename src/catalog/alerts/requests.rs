//! Alerts about requests and who sends them.

use super::Samples::{Count, Level};
use super::{Alert, Case, FAILED_LOGINS, Group, REQUESTS, Selectors, Severity, Shown, input};

/// Errors of the server over what ended in success or error; with the least number of requests that
/// a ratio is worth something of: one failure of 20 is never more than 5 %.
fn error_ratio(s: &Selectors<'_>, over: &str) -> String {
    let errors = s.by_tool("mcp_request_errors_total", r#"error_type!~"client_.*""#);
    let ended = s.by_tool("mcp_requests_total", r#"status=~"success|error""#);
    let (range, least) = (REQUESTS.range(), REQUESTS.least);
    format!(
        "(
    sum by (job, instance) (rate({errors}[{range}]))
  /
    sum by (job, instance) (rate({ended}[{range}]))
) > {over}
and
sum by (job, instance) (increase({ended}[{range}])) >= {least}"
    )
}

fn latency(s: &Selectors<'_>, over: &str) -> String {
    let buckets = s.by_tool("mcp_request_duration_seconds_bucket", "");
    let count = s.by_tool("mcp_request_duration_seconds_count", "");
    let (range, least) = (REQUESTS.range(), REQUESTS.least);
    format!(
        "histogram_quantile(0.95, sum by (job, instance, le) (rate({buckets}[{range}]))) > {over}
and
sum by (job, instance) (increase({count}[{range}])) >= {least}"
    )
}

/// A subscription is open for as long as the client likes.
fn stalled(s: &Selectors<'_>, over: &str) -> String {
    let in_flight = s.by_tool("mcp_requests_in_flight", r#"tool!="subscriptions""#);
    let ended = s.by_tool("mcp_requests_total", "");
    format!(
        "sum by (job, instance) ({in_flight}) > {over}
unless
sum by (job, instance) (increase({ended}[2m])) > 0"
    )
}

fn panics(s: &Selectors<'_>, over: &str) -> String {
    let panics = s.by_tool("mcp_panics_total", "");
    format!("sum by (job, instance, tool) (increase({panics}[5m])) > {over}")
}

/// More of them than a server has use for, and more and more.
fn sessions(s: &Selectors<'_>, over: &str) -> String {
    let active = s.of("mcp_sessions_active", "");
    format!(
        "sum by (job, instance) ({active}) > {over}
and
sum by (job, instance) (deriv({active}[1h])) > 0
and
sum by (job, instance) ({active}) > 1.5 * sum by (job, instance) ({active} offset 1h)"
    )
}

fn failed_logins(s: &Selectors<'_>, over: &str) -> String {
    let failed = s.of("mcp_auth_attempts_total", r#"status="failed""#);
    format!("sum by (job, instance) (rate({failed}[{}])) > {over}", FAILED_LOGINS.range())
}

fn login_failures(s: &Selectors<'_>, over: &str) -> String {
    let failed = s.of("mcp_auth_attempts_total", r#"status="failed""#);
    let all = s.of("mcp_auth_attempts_total", "");
    format!(
        "(
    sum by (job, instance) (rate({failed}[5m]))
  /
    sum by (job, instance) (rate({all}[5m]))
) > {over}
and
sum by (job, instance) (increase({all}[5m])) >= 20"
    )
}

fn refused(s: &Selectors<'_>, over: &str) -> String {
    let refused = s.of("mcp_auth_rate_limit_exceeded_total", "");
    format!("sum by (job, instance) (rate({refused}[5m])) > {over}")
}

const OK: &str = r#"mcp_requests_total{tool="t", operation="execute", status="success"}"#;
const FAILED: &str = r#"mcp_requests_total{tool="t", operation="execute", status="error"}"#;
const ERRORS: &str =
    r#"mcp_request_errors_total{tool="t", operation="execute", error_type="tool_error"}"#;
const CLIENT: &str = r#"mcp_request_errors_total{tool="t", operation="execute", error_type="client_invalid_params"}"#;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "HighErrorRate",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "errors",
        threshold: 0.05,
        wait: 120,
        expr: error_ratio,
        by: &[],
        by_tool: true,
        summary: "More than {over} of the requests to {instance} fail",
        description: "{value} of the requests to {instance} ended in an error of the server, over the last 2 minutes.",
        shown: Shown::Ratio,
        runbook: "More than {over} of the finished requests ended in an error of the server. What the caller did \
            wrong (`error_type=\"client_…\"`) and what was cancelled does not count.\n\n\
            1. Which tool, and what kind of error:\n   \
            `topk(5, sum by (tool, operation, error_type) (rate(mcp_request_errors_total{instance=\"I\", error_type!~\"client_.*\"}[2m])))`\n\
            2. One tool alone: what it calls (a model, a file, a service) is the first suspect.\n\
            3. All tools at once, from one moment on: a release, a limit of the process (memory, file handles), or a back end that all share.",
        case: Case {
            fires: &[
                input(OK, Count(91.0)),
                input(FAILED, Count(9.0)),
                input(ERRORS, Count(6.0)),
                input(CLIENT, Count(3.0)),
            ],
            quiet: &[
                input(OK, Count(90.0)),
                input(FAILED, Count(10.0)),
                input(ERRORS, Count(4.9)),
                input(CLIENT, Count(5.1)),
            ],
            few: 0.02,
            at: 135,
            labels: &[],
            value: "6%",
        },
    },
    Alert {
        name: "CriticalErrorRate",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "errors",
        threshold: 0.15,
        wait: 60,
        expr: error_ratio,
        by: &[],
        by_tool: true,
        summary: "More than {over} of the requests to {instance} fail",
        description: "{value} of the requests to {instance} ended in an error of the server, over the last 2 minutes.",
        shown: Shown::Ratio,
        runbook: "As [HighErrorRate](#higherrorrate), over {over}. Users see this one. If it began with a release, take the \
            release back first and look for the reason after.",
        case: Case {
            fires: &[
                input(OK, Count(84.0)),
                input(FAILED, Count(16.0)),
                input(ERRORS, Count(16.0)),
            ],
            quiet: &[
                input(OK, Count(85.1)),
                input(FAILED, Count(14.9)),
                input(ERRORS, Count(14.9)),
            ],
            few: 0.02,
            at: 75,
            labels: &[],
            value: "16%",
        },
    },
    Alert {
        name: "HighRequestLatency",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "latency",
        threshold: 5.0,
        wait: 180,
        expr: latency,
        by: &[],
        by_tool: true,
        summary: "One request in twenty to {instance} takes more than {over}",
        description: "The 95th percentile of the request duration of {instance} is {value}, over the last 2 minutes.",
        shown: Shown::Seconds,
        runbook: "The slowest twentieth of the requests takes more than {over}.\n\n\
            1. Which tool:\n   \
            `topk(5, histogram_quantile(0.95, sum by (tool, operation, le) (rate(mcp_request_duration_seconds_bucket{instance=\"I\"}[2m]))))`\n\
            2. Requests in flight rise too: the server is behind. Look at CPU, then at what the tool waits for.\n\
            3. Requests in flight are flat: the tool itself got slower. A tool that is meant to be slow (it waits for a model, say) \
            gets a threshold of its own: see `mcp-vitals generate --help`.\n\
            4. A trace of a slow request says where its time went: the exemplars of the duration panel lead to one.",
        case: Case {
            fires: &[
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="5.0"}"#, Count(94.0)),
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="10.0"}"#, Count(100.0)),
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="+Inf"}"#, Count(100.0)),
                input(r#"mcp_request_duration_seconds_count{tool="t"}"#, Count(100.0)),
            ],
            quiet: &[
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="5.0"}"#, Count(96.0)),
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="10.0"}"#, Count(100.0)),
                input(r#"mcp_request_duration_seconds_bucket{tool="t", le="+Inf"}"#, Count(100.0)),
                input(r#"mcp_request_duration_seconds_count{tool="t"}"#, Count(100.0)),
            ],
            few: 0.02,
            at: 195,
            labels: &[],
            value: "5.833s",
        },
    },
    Alert {
        name: "RequestsStalled",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "stalled",
        threshold: 0.0,
        wait: 300,
        expr: stalled,
        by: &[],
        by_tool: false,
        summary: "{instance} has requests in flight and finishes none",
        description: "{value} requests to {instance} are in flight, and none has finished for more than 5 minutes.",
        shown: Shown::Number,
        runbook: "Requests are in flight and none has ended for 5 minutes: every handler waits for the same thing, or the \
            runtime is blocked.\n\n\
            1. Which tools: `mcp_requests_in_flight{instance=\"I\"} > 0`\n\
            2. CPU at 100 % of one core: a handler computes on the runtime's thread; no CPU: a lock or a back end that does not answer.\n\
            3. The list of open spans (where the server has it) names what each one is in.\n\
            4. One call that is meant to take longer than this, on a server without other traffic: give the rule another `wait`, or raise its threshold.",
        case: Case {
            fires: &[
                input(r#"mcp_requests_in_flight{tool="t"}"#, Level(3.0)),
                input(OK, super::Samples::As("0+0x400")),
            ],
            quiet: &[
                input(r#"mcp_requests_in_flight{tool="t"}"#, Level(3.0)),
                input(OK, Count(1.0)),
            ],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "3",
        },
    },
    Alert {
        name: "HandlerPanics",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "panics",
        threshold: 0.0,
        wait: 0,
        expr: panics,
        by: &["tool"],
        by_tool: false,
        summary: "A handler of {tool} panicked in {instance}",
        description: "Handlers of the tool {tool} of {instance} panicked {value} times in the last 5 minutes.",
        shown: Shown::Number,
        runbook: "A handler panicked: a bug, by definition. The client waits until its own time-out unless the server answers for panics \
            (`answer_panics(true)`).\n\n\
            1. stderr has the panic's message and its place.\n\
            2. The log line `request ended` with `outcome=panic` has the request's id and its arguments' context.",
        case: Case {
            fires: &[input(r#"mcp_panics_total{tool="t"}"#, super::Samples::As("0x8 1x400"))],
            quiet: &[input(r#"mcp_panics_total{tool="t"}"#, Level(7.0))],
            few: 0.0,
            at: 135,
            labels: &[("tool", "t")],
            value: "1",
        },
    },
    Alert {
        name: "SessionLeak",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "sessions",
        threshold: 100.0,
        wait: 1_800,
        expr: sessions,
        by: &[],
        by_tool: false,
        summary: "Sessions of {instance} are opened and not closed",
        description: "{instance} has {value} open sessions, half as many again as an hour ago, and more by the minute.",
        shown: Shown::Number,
        runbook: "More than {over} sessions are open, half as many again as an hour ago. Clients that go away without a `DELETE` leave \
            theirs behind.\n\n\
            1. `mcp_sessions_active{instance=\"I\"}` over a day: does it ever go down?\n\
            2. Give the transport's session manager a time-out for idle sessions.",
        case: Case {
            fires: &[input("mcp_sessions_active", super::Samples::Ramp(10.0, 1.0))],
            quiet: &[input("mcp_sessions_active", Level(400.0))],
            // An hour ago there is something from 1 h on, and it has grown enough then.
            few: 0.0,
            at: 5_400,
            labels: &[],
            value: "370",
        },
    },
    Alert {
        name: "PossibleBruteForceAttack",
        severity: Severity::Critical,
        group: Group::Server,
        subject: "logins",
        threshold: 10.0,
        wait: 60,
        expr: failed_logins,
        by: &[],
        by_tool: false,
        summary: "More than {over} authentications a second fail on {instance}",
        description: "{value} authentications a second fail on {instance}, over the last minute. Somebody may be guessing.",
        shown: Shown::Number,
        runbook: "More than {over} failed authentications a second. Somebody may be guessing, or a client with an old token tries again \
            without a pause.\n\n\
            1. By method: `sum by (method, status) (rate(mcp_auth_attempts_total{instance=\"I\"}[1m]))`\n\
            2. The log lines of `auth_event` have the user and the address. Block, or limit the rate.",
        case: Case {
            fires: &[input(
                r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                Count(165.0),
            )],
            quiet: &[input(
                r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                Count(149.0),
            )],
            few: 0.0,
            at: 120,
            labels: &[],
            value: "11",
        },
    },
    Alert {
        name: "HighAuthenticationFailureRate",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "logins",
        threshold: 0.3,
        wait: 300,
        expr: login_failures,
        by: &[],
        by_tool: false,
        summary: "More than {over} of the authentications on {instance} fail",
        description: "{value} of the attempts to authenticate on {instance} failed, over the last 5 minutes.",
        shown: Shown::Ratio,
        runbook: "More than {over} of the attempts to authenticate fail, of at least 20 in 5 minutes.\n\n\
            1. By method, as in [PossibleBruteForceAttack](#possiblebruteforceattack). One method alone: its back end, or a key that ran out.",
        case: Case {
            fires: &[
                input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, Count(6.0)),
                input(r#"mcp_auth_attempts_total{method="token", status="failed"}"#, Count(4.0)),
            ],
            quiet: &[
                input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, Count(7.1)),
                input(r#"mcp_auth_attempts_total{method="token", status="failed"}"#, Count(2.9)),
            ],
            few: 0.08,
            at: 330,
            labels: &[],
            value: "40%",
        },
    },
    Alert {
        name: "HighRateLimitViolations",
        severity: Severity::Warning,
        group: Group::Server,
        subject: "rate_limits",
        threshold: 1.0,
        wait: 300,
        expr: refused,
        by: &[],
        by_tool: false,
        summary: "{instance} refuses more than {over} requests a second for their rate",
        description: "{instance} refused {value} requests a second because their users went over a limit, over the last 5 minutes.",
        shown: Shown::Number,
        runbook: "More than {over} requests a second are refused for their rate.\n\n\
            1. One user or all: `topk(5, sum by (user_id) (rate(mcp_auth_rate_limit_exceeded_total{instance=\"I\"}[5m])))`\n\
            2. One: talk to them. All: the limit is too low for what the service is for.",
        case: Case {
            fires: &[input(r#"mcp_auth_rate_limit_exceeded_total{user_id="u"}"#, Count(30.0))],
            quiet: &[input(r#"mcp_auth_rate_limit_exceeded_total{user_id="u"}"#, Count(14.9))],
            few: 0.0,
            at: 465,
            labels: &[],
            value: "2",
        },
    },
];

//! Alerts about requests and who sends them.

use super::Samples::{Anew, As, Count, Level, Ramp, Turns};
use super::{
    Alert, Case, FAILED_LOGINS, Group, REQUESTS, Selectors, Severity, Shown, fires, input, quiet,
};
use crate::catalog::key_alerts::{
    CRITICAL_ERROR_RATE, HIGH_ERROR_RATE, HIGH_REQUEST_LATENCY, POSSIBLE_BRUTE_FORCE_ATTACK,
};

/// Errors of the server over what ended in success or error; with the least number of requests that
/// a ratio is worth something of: one failure of 20 is never more than 5 %.
fn error_ratio(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let errors = s.by_tool("mcp_request_errors_total", r#"error_type!~"client_.*""#);
    let ended = s.by_tool("mcp_requests_total", r#"status=~"success|error""#);
    let (range, least) = (REQUESTS.range(), REQUESTS.least);
    format!(
        "(
    sum by ({by}) (rate({errors}[{range}]))
  /
    sum by ({by}) (rate({ended}[{range}]))
) > {over}
and
sum by ({by}) (increase({ended}[{range}])) >= {least}"
    )
}

fn latency(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let buckets = s.by_tool("mcp_request_duration_seconds_bucket", "");
    let count = s.by_tool("mcp_request_duration_seconds_count", "");
    let (range, least) = (REQUESTS.range(), REQUESTS.least);
    format!(
        "histogram_quantile(0.95, sum by ({by}, le) (rate({buckets}[{range}]))) > {over}
and
sum by ({by}) (increase({count}[{range}])) >= {least}"
    )
}

/// A subscription is open for as long as the client likes. The window is as short as it can be: the
/// five minutes are those of `for`, in which something is in flight all along.
fn stalled(s: &Selectors<'_>, over: &str) -> String {
    let (by, alive) = (s.by(), s.alive());
    let in_flight = s.of("mcp_requests_in_flight", r#"tool!="subscriptions""#);
    let ended = s.of("mcp_requests_total", "");
    format!(
        "(
  sum by ({by}) ({in_flight}) > {over}
  unless
  sum by ({by}) (increase({ended}[1m])) > 0
){alive}"
    )
}

/// A series that was not there five minutes ago may have been born with its first panic in it; it
/// counts if nothing older can be in it: the process was watched already, or is as young itself.
fn panics(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let panics = s.of("mcp_panics_total", "");
    let (up, started) = (s.of("up", ""), s.of("process_start_time_seconds", ""));
    format!(
        "sum by ({by}, tool) (increase({panics}[5m])) > {over}
or
(
  sum by ({by}, tool) ({panics} unless {panics} offset 5m) > {over}
  and on (job, instance)
  (
    max by (job, instance) ({up} offset 5m)
    or
    max by (job, instance) ({started}) > time() - 300
  )
)"
    )
}

/// More of them than a server has use for, ever more, and more than there were requests in an hour:
/// a session that somebody uses has several.
fn sessions(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let (active, requests) = (s.of("mcp_sessions_active", ""), s.of("mcp_requests_total", ""));
    format!(
        "sum by ({by}) ({active}) > {over}
and
sum by ({by}) (deriv({active}[1h])) > 0
and
sum by ({by}) ({active}) > sum by ({by}) (increase({requests}[1h]))"
    )
}

fn failed_logins(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let failed = s.of("mcp_auth_attempts_total", r#"status="failed""#);
    format!("sum by ({by}) (rate({failed}[{}])) > {over}", FAILED_LOGINS.range())
}

fn login_failures(s: &Selectors<'_>, over: &str) -> String {
    let by = s.by();
    let failed = s.of("mcp_auth_attempts_total", r#"status="failed""#);
    let all = s.of("mcp_auth_attempts_total", "");
    format!(
        "(
    sum by ({by}) (rate({failed}[5m]))
  /
    sum by ({by}) (rate({all}[5m]))
) > {over}
and
sum by ({by}) (increase({all}[5m])) >= 20"
    )
}

fn refused(s: &Selectors<'_>, over: &str) -> String {
    let refused = s.of("mcp_auth_rate_limit_exceeded_total", "");
    format!("sum by ({}) (rate({refused}[5m])) > {over}", s.by())
}

const OK: &str = r#"mcp_requests_total{tool="t", operation="execute", status="success"}"#;
const FAILED: &str = r#"mcp_requests_total{tool="t", operation="execute", status="error"}"#;
const ERRORS: &str =
    r#"mcp_request_errors_total{tool="t", operation="execute", error_type="tool_error"}"#;
const OK_U: &str = r#"mcp_requests_total{tool="u", operation="execute", status="success"}"#;
const CANCELLED: &str = r#"mcp_requests_total{tool="t", operation="execute", status="cancelled"}"#;
const ERRORS_U: &str =
    r#"mcp_request_errors_total{tool="u", operation="execute", error_type="internal"}"#;
const CLIENT: &str = r#"mcp_request_errors_total{tool="t", operation="execute", error_type="client_invalid_params"}"#;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: HIGH_ERROR_RATE.name,
        severity: HIGH_ERROR_RATE.severity,
        group: Group::Server,
        subject: "errors",
        threshold: HIGH_ERROR_RATE.threshold,
        wait: HIGH_ERROR_RATE.wait,
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
                input(OK, Turns(&[(120.0, 600), (51.0, 0)])),
                input(OK_U, Turns(&[(80.0, 600), (40.0, 0)])),
                input(FAILED, Turns(&[(0.0, 600), (9.0, 0)])),
                input(CANCELLED, Count(50.0)),
                input(ERRORS, Turns(&[(0.0, 600), (4.0, 0)])),
                input(ERRORS_U, Turns(&[(0.0, 600), (2.0, 0)])),
                input(CLIENT, Turns(&[(0.0, 600), (3.0, 0)])),
            ],
            quiet: &[
                input(OK, Count(50.0)),
                input(OK_U, Count(40.0)),
                input(FAILED, Count(10.0)),
                input(ERRORS, Count(4.9)),
                input(CLIENT, Count(5.1)),
            ],
            least: 0.025,
            at: 840,
            gone: 0,
            labels: &[],
            value: "6%",
            spare: &[],
            scenes: &[
                fires(
                    "it is just above",
                    &[input(OK, Count(94.9)), input(FAILED, Count(5.1)), input(ERRORS, Count(5.1))],
                    135,
                    "5.1%",
                ),
                quiet(
                    "as many are cancelled as fail",
                    &[
                        input(OK, Count(100.0)),
                        input(CANCELLED, Count(20.0)),
                        input(ERRORS, Count(4.0)),
                    ],
                ),
            ],
        },
    },
    Alert {
        name: CRITICAL_ERROR_RATE.name,
        severity: CRITICAL_ERROR_RATE.severity,
        group: Group::Server,
        subject: "errors",
        threshold: CRITICAL_ERROR_RATE.threshold,
        wait: CRITICAL_ERROR_RATE.wait,
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
                input(OK, Turns(&[(120.0, 600), (50.0, 0)])),
                input(OK_U, Turns(&[(80.0, 600), (28.0, 0)])),
                input(FAILED, Turns(&[(0.0, 600), (22.0, 0)])),
                input(CANCELLED, Count(50.0)),
                input(ERRORS, Turns(&[(0.0, 600), (12.0, 0)])),
                input(ERRORS_U, Turns(&[(0.0, 600), (6.0, 0)])),
                input(CLIENT, Turns(&[(0.0, 600), (4.0, 0)])),
            ],
            quiet: &[
                input(OK, Count(50.0)),
                input(OK_U, Count(30.0)),
                input(FAILED, Count(20.0)),
                input(ERRORS, Count(14.9)),
                input(CLIENT, Count(5.1)),
            ],
            least: 0.025,
            at: 780,
            gone: 0,
            labels: &[],
            value: "18%",
            spare: &[],
            scenes: &[fires(
                "it is just above",
                &[input(OK, Count(84.9)), input(FAILED, Count(15.1)), input(ERRORS, Count(15.1))],
                75,
                "15.1%",
            )],
        },
    },
    Alert {
        name: HIGH_REQUEST_LATENCY.name,
        severity: HIGH_REQUEST_LATENCY.severity,
        group: Group::Server,
        subject: "latency",
        threshold: HIGH_REQUEST_LATENCY.threshold,
        wait: HIGH_REQUEST_LATENCY.wait,
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
            fires: buckets! { "mcp_request_duration_seconds", "5.0", "10.0";
                r#"tool="t", "# => Count(50.0), Count(50.0);
                r#"tool="u", "# => Turns(&[(50.0, 600), (44.0, 0)]), Count(50.0);
            },
            quiet: buckets! { "mcp_request_duration_seconds", "5.0", "10.0";
                r#"tool="t", "# => Count(50.0), Count(50.0);
                r#"tool="u", "# => Count(45.1), Count(50.0);
            },
            least: 0.025,
            at: 885,
            gone: 0,
            labels: &[],
            value: "5.833s",
            spare: &[],
            scenes: &[fires(
                "it is just above",
                buckets! { "mcp_request_duration_seconds", "5.0", "10.0"; r#"tool="t", "# => Count(94.9), Count(100.0); },
                195,
                "5.098s",
            )],
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
                input(r#"mcp_requests_in_flight{tool="t"}"#, Level(2.0)),
                input(r#"mcp_requests_in_flight{tool="u"}"#, Level(1.0)),
                input(OK, Turns(&[(1.0, 600), (0.0, 0)])),
            ],
            quiet: &[
                input(r#"mcp_requests_in_flight{tool="t"}"#, Level(3.0)),
                input(OK, Count(0.25)),
            ],
            least: 0.0,
            at: 960,
            gone: 0,
            labels: &[],
            value: "3",
            spare: &["mcp_requests_total"],
            scenes: &[
                fires(
                    "a first request never ends",
                    &[
                        input(r#"mcp_requests_in_flight{tool="t"}"#, Level(1.0)),
                        input(OK, Level(0.0)),
                    ],
                    315,
                    "1",
                ),
                fires(
                    "it counts anew, and finishes none since",
                    &[
                        input(r#"mcp_requests_in_flight{tool="t"}"#, Level(1.0)),
                        input(OK, Anew(&[(1.0, 570)], 0.0, 38)),
                    ],
                    930,
                    "1",
                ),
                quiet(
                    "idle, with subscriptions",
                    &[
                        input(r#"mcp_requests_in_flight{tool="t"}"#, Level(0.0)),
                        input(r#"mcp_requests_in_flight{tool="subscriptions"}"#, Level(3.0)),
                        input(OK, Level(7.0)),
                    ],
                ),
                quiet(
                    "requests end, cancelled",
                    &[
                        input(r#"mcp_requests_in_flight{tool="t"}"#, Level(3.0)),
                        input(OK, Level(7.0)),
                        input(CANCELLED, Count(0.25)),
                    ],
                ),
            ],
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
            fires: &[
                input(r#"mcp_panics_total{tool="t"}"#, As("0x8 1x400")),
                input(r#"mcp_panics_total{tool="_other"}"#, Level(0.0)),
            ],
            quiet: &[input(r#"mcp_panics_total{tool="t"}"#, Level(0.0))],
            least: 0.0,
            at: 135,
            gone: 435,
            labels: &[("tool", "t")],
            value: "1",
            spare: &["up", "process_start_time_seconds"],
            scenes: &[
                fires(
                    "a tool's first call panics, in an old process",
                    &[
                        input("up", As("_x50 1x60")),
                        input(r#"mcp_panics_total{tool="t"}"#, As("_x80 1x40")),
                    ],
                    1_200,
                    "1",
                ),
                fires(
                    "a tool's first call panics, in a process that was not watched yet",
                    &[
                        input("up", As("_x80 1x40")),
                        input("process_start_time_seconds", As("_x80 920x40")),
                        input(r#"mcp_panics_total{tool="t"}"#, As("_x80 1x40")),
                    ],
                    1_200,
                    "1",
                ),
                quiet(
                    "an old process is watched for the first time",
                    &[
                        input("up", As("_x80 1x400")),
                        input("process_start_time_seconds", As("_x80 890x400")),
                        input(r#"mcp_panics_total{tool="t"}"#, As("_x80 7x400")),
                    ],
                ),
                quiet(
                    "a process that had panicked is restarted",
                    &[
                        input("process_start_time_seconds", As("-9000x100 1500x400")),
                        input(r#"mcp_panics_total{tool="t"}"#, As("7x100 0x400")),
                    ],
                ),
                quiet(
                    "a tool is called for the first time, and does not panic",
                    &[input(r#"mcp_panics_total{tool="t"}"#, As("_x80 0x400"))],
                ),
            ],
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
        description: "{instance} has {value} open sessions, more than it had requests in an hour, and more by the minute.",
        shown: Shown::Number,
        runbook: "More than {over} sessions are open, ever more, and more than there were requests in an hour: most of them nobody uses. Clients that go away without a `DELETE` leave \
            theirs behind.\n\n\
            1. `mcp_sessions_active{instance=\"I\"}` over a day: does it ever go down?\n\
            2. Give the transport's session manager a time-out for idle sessions.",
        case: Case {
            fires: &[
                // For a moment there are very many: it is the trend that counts.
                input("mcp_sessions_active", As("10+1x159 1000 171+1x334 505x400")),
                input(OK, Turns(&[(2.0, 3_600), (0.3, 0)])),
                input(OK_U, Turns(&[(1.0, 3_600), (0.2, 0)])),
            ],
            quiet: &[input("mcp_sessions_active", Level(400.0)), input(OK, Count(1.0))],
            least: 0.0,
            at: 7425,
            gone: 11025,
            labels: &[],
            value: "505",
            spare: &[],
            scenes: &[
                fires(
                    "it is just above",
                    &[input("mcp_sessions_active", As("101+0.01x400")), input(OK, Count(0.1))],
                    1_815,
                    "102.2",
                ),
                quiet(
                    "they go",
                    &[input("mcp_sessions_active", As("900-0.1x1000")), input(OK, Count(0.1))],
                ),
                quiet(
                    "more and more people work, and it counts anew",
                    &[
                        input("mcp_sessions_active", Ramp(200.0, 1.0)),
                        input(OK, Anew(&[], 9.0, 400)),
                    ],
                ),
                quiet(
                    "a hundred come and stay",
                    &[input("mcp_sessions_active", As("10+1x90 100x2000")), input(OK, Count(0.1))],
                ),
                quiet(
                    "more and more people work",
                    &[input("mcp_sessions_active", Ramp(200.0, 1.0)), input(OK, Count(9.0))],
                ),
            ],
        },
    },
    Alert {
        name: POSSIBLE_BRUTE_FORCE_ATTACK.name,
        severity: POSSIBLE_BRUTE_FORCE_ATTACK.severity,
        group: Group::Server,
        subject: "logins",
        threshold: POSSIBLE_BRUTE_FORCE_ATTACK.threshold,
        wait: POSSIBLE_BRUTE_FORCE_ATTACK.wait,
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
            fires: &[
                input(
                    r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                    Turns(&[(20.0, 600), (100.0, 0)]),
                ),
                input(
                    r#"mcp_auth_attempts_total{method="key", status="failed"}"#,
                    Turns(&[(10.0, 600), (65.0, 0)]),
                ),
                input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, Count(1.0)),
            ],
            quiet: &[
                input(r#"mcp_auth_attempts_total{method="token", status="failed"}"#, Count(100.0)),
                input(r#"mcp_auth_attempts_total{method="key", status="failed"}"#, Count(49.0)),
                input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, Count(100.0)),
            ],
            least: 0.0,
            at: 720,
            gone: 0,
            labels: &[],
            value: "11",
            spare: &[],
            scenes: &[fires(
                "it is just above",
                &[input(
                    r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                    Count(151.0),
                )],
                120,
                "10.07",
            )],
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
                input(
                    r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                    Turns(&[(20.0, 600), (6.0, 0)]),
                ),
                input(
                    r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                    Turns(&[(0.0, 600), (2.0, 0)]),
                ),
                input(
                    r#"mcp_auth_attempts_total{method="key", status="failed"}"#,
                    Turns(&[(0.0, 600), (2.0, 0)]),
                ),
            ],
            quiet: &[
                input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, Count(7.05)),
                input(r#"mcp_auth_attempts_total{method="token", status="failed"}"#, Count(2.95)),
            ],
            least: 0.1,
            at: 1170,
            gone: 0,
            labels: &[],
            value: "40%",
            spare: &[],
            scenes: &[fires(
                "it is just above",
                &[
                    input(
                        r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                        Count(6.99),
                    ),
                    input(
                        r#"mcp_auth_attempts_total{method="token", status="failed"}"#,
                        Count(3.01),
                    ),
                ],
                330,
                "30.1%",
            )],
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
        summary: "{instance} refuses requests for their rate: more than {over} a second",
        description: "{instance} refused {value} requests a second because their users went over a limit, over the last 5 minutes.",
        shown: Shown::Number,
        runbook: "Requests are refused for their rate: more than {over} a second.\n\n\
            1. One user or all: `topk(5, sum by (user_id) (rate(mcp_auth_rate_limit_exceeded_total{instance=\"I\"}[5m])))`\n\
            2. One: talk to them. All: the limit is too low for what the service is for.",
        case: Case {
            fires: &[
                input(
                    r#"mcp_auth_rate_limit_exceeded_total{user_id="u"}"#,
                    Turns(&[(0.0, 600), (15.0, 0)]),
                ),
                input(
                    r#"mcp_auth_rate_limit_exceeded_total{user_id="v"}"#,
                    Turns(&[(0.0, 600), (15.0, 0)]),
                ),
            ],
            quiet: &[
                input(r#"mcp_auth_rate_limit_exceeded_total{user_id="u"}"#, Count(7.0)),
                input(r#"mcp_auth_rate_limit_exceeded_total{user_id="v"}"#, Count(7.9)),
            ],
            least: 0.0,
            at: 1065,
            gone: 0,
            labels: &[],
            value: "2",
            spare: &[],
            scenes: &[fires(
                "it is just above",
                &[input(r#"mcp_auth_rate_limit_exceeded_total{user_id="u"}"#, Count(15.1))],
                600,
                "1.007",
            )],
        },
    },
];

//! Alerts for servers that should always have agents, tokens or log-ins: to be switched on.

use super::Samples::{As, Count, Level, Levels, Turns};
use super::{Alert, Case, Group, Selectors, Severity, Shown, fires, input};

/// This of each server, and 0 of one that has no such series: these rules are for servers that should
/// always have them.
fn or_none(s: &Selectors<'_>, some: &str) -> String {
    let (by, ours) = (s.by(), s.of("mcp_vitals_build_info", ""));
    format!("(\n  {some}\n  or\n  0 * max by ({by}) ({ours})\n)")
}

fn agents_below(s: &Selectors<'_>, over: &str) -> String {
    let agents = format!("sum by ({}) ({})", s.by(), s.of("mcp_agents_active", ""));
    format!("{} <= {over}{}", or_none(s, &agents), s.alive())
}

fn agents_above(s: &Selectors<'_>, over: &str) -> String {
    let agents = s.of("mcp_agents_active", "");
    format!("sum by ({}) ({agents}) > {over}{}", s.by(), s.alive())
}

fn tokens(s: &Selectors<'_>, over: &str) -> String {
    let tokens = s.of("mcp_neural_tokens_processed_total", "");
    let pace = format!("sum by ({}) (rate({tokens}[10m]))", s.by());
    format!("{} < {over}{}", or_none(s, &pace), s.alive())
}

/// In a process that is an hour old. A series that was not there an hour ago was born with a log-in
/// in it, which its increase does not show.
fn no_logins(s: &Selectors<'_>, over: &str) -> String {
    let (by, attempts) = (s.by(), s.of("mcp_auth_attempts_total", ""));
    let started = s.of("process_start_time_seconds", "");
    let logins = format!("sum by ({by}) (increase({attempts}[1h]))");
    format!(
        "{} <= {over}{}
and
max by ({by}) ({started}) <= time() - 3600
unless
sum by ({by}) ({attempts} unless {attempts} offset 1h) > 0",
        or_none(s, &logins),
        s.alive()
    )
}

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "NoActiveAgents",
        severity: Severity::Warning,
        group: Group::Optional,
        subject: "agent_count",
        threshold: 0.0,
        wait: 600,
        expr: agents_below,
        by: &[],
        by_tool: false,
        summary: "{instance} has no agent",
        description: "No agent has been active in {instance} for 10 minutes.",
        shown: Shown::Number,
        runbook: "No agent has been active for 10 minutes. Switched on for servers that should always have one.\n\n\
            1. Nobody asks for one, or none can be started: `increase(mcp_agents_failed_total{instance=\"I\"}[10m])`",
        case: Case {
            fires: &[
                input(
                    r#"mcp_agents_active{type="coder", status="active"}"#,
                    Levels(&[(1.0, 600), (0.0, 0)]),
                ),
                input(r#"mcp_agents_active{type="coder", status="idle"}"#, Level(0.0)),
            ],
            quiet: &[
                input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(0.0)),
                input(r#"mcp_agents_active{type="coder", status="idle"}"#, Level(1.0)),
            ],
            least: 0.0,
            at: 1200,
            gone: 0,
            labels: &[],
            value: "0",
            spare: &["mcp_agents_active", "mcp_vitals_build_info"],
            scenes: &[fires("there never was an agent", &[], 615, "0")],
        },
    },
    Alert {
        name: "TooManyActiveAgents",
        severity: Severity::Warning,
        group: Group::Optional,
        subject: "agent_count",
        threshold: 100.0,
        wait: 300,
        expr: agents_above,
        by: &[],
        by_tool: false,
        summary: "{instance} has more than {over} agents",
        description: "{value} agents are active in {instance}; more than {over} for 5 minutes.",
        shown: Shown::Number,
        runbook: "More than {over} agents are active, for 5 minutes.\n\n\
            1. Of which type, and do they ever end: `sum by (type, status) (mcp_agents_active{instance=\"I\"})`",
        case: Case {
            fires: &[
                input(
                    r#"mcp_agents_active{type="coder", status="active"}"#,
                    Levels(&[(50.0, 600), (51.0, 0)]),
                ),
                input(r#"mcp_agents_active{type="coder", status="idle"}"#, Level(50.0)),
            ],
            quiet: &[
                input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(50.0)),
                input(r#"mcp_agents_active{type="coder", status="idle"}"#, Level(50.0)),
            ],
            least: 0.0,
            at: 900,
            gone: 0,
            labels: &[],
            value: "101",
            spare: &[],
            scenes: &[],
        },
    },
    Alert {
        name: "LowTokenThroughput",
        severity: Severity::Info,
        group: Group::Optional,
        subject: "tokens",
        threshold: 1.0,
        wait: 600,
        expr: tokens,
        by: &[],
        by_tool: false,
        summary: "The models of {instance} process less than {over} token a second",
        description: "The models of {instance} process {value} tokens a second, over the last 10 minutes.",
        shown: Shown::Number,
        runbook: "Fewer tokens than a model that is used would process. Switched on for servers whose models should always have work.\n\n\
            1. Fewer inferences, or shorter ones: `rate(mcp_neural_inference_duration_seconds_count{instance=\"I\"}[10m])`",
        case: Case {
            fires: &[
                input(
                    r#"mcp_neural_tokens_processed_total{model="m", direction="output"}"#,
                    Turns(&[(15.0, 1_200), (2.5, 0)]),
                ),
                input(
                    r#"mcp_neural_tokens_processed_total{model="m", direction="input"}"#,
                    Turns(&[(15.0, 1_200), (5.0, 0)]),
                ),
            ],
            quiet: &[
                input(
                    r#"mcp_neural_tokens_processed_total{model="m", direction="output"}"#,
                    Count(7.5),
                ),
                input(
                    r#"mcp_neural_tokens_processed_total{model="m", direction="input"}"#,
                    Count(7.6),
                ),
            ],
            least: 0.0,
            at: 2_205,
            gone: 0,
            labels: &[],
            value: "500m",
            spare: &["mcp_neural_tokens_processed_total", "mcp_vitals_build_info"],
            scenes: &[fires("there never was a token", &[], 615, "0")],
        },
    },
    Alert {
        name: "NoAuthenticationAttempts",
        severity: Severity::Info,
        group: Group::Optional,
        subject: "login_count",
        threshold: 0.0,
        wait: 300,
        expr: no_logins,
        by: &[],
        by_tool: false,
        summary: "Nobody has logged in to {instance} for an hour",
        description: "There was no attempt to authenticate on {instance} for more than an hour.",
        shown: Shown::Number,
        runbook: "Nobody has tried to authenticate for an hour. Switched on for servers where somebody always does: the door may be shut.\n\n\
            1. Do requests come at all? Can the address be reached from where the clients are?",
        case: Case {
            fires: &[input(
                r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                Turns(&[(1.0, 1_500), (0.0, 0)]),
            )],
            quiet: &[input(
                r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                Count(0.01),
            )],
            least: 0.0,
            at: 5400,
            gone: 0,
            labels: &[],
            value: "0",
            spare: &["mcp_auth_attempts_total", "mcp_vitals_build_info"],
            scenes: &[
                fires("nobody ever logged in", &[], 3_900, "0"),
                fires(
                    "a way to log in is there, and nobody takes it",
                    &[input(
                        r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                        As("_x100 0x600"),
                    )],
                    3_900,
                    "0",
                ),
                fires(
                    "the first login was an hour ago",
                    &[input(
                        r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                        As("_x100 1x600"),
                    )],
                    5_400,
                    "0",
                ),
            ],
        },
    },
];

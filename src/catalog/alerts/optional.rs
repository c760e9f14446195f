//! Alerts for servers that should always have agents, tokens or log-ins: to be switched on.

use super::Samples::{Count, Level};
use super::work::STILL;
use super::{Alert, Case, Group, Selectors, Severity, Shown, input};

fn agents_below(s: &Selectors<'_>, over: &str) -> String {
    format!("sum by (job, instance) ({}) <= {over}", s.of("mcp_agents_active", ""))
}

fn agents_above(s: &Selectors<'_>, over: &str) -> String {
    format!("sum by (job, instance) ({}) > {over}", s.of("mcp_agents_active", ""))
}

fn tokens(s: &Selectors<'_>, over: &str) -> String {
    let tokens = s.of("mcp_neural_tokens_processed_total", "");
    format!("sum by (job, instance) (rate({tokens}[10m])) < {over}")
}

fn no_logins(s: &Selectors<'_>, over: &str) -> String {
    let attempts = s.of("mcp_auth_attempts_total", "");
    format!("sum by (job, instance) (increase({attempts}[1h])) <= {over}")
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
            fires: &[input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(0.0))],
            quiet: &[input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(1.0))],
            few: 0.0,
            at: 600,
            labels: &[],
            value: "0",
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
            fires: &[input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(101.0))],
            quiet: &[input(r#"mcp_agents_active{type="coder", status="active"}"#, Level(100.0))],
            few: 0.0,
            at: 300,
            labels: &[],
            value: "101",
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
            fires: &[input(
                r#"mcp_neural_tokens_processed_total{model="m", direction="output"}"#,
                Count(7.5),
            )],
            quiet: &[input(
                r#"mcp_neural_tokens_processed_total{model="m", direction="output"}"#,
                Count(15.0),
            )],
            few: 0.0,
            at: 615,
            labels: &[],
            value: "500m",
        },
    },
    Alert {
        name: "NoAuthenticationAttempts",
        severity: Severity::Info,
        group: Group::Optional,
        subject: "login_count",
        threshold: 0.0,
        wait: 3_600,
        expr: no_logins,
        by: &[],
        by_tool: false,
        summary: "Nobody has logged in to {instance} for an hour",
        description: "There was no attempt to authenticate on {instance} for more than an hour.",
        shown: Shown::Number,
        runbook: "Nobody has tried to authenticate for an hour. Switched on for servers where somebody always does: the door may be shut.\n\n\
            1. Do requests come at all? Can the address be reached from where the clients are?",
        case: Case {
            fires: &[input(r#"mcp_auth_attempts_total{method="token", status="success"}"#, STILL)],
            quiet: &[input(
                r#"mcp_auth_attempts_total{method="token", status="success"}"#,
                Count(1.0),
            )],
            few: 0.0,
            at: 3_615,
            labels: &[],
            value: "0",
        },
    },
];

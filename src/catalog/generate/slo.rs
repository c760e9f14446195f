//! Burn-rate rules for an objective, by the multi-window method of Google's SRE workbook, chapter 5.

use super::cases::{head, never, notation, one};
use super::{HEAD, duration, indented, quoted};
use crate::catalog::alerts::{AlertSettings, Samples, Selectors, Severity, trimmed};

/// How fast the budget of 30 days burns, seen over a long and a short window; how long that holds.
struct Burn {
    factor: f64,
    long: u32,
    short: u32,
    wait: u32,
    severity: Severity,
    spent: &'static str,
}

const BURNS: [Burn; 4] = [
    Burn {
        factor: 14.4,
        long: 3_600,
        short: 300,
        wait: 120,
        severity: Severity::Critical,
        spent: "2 % in an hour",
    },
    Burn {
        factor: 6.0,
        long: 21_600,
        short: 1_800,
        wait: 900,
        severity: Severity::Critical,
        spent: "5 % in 6 hours",
    },
    Burn {
        factor: 3.0,
        long: 86_400,
        short: 7_200,
        wait: 3_600,
        severity: Severity::Warning,
        spent: "10 % in a day",
    },
    Burn {
        factor: 1.0,
        long: 259_200,
        short: 21_600,
        wait: 10_800,
        severity: Severity::Warning,
        spent: "10 % in 3 days",
    },
];

pub(super) const NAME: &str = "ErrorBudgetBurn";
const SUMMARY: &str = "The error budget of {job} is being spent too fast";

fn describe(burn: &Burn, objective: f64, job: &str) -> String {
    format!(
        "Requests to {job} fail so often that {} of the budget of 30 days is gone, of an objective of {} %.",
        burn.spent,
        trimmed(objective * 100.0)
    )
}

pub(super) fn rules(objective: f64, settings: &AlertSettings) -> String {
    let mut text = format!(
        "{HEAD}# Burn-rate rules for an objective of {} % of requests that do not fail by the server's fault, over\n\
         # 30 days and all instances of a job; for another one: `mcp-vitals generate --objective 99.9`.\n\
         # Add this file to `rule_files` where there is such an objective.\n\n\
         groups:\n  - name: mcp-slo\n    rules:\n",
        trimmed(objective * 100.0)
    );
    let rules: Vec<String> = BURNS.iter().map(|burn| rule(burn, objective, settings)).collect();
    text.push_str(&rules.join("\n"));
    text
}

/// What `docs/ALERTS.md` says of them.
pub(super) fn page(objective: f64) -> String {
    let mut text = format!(
        "### {NAME}\n\nIn `slo.yml`, about `error_budget`: of an objective of {} %, over 30 days and all instances of a\n\
         job. Two windows each have to see it, so that it begins late enough and ends soon enough, and there are\n\
         at least 100 requests in the longer one. What to do: [runbook](../alerts/RUNBOOK.md#errorbudgetburn).\n\n\
         | severity | over | and over | share of errors | for | so much of the budget |\n|---|---|---|---|---|---|\n",
        trimmed(objective * 100.0)
    );
    for burn in &BURNS {
        text.push_str(&format!(
            "| {} | {} | {} | {} % | {} | {} |\n",
            burn.severity.as_str(),
            window(burn.long),
            window(burn.short),
            trimmed(burn.factor * 100.0 * (1.0 - objective)),
            duration(burn.wait),
            burn.spent
        ));
    }
    text
}

fn rule(burn: &Burn, objective: f64, settings: &AlertSettings) -> String {
    let s = Selectors { matchers: &settings.matchers, tool: String::new() };
    let errors = s.of("mcp_request_errors_total", r#"error_type!~"client_.*""#);
    let ended = s.of("mcp_requests_total", r#"status=~"success|error""#);
    let over = trimmed(burn.factor * 1e6 * (1.0 - objective) / 1e6);
    let [long, short] = [burn.long, burn.short].map(window);
    let ratio = |window: &str| {
        format!(
            "sum by (job) (rate({errors}[{window}])) / sum by (job) (rate({ended}[{window}])) > {over}"
        )
    };
    let expr = format!(
        "{}\nand\n{}\nand\nsum by (job) (increase({ended}[{long}])) >= 100",
        ratio(&long),
        ratio(&short)
    );
    format!(
        "      - alert: {NAME}\n        expr: |\n{}        for: {}\n        labels:\n          severity: {}\n          subject: error_budget\n          window: {long}\n        annotations:\n          summary: {}\n          description: {}\n          runbook: alerts/RUNBOOK.md#errorbudgetburn\n",
        indented(&expr, 10),
        duration(burn.wait),
        burn.severity.as_str(),
        quoted(&SUMMARY.replace("{job}", "{{ $labels.job }}")),
        quoted(&describe(burn, objective, "{{ $labels.job }}")),
    )
}

/// `86400` is `1d`.
fn window(seconds: u32) -> String {
    if seconds.is_multiple_of(86_400) {
        format!("{}d", seconds / 86_400)
    } else {
        duration(seconds)
    }
}

/// Each pair of windows by itself: a ratio that burns just faster than its factor fires it, and none
/// of the faster ones; just slower, and none fires but the slower ones.
pub(super) fn cases(objective: f64) -> String {
    let mut text = head("slo");
    for (at, burn) in BURNS.iter().enumerate() {
        for (just, fires) in [(1.02, true), (0.98, false)] {
            text.push_str(&case(&BURNS[at..], burn, just, fires, objective));
        }
    }
    text
}

fn case(slower: &[Burn], burn: &Burn, just: f64, fires: bool, objective: f64) -> String {
    let long = window(burn.long);
    let verb = if fires { "fires just above" } else { "stays quiet just below" };
    let steps = burn.wait / 15 + 40;
    let errors = 1e4 * burn.factor * just * (1.0 - objective);
    let mut text = format!(
        "  - name: {NAME} over {long} {verb} its pace\n    interval: 15s\n    input_series:\n"
    );
    text.push_str(&one(
        r#"mcp_requests_total{tool="t", operation="execute", status="success"}"#,
        "a",
        &notation(Samples::Count(1e4 - errors), steps, false),
    ));
    text.push_str(&one(
        r#"mcp_requests_total{tool="t", operation="execute", status="error"}"#,
        "a",
        &notation(Samples::Count(errors), steps, false),
    ));
    text.push_str(&one(
        r#"mcp_request_errors_total{tool="t", operation="execute", error_type="panic"}"#,
        "a",
        &notation(Samples::Count(errors), steps, false),
    ));
    text.push_str("    alert_rule_test:\n");
    let at = burn.wait + 15;
    text.push_str(&never(NAME, 15));
    // Those that burn slower wait longer.
    text.push_str(&format!("      - alertname: {NAME}\n        eval_time: {at}s\n"));
    let firing: Vec<&Burn> = slower.iter().filter(|other| other.wait < at).collect();
    let firing = if fires { &firing[..] } else { &[] };
    if !firing.is_empty() {
        text.push_str("        exp_alerts:\n");
    }
    for burn in firing {
        text.push_str(&format!(
            "          - exp_labels:\n              severity: {}\n              subject: error_budget\n              window: {}\n              job: mcp\n            exp_annotations:\n              summary: {}\n              description: {}\n              runbook: alerts/RUNBOOK.md#errorbudgetburn\n",
            burn.severity.as_str(),
            window(burn.long),
            quoted(&SUMMARY.replace("{job}", "mcp")),
            quoted(&describe(burn, objective, "mcp")),
        ));
    }
    text.push('\n');
    text
}

//! Burn-rate rules for an objective, by the multi-window method of Google's SRE workbook, chapter 5.

use super::cases::{head, paced};
use super::{HEAD, duration, indented, quoted, runbook_url};
use crate::catalog::alerts::{AlertSettings, Selectors, Severity, exact, trimmed};

/// How fast the budget of 30 days burns, seen over a long and a short window; how long that holds.
struct Burn {
    factor: f64,
    long: u32,
    short: u32,
    wait: u32,
    severity: Severity,
    spent: &'static str,
    /// Seconds between the samples, and the evaluations, of its cases.
    step: u32,
}

const BURNS: [Burn; 4] = [
    Burn {
        factor: 14.4,
        long: 3_600,
        short: 300,
        wait: 120,
        severity: Severity::Critical,
        spent: "2 % of the budget of 30 days is gone in an hour",
        step: 60,
    },
    Burn {
        factor: 6.0,
        long: 21_600,
        short: 1_800,
        wait: 900,
        severity: Severity::Critical,
        spent: "5 % of the budget of 30 days is gone in 6 hours",
        step: 60,
    },
    Burn {
        factor: 3.0,
        long: 86_400,
        short: 7_200,
        wait: 3_600,
        severity: Severity::Warning,
        spent: "10 % of the budget of 30 days is gone in a day",
        step: 1_800,
    },
    Burn {
        factor: 1.0,
        long: 259_200,
        short: 21_600,
        wait: 10_800,
        severity: Severity::Warning,
        spent: "10 % of the budget of 30 days is gone in 3 days",
        step: 1_800,
    },
];

pub(super) const NAME: &str = "ErrorBudgetBurn";
const SUMMARY: &str = "The error budget of {job} is being spent too fast";

fn describe(burn: &Burn, objective: f64, job: &str) -> String {
    format!(
        "Requests to {job} fail so often that {}; the objective is {} %.",
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
    let s = Selectors { matchers: &settings.matchers, tool: String::new(), one_tool: false };
    let errors = s.of("mcp_request_errors_total", r#"error_type!~"client_.*""#);
    let ended = s.of("mcp_requests_total", r#"status=~"success|error""#);
    let over = exact(burn.factor * (1.0 - objective));
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
        "      - alert: {NAME}\n        expr: |\n{}        for: {}\n        labels:\n          severity: {}\n          subject: error_budget\n          window: {long}\n        annotations:\n          summary: {}\n          description: {}\n          runbook: alerts/RUNBOOK.md#errorbudgetburn\n{}",
        indented(&expr, 10),
        duration(burn.wait),
        burn.severity.as_str(),
        quoted(&SUMMARY.replace("{job}", "{{ $labels.job }}")),
        quoted(&describe(burn, objective, "{{ $labels.job }}")),
        runbook_url(settings, NAME),
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

/// The cases of the rules that are looked at every minute, or every half hour.
///
/// Each pair of windows by itself, in jobs of their own: a pace just above what it allows, kept up and
/// then over, fires in its minute and ends in its minute; just below, for a short while only, of too
/// few requests, or by the callers' fault, it does not.
pub(super) fn cases(objective: f64, name: &str, step: u32) -> String {
    let mut text = head("slo", name, if step == 60 { "1m" } else { "30m" });
    for burn in BURNS.iter().filter(|burn| burn.step == step) {
        text.push_str(&burning(burn, objective));
        text.push_str(&cooling(burn, objective));
        text.push_str(&calm(burn, objective));
    }
    text
}

const OK: &str = r#"tool="t", operation="execute", status="success""#;
const FAILED: &str = r#"tool="t", operation="execute", status="error""#;
const CANCELLED: &str = r#"tool="t", operation="execute", status="cancelled""#;

/// Paces, each up to that step.
type Turns = Vec<(f64, u32)>;

/// What a job counts.
struct Job<'a> {
    name: &'a str,
    ok: Turns,
    failed: Turns,
    client: Turns,
    /// Behind this step it counts from 0 on again.
    anew: Option<u32>,
}

impl Job<'_> {
    /// Half of it by either of two instances.
    fn expose(&self, steps: u32) -> String {
        let mut text = String::new();
        let sum: Vec<(f64, u32)> = self
            .failed
            .iter()
            .zip(&self.client)
            .map(|((failed, until), (client, _))| (failed + client, *until))
            .collect();
        let idle = vec![(3.0, 0)];
        for (metric, labels, turns) in [
            ("mcp_requests_total", OK, &self.ok),
            ("mcp_requests_total", FAILED, &sum),
            ("mcp_requests_total", CANCELLED, &idle),
            ("mcp_request_errors_total", "tool=\"t\", error_type=\"panic\"", &self.failed),
            ("mcp_request_errors_total", "tool=\"t\", error_type=\"client_x\"", &self.client),
        ] {
            for instance in ["a", "b"] {
                let half: Vec<(f64, u32)> =
                    turns.iter().map(|(each, until)| (each / 2.0, *until)).collect();
                text.push_str(&format!(
                    "      - series: '{metric}{{job=\"{}\", instance=\"{instance}\", {labels}}}'\n        values: {}\n",
                    self.name,
                    self.anew.map_or_else(|| paced(&half, steps), |at| renewed(&half, at, steps))
                ));
            }
        }
        text
    }
}

/// Paces with a restart, in which nothing is lost: the first sample behind it has all since then.
fn renewed(turns: &[(f64, u32)], at: u32, steps: u32) -> String {
    let before = turns.iter().position(|(_, until)| *until >= at || *until == 0);
    let before = paced(&turns[..=before.unwrap_or(turns.len() - 1)], at);
    let later = turns.iter().filter(|(_, until)| *until > at || *until == 0);
    let later: Turns = later.map(|(each, until)| (*each, until.saturating_sub(at))).collect();
    let after = paced(&later, steps - at);
    format!("{before} {}", after.trim_start_matches("0 "))
}

/// How many had come by this step, at these paces.
fn come(turns: &[(f64, u32)], step: u32) -> f64 {
    let (mut from, mut sum) = (0, 0.0);
    for (each, until) in turns {
        let until = if *until == 0 { step } else { step.min(*until) };
        sum += each * f64::from(until.saturating_sub(from));
        from = from.max(until);
    }
    sum
}

/// A job's requests and failures, with a sample each so many seconds.
struct Seen {
    all: Turns,
    failed: Turns,
    seconds: u32,
}

impl Seen {
    /// Whether it burns that fast at this step.
    fn burns(&self, burn: &Burn, objective: f64, step: u32) -> bool {
        [burn.long, burn.short].into_iter().all(|window| {
            let back = window / self.seconds;
            let since = |turns| come(turns, step) - come(turns, step.saturating_sub(back));
            back > 0 && since(&self.failed) / since(&self.all) > burn.factor * (1.0 - objective)
        })
    }
}

/// Healthy for as long as the long window, at twice the pace; then a third more fails than the
/// window lets; and as soon as that has fired, nothing does.
fn burning(burn: &Burn, objective: f64) -> String {
    let window = window(burn.long);
    let (long, wait) = (burn.long / burn.step, burn.wait / burn.step);
    let (pace, each) = (2_000.0, 1_000.0);
    // What the client did wrong is half as much again.
    let failed = 1.3 * burn.factor * (1.0 - objective) * each;
    let all = vec![(pace, long), (each, 0)];
    let seen = |failed| Seen { all: all.clone(), failed, seconds: burn.step };
    let forever = seen(vec![(0.0, long), (failed, 0)]);
    let first = (long + 1..3 * long).find(|step| forever.burns(burn, objective, *step));
    let ends = first.unwrap_or(long) + wait;
    let seen = seen(vec![(0.0, long), (failed, ends), (0.0, 0)]);
    let over = (ends..).find(|step| !seen.burns(burn, objective, *step)).unwrap_or(ends);
    let fires = |burn: &&Burn| {
        let wait = burn.wait / seen.seconds;
        wait <= ends && (ends - wait..=ends).all(|step| seen.burns(burn, objective, step))
    };
    let steps = over + 4;
    let least = come(&all, ends) - come(&all, ends - long);
    let turns =
        |before: f64, while_: f64, after: f64| vec![(before, long), (while_, ends), (after, 0)];
    let job = |name, by: f64| Job {
        name,
        ok: turns(pace * by, (each - 1.5 * failed) * by, each * by),
        failed: turns(0.0, failed * by, 0.0),
        client: turns(0.0, failed * by / 2.0, 0.0),
        anew: None,
    };
    let mut text = format!(
        "  - name: {NAME} over {window} fires in its minute, and is over in its minute\n    interval: {0}s\n    input_series:\n",
        burn.step
    );
    text.push_str(&job("burning", 1.0).expose(steps));
    text.push_str(&job("enough", 100.1 / least).expose(steps));
    let restarted = Job { anew: Some(ends - 1), ..job("restarted", 1.0) };
    text.push_str(&restarted.expose(steps));
    let at = ends * burn.step;
    text.push_str(&format!(
        "    alert_rule_test:\n      - alertname: {NAME}\n        eval_time: {at}s\n        exp_alerts:\n"
    ));
    // Those that burn slower may fire as well.
    for burn in BURNS.iter().filter(fires) {
        for job in ["burning", "enough", "restarted"] {
            text.push_str(&format!(
                "          - exp_labels:\n              severity: {}\n              subject: error_budget\n              window: {}\n              job: {job}\n            exp_annotations:\n              summary: {}\n              description: {}\n              runbook: alerts/RUNBOOK.md#errorbudgetburn\n",
                burn.severity.as_str(),
                self::window(burn.long),
                quoted(&SUMMARY.replace("{job}", job)),
                quoted(&describe(burn, objective, job)),
            ));
        }
    }
    text.push_str("    promql_expr_test:\n");
    text.push_str(&firing(&window, "", at - burn.step, None));
    let fired = over - ends;
    text.push_str(&firing(&window, ", job=\"burning\"", steps * burn.step, Some(fired)));
    text.push('\n');
    text
}

/// A fire that goes down: to just above what the window lets, and then, of twice as many requests, to
/// just below. The short window is the one that says when it is over.
fn cooling(burn: &Burn, objective: f64) -> String {
    let window = window(burn.long);
    let (long, short) = (burn.long / burn.step, burn.short / burn.step);
    let (wait, each) = (burn.wait / burn.step, 1_000.0);
    let share = burn.factor * (1.0 - objective) * each;
    let lit = long + wait + 2;
    let embers = lit + 2 * short + 2;
    let turns = |hot: f64, above: f64, below: f64| vec![(hot, lit), (above, embers), (below, 0)];
    let failed = turns(1.5 * share, 1.012 * share, 2.0 * 0.99 * share);
    let seen =
        Seen { all: turns(each, each, 2.0 * each), failed: failed.clone(), seconds: burn.step };
    let fires = (1..).find(|step| seen.burns(burn, objective, *step)).unwrap_or(0) + wait;
    let over = (lit..).find(|step| !seen.burns(burn, objective, *step)).unwrap_or(lit);
    let steps = over + long / 2;
    let part = |failed: &Turns, by: f64| -> Turns {
        failed.iter().map(|(failed, until)| (failed * by, *until)).collect()
    };
    let all = seen.all.iter().zip(&failed);
    let job = Job {
        name: "cooling",
        ok: all.map(|((all, until), (failed, _))| (all - 1.5 * failed, *until)).collect(),
        client: part(&failed, 0.5),
        failed,
        anew: None,
    };
    let mut text = format!(
        "  - name: {NAME} over {window} is over when the short window is just below\n    interval: {}s\n    input_series:\n",
        burn.step
    );
    text.push_str(&job.expose(steps));
    text.push_str("    promql_expr_test:\n");
    text.push_str(&firing(&window, "", steps * burn.step, Some(over - fires)));
    text.push('\n');
    text
}

/// Who never fires it.
fn calm(burn: &Burn, objective: f64) -> String {
    let window = window(burn.long);
    let (long, short) = (burn.long / burn.step, burn.short / burn.step);
    let share = burn.factor * (1.0 - objective);
    let steps = 2 * long + burn.wait / burn.step + short;
    let steady = |name, failed: f64, client: f64, by: f64| Job {
        name,
        ok: vec![((1_000.0 - failed - client) * by, 0)],
        failed: vec![(failed * by, 0)],
        client: vec![(client * by, 0)],
        anew: None,
    };
    // All fail for as long as the long window bears it, and the short one does not.
    let spike = ((f64::from(long) * share).ceil() as u32 - 1).max(1);
    let at = |before: f64, spiked: f64| {
        vec![(before, long + 2), (spiked, long + 2 + spike), (before, 0)]
    };
    // Just enough, of which the first go before the long window has seen any of the others.
    let jobs = [
        steady("just-below", 980.0 * share, 0.0, 1.0),
        steady("by-the-callers", 500.0 * share, 1_000.0 * share, 1.0),
        steady("few", 2_000.0 * share, 0.0, 99.0 / (1_000.0 * f64::from(long))),
        Job {
            name: "spike",
            ok: at(1_000.0, 0.0),
            failed: at(0.0, 1_000.0),
            client: at(0.0, 0.0),
            anew: None,
        },
    ];
    let mut text = format!(
        "  - name: {NAME} over {window} stays quiet just below, in a spike, of few requests\n    interval: {}s\n    input_series:\n",
        burn.step
    );
    for job in jobs {
        text.push_str(&job.expose(steps));
    }
    text.push_str("    promql_expr_test:\n");
    text.push_str(&firing(&window, "", steps * burn.step, None));
    text.push('\n');
    text
}

/// How many evaluations it was firing at, of those up to this second.
fn firing(window: &str, of: &str, until: u32, times: Option<u32>) -> String {
    let wanted = times.map_or(String::new(), |times| {
        format!("        exp_samples:\n          - value: {times}\n")
    });
    format!(
        "      - expr: 'sum(count_over_time(ALERTS{{alertname=\"{NAME}\", alertstate=\"firing\", window=\"{window}\"{of}}}[{until}s]))'\n        eval_time: {until}s\n{wanted}"
    )
}

//! The cases that promtool tests the rules with.
//!
//! For each rule: it fires at its minute and not an evaluation earlier, for the one instance of two
//! that is in trouble; one that is just not stays quiet, also across a restart, which resets its
//! counters; and where there is no series at all nothing fires.

use super::{HEAD, anchor, filled, labels, of_group, quoted};
use crate::catalog::alerts::{Alert, Case, Group, Input, Samples, trimmed};

/// Seconds between samples, and between evaluations.
pub(super) const STEP: u32 = 15;

pub(super) fn head(rules: &str) -> String {
    format!(
        "{HEAD}#\n# Run with: promtool test rules alerts/tests/{rules}_test.yml\n\n\
         rule_files:\n  - ../{rules}.yml\n\nevaluation_interval: {STEP}s\n\ntests:\n"
    )
}

pub(super) fn write(group: Group) -> String {
    let mut text = head(group.file());
    for alert in of_group(group) {
        text.push_str(&fires(alert));
        text.push_str(&quiet(alert));
        if alert.case.few > 0.0 {
            text.push_str(&few(alert));
        }
    }
    text.push_str("  - name: nothing fires where there is nothing\n");
    text.push_str(&format!("    interval: {STEP}s\n    input_series: []\n    alert_rule_test:\n"));
    for alert in of_group(group) {
        text.push_str(&never(alert.name, 3_600));
    }
    text
}

/// Samples up to a while after it should fire.
fn steps(case: &Case) -> u32 {
    case.at / STEP + 60
}

fn fires(alert: &Alert) -> String {
    let Case { at, labels: of_case, value, .. } = alert.case;
    let mut text = format!(
        "  - name: {} fires at its time, for the one of two that is in trouble\n",
        alert.name
    );
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    for Input { series, samples } in alert.case.fires {
        text.push_str(&one(series, "troubled", &notation(*samples, steps(&alert.case), false)));
    }
    for Input { series, samples } in alert.case.quiet {
        text.push_str(&one(series, "well", &notation(*samples, steps(&alert.case), false)));
    }
    text.push_str("    alert_rule_test:\n");
    text.push_str(&never(alert.name, at - STEP));
    text.push_str(&format!("      - alertname: {}\n        eval_time: {at}s\n", alert.name));
    text.push_str("        exp_alerts:\n          - exp_labels:\n");
    for (name, value) in labels(alert.severity, alert.subject) {
        text.push_str(&format!("              {name}: {value}\n"));
    }
    text.push_str("              job: mcp\n              instance: troubled\n");
    for (name, value) in of_case {
        text.push_str(&format!("              {name}: {value}\n"));
    }
    let label = |name: &str| {
        let own = of_case.iter().find(|(of_case, _)| *of_case == name);
        own.map_or("troubled", |(_, value)| value).to_owned()
    };
    let fill = |text| quoted(&filled(text, alert, alert.threshold, value, label));
    text.push_str(&format!(
        "            exp_annotations:\n              summary: {}\n              description: {}\n              runbook: {}\n\n",
        fill(alert.summary),
        fill(alert.description),
        anchor(alert.name),
    ));
    text
}

fn quiet(alert: &Alert) -> String {
    let mut text =
        format!("  - name: {} stays quiet just below, and across a restart\n", alert.name);
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    let steps = 2 * steps(&alert.case);
    for Input { series, samples } in alert.case.quiet {
        text.push_str(&one(series, "well", &notation(*samples, steps, true)));
    }
    text.push_str("    alert_rule_test:\n");
    // Before the restart, at it and behind it, and at the end.
    let middle = steps / 2 * STEP;
    for at in
        [alert.case.at, middle + STEP, middle + 4 * STEP, middle + alert.case.at, steps * STEP]
    {
        text.push_str(&never(alert.name, at));
    }
    text.push('\n');
    text
}

/// The same that fires, of so few events that it says nothing.
fn few(alert: &Alert) -> String {
    let mut text = format!("  - name: {} stays quiet where there are few of them\n", alert.name);
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    let steps = steps(&alert.case);
    for Input { series, samples } in alert.case.fires {
        let samples = match *samples {
            Samples::Count(each) => Samples::Count(each * alert.case.few),
            other => other,
        };
        text.push_str(&one(series, "idle", &notation(samples, steps, false)));
    }
    text.push_str("    alert_rule_test:\n");
    for at in [alert.case.at, steps * STEP] {
        text.push_str(&never(alert.name, at));
    }
    text.push('\n');
    text
}

pub(super) fn never(alert: &str, at: u32) -> String {
    format!("      - alertname: {alert}\n        eval_time: {at}s\n")
}

/// One series, of this instance.
pub(super) fn one(series: &str, instance: &str, values: &str) -> String {
    let (name, own) = series.split_once('{').unwrap_or((series, "}"));
    let own = own.trim_end_matches('}');
    let comma = if own.is_empty() { "" } else { ", " };
    format!(
        "      - series: '{name}{{job=\"mcp\", instance=\"{instance}\"{comma}{own}}}'\n        values: {values}\n"
    )
}

/// As promtool writes samples; with a restart in the middle.
pub(super) fn notation(samples: Samples, steps: u32, restart: bool) -> String {
    let half = steps / 2;
    let twice = |run: &dyn Fn(u32) -> String| match restart {
        false => run(steps),
        true => format!("{} {}", run(half), run(steps - half)),
    };
    match samples {
        Samples::Count(each) => twice(&|n| format!("0+{}x{n}", trimmed(each))),
        Samples::Level(level) if restart => {
            format!("{}x{half} stale {}x{half}", trimmed(level), trimmed(level))
        }
        Samples::Level(level) => format!("{}x{steps}", trimmed(level)),
        Samples::Ramp(from, each) => twice(&|n| format!("{}+{}x{n}", trimmed(from), trimmed(each))),
        Samples::As(text) => text.to_owned(),
    }
}

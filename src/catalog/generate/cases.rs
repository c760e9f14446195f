//! The cases that promtool tests the rules with.
//!
//! For each rule: it fires at its minute and not an evaluation earlier, for the one of many processes
//! that is in trouble, also of those that share a textfile; and of many that are just not in trouble
//! none makes it fire at any time: one that is just below and is restarted, one of too few events,
//! one that lacks a series, one that was killed and whose textfile stayed.

use std::collections::BTreeSet;

use super::{HEAD, anchor, filled, labels, quoted};
use crate::catalog::alerts::{Alert, AlertSettings, Case, Input, Samples, Scene, Selectors, exact};

/// Seconds between samples, and between evaluations.
pub(super) const STEP: u32 = 15;

/// What counts the scrapes of a process, and so says that it lives.
pub(super) const SCRAPES: &str = "mcp_vitals_scrape_duration_seconds_count";

/// What each server has, whatever it does.
const BASE: [(&str, Samples); 4] = [
    ("up", Samples::Level(1.0)),
    (r#"mcp_vitals_build_info{version="0.1.0"}"#, Samples::Level(1.0)),
    ("process_start_time_seconds", Samples::Level(0.0)),
    (SCRAPES, Samples::Count(1.0)),
];

pub(super) fn head(rules: &str, test: &str, step: &str) -> String {
    format!(
        "{HEAD}#\n# Run with: promtool test rules alerts/tests/{test}_test.yml\n\n\
         rule_files:\n  - ../{rules}.yml\n\nevaluation_interval: {step}\n\ntests:\n"
    )
}

/// The cases of a set of alerts, all of one file of rules. promtool looks at each rule of that file at
/// every evaluation of every case: small files of cases can run side by side.
pub(super) fn write(name: &str, alerts: &[Alert]) -> String {
    let rules = alerts.first().map_or("", |alert| alert.group.file());
    let mut text = head(rules, name, "15s");
    for alert in alerts {
        text.push_str(&fires(alert));
        text.push_str(&quiet(alert));
        for scene in alert.case.scenes {
            if let Some((at, value)) = scene.fires {
                text.push_str(&fires_in(alert, scene, at, value));
            }
        }
    }
    text.push_str("  - name: nothing fires where there is nothing\n");
    text.push_str(&format!("    interval: {STEP}s\n    input_series: []\n"));
    text.push_str("    promql_expr_test:\n");
    for alert in alerts {
        text.push_str(&silent(alert.name, 3_600));
    }
    text
}

/// A process of a test: what it is called, and its number among those that share a textfile.
#[derive(Clone, Copy)]
struct Process<'a> {
    job: &'a str,
    instance: &'a str,
    copy: Option<u32>,
}

impl<'a> Process<'a> {
    fn of(instance: &'a str) -> Process<'a> {
        Process { job: "mcp", instance, copy: None }
    }

    /// Its series, and those that each server has, over so many steps.
    fn expose(self, inputs: &[Given], steps: u32, restart: bool) -> String {
        let mut text = String::new();
        for (name, samples) in BASE {
            let metric = metric(name);
            if inputs.iter().any(|(given, _)| self::metric(given) == metric) {
                continue;
            }
            let started = restart && metric == "process_start_time_seconds";
            let values = match started {
                true => format!("0x{} {}x{}", steps / 2, steps / 2 * STEP, steps - steps / 2),
                false => notation(samples, steps, restart && metric == SCRAPES),
            };
            text.push_str(&self.one(name, &values));
        }
        for (name, samples) in inputs {
            text.push_str(&self.one(name, &notation(*samples, steps, restart)));
        }
        text
    }

    fn one(self, series: &str, values: &str) -> String {
        let (name, own) = series.split_once('{').unwrap_or((series, ""));
        let own = own.trim_end_matches(['}', ',', ' ']);
        let mut labels = format!("job=\"{}\", instance=\"{}\"", self.job, self.instance);
        if let Some(copy) = self.copy {
            labels.push_str(&format!(", vitals_copy=\"{copy}\""));
        }
        if !own.is_empty() {
            labels.push_str(&format!(", {own}"));
        }
        format!("      - series: '{name}{{{labels}}}'\n        values: {values}\n")
    }
}

/// A series with its samples.
type Given = (&'static str, Samples);

fn given(inputs: &'static [Input]) -> Vec<Given> {
    inputs.iter().map(|input| (input.series, input.samples)).collect()
}

fn metric(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// The same of `by` times as many events.
fn scaled(inputs: &'static [Input], by: f64) -> Vec<Given> {
    let pace = |samples| match samples {
        Samples::Count(each) => Samples::Scaled(&[], each * by),
        Samples::Turns(turns) => Samples::Scaled(turns, by),
        other => other,
    };
    inputs.iter().map(|input| (input.series, pace(input.samples))).collect()
}

/// Samples up to a while after it should fire, or be over.
fn steps(alert: &Alert) -> u32 {
    let scenes = alert.case.scenes.iter().flat_map(|scene| [scene.gone]);
    let last = scenes.chain([alert.case.at, alert.case.gone]).max().unwrap_or(0);
    last / STEP + 20
}

fn expr(alert: &Alert) -> String {
    let settings = AlertSettings::default();
    let selectors =
        Selectors { matchers: &settings.matchers, tool: String::new(), one_tool: false };
    (alert.expr)(&selectors, "0")
}

/// Of a rule that asks whether the process lives: its last scrape is so late that it fires once, or
/// so early that it does not.
fn died(alert: &Alert, fires: bool) -> Option<Vec<Given>> {
    expr(alert).contains(&format!("increase({SCRAPES}[2m])")).then(|| {
        // The rule holds from `at - wait` to 105 s behind the last scrape that is counted.
        let last = alert.case.at / STEP - if fires { 7 } else { 8 };
        let mut inputs = given(alert.case.fires);
        inputs.push((SCRAPES, Samples::Until(last)));
        inputs
    })
}

/// Of a rule that has a least number of events, or asks whether the process lives: its counters begin
/// anew shortly before it fires, which changes nothing.
fn restarted(alert: &Alert) -> Option<Vec<Given>> {
    let step = alert.case.at / STEP - 3;
    let mut inputs = given(alert.case.fires);
    if alert.case.least > 0.0 {
        for (_, samples) in &mut inputs {
            *samples = match *samples {
                Samples::Count(each) => Samples::Anew(&[], each, step),
                Samples::Turns(turns) => {
                    Samples::Anew(turns, turns.last().map_or(0.0, |turn| turn.0), step)
                }
                other => other,
            };
        }
        return Some(inputs);
    }
    inputs.push((SCRAPES, Samples::Anew(&[], 1.0, step)));
    expr(alert).contains(&format!("increase({SCRAPES}[2m])")).then_some(inputs)
}

fn fires(alert: &Alert) -> String {
    let Case { at, gone, value, .. } = alert.case;
    let steps = steps(alert);
    let troubled = given(alert.case.fires);
    let well = given(alert.case.quiet);
    let mut text =
        format!("  - name: {} fires at its time, for those that are in trouble\n", alert.name);
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    let mut expected = vec![(Process::of("troubled"), gone)];
    text.push_str(&Process::of("troubled").expose(&troubled, steps, false));
    for instance in ["well-1", "well-2"] {
        text.push_str(&Process::of(instance).expose(&well, steps, false));
    }
    let elsewhere = Process { job: "other", instance: "troubled", copy: None };
    text.push_str(&elsewhere.expose(&well, steps, false));
    if expr(alert).contains("vitals_copy") {
        let copy = |copy| Process { job: "mcp", instance: "shared", copy: Some(copy) };
        text.push_str(&copy(0).expose(&troubled, steps, false));
        text.push_str(&copy(1).expose(&well, steps, false));
        expected.push((copy(0), gone));
    }
    if alert.case.least > 0.0 {
        let enough = scaled(alert.case.fires, alert.case.least * 1.001);
        text.push_str(&Process::of("just-enough").expose(&enough, steps, false));
        expected.push((Process::of("just-enough"), 0));
    }
    if let Some(inputs) = died(alert, true) {
        text.push_str(&Process::of("killed").expose(&inputs, steps, false));
        expected.push((Process::of("killed"), at + STEP));
    }
    if let Some(inputs) = restarted(alert) {
        text.push_str(&Process::of("restarted").expose(&inputs, steps, false));
        expected.push((Process::of("restarted"), 0));
    }
    text.push_str(&expect(alert, at, value, &expected));
    text
}

fn fires_in(alert: &Alert, scene: &Scene, at: u32, value: &str) -> String {
    let process = Process::of("troubled");
    let steps = at.max(scene.gone) / STEP + 4;
    let mut text = format!("  - name: {} fires where {}\n", alert.name, scene.what);
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    text.push_str(&process.expose(&given(scene.inputs), steps, false));
    let mut expected = vec![(process, scene.gone)];
    if expr(alert).contains("vitals_copy") {
        let copy = |copy| Process { job: "mcp", instance: "shared", copy: Some(copy) };
        text.push_str(&copy(0).expose(&given(scene.inputs), steps, false));
        // Whether the target is scraped is the same for both.
        let mut beside = given(alert.case.quiet);
        beside.extend(given(scene.inputs).into_iter().filter(|(series, _)| *series == "up"));
        text.push_str(&copy(1).expose(&beside, steps, false));
        expected.push((copy(0), scene.gone));
    }
    text.push_str(&expect(alert, at, value, &expected));
    text
}

/// That it fires at this time for these, not before for anybody, and is over when it should be.
fn expect(alert: &Alert, at: u32, value: &str, expected: &[(Process<'_>, u32)]) -> String {
    let mut text = format!(
        "    alert_rule_test:\n      - alertname: {}\n        eval_time: {at}s\n        exp_alerts:\n",
        alert.name
    );
    for (Process { job, instance, copy }, _) in expected {
        text.push_str("          - exp_labels:\n");
        for (name, value) in labels(alert.severity, alert.subject) {
            text.push_str(&format!("              {name}: {value}\n"));
        }
        text.push_str(&format!("              job: {job}\n              instance: {instance}\n"));
        if let Some(copy) = copy {
            text.push_str(&format!("              vitals_copy: {}\n", quoted(&copy.to_string())));
        }
        for (name, value) in alert.case.labels {
            text.push_str(&format!("              {name}: {value}\n"));
        }
        let label = |name: &str| {
            let own = alert.case.labels.iter().find(|(of_case, _)| *of_case == name);
            own.map_or(*instance, |(_, value)| value).to_owned()
        };
        let fill = |text| quoted(&filled(text, alert, alert.threshold, value, label));
        text.push_str(&format!(
            "            exp_annotations:\n              summary: {}\n              description: {}\n              runbook: {}\n",
            fill(alert.summary),
            fill(alert.description),
            anchor(alert.name),
        ));
    }
    text.push_str("    promql_expr_test:\n");
    text.push_str(&silent(alert.name, at - STEP));
    for (Process { instance, .. }, gone) in expected.iter().filter(|(_, gone)| *gone > 0) {
        // How often it was seen to fire, up to two evaluations behind its end.
        text.push_str(&format!(
            "      - expr: 'sum(count_over_time(ALERTS{{alertname=\"{}\", alertstate=\"firing\", instance=\"{instance}\"}}[{}s]))'\n        eval_time: {}s\n        exp_samples:\n          - value: {}\n",
            alert.name,
            gone + 2 * STEP,
            gone + 2 * STEP,
            (gone - at) / STEP,
        ));
    }
    text.push('\n');
    text
}

/// All who are just not in trouble.
fn quiet(alert: &Alert) -> String {
    let case = &alert.case;
    // The restart is in the middle.
    let steps = steps(alert);
    let steps = steps + steps.min(200);
    let mut text = format!(
        "  - name: {} stays quiet just below, at a restart, of few events, without a series\n",
        alert.name
    );
    text.push_str(&format!("    interval: {STEP}s\n    input_series:\n"));
    text.push_str(&Process::of("well").expose(&given(case.quiet), steps, false));
    text.push_str(&Process::of("restarted").expose(&given(case.quiet), steps, true));
    if case.least > 0.0 {
        let few = scaled(case.fires, case.least * 0.99);
        text.push_str(&Process::of("few").expose(&few, steps, false));
    }
    if let Some(inputs) = died(alert, false) {
        text.push_str(&Process::of("killed").expose(&inputs, steps, false));
    }
    let inputs = given(case.fires);
    let expr = expr(alert);
    let own = inputs.iter().map(|(series, _)| metric(series));
    let base = BASE.iter().map(|(series, _)| metric(series)).filter(|name| expr.contains(name));
    let metrics: BTreeSet<&str> = own.chain(base).collect();
    for left_out in metrics.iter().filter(|metric| !case.spare.contains(metric)) {
        let mut rest: Vec<Given> =
            inputs.iter().copied().filter(|(series, _)| metric(series) != *left_out).collect();
        if let Some((name, _)) = BASE.iter().find(|(series, _)| metric(series) == *left_out) {
            rest.push((metric(name), Samples::As("_x4")));
        }
        let instance = format!("without {left_out}");
        text.push_str(&Process::of(&instance).expose(&rest, steps, false));
    }
    for scene in case.scenes.iter().filter(|scene| scene.fires.is_none()) {
        text.push_str(&Process::of(scene.what).expose(&given(scene.inputs), steps, false));
        if expr.contains("on (job") {
            let elsewhere = Process { job: "other", instance: scene.what, copy: None };
            text.push_str(&elsewhere.expose(&given(case.quiet), steps, false));
        }
    }
    text.push_str("    promql_expr_test:\n");
    text.push_str(&silent(alert.name, steps * STEP));
    text.push('\n');
    text
}

/// That it fired at no evaluation up to this one.
pub(super) fn silent(alert: &str, until: u32) -> String {
    format!(
        "      - expr: 'count_over_time(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}[{until}s])'\n        eval_time: {until}s\n"
    )
}

/// One series, of this instance.
pub(super) fn one(series: &str, instance: &str, values: &str) -> String {
    Process::of(instance).one(series, values)
}

/// As promtool writes samples; with a restart in the middle.
pub(super) fn notation(samples: Samples, steps: u32, restart: bool) -> String {
    let half = steps / 2;
    let twice = |run: &dyn Fn(u32) -> String| match restart {
        false => run(steps),
        true => format!("{} {}", run(half), run(steps - half)),
    };
    match samples {
        Samples::Count(each) => twice(&|n| format!("0+{}x{n}", exact(each))),
        Samples::Turns(turns) => turning(turns, 1.0, steps),
        Samples::Scaled([], each) => twice(&|n| format!("0+{}x{n}", exact(each))),
        Samples::Scaled(turns, by) => turning(turns, by, steps),
        Samples::Anew(turns, each, step) => {
            let before = match turns {
                [] => paced(&[(each, 0)], step),
                turns => turning(turns, 1.0, step),
            };
            format!("{before} 0+{}x{}", exact(each), steps.saturating_sub(step + 1))
        }
        Samples::Until(last) => format!("0+1x{last} {last}x{}", steps.saturating_sub(last)),
        Samples::Level(level) if restart => {
            format!("{}x{half} stale {}x{half}", exact(level), exact(level))
        }
        Samples::Level(level) => format!("{}x{steps}", exact(level)),
        Samples::Levels(levels) => {
            let mut from = 0;
            let mut parts = Vec::new();
            for (at, (level, until)) in levels.iter().enumerate() {
                let last = at + 1 == levels.len();
                let until = if last { steps.max(from + 1) } else { until / STEP };
                parts.push(format!("{}x{}", exact(*level), until - from - 1));
                from = until;
            }
            parts.join(" ")
        }
        Samples::Ramp(from, each) => twice(&|n| format!("{}+{}x{n}", exact(from), exact(each))),
        Samples::As(text) => text.to_owned(),
    }
}

/// A counter whose pace changes, each pace taken by `by`.
fn turning(turns: &[(f64, u32)], by: f64, steps: u32) -> String {
    let turns: Vec<(f64, u32)> =
        turns.iter().map(|(each, until)| (each * by, until / STEP)).collect();
    paced(&turns, steps)
}

/// A counter that goes up by so much at each step up to that one, and so on; at last to the end.
pub(super) fn paced(turns: &[(f64, u32)], steps: u32) -> String {
    let mut parts = vec!["0".to_owned()];
    let (mut value, mut step) = (0.0_f64, 0);
    for (at, (each, until)) in turns.iter().enumerate() {
        let until = if at + 1 == turns.len() { steps.max(step + 1) } else { *until };
        let count = until - step;
        // What promtool added up may be more, by the last digit of a broken number: a reset.
        if value.fract() != 0.0 {
            value += 0.001;
        }
        parts.push(format!("{}+{}x{}", exact(value + each), exact(*each), count - 1));
        value += each * f64::from(count);
        step = until;
    }
    parts.join(" ")
}

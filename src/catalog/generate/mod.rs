//! What `mcp-vitals generate` writes, out of the catalog: dashboards, alerts with their tests and their
//! runbook, and the pages about metrics and alerts.

mod cases;
mod dashboards;
mod days;
mod pages;
mod rules;
mod runbook;
mod slo;

use super::alerts::{Alert, AlertSettings, Group, SETS, Selectors, Severity, alerts, exact};

/// A file to be written: its path below the folder, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// With slashes.
    pub path: String,
    /// The whole of it.
    pub text: String,
}

/// The objective that the burn-rate rules are written for where nobody gives one.
const OBJECTIVE: f64 = 0.99;

/// The rules as they are with these settings, their runbook, and, where the settings leave the
/// thresholds alone, the cases that promtool tests them with.
pub fn alert_files(settings: &AlertSettings) -> Vec<Generated> {
    let file = |path: &str, text: String| Generated { path: format!("alerts/{path}"), text };
    let objective = settings.objective.unwrap_or(OBJECTIVE);
    let mut files: Vec<Generated> = Group::ALL
        .into_iter()
        .map(|group| file(&format!("{}.yml", group.file()), rules::write(group, settings)))
        .collect();
    files.push(file("slo.yml", slo::rules(objective, settings)));
    files.push(file("RUNBOOK.md", runbook::write(settings)));
    if *settings == AlertSettings::default() {
        for (name, alerts) in SETS {
            files.push(file(&format!("tests/{name}_test.yml"), cases::write(name, alerts)));
        }
        for (name, step) in [("slo", 60), ("slo_days", 1_800)] {
            files.push(file(&format!("tests/{name}_test.yml"), slo::cases(objective, name, step)));
        }
        files.push(file("tests/mcp_days_test.yml", days::forgotten()));
        files.push(file("tests/days_test.yml", days::write()));
    }
    files
}

/// The dashboards, with the settings' matchers in each selector and their thresholds as colours.
pub fn dashboard_files(settings: &AlertSettings) -> Vec<Generated> {
    dashboards::write(settings)
}

/// The pages about metrics and alerts, the latter as they are with these settings.
pub fn doc_files(settings: &AlertSettings) -> Vec<Generated> {
    let file = |path: &str, text: String| Generated { path: format!("docs/{path}"), text };
    let objective = settings.objective.unwrap_or(OBJECTIVE);
    vec![
        file("METRICS.md", pages::metrics()),
        file("ALERTS.md", pages::alerts_page(objective, settings)),
    ]
}

/// One rule as it is written: an alert for all tools but some, or for one of them.
struct Written<'a> {
    alert: &'a Alert,
    over: f64,
    expr: String,
    /// The tool, of one for a tool alone.
    tool: Option<&'a str>,
}

/// What an alert becomes with these settings.
fn written<'a>(alert: &'a Alert, settings: &'a AlertSettings) -> Vec<Written<'a>> {
    let rule = |matcher: String, tool: Option<&'a str>, over: f64| {
        let one_tool = tool.is_some();
        let selectors = Selectors { matchers: &settings.matchers, tool: matcher, one_tool };
        Written { alert, over, expr: (alert.expr)(&selectors, &exact(over)), tool }
    };
    let all = settings.thresholds.get(alert.name).copied().unwrap_or(alert.threshold);
    let own = settings.by_tool.get(alert.name).filter(|_| alert.by_tool);
    let Some(own) = own.filter(|own| !own.is_empty()) else {
        return vec![rule(String::new(), None, all)];
    };
    let names: Vec<String> = own.keys().map(|name| literal(name)).collect();
    let mut rules = vec![rule(format!("tool!~{}", quoted(&names.join("|"))), None, all)];
    rules
        .extend(own.iter().map(|(tool, over)| {
            rule(format!("tool={}", quoted(tool)), Some(tool.as_str()), *over)
        }));
    rules
}

/// A regular expression that matches this text only.
fn literal(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Whether an alert compares with a number at all: that a server is down is none.
pub fn has_threshold(alert: &Alert) -> bool {
    let with = |over: f64| {
        let thresholds = [(alert.name.to_owned(), over)].into();
        let settings = AlertSettings { thresholds, ..AlertSettings::default() };
        written(alert, &settings).pop().map(|rule| rule.expr)
    };
    with(1.0) != with(2.0)
}

/// In double quotes, as PromQL, YAML and JSON read it alike.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Text for an annotation: as a template for Prometheus, or as it comes out for an instance.
fn filled(
    text: &str,
    alert: &Alert,
    over: f64,
    value: &str,
    label: impl Fn(&str) -> String,
) -> String {
    let mut text = text.replace("{over}", &alert.shown.threshold(over)).replace("{value}", value);
    for name in alert.by.iter().chain(&["instance"]) {
        text = text.replace(&format!("{{{name}}}"), &label(name));
    }
    text
}

/// `300` is `5m`.
fn duration(seconds: u32) -> String {
    match seconds {
        0 => "0m".to_owned(),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// The lines of `text`, each behind so many blanks.
fn indented(text: &str, blanks: usize) -> String {
    let pad = " ".repeat(blanks);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{pad}{line}\n") })
        .collect()
}

/// The part of the head of each file that says where it is from.
const HEAD: &str = "# Written by `mcp-vitals generate`; change the catalog, not this file.\n";

fn of_group(group: Group) -> impl Iterator<Item = &'static Alert> {
    alerts().filter(move |alert| alert.group == group)
}

/// The place in the runbook.
fn anchor(alert: &str) -> String {
    format!("alerts/RUNBOOK.md#{}", alert.to_lowercase())
}

/// Behind the annotation `runbook`, with its indent: where that is on the web, if somebody said so.
fn runbook_url(settings: &AlertSettings, alert: &str) -> String {
    settings.runbook_url.as_ref().map_or_else(String::new, |base| {
        let url = format!("{base}#{}", alert.to_lowercase());
        format!("          runbook_url: {}\n", quoted(&url))
    })
}

/// The labels that each alert has, in their order.
fn labels(severity: Severity, subject: &str) -> [(&'static str, String); 2] {
    [("severity", severity.as_str().to_owned()), ("subject", subject.to_owned())]
}

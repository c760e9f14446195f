//! The pages of `docs/` about metrics and alerts: prose from the templates beside this file, with tables
//! out of the catalog.

use std::collections::BTreeSet;

use super::{HEAD, Written, anchor, duration, has_threshold, of_group, slo, written};
use crate::catalog::alerts::{Alert, AlertSettings, Group, alerts};
use crate::catalog::boards::{BOARDS, Panel, expanded};
use crate::catalog::{CATALOG, Entry, Outcome, RULES};

/// Panels named for one alert.
const PANELS: usize = 3;

pub(super) fn metrics() -> String {
    let known: BTreeSet<&str> = CATALOG.iter().map(|entry| entry.name).collect();
    let others: Vec<String> =
        used().into_iter().filter(|name| !known.contains(name.as_str())).collect();
    filled(
        include_str!("metrics.md"),
        &[
            ("head", head()),
            ("catalog", catalog()),
            ("uses", uses(CATALOG.iter().map(|entry| entry.name))),
            ("other uses", uses(others.iter().map(String::as_str))),
            ("outcomes", outcomes()),
            ("buckets", buckets_of_each()),
        ],
    )
}

pub(super) fn alerts_page(objective: f64, settings: &AlertSettings) -> String {
    let able: Vec<String> =
        alerts().filter(|alert| alert.by_tool).map(|alert| format!("`{}`", alert.name)).collect();
    filled(
        include_str!("alerts.md"),
        &[
            ("head", head()),
            ("by tool", able.join(", ")),
            ("all", all(settings)),
            ("each", each(settings)),
            ("budget", slo::page(objective)),
        ],
    )
}

/// Each mark of the template, replaced.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (mark, part) in parts {
        text = text.replace(&format!("<!-- {mark} -->"), part.trim_end());
    }
    text
}

fn head() -> String {
    format!("<!-- {} -->", HEAD.trim_start_matches("# ").trim_end())
}

fn catalog() -> String {
    let mut table =
        "| metric | type | labels | unit | what it says |\n|---|---|---|---|---|\n".to_owned();
    for Entry { name, kind, labels, unit, help, .. } in CATALOG {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {unit} | {help} |\n"));
    }
    table
}

fn buckets_of_each() -> String {
    let mut table = "| metric | `le` |\n|---|---|\n".to_owned();
    for entry in CATALOG.iter().filter(|entry| !entry.buckets.is_empty()) {
        let bounds: Vec<String> = entry.buckets.iter().map(|bound| format!("{bound:?}")).collect();
        table.push_str(&format!("| `{}` | {} |\n", entry.name, bounds.join(", ")));
    }
    table
}

fn outcomes() -> String {
    let mut table = "| outcome | status | error_type | when |\n|---|---|---|---|\n".to_owned();
    for rule in &RULES {
        let outcome = match rule.outcome {
            Outcome::JsonRpc(0) => "any other JSON-RPC code".to_owned(),
            Outcome::JsonRpc(code) => format!("JSON-RPC {code}"),
            outcome => outcome.as_str().to_owned(),
        };
        let error_type = rule.error_type.map_or("–".to_owned(), |name| format!("`{name}`"));
        let status = rule.status.as_str();
        table.push_str(&format!("| {outcome} | `{status}` | {error_type} | {} |\n", rule.when));
    }
    table
}

/// Where each of these is drawn and watched.
fn uses<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut table = "| metric | panels | alerts |\n|---|---|---|\n".to_owned();
    let default = AlertSettings::default();
    let budget = metrics_in(&slo::rules(0.99, &default));
    for name in names {
        let of_board = BOARDS.iter().filter_map(|board| {
            let panels = board.rows.iter().flat_map(|row| row.panels);
            let drawn = panels.filter(|panel| of_panel(panel).iter().any(|metric| metric == name));
            let titles: Vec<&str> = drawn.map(|panel| panel.title).collect();
            let file = board.file();
            (!titles.is_empty())
                .then(|| format!("[{file}](../dashboards/{file}.json): {}", titles.join(", ")))
        });
        let panels: Vec<String> = of_board.collect();
        let watched = alerts().filter(|alert| {
            written(alert, &default)
                .iter()
                .any(|rule| metrics_in(&rule.expr).contains(&name.to_owned()))
        });
        let mut watched: Vec<String> = watched.map(|alert| link(alert.name)).collect();
        if budget.iter().any(|metric| metric == name) {
            watched.push(link(slo::NAME));
        }
        let or_none = |list: Vec<String>, between| match list.is_empty() {
            true => "–".to_owned(),
            false => list.join(between),
        };
        table.push_str(&format!(
            "| `{name}` | {} | {} |\n",
            or_none(panels, "; "),
            or_none(watched, ", ")
        ));
    }
    table
}

/// Every metric that a panel or an alert reads.
fn used() -> BTreeSet<String> {
    let default = AlertSettings::default();
    let panels = BOARDS.iter().flat_map(|board| board.rows).flat_map(|row| row.panels);
    let watched = alerts().flat_map(|alert| written(alert, &default));
    panels.flat_map(of_panel).chain(watched.flat_map(|rule| metrics_in(&rule.expr))).collect()
}

fn of_panel(panel: &Panel) -> Vec<String> {
    panel.queries.iter().flat_map(|query| metrics_in(&expanded(query.expr, ""))).collect()
}

/// The metrics that an expression names, in its order, each one once; a histogram by its own name.
fn metrics_in(expr: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let words = expr.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    for word in words {
        let ours = (word.starts_with("mcp_") || word.starts_with("process_") || word == "up")
            && !word.ends_with('_');
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word);
        if ours && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn link(alert: &str) -> String {
    format!("[{alert}](ALERTS.md#{})", alert.to_lowercase())
}

fn all(settings: &AlertSettings) -> String {
    let mut table =
        "| alert | severity | threshold | for | what it says |\n|---|---|---|---|---|\n".to_owned();
    for group in Group::ALL {
        for alert in of_group(group) {
            for rule in written(alert, settings) {
                table.push_str(&format!(
                    "| [{}](#{}) | {} | {} | {} | {} |\n",
                    alert.name,
                    alert.name.to_lowercase(),
                    alert.severity.as_str(),
                    if has_threshold(alert) {
                        alert.shown.threshold(rule.over)
                    } else {
                        "–".to_owned()
                    },
                    duration(alert.wait),
                    said(&rule, alert.summary),
                ));
            }
        }
    }
    table
}

/// An annotation with the names of labels for their values.
fn said(rule: &Written<'_>, text: &str) -> String {
    super::filled(text, rule.alert, rule.over, "*N*", |label| format!("*{label}*"))
}

fn each(settings: &AlertSettings) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        for alert in of_group(group) {
            text.push_str(&one(alert, settings));
        }
    }
    text
}

fn one(alert: &Alert, settings: &AlertSettings) -> String {
    let rules = written(alert, settings);
    let mut text = format!(
        "### {}\n\n*{}*, in `{}.yml`, about `{}`. ",
        alert.name,
        alert.severity.as_str(),
        alert.group.file(),
        alert.subject
    );
    if let Some(first) = rules.first() {
        text.push_str(&said(first, alert.description));
    }
    text.push('\n');
    for rule in &rules {
        let wait = match alert.wait {
            0 => "Fires at once".to_owned(),
            wait => format!("For {}", duration(wait)),
        };
        text.push_str(&format!("\n{wait}:\n\n```promql\n{}\n```\n", rule.expr));
    }
    text.push_str(&format!("\n- What to do: [runbook](../{}).\n", anchor(alert.name)));
    if has_threshold(alert) {
        let name = alert.name;
        let tool = match alert.by_tool {
            true => format!(", for one tool `--threshold {name}:TOOL=N`"),
            false => String::new(),
        };
        text.push_str(&format!("- Another threshold: `--threshold {name}=N`{tool}.\n"));
    }
    let drawn = drawn(alert);
    if !drawn.is_empty() {
        text.push_str(&format!("- Drawn by: {}.\n", drawn.join(", ")));
    }
    text.push('\n');
    text
}

/// The panels on which an edge is the alert's threshold; else those that have most in common with what it
/// asks: first its first metric, then all.
fn drawn(alert: &Alert) -> Vec<String> {
    let settings = AlertSettings::default();
    let rules = written(alert, &settings);
    let asked: Vec<String> = rules.first().map(|rule| metrics_in(&rule.expr)).unwrap_or_default();
    let mut best = (0, 0.0);
    let mut panels = Vec::new();
    for board in BOARDS {
        for panel in board.rows.iter().flat_map(|row| row.panels) {
            let drawn: BTreeSet<String> = of_panel(panel).into_iter().collect();
            let common = asked.iter().filter(|metric| drawn.contains(*metric)).count();
            let either = drawn.len() + asked.len() - common;
            if common == 0 {
                continue;
            }
            let edge = panel.steps.iter().any(|step| step.alert == alert.name);
            let first = asked.first().is_some_and(|first| drawn.contains(first));
            let first = 2 * usize::from(edge) + usize::from(first);
            let rank = (first, common as f64 / either as f64);
            if rank > best {
                best = rank;
                panels.clear();
            }
            if rank == best {
                let file = board.file();
                panels.push(format!("{} ([{file}](../dashboards/{file}.json))", panel.title));
            }
        }
    }
    panels.truncate(PANELS);
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_is_left_and_none_was_missing() {
        let default = AlertSettings::default();
        for page in [metrics(), alerts_page(0.99, &default)] {
            assert_eq!(page.matches("<!--").count(), 1, "the head, and no mark");
        }
        for (template, marks) in [
            (include_str!("metrics.md"), "head catalog uses other_uses outcomes buckets"),
            (include_str!("alerts.md"), "head by_tool all each budget"),
        ] {
            for mark in marks.split(' ') {
                let mark = format!("<!-- {} -->", mark.replace('_', " "));
                assert_eq!(template.matches(&mark).count(), 1, "{mark}");
            }
        }
    }

    #[test]
    fn metrics_are_found_by_their_own_names() {
        let expr = r#"histogram_quantile(0.5, sum by (le) (rate(mcp_x_seconds_bucket{a=~"up_.*"}[5m]))) and up == 0 or mcp_x_seconds_count"#;
        assert_eq!(metrics_in(expr), ["mcp_x_seconds", "up"]);
        assert!(metrics_in(r#"{__name__=~"mcp_vitals_.+"}"#).is_empty());
    }

    #[test]
    fn each_alert_is_told_and_every_metric_of_the_catalog_is_drawn() {
        let page = alerts_page(0.99, &AlertSettings::default());
        for alert in alerts() {
            assert_eq!(
                page.matches(&format!("\n### {}\n", alert.name)).count(),
                1,
                "{}",
                alert.name
            );
        }
        let drawn: BTreeSet<String> = BOARDS
            .iter()
            .flat_map(|board| board.rows)
            .flat_map(|row| row.panels)
            .flat_map(of_panel)
            .collect();
        for Entry { name, .. } in CATALOG {
            assert!(drawn.contains(*name), "{name} is on no panel");
        }
    }
}

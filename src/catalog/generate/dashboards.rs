//! The dashboards as Grafana reads them: the classic model, which Grafana 10 to 12 import.

use serde_json::{Value, json};

use super::Generated;
use crate::catalog::alerts::{AlertSettings, alerts};
use crate::catalog::boards::{BOARDS, Board, Draw, Panel, Query, Row, expanded};

/// Columns of a dashboard.
const COLUMNS: u32 = 24;

pub(super) fn write(settings: &AlertSettings) -> Vec<Generated> {
    let file = |board: &&Board| {
        let mut text = serde_json::to_string_pretty(&model(board, settings)).unwrap_or_default();
        text.push('\n');
        Generated { path: format!("dashboards/{}.json", board.file()), text }
    };
    BOARDS.iter().map(file).collect()
}

fn model(board: &Board, settings: &AlertSettings) -> Value {
    json!({
        "id": null,
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["mcp", "mcp-vitals"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": false,
        "weekStart": "",
        "timezone": "browser",
        "refresh": "10s",
        "time": { "from": "now-15m", "to": "now" },
        "timepicker": {},
        "links": [{
            "type": "dashboards",
            "title": "MCP server",
            "tags": ["mcp-vitals"],
            "asDropdown": true,
            "includeVars": true,
            "keepTime": true,
            "targetBlank": false,
            "icon": "external link",
            "tooltip": "",
            "url": "",
        }],
        "annotations": { "list": [] },
        "templating": { "list": variables(board, &settings.matchers) },
        "panels": panels(board, settings),
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Those that the board's panels have.
fn variables(board: &Board, matchers: &str) -> Vec<Value> {
    let exprs = || board.rows.iter().flat_map(|row| row.panels).flat_map(|panel| panel.queries);
    let used = |mark: &str| exprs().any(|query| query.expr.contains(mark));
    let mut list = vec![json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "options": [],
        "refresh": 1,
        "hide": 0,
        "includeAll": false,
        "multi": false,
        "regex": "",
        "skipUrlSync": false,
    })];
    let labels = |metric: &str, marks: &str, label: &str| {
        let selector = expanded(&format!("{metric}{{{marks}}}"), matchers);
        format!("label_values({selector}, {label})")
    };
    let instances = if matchers.is_empty() {
        "label_values(mcp_vitals_build_info, instance)".to_owned()
    } else {
        format!("label_values(mcp_vitals_build_info{{{matchers}}}, instance)")
    };
    list.push(variable("instance", "Instance", &instances));
    if used("@t") || used("@o") {
        list.push(variable("tool", "Tool", &labels("mcp_requests_total", "@", "tool")));
    }
    if used("@o") {
        let query = labels("mcp_requests_total", "@t", "operation");
        list.push(variable("operation", "Operation", &query));
    }
    list
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": source(),
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "options": [],
        "hide": 0,
        "regex": "",
        "skipUrlSync": false,
    })
}

/// Rows under each other, each with its panels from left to right.
fn panels(board: &Board, settings: &AlertSettings) -> Vec<Value> {
    let (mut all, mut y) = (Vec::new(), 0);
    for row in board.rows {
        all.push(json!({
            "id": all.len() + 1,
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for each in row.panels {
            if x + each.wide > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            let high = height(each, row);
            let place = json!({ "h": high, "w": each.wide, "x": x, "y": y });
            all.push(panel(each, settings, all.len() + 1, &place));
            x += each.wide;
            tallest = tallest.max(high);
        }
        y += tallest;
    }
    all
}

/// Room for what there is many of: tools, and rows of a table.
fn height(panel: &Panel, row: &Row) -> u32 {
    let of_tools = panel.wide >= 12 && panel.queries.iter().any(|query| query.legend == "{{tool}}");
    match panel.draw {
        Draw::Stat if row.panels.iter().all(|other| other.draw == Draw::Stat) => 5,
        Draw::Table => 12,
        Draw::Name => 12,
        _ if of_tools => 10,
        _ => 8,
    }
}

fn panel(panel: &Panel, settings: &AlertSettings, id: usize, place: &Value) -> Value {
    let targets: Vec<Value> = panel
        .queries
        .iter()
        .zip('A'..)
        .map(|(query, id)| target(panel, query, &settings.matchers, &id.to_string()))
        .collect();
    let mut model = json!({
        "id": id,
        "type": kind(panel.draw),
        "title": panel.title,
        "description": panel.about,
        "datasource": source(),
        "gridPos": place,
        "targets": targets,
        "options": options(panel),
        "fieldConfig": { "defaults": defaults(panel, settings), "overrides": overrides(panel) },
    });
    if panel.draw == Draw::Table {
        model["transformations"] = columns(panel);
    }
    model
}

fn kind(draw: Draw) -> &'static str {
    match draw {
        Draw::Stat | Draw::Name => "stat",
        Draw::Lines => "timeseries",
        Draw::Heat => "heatmap",
        Draw::Table => "table",
    }
}

fn target(panel: &Panel, query: &Query, matchers: &str, id: &str) -> Value {
    let table = panel.draw == Draw::Table;
    let mut target = json!({
        "refId": id,
        "datasource": source(),
        "expr": expanded(query.expr, matchers),
        "editorMode": "code",
        "instant": table,
        "range": !table,
    });
    match panel.draw {
        Draw::Table => target["format"] = json!("table"),
        Draw::Heat => {
            target["format"] = json!("heatmap");
            target["legendFormat"] = json!(query.legend);
        }
        _ => {
            target["legendFormat"] = json!(query.legend);
            // Where there are traces, a point leads to one.
            let quantile = query.expr.starts_with("histogram_quantile");
            target["exemplar"] = json!(quantile && panel.draw == Draw::Lines);
        }
    }
    target
}

fn options(panel: &Panel) -> Value {
    match panel.draw {
        Draw::Stat | Draw::Name => json!({
            "reduceOptions": { "values": false, "calcs": ["lastNotNull"], "fields": "" },
            "colorMode": if panel.draw == Draw::Name { "none" } else { "value" },
            "graphMode": if panel.draw == Draw::Name { "none" } else { "area" },
            "textMode": if panel.draw == Draw::Name { "name" } else { "auto" },
            "justifyMode": "auto",
            "orientation": "auto",
            "wideLayout": true,
            "showPercentChange": false,
            "percentChangeColorMode": "standard",
        }),
        // Where there is room, the legend says the numbers, too.
        Draw::Lines => json!({
            "legend": if panel.wide >= 12 {
                json!({ "displayMode": "table", "placement": "right", "showLegend": true, "calcs": ["lastNotNull", "max"], "sortBy": "Last *", "sortDesc": true })
            } else {
                json!({ "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] })
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Draw::Heat => json!({
            "calculate": false,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "exponent": 0.5,
                "fill": "dark-orange",
                "scale": "exponential",
                "steps": 64,
                "reverse": false,
            },
            "exemplars": { "color": "rgba(255,0,255,0.7)" },
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true },
            "rowsFrame": { "layout": "auto" },
            "showValue": "never",
            "tooltip": { "mode": "single", "yHistogram": false, "showColorScale": false },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": panel.unit },
        }),
        Draw::Table => json!({
            "showHeader": true,
            "cellHeight": "sm",
            "frameIndex": 0,
            "sortBy": match panel.queries {
                [_] => json!([{ "displayName": "Name", "desc": false }]),
                [first, ..] => json!([{ "displayName": first.legend, "desc": true }]),
                [] => json!([]),
            },
        }),
    }
}

fn thresholds(panel: &Panel, settings: &AlertSettings) -> Value {
    let base = json!({ "color": panel.base, "value": null });
    let steps = panel.steps.iter().filter_map(|step| {
        let alert = alerts().find(|alert| alert.name == step.alert)?;
        let over = settings.thresholds.get(alert.name).copied().unwrap_or(alert.threshold);
        // 1 - 0.3 is 0.7, and not 0.7 and a bit.
        let edge = if step.rest { ((1.0 - over) * 1e9).round() / 1e9 } else { over };
        Some(json!({ "color": step.colour, "value": edge }))
    });
    json!({ "mode": "absolute", "steps": std::iter::once(base).chain(steps).collect::<Vec<_>>() })
}

fn defaults(panel: &Panel, settings: &AlertSettings) -> Value {
    let mut defaults = json!({ "thresholds": thresholds(panel, settings) });
    if !matches!(panel.draw, Draw::Table | Draw::Name) {
        defaults["unit"] = json!(panel.unit);
    }
    match panel.draw {
        Draw::Stat => {
            defaults["min"] = json!(0);
            defaults["color"] = json!({ "mode": "thresholds" });
        }
        Draw::Name => defaults["color"] = json!({ "mode": "thresholds" }),
        Draw::Lines => {
            defaults["min"] = json!(0);
            defaults["color"] = json!({ "mode": "palette-classic" });
            let style = if panel.steps.is_empty() { "off" } else { "dashed" };
            defaults["custom"] = json!({
                "drawStyle": "line",
                "lineWidth": 1,
                // Under many lines, areas are mud.
                "fillOpacity": if panel.queries.iter().any(|query| query.legend.contains("{{")) { 0 } else { 10 },
                "showPoints": "never",
                "spanNulls": false,
                "thresholdsStyle": { "mode": style },
            });
        }
        Draw::Heat => {
            defaults["custom"] =
                json!({ "hideFrom": { "legend": false, "tooltip": false, "viz": false } });
        }
        Draw::Table => {}
    }
    match panel.draw {
        // As an axis needs them, and the more the closer one looks.
        Draw::Stat if panel.unit == "percentunit" => defaults["decimals"] = json!(2),
        Draw::Lines if panel.whole => defaults["decimals"] = json!(0),
        _ => {}
    }
    if let Some(max) = panel.max {
        defaults["max"] = json!(max);
    }
    defaults
}

/// Outcomes in their own colours, and the units of a table's columns.
fn overrides(panel: &Panel) -> Vec<Value> {
    let of = |name: &str, properties: Value| json!({ "matcher": { "id": "byName", "options": name }, "properties": properties });
    if panel.draw == Draw::Table {
        let unit = |legend: &str| match legend {
            "Rate" => Some("reqps"),
            "Error rate" => Some("percentunit"),
            "p50" | "p95" | "p99" => Some("s"),
            _ => None,
        };
        let columns =
            panel.queries.iter().filter_map(|query| Some((query.legend, unit(query.legend)?)));
        let name = of("Name", json!([{ "id": "custom.width", "value": 380 }]));
        let with_units = columns
            .map(|(name, unit)| of(name, json!([{ "id": "unit", "value": unit }, { "id": "decimals", "value": if unit == "s" { 1 } else { 2 } }])))
            ;
        return with_units.chain([name]).collect();
    }
    let said: Vec<&str> = panel.queries.iter().map(|query| query.legend).collect();
    styles()
        .into_iter()
        .filter(|(mark, ..)| panel.draw == Draw::Lines && said.iter().any(|said| said.contains(mark)))
        .map(|(_, pattern, properties)| {
            json!({ "matcher": { "id": "byRegexp", "options": pattern }, "properties": properties })
        })
        .collect()
}

/// What a legend that holds the mark means: which lines, by a regular expression, look how. The same
/// on every board: red is an error, purple a cancellation, and the slower the quantile, the hotter.
fn styles() -> Vec<(&'static str, &'static str, Value)> {
    let fixed = |colour: &str| json!([{ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } }]);
    // Several lines of one kind: each a shade of its own.
    let shades = |colour: &str| json!([{ "id": "color", "value": { "mode": "shades", "fixedColor": colour } }]);
    let dashed = json!({ "id": "custom.lineStyle", "value": { "fill": "dash", "dash": [6, 4] } });
    let and_dashed = |mut properties: Value| {
        if let Some(list) = properties.as_array_mut() {
            list.push(dashed.clone());
        }
        properties
    };
    vec![
        ("{{status}}", "/^success$/", fixed("green")),
        ("{{status}}", "/(^| )(error|failed)$/", shades("red")),
        ("{{status}}", "/(^| )cancelled$/", shades("purple")),
        ("{{error_type}}", "/^(?!client_)/", shades("red")),
        ("{{error_type}}", "/^client_/", shades("yellow")),
        ("panicked", "/panicked$/", shades("red")),
        ("cancelled", "/cancelled$/", shades("purple")),
        ("{{level}}", "/ error$/", fixed("red")),
        ("{{level}}", "/ warn$/", fixed("orange")),
        ("{{level}}", "/ info$/", fixed("green")),
        ("{{level}}", "/ debug$/", fixed("blue")),
        ("{{level}}", "/ trace$/", fixed("purple")),
        ("p50", "/^p50$/", fixed("green")),
        ("p95", "/^p95$/", fixed("yellow")),
        ("p99", "/^p99$/", fixed("orange")),
        (" p50", "/ p50$/", and_dashed(shades("green"))),
        (" p95", "/ p95$/", shades("yellow")),
        ("limit", "/ limit$/", and_dashed(fixed("orange"))),
    ]
}

/// The labels that tables have, in their order.
const LABELS: [&str; 7] = ["__name__", "tool", "operation", "metric", "place", "sink", "reason"];

fn titled(label: &str) -> String {
    let label = label.trim_matches('_');
    label[..1].to_uppercase() + &label[1..]
}

/// One row for each label set, a column for each query.
fn columns(panel: &Panel) -> Value {
    let value = |id: char| match panel.queries.len() {
        1 => "Value".to_owned(),
        _ => format!("Value #{id}"),
    };
    let renamed: serde_json::Map<String, Value> = panel
        .queries
        .iter()
        .zip('A'..)
        .map(|(query, id)| (value(id), json!(query.legend)))
        .chain(LABELS.map(|label| (label.to_owned(), json!(titled(label)))))
        .collect();
    let order: serde_json::Map<String, Value> =
        LABELS.iter().zip(0..).map(|(label, at)| ((*label).to_owned(), json!(at))).collect();
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": {
            "excludeByName": { "Time": true },
            "indexByName": order,
            "renameByName": renamed,
        } },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::boards::Step;

    fn all_panels() -> impl Iterator<Item = (&'static Board, &'static Panel)> {
        BOARDS.iter().flat_map(|board| {
            board.rows.iter().flat_map(|row| row.panels).map(move |panel| (*board, panel))
        })
    }

    fn models(settings: &AlertSettings) -> Vec<Value> {
        BOARDS.iter().map(|board| model(board, settings)).collect()
    }

    #[test]
    fn each_step_is_the_edge_of_an_alert_that_there_is() {
        for (board, panel) in all_panels() {
            for Step { alert, .. } in panel.steps {
                let known = alerts().any(|known| known.name == *alert);
                assert!(known, "{} {}: {alert}", board.uid, panel.title);
            }
        }
    }

    #[test]
    fn colours_change_at_the_thresholds_that_are_given() {
        let steps = |settings: &AlertSettings, title: &str| {
            let (board, panel) = all_panels().find(|(_, panel)| panel.title == title).unwrap();
            assert!(!board.rows.is_empty());
            thresholds(panel, settings)["steps"].clone()
        };
        let given = AlertSettings {
            thresholds: [
                ("HighErrorRate".to_owned(), 0.02),
                ("HighAgentFailureRate".to_owned(), 0.1),
            ]
            .into(),
            ..AlertSettings::default()
        };
        let colour = |colour: &str, value: Value| json!({ "color": colour, "value": value });
        assert_eq!(
            steps(&given, "Error rate"),
            json!([
                colour("green", Value::Null),
                colour("orange", json!(0.02)),
                colour("red", json!(0.15))
            ])
        );
        assert_eq!(
            steps(&given, "Agent success rate"),
            json!([colour("orange", Value::Null), colour("green", json!(0.9))])
        );
        assert_eq!(
            steps(&AlertSettings::default(), "Auth success rate")[1],
            colour("green", json!(0.7))
        );
    }

    #[test]
    fn every_selector_gets_the_matchers() {
        let matchers = r#"job="a~b@c", zone!~"x.*""#;
        let settings = AlertSettings { matchers: matchers.to_owned(), ..AlertSettings::default() };
        for (plain, ours) in models(&AlertSettings::default()).iter().zip(models(&settings)) {
            for (plain, ours) in expressions(plain).iter().zip(expressions(&ours)) {
                let selectors = plain.matches('{').count();
                assert!(selectors > 0 || plain.starts_with("label_values(mcp_vitals_build_info,"));
                assert_eq!(ours.matches(matchers).count(), selectors.max(1), "{ours}");
                let taken_out = ours
                    .replace(&format!(", {matchers}"), "")
                    .replace(&format!("{{{matchers}}}"), "");
                assert_eq!(taken_out, *plain);
            }
        }
    }

    /// Of the panels and of the variables.
    fn expressions(model: &Value) -> Vec<String> {
        let panels = model["panels"].as_array().unwrap().iter();
        let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        let variables = model["templating"]["list"].as_array().unwrap().iter();
        let all = targets.map(|target| &target["expr"]);
        let all = all.chain(variables.map(|variable| &variable["query"]["query"]));
        all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    #[test]
    fn the_page_about_them_has_each_panel() {
        let page = include_str!("../../../docs/DASHBOARDS.md");
        for (board, panel) in all_panels() {
            let row = format!("| {} | {} | {} |", panel.title, kind(panel.draw), panel.about);
            let (_, part) = page.split_once(&format!("\n`{}`. ", board.uid)).unwrap();
            let part = part.split_once("\n### ").map_or(part, |(part, _)| part);
            assert!(part.contains(&row), "{}: no row\n{row}", board.uid);
            assert!(
                !panel.about.is_empty(),
                "{} {} says nothing of itself",
                board.uid,
                panel.title
            );
        }
    }
}

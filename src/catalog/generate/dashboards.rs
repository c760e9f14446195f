//! The dashboards as Grafana reads them: the classic model, which Grafana 10 to 12 import.

use serde_json::{Value, json};

use super::Generated;
use crate::catalog::boards::{BOARDS, Board, Draw, Panel, Query, expanded};

/// Columns of a dashboard.
const COLUMNS: u32 = 24;

pub(super) fn write() -> Vec<Generated> {
    let file = |board: &&Board| {
        let name = board.uid.trim_start_matches("mcp-vitals-");
        let mut text = serde_json::to_string_pretty(&model(board)).unwrap_or_default();
        text.push('\n');
        Generated { path: format!("dashboards/{name}.json"), text }
    };
    BOARDS.iter().map(file).collect()
}

fn model(board: &Board) -> Value {
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
        "templating": { "list": variables(board) },
        "panels": panels(board),
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Those that the board's panels have.
fn variables(board: &Board) -> Vec<Value> {
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
    list.push(variable("instance", "Instance", "label_values(mcp_vitals_build_info, instance)"));
    if used("@t") || used("@o") {
        let query = "label_values(mcp_requests_total{instance=~\"$instance\"}, tool)";
        list.push(variable("tool", "Tool", query));
    }
    if used("@o") {
        let query =
            "label_values(mcp_requests_total{instance=~\"$instance\", tool=~\"$tool\"}, operation)";
        list.push(variable("operation", "Operation", query));
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
fn panels(board: &Board) -> Vec<Value> {
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
            let high = match each.draw {
                Draw::Stat if row.panels.iter().all(|other| other.draw == Draw::Stat) => 4,
                _ => 8,
            };
            let place = json!({ "h": high, "w": each.wide, "x": x, "y": y });
            all.push(panel(each, all.len() + 1, &place));
            x += each.wide;
            tallest = tallest.max(high);
        }
        y += tallest;
    }
    all
}

fn panel(panel: &Panel, id: usize, place: &Value) -> Value {
    let targets: Vec<Value> = panel
        .queries
        .iter()
        .zip('A'..)
        .map(|(query, id)| target(panel, query, &id.to_string()))
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
        "fieldConfig": { "defaults": defaults(panel), "overrides": overrides(panel) },
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

fn target(panel: &Panel, query: &Query, id: &str) -> Value {
    let table = panel.draw == Draw::Table;
    let mut target = json!({
        "refId": id,
        "datasource": source(),
        "expr": expanded(query.expr),
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
            target["exemplar"] = json!(query.expr.starts_with("histogram_quantile"));
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
        }),
        Draw::Lines => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
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
            "footer": { "show": false, "reducer": ["sum"], "countRows": false, "fields": "" },
            "sortBy": panel.queries.first().map(|first| json!({ "displayName": first.legend, "desc": true })).into_iter().collect::<Vec<_>>(),
        }),
    }
}

fn thresholds(steps: &[(f64, &str)]) -> Value {
    let green = json!({ "color": "green", "value": null });
    let steps = steps.iter().map(|(value, color)| json!({ "color": color, "value": value }));
    json!({ "mode": "absolute", "steps": std::iter::once(green).chain(steps).collect::<Vec<_>>() })
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({ "thresholds": thresholds(panel.steps) });
    if !matches!(panel.draw, Draw::Table | Draw::Name) {
        defaults["unit"] = json!(panel.unit);
    }
    match panel.draw {
        Draw::Stat | Draw::Name => defaults["color"] = json!({ "mode": "thresholds" }),
        Draw::Lines => {
            defaults["min"] = json!(0);
            defaults["color"] = json!({ "mode": "palette-classic" });
            let style = if panel.steps.is_empty() { "off" } else { "dashed" };
            defaults["custom"] = json!({
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 10,
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
    if panel.unit == "percentunit" {
        defaults["decimals"] = json!(2);
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
        return columns
            .map(|(name, unit)| of(name, json!([{ "id": "unit", "value": unit }, { "id": "decimals", "value": if unit == "s" { 3 } else { 2 } }])))
            .collect();
    }
    if panel.queries.iter().any(|query| query.legend == "{{status}}") {
        return [("error", "red"), ("success", "green"), ("cancelled", "purple")]
            .map(|(name, colour)| {
                of(
                    name,
                    json!([{ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } }]),
                )
            })
            .into();
    }
    Vec::new()
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
        .chain([("tool".to_owned(), json!("Tool")), ("operation".to_owned(), json!("Operation"))])
        .collect();
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": {
            "excludeByName": { "Time": true },
            "indexByName": { "__name__": 0, "tool": 0, "operation": 1 },
            "renameByName": renamed,
        } },
    ])
}

//! The rules as Prometheus reads them.

use super::{
    HEAD, Written, anchor, duration, filled, indented, labels, of_group, quoted, runbook_url,
    written,
};
use crate::catalog::alerts::{AlertSettings, Group};

fn about(group: Group) -> &'static str {
    match group {
        Group::Server => {
            "\
# What an MCP server measured by mcp-vitals is watched for. What to do about each alert is in
# RUNBOOK.md beside this file; the cases that fire and that stay quiet are in tests/.
#
# - Each alert is of one process: both sides of a ratio are summed by job and instance, and by
#   vitals_copy, which copies that share a textfile have.
# - A request counts in the error ratio if it ended in success or error. A cancelled one is in
#   neither side. The caller's own faults (error_type client_…) are requests, but no errors.
# - Ratios and quantiles ask for a least number of events in the window, so that one failing
#   request on an idle server is no alert.
# - A series that is absent compares with nothing: such an alert never fires.
# - Gauges count only while the process is seen to be scraped, or to write its textfile: the node
#   exporter goes on with the last values of one that was killed.
# - A critical alert silences the warning of the same `subject`: see alertmanager.yml.
"
        }
        Group::Engine => "# What mcp-vitals itself costs and loses.\n",
        Group::Optional => {
            "\
# For servers that should always have agents, tokens or log-ins: fires on one that has none. Add
# this file to `rule_files` where that is so.
"
        }
    }
}

pub(super) fn write(group: Group, settings: &AlertSettings) -> String {
    let name = match group {
        Group::Server => "mcp",
        Group::Engine => "mcp-engine",
        Group::Optional => "mcp-optional",
    };
    let mut text = format!("{HEAD}{}\ngroups:\n  - name: {name}\n    rules:\n", about(group));
    let rules: Vec<String> = of_group(group)
        .flat_map(|alert| written(alert, settings))
        .map(|one| rule(one, settings))
        .collect();
    text.push_str(&rules.join("\n"));
    text
}

fn rule(Written { alert, over, expr, tool }: Written<'_>, settings: &AlertSettings) -> String {
    let label = |name: &str| match name {
        "instance" if tool.is_some() => "{{ $labels.tool }} of {{ $labels.instance }}".to_owned(),
        name => format!("{{{{ $labels.{name} }}}}"),
    };
    let fill = |text| quoted(&filled(text, alert, over, alert.shown.template(), label));
    let mut rule = format!("      - alert: {}\n        expr: |\n", alert.name);
    rule.push_str(&indented(&expr, 10));
    rule.push_str(&format!("        for: {}\n        labels:\n", duration(alert.wait)));
    for (name, value) in labels(alert.severity, alert.subject) {
        rule.push_str(&format!("          {name}: {value}\n"));
    }
    if let Some(tool) = tool {
        rule.push_str(&format!("          tool: {}\n", quoted(tool)));
    }
    rule.push_str(&format!(
        "        annotations:\n          summary: {}\n          description: {}\n          runbook: {}\n",
        fill(alert.summary),
        fill(alert.description),
        anchor(alert.name),
    ));
    rule.push_str(&runbook_url(settings, alert.name));
    rule
}

//! What to do about each alert.

use super::{of_group, written};
use crate::catalog::alerts::{AlertSettings, Group};

const HEAD: &str = "\
# Runbook

<!-- Written by `mcp-vitals generate`; change the catalog, not this file. -->

What each alert means, and where to look first. `I` stands for the `instance` in the alert's labels.
";

const BUDGET: &str = "
# slo.yml

## ErrorBudgetBurn

Requests fail, by the server's fault, faster than the objective lets them over 30 days. The label
`window` says how fast: over `1h` two percent of the budget are gone in an hour, and somebody is to
be woken; over `3d` it is gone at the end of the month, and somebody is to look this week.

1. Is it still going on? The short window has it, or the alert would have ended.
2. Which tool, and what kind of error: as in [HighErrorRate](#higherrorrate).
";

pub(super) fn write(settings: &AlertSettings) -> String {
    let mut text = HEAD.to_owned();
    for group in Group::ALL {
        text.push_str(&format!("\n# {}.yml\n", group.file()));
        for alert in of_group(group) {
            let over = written(alert, settings).first().map_or(alert.threshold, |rule| rule.over);
            let body = alert.runbook.replace("{over}", &alert.shown.threshold(over));
            let body: Vec<&str> = body.lines().map(str::trim_end).collect();
            text.push_str(&format!(
                "\n## {}\n\n*{}*, after {}.\n\n{}\n",
                alert.name,
                alert.severity.as_str(),
                super::duration(alert.wait),
                body.join("\n")
            ));
        }
    }
    text.push_str(BUDGET);
    text
}

//! The dashboards: what is drawn of the metrics, as plain data.
//!
//! `mcp-vitals generate` writes them as Grafana's JSON. In an expression `@` stands for the matcher of
//! the variable `instance`, `@t` for those of `instance` and `tool`, `@o` for these and `operation`,
//! and `~` for the window that Grafana chooses.

mod engine;
mod overview;
mod people;
mod work;

/// One dashboard.
pub struct Board {
    /// Stable, and part of its address.
    pub uid: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Top down.
    pub rows: &'static [Row],
}

/// Panels under a heading.
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// From left to right, and on into the next line.
    pub panels: &'static [Panel],
}

/// One panel.
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What is not plain from the title.
    pub about: &'static str,
    /// How it is drawn.
    pub draw: Draw,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// Of 24 columns.
    pub wide: u32,
    /// What it draws.
    pub queries: &'static [Query],
    /// Where it has a natural end: 1 or 100.
    pub max: Option<f64>,
    /// From which value on in which colour; the rest is green.
    pub steps: &'static [(f64, &'static str)],
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// The last value, large.
    Stat,
    /// The legend instead of the value.
    Name,
    /// Lines over time.
    Lines,
    /// Buckets over time.
    Heat,
    /// A row for each series, a column for each query, named by its legend.
    Table,
}

/// One query.
pub struct Query {
    /// PromQL, with the placeholders above.
    pub expr: &'static str,
    /// Grafana's legend, or the column's title.
    pub legend: &'static str,
}

pub(super) const fn q(expr: &'static str, legend: &'static str) -> Query {
    Query { expr, legend }
}

/// A panel of lines without a natural end.
pub(super) const fn lines(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    wide: u32,
    queries: &'static [Query],
) -> Panel {
    Panel { title, about, draw: Draw::Lines, unit, wide, queries, max: None, steps: &[] }
}

/// One value.
pub(super) const fn stat(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    wide: u32,
    queries: &'static [Query],
) -> Panel {
    Panel { title, about, draw: Draw::Stat, unit, wide, queries, max: None, steps: &[] }
}

impl Panel {
    pub(super) const fn up_to(mut self, max: f64) -> Panel {
        self.max = Some(max);
        self
    }

    pub(super) const fn steps(mut self, steps: &'static [(f64, &'static str)]) -> Panel {
        self.steps = steps;
        self
    }

    pub(super) const fn drawn(mut self, draw: Draw) -> Panel {
        self.draw = draw;
        self
    }
}

/// Errors of the server over what ended in success or error, 0 where nothing failed, by what the
/// literal says.
macro_rules! error_ratio {
    ($by:literal) => {
        concat!(
            "(sum ",
            $by,
            "(rate(mcp_request_errors_total{@o, error_type!~\"client_.*\"}~)) or 0 * sum ",
            $by,
            "(rate(mcp_requests_total{@o, status=~\"success|error\"}~))) / (sum ",
            $by,
            "(rate(mcp_requests_total{@o, status=~\"success|error\"}~)) > 0)"
        )
    };
}
pub(super) use error_ratio;

/// What stands in `$part` over all of `$all`, 0 where there is none of it.
macro_rules! share {
    ($part:literal, $all:literal, $by:literal) => {
        concat!(
            "(sum ",
            $by,
            "(rate(",
            $part,
            "~)) or 0 * sum ",
            $by,
            "(rate(",
            $all,
            "~))) / (sum ",
            $by,
            "(rate(",
            $all,
            "~)) > 0)"
        )
    };
}
pub(super) use share;

/// A quantile of a histogram, by what the literal says.
macro_rules! quantile {
    ($quantile:literal, $metric:literal, $matchers:literal, $by:literal) => {
        concat!(
            "histogram_quantile(",
            $quantile,
            ", sum by (",
            $by,
            "le) (rate(",
            $metric,
            "_bucket{",
            $matchers,
            "}~)))"
        )
    };
}
pub(super) use quantile;

/// Orange and red where the alerts on errors fire.
pub(super) const OF_ERRORS: &[(f64, &str)] = &[(0.05, "orange"), (0.15, "red")];
/// The same of what is used of a hundred, and of one.
pub(super) const OF_PERCENT: &[(f64, &str)] = &[(85.0, "orange"), (95.0, "red")];
pub(super) const OF_SHARE: &[(f64, &str)] = &[(0.85, "orange"), (0.95, "red")];

/// Every dashboard, the first the one to begin with.
pub static BOARDS: &[&Board] = &[
    &overview::BOARD,
    &work::AGENTS,
    &work::NEURAL,
    &people::SYSTEM,
    &people::AUTH,
    &engine::BOARD,
];

/// An expression as Grafana has it.
pub(crate) fn expanded(expr: &str) -> String {
    expr.replace("@o", r#"instance=~"$instance", tool=~"$tool", operation=~"$operation""#)
        .replace("@t", r#"instance=~"$instance", tool=~"$tool""#)
        .replace('@', r#"instance=~"$instance""#)
        .replace('~', "[$__rate_interval]")
        // Not those that were matchers before.
        .replace("=[$__rate_interval]", "=~")
        .replace("![$__rate_interval]", "!~")
}

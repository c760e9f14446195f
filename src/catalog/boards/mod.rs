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

impl Board {
    /// The file's name below `dashboards/`, without its ending.
    pub fn file(&self) -> &'static str {
        self.uid.trim_start_matches("mcp-vitals-")
    }
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
    /// Counts things: no fractions on the axis.
    pub whole: bool,
    /// The colour below the first step.
    pub base: &'static str,
    /// From which value on in which colour.
    pub steps: &'static [Step],
}

/// Where a colour begins: where an alert fires.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its threshold is the edge.
    pub alert: &'static str,
    /// What is missing to 1 is what the alert looks at: the edge is 1 less its threshold.
    pub rest: bool,
    /// Grafana's name of the colour.
    pub colour: &'static str,
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

const fn panel(
    (title, about): (&'static str, &'static str),
    draw: Draw,
    unit: &'static str,
    wide: u32,
    queries: &'static [Query],
) -> Panel {
    let steps: &[Step] = &[];
    Panel { title, about, draw, unit, wide, queries, max: None, whole: false, base: "green", steps }
}

/// A panel of lines without a natural end.
pub(super) const fn lines(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    wide: u32,
    queries: &'static [Query],
) -> Panel {
    panel((title, about), Draw::Lines, unit, wide, queries)
}

/// One value.
pub(super) const fn stat(
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    wide: u32,
    queries: &'static [Query],
) -> Panel {
    panel((title, about), Draw::Stat, unit, wide, queries)
}

impl Panel {
    pub(super) const fn up_to(mut self, max: f64) -> Panel {
        self.max = Some(max);
        self
    }

    pub(super) const fn whole(mut self) -> Panel {
        self.whole = true;
        self
    }

    pub(super) const fn steps(mut self, steps: &'static [Step]) -> Panel {
        self.steps = steps;
        self
    }

    /// Green as long as the alert on the rest is quiet.
    pub(super) const fn good(mut self, steps: &'static [Step]) -> Panel {
        self.base = "orange";
        self.steps = steps;
        self
    }

    pub(super) const fn drawn(mut self, draw: Draw) -> Panel {
        self.draw = draw;
        self
    }
}

/// Orange from where the alert fires.
pub(super) const fn warns(alert: &'static str) -> Step {
    Step { alert, rest: false, colour: "orange" }
}

/// Red from where the alert fires.
pub(super) const fn burns(alert: &'static str) -> Step {
    Step { alert, rest: false, colour: "red" }
}

/// Green where less is missing than the alert fires at.
pub(super) const fn holds(alert: &'static str) -> Step {
    Step { alert, rest: true, colour: "green" }
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

/// What there is more of than none, by a label, and the sum of all, which is there when it is 0, too.
macro_rules! any {
    ($label:literal, $of:literal) => {
        concat!(
            "sum by (",
            $label,
            ") (rate(",
            $of,
            "~)) > 0 or label_replace(sum(rate(",
            $of,
            "~)), \"",
            $label,
            "\", \"all\", \"\", \"\")"
        )
    };
}
pub(super) use any;

pub(super) const OF_ERRORS: &[Step] = &[warns("HighErrorRate"), burns("CriticalErrorRate")];
pub(super) const OF_LATENCY: &[Step] = &[warns("HighRequestLatency")];
pub(super) const OF_CPU: &[Step] = &[warns("HighCPUUsage"), burns("CriticalCPUUsage")];
pub(super) const OF_MEMORY: &[Step] = &[warns("HighMemoryUsage"), burns("CriticalMemoryUsage")];
pub(super) const OF_SYSTEM_MEMORY: &[Step] =
    &[warns("HighSystemMemoryUsage"), burns("CriticalSystemMemoryUsage")];
pub(super) const OF_QUEUE: &[Step] =
    &[warns("HighTaskQueueDepth"), burns("CriticalTaskQueueDepth")];
pub(super) const OF_INFERENCE: &[Step] = &[warns("SlowNeuralInference")];

/// Every dashboard, the first the one to begin with.
pub static BOARDS: &[&Board] = &[
    &overview::BOARD,
    &work::AGENTS,
    &work::NEURAL,
    &people::SYSTEM,
    &people::AUTH,
    &engine::BOARD,
];

/// An expression as Grafana has it, with these matchers in each selector.
pub(crate) fn expanded(expr: &str, matchers: &str) -> String {
    let windowed = expr
        .replace('~', "[$__rate_interval]")
        // Not those that were matchers before.
        .replace("=[$__rate_interval]", "=~")
        .replace("![$__rate_interval]", "!~");
    let mut parts = windowed.split('@');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all.push_str(r#"instance=~"$instance""#);
        let rest = if let Some(rest) = part.strip_prefix('o') {
            all.push_str(r#", tool=~"$tool", operation=~"$operation""#);
            rest
        } else if let Some(rest) = part.strip_prefix('t') {
            all.push_str(r#", tool=~"$tool""#);
            rest
        } else {
            part
        };
        if !matchers.is_empty() {
            all.push_str(", ");
            all.push_str(matchers);
        }
        all.push_str(rest);
    }
    all
}

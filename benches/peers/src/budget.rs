//! Budgets: what a figure must reach at least, and whether it did.

use std::fmt;

use serde::Deserialize;

use crate::report::{Report, Row, Statistic, number, write_aligned};

/// The budget file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// One row a figure and comparison.
    pub budget: Vec<Budget>,
}

/// One comparison.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Which figure.
    pub figure: String,
    /// Compared with what.
    pub kind: Kind,
    /// How many times faster at least, how many times as slow at most, or how many at most.
    pub number: f64,
    /// Said to be checked only once there is what it is about: compared and shown, never over.
    #[serde(default)]
    pub pending: bool,
}

/// What a figure is compared with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Kind {
    /// The peer that is fastest at it: so many times faster.
    FasterThanFastest,
    /// One peer: so many times faster.
    FasterThan(String),
    /// The row's floor, by its name: no more than so many times as slow.
    WithinOfFloor(String),
    /// Another figure of ours, by its name: no more than so many times as slow.
    WithinOfFigure(String),
    /// The row's floor, by its name: no more than so many nanoseconds slower.
    OverFloor(String),
    /// No more than this share of the calls lost.
    Lost,
    /// No more than so many instructions a call: of a hot path, which `scripts/bench.sh` counts.
    Instructions,
    /// No more than so many, of `allocations`, `bytes` or `ns`.
    AtMost(String),
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Kind, String> {
        match text.split_once(':').map_or((&*text, None), |(kind, of)| (kind, Some(of))) {
            ("faster_than_fastest", None) => Ok(Kind::FasterThanFastest),
            ("faster_than", Some(peer)) => Ok(Kind::FasterThan(peer.into())),
            ("within_of_floor", Some(floor)) => Ok(Kind::WithinOfFloor(floor.into())),
            ("within_of_figure", Some(figure)) => Ok(Kind::WithinOfFigure(figure.into())),
            ("over_floor", Some(floor)) => Ok(Kind::OverFloor(floor.into())),
            ("lost", None) => Ok(Kind::Lost),
            ("instructions", None) => Ok(Kind::Instructions),
            (unit @ ("allocations" | "bytes" | "ns"), None) => Ok(Kind::AtMost(unit.into())),
            _ => Err(format!("no kind of budget: {text}")),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { kind, number, .. } = self;
        match kind {
            Kind::FasterThanFastest => write!(f, ">= {number} x fastest peer"),
            Kind::FasterThan(peer) => write!(f, ">= {number} x {peer}"),
            Kind::WithinOfFloor(floor) => write!(f, "<= {number} of {floor}"),
            Kind::WithinOfFigure(figure) => write!(f, "<= {number} of {figure}"),
            Kind::OverFloor(floor) => write!(f, "<= {floor} + {number}"),
            Kind::Lost => write!(f, "<= {number} lost"),
            Kind::Instructions => write!(f, "<= {number} instructions"),
            Kind::AtMost(unit) => write!(f, "<= {number} {unit}"),
        }
    }
}

/// How one budget came out.
pub struct Verdict<'a> {
    budget: &'a Budget,
    row: Option<&'a Row>,
    /// What was compared with the budget's number; `None` if a side of it is missing.
    reached: Option<f64>,
}

impl Verdict<'_> {
    /// Whether the budget is kept. What wasn't measured isn't.
    pub fn is_kept(&self) -> bool {
        self.reached.is_some_and(|reached| match self.budget.kind {
            Kind::FasterThanFastest | Kind::FasterThan(_) => reached >= self.budget.number,
            _ => reached <= self.budget.number,
        })
    }

    /// Whether the run fails by it.
    pub fn is_over(&self) -> bool {
        !self.is_kept() && !self.budget.pending
    }

    fn word(&self) -> &'static str {
        match (self.is_kept(), self.budget.pending) {
            (true, _) => "ok",
            (false, true) => "pending",
            (false, false) => "OVER",
        }
    }
}

impl Budgets {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Budgets, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// How many instructions a call of a hot path may take.
    pub fn instructions(&self, path: &str) -> Option<f64> {
        let of_it = |budget: &&Budget| budget.kind == Kind::Instructions && budget.figure == path;
        self.budget.iter().find(of_it).map(|budget| budget.number)
    }

    /// Compares every budget whose figure `wanted` says was to be measured.
    pub fn check<'a>(
        &'a self,
        report: &'a Report,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Verdict<'a>> {
        let timed = self.budget.iter().filter(|budget| budget.kind != Kind::Instructions);
        let wanted = timed.filter(|budget| wanted(&budget.figure));
        let verdict = |budget| {
            let row = find(report, budget);
            Verdict { budget, row, reached: row.and_then(|row| reached(report, row, budget)) }
        };
        wanted.map(verdict).collect()
    }
}

fn find<'a>(report: &'a Report, budget: &Budget) -> Option<&'a Row> {
    report.rows.iter().find(|row| row.figure == budget.figure)
}

fn reached(report: &Report, row: &Row, budget: &Budget) -> Option<f64> {
    let ours = row.ours?;
    match &budget.kind {
        Kind::FasterThanFastest => row.ratio,
        Kind::FasterThan(peer) => Some(row.peers.get(peer)? / ours),
        Kind::WithinOfFloor(floor) => Some(ours / floor_of(row, floor)?),
        Kind::OverFloor(floor) => Some(ours - floor_of(row, floor)?),
        Kind::WithinOfFigure(figure) => {
            let other = report.rows.iter().find(|row| row.figure == *figure)?;
            // By the same statistic, whatever the other row shows.
            let spread = other.spread.get(crate::sides::ours::NAME)?;
            let min = row.statistic == Statistic::Min;
            Some(ours / if min { spread.min } else { spread.median })
        }
        Kind::Lost => row.lost.get(crate::sides::ours::NAME).copied(),
        Kind::Instructions => None,
        // A percentile's unit says which: `ns p99`.
        Kind::AtMost(unit) => row.unit.starts_with(&**unit).then_some(ours),
    }
}

fn floor_of(row: &Row, name: &str) -> Option<f64> {
    row.floor.filter(|_| row.floor_name.as_deref() == Some(name))
}

/// The verdicts as a table: figure, ours, floor, fastest peer, what was reached, the budget.
pub fn table(verdicts: &[Verdict<'_>]) -> String {
    let header = ["figure", "ours", "floor", "fastest peer", "", "reached", "budget", ""];
    let mut table = vec![header.map(String::from).to_vec()];
    for verdict in verdicts {
        let row = verdict.row;
        let fastest = row.and_then(|row| row.fastest_peer.clone());
        let of_fastest = row.and_then(|row| row.peers.get(fastest.as_ref()?)).copied();
        table.push(vec![
            verdict.budget.figure.clone(),
            number(row.and_then(|row| row.ours)),
            number(row.and_then(|row| row.floor)),
            fastest.unwrap_or_else(|| "-".into()),
            number(of_fastest),
            verdict.reached.map_or("-".into(), |reached| format!("{reached:.2}")),
            verdict.budget.to_string(),
            verdict.word().to_string(),
        ]);
    }
    let mut text = String::new();
    // Writing to a String doesn't fail.
    let _ = write_aligned(&mut text, &table);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Spread;
    use crate::machine::Machine;
    use crate::sides::ours;

    fn report() -> Report {
        let mut row = Row::new("figure", "ns", Statistic::Min);
        row.add_spread(ours::NAME, Spread { min: 2.0, median: 3.0, rounds: 1 }, 1.0, true);
        row.add("peer", 10.0, true);
        row.add("other", 30.0, true);
        row.add_floor("least", Spread { min: 1.0, median: 1.0, rounds: 1 }, 1.0);
        row.lost.insert(ours::NAME.into(), 0.25);
        let mut two = Row::new("two", "ns", Statistic::Median);
        two.add_spread(ours::NAME, Spread { min: 2.0, median: 6.0, rounds: 1 }, 1.0, true);
        Report { machine: Machine::here(), rounds: 1, rows: vec![row.finish(), two.finish()] }
    }

    fn kept(figure: &str, kind: &str, number: f64) -> bool {
        let text = format!("[[budget]]\nfigure = '{figure}'\nkind = '{kind}'\nnumber = {number:?}");
        let budgets = Budgets::parse(&text).unwrap();
        let report = report();
        let verdicts = budgets.check(&report, |_| true);
        verdicts.iter().all(Verdict::is_kept) && !verdicts.is_empty()
    }

    #[test]
    fn every_kind_is_kept_up_to_its_number_and_not_past_it() {
        for (figure, kind, at, past) in [
            ("figure", "faster_than_fastest", 5.0, 5.1),
            ("figure", "faster_than:other", 15.0, 15.1),
            ("figure", "within_of_floor:least", 2.0, 1.9),
            ("two", "within_of_figure:figure", 2.0, 1.9),
            ("figure", "over_floor:least", 1.0, 0.9),
            ("figure", "ns", 2.0, 1.9),
            ("figure", "lost", 0.25, 0.2),
        ] {
            assert!(kept(figure, kind, at), "{kind}");
            assert!(!kept(figure, kind, past), "{kind}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_kept() {
        assert!(!kept("nothing", "faster_than_fastest", 0.0));
        assert!(!kept("figure", "faster_than:nobody", 0.0));
        assert!(!kept("figure", "within_of_floor:other", 1e9));
        assert!(!kept("figure", "over_floor:other", 1e9));
        assert!(!kept("figure", "bytes", 1e9));
        assert!(!kept("two", "lost", 1e9));
        assert!(!kept("figure", "within_of_figure:nothing", 1e9));
    }

    #[test]
    fn what_is_pending_is_never_over_and_instructions_are_counted_elsewhere() {
        let text = "[[budget]]\nfigure = 'nothing'\nkind = 'faster_than_fastest'\nnumber = 2.0\n";
        let pending = format!("{text}pending = true");
        let path = "[[budget]]\nfigure = 'path'\nkind = 'instructions'\nnumber = 120.0\n";
        let over = |text: &str| {
            let budgets = Budgets::parse(text).unwrap();
            budgets.check(&report(), |_| true).iter().filter(|verdict| verdict.is_over()).count()
        };
        assert_eq!((over(text), over(&pending), over(path)), (1, 0, 0));
        let budgets = Budgets::parse(path).unwrap();
        assert_eq!(
            (budgets.instructions("path"), budgets.instructions("other")),
            (Some(120.0), None)
        );
    }

    #[test]
    fn an_odd_budget_is_refused() {
        for text in [
            "[[budget]]\nfigure = 'f'\nkind = 'faster'\nnumber = 1.0",
            "[[budget]]\nfigure = 'f'\nkind = 'faster_than_fastest'",
            "[[budget]]\nfigure = 'f'\nkind = 'allocations'\nnumber = 0.0\nunit = 'ns'",
        ] {
            assert!(Budgets::parse(text).is_err(), "{text}");
        }
    }
}

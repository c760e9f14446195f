//! Results as plain data, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::harness::Spread;
use crate::machine::Machine;
use crate::sides::ours;

/// A whole run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// What it was made on and with.
    pub machine: Machine,
    /// Rounds of each figure.
    pub rounds: usize,
    /// One row a figure.
    pub rows: Vec<Row>,
}

/// Which number of a [`Spread`] stands for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// Where only the code itself counts.
    Min,
    /// Where two threads meet: the least is of a round in which one of them was held up elsewhere.
    Median,
    /// Counted, not timed.
    Exact,
}

/// One figure of every side.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name, as budgets call it.
    pub figure: String,
    /// What its numbers count: `ns`, `ns/series`, `bytes`, `allocations`.
    pub unit: String,
    /// Which number of `spread` the others here are.
    pub statistic: Statistic,
    /// Our number.
    pub ours: Option<f64>,
    /// The least that the work could cost.
    pub floor: Option<f64>,
    /// What that floor is.
    pub floor_name: Option<String>,
    /// The peers' numbers.
    pub peers: BTreeMap<String, f64>,
    /// Peers that keep what was recorded back until it is flushed, or lose it; not compared.
    pub deferred: BTreeMap<String, f64>,
    /// Whose number is the least among `peers`.
    pub fastest_peer: Option<String>,
    /// How many times as long the fastest peer takes as we do.
    pub ratio: Option<f64>,
    /// All that was timed, by name.
    pub spread: BTreeMap<String, Spread>,
    /// The share of log calls whose lines aren't in the file, by name; who loses any isn't compared.
    #[serde(default)]
    pub lost: BTreeMap<String, f64>,
}

impl Row {
    /// A row without numbers yet.
    pub fn new(figure: &str, unit: &str, statistic: Statistic) -> Row {
        Row {
            figure: figure.to_string(),
            unit: unit.to_string(),
            statistic,
            ours: None,
            floor: None,
            floor_name: None,
            peers: BTreeMap::new(),
            deferred: BTreeMap::new(),
            fastest_peer: None,
            ratio: None,
            spread: BTreeMap::new(),
            lost: BTreeMap::new(),
        }
    }

    /// Puts a side's number where it belongs.
    pub fn add(&mut self, name: &str, number: f64, prompt: bool) {
        if name == ours::NAME {
            self.ours = Some(number);
        } else if prompt {
            self.peers.insert(name.to_string(), number);
        } else {
            self.deferred.insert(name.to_string(), number);
        }
    }

    /// [`add`](Self::add) of what was timed, over so many series at once. Without a round that was
    /// kept there is no number.
    pub fn add_spread(&mut self, name: &str, spread: Spread, per: f64, prompt: bool) {
        if spread.rounds == 0 {
            eprintln!("{}: no undisturbed round of {name}", self.figure);
            return;
        }
        let (min, median) = (spread.min / per, spread.median / per);
        let number = if self.statistic == Statistic::Median { median } else { min };
        self.spread.insert(name.to_string(), Spread { min, median, ..spread });
        self.add(name, number, prompt);
    }

    /// The floor's number; it is no peer's.
    pub fn add_floor(&mut self, name: &str, spread: Spread, per: f64) {
        self.add_spread(name, spread, per, true);
        self.floor = self.peers.remove(name);
        self.floor_name = Some(name.to_string());
    }

    /// Finds the fastest peer, once all are there.
    pub fn finish(mut self) -> Row {
        let fastest = self.peers.iter().min_by(|a, b| a.1.total_cmp(b.1));
        self.fastest_peer = fastest.map(|(name, _)| name.clone());
        let ratio = fastest.zip(self.ours).map(|((_, peer), ours)| peer / ours);
        self.ratio = ratio.filter(|ratio| ratio.is_finite());
        self
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, system, rustc, peers } = &self.machine;
        writeln!(f, "machine  {cpu}, {cores} cores, {system}, {rustc}")?;
        writeln!(f, "peers    {peers}")?;
        writeln!(f, "rounds   {}\n", self.rounds)?;
        let mut table = vec![self.header()];
        for row in &self.rows {
            table.push(self.line(row));
            table.extend((!row.lost.is_empty()).then(|| self.losses(row)));
        }
        write_aligned(f, &table)
    }
}

impl Report {
    /// Everyone who has a number anywhere, each once, in the order of the alphabet.
    fn names(&self) -> Vec<&str> {
        let names = self.rows.iter().flat_map(|row| row.peers.keys().chain(row.deferred.keys()));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn header(&self) -> Vec<String> {
        let fixed = ["figure", "unit", "", "ours", "floor"].map(String::from);
        let ends = ["fastest peer", "ratio"].map(String::from);
        let names = self.names().into_iter().map(short);
        fixed.into_iter().chain(names).chain(ends).collect()
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let statistic = match row.statistic {
            Statistic::Min => "min",
            Statistic::Median => "median",
            Statistic::Exact => "exact",
        };
        let mut cells = vec![row.figure.clone(), row.unit.clone(), statistic.to_string()];
        cells.push(number(row.ours));
        cells.push(number(row.floor));
        for name in self.names() {
            cells.push(match row.deferred.get(name) {
                Some(&deferred) => format!("({})", number(Some(deferred))),
                None => number(row.peers.get(name).copied()),
            });
        }
        cells.push(row.fastest_peer.clone().unwrap_or_else(|| "-".into()));
        cells.push(row.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")));
        cells
    }

    /// What was lost, beneath the figure.
    fn losses(&self, row: &Row) -> Vec<String> {
        let lost = |name| row.lost.get(name).map(|share| share * 100.0);
        let mut cells = ["  lost", "%", "exact"].map(String::from).to_vec();
        cells.extend([number(lost(ours::NAME)), number(None)]);
        cells.extend(self.names().into_iter().map(|name| number(lost(name))));
        cells.extend([number(None), number(None)]);
        cells
    }
}

/// A name that leaves the table narrow enough to be read.
fn short(name: &str) -> String {
    name.replace("prometheus-client", "prom-client")
        .replace("prometheus-local", "(prom-local)")
        .replace("opentelemetry", "otel")
        .replace("fast-telemetry-distribution", "fast-distr")
        .replace("fast-telemetry", "fast-tel")
}

/// Three digits, or a dash.
pub fn number(number: Option<f64>) -> String {
    match number {
        None => "-".to_string(),
        Some(n) if n == 0.0 || n >= 100.0 => format!("{n:.0}"),
        Some(n) if n >= 10.0 => format!("{n:.1}"),
        Some(n) => format!("{n:.2}"),
    }
}

/// Columns as wide as they must be: words to the left, numbers to the right.
pub fn write_aligned(f: &mut impl fmt::Write, table: &[Vec<String>]) -> fmt::Result {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], i: usize| row.get(i).cloned().unwrap_or_default();
    let width = |i| table.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or(0);
    let is_number =
        |text: &str| text == "-" || text.trim_matches(['(', ')']).parse::<f64>().is_ok();
    let right =
        |i| table.iter().skip(1).all(|row| row.get(i).is_none_or(|text: &String| is_number(text)));
    for row in table {
        let mut line = String::new();
        for i in 0..columns {
            let (text, width) = (cell(row, i), width(i));
            let text = if right(i) { format!("{text:>width$}") } else { format!("{text:<width$}") };
            line.push_str(&text);
            line.push_str("  ");
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let mut row = Row::new("figure", "ns", Statistic::Min);
        row.add(ours::NAME, 2.0, true);
        row.add("slow", 9.0, true);
        row.add("fast", 5.0, true);
        row.add("late", 1.0, false);
        row.finish()
    }

    #[test]
    fn the_fastest_peer_is_one_whose_records_are_seen() {
        let row = row();
        assert_eq!((row.fastest_peer.as_deref(), row.ratio), (Some("fast"), Some(2.5)));
    }

    #[test]
    fn a_floor_is_no_peer() {
        let mut row = row();
        row.add_floor("floor", Spread { min: 3.0, median: 4.0, rounds: 1 }, 2.0);
        let row = row.finish();
        assert_eq!((row.floor, row.fastest_peer.as_deref()), (Some(1.5), Some("fast")));
    }

    #[test]
    fn losses_stand_beneath_the_figure() {
        let mut row = row();
        row.lost.insert("late".into(), 0.03);
        let report = Report { machine: Machine::here(), rounds: 1, rows: vec![row] };
        let text = report.to_string();
        let beneath = text.lines().skip_while(|line| !line.starts_with("figure  ns")).nth(1);
        let cells: Vec<_> = beneath.unwrap().split_whitespace().collect();
        assert_eq!(cells, ["lost", "%", "exact", "-", "-", "-", "3.00", "-", "-", "-"]);
    }

    #[test]
    fn a_row_survives_json() {
        let json = serde_json::to_string(&row()).unwrap();
        let back: Row = serde_json::from_str(&json).unwrap();
        assert_eq!((back.ours, back.ratio, back.deferred["late"]), (Some(2.0), Some(2.5), 1.0));
    }
}

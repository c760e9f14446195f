//! The parent: starts a child for each side, has them take turns, and makes the row.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::child::TURN;
use super::work::{Gives, Kept, Turn, Work};
use crate::harness::{Settings, Spread, take_turns};
use crate::report::{Row, Statistic};
use crate::sides::logs::{SIDES, Side};

/// A sustained run takes long enough to need no more of them.
const SUSTAINED_ROUNDS: usize = 5;

/// One kind of work by every side.
///
/// # Errors
///
/// A side wrote what it should not have, or a child can't be started.
pub fn row(figure: &str, work: Work, settings: Settings) -> Result<Row, String> {
    let dir = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
    let work = if settings.quick { work.quick() } else { work };
    let (unit, statistic) = match work.gives {
        Gives::Call if work.threads > 1 => ("ns", Statistic::Median),
        Gives::Call | Gives::Disabled => ("ns", Statistic::Min),
        Gives::Cpu => ("ns cpu/line", Statistic::Median),
        Gives::Sustained => ("ns/line", Statistic::Min),
        Gives::Allocations => ("allocations", Statistic::Min),
    };
    let results = match work.gives {
        Gives::Sustained => sustained(work, &dir, settings)?,
        _ => turns(work, &dir, settings)?,
    };
    let mut row = Row::new(figure, unit, statistic);
    for (side, spread, kept) in results {
        let lost = kept.calls.abs_diff(kept.lines);
        if kept.lines > kept.calls {
            return Err(format!("{}: {} lines of {} calls", side.name, kept.lines, kept.calls));
        }
        if work.gives != Gives::Disabled {
            row.lost.insert(side.name.to_string(), lost as f64 / kept.calls as f64);
        }
        // Dropping is cheap: who drops isn't compared.
        row.add_spread(side.name, spread, 1.0, lost == 0);
    }
    Ok(row.finish())
}

type Results = Vec<(&'static Side, Spread, Kept)>;

/// All children at once, a turn each, another one first in every round.
fn turns(work: Work, dir: &TempDir, settings: Settings) -> Result<Results, String> {
    let mut children = SIDES
        .iter()
        .map(|side| Child::start(side, work, settings, dir))
        .collect::<Result<Vec<_>, _>>()?;
    // The first turn finds everything cold.
    for child in &mut children {
        child.turn()?;
    }
    let mut failed = None;
    let spreads = take_turns(children.len(), settings.rounds, |_, turn| {
        let made = children[turn].turn();
        made.map_err(|error| failed = Some(error)).ok()
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let ends = children.into_iter().zip(spreads);
    ends.map(|(child, spread)| Ok((child.side, spread, child.end()?))).collect()
}

/// One child after another, each with one turn, a few times over.
fn sustained(work: Work, dir: &TempDir, settings: Settings) -> Result<Results, String> {
    let mut kept = vec![Kept { calls: 0, lines: 0 }; SIDES.len()];
    let mut failed = None;
    let spreads = take_turns(SIDES.len(), settings.rounds.min(SUSTAINED_ROUNDS), |_, turn| {
        let made = Child::start(&SIDES[turn], work, settings, dir).and_then(|mut child| {
            let number = child.turn()?;
            let end = child.end()?;
            kept[turn].calls += end.calls;
            kept[turn].lines += end.lines;
            // By what arrived, not by what was called.
            Ok(number * end.calls as f64 / end.lines.max(1) as f64)
        });
        made.map_err(|error| failed = Some(error)).ok()
    });
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(SIDES.iter().zip(spreads).zip(kept).map(|((side, s), kept)| (side, s, kept)).collect())
}

struct Child {
    side: &'static Side,
    process: process::Child,
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    file: std::path::PathBuf,
}

impl Child {
    fn start(
        side: &'static Side,
        work: Work,
        settings: Settings,
        dir: &TempDir,
    ) -> Result<Child, String> {
        let failed = |error: std::io::Error| format!("{}: can't start: {error}", side.name);
        let file = dir.path().join(format!("{}.log", side.name));
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command.args(["--side", side.name, "--work", work.name, "--log-file"]).arg(&file);
        if settings.quick {
            command.arg("--quick");
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = piped.spawn().map_err(failed)?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let answers = BufReader::new(answers.expect("it is piped"));
        Ok(Child { side, process, orders, answers, file })
    }

    fn turn(&mut self) -> Result<f64, String> {
        let orders = self.orders.as_mut().expect("it wasn't told to end");
        let told = writeln!(orders, "{TURN}").and_then(|()| orders.flush());
        told.map_err(|error| format!("{}: {error}", self.side.name))?;
        self.answer::<Turn>().map(|turn| turn.number)
    }

    fn end(mut self) -> Result<Kept, String> {
        self.orders = None;
        let kept = self.answer();
        // As soon as it was read: all sides' files together would be gigabytes.
        let _ = std::fs::remove_file(&self.file);
        kept
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.map_err(|error| error.to_string())
            .and_then(|_| serde_json::from_str(&line).map_err(|error| error.to_string()))
            .map_err(|error| format!("{}: no answer: {error}", self.side.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends with its stdin; what it has to say then, nobody hears.
        self.orders = None;
        let _ = self.process.wait();
    }
}

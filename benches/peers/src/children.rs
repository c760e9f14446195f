//! Sides that need a process each: started by their parent, told to make a turn by a line on stdin,
//! answering with a line on stdout.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::harness::{Settings, Spread, take_turns};

/// What its parent says when there is a turn to be made.
pub const TURN: &str = "turn";

/// A run from the first call to the last that has arrived takes long enough to need no more of them.
const SUSTAINED_ROUNDS: usize = 5;

/// What a child answers to a turn.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// What the work gives.
    pub number: f64,
}

/// What a child says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Calls that were to be kept.
    pub calls: u64,
    /// Whole lines, or spans, of them that arrived, each once.
    pub lines: u64,
}

/// Answers the parent.
pub(crate) fn answer(what: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string(what).map_err(|error| error.to_string())?;
    writeln!(io::stdout(), "{json}").map_err(|error| error.to_string())
}

/// Makes turns until stdin ends or says something else.
pub(crate) fn take_orders(mut turn: impl FnMut() -> f64) -> Result<(), String> {
    for line in io::stdin().lock().lines() {
        if line.map_err(|error| error.to_string())? != TURN {
            break;
        }
        answer(&Turn { number: turn() })?;
    }
    Ok(())
}

/// Processor time of all threads of this process, also of those that have ended.
pub(crate) fn spent() -> Duration {
    time(ClockId::ProcessCPUTime)
}

/// Processor time of this thread.
pub(crate) fn spent_here() -> Duration {
    time(ClockId::ThreadCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// One kind of work by sides that have a process each.
pub(crate) struct Job<'a> {
    /// The sides' names, as the command line of a child has them.
    pub(crate) sides: Vec<&'static str>,
    /// The work's, likewise.
    pub(crate) work: &'static str,
    pub(crate) settings: Settings,
    /// Where each may have a file.
    pub(crate) dir: &'a TempDir,
}

/// What came of a side.
pub(crate) type Results = Vec<(&'static str, Spread, Kept)>;

impl Job<'_> {
    /// All children at once, a turn each, another one first in every round.
    pub(crate) fn turns(&self) -> Result<Results, String> {
        let mut children = self
            .sides
            .iter()
            .map(|side| Child::start(side, self))
            .collect::<Result<Vec<_>, _>>()?;
        // The first turn finds everything cold.
        for child in &mut children {
            child.turn()?;
        }
        let mut failed = None;
        let spreads = take_turns(children.len(), self.settings.rounds, |_, turn| {
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
    pub(crate) fn sustained(&self) -> Result<Results, String> {
        let sides = &self.sides;
        let mut kept = vec![Kept { calls: 0, lines: 0 }; sides.len()];
        let mut failed = None;
        let rounds = self.settings.rounds.min(SUSTAINED_ROUNDS);
        let spreads = take_turns(sides.len(), rounds, |_, turn| {
            let made = Child::start(sides[turn], self).and_then(|mut child| {
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
        let all = sides.iter().zip(spreads).zip(kept);
        Ok(all.map(|((side, spread), kept)| (*side, spread, kept)).collect())
    }
}

struct Child {
    side: &'static str,
    process: process::Child,
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    file: PathBuf,
}

impl Child {
    fn start(side: &'static str, job: &Job<'_>) -> Result<Child, String> {
        let failed = |error: io::Error| format!("{side}: can't start: {error}");
        let file = job.dir.path().join(format!("{side}.log"));
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command.args(["--side", side, "--work", job.work, "--log-file"]).arg(&file);
        if job.settings.quick {
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
        told.map_err(|error| format!("{}: {error}", self.side))?;
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
            .map_err(|error| format!("{}: no answer: {error}", self.side))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends with its stdin; what it has to say then, nobody hears.
        self.orders = None;
        let _ = self.process.wait();
    }
}

//! The command line of `peers`.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt};

use crate::figures;
use crate::harness::Settings;

/// What `--help` prints.
pub const HELP: &str = "\
Measures mcp-vitals and its peers on the same work, in one run.

First all sides do the same work and their totals are compared; then they take turns, a burst each,
over many rounds. The table goes to stdout, progress to stderr.

usage: peers [options]
  --filter TEXT    only figures whose name contains TEXT; may be given several times
  --quick          few short rounds: checks the totals, measures roughly, and leaves out what
                   has a million series
  --rounds N       rounds of each figure, 1 or more (default 41, with --quick 5)
  --json FILE      write all that was measured to FILE
  --check FILE     compare with the budgets in FILE
  --from FILE      measure nothing, take what --json wrote
  --list           names of the figures
  --help           this

exit status: 0 all well, 1 over a budget, 2 wrong usage or a file that can't be read or written,
3 a side whose totals are wrong
";

/// What was asked for. `--side`, `--work` and `--log-file` are for its own children, so `--help` is
/// silent about them.
#[derive(Debug, Default, PartialEq)]
pub struct Args {
    /// Parts of the names of wanted figures; all are, if it is empty.
    pub filters: Vec<String>,
    /// Few short rounds.
    pub quick: bool,
    /// Rounds, if not the default.
    pub rounds: Option<usize>,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
    /// Where the budgets are.
    pub check: Option<PathBuf>,
    /// Where earlier JSON is.
    pub from: Option<PathBuf>,
    /// Only list the figures.
    pub list: bool,
    /// Only help.
    pub help: bool,
    /// A child's side, work and file; the parent gives all three.
    pub child: [Option<String>; 3],
}

impl Args {
    /// Reads arguments, without the program's name.
    pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Args, String> {
        let mut parser = lexopt::Parser::from_args(args);
        let mut parsed = Args::default();
        let plain = |error: lexopt::Error| error.to_string();
        let text = |parser: &mut lexopt::Parser| {
            parser.value().and_then(|value| value.string()).map_err(plain)
        };
        while let Some(arg) = parser.next().map_err(plain)? {
            match arg {
                Long("filter") => {
                    parsed.filters.push(text(&mut parser)?);
                }
                Long("quick") => parsed.quick = true,
                Long("rounds") => {
                    let rounds = parser.value().and_then(|value| value.parse()).map_err(plain)?;
                    if rounds == 0 {
                        return Err("--rounds 0: there must be at least one".into());
                    }
                    parsed.rounds = Some(rounds);
                }
                Long("json") => parsed.json = Some(parser.value().map_err(plain)?.into()),
                Long("check") => parsed.check = Some(parser.value().map_err(plain)?.into()),
                Long("from") => parsed.from = Some(parser.value().map_err(plain)?.into()),
                Long("list") => parsed.list = true,
                Long("side") => parsed.child[0] = Some(text(&mut parser)?),
                Long("work") => parsed.child[1] = Some(text(&mut parser)?),
                Long("log-file") => parsed.child[2] = Some(text(&mut parser)?),
                Long("help") | Short('h') => parsed.help = true,
                other => return Err(plain(other.unexpected())),
            }
        }
        Ok(parsed)
    }

    /// How long to measure.
    pub fn settings(&self) -> Settings {
        let (rounds, burst) = if self.quick { (5, 200) } else { (41, 2_000) };
        let (rounds, burst) = (self.rounds.unwrap_or(rounds), Duration::from_micros(burst));
        Settings { rounds, burst, quick: self.quick }
    }

    /// Figures that a quick run leaves out.
    pub fn left_out(&self) -> Vec<&'static str> {
        let all = figures::all().into_iter().filter(|figure| self.quick && figure.is_heavy());
        all.map(|figure| figure.name).collect()
    }

    /// Whether a figure is wanted.
    pub fn wants(&self, figure: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| figure.contains(&**filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Args, String> {
        Args::parse(args.split_whitespace().map(Into::into))
    }

    #[test]
    fn options_are_read() {
        let args = parse("--quick --rounds 7 --filter a --filter b --check x.toml").unwrap();
        assert_eq!((args.quick, args.settings().rounds), (true, 7));
        assert_eq!(args.check, Some("x.toml".into()));
        assert!(args.wants("cat") && args.wants("bee") && !args.wants("dog"));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in ["--rounds 0", "--rounds x", "--json", "--what", "word"] {
            assert!(parse(args).is_err(), "{args}");
        }
    }
}

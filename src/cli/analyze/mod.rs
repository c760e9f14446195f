//! `mcp-vitals analyze`: what the times in an exported file of spans say.

mod document;
mod jaeger;
mod otlp;
mod read;
mod report;
mod table;
mod text;
mod waterfall;
mod zipkin;

use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::AutoStream;
use mcp_vitals::traces::analysis::{Analysis, Trace};

use super::terminal::Terminal;

/// What the arguments say.
pub(crate) struct Options {
    /// A file, or `-` for stdin.
    pub(crate) path: PathBuf,
    /// A trace's id, or how it begins.
    pub(crate) trace: Option<String>,
    pub(crate) top: usize,
    pub(crate) json: bool,
    pub(crate) width: Option<usize>,
}

/// Columns where nobody says how many there are.
const COLUMNS: usize = 100;

/// Reads the file and writes the report to stdout; what was passed over goes to stderr.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let (spans, skipped) = read::spans(&options.path)?;
    let shown = options.path.display();
    let terminal = Terminal::stderr();
    if skipped.any() {
        terminal.say(format_args!("mcp-vitals: {shown}: passed over {skipped}"));
    }
    if spans.is_empty() {
        return Err(format!(
            "{shown} has no spans: wanted are OTLP (JSON, a request a line), Jaeger's JSON or Zipkin's v2 JSON"
        ));
    }
    let analysis = Analysis::of(spans);
    let trace = match &options.trace {
        Some(begin) => Some(chosen(&analysis, begin)?),
        None => analysis.slowest().first().copied(),
    };
    let report = if options.json {
        document::json(&analysis, trace, options.top)
    } else {
        let width = options.width.unwrap_or_else(columns);
        report::text(&analysis, trace, options.trace.is_some(), options.top, width)
    };
    let mut out = AutoStream::auto(stdout().lock());
    match out.write_all(report.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough: `| head`.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("stdout could not be written: {error}"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The one trace whose id begins so.
fn chosen<'a>(analysis: &'a Analysis, begin: &str) -> Result<Trace<'a>, String> {
    let begin = begin.to_ascii_lowercase();
    let id = |trace: &Trace<'_>| trace.trace_id().map(|id| id.to_string()).unwrap_or_default();
    let mut found = analysis.traces().filter(|trace| id(trace).starts_with(&begin));
    match (found.next(), found.next()) {
        (Some(trace), None) => Ok(trace),
        (None, _) => Err(format!("no trace's id begins with {begin}; --top lists some")),
        (Some(one), Some(next)) => {
            Err(format!("several traces' ids begin with {begin}: {}, {}, …", id(&one), id(&next)))
        }
    }
}

/// The terminal's width; of a file's reader nothing is known.
fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns = told.or_else(of_terminal).unwrap_or(COLUMNS);
    columns.clamp(60, 300)
}

#[cfg(unix)]
fn of_terminal() -> Option<usize> {
    let out = stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

#[cfg(not(unix))]
fn of_terminal() -> Option<usize> {
    None
}

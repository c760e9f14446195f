//! `mcp-vitals recover`: what a process left behind, as JSON lines on stdout.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::terminal::Terminal;

/// What the arguments say.
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) keep: bool,
}

/// Reads what is there; the summary goes to stderr.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let terminal = Terminal::stderr();
    let (summary, all_read) = read(options, &mut std::io::stdout().lock())?;
    terminal.say(summary);
    Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(target_os = "linux")]
fn read(options: &Options, out: &mut dyn Write) -> Result<(String, bool), String> {
    use mcp_vitals::logs::LogFormat;
    use mcp_vitals::recover::Recovery;
    let mut recovery = Recovery::new();
    if options.keep {
        recovery = recovery.keep();
    }
    let recovered = recovery.write(&options.path, LogFormat::Json, out);
    let recovered = recovered.map_err(|error| error.to_string())?;
    Ok((recovered.to_string(), recovered.refused.is_empty()))
}

#[cfg(not(target_os = "linux"))]
fn read(_: &Options, _: &mut dyn Write) -> Result<(String, bool), String> {
    Err("the durable mode, and so its ring files, are Linux's".to_owned())
}

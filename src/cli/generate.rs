//! `mcp-vitals generate`: dashboards, alerts, their tests and the pages about them, out of the catalog.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use mcp_vitals::catalog::alerts::{AlertSettings, alerts};
use mcp_vitals::catalog::{Generated, alert_files, dashboard_files, doc_files, has_threshold};
use serde::Deserialize;

use super::terminal::Terminal;

/// What the arguments say.
pub(crate) struct Options {
    out: PathBuf,
    check: bool,
    only: Option<String>,
    settings: Option<PathBuf>,
    matchers: Option<String>,
    thresholds: Vec<Threshold>,
    objective: Option<f64>,
    runbook_url: Option<String>,
}

/// `NAME=VALUE`, or `NAME:TOOL=VALUE`.
#[derive(Clone, Debug, PartialEq)]
struct Threshold {
    alert: String,
    tool: Option<String>,
    over: f64,
}

const ABOUT: &str = "\
Grafana dashboards, Prometheus alerts with a runbook and promtool tests of them,
and the pages about both, written from the same catalog as the metrics.

Without settings it writes what the repository has. Thresholds, matchers, an
objective and the runbook's address can be given here or in a TOML file; the tests
are for the alerts as they come, and left out with settings.";

const AFTER: &str = "\
A settings file:
  matchers = 'job=\"mcp\", cluster=\"eu\"'
  objective = 0.995
  runbook_url = \"https://wiki.example.com/mcp/RUNBOOK.md\"
  [thresholds]
  HighRequestLatency = 2.5
  [by_tool.HighRequestLatency]
  deep_research = 60.0

Examples:
  mcp-vitals generate --out monitoring
      All files below monitoring/: dashboards/, alerts/ with alerts/tests/, docs/.
  mcp-vitals generate --out monitoring --matchers 'job=\"search\"' --objective 99.9
      For one job, with burn-rate rules for three nines.
  mcp-vitals generate --threshold HighErrorRate=0.02 \\
                      --threshold HighRequestLatency:deep_research=60
      Another threshold, and one for a single tool.
  mcp-vitals generate --check
      Exit code 1 where the files here differ from what would be written.";

pub(crate) fn command() -> clap::Command {
    let value = |name: &'static str, placeholder: &'static str| {
        Arg::new(name).long(name).value_name(placeholder)
    };
    clap::Command::new("generate")
        .about("Dashboards, alerts and their tests")
        .before_help(ABOUT)
        .after_help(AFTER)
        .help_template(super::args::TEMPLATE)
        .args([
            value("out", "DIR")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("Where to write"),
            value("only", "PART")
                .value_parser(["dashboards", "alerts", "docs"])
                .help("Only these files"),
            value("settings", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A TOML file; what is said here goes before it"),
            value("matchers", "LIST")
                .help("Matchers that each selector gets, as in PromQL"),
            value("threshold", "NAME=N")
                .action(ArgAction::Append)
                .value_parser(threshold)
                .help("What an alert compares with, and where colours change;\nfor one tool, only the alert: NAME:TOOL=N"),
            value("objective", "PERCENT")
                .value_parser(objective)
                .help("Of the burn-rate rules: 90 to 99.99 [default: 99]"),
            value("runbook-url", "URL")
                .value_parser(runbook_url)
                .help("Where RUNBOOK.md is on the web: alerts get runbook_url: URL#alert"),
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Write nothing; say which files differ"),
        ])
}

pub(crate) fn options(matches: &ArgMatches) -> Options {
    Options {
        out: matches.get_one::<PathBuf>("out").cloned().unwrap_or_default(),
        check: matches.get_flag("check"),
        only: matches.get_one::<String>("only").cloned(),
        settings: matches.get_one::<PathBuf>("settings").cloned(),
        matchers: matches.get_one::<String>("matchers").cloned(),
        thresholds: matches.get_many("threshold").into_iter().flatten().cloned().collect(),
        objective: matches.get_one("objective").copied(),
        runbook_url: matches.get_one("runbook-url").cloned(),
    }
}

fn threshold(text: &str) -> Result<Threshold, String> {
    let rule = "not NAME=NUMBER or NAME:TOOL=NUMBER";
    let (name, over) = text.rsplit_once('=').ok_or(rule)?;
    let over = over.parse().ok().filter(|over: &f64| over.is_finite()).ok_or(rule)?;
    let (alert, tool) = match name.split_once(':') {
        Some((alert, tool)) => (alert, Some(tool.to_owned())),
        None => (name, None),
    };
    Ok(Threshold { alert: alert.to_owned(), tool, over })
}

fn objective(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (90.0..=99.99).contains(&percent) => Ok(percent / 100.0),
        _ => Err("not a percentage from 90 to 99.99".to_owned()),
    }
}

/// An address that an anchor can be put behind, and that is none of Prometheus' templates.
fn runbook_url(text: &str) -> Result<String, String> {
    let web = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    let odd = |c: char| !c.is_ascii_graphic() || "#\"'<>\\^`{|}".contains(c);
    match web && !text.contains(odd) {
        true => Ok(text.to_owned()),
        false => Err("not an address of the web without a #".to_owned()),
    }
}

/// The settings file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    matchers: String,
    /// As a share.
    objective: Option<f64>,
    runbook_url: Option<String>,
    thresholds: BTreeMap<String, f64>,
    by_tool: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Options {
    fn settings(&self) -> Result<AlertSettings, String> {
        let file = match &self.settings {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| failed(path, &error))?;
                toml::from_str(&text).map_err(|error| failed(path, &error))?
            }
            None => File::default(),
        };
        let File { matchers, objective, runbook_url: url, mut thresholds, mut by_tool } = file;
        if let Some(url) = &url {
            runbook_url(url).map_err(|error| format!("runbook_url = {url:?}: {error}"))?;
        }
        if let Some(objective) = objective
            && !(0.9..=0.9999).contains(&objective)
        {
            return Err(format!("objective = {objective}: a share from 0.9 to 0.9999"));
        }
        for Threshold { alert, tool, over } in self.thresholds.iter().cloned() {
            match tool {
                Some(tool) => by_tool.entry(alert).or_default().insert(tool, over),
                None => thresholds.insert(alert, over),
            };
        }
        for name in thresholds.keys() {
            known(name)?;
        }
        for name in by_tool.keys() {
            if !known(name)? {
                let able: Vec<&str> =
                    alerts().filter(|alert| alert.by_tool).map(|alert| alert.name).collect();
                return Err(format!(
                    "{name} has no label `tool`; those that have: {}",
                    able.join(", ")
                ));
            }
        }
        let matchers = self.matchers.clone().unwrap_or(matchers);
        let objective = self.objective.or(objective);
        let runbook_url = self.runbook_url.clone().or(url);
        Ok(AlertSettings { matchers, thresholds, by_tool, objective, runbook_url })
    }
}

/// Whether the alert of this name can have thresholds by tool.
fn known(name: &str) -> Result<bool, String> {
    let alert = alerts().find(|alert| alert.name == name);
    let names = || alerts().map(|alert| alert.name).collect::<Vec<_>>().join(", ");
    let alert = alert.ok_or_else(|| format!("no alert {name}; there are: {}", names()))?;
    match has_threshold(alert) {
        true => Ok(alert.by_tool),
        false => Err(format!("{name} compares with no number")),
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Writes the files, or says which differ.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let settings = options.settings()?;
    let wanted = |part: &str| options.only.as_deref().is_none_or(|only| only == part);
    let mut files = Vec::new();
    if wanted("dashboards") {
        files.extend(dashboard_files(&settings));
    }
    if wanted("alerts") {
        files.extend(alert_files(&settings));
    }
    if wanted("docs") {
        files.extend(doc_files(&settings));
    }
    let terminal = Terminal::stderr();
    let mut different = 0;
    for Generated { path, text } in &files {
        let path = options.out.join(path);
        let same = fs::read_to_string(&path).is_ok_and(|there| there == *text);
        if same {
            continue;
        }
        different += 1;
        if options.check {
            terminal.say(format_args!("{} differs", path.display()));
            continue;
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        terminal.say(format_args!("{} written", path.display()));
    }
    let same = files.len() - different;
    terminal.say(format_args!("{} files, {same} of them as they were", files.len()));
    Ok(if options.check && different > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<AlertSettings, String> {
        let args = std::iter::once(&"generate").chain(args);
        let matches = command().try_get_matches_from(args).map_err(|error| error.to_string())?;
        options(&matches).settings()
    }

    #[test]
    fn thresholds_are_for_all_tools_or_one() {
        let settings = read(&[
            "--threshold",
            "HighErrorRate=0.02",
            "--threshold",
            "HighErrorRate:slow=0.5",
            "--objective",
            "99.9%",
        ])
        .unwrap();
        assert_eq!(settings.thresholds["HighErrorRate"], 0.02);
        assert_eq!(settings.by_tool["HighErrorRate"]["slow"], 0.5);
        assert!((settings.objective.unwrap() - 0.999).abs() < 1e-12);
        let files = alert_files(&settings);
        let rules = &files.iter().find(|file| file.path == "alerts/mcp.yml").unwrap().text;
        assert!(rules.contains(r#"tool!~"slow""#) && rules.contains(r#"tool="slow""#));
        assert!(rules.contains("> 0.02") && rules.contains("> 0.5"));
        assert!(!files.iter().any(|file| file.path.contains("tests/")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            ["--threshold", "Nothing=1"],
            ["--threshold", "HighErrorRate"],
            ["--threshold", "HighErrorRate=much"],
            ["--threshold", "HighCPUUsage:tool=1"],
            ["--threshold", "MCPServerDown=1"],
            ["--objective", "50"],
            ["--only", "nothing"],
            ["--settings", "no/such/file"],
        ] {
            assert!(read(&args).is_err(), "{args:?}");
        }
    }
}

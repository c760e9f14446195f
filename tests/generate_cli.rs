//! `mcp-vitals generate`, as a user runs it: what is committed is what it writes, and what its flags say
//! is in the rules, as a YAML parser reads them and, where it is installed, as `promtool` fires them.
#![cfg(feature = "cli")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr::{LoadableYamlNode, Yaml};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Ran {
    code: Option<i32>,
    err: String,
}

fn generate(folder: &Path, args: &[&str]) -> Ran {
    let done = Command::new(env!("CARGO_BIN_EXE_mcp-vitals"))
        .arg("generate")
        .arg("--out")
        .arg(folder)
        .args(args)
        .output()
        .unwrap();
    assert!(done.stdout.is_empty(), "what is said is said on stderr");
    Ran { code: done.status.code(), err: String::from_utf8(done.stderr).unwrap() }
}

/// Files in a folder of their own, with these flags.
fn written(name: &str, args: &[&str]) -> PathBuf {
    let folder = empty(name);
    let ran = generate(&folder, args);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    folder
}

fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generate").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Every file below, by its path with slashes.
fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let path = path.strip_prefix(root).unwrap();
                found.insert(path.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    alert: String,
    expr: String,
    wait: String,
    severity: String,
    summary: String,
    runbook: String,
    runbook_url: Option<String>,
}

/// The rules of one file, read by a parser that is not ours.
fn rules(folder: &Path, file: &str) -> Vec<Rule> {
    let text = fs::read_to_string(folder.join("alerts").join(file)).unwrap();
    let page = Yaml::load_from_str(&text).unwrap().remove(0);
    let groups = page["groups"].as_sequence().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap());
    let text = |node: &Yaml<'_>| node.as_str().unwrap().to_owned();
    rules
        .map(|rule| Rule {
            alert: text(&rule["alert"]),
            expr: text(&rule["expr"]),
            wait: text(&rule["for"]),
            severity: text(&rule["labels"]["severity"]),
            summary: text(&rule["annotations"]["summary"]),
            runbook: text(&rule["annotations"]["runbook"]),
            runbook_url: rule["annotations"].as_mapping_get("runbook_url").map(text),
        })
        .collect()
}

fn of<'a>(rules: &'a [Rule], alert: &str) -> Vec<&'a Rule> {
    rules.iter().filter(|rule| rule.alert == alert).collect()
}

/// Without the number that they compare with, and the words that name it.
fn but<'a>(rules: &'a [Rule], alert: &str) -> Vec<&'a Rule> {
    rules.iter().filter(|rule| rule.alert != alert).collect()
}

/// Whether `promtool` is there; where all parts have to be, it has to be.
fn promtool_is_there() -> bool {
    let there = Command::new("promtool").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "promtool is missing");
    there
}

/// `promtool` reads the rules, and of these series, ten minutes on, fires just those: the labels of
/// each, without quotes. A series is one sample every 15 seconds.
fn fires(folder: &Path, file: &str, alert: &str, series: &[(&str, &str)], wanted: &[&str]) {
    if !promtool_is_there() {
        return;
    }
    let run = |args: &[&str]| {
        let done = Command::new("promtool").args(args).current_dir(folder).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{alert}: {}", String::from_utf8_lossy(&said));
    };
    run(&["check", "rules", &format!("alerts/{file}")]);
    let mut case = format!(
        "rule_files: [alerts/{file}]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n"
    );
    for (name, values) in series {
        case.push_str(&format!("      - series: '{name}'\n        values: {values}\n"));
    }
    case.push_str(&format!(
        "    promql_expr_test:\n      - expr: sum by (job, instance) (ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})\n        eval_time: 10m\n        exp_samples:"
    ));
    case.push_str(if wanted.is_empty() { " []\n" } else { "\n" });
    for labels in wanted {
        case.push_str(&format!("          - labels: '{{{labels}}}'\n            value: 1\n"));
    }
    fs::write(folder.join("case.yml"), case).unwrap();
    run(&["test", "rules", "case.yml"]);
}

#[test]
fn what_is_committed_is_what_it_writes() {
    let ran = generate(Path::new(ROOT), &["--check"]);
    let how = "`cargo run --features cli -- generate` writes them";
    assert_eq!(ran.code, Some(0), "{how}:\n{}", ran.err);
    // And there is nothing else that looks as if it were.
    let new = written("all", &[]);
    let generated = files(&new);
    for folder in ["dashboards", "alerts"] {
        let there = files(&Path::new(ROOT).join(folder));
        for path in there.iter().map(|path| format!("{folder}/{path}")) {
            // Where Grafana finds them is written by hand.
            let by_hand = path.starts_with("dashboards/provisioning/");
            assert!(by_hand || generated.contains(&path), "{path} is not written any more");
        }
    }
    assert!(generated.contains("docs/METRICS.md") && generated.contains("docs/ALERTS.md"));
    assert_eq!(generated.iter().filter(|path| path.starts_with("dashboards/")).count(), 6);
}

#[test]
fn a_file_that_differs_or_is_not_there_is_named() {
    let folder = written("check", &[]);
    assert_eq!(generate(&folder, &["--check"]).code, Some(0));
    let rules = folder.join("alerts/mcp.yml");
    let text = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, text.replace("> 0.05", "> 0.06")).unwrap();
    fs::remove_file(folder.join("dashboards/auth.json")).unwrap();
    let ran = generate(&folder, &["--check"]);
    assert_eq!(ran.code, Some(1));
    let named: Vec<&str> = ran.err.lines().filter(|line| line.ends_with("differs")).collect();
    assert!(named.len() == 2, "{named:?}");
    assert!(named[0].contains("auth.json") && named[1].contains("mcp.yml"), "{named:?}");
    assert!(!folder.join("dashboards/auth.json").exists(), "it only looks");
    // Written again, it is as it was.
    assert_eq!(generate(&folder, &[]).code, Some(0));
    assert_eq!(fs::read_to_string(&rules).unwrap(), text);
}

#[test]
fn only_writes_that_part() {
    let all = files(&written("only_all", &[]));
    let mut parts = BTreeSet::new();
    for part in ["dashboards", "alerts", "docs"] {
        let there = files(&written(&format!("only_{part}"), &["--only", part]));
        assert!(!there.is_empty());
        assert!(there.iter().all(|path| path.starts_with(&format!("{part}/"))), "{there:?}");
        parts.extend(there);
    }
    assert_eq!(parts, all);
}

/// A tool of which so many of 100 requests every 15 seconds fail.
fn failing(job: &str, tool: &str, errors: f64) -> [(String, String); 3] {
    let series = |name: &str, own: &str, each: f64| {
        let labels =
            format!("job=\"{job}\", instance=\"i\", tool=\"{tool}\", operation=\"execute\"");
        (format!("{name}{{{labels}, {own}}}"), format!("0+{each}x60"))
    };
    [
        series("mcp_requests_total", "status=\"success\"", 100.0 - errors),
        series("mcp_requests_total", "status=\"error\"", errors),
        series("mcp_request_errors_total", "error_type=\"tool_error\"", errors),
    ]
}

fn borrowed(series: &[(String, String)]) -> Vec<(&str, &str)> {
    series.iter().map(|(name, values)| (name.as_str(), values.as_str())).collect()
}

#[test]
fn a_threshold_is_that_of_one_alert() {
    let default = rules(&written("threshold_default", &[]), "mcp.yml");
    let folder = written("threshold", &["--threshold", "HighErrorRate=0.02"]);
    let own = rules(&folder, "mcp.yml");
    assert_eq!(but(&own, "HighErrorRate"), but(&default, "HighErrorRate"));
    let ([own], [before]) = (&of(&own, "HighErrorRate")[..], &of(&default, "HighErrorRate")[..])
    else {
        panic!("one rule each")
    };
    assert_eq!(own.expr, before.expr.replace("> 0.05", "> 0.02"));
    assert_ne!(own.expr, before.expr);
    assert_eq!(own.summary, before.summary.replace("5 %", "2 %"));
    assert_eq!((&own.wait, &own.severity), (&before.wait, &before.severity));
    // The cases are for the thresholds as they come.
    assert!(!files(&folder).iter().any(|path| path.starts_with("alerts/tests/")));
    let page = fs::read_to_string(folder.join("docs/ALERTS.md")).unwrap();
    assert!(page.contains("| [HighErrorRate](#higherrorrate) | warning | 2 % |"));

    let three = failing("mcp", "t", 3.0);
    let at = r#"job="mcp", instance="i""#;
    fires(&folder, "mcp.yml", "HighErrorRate", &borrowed(&three), &[at]);
    let one = failing("mcp", "t", 1.0);
    fires(&folder, "mcp.yml", "HighErrorRate", &borrowed(&one), &[]);
    let default = written("threshold_before", &[]);
    fires(&default, "mcp.yml", "HighErrorRate", &borrowed(&three), &[]);
}

/// Requests of a tool that all take between `from` and `to`.
fn slow(tool: &str, from: &str, to: &str) -> [(String, String); 4] {
    let labels = format!("job=\"mcp\", instance=\"{tool}\", tool=\"{tool}\"");
    let bucket = |le: &str, each: u32| {
        let name = format!("mcp_request_duration_seconds_bucket{{{labels}, le=\"{le}\"}}");
        (name, format!("0+{each}x60"))
    };
    let count = format!("mcp_request_duration_seconds_count{{{labels}}}");
    [bucket(from, 0), bucket(to, 100), bucket("+Inf", 100), (count, "0+100x60".to_owned())]
}

#[test]
fn a_threshold_for_a_tool_is_for_that_tool_alone() {
    let args = ["--threshold", "HighRequestLatency:deep.research=60"];
    let folder = written("by_tool", &args);
    let own = rules(&folder, "mcp.yml");
    assert_eq!(of(&own, "HighRequestLatency").len(), 2);
    let fires = |series: &[(String, String)], wanted: &[&str]| {
        fires(&folder, "mcp.yml", "HighRequestLatency", &borrowed(series), wanted);
    };
    // Each on an instance of its own, which the result is named by.
    let both = [slow("deep.research", "10.0", "30.0"), slow("other", "10.0", "30.0")].concat();
    fires(&both, &[r#"job="mcp", instance="other""#]);
    fires(&slow("deep.research", "60.0", "120.0"), &[r#"job="mcp", instance="deep.research""#]);
    // A tool's name is no regular expression.
    fires(&slow("deep_research", "10.0", "30.0"), &[r#"job="mcp", instance="deep_research""#]);
}

#[test]
fn matchers_are_in_every_selector() {
    let folder = written("matchers", &["--matchers", r#"job="search", cluster="eu""#]);
    for file in ["mcp.yml", "engine.yml", "optional.yml", "slo.yml"] {
        for Rule { alert, expr, .. } in rules(&folder, file) {
            let names = expr
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| {
                    (word.starts_with("mcp_") || word.starts_with("process_") || *word == "up")
                        && !word.is_empty()
                })
                .count();
            let matched = expr.matches(r#"job="search", cluster="eu"}"#).count();
            assert!(names > 0 && names == matched, "{file} {alert}: {expr}");
        }
    }
    let series = |job: &str| {
        let own = failing(job, "t", 30.0);
        own.map(|(name, values)| (name.replace("{job", "{cluster=\"eu\", job"), values))
    };
    let both = [series("search"), series("mail")].concat();
    let at = r#"job="search", instance="i""#;
    fires(&folder, "mcp.yml", "HighErrorRate", &borrowed(&both), &[at]);
}

#[test]
fn an_objective_is_what_the_budget_burns_by() {
    let numbers = |folder: &Path| -> Vec<String> {
        let rules = rules(folder, "slo.yml");
        let shares = rules.iter().map(|rule| {
            let over = rule.expr.split("> ").nth(1).unwrap();
            over.split_whitespace().next().unwrap().to_owned()
        });
        shares.collect()
    };
    // 14.4, 6, 3 and 1 times what is left over.
    assert_eq!(numbers(&written("objective_99", &[])), ["0.144", "0.06", "0.03", "0.01"]);
    let folder = written("objective", &["--objective", "99.5"]);
    assert_eq!(numbers(&folder), ["0.072", "0.03", "0.015", "0.005"]);
    let page = fs::read_to_string(folder.join("docs/ALERTS.md")).unwrap();
    assert!(page.contains("of an objective of 99.5 %") && page.contains("| 7.2 % |"), "{page}");
    for refused in ["50", "100", "much"] {
        assert_eq!(generate(&folder, &["--objective", refused]).code, Some(2), "{refused}");
    }
}

#[test]
fn each_alert_says_where_its_runbook_is_on_the_web() {
    let base = "https://wiki.example.com/a/RUNBOOK.md";
    let folder = written("runbook_url", &["--runbook-url", base]);
    let default = written("runbook_default", &[]);
    for file in ["mcp.yml", "engine.yml", "optional.yml", "slo.yml"] {
        let own = rules(&folder, file);
        for rule in &own {
            let url = format!("{base}#{}", rule.alert.to_lowercase());
            assert_eq!(rule.runbook_url.as_deref(), Some(&*url));
        }
        // Beside the path, which is as it was, like all else.
        let without: Vec<Rule> =
            own.into_iter().map(|rule| Rule { runbook_url: None, ..rule }).collect();
        assert_eq!(without, rules(&default, file));
    }
    for refused in ["", "wiki.example.com", "https://", "https://a/#b", "https://a/{{ b }}"] {
        assert_eq!(generate(&folder, &["--runbook-url", refused]).code, Some(2), "{refused}");
    }
}

#[test]
fn a_settings_file_says_the_same_as_flags_and_flags_go_before_it() {
    let folder = empty("settings");
    let path = folder.join("alerts.toml");
    let text = "matchers = 'job=\"search\"'\nobjective = 0.995\nrunbook_url = \"https://a/b\"\n\n[thresholds]\nHighErrorRate = 0.02\n\n\
                [by_tool.HighRequestLatency]\ndeep_research = 60.0\n";
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let by_file = written("settings_file", &["--settings", path]);
    let by_flags = written(
        "settings_flags",
        &[
            "--matchers",
            "job=\"search\"",
            "--objective",
            "99.5",
            "--runbook-url",
            "https://a/b",
            "--threshold",
            "HighErrorRate=0.02",
            "--threshold",
            "HighRequestLatency:deep_research=60",
        ],
    );
    assert_eq!(files(&by_file), files(&by_flags));
    for file in files(&by_file) {
        let read = |folder: &Path| fs::read_to_string(folder.join(&file)).unwrap();
        assert_eq!(read(&by_file), read(&by_flags), "{file}");
    }
    let args = ["--settings", path, "--threshold", "HighErrorRate=0.04"];
    let flag_first = rules(&written("settings_both", &args), "mcp.yml");
    assert!(of(&flag_first, "HighErrorRate")[0].expr.contains("> 0.04"));
    assert_eq!(of(&flag_first, "HighRequestLatency").len(), 2);

    for wrong in [
        "thresholds = 1",
        "[thresholds]\nNothing = 1.0",
        "surprise = 1",
        "objective = 99.5",
        "runbook_url = \"RUNBOOK.md\"",
    ] {
        fs::write(folder.join("alerts.toml"), wrong).unwrap();
        let ran = generate(&empty("settings_wrong"), &["--settings", path]);
        assert!(ran.code.is_some_and(|code| code != 0), "{wrong}: {}", ran.err);
        assert!(files(&folder.with_file_name("settings_wrong")).is_empty(), "{wrong}");
    }
}

/// The dashboards as any parser of JSON reads them; what they have to be is in `tests/real`.
fn boards(folder: &Path) -> Vec<serde_json::Value> {
    let paths = files(folder).into_iter().filter(|path| path.starts_with("dashboards/"));
    let read = |path: String| fs::read_to_string(folder.join(path)).unwrap();
    paths.map(|path| serde_json::from_str(&read(path)).unwrap()).collect()
}

fn panels(boards: &[serde_json::Value]) -> Vec<&serde_json::Value> {
    boards.iter().flat_map(|board| board["panels"].as_array().unwrap()).collect()
}

#[test]
fn dashboards_have_the_matchers_and_the_thresholds() {
    let default = boards(&written("boards_default", &[]));
    assert_eq!(default.len(), 6);
    assert!(default.iter().all(|board| board["id"].is_null()));
    // An objective is on none of them.
    assert_eq!(boards(&written("boards_objective", &["--objective", "99.9"])), default);

    let own = boards(&written("boards_matchers", &["--matchers", r#"cluster="eu""#]));
    let mut seen = 0;
    for (own, before) in panels(&own).into_iter().zip(panels(&default)) {
        for (own, before) in targets(own).into_iter().zip(targets(before)) {
            // Without the matcher it is as it was, and each selector has it.
            let expr = own["expr"].as_str().unwrap();
            assert_eq!(expr.replace(r#", cluster="eu""#, ""), before["expr"].as_str().unwrap());
            let selectors = expr.matches(r#"instance=~"$instance""#).count();
            assert_eq!(expr.matches(r#"cluster="eu""#).count(), selectors, "{expr}");
            seen += selectors;
        }
    }
    assert!(seen > 50, "{seen} selectors");

    let steps = |boards: &[serde_json::Value]| -> Vec<f64> {
        let panels = panels(boards);
        let panel = panels.iter().find(|panel| panel["title"] == "Error rate").unwrap();
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
        steps.iter().filter_map(|step| step["value"].as_f64()).collect()
    };
    assert_eq!(steps(&default), [0.05, 0.15]);
    let own = boards(&written("boards_threshold", &["--threshold", "HighErrorRate=0.02"]));
    assert_eq!(steps(&own), [0.02, 0.15]);
}

fn targets(panel: &serde_json::Value) -> Vec<&serde_json::Value> {
    panel["targets"].as_array().into_iter().flatten().collect()
}

//! What the guides name is there: metrics, alerts, options of the builder, pages and places in them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages =
        ["README.md", "CHANGELOG.md", "alerts/RUNBOOK.md"].map(|file| root().join(file)).to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// Lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The names that a heading has in a link, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter_map(|line| {
        let rest = line.trim_start_matches('#');
        (rest.len() < line.len() && rest.starts_with(' ')).then_some(rest.trim())
    });
    headings
        .map(|heading| {
            // Of a link in a heading only the text counts.
            let mut shown = String::new();
            let mut rest = heading;
            while let Some((before, after)) = rest.split_once("](") {
                shown.push_str(&before.replacen('[', "", 1));
                rest = after.split_once(')').map_or("", |(_, after)| after);
            }
            shown.push_str(rest);
            let name: String = shown
                .to_lowercase()
                .chars()
                .filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char))
                .map(|char| if char == ' ' { '-' } else { char })
                .collect();
            let seen = times.entry(name.clone()).or_default();
            *seen += 1;
            if *seen == 1 { name } else { format!("{name}-{}", *seen - 1) }
        })
        .collect()
}

#[test]
fn headings_are_named_as_github_names_them() {
    let page = "# `listen`: a port\n## What's it?\n## What's it?\n```sh\n# no heading\n```\n### `_other` in the labels";
    let wanted = ["listen-a-port", "whats-it", "whats-it-1", "_other-in-the-labels"];
    assert_eq!(anchors(page), wanted.map(str::to_owned).into());
}

#[test]
fn links_lead_to_pages_and_places_that_are_there() {
    let mut links = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let prose: Vec<&str> = prose(&text).collect();
        for link in prose.join("\n").split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            links += 1;
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let name = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !target.exists() {
                wrong.push(format!("{}: no {file}", page.display()));
            } else if !place.is_empty() && name.ends_with(".md") {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                if !there.contains(place) {
                    wrong.push(format!("{}: no #{place} in {name}", page.display()));
                }
            }
        }
    }
    assert!(links > 200, "only {links} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        if page.parent().is_some_and(|folder| folder.ends_with("docs")) && name != "README.md" {
            assert!(index.contains(&format!("]({name})")), "{name} is not in docs/README.md");
        }
    }
}

/// What a type's builder methods are called.
fn options(file: &str, of: &str) -> Vec<String> {
    let text = read(file);
    let mut found = Vec::new();
    for part in text.split(&format!("\nimpl {of} {{\n")).skip(1) {
        // An impl at the top level ends at the first brace that stands at the edge.
        let part = part.split("\n}\n").next().unwrap();
        for rest in part.split("pub fn ").skip(1) {
            let (name, rest) = rest.split_once(['(', '<']).unwrap();
            let head = rest.split('{').next().unwrap();
            let takes_self = head.contains("mut self")
                || head.contains("(self")
                || head.trim_start().starts_with("self");
            if takes_self && (head.contains(&format!("-> {of}")) || head.contains("-> Self")) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_option_is_on_the_page_about_tuning() {
    let page = read("docs/TUNING.md");
    let types = [
        ("src/builder.rs", "VitalsBuilder", 20),
        ("src/logs/config.rs", "LogConfig", 15),
        ("src/export/sink/settings.rs", "LogFile", 6),
        ("src/traces/config.rs", "TraceConfig", 12),
        ("src/traces/tail.rs", "Tail", 8),
        ("src/store/flight.rs", "FlightRecorder", 4),
        ("src/export/trace/otlp/mod.rs", "Otlp", 4),
        ("src/export/trace/zipkin.rs", "Zipkin", 3),
        ("src/console/config.rs", "ConsoleConfig", 3),
    ];
    let mut missing = Vec::new();
    for (file, of, least) in types {
        if !root().join(file).exists() {
            assert_eq!(of, "ConsoleConfig", "{file} is gone");
            continue;
        }
        let options = options(file, of);
        assert!(options.len() >= least, "{of}: {options:?}");
        for option in options {
            if !page.contains(&format!("`{option}`")) && !page.contains(&format!("`{option}(")) {
                missing.push(format!("{of}::{option}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/TUNING.md does not name {missing:?}");
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
}

/// The guides name no metric that the reference pages don't have.
#[test]
fn metrics_are_named_as_they_are() {
    let references = [
        "docs/METRICS.md",
        "docs/LOGS.md",
        "docs/TRACES-export.md",
        "docs/PROPAGATION.md",
        "src/system/mod.rs",
    ];
    let references = references.map(read).join("\n");
    let known: BTreeSet<&str> = words(&references).collect();
    let guides =
        ["TROUBLESHOOTING", "SECURITY", "TUNING", "DEPLOY", "QUICKSTART", "MIGRATE-python"];
    for guide in guides {
        let text = read(&format!("docs/{guide}.md"));
        for word in words(&text) {
            let metric = ["mcp_", "process_"].iter().any(|start| word.starts_with(start));
            let ending = ["_bucket", "_count", "_sum"];
            let plain = ending.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            // `mcp_agents_` stands for all that begin so; the crate and flags of lines are no metrics.
            let other = word.ends_with('_') || ["mcp_vitals", "mcp_event"].contains(&word);
            let function = word == "process_collector" || word.starts_with("mcp_operation");
            if metric && !other && !function {
                assert!(known.contains(plain) || known.contains(word), "{guide}: {word}");
            }
        }
    }
}

#[test]
fn alerts_are_named_as_they_are() {
    let mut known = BTreeSet::new();
    for file in ["mcp", "engine", "optional", "slo"] {
        let rules = read(&format!("alerts/{file}.yml"));
        let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
        known.extend(names.map(str::to_owned));
    }
    assert!(known.len() > 25, "{known:?}");
    // What ends like an alert is one.
    let endings = [
        "Rate",
        "Latency",
        "Usage",
        "Stalled",
        "Leak",
        "Dropped",
        "Overflow",
        "Panics",
        "Down",
        "Slow",
        "Depth",
        "Suspected",
        "Agents",
        "Burn",
        "Attack",
        "Inference",
        "Tasks",
        "Flapping",
    ];
    let mut named = 0;
    for page in ["TROUBLESHOOTING", "SECURITY", "DEPLOY", "MIGRATE-python"] {
        let text = read(&format!("docs/{page}.md"));
        let quoted = text.split('`').skip(1).step_by(2);
        for word in quoted.filter(|word| word.chars().all(|char| char.is_ascii_alphabetic())) {
            let camel = word.starts_with(char::is_uppercase)
                && word.chars().skip(1).any(|char| char.is_uppercase());
            if camel && endings.iter().any(|end| word.ends_with(end)) {
                assert!(known.contains(word), "{page}: no alert {word}");
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
}

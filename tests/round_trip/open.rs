//! OpenMetrics held against text 0.0.4, by rules that are written down a second time.

use std::collections::HashSet;

use mcp_vitals::{Format, Vitals};

/// OpenMetrics says the same as text 0.0.4: the same series byte by byte, under heads that follow from
/// the text's, families that are told apart by their names, and an end.
pub fn agrees(vitals: &Vitals) {
    let scrape = |format| {
        let mut out = Vec::new();
        vitals.scrape_as(format, &mut out);
        String::from_utf8(out).unwrap()
    };
    // What differs between the two texts was changed by the scrapes themselves.
    let (before, open) = (scrape(Format::Text), scrape(Format::OpenMetrics));
    let after = scrape(Format::Text);
    let body = open.strip_suffix("# EOF\n").expect("an end");
    assert!(open.lines().all(|line| !line.is_empty()), "a blank line in\n{open}");
    let series = |text: &str| -> Vec<String> {
        let lines = text.split_terminator('\n').filter(|line| !line.starts_with("# "));
        lines.map(str::to_owned).collect()
    };
    let [before_series, series, after_series] = [&before, body, &after].map(series);
    assert_eq!(before_series.len(), series.len(), "{open}");
    for ((before, open), after) in before_series.iter().zip(&series).zip(after_series) {
        let begin = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
        assert_eq!(begin(before), begin(open));
        // What the process or the engine says of itself may change at any time.
        let own = ["mcp_vitals_", "mcp_system_", "mcp_memory_", "process_"];
        if *before == after && !own.iter().any(|name| open.starts_with(name)) {
            assert_eq!(before, open);
        }
    }
    let samples: HashSet<&str> =
        series.iter().map(|line| &line[..line.find(['{', ' ']).expect("a name")]).collect();
    let heads = |text: &str| -> Vec<String> {
        let lines = text.split_terminator('\n').filter(|line| line.starts_with("# "));
        lines.map(str::to_owned).collect()
    };
    let mut expected = Vec::new();
    let text_heads = heads(&before);
    for pair in text_heads.chunks(2) {
        let help = pair[0].strip_prefix("# HELP ").unwrap();
        let (name, help) = help.split_once(' ').unwrap();
        let (_, kind) = pair[1].rsplit_once(' ').unwrap();
        let is_info = name == "target_info" || name == "mcp_vitals_build_info";
        let ending = if is_info { "_info" } else { "_total" };
        let short = name.strip_suffix(ending).filter(|short| {
            (kind == "counter" || is_info)
                && !samples.contains(short)
                && !samples.contains(&*format!("{short}_created"))
        });
        let kind = match (kind, short) {
            ("counter", None) => "unknown",
            ("gauge", Some(_)) => "info",
            (kind, _) => kind,
        };
        let name = short.unwrap_or(name);
        expected.push(format!("# TYPE {name} {kind}"));
        let units = ["seconds", "bytes", "ratio", "percent"];
        if let Some(unit) = units.iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
            expected.push(format!("# UNIT {name} {unit}"));
        }
        if !help.is_empty() {
            expected.push(format!("# HELP {name} {}", help.replace('"', "\\\"")));
        }
    }
    assert_eq!(heads(body), expected);
    // Each sample stands under its own family.
    let (mut family, mut kind) = ("", "");
    let mut seen = HashSet::new();
    for line in body.split_terminator('\n') {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            (family, kind) = head.split_once(' ').unwrap();
            assert!(seen.insert(family), "{family} is there twice");
        } else if !line.starts_with('#') {
            let name = &line[..line.find(['{', ' ']).unwrap()];
            let endings: &[&str] = match kind {
                "counter" => &["_total"],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let own = name.strip_prefix(family).is_some_and(|ending| endings.contains(&ending));
            assert!(own, "{line} under {family}, a {kind}");
        }
    }
}

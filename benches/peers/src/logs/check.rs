//! Reads a side's file: every line must parse and say what was logged, none twice.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::work::{self, MESSAGE, OPERATION, SESSION, TOOL, USER};

/// Where the sides keep the message.
const MESSAGES: [&str; 4] = ["message", "msg", "payload", "args"];
/// Where they keep the time; `ftlog` has it before the JSON.
const TIMES: [&str; 4] = ["timestamp", "ts", "date", "time"];

/// Our own line of how many lines were lost, which is none of the calls'.
const REPORT: &str = "\"logger\":\"mcp_vitals\"";

/// How many lines the file has, of requests of so many calls.
///
/// # Errors
///
/// Says which line is torn, false, made up or there twice.
pub fn lines(path: &Path, calls: u64) -> Result<u64, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut seen = HashSet::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| format!("{}: {error}", path.display()))?;
        if line.contains(REPORT) {
            continue;
        }
        let number = number(&line, calls).ok_or_else(|| format!("a wrong line: {line}"))?;
        if !seen.insert(number) {
            return Err(format!("there twice: {line}"));
        }
    }
    Ok(seen.len() as u64)
}

/// The number of a line that is as it should be.
fn number(line: &str, calls: u64) -> Option<u64> {
    let (before, json) = line.split_at(line.find('{')?);
    let mut facts = Map::new();
    flatten(serde_json::from_str(json).ok()?, &mut facts);
    let text = |name: &str| facts.get(name).and_then(Value::as_str);
    let message = MESSAGES.iter().find_map(|name| text(name))?;
    let said = |name: &str, want: &str| text(name) == Some(want);
    let number = match facts.get("n")? {
        // In a text all is text.
        Value::String(number) => number.parse().ok()?,
        number => number.as_u64()?,
    };
    let right = message.starts_with(MESSAGE)
        && text("level").is_some_and(|level| level.eq_ignore_ascii_case("info"))
        && (!before.is_empty() || TIMES.iter().any(|name| facts.contains_key(*name)))
        && said("tool", TOOL)
        && said("operation", OPERATION)
        && said("request_id", &work::id(number / calls))
        && said("user_id", USER)
        && said("session_id", SESSION);
    right.then_some(number)
}

/// Puts the fields of all objects, and the pairs of a text that has them, beside each other.
fn flatten(value: Value, facts: &mut Map<String, Value>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        if let Value::String(text) = &value {
            let pairs = text.split(' ').filter_map(|word| word.split_once('='));
            facts.extend(pairs.map(|(name, value)| (name.to_string(), value.into())));
        }
        match value {
            Value::Object(_) => flatten(value, facts),
            _ => _ = facts.insert(name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a form that none of the sides has.
    fn line() -> String {
        format!(
            r#"{{"time":1,"level":"INFO","msg":"{MESSAGE} tool={TOOL}","ids":{{"request_id":"req-00000002","user_id":"{USER}","session_id":"{SESSION}"}},"operation":"{OPERATION}","n":45}}"#
        )
    }

    #[test]
    fn a_right_line_has_its_number() {
        assert_eq!(number(&line(), 20), Some(45));
    }

    #[test]
    fn whatever_is_wrong_is_noticed() {
        for (right, wrong) in [
            ("INFO", "WARN"),
            ("time", "tide"),
            (MESSAGE, "request"),
            (TOOL, "swarm"),
            (OPERATION, "call"),
            ("req-00000002", "req-00000003"),
            (USER, "user-4712"),
            (SESSION, "3f2b8c1e"),
            ("\"n\":45", "\"m\":45"),
            ("\"},", "\","),
        ] {
            let wrong = line().replacen(right, wrong, 1);
            assert_eq!(number(&wrong, 20), None, "{right} -> {wrong}");
        }
    }

    #[test]
    fn what_is_there_twice_is_refused_and_what_is_missing_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = line().replace("45", "46");
        std::fs::write(file.path(), format!("{}\n{other}\n", line())).unwrap();
        assert_eq!(lines(file.path(), 20), Ok(2));
        std::fs::write(file.path(), format!("{other}\n{other}\n")).unwrap();
        assert!(lines(file.path(), 20).is_err());
    }
}

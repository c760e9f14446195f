//! Every format, read back by a reader that is not ours or a dull one.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value as Json, json};

use super::escape::tests::{hostile, is_hidden};
use super::*;
use crate::batch::tests::{Given, Line};
use crate::ring::writer::{MOST_TEXT, cut, short};

/// Given, or as its call site has it; and in one buffer twice, so that nothing is left over.
fn written(format: LogFormat, line: &Line) -> String {
    let frame = line.frame();
    let record = line.record(&frame);
    let mut lines = Lines::new(format);
    let mut out = Vec::new();
    lines.write(&record, &mut out);
    let length = out.len();
    let site = lines.site(&line.site, true);
    lines.write_of(&record, &site, &mut out);
    assert_eq!(out[..length], out[length..]);
    out.truncate(length);
    String::from_utf8(out).expect("a line is UTF-8")
}

#[test]
fn json_looks_like_this() {
    assert_eq!(
        written(LogFormat::Json, &Line::example()),
        concat!(
            r#"{"timestamp":"2024-02-29T12:34:56.789012Z","level":"info","logger":"swarm.server","#,
            r#""message":"tool called","module":"swarm::server","#,
            r#""function":"swarm::server::call_tool","file":"src/server.rs","line":42,"#,
            r#""thread":"worker-1","request_id":"42","user_id":"alice","session_id":"5f3c9a","#,
            r#""trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","#,
            r#""tenant":"acme","tool":"swarm.init","attempt":3,"seconds":0.25}"#,
            "\n"
        )
    );
    assert_eq!(
        written(LogFormat::Json, &Line::failed()),
        concat!(
            r#"{"timestamp":"2024-02-29T12:34:56.789012Z","level":"error","logger":"swarm.server","#,
            r#""message":"tool failed: \"disk full\"\nC:\\data\u001b[2J","module":"swarm::server","#,
            r#""function":"swarm::server::call_tool","file":"src/server.rs","line":42,"#,
            r#""thread":"worker-1","request_id":"42","user_id":"alice","session_id":"5f3c9a","#,
            r#""trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","#,
            r#""tenant":"acme","tool":"swarm.init","attempt":3,"seconds":0.25,"#,
            r#""token":"[redacted]","note":"two words…[+7 bytes]","#,
            r#""exception":{"type":"StoreError","message":"disk full","#,
            r#""traceback":"os error 28: No space left on device\nwhile \"flushing\""}}"#,
            "\n"
        )
    );
}

#[test]
fn logfmt_looks_like_this() {
    assert_eq!(
        written(LogFormat::Logfmt, &Line::failed()),
        concat!(
            r#"timestamp=2024-02-29T12:34:56.789012Z level=error logger=swarm.server "#,
            r#"message="tool failed: \"disk full\"\nC:\\data\u001b[2J" module=swarm::server "#,
            r#"function=swarm::server::call_tool file=src/server.rs line=42 thread=worker-1 "#,
            r#"request_id=42 user_id=alice session_id=5f3c9a "#,
            r#"trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331 "#,
            r#"tenant=acme tool=swarm.init attempt=3 seconds=0.25 "#,
            r#"token=[redacted] note="two words…[+7 bytes]" "#,
            r#"exception.type=StoreError exception.message="disk full" "#,
            r#"exception.traceback="os error 28: No space left on device\nwhile \"flushing\"""#,
            "\n"
        )
    );
}

#[test]
fn text_looks_like_this() {
    assert_eq!(
        written(LogFormat::Text, &Line::example()),
        concat!(
            "2024-02-29T12:34:56.789012Z  INFO swarm.server: tool called tenant=acme ",
            "tool=swarm.init attempt=3 seconds=0.25 request_id=42 user_id=alice session_id=5f3c9a ",
            "trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331 ",
            "at=src/server.rs:42 thread=worker-1\n"
        )
    );
    let failed = written(LogFormat::Text, &Line::failed());
    let said = r#" ERROR swarm.server: tool failed: "disk full"\nC:\data\u001b[2J tenant=acme "#;
    assert!(failed.contains(said), "{failed}");
    assert!(failed.contains(r#" exception.type=StoreError exception.message="disk full" "#));
}

#[test]
fn pretty_looks_like_this() {
    let mut line = Line::failed();
    line.recovered = true;
    let written = written(LogFormat::Pretty, &line);
    assert_eq!(
        written.replace("\x1b[0m", "<>").replace("\x1b[2m", "<dim>").replace("\x1b[1m", "<bold>"),
        concat!(
            "<dim>2024-02-29T12:34:56.789012Z<>\x1b[1;31m ERROR <><bold>swarm.server<>: ",
            r#"tool failed: "disk full"\nC:\data\u001b[2J <dim>tenant=<>acme "#,
            "<dim>tool=<>swarm.init <dim>attempt=<>3 <dim>seconds=<>0.25 ",
            "<dim>token=<>[redacted] <dim>note=<>\"two words…[+7 bytes]\"",
            "<dim> request_id=42 user_id=alice session_id=5f3c9a ",
            "trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331 ",
            "at=src/server.rs:42 thread=worker-1 recovered=true<>\n",
            "    <dim>error: <>StoreError: disk full\n",
            "      os error 28: No space left on device\n",
            "      while \"flushing\"\n"
        )
    );
}

/// The page shows what is written.
#[test]
fn the_page_has_these_very_lines() {
    let page = include_str!("../../../docs/LOGS.md");
    let uncoloured = |text: String| {
        let ours = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;31m"];
        ours.iter().fold(text, |text, colour| text.replace(colour, ""))
    };
    for (format, line) in [
        (LogFormat::Json, Line::failed()),
        (LogFormat::Logfmt, Line::failed()),
        (LogFormat::Text, Line::example()),
        (LogFormat::Pretty, Line::failed()),
    ] {
        let shown = uncoloured(written(format, &line));
        assert!(page.contains(&format!("\n{shown}```\n")), "{format}: {shown}");
    }
}

/// An object as its text has it: in order, and each name as often as it stands there.
#[derive(Debug, PartialEq)]
struct Object(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// A text that went through a frame and a line.
fn told(text: &[u8], lost: u32) -> String {
    let kept = cut(text, MOST_TEXT);
    marked(String::from_utf8_lossy(kept).into_owned(), lost + (text.len() - kept.len()) as u32)
}

fn marked(text: String, lost: u32) -> String {
    if lost == 0 { text } else { format!("{text}…[+{lost} bytes]") }
}

fn expected_value(value: &Given) -> Json {
    match value {
        Given::Null => Json::Null,
        Given::Bool(truth) => json!(truth),
        Given::I64(n) => json!(n),
        Given::U64(n) => json!(n),
        Given::F64(n) if n.is_nan() => json!("NaN"),
        Given::F64(n) if n.is_infinite() => json!(if *n > 0.0 { "Infinity" } else { "-Infinity" }),
        Given::F64(n) => json!(n),
        Given::Str(text, lost) => json!(told(text, *lost)),
        Given::Bytes(bytes, lost) => match std::str::from_utf8(bytes) {
            Ok(_) => json!(told(bytes, *lost)),
            Err(_) => {
                let mut encoded = b"base64:".to_vec();
                escape::base64(bytes, &mut encoded);
                json!(marked(String::from_utf8(encoded).unwrap(), *lost))
            }
        },
        Given::Redacted => json!("[redacted]"),
        Given::Error([type_name, message, traceback], lost) => {
            let mut error = json!({"type": told(type_name, 0), "message": told(message, 0)});
            if !traceback.is_empty() {
                error["traceback"] = json!(told(traceback, *lost));
            }
            error
        }
    }
}

const OURS: [&str; 16] = [
    "timestamp",
    "level",
    "logger",
    "message",
    "module",
    "function",
    "file",
    "line",
    "thread",
    "request_id",
    "user_id",
    "session_id",
    "trace_id",
    "span_id",
    "exception",
    "recovered",
];

/// What a line says, by the rules of `docs/LOGS.md`; without its time.
fn expected(line: &Line) -> Vec<(String, Json)> {
    let mut pairs: Vec<(String, Json)> = Vec::new();
    let mut say = |key: &str, value: Option<Json>| {
        pairs.extend(value.map(|value| (key.to_owned(), value)));
    };
    let filled = |text: &str| (!text.is_empty()).then(|| json!(text));
    let id = |id: &Option<String>| {
        id.as_deref().map(|id| json!(std::str::from_utf8(short(id)).unwrap()))
    };
    let hex = |bytes: &[u8]| json!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>());
    let logger = line.site.logger.as_deref().unwrap_or(&line.logger);
    let message = match &line.message {
        Some((text, lost)) => told(text, *lost),
        None => line.site.message.as_deref().unwrap_or_default().to_owned(),
    };
    say("level", Some(json!(line.level.as_str())));
    say("logger", filled(logger));
    say("message", Some(json!(message)));
    say("module", filled(&line.site.module));
    say("function", filled(&line.site.function));
    say("file", filled(&line.site.file));
    say("line", (line.site.line > 0).then(|| json!(line.site.line)));
    say("thread", filled(&line.thread));
    say("request_id", id(&line.ids[0]));
    say("user_id", id(&line.ids[1]));
    say("session_id", id(&line.ids[2]));
    say("trace_id", line.trace.map(|(trace, _)| hex(&trace)));
    say("span_id", line.trace.map(|(_, span)| hex(&span)));
    let mut again = 1;
    let mut exception = None;
    let mut names = HashSet::new();
    for (key, value) in line.fields() {
        if matches!(value, Given::Error(..)) && exception.is_none() {
            exception = Some(expected_value(value));
            continue;
        }
        let base = match key {
            "" => "_".to_owned(),
            _ if OURS.contains(&key) || key.starts_with("exception.") => format!("field.{key}"),
            _ => key.to_owned(),
        };
        let mut name = base.clone();
        while !names.insert(name.clone()) {
            again += 1;
            name = format!("{base}.{again}");
        }
        say(&name, Some(expected_value(value)));
    }
    say("exception", exception);
    say("recovered", line.recovered.then_some(json!(true)));
    pairs
}

/// The parser of `serde_json` is one digit off now and then.
fn same(one: &Json, other: &Json) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= other.abs() * 1e-15,
        _ => one == other,
    }
}

fn keys() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        prop::sample::select(&["a", "a.2", "a.3", "", "field.level", "exception.type", "é=\" "])
            .prop_map(str::to_owned),
        prop::sample::select(&OURS).prop_map(str::to_owned),
        hostile().prop_map(|key| String::from_utf8_lossy(&key).into_owned()),
        "[a-z_]{1,300}",
    ]
    .boxed()
}

fn lines() -> impl Strategy<Value = Line> {
    Line::any(keys(), hostile().boxed())
}

proptest! {
    #[test]
    fn json_says_what_was_given(line in lines()) {
        let text = written(LogFormat::Json, &line);
        prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
        prop_assert!(!text.trim_end_matches('\n').contains(is_hidden), "{:?}", text);
        let Object(pairs) = serde_json::from_str(&text).unwrap();
        let names: HashSet<&str> = pairs.iter().map(|(key, _)| &**key).collect();
        prop_assert_eq!(names.len(), pairs.len(), "a name twice: {}", text);
        prop_assert_eq!(&pairs[0].0, "timestamp");
        let expected = expected(&line);
        prop_assert_eq!(pairs.len(), expected.len() + 1, "{}", text);
        for (pair, wanted) in pairs[1..].iter().zip(&expected) {
            prop_assert!(pair.0 == wanted.0 && same(&pair.1, &wanted.1), "{:?} {:?}", pair, wanted);
        }
    }

    /// Nothing but the newline at the end, and in `pretty` our own colours and indented lines.
    #[test]
    fn no_value_can_forge_a_line_or_drive_a_terminal(line in lines()) {
        for format in LogFormat::ALL {
            let text = written(format, &line);
            let body = text.strip_suffix('\n').unwrap();
            if format != LogFormat::Pretty {
                prop_assert!(!body.contains(is_hidden), "{} {:?}", format, body);
                continue;
            }
            let mut plain = body.to_owned();
            for ours in ["0", "1", "2", "1;31", "33", "32", "34", "35"] {
                plain = plain.replace(&format!("\x1b[{ours}m"), "");
            }
            let mut lines = plain.split('\n');
            prop_assert!(!lines.next().unwrap().contains(is_hidden), "{:?}", body);
            for line in lines {
                prop_assert!(line.starts_with("    ") && !line.contains(is_hidden), "{:?}", body);
            }
        }
    }

    /// The values of logfmt are those of JSON, where both have the name.
    #[test]
    fn logfmt_says_what_was_given(line in lines()) {
        let text = written(LogFormat::Logfmt, &line);
        let pairs = parse_logfmt(text.strip_suffix('\n').unwrap());
        let names: HashSet<&str> = pairs.iter().map(|(key, _)| &**key).collect();
        prop_assert_eq!(names.len(), pairs.len(), "a name twice: {}", text);
        let values: Vec<&str> = pairs.iter().skip(1).map(|(_, value)| &**value).collect();
        let mut wanted = Vec::new();
        for (_, value) in expected(&line) {
            match value {
                Json::String(text) => wanted.push(text),
                Json::Object(parts) => wanted.extend(
                    ["type", "message", "traceback"]
                        .iter()
                        .filter_map(|part| parts.get(*part))
                        .map(|part| part.as_str().unwrap().to_owned()),
                ),
                Json::Number(n) if n.is_f64() => {
                    wanted.push(ryu::Buffer::new().format(n.as_f64().unwrap()).to_owned());
                }
                other => wanted.push(other.to_string()),
            }
        }
        prop_assert_eq!(values, wanted);
    }

    #[test]
    fn floats_read_back(n: f64) {
        let mut out = Vec::new();
        prop_assert!(value::scalar(crate::ring::frame::Value::F64(n), &mut out) == n.is_finite());
        let text = String::from_utf8(out).unwrap();
        prop_assert!(!n.is_finite() || text.parse() == Ok(n), "{}", text);
    }
}

/// Character by character.
fn parse_logfmt(line: &str) -> Vec<(String, String)> {
    let mut chars = line.chars().peekable();
    let mut pairs = Vec::new();
    while chars.peek().is_some() {
        let key: String = std::iter::from_fn(|| chars.next().filter(|&char| char != '=')).collect();
        assert!(!key.is_empty() && !key.contains([' ', '"']), "{line}");
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_none() {
            value.extend(std::iter::from_fn(|| chars.next_if(|&char| char != ' ')));
        } else {
            loop {
                match chars.next().expect("a quote that ends it") {
                    '"' => break,
                    '\\' => value.push(match chars.next().unwrap() {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'u' => {
                            let code: String = chars.by_ref().take(4).collect();
                            char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
                        }
                        quote @ ('"' | '\\') => quote,
                        other => panic!("\\{other} in {line}"),
                    }),
                    char => value.push(char),
                }
            }
        }
        assert!(matches!(chars.next(), None | Some(' ')), "{line}");
        pairs.push((key, value));
    }
    pairs
}

#[test]
fn a_mebibyte_is_cut_and_says_so() {
    let mut line = Line::example();
    line.values[0] = Given::Str("é\n".repeat((1 << 20) / 3).into_bytes(), 0);
    for format in LogFormat::ALL {
        let text = written(format, &line);
        assert!(text.len() < 2 * MOST_TEXT && text.contains("é\\né\\n"), "{format}");
        assert!(text.contains(&format!("…[+{} bytes]\"", (1 << 20) / 3 * 3 - MOST_TEXT)));
    }
}

#[test]
fn lone_surrogates_are_replaced() {
    let mut line = Line::example();
    line.message = Some((b"\xed\xa0\x80 \xff".into(), 0));
    for format in LogFormat::ALL {
        assert!(written(format, &line).contains("\u{fffd}\u{fffd}\u{fffd} \u{fffd}"), "{format}");
    }
}

#[test]
fn what_is_absent_is_left_out() {
    let mut line = Line::example();
    line.site = SiteText { message: Some("hello".into()), ..SiteText::default() };
    line.thread.clear();
    line.ids = [None, None, None];
    line.trace = None;
    line.context_fields.clear();
    line.values.clear();
    assert_eq!(
        written(LogFormat::Json, &line),
        "{\"timestamp\":\"2024-02-29T12:34:56.789012Z\",\"level\":\"info\",\"message\":\"hello\"}\n"
    );
    assert_eq!(written(LogFormat::Text, &line), "2024-02-29T12:34:56.789012Z  INFO hello\n");
}

/// Nothing grows once each kind of line was written: the buffers stay where they are.
#[test]
fn warm_lines_move_no_buffer() {
    let (example, failed) = (Line::example(), Line::failed());
    let frames = [example.frame(), failed.frame()];
    let records = [example.record(&frames[0]), failed.record(&frames[1])];
    for format in LogFormat::ALL {
        let mut lines = Lines::new(format);
        let mut out = Vec::new();
        records.iter().for_each(|record| lines.write(record, &mut out));
        let places = |lines: &Lines, out: &Vec<u8>| {
            (out.as_ptr(), out.capacity(), lines.state.keys.capacity())
        };
        let before = places(&lines, &out);
        for _ in 0..10 {
            out.clear();
            records.iter().for_each(|record| lines.write(record, &mut out));
        }
        assert_eq!(places(&lines, &out), before);
    }
}

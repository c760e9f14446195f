//! What is found, against the lines that a JSON sink has written, read by another parser.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::logs::{Context, LogConfig, set_request_context};
use crate::{ConsoleConfig, Vitals, info, log};

/// Whose logs are seen; `sinks` has none or several.
fn engine(sinks: LogConfig, console: ConsoleConfig) -> Vitals {
    let builder = Vitals::builder().system_metrics(false).logs(sinks.level(Level::Trace));
    builder.listen(0).console(console).build().unwrap()
}

fn recent(vitals: &Vitals) -> Arc<RecentLines> {
    assert!(vitals.flush(Duration::from_secs(60)));
    vitals.recent_lines().unwrap()
}

fn parsed(query: &str) -> LogsQuery {
    LogsQuery::read(query).unwrap()
}

/// The numbers and texts of lines.
fn texts(page: &Page) -> Vec<(u64, String)> {
    let text = |line: &Line| String::from_utf8(line.json.to_vec()).unwrap();
    page.lines.iter().map(|line| (line.seq, text(line))).collect()
}

const HOSTILE: [&str; 9] = [
    "plain",
    "a \"quoted\" back\\slash",
    "two\nlines\r\n\tand \u{0}\u{7f}\u{1b}[31m",
    "ΟΔΟΣ Straße İstanbul K",
    "}\n{\"level\":\"error\",\"logger\":\"forged\"}",
    "\u{2028}\u{202e}data: x\n\nevent: lost",
    "<script>alert(1)</script>",
    "Bearer abcdefghijklmnop",
    "",
];
const LOGGERS: [&str; 4] = ["search", "search::index", "sea\"rch", "mcp"];
const TRACES: [u8; 3] = [0, 1, 0xab];

/// An engine with lines of all sorts, and what its sink has written.
static MIXED: LazyLock<(Vitals, Vec<String>)> = LazyLock::new(|| {
    let vitals = engine(LogConfig::to_memory(), ConsoleConfig::new());
    let mut n = 0;
    for (at, text) in HOSTILE.into_iter().enumerate() {
        for logger in LOGGERS.map(|name| vitals.logger(name)) {
            for level in Level::ALL {
                let byte = TRACES[n % 3];
                let trace = || Context::new().trace([byte; 16], [7; 8]).enter();
                let _context = (byte != 0).then(trace);
                match at % 2 {
                    0 => log!(logger, level, "a line", text, n),
                    _ => log!(logger, level, "{text}", n, token = "secret"),
                }
                n += 1;
            }
        }
    }
    let written = vitals.captured_logs();
    assert_eq!(written.len(), n);
    (vitals, written)
});

/// Whether a line is to be found, by what another parser reads in it.
fn is_found(line: &str, level: Option<Level>, text: &str, logger: &str, trace: &str) -> bool {
    let fields: Value = serde_json::from_str(line).unwrap();
    let its: Level = fields["level"].as_str().unwrap().parse().unwrap();
    let lower = |text: &str| text.chars().map(|c| c.to_lowercase().to_string()).collect::<String>();
    // In the order in which JSON says that they are escaped, and as the encoder writes the others.
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let has = |text: &str| lower(line).contains(&lower(text));
    level.is_none_or(|least| its as u8 <= least as u8)
        && (has(text) || has(&escaped))
        && fields["logger"].as_str().unwrap().starts_with(logger)
        && (trace.is_empty() || fields["trace_id"].as_str() == Some(&trace.to_lowercase()))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    /// Every filter finds what the oracle finds, whichever way it is asked.
    #[test]
    fn filters_find_what_a_parser_finds(
        level in prop::option::of(prop::sample::select(Level::ALL.to_vec())),
        text in prop_oneof![
            Just(String::new()),
            prop::sample::select(HOSTILE.to_vec()).prop_flat_map(|text| {
                let chars: Vec<char> = text.chars().collect();
                (0..=chars.len(), 0..6usize, any::<bool>()).prop_map(move |(from, many, upper)| {
                    let part: String = chars[from..].iter().take(many).collect();
                    // One that has others in upper case is the same text in another case.
                    let other: String = part.to_uppercase();
                    if upper && other.is_ascii() { other } else { part }
                })
            }),
            "[a-zΣσ\"\\\\:,{}0-9 ]{1,3}",
        ].prop_filter("the oracle escapes these alone", |text| {
            text.chars().all(|c| c == '\n' || !c.is_control() && !matches!(c, '\u{2028}' | '\u{202e}'))
        }),
        logger in prop_oneof![Just(""), Just("sea"), Just("search"), Just("search::"), Just("sea\""), Just("Search"), Just("mcp")],
        trace in prop_oneof![Just(String::new()), prop::sample::select(vec!["01", "AB", "ab", "02"]).prop_map(|hex| hex.repeat(16))],
        limit in 0usize..200,
    ) {
        let (vitals, written) = &*MIXED;
        let query = format!(
            "level={}&text={}&logger={}&trace={trace}&limit={limit}&theme=dark",
            level.map_or("", Level::as_str), encoded(&text), encoded(logger),
        );
        let query = parsed(&query);
        let all: Vec<(u64, String)> = (1..).zip(written.iter().cloned()).collect();
        let found: Vec<_> = all
            .into_iter()
            .filter(|(_, line)| is_found(line, level, &text, logger, &trace))
            .collect();
        let mut lines = Lines::new(recent(vitals));
        let page = lines.last(&query.filter, query.limit);
        prop_assert_eq!(texts(&page), &found[found.len().saturating_sub(limit)..]);
        prop_assert_eq!((page.lost, page.last), (0, written.len() as u64));
        // The same step by step.
        let (mut last, mut steps) = (0, Vec::new());
        while last < written.len() as u64 {
            let page = lines.after(last, &query.filter, limit.max(1));
            prop_assert!(page.last > last && page.lost == 0);
            steps.extend(texts(&page));
            last = page.last;
        }
        prop_assert_eq!(steps, found);
    }
}

#[test]
fn the_answer_is_json_and_its_lines_are_those_of_the_sink() {
    let (vitals, written) = &*MIXED;
    let answer: Value =
        serde_json::from_slice(&json(Some(recent(vitals)), &parsed("limit=1000"))).unwrap();
    assert_eq!((&answer["on"], &answer["lost"]), (&true.into(), &0.into()));
    assert_eq!(answer["last"], written.len());
    let lines = answer["lines"].as_array().unwrap();
    assert_eq!(lines.len(), written.len());
    for (at, (line, written)) in lines.iter().zip(written).enumerate() {
        assert_eq!(line["seq"], at + 1);
        assert_eq!(line["line"], serde_json::from_str::<Value>(written).unwrap());
    }
    let few: Value = serde_json::from_slice(&json(Some(recent(vitals)), &parsed(""))).unwrap();
    assert_eq!(few["lines"].as_array().unwrap().len(), written.len().min(LIMIT));
}

#[test]
fn events_are_events_whatever_lines_say() {
    let (vitals, written) = &*MIXED;
    let mut follower = Follower::new(recent(vitals), LineFilter::default(), Some(0));
    let mut out = Vec::new();
    while follower.next(&mut out) {}
    let out = String::from_utf8(out).unwrap();
    let mut events = out.split("\n\n");
    for (at, written) in written.iter().enumerate() {
        let event: Vec<&str> = events.next().unwrap().split(['\n', '\r']).collect();
        let id = format!("id: {}", at + 1);
        assert_eq!(event, ["event: line", &id, &format!("data: {written}")]);
    }
    assert_eq!(events.collect::<Vec<_>>(), [""]);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let refused = |query: &str| LogsQuery::read(query).unwrap_err().to_string();
    assert_eq!(refused("level=loud"), "level: error, warn, info, debug or trace");
    for trace in ["ab", "%20", &"0".repeat(32), &"x".repeat(32), &"é".repeat(16), &"a".repeat(33)]
    {
        let refused = refused(&format!("trace={trace}"));
        assert_eq!(refused, "trace: 32 hexadecimal digits, not all 0");
    }
    for after in ["-1", "x", "1.5", "99999999999999999999999"] {
        assert_eq!(refused(&format!("after={after}")), "after: the number of a line");
    }
    let default = LogsQuery { limit: LIMIT, ..LogsQuery::default() };
    assert_eq!(parsed("level=&text=&logger=&trace=&after=&limit=&unknown=%"), default);
    assert_eq!(parsed("level=WARN&limit=5000").limit, MOST);
}

#[test]
fn without_logs_it_is_off_and_without_a_sink_it_is_on() {
    let off: Value = serde_json::from_slice(&json(None, &parsed(""))).unwrap();
    assert_eq!(off, serde_json::json!({"lines": [], "lost": 0, "last": 0, "on": false}));
    // Spans alone: rings, and nothing that is logged.
    let traced = Vitals::builder().traces(crate::traces::TraceConfig::to_memory());
    let traced = traced.listen(0).console(true).build().unwrap();
    assert!(traced.recent_lines().is_none());
    let none = Vitals::builder().listen(0).console(true).build().unwrap();
    assert!(none.recent_lines().is_none());
    let unseen = Vitals::builder().logs(LogConfig::to_memory()).build().unwrap();
    assert!(unseen.recent_lines().is_none());
    assert!(Vitals::builder().logs(LogConfig::new()).build().is_err());
    let vitals = engine(LogConfig::new(), ConsoleConfig::new());
    info!(vitals.logger("alone"), "seen here");
    let page = Lines::new(recent(&vitals)).last(&LineFilter::default(), 10);
    assert!(texts(&page)[0].1.contains("seen here"), "{page:?}");
}

/// A sink that wants less, or another form, or no source, changes nothing but the source.
#[test]
fn lines_are_those_that_the_filter_lets_through_whatever_sinks_want() {
    let sinks = LogConfig::to_memory().at_most(Level::Error).without_source();
    let vitals = engine(sinks, ConsoleConfig::new());
    let logger = vitals.logger("search");
    log!(logger, Level::Debug, "fine", password = "hunter2");
    let page = Lines::new(recent(&vitals)).last(&LineFilter::default(), 10);
    let line: Value = serde_json::from_slice(&page.lines[0].json).unwrap();
    assert_eq!((&line["message"], &line["password"]), (&"fine".into(), &"[redacted]".into()));
    assert!(line.get("file").is_none() && vitals.captured_logs().is_empty());
}

#[test]
fn a_thread_keeps_its_name_though_everybody_has_forgotten_it() {
    let vitals = engine(LogConfig::to_memory(), ConsoleConfig::new());
    for name in ["first", "second"] {
        let logger = vitals.logger("threads");
        let named = std::thread::Builder::new().name(name.into());
        named.spawn(move || info!(logger, "hello")).unwrap().join().unwrap();
    }
    let mut lines = Lines::new(recent(&vitals));
    let known = |lines: &mut Lines| {
        let page = lines.last(&LineFilter::default(), 10);
        let name = |line: &Line| {
            let line: Value = serde_json::from_slice(&line.json).unwrap();
            line["thread"].as_str().unwrap().to_owned()
        };
        page.lines.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(known(&mut lines), ["first", "second"]);
    // Who never saw a frame of theirs asks the block, not the process.
    let seen = recent(&vitals).since(0);
    let names: Vec<&str> = seen.blocks[0].threads.values().map(|name| &**name).collect();
    assert!(names.contains(&"first") && names.contains(&"second"), "{names:?}");
    lines.known = Known::default();
    assert_eq!(known(&mut lines), ["first", "second"]);
}

#[test]
fn what_had_gone_is_said_once_and_numbers_go_on() {
    let console = ConsoleConfig::new().log_lines(100);
    let vitals = engine(LogConfig::new(), console);
    let logger = vitals.logger("many");
    let log = |from: u64, to: u64| {
        for n in from..=to {
            info!(logger, "line", n);
            if n % 500 == 0 {
                // No ring is full, and no line is lost on the way.
                assert!(vitals.flush(Duration::from_secs(60)));
            }
        }
    };
    log(1, 10);
    let mut follower = Follower::new(recent(&vitals), LineFilter::default(), None);
    let next = |follower: &mut Follower| {
        let mut out = Vec::new();
        while follower.next(&mut out) {}
        String::from_utf8(out).unwrap()
    };
    assert_eq!(next(&mut follower), "");
    log(11, 3_000);
    recent(&vitals);
    let events = next(&mut follower);
    assert!(events.starts_with("event: lost\ndata: {\"lost\":2890}\n\n"), "{events:.200}");
    let ids = events.lines().filter_map(|line| line.strip_prefix("id: "));
    let ids: Vec<u64> = ids.map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, (2_901..=3_000).collect::<Vec<_>>());
    assert_eq!(next(&mut follower), "");
    let page = Lines::new(recent(&vitals)).after(2_000, &LineFilter::default(), 5);
    assert_eq!((page.lost, page.last, page.lines[0].seq), (900, 2_905, 2_901));
    let asked = json(Some(recent(&vitals)), &parsed("after=2950&limit=3"));
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!((&asked["lost"], &asked["last"]), (&0.into(), &2_953.into()));
}

/// A page that was open when the server was started anew asks by the numbers of the one before.
#[test]
fn a_number_of_an_earlier_process_begins_with_the_oldest_line() {
    let vitals = engine(LogConfig::new(), ConsoleConfig::new());
    info!(vitals.logger("new"), "one");
    info!(vitals.logger("new"), "two");
    let page = Lines::new(recent(&vitals)).after(5_000, &LineFilter::default(), 10);
    assert_eq!((page.lines.len(), page.lost, page.last), (2, 0, 2));
    let page = Lines::new(recent(&vitals)).after(u64::MAX, &LineFilter::default(), 10);
    assert_eq!(page.lines.len(), 2);
    let mut follower = Follower::new(recent(&vitals), LineFilter::default(), Some(5_000));
    let mut out = Vec::new();
    assert!(follower.next(&mut out) && !follower.next(&mut out));
    assert!(String::from_utf8(out).unwrap().contains("id: 2\n"));
}

/// A follower sees each line once, in order, while others log and the oldest go.
#[test]
fn followers_and_loggers_side_by_side() {
    let vitals = engine(LogConfig::new(), ConsoleConfig::new());
    let recent = recent(&vitals);
    const LINES: u64 = 20_000;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let (vitals, logger) = (&vitals, vitals.logger("both"));
                scope.spawn(move || {
                    for n in 0..LINES / 2 {
                        info!(logger, "line", thread, n);
                        if n % 256 == 0 {
                            assert!(vitals.flush(Duration::from_secs(60)));
                        }
                    }
                })
            })
            .collect();
        let follow = || {
            let (mut lines, mut last, mut lost) = (Lines::new(recent.clone()), 0, 0);
            let mut of_thread = [None::<u64>; 2];
            while last < LINES {
                let page = lines.after(last, &LineFilter::default(), 50);
                lost += page.lost;
                let mut expected = last + page.lost + 1;
                for line in &page.lines {
                    assert_eq!(line.seq, expected);
                    expected += 1;
                    let line: Value = serde_json::from_slice(&line.json).unwrap();
                    let (thread, n) = (&line["thread.2"], &line["n"]);
                    let thread = thread.as_u64().or_else(|| line["field.thread"].as_u64());
                    let n = n.as_u64().unwrap();
                    let before = of_thread[thread.unwrap() as usize].replace(n);
                    assert!(before.is_none_or(|before| before < n));
                }
                assert_eq!(page.last + 1, expected);
                last = page.last;
            }
            lost
        };
        let followers = [scope.spawn(follow), scope.spawn(follow)];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(vitals.flush(Duration::from_secs(60)));
        for follower in followers {
            follower.join().unwrap();
        }
    });
    assert_eq!(recent.newest(), LINES);
}

/// Whoever holds what it read, for however long, holds no line up: the flusher takes no lock that a
/// reader keeps.
#[test]
fn a_reader_that_stands_still_stalls_nobody() {
    let vitals = engine(LogConfig::to_memory(), ConsoleConfig::new().log_lines(100));
    let logger = vitals.logger("still");
    let _context = set_request_context(Some("r"), None, None);
    info!(logger, "first");
    let held = recent(&vitals).since(0);
    for n in 0..5_000 {
        info!(logger, "next", n);
        if n % 500 == 0 {
            assert!(vitals.flush(Duration::from_secs(60)));
        }
    }
    assert!(vitals.flush(Duration::from_secs(60)));
    assert_eq!(vitals.captured_logs().len(), 5_001);
    assert_eq!(held.blocks[0].lines, 1);
}

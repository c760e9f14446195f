//! What was planted is in no line; what was not is.

use proptest::prelude::*;

use super::Lines;
use crate::batch::tests::{Given, Line};
use crate::logs::{LogFormat, Redacted, Redaction, Redactor};
use crate::ring::frame::Frame;

/// What each format says of a line, and how much was taken out of it.
fn told(redaction: &Redaction, line: &Line) -> (Vec<String>, u32) {
    let frame = line.frame();
    let record = line.record(&frame);
    let mut redactor = Redactor::new(redaction.clone());
    let rules = redactor.site(&line.site);
    // Twice, so that answers are known.
    for _ in 0..2 {
        redactor.redact(Frame::first(&frame).unwrap(), &record, &line.site, &rules);
    }
    let frame = Frame::first(&frame).unwrap();
    let (record, count) = match redactor.redact(frame, &record, &line.site, &rules) {
        Some(Redacted { frame: anew, record, count }) => {
            // Whoever reads the frame sees the same.
            let read = line.record(anew.bytes());
            for format in LogFormat::ALL {
                let [mut one, mut other] = [Vec::new(), Vec::new()];
                Lines::new(format).write(&record, &mut one);
                Lines::new(format).write(&read, &mut other);
                assert!(one == other, "{line:?}");
            }
            assert_eq!(anew.kind(), frame.kind());
            (record, count)
        }
        None => (record, 0),
    };
    let tell = |format| {
        let mut out = Vec::new();
        Lines::new(format).write(&record, &mut out);
        String::from_utf8(out).unwrap()
    };
    (LogFormat::ALL.map(tell).to_vec(), count)
}

#[test]
fn a_line_without_secrets_is_passed_on() {
    let (line, rules) = (Line::example(), Redaction::new());
    let (redacted, count) = told(&rules, &line);
    assert_eq!((redacted, 0), told(&Redaction::none(), &line));
    assert_eq!(count, 0);
    // A secret that was none to begin with is not counted.
    assert_eq!(told(&rules, &Line::failed()).1, 0);
}

#[test]
fn a_rewritten_line_is_the_same_but_for_the_secret() {
    let mut line = Line::failed();
    line.keyed.push(("x_api_key".to_owned(), Given::U64(123_456)));
    line.context_fields.push(("note".to_owned(), Given::Str(b"basic abc".into(), 3)));
    let (told_plain, _) = told(&Redaction::none(), &line);
    let (redacted, count) = told(&Redaction::new(), &line);
    assert_eq!(count, 2);
    for (plain, redacted) in told_plain.iter().zip(&redacted) {
        let wanted = plain.replace("basic abc", "basic [redacted]");
        let wanted = wanted.replace("\"x_api_key\":123456", "\"x_api_key\":\"[redacted]\"");
        assert_eq!(*redacted, wanted.replace("123456", "[redacted]"));
    }
}

#[test]
fn only_listed_fields_get_out() {
    let rules = Redaction::new().only(["Tool", "error"]);
    let (lines, count) = told(&rules, &Line::failed());
    assert_eq!(count, 4);
    for line in &lines {
        for shown in ["swarm.init", "No space left", "tool failed", "alice", "0af7651916cd43dd"] {
            assert!(line.contains(shown), "{shown} in {line}");
        }
        for hidden in ["acme", "two words", "0.25"] {
            assert!(!line.contains(hidden), "{hidden} in {line}");
        }
        assert_eq!(line.matches("[redacted]").count(), 5, "{line}");
    }
    assert!(
        told(&Redaction::new().only([]), &Line::failed()).0[0].contains(r#""error":"[redacted]""#)
    );
}

#[test]
fn a_constant_message_is_looked_at_too() {
    let mut line = Line::example();
    line.site.message = Some("sent Authorization: Basic dXNlcjpwYXNz upstream".into());
    let (lines, count) = told(&Redaction::new(), &line);
    assert!(lines.iter().all(|line| line.contains("Basic [redacted] upstream")), "{lines:?}");
    assert_eq!(count, 1);
}

/// More than a ring would take: longer names and texts than there is room for.
#[test]
fn a_line_of_the_greatest_length_is_redacted() {
    let mut line = Line::example();
    let long = |text: &str| Given::Str(text.repeat(8_000 / text.len()).into_bytes(), 0);
    line.site.keys = (0..100).map(|at| format!("{at:0>2000}").into()).collect();
    line.values = (0..100).map(|_| long("bearer a ")).collect();
    line.context_fields = (0..7).map(|at| (format!("{at:0>255}"), long("bearer a "))).collect();
    let (lines, count) = told(&Redaction::new(), &line);
    assert!(count > 0);
    assert!(lines.iter().all(|line| !line.contains("bearer a") && line.contains("[redacted]")));
}

#[cfg(feature = "patterns")]
#[test]
fn patterns_are_taken_out_also_when_cut_in_half() {
    let rules = Redaction::new().pattern(r"sk-\w{8}").unwrap().pattern(r"pin=(\d+)").unwrap();
    let mut line = Line::example();
    line.message = Some((b"key sk-abcdefgh, pin=1234; sk-short".into(), 0));
    line.values[0] = Given::Str(b"as in sk-abcd".into(), 4);
    let (lines, count) = told(&rules, &line);
    assert_eq!(count, 3);
    for line in &lines {
        assert!(line.contains("key [redacted], pin=[redacted]; sk-short"), "{line}");
        assert!(line.contains("as in [redacted]…[+4 bytes]"), "{line}");
    }
    let wrong = Redaction::new().pattern("(").unwrap_err().to_string();
    assert!(wrong.contains("pattern \"(\""), "{wrong}");
}

const SECRET: &str = "5ecr3tV4lue";

#[derive(Clone, Debug)]
enum Place {
    Message,
    Id(usize),
    OfContext,
    OfSite,
    Own,
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Message),
        (0usize..3).prop_map(Place::Id),
        Just(Place::OfContext),
        Just(Place::OfSite),
        Just(Place::Own),
    ]
}

fn innocent() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof!["[a-z =\"\\n]{0,40}".prop_map(String::into_bytes), Just(b"\xff basic".to_vec())]
        .boxed()
}

/// A text or an error with it, in one of its parts.
fn values(text: Vec<u8>, lost: u32) -> impl Strategy<Value = Given> {
    let error = |at: usize, text: &Vec<u8>| {
        let mut parts = [b"Type".to_vec(), b"message".to_vec(), b"cause".to_vec()];
        parts[at].clone_from(text);
        Given::Error(parts, 0)
    };
    prop::sample::select(vec![
        Given::Str(text.clone(), lost),
        Given::Bytes(text.clone(), lost),
        error(0, &text),
        error(1, &text),
        error(2, &text),
    ])
}

fn credentials() -> impl Strategy<Value = (Given, Vec<u8>, u32)> {
    let around = (
        "[a-z,]{0,20} ?",
        "([Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc])( |: |=|%20|\": \")",
        "[a-z0-9]{0,20}",
    );
    (around, any::<bool>()).prop_flat_map(|((before, scheme, more), is_cut)| {
        let after = if is_cut { "" } else { " and more" };
        let text = format!("{before}{scheme}{SECRET}{more}{after}").into_bytes();
        let lost = if is_cut { 40 } else { 0 };
        (values(text.clone(), lost), Just(text), Just(lost))
    })
}

fn put(line: &mut Line, place: &Place, key: &str, value: Given, text: (Vec<u8>, u32)) {
    match place {
        Place::Message => line.message = Some(text),
        Place::Id(at) => line.ids[*at] = Some(String::from_utf8(text.0).unwrap()),
        Place::OfContext => line.context_fields.push((key.to_owned(), value)),
        Place::Own => line.keyed.push((key.to_owned(), value)),
        Place::OfSite => {
            line.site.keys.push(key.into());
            line.values.push(value);
        }
    }
}

fn shows_only_the_innocent(line: &mut Line, rules: &Redaction) -> Result<(), TestCaseError> {
    line.keyed.push(("innocent".to_owned(), Given::Str(b"stays".into(), 0)));
    line.keyed.push(("number".to_owned(), Given::I64(987_654_321)));
    let (lines, count) = told(rules, line);
    prop_assert!(count > 0);
    for line in &lines {
        prop_assert!(!line.contains("5ecr3t"), "{}", line);
        prop_assert!(line.contains("stays") && line.contains("987654321"), "{}", line);
    }
    Ok(())
}

/// A context that had nothing in the line before may have something in this one.
#[test]
fn each_context_is_looked_at() {
    let with = |id: &str| {
        let mut line = Line::example();
        line.ids[1] = Some(id.to_owned());
        line
    };
    let clean = with("alice");
    let mut denied = clean.clone();
    denied.context_fields.push(("token".to_owned(), Given::U64(1)));
    let mut redactor = Redactor::new(Redaction::new());
    let rules = redactor.site(&clean.site);
    let mut counts = Vec::new();
    for line in [&clean, &clean, &with("basic abc"), &with("basic abc"), &clean, &denied, &denied] {
        let frame = line.frame();
        let record = line.record(&frame);
        let frame = Frame::first(&frame).unwrap();
        let redacted = redactor.redact(frame, &record, &line.site, &rules);
        counts.push(redacted.map_or(0, |redacted| redacted.count));
    }
    assert_eq!(counts, [0, 0, 1, 1, 0, 1, 1]);
}

/// What is passed on without its record is what has nothing, whatever was asked before: of another call
/// site, with the same context, or on another thread.
#[test]
fn nothing_is_passed_on_for_a_line_before_it() {
    let redactor = &mut Redactor::new(Redaction::new());
    let passes = |redactor: &mut Redactor, line: &Line, thread: u32| {
        let mut frame = line.frame();
        frame[24..28].copy_from_slice(&thread.to_le_bytes());
        let rules = redactor.site(&line.site);
        redactor.passes(Frame::first(&frame).unwrap(), &rules)
    };
    let clean = Line::example();
    let with = |change: &dyn Fn(&mut Line)| {
        let mut line = clean.clone();
        change(&mut line);
        line
    };
    let secret = || Given::Str(b"a basic b".into(), 0);
    let denied = [
        with(&|line| line.ids[1] = Some("basic abc".to_owned())),
        with(&|line| line.context_fields.push(("token".to_owned(), Given::U64(1)))),
        with(&|line| line.values[0] = secret()),
        with(&|line| line.site.keys[1] = "token".into()),
        with(&|line| line.site.message = Some("bearer abc".into())),
        with(&|line| line.message = Some((b"bearer abc".into(), 0))),
        with(&|line| line.keyed.push(("note".to_owned(), secret()))),
        with(&|line| line.keyed.push(("token".to_owned(), Given::U64(1)))),
        with(&|line| {
            line.message = Some((b"said".into(), 0));
            line.keyed.push(("token".to_owned(), Given::Null));
        }),
    ];
    let mut others = vec![with(&|line| line.values[2] = Given::Bool(true))];
    others.push(with(&|line| line.keyed.push(("own".to_owned(), Given::Null))));
    for denied in &denied {
        for thread in [1, 1, 2] {
            for line in others.iter().chain([&clean, &clean]) {
                assert!(passes(redactor, line, 1), "{line:?}");
            }
            assert!(!passes(redactor, denied, thread), "{denied:?}");
            assert!(!passes(redactor, denied, 1), "{denied:?}");
        }
    }
}

proptest! {
    /// What is passed on without its record says the same as if nothing were to be taken out.
    #[test]
    fn what_is_passed_on_has_nothing(line in Line::any("tool|token|[a-z]{1,3}", innocent())) {
        let mut redactor = Redactor::new(Redaction::new());
        let rules = redactor.site(&line.site);
        let frame = line.frame();
        let of = Frame::first(&frame).unwrap();
        // Twice: what is known by then says the same.
        for _ in 0..2 {
            if redactor.passes(of, &rules) {
                let record = line.record(&frame);
                prop_assert!(redactor.redact(of, &record, &line.site, &rules).is_none());
                prop_assert_eq!(told(&Redaction::new(), &line), told(&Redaction::none(), &line));
            }
        }
    }

    #[test]
    fn a_credential_is_in_no_line(
        mut line in Line::any("[a-z]{1,8}", innocent()),
        place in places(),
        (value, text, lost) in credentials(),
    ) {
        put(&mut line, &place, "header", value, (text, lost));
        shows_only_the_innocent(&mut line, &Redaction::new())?;
    }

    #[test]
    fn a_denied_field_is_in_no_line(
        mut line in Line::any("[a-z]{1,8}", innocent()),
        place in prop_oneof![Just(Place::OfContext), Just(Place::OfSite), Just(Place::Own)],
        key in "([a-z]{1,9}[_.-])?(password|Token|SECRET|api_key|set-cookie)([_.-][a-z]{1,9})?",
        value in values(SECRET.into(), 0),
    ) {
        put(&mut line, &place, &key, value, Default::default());
        shows_only_the_innocent(&mut line, &Redaction::new())?;
    }

    /// Of a line that is rewritten, nothing else changes.
    #[test]
    fn a_line_that_is_rewritten_says_the_rest_as_before(
        // No key that is denied for itself, as "pwd" is.
        line in Line::any("x[a-z]{1,7}", innocent()),
    ) {
        let plain = told(&Redaction::none(), &line).0;
        let mut with = line.clone();
        with.keyed.push(("token".to_owned(), Given::Null));
        let redacted = told(&Redaction::new().credentials(false), &with);
        prop_assert_eq!(redacted.1, 1);
        let json = redacted.0[0].replacen(",\"token\":\"[redacted]\"", "", 1);
        prop_assert_eq!(&json, &plain[0]);
    }
}

//! `traceparent`: version, trace id, the id of the caller's span, flags.
//!
//! ```text
//! 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01
//! ```

use super::{Reason, trim};
use crate::traces::context::{SpanContext, flag};

/// Bytes of version 00, and of the part of later versions that is understood here.
pub(crate) const LENGTH: usize = 55;

/// The caller's span.
///
/// Version 00 has this length and no other; a later one may go on behind a dash with what is not
/// looked at, and of its flags only `sampled` is known to mean the same.
pub(crate) fn parse(text: &[u8]) -> Result<SpanContext, Reason> {
    let text = trim(text);
    let (known, rest) = text.split_first_chunk::<LENGTH>().ok_or(Reason::Length)?;
    let [version] = hex([known[0], known[1]]).ok_or(Reason::Version)?;
    let understood = match (version, rest) {
        (0xff, _) => return Err(Reason::Version),
        (0, []) => flag::SENT,
        (0, _) => return Err(Reason::Length),
        (_, [] | [b'-', ..]) => flag::SAMPLED,
        (_, _) => return Err(Reason::Length),
    };
    if [known[2], known[35], known[52]] != [b'-'; 3] {
        return Err(Reason::Format);
    }
    let part = |from: usize, to: usize| known.get(from..to).unwrap_or_default();
    let trace: [u8; 16] = digits(part(3, 35)).ok_or(Reason::Format)?;
    let span: [u8; 8] = digits(part(36, 52)).ok_or(Reason::Format)?;
    let [flags] = digits(part(53, 55)).ok_or(Reason::Format)?;
    if trace == [0; 16] || span == [0; 8] {
        return Err(Reason::ZeroId);
    }
    Ok(SpanContext::of(trace, span, flags & understood | flag::REMOTE))
}

/// As it is sent, in version 00.
pub(crate) fn write(context: SpanContext) -> [u8; LENGTH] {
    let mut text = [b'-'; LENGTH];
    let mut put = |at: usize, bytes: &[u8]| {
        for (pair, byte) in text[at..].chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
    };
    put(0, &[0]);
    put(3, &context.trace_bytes());
    put(36, &context.span_bytes());
    put(53, &[context.active.flags & flag::SENT]);
    text
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Lower case alone, as the recommendation has it.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn hex(pair: [u8; 2]) -> Option<[u8; 1]> {
    Some([value(pair[0])? << 4 | value(pair[1])?])
}

fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks().0) {
        [*byte] = hex(*pair)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    fn parsed(text: &str) -> Result<SpanContext, Reason> {
        parse(text.as_bytes())
    }

    /// Named as the W3C's own test suite names them.
    #[test]
    fn the_recommendations_own_cases() {
        let ok = parsed(GOOD).unwrap();
        assert!(ok.is_sampled() && ok.is_remote());
        assert_eq!(write(ok), GOOD.as_bytes());
        let trace = "12345678901234567890123456789012";
        let bad = |text: &str, reason| assert_eq!(parsed(text).unwrap_err(), reason, "{text:?}");
        let good =
            |text: &str| assert_eq!(parsed(text).unwrap().trace_bytes()[0], 0x12, "{text:?}");
        // test_traceparent_version_0x00
        bad(&format!("00-{trace}-1234567890123456-01."), Reason::Length);
        bad(
            &format!("00-{trace}-1234567890123456-01-what-the-future-will-be-like"),
            Reason::Length,
        );
        // test_traceparent_version_0xcc
        good(&format!("cc-{trace}-1234567890123456-01"));
        good(&format!("cc-{trace}-1234567890123456-01-what-the-future-will-be-like"));
        bad(
            &format!("cc-{trace}-1234567890123456-01.what-the-future-will-be-like"),
            Reason::Length,
        );
        // test_traceparent_version_0xff
        bad(&format!("ff-{trace}-1234567890123456-01"), Reason::Version);
        // test_traceparent_version_illegal_characters
        bad(&format!(".0-{trace}-1234567890123456-01"), Reason::Version);
        bad(&format!("0.-{trace}-1234567890123456-01"), Reason::Version);
        // test_traceparent_version_too_long, _too_short
        bad(&format!("000-{trace}-1234567890123456-01"), Reason::Length);
        bad(&format!("0000-{trace}-1234567890123456-01"), Reason::Length);
        bad(&format!("0-{trace}-1234567890123456-01"), Reason::Length);
        // test_traceparent_trace_id_all_zero, _illegal_characters, _too_long, _too_short
        bad("00-00000000000000000000000000000000-1234567890123456-01", Reason::ZeroId);
        bad("00-.2345678901234567890123456789012-1234567890123456-01", Reason::Format);
        bad("00-1234567890123456789012345678901.-1234567890123456-01", Reason::Format);
        bad("00-123456789012345678901234567890123-1234567890123456-01", Reason::Length);
        bad("00-1234567890123456789012345678901-1234567890123456-01", Reason::Length);
        // test_traceparent_parent_id_all_zero, _illegal_characters, _too_long, _too_short
        bad(&format!("00-{trace}-0000000000000000-01"), Reason::ZeroId);
        bad(&format!("00-{trace}-.234567890123456-01"), Reason::Format);
        bad(&format!("00-{trace}-123456789012345.-01"), Reason::Format);
        bad(&format!("00-{trace}-12345678901234567-01"), Reason::Length);
        bad(&format!("00-{trace}-123456789012345-01"), Reason::Length);
        // test_traceparent_trace_flags_illegal_characters, _too_long, _too_short
        bad(&format!("00-{trace}-1234567890123456-.0"), Reason::Format);
        bad(&format!("00-{trace}-1234567890123456-0."), Reason::Format);
        bad(&format!("00-{trace}-1234567890123456-001"), Reason::Length);
        bad(&format!("00-{trace}-1234567890123456-1"), Reason::Length);
        // test_traceparent_ows_handling
        for (before, behind) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
            good(&format!("{before}00-{trace}-1234567890123456-01{behind}"));
        }
        // Upper case is none of the recommendation's.
        bad(&GOOD.to_ascii_uppercase(), Reason::Format);
        bad(&GOOD.replace("af", "Af"), Reason::Format);
        // test_ctor of the test suite's own parser: empty.
        bad("", Reason::Length);
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        let sent = |version: &str, flags: &str| {
            let text = format!("{version}{}{flags}", &GOOD[2..53]);
            String::from_utf8(write(parsed(&text).unwrap())[53..].to_vec()).unwrap()
        };
        for (flags, kept) in [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03")]
        {
            assert_eq!(sent("00", flags), kept);
        }
        for (flags, kept) in [("00", "00"), ("01", "01"), ("02", "00"), ("ff", "01")] {
            assert_eq!(sent("01", flags), kept);
        }
    }

    /// The dullest reading that could work: parts between dashes.
    fn oracle(text: &str) -> bool {
        let text = text.trim_matches([' ', '\t']);
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags, rest @ ..] = &parts[..] else { return false };
        let hex = |part: &str, length: usize| {
            part.len() == length && part.chars().all(|char| "0123456789abcdef".contains(char))
        };
        let zero = |part: &str| part.chars().all(|char| char == '0');
        hex(version, 2)
            && hex(trace, 32)
            && hex(span, 16)
            && hex(flags, 2)
            && !zero(trace)
            && !zero(span)
            && *version != "ff"
            && (*version != "00" || rest.is_empty())
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_oracle_takes(
            text in "[ \t]{0,1}(00|01|ff|fe|0A|0)-?(0{32}|[0-9a-f]{30,34}|[0-9a-fA-F]{32})-(0{16}|[0-9a-f]{15,17})-[0-9a-g]{1,3}(-|-x|\\.|)[ ]{0,1}"
        ) {
            prop_assert_eq!(parsed(&text).is_ok(), oracle(&text), "{:?}", text);
        }

        #[test]
        fn what_was_written_is_read_back(trace in 1u128.., span in 1u64.., flags in 0u8..4) {
            let context = SpanContext::of(trace.to_be_bytes(), span.to_be_bytes(), flags);
            let back = parse(&write(context)).unwrap();
            prop_assert_eq!(back.active.ids, context.active.ids);
            prop_assert_eq!(back.active.flags & flag::SENT, flags);
        }
    }
}

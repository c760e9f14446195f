//! Credentials within texts: what follows `Bearer` or `Basic`, wherever it stands.

use crate::logs::secret::REDACTED;
use crate::shard::wide::{Work, widely};

/// Bytes that [`suspect`] looks at a time, and how far past them.
const BLOCK: usize = 32;
const AHEAD: usize = 3;
/// The same of texts that are shorter than such a block.
const SMALL: usize = 16;
/// Bytes from which on wide vectors are worth the call.
const WIDE: usize = 64;

/// Whether `bytes` may have a credential: `be?r` or `ba?i` in any case. It reads a whole frame, its
/// numbers too: a wrong yes costs time, and there is no wrong no, because texts stand in a frame in
/// one piece.
///
/// Compiled to vector instructions without a branch but the loop's: 3 ns for 100 bytes.
#[inline]
pub(super) fn suspect(bytes: &[u8]) -> bool {
    if bytes.len() >= WIDE { widely(Suspect(bytes)) } else { by_small_blocks(bytes) }
}

/// By itself, so that what it keeps stays in registers wherever that is.
#[inline(never)]
fn by_small_blocks(bytes: &[u8]) -> bool {
    by_blocks::<SMALL>(bytes)
}

/// What [`suspect`] does with many bytes.
struct Suspect<'a>(&'a [u8]);

impl Work for Suspect<'_> {
    type Done = bool;

    #[inline(always)]
    fn work(self) -> bool {
        by_blocks::<BLOCK>(self.0)
    }
}

#[inline(always)]
fn by_blocks<const BLOCK: usize>(bytes: &[u8]) -> bool {
    let mut least = [u8::MAX; BLOCK];
    let mut rest = bytes;
    while rest.len() >= BLOCK + AHEAD {
        nearest(rest, &mut least);
        rest = &rest[BLOCK..];
    }
    if rest.len() > AHEAD {
        // What is left over, and again some of what is before it.
        match bytes.len().checked_sub(BLOCK + AHEAD) {
            Some(last) => nearest(&bytes[last..], &mut least),
            None => {
                let four = bytes.windows(AHEAD + 1).map(|four| distance(four[0], four[1], four[3]));
                least[0] = four.min().unwrap_or(u8::MAX);
            }
        }
    }
    least.iter().fold(false, |any, least| any | (*least == 0))
}

/// Keeps the least [`distance`] of each lane, of the block that `bytes` begin with.
#[inline(always)]
fn nearest<const BLOCK: usize>(bytes: &[u8], least: &mut [u8; BLOCK]) {
    let lanes = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>);
    if let (Some(first), Some(second), Some(fourth)) = (lanes(0), lanes(1), lanes(AHEAD)) {
        for (at, least) in least.iter_mut().enumerate() {
            *least = (*least).min(distance(first[at], second[at], fourth[at]));
        }
    }
}

/// 0 for the first, second and fourth letter of a scheme.
#[inline(always)]
fn distance(first: u8, second: u8, fourth: u8) -> u8 {
    // The bit that tells capitals.
    const CASE: u8 = !0x20;
    let bearer = ((second ^ b'e') | (fourth ^ b'r')) & CASE;
    let basic = ((second ^ b'a') | (fourth ^ b'i')) & CASE;
    (first ^ b'b') & CASE | bearer.min(basic)
}

/// Writes `text` to `out` without its credentials and says how many there were; writes nothing when
/// there were none.
pub(super) fn replace(text: &[u8], out: &mut Vec<u8>) -> u32 {
    let (mut count, mut copied, mut at) = (0, 0, 0);
    while at < text.len() {
        let Some(scheme) = scheme(&text[at..]) else {
            at += 1;
            continue;
        };
        at += scheme;
        let Some(gap) = self::gap(&text[at..]) else { continue };
        let credential = &text[at + gap..];
        let length = credential_length(credential);
        // `Bearer Bearer abc`, as proxies write that add one to what has it.
        let again = self::scheme(credential)
            .is_some_and(|scheme| self::gap(&credential[scheme..]).is_some());
        if length == 0 || again || credential.starts_with(REDACTED.as_bytes()) {
            continue;
        }
        out.extend_from_slice(&text[copied..at + gap]);
        out.extend_from_slice(REDACTED.as_bytes());
        at += gap + length;
        copied = at;
        count += 1;
    }
    if count > 0 {
        out.extend_from_slice(&text[copied..]);
    }
    count
}

/// The length of the scheme that `text` begins with.
fn scheme(text: &[u8]) -> Option<usize> {
    [&b"bearer"[..], b"basic"].into_iter().find_map(|scheme| {
        text.get(..scheme.len())?.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })
}

/// What stands between scheme and credential: blanks, also as URLs and forms spell them, and what
/// JSON or a map's `Debug` puts there.
fn gap(text: &[u8]) -> Option<usize> {
    let first = match text {
        [b'%', b'2', b'0', ..] => 3,
        [b'+', ..] => 1,
        _ => 0,
    };
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\:=".contains(byte);
    let rest = text[first..].iter().take_while(|byte| is_gap(byte)).count();
    Some(first + rest).filter(|&length| length > 0)
}

/// Up to whatever can't be in a credential; to the end where the text was cut in its middle.
fn credential_length(text: &[u8]) -> usize {
    let ends = |at: usize, byte: u8| match byte {
        // `\/` is how some write a slash, and `\u003d` an equals sign.
        b'\\' => !matches!(text.get(at + 1), Some(b'/' | b'u')),
        _ => {
            byte.is_ascii_whitespace()
                || byte.is_ascii_control()
                || b"\"',;<>()]}&`|".contains(&byte)
        }
    };
    let end = text.iter().enumerate().position(|(at, &byte)| ends(at, byte));
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replaced(text: &str) -> (String, u32) {
        let mut out = Vec::new();
        let count = replace(text.as_bytes(), &mut out);
        let text = if count == 0 { text.to_owned() } else { String::from_utf8(out).unwrap() };
        (text, count)
    }

    #[test]
    fn the_scheme_stays_and_the_credential_goes() {
        for (text, wanted, count) in [
            ("Authorization: Bearer abc.def-123==", "Authorization: Bearer [redacted]", 1),
            ("BASIC  dXNlcjpwYXNz, bearer x", "BASIC  [redacted], bearer [redacted]", 2),
            (r#"{"authorization":"Bearer a\/b"}"#, r#"{"authorization":"Bearer [redacted]"}"#, 1),
            (r#"{\"h\":\"Bearer abc\"}"#, r#"{\"h\":\"Bearer [redacted]\"}"#, 1),
            ("?auth=Bearer%20abc&n=1", "?auth=Bearer%20[redacted]&n=1", 1),
            ("{\"bearer\": \"abc\"}", "{\"bearer\": \"[redacted]\"}", 1),
            ("Bearer Bearer abc", "Bearer Bearer [redacted]", 1),
            ("Bearer [redacted]", "Bearer [redacted]", 0),
            (
                "a forbearer, basics, bearers and Bearer",
                "a forbearer, basics, bearers and Bearer",
                0,
            ),
            ("Bearer ", "Bearer ", 0),
            ("", "", 0),
        ] {
            assert_eq!(replaced(text), (wanted.to_owned(), count));
        }
    }

    proptest! {
        #[test]
        fn whoever_has_one_is_suspect(
            before in prop::collection::vec(any::<u8>(), 0..40),
            scheme in "[Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc]",
            secret in "[A-Za-z0-9._~+/-]{8,90}",
            after in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes = [&before, scheme.as_bytes(), b" ", secret.as_bytes(), b"\n", &after].concat();
            prop_assert!(suspect(&bytes));
            let mut out = Vec::new();
            prop_assert!(replace(&bytes, &mut out) > 0);
            let is_there = |text: &[u8]| text.windows(secret.len()).any(|part| part == secret.as_bytes());
            prop_assert!(is_there(&bytes) && !is_there(&out));
        }

        #[test]
        fn blocks_miss_nothing(bytes in prop::collection::vec(
            prop::sample::select(b"bBeEaArRiI x".to_vec()), 0..150))
        {
            let by_four = bytes.to_ascii_lowercase().windows(4).any(|four| {
                matches!(four, [b'b', b'e', _, b'r'] | [b'b', b'a', _, b'i'])
            });
            prop_assert_eq!(suspect(&bytes), by_four);
        }
    }
}

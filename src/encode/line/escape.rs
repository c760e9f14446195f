//! Texts without anything that ends a string, forges a line or drives a terminal.
//!
//! Escaped are all control characters (C0, DEL, C1), the separators U+2028 and U+2029, which some
//! readers take for the end of a line, and U+202A to U+202E and U+2066 to U+2069, which turn the order
//! of what is seen: in every format, as JSON would (`\n`, `\u001b`). What is not UTF-8 becomes
//! U+FFFD.

/// Where a text stands.
pub(super) mod place {
    /// Between quotes: quotes and backslashes are escaped too.
    pub(in super::super) const QUOTED: u8 = 0;
    /// On the line as it is.
    pub(in super::super) const OPEN: u8 = 1;
    /// On the line as it is, up to the next blank: nothing that has blanks, `=` or quotes.
    pub(in super::super) const WORD: u8 = 2;
}
use place::{OPEN, QUOTED, WORD};

/// Visible ASCII that means nothing in this place. Compiled to a few vector instructions for all of
/// the block: no branch until its end.
#[inline(always)]
fn dirty<const PLACE: u8, const N: usize>(block: &[u8; N]) -> bool {
    let mut dirty = false;
    for &byte in block {
        let mut bad = byte.wrapping_sub(b' ') >= 0x5f;
        if PLACE != OPEN {
            bad |= (byte == b'"') | (byte == b'\\');
        }
        if PLACE == WORD {
            bad |= (byte == b' ') | (byte == b'=');
        }
        dirty |= bad;
    }
    dirty
}

/// The same of eight bytes in a register. A byte that is too small borrows from the next one, which may
/// then be taken for another that is: but only where there is one.
#[inline(always)]
fn dirty_word<const PLACE: u8>(word: u64) -> bool {
    const EACH: u64 = u64::MAX / 255;
    let below = |word: u64, least: u8| word.wrapping_sub(EACH * u64::from(least)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let mut bad = word | below(word, b' ') | is(0x7f);
    if PLACE != OPEN {
        bad |= is(b'"') | is(b'\\');
    }
    if PLACE == WORD {
        bad |= is(b' ') | is(b'=');
    }
    bad & (EACH << 7) != 0
}

/// One block of two, so that both are looked at at once.
#[inline(always)]
fn both(first: &[u8; 8], last: &[u8; 8]) -> [u8; 16] {
    let mut block = [0; 16];
    block[..8].copy_from_slice(first);
    block[8..].copy_from_slice(last);
    block
}

/// Whether a text can stand there as it is. The last block overlaps the one before, so that nothing
/// is looked at byte by byte but what is shorter than a word.
#[inline]
pub(super) fn plain<const PLACE: u8>(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk::<16>() {
        let (blocks, _) = text.as_chunks::<16>();
        return !blocks.iter().any(dirty::<PLACE, 16>) && !dirty::<PLACE, 16>(last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return !dirty::<PLACE, 16>(&both(first, last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        return !dirty_word::<PLACE>(first | last << 32);
    }
    text.iter().all(|&byte| !dirty::<PLACE, 1>(&[byte]))
}

/// Copies a text of up to 32 bytes that can stand between quotes as it is into `room`, which is as long;
/// false where it is longer, or can't. Looked at is what is in the registers anyway.
#[inline(always)]
pub(super) fn copied(text: &[u8], room: &mut [u8]) -> bool {
    match text.len() {
        8..=16 => {
            copied_by(text, room, |first: &[u8; 8], last| dirty::<QUOTED, 16>(&both(first, last)))
        }
        17..=32 => copied_by(text, room, |first: &[u8; 16], last| {
            dirty::<QUOTED, 16>(first) | dirty::<QUOTED, 16>(last)
        }),
        4..8 => copied_by(text, room, |first: &[u8; 4], last| {
            let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
            dirty_word::<QUOTED>(first | last << 32)
        }),
        ..4 => {
            room.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            plain::<QUOTED>(text)
        }
        _ => false,
    }
}

/// The same of one that is as long as `N` bytes or more, and not longer than two of them.
#[inline(always)]
fn copied_by<const N: usize>(
    text: &[u8],
    room: &mut [u8],
    dirty: impl FnOnce(&[u8; N], &[u8; N]) -> bool,
) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else { return false };
    if dirty(first, last) {
        return false;
    }
    if let Some(room) = room.first_chunk_mut() {
        *room = *first;
    }
    if let Some(room) = room.last_chunk_mut() {
        *room = *last;
    }
    true
}

/// Writes a text into quotes that are there already.
#[inline]
pub(in crate::encode) fn quoted(text: &[u8], out: &mut Vec<u8>) {
    match plain::<QUOTED>(text) {
        true => out.extend_from_slice(text),
        false => escape::<QUOTED>(text, out),
    }
}

/// Writes a text onto the line, without quotes.
#[inline]
pub(super) fn open(text: &[u8], out: &mut Vec<u8>) {
    match plain::<OPEN>(text) {
        true => out.extend_from_slice(text),
        false => escape::<OPEN>(text, out),
    }
}

#[inline(never)]
fn escape<const PLACE: u8>(text: &[u8], out: &mut Vec<u8>) {
    // Says yes faster than the chunks do.
    if let Ok(text) = std::str::from_utf8(text) {
        return valid::<PLACE>(text.as_bytes(), out);
    }
    for chunk in text.utf8_chunks() {
        valid::<PLACE>(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Runs that need nothing are copied whole: also those of other scripts, of which only the few
/// characters are looked at that share their first byte with what is escaped.
fn valid<const PLACE: u8>(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let (run, rest) = text.split_at(run::<PLACE>(text));
        out.extend_from_slice(run);
        let Some(length) = first(rest, out) else { return };
        text = &rest[length..];
    }
}

#[inline(always)]
fn suspect<const PLACE: u8>(byte: u8) -> bool {
    let quote = PLACE == QUOTED && (byte == b'"') | (byte == b'\\');
    (byte < b' ') | (byte == 0x7f) | (byte == 0xc2) | (byte == 0xe2) | quote
}

/// How many bytes need no look.
fn run<const PLACE: u8>(text: &[u8]) -> usize {
    let (blocks, _) = text.as_chunks::<16>();
    let clean = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |any, &byte| any | suspect::<PLACE>(byte)))
        .count();
    let from = clean * 16;
    let within = text[from..].iter().position(|&byte| suspect::<PLACE>(byte));
    within.map_or(text.len(), |within| from + within)
}

/// Writes the suspect character at the front, escaped or not, and says how long it was.
fn first(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let short = match text {
        [] => return None,
        [b'"', ..] => b'"',
        [b'\\', ..] => b'\\',
        [b'\n', ..] => b'n',
        [b'\r', ..] => b'r',
        [b'\t', ..] => b't',
        [0xc2, low @ 0x80..=0x9f, ..] => return Some(unicode(u16::from(*low), 2, out)),
        [0xe2, 0x80, low @ 0xa8..=0xae, ..] => {
            return Some(unicode(0x2000 | u16::from(low & 0x3f), 3, out));
        }
        [0xe2, 0x81, low @ 0xa6..=0xa9, ..] => {
            return Some(unicode(0x2040 | u16::from(low & 0x3f), 3, out));
        }
        [control @ (0..0x20 | 0x7f), ..] => return Some(unicode(u16::from(*control), 1, out)),
        [byte, ..] => {
            // The first of a longer character: what follows it is no suspect.
            out.push(*byte);
            return Some(1);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
    Some(1)
}

fn unicode(code: u16, length: usize, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"\\u");
    hex(&code.to_be_bytes(), out);
    length
}

/// Two digits a byte, in lower case.
#[inline]
pub(in crate::encode) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        let digits = [byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]);
        out.extend_from_slice(&digits);
    }
}

/// As RFC 4648 has it, padded.
pub(in crate::encode) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let at = |index| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]);
        let used = three.len() + 1;
        out.extend_from_slice(&digits[..used]);
        out.extend_from_slice(&b"=="[..4 - used]);
    }
}

#[cfg(test)]
pub(in crate::encode) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Characters that no line may have.
    pub(in super::super) fn is_hidden(char: char) -> bool {
        char.is_control()
            || matches!(char, '\u{2028}'..='\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }

    /// Characters on both sides of each border that the code draws, and bytes that are no text.
    pub(in crate::encode) fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            "a",
            "key",
            " ",
            "=",
            "\"",
            "\\",
            "\n",
            "\r",
            "\t",
            "\0",
            "\x1b[31m",
            "\x1f",
            "~",
            "\x7f",
            "\u{80}",
            "\u{9b}",
            "\u{9f}",
            "\u{a0}",
            "ß",
            "\u{2027}",
            "\u{2028}",
            "\u{2029}",
            "\u{202a}",
            "\u{202e}",
            "\u{202f}",
            "\u{2065}",
            "\u{2066}",
            "\u{2069}",
            "\u{206a}",
            "漢",
            "😀",
            "sixteen bytes ok",
            "…",
        ];
        let broken: [&[u8]; 5] = [b"\xff", b"\xc2", b"\xe2\x80", b"\xed\xa0\x80", b"\x9b"];
        let pieces: Vec<Vec<u8>> =
            pieces.iter().map(|piece| piece.as_bytes()).chain(broken).map(<[u8]>::to_vec).collect();
        prop_oneof![
            prop::collection::vec(prop::sample::select(pieces), 0..24)
                .prop_map(|pieces| pieces.concat()),
            any::<String>().prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..80),
        ]
    }

    /// Character by character.
    fn oracle(text: &[u8], quotes: bool) -> String {
        let mut escaped = String::new();
        for char in String::from_utf8_lossy(text).chars() {
            match char {
                '\n' => escaped.push_str("\\n"),
                '\r' => escaped.push_str("\\r"),
                '\t' => escaped.push_str("\\t"),
                '"' | '\\' if quotes => escaped.extend(['\\', char]),
                _ if is_hidden(char) => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => escaped.push(char),
            }
        }
        escaped
    }

    proptest! {
        #[test]
        fn escapes_as_the_oracle(text in hostile()) {
            let mut out = Vec::new();
            quoted(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), oracle(&text, true));
            let mut out = Vec::new();
            open(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), oracle(&text, false));
        }

        #[test]
        fn a_word_has_nothing_that_ends_it(text in hostile()) {
            let word = text.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\=".contains(byte));
            prop_assert_eq!(plain::<WORD>(&text), word);
        }
    }

    #[test]
    fn each_length_is_looked_at_to_its_end() {
        for length in 0..70 {
            let mut text = vec![b'x'; length];
            assert!(plain::<QUOTED>(&text) && plain::<OPEN>(&text) && plain::<WORD>(&text));
            for at in 0..length {
                for bad in [b'\n', 0x7f, 0x80, 0xff] {
                    text[at] = bad;
                    assert!(!plain::<QUOTED>(&text) && !plain::<OPEN>(&text), "{length} {at}");
                }
                text[at] = b'"';
                assert!(!plain::<QUOTED>(&text) && plain::<OPEN>(&text) && !plain::<WORD>(&text));
                text[at] = b' ';
                assert!(plain::<QUOTED>(&text) && !plain::<WORD>(&text));
                text[at] = b'x';
            }
        }
    }

    #[test]
    fn a_short_text_is_copied_whole_where_it_needs_nothing() {
        for length in 0..70 {
            let mut text: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
            let mut room = vec![0; length];
            assert_eq!(copied(&text, &mut room), length <= 32);
            assert!(room == text || length > 32);
            for at in 0..length {
                for bad in [b'\n', b'"', b'\\', 0, 0x1f, 0x7f, 0x80, 0xff] {
                    let good = std::mem::replace(&mut text[at], bad);
                    assert!(!copied(&text, &mut room), "{length} {at}");
                    text[at] = good;
                }
            }
        }
    }

    #[test]
    fn base64_is_padded() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| {
            let mut out = Vec::new();
            base64(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}

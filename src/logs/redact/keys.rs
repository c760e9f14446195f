//! Which fields are kept out because of what they are called.

/// Never in a log, by their name or a part of it.
const DEFAULTS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "authorization",
    "secret",
    "secrets",
    "api_key",
    "apikey",
    "cookie",
    "cookies",
    "set_cookie",
    "private_key",
    "access_key",
    "credential",
    "credentials",
];

/// Bytes of a key's name that a frame carries.
const MOST_KEY: usize = 255;
/// A separator before each byte, and one at the end.
const MOST_NAME: usize = 2 * MOST_KEY + 1;

/// The names, and whether they are those that may get out or those that may not.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Words with a separator on each side.
    denied: Vec<Vec<u8>>,
    /// In lower case, as is the next.
    kept: Vec<Vec<u8>>,
    only: Option<Vec<Vec<u8>>>,
}

impl Keys {
    pub(super) fn none() -> Keys {
        Keys { denied: Vec::new(), kept: Vec::new(), only: None }
    }

    pub(super) fn defaults() -> Keys {
        let mut keys = Keys::none();
        DEFAULTS.iter().for_each(|key| keys.deny(key));
        keys
    }

    pub(super) fn deny(&mut self, key: &str) {
        for split in [false, true] {
            let mut room = [0; MOST_NAME];
            self.deny_words(words(key.as_bytes(), split, &mut room));
        }
    }

    /// Words with a separator on each side, as [`words`] makes them.
    pub(super) fn deny_words(&mut self, words: &[u8]) {
        // Without a word it would stand in every name.
        if words.len() > 1 && !self.denied.iter().any(|denied| denied == words) {
            self.denied.push(words.to_vec());
        }
    }

    pub(super) fn keep(&mut self, key: &str) {
        self.kept.push(key.to_ascii_lowercase().into_bytes());
    }

    pub(super) fn only<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>) {
        let keys = keys.into_iter().map(|key| key.to_ascii_lowercase().into_bytes());
        self.only.get_or_insert_default().extend(keys);
    }

    /// Those that are denied, as [`Keys::deny_words`] takes them, and those that are kept.
    #[cfg(target_os = "linux")]
    pub(super) fn lists(&self) -> [&[Vec<u8>]; 2] {
        [&self.denied, &self.kept]
    }

    /// Those that alone may get out, where it is so.
    #[cfg(target_os = "linux")]
    pub(super) fn listed_only(&self) -> Option<&[Vec<u8>]> {
        self.only.as_deref()
    }

    /// Whether the value of a field of this name is kept out: about 100 ns.
    pub(super) fn deny_field(&self, key: &[u8]) -> bool {
        let is = |keys: &[Vec<u8>]| keys.iter().any(|listed| listed.eq_ignore_ascii_case(key));
        if let Some(only) = &self.only {
            return !is(only);
        }
        if self.denied.is_empty() || is(&self.kept) {
            return false;
        }
        [false, true].into_iter().any(|split| {
            let mut room = [0; MOST_NAME];
            let words = words(key, split, &mut room);
            self.denied.iter().any(|denied| words.windows(denied.len()).any(|part| part == denied))
        })
    }
}

/// The words of a name in lower case, with one separator before, between and after them. A word ends
/// where something stands that is neither letter nor digit; with `split` also at digits and where
/// capitals begin: `accessToken2`.
fn words<'r>(key: &[u8], split: bool, room: &'r mut [u8; MOST_NAME]) -> &'r [u8] {
    let key = &key[..key.len().min(MOST_KEY)];
    let mut length = 1;
    room[0] = b'_';
    for (at, &byte) in key.iter().enumerate() {
        let is_word = byte.is_ascii_alphabetic() || byte >= 0x80;
        let stays = is_word || byte.is_ascii_digit() && !split;
        let before = at.checked_sub(1).map(|before| key[before]);
        let after = key.get(at + 1).copied().unwrap_or(b'A');
        // `accessToken`, and the last capital of `APIKey`.
        let is_new = split
            && byte.is_ascii_uppercase()
            && before
                .is_some_and(|before| !before.is_ascii_uppercase() || after.is_ascii_lowercase());
        if (!stays || is_new) && room[length - 1] != b'_' {
            room[length] = b'_';
            length += 1;
        }
        if stays {
            room[length] = byte.to_ascii_lowercase();
            length += 1;
        }
    }
    if room[length - 1] != b'_' {
        room[length] = b'_';
        length += 1;
    }
    &room[..length]
}

/// Names that were asked for lately, and the answers.
pub(super) struct Answers {
    known: Box<[Answer; Answers::PLACES]>,
}

#[derive(Clone, Copy, Default)]
struct Answer {
    key: Asked,
    denied: bool,
}

/// A name as whole words, in which all of its bytes are: what compares them calls nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Asked {
    /// Its first and last eight bytes; of a shorter one what there is.
    ends: [u64; 2],
    /// Those beside the ends, of a name that is longer than both of them.
    middle: [u64; 2],
    /// 0: nothing yet.
    length: usize,
}

impl Asked {
    /// Bytes that fit.
    const MOST: usize = 32;

    /// Of 8 bytes or more, as most are; nothing of others, and of what is too long.
    #[inline(always)]
    fn of_usual(key: &[u8]) -> Option<Asked> {
        let length = key.len();
        let ends = |key: &[u8]| {
            let (first, last) = (key.first_chunk()?, key.last_chunk()?);
            Some([u64::from_le_bytes(*first), u64::from_le_bytes(*last)])
        };
        let middle = match length {
            8..=16 => [0; 2],
            17..=Asked::MOST => [
                u64::from_le_bytes(*key[8..].first_chunk()?),
                u64::from_le_bytes(*key[..length - 8].last_chunk()?),
            ],
            _ => return None,
        };
        Some(Asked { ends: ends(key)?, middle, length })
    }

    /// Nothing of a name without a byte, and of one that is too long.
    fn new(key: &[u8]) -> Option<Asked> {
        match key.len() {
            length @ 1..8 => {
                let word = key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
                Some(Asked { ends: [word, 0], middle: [0; 2], length })
            }
            _ => Asked::of_usual(key),
        }
    }
}

impl Answers {
    /// A power of two.
    const PLACES: usize = 128;

    pub(super) fn new() -> Answers {
        Answers { known: Box::new([Answer::default(); Answers::PLACES]) }
    }

    /// Where a name has its place: by its ends, all of most names.
    #[inline(always)]
    fn place(asked: &Asked) -> usize {
        let word = asked.ends[0] ^ asked.ends[1].rotate_left(29) ^ asked.length as u64;
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (Answers::PLACES - 1)
    }

    /// [`Keys::deny_field`], for less where the name is known.
    #[inline(always)]
    pub(super) fn deny_field(&mut self, key: &[u8], keys: &Keys) -> bool {
        if let Some(asked) = Asked::of_usual(key) {
            let answer = &self.known[Answers::place(&asked)];
            if answer.key == asked {
                return answer.denied;
            }
        }
        self.of_any(key, keys)
    }

    /// The same of names of any length. By itself, so that the words stay in registers where they are
    /// all that it takes.
    #[inline(never)]
    fn of_any(&mut self, key: &[u8], keys: &Keys) -> bool {
        let Some(asked) = Asked::new(key) else { return keys.deny_field(key) };
        let answer = &mut self.known[Answers::place(&asked)];
        if answer.key != asked {
            *answer = Answer { key: asked, denied: keys.deny_field(key) };
        }
        answer.denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_of_the_name_is_enough() {
        let keys = Keys::defaults();
        for denied in [
            "password",
            "PASSWORD",
            "db.password",
            "user-password-hash",
            "accessToken",
            "token",
            "x_api_key",
            "apiKey",
            "APIKey",
            "X-Api-Key",
            "api key",
            "aws.secret",
            "Set-Cookie",
            "proxy-authorization",
            "awsSecretAccessKey",
            "password2",
            "private.key",
            "__token__",
            "headers[authorization]",
            "userCredentials",
        ] {
            assert!(keys.deny_field(denied.as_bytes()), "{denied}");
        }
        for allowed in [
            "",
            "tool",
            "tokens",
            "max_tokens",
            "tokenizer",
            "passwordless",
            "secretary",
            "key",
            "api",
            "apikeys_are",
            "author",
            "keyprivate",
            "_",
            "pass_word",
            "cookietoken",
        ] {
            assert!(!keys.deny_field(allowed.as_bytes()), "{allowed}");
        }
    }

    #[test]
    fn a_host_adds_and_excepts() {
        let mut keys = Keys::defaults();
        keys.deny("socialNumber");
        keys.keep("Token_Count");
        keys.deny("--");
        for denied in ["social_number", "SOCIALNUMBER", "theSocialNumber", "token"] {
            assert!(keys.deny_field(denied.as_bytes()), "{denied}");
        }
        for allowed in ["token_count", "social", "any"] {
            assert!(!keys.deny_field(allowed.as_bytes()), "{allowed}");
        }
        keys.only(["tool", "token"]);
        let denied = |key: &str| keys.deny_field(key.as_bytes());
        assert_eq!([denied("Tool"), denied("token"), denied("other")], [false, false, true]);
    }

    proptest! {
        /// Whatever was asked before, and however long the name.
        #[test]
        fn answers_are_kept_right(asked in prop::collection::vec(
            prop_oneof!["[a-c]{0,2}", "(db_)?(token|tool)[0-9]?", "[tokenA-Z_]{0,300}"], 0..200))
        {
            let keys = Keys::defaults();
            let mut answers = Answers::new();
            for key in &asked {
                let key = key.as_bytes();
                prop_assert_eq!(answers.deny_field(key, &keys), keys.deny_field(key));
            }
        }

        /// All bytes of a name are in its words, and none but those.
        #[test]
        fn names_differ_as_their_words_do(
            key in prop::collection::vec(0u8..2, 1..=Asked::MOST), at in any::<prop::sample::Index>())
        {
            let asked = Asked::new(&key);
            prop_assert!(asked.is_some());
            let mut other = key.clone();
            other[at.index(key.len())] ^= 1;
            prop_assert!(Asked::new(&other) != asked);
            for length in 1..key.len() {
                prop_assert!(Asked::new(&key[..length]) != asked);
            }
        }
    }
}

//! `baggage`: what the application gives to all who take part in a trace,
//! `key=value;property,key=value`.

use std::borrow::Cow;
use std::fmt;

use super::{Reason, trim};

/// List members that are kept, as many as the recommendation wants.
const MOST_MEMBERS: usize = 64;
/// Bytes of all of them, the same.
const MOST_BYTES: usize = 8192;

/// Reads the headers of one request in their order, as one list.
#[derive(Default)]
pub(crate) struct Reader {
    /// The good members, without the spaces around them.
    list: String,
    members: usize,
    malformed: bool,
    /// Nothing is read any more.
    full: Option<Reason>,
}

impl Reader {
    pub(crate) fn read(&mut self, value: &[u8]) {
        for member in value.split(|byte| *byte == b',') {
            if self.full.is_some() {
                return;
            }
            let member = trim(member);
            if member.is_empty() {
                continue;
            }
            // One that is bad is left out; the others have nothing to do with it.
            match BaggageEntry::parse(member) {
                Some(entry) => self.keep(entry.text),
                None => self.malformed = true,
            }
        }
    }

    fn keep(&mut self, member: &str) {
        let comma = usize::from(!self.list.is_empty());
        if self.members == MOST_MEMBERS {
            self.full = Some(Reason::Members);
        } else if self.list.len() + comma + member.len() > MOST_BYTES {
            self.full = Some(Reason::TooLong);
        } else {
            self.members += 1;
            self.list.push_str(if comma == 1 { "," } else { "" });
            self.list.push_str(member);
        }
    }

    /// What is passed on.
    pub(crate) fn finish(self, told: &mut dyn FnMut(Reason)) -> Box<str> {
        if self.malformed {
            told(Reason::Format);
        }
        self.full.into_iter().for_each(told);
        self.list.into()
    }
}

/// What the application gives to all who take part in a trace: keys with values, from
/// [`Parent::baggage`](crate::traces::Parent::baggage) and
/// [`Span::baggage`](crate::traces::Span::baggage).
///
/// It goes to whoever is called next, and comes from whoever called: no secrets in it, and nothing
/// that is believed. At most 64 entries and 8 KiB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Baggage<'a> {
    /// Checked.
    list: &'a str,
}

impl<'a> Baggage<'a> {
    pub(crate) fn new(list: &'a str) -> Baggage<'a> {
        Baggage { list }
    }

    /// The value of `key`, decoded; of several the last. Allocates where there is something to decode.
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.entries().filter(|entry| entry.key == key).last().map(|entry| entry.value())
    }

    /// All entries in the order in which they came.
    pub fn entries(&self) -> impl Iterator<Item = BaggageEntry<'a>> + use<'a> {
        self.list.split(',').filter_map(|member| BaggageEntry::parse(member.as_bytes()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// As it is sent.
    pub fn as_str(&self) -> &'a str {
        self.list
    }

    /// With `key` set to `value` and nothing else of that key; nothing where it is no key, or there
    /// is no room.
    pub(crate) fn with(&self, key: &str, value: &str) -> Option<Box<str>> {
        if !is_token(key.as_bytes()) {
            return None;
        }
        let mut list = String::with_capacity(self.list.len() + key.len() + value.len() + 2);
        let mut members = 1;
        for entry in self.entries().filter(|entry| entry.key != key) {
            list.push_str(entry.text);
            list.push(',');
            members += 1;
        }
        list.push_str(key);
        list.push('=');
        encode(value, &mut list);
        (members <= MOST_MEMBERS && list.len() <= MOST_BYTES).then(|| list.into())
    }
}

impl fmt::Debug for Baggage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries().map(|entry| (entry.key, entry.value()))).finish()
    }
}

/// An entry of a [`Baggage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaggageEntry<'a> {
    text: &'a str,
    key: &'a str,
    value: &'a str,
    properties: &'a str,
}

impl<'a> BaggageEntry<'a> {
    fn parse(member: &'a [u8]) -> Option<BaggageEntry<'a>> {
        let text = std::str::from_utf8(member).ok()?;
        let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (trimmed(key), trimmed(value));
        let good = is_token(key.as_bytes()) && value.bytes().all(is_octet);
        let entry = BaggageEntry { text, key, value, properties };
        // A `;` with nothing behind it has no property, and may not be there.
        let all = pair.len() == text.len() || properties.split(';').all(is_property);
        (good && all).then_some(entry)
    }

    /// The key.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// The value with what is percent-encoded in it decoded; what is no UTF-8 is replaced.
    pub fn value(&self) -> Cow<'a, str> {
        decode(self.value)
    }

    /// What is said about the entry: keys, of which some have values, which are as they came.
    pub fn properties(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let properties = self.properties.split(';').map(trimmed).filter(|one| !one.is_empty());
        properties.map(|one| match one.split_once('=') {
            Some((key, value)) => (trimmed(key), Some(trimmed(value))),
            None => (one, None),
        })
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_property(text: &str) -> bool {
    match text.split_once('=') {
        Some((key, value)) => {
            is_token(trimmed(key).as_bytes()) && trimmed(value).bytes().all(is_octet)
        }
        None => is_token(trimmed(text).as_bytes()),
    }
}

/// HTTP's `token`.
fn is_token(text: &[u8]) -> bool {
    let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_char)
}

/// What may stand in a value as it is.
fn is_octet(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~')
}

fn encode(value: &str, to: &mut String) {
    for byte in value.bytes() {
        if is_octet(byte) && byte != b'%' {
            to.push(char::from(byte));
        } else {
            let digit =
                |value: u8| char::from_digit(value.into(), 16).map(|c| c.to_ascii_uppercase());
            to.push('%');
            to.extend(digit(byte >> 4));
            to.extend(digit(byte & 15));
        }
    }
}

fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, behind @ ..] = rest {
        let digit = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            // A `%` that encodes nothing stands for itself.
            _ => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    Cow::Owned(match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> (String, Vec<Reason>) {
        let mut reader = Reader::default();
        values.iter().for_each(|value| reader.read(value.as_bytes()));
        let mut faults = Vec::new();
        let list = reader.finish(&mut |reason| faults.push(reason));
        (list.into(), faults)
    }

    fn pairs(list: &str) -> Vec<(&str, String)> {
        Baggage::new(list).entries().map(|entry| (entry.key(), entry.value().into())).collect()
    }

    /// The recommendation's examples, and what its test suite has of parsing.
    #[test]
    fn what_the_recommendation_shows() {
        let (list, faults) = read(&["userId=alice,serverNode=DF%2028,isProduction=false"]);
        assert!(faults.is_empty());
        let Baggage { list } = Baggage::new(&list);
        let wanted = [("userId", "alice"), ("serverNode", "DF 28"), ("isProduction", "false")];
        assert_eq!(pairs(list), wanted.map(|(key, value)| (key, value.to_owned())));

        let text = "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue";
        let (list, faults) = read(&[text]);
        assert!(faults.is_empty());
        let entries: Vec<_> = Baggage::new(&list).entries().collect();
        let of = |n: usize| entries[n].properties().collect::<Vec<_>>();
        assert_eq!(of(0), [("property1", None), ("property2", None)]);
        assert_eq!(of(1), []);
        assert_eq!(of(2), [("propertyKey", Some("propertyValue"))]);
        // test_parse_multiple_equals: a value may hold them.
        assert_eq!(pairs("SomeKey=SomeValue=equals"), [("SomeKey", "SomeValue=equals".to_owned())]);
        // test_parse_percent_encoded, and what decodes to no UTF-8.
        let encoded = "k=%09%20%22%27%3B%3Dasdf%21%40%23%24%25%5E%26%2A%28%29";
        assert_eq!(pairs(encoded)[0].1, "\t \"';=asdf!@#$%^&*()");
        assert_eq!(pairs("k=%ff%C3%A9%")[0].1, "\u{fffd}é%");
        // Empty values are allowed.
        assert_eq!(pairs("k="), [("k", String::new())]);
    }

    #[test]
    fn bad_members_are_left_out_and_told_and_the_others_stay() {
        for bad in
            ["nothing", "=v", "a b=v", "k=a b", "k=a\"", "k=\\", "k=é", "k=v;", "k=v;a b", "ké=v"]
        {
            let (list, faults) = read(&[&format!("a=1,{bad},,b=2"), "c=3"]);
            assert_eq!((&*list, &*faults), ("a=1,b=2,c=3", &[Reason::Format][..]), "{bad}");
        }
    }

    #[test]
    fn it_has_64_members_and_8192_bytes_and_no_part_of_one() {
        let many: Vec<String> = (0..65).map(|n| format!("k{n}=v")).collect();
        let (list, faults) = read(&[&many.join(",")]);
        assert_eq!((list, faults), (many[..64].join(","), vec![Reason::Members]));
        let long = format!("k={}", "v".repeat(8190));
        assert_eq!(read(&[&long]), (long.clone(), vec![]));
        assert_eq!(read(&["a=1", &long]), ("a=1".to_owned(), vec![Reason::TooLong]));
        assert!(Baggage::new(&long).with("a", "1").is_none());
    }

    #[test]
    fn a_key_is_set_once_and_only_if_it_is_one() {
        let baggage = Baggage::new("a=1;p,b=2,a=3");
        assert_eq!(baggage.get("a").as_deref(), Some("3"));
        assert_eq!(baggage.with("a", "x,y").as_deref(), Some("b=2,a=x%2Cy"));
        assert_eq!(baggage.with("c", "").as_deref(), Some("a=1;p,b=2,a=3,c="));
        for key in ["", "a b", "a=b", "é", "a,b"] {
            assert!(baggage.with(key, "v").is_none(), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_goes_and_comes_back(value in any::<String>()) {
            let list = Baggage::new("x=y").with("k", &value);
            prop_assume!(list.is_some());
            let list = list.unwrap();
            prop_assert_eq!(read(&[&list]), (list.to_string(), vec![]));
            let back = Baggage::new(&list).get("k");
            prop_assert_eq!(back.as_deref(), Some(&*value));
        }

        /// The oracle looks at each member on its own, by the letters that the grammar names.
        #[test]
        fn what_is_kept_is_what_the_oracle_keeps(
            values in prop::collection::vec("([ \t]?[a! (é]{0,2}[ ]?=?[a%2\"\\\\; =~]{0,5},?){0,8}", 0..4)
        ) {
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
            let token = |text: &str| {
                let of = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
                !text.is_empty() && text.chars().all(|char| of.contains(char))
            };
            let octets = |text: &str| {
                text.chars().all(|char| ('!'..='~').contains(&char) && !"\",;\\".contains(char))
            };
            let good = |member: &String| {
                member.split(';').enumerate().all(|(n, part)| match part.split_once('=') {
                    Some((key, value)) => token(&trim(key)) && octets(&trim(value)),
                    None => n > 0 && token(&trim(part)),
                })
            };
            let joined = values.join(",");
            let members: Vec<String> = joined.split(',').map(trim).filter(|one| !one.is_empty()).collect();
            let kept: Vec<String> = members.iter().filter(|one| good(one)).cloned().collect();
            let faults = if kept.len() == members.len() { vec![] } else { vec![Reason::Format] };
            prop_assert_eq!(read(&texts), (kept.join(","), faults));
        }
    }
}

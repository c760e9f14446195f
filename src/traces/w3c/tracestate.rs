//! `tracestate`: what the systems that a trace went through keep in it, `key=value,key=value`.
//!
//! Ours passes it on and adds nothing.

use super::{Reason, trim};

/// List members there may be.
const MOST_MEMBERS: usize = 32;
/// Bytes that are passed on: as many as the recommendation wants at least, and as a span keeps.
pub(crate) const MOST_BYTES: usize = crate::ring::draft::MOST_TRACESTATE;
/// Members longer than this go first where it is too long.
const LONG_MEMBER: usize = 128;
/// Bytes of a key, and of a value.
const MOST_PART: usize = 256;

/// Reads the headers of one request in their order, as one list.
#[derive(Default)]
pub(crate) struct Reader {
    /// The members without the spaces around them; at most 32 of 513 bytes.
    list: String,
    members: usize,
    duplicates: bool,
    /// Why none of it counts.
    malformed: Option<Reason>,
}

impl Reader {
    pub(crate) fn read(&mut self, value: &[u8]) {
        for member in value.split(|byte| *byte == b',') {
            if self.malformed.is_some() {
                return;
            }
            // Empty ones are allowed.
            let member = trim(member);
            if !member.is_empty()
                && let Err(reason) = self.member(member)
            {
                self.malformed = Some(reason);
            }
        }
    }

    fn member(&mut self, member: &[u8]) -> Result<(), Reason> {
        if self.members == MOST_MEMBERS {
            return Err(Reason::Members);
        }
        let (key, value) = checked(member).ok_or(Reason::Format)?;
        self.members += 1;
        if self.list.split(',').any(|seen| key_of(seen) == key) {
            self.duplicates = true;
            return Ok(());
        }
        for part in [if self.list.is_empty() { "" } else { "," }, key, "=", value] {
            self.list.push_str(part);
        }
        Ok(())
    }

    /// What is passed on.
    pub(crate) fn finish(mut self, told: &mut dyn FnMut(Reason)) -> Box<str> {
        if let Some(reason) = self.malformed {
            told(reason);
            return Box::default();
        }
        if self.duplicates {
            told(Reason::DuplicateKey);
        }
        if self.list.len() > MOST_BYTES {
            told(Reason::TooLong);
            self.list = shortened(&self.list);
        }
        self.list.into()
    }
}

fn key_of(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key)
}

/// Long members go first, and then the last ones, which are the oldest.
fn shortened(list: &str) -> String {
    let mut members: Vec<&str> = list.split(',').collect();
    let mut length = list.len();
    for long in [true, false] {
        let mut at = members.len();
        while length > MOST_BYTES && at > 0 {
            at -= 1;
            if !long || members[at].len() > LONG_MEMBER {
                length -= members.remove(at).len() + 1;
            }
        }
    }
    members.join(",")
}

/// Key and value of a member without spaces around it.
fn checked(member: &[u8]) -> Option<(&str, &str)> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (member.get(..at)?, member.get(at + 1..)?);
    let is_key =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let good_key = matches!(key, [b'a'..=b'z' | b'0'..=b'9', ..]) && key.iter().all(is_key);
    // Printable ASCII without the two that part a list; not ending in a space, of which none is left.
    let is_value = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let good_value = !value.is_empty() && value.iter().all(is_value);
    if !good_key || !good_value || key.len() > MOST_PART || value.len() > MOST_PART {
        return None;
    }
    Some((std::str::from_utf8(key).ok()?, std::str::from_utf8(value).ok()?))
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

    /// Named as the W3C's own test suite names them; its keys are those of level 2.
    #[test]
    fn the_recommendations_own_cases() {
        let good = |values: &[&str], kept: &str| {
            assert_eq!(read(values), (kept.to_owned(), vec![]), "{values:?}");
        };
        let bad = |values: &[&str], reason| {
            assert_eq!(read(values), (String::new(), vec![reason]), "{values:?}");
        };
        // test_tracestate_empty_header
        good(&["foo=1", ""], "foo=1");
        good(&["", "foo=1"], "foo=1");
        // test_tracestate_multiple_headers_different_keys
        good(&["foo=1,", ",bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3");
        // test_tracestate_duplicated_keys
        for values in [&["foo=1,foo=1"][..], &["foo=1,foo=2"], &["foo=1", "foo=2"]] {
            assert_eq!(read(values), ("foo=1".to_owned(), vec![Reason::DuplicateKey]));
        }
        // test_tracestate_ows_handling
        good(&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3");
        good(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3 "], "foo=1,bar=2,baz=3");
        // test_tracestate_all_allowed_characters
        let key = "az09_-*/@";
        let value: String = (b' '..=b'~').map(char::from).filter(|c| !",=".contains(*c)).collect();
        good(&[&format!("{key}={value}")], &format!("{key}={value}"));
        // test_tracestate_key_illegal_characters
        for text in ["foo =1", "FOO=1", "foo.bar=1", "=1", "foo", "é=1", "_a=1", "@a=1"] {
            bad(&[text], Reason::Format);
            bad(&["bar=1", text], Reason::Format);
        }
        // test_tracestate_key_length_limit, test_multitenant…
        let long = "z".repeat(256);
        good(&[&format!("{long}=1")], &format!("{long}=1"));
        bad(&[&format!("{long}z=1")], Reason::Format);
        // test_tracestate_value_illegal_characters
        for text in ["foo=bar=baz", "foo=,bar=3", "foo=\u{7f}", "foo=é", "foo=a\tb"] {
            bad(&[text], Reason::Format);
        }
        // test_tracestate_member_count_limit
        let members = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| format!("bar{n:02}={n:02}")).collect();
            all.join(",")
        };
        good(&[&members(32)], &members(32));
        bad(&[&members(33)], Reason::Members);
    }

    #[test]
    fn what_is_too_long_loses_its_long_members_first_and_then_the_last() {
        let short = |key: &str| format!("{key}={}", "v".repeat(90));
        let long = |key: &str| format!("{key}={}", "v".repeat(200));
        let list = [long("a"), short("b"), short("c"), long("d")].join(",");
        let kept = [long("a"), short("b"), short("c")].join(",");
        assert_eq!(read(&[&list]), (kept, vec![Reason::TooLong]));
        let all: Vec<String> = (0..8).map(|n| short(&format!("k{n}"))).collect();
        assert_eq!(read(&[&all.join(",")]), (all[..5].join(","), vec![Reason::TooLong]));
    }

    /// The dullest reading that could work.
    fn oracle(values: &[String]) -> Option<Vec<String>> {
        let joined = values.join(",");
        let mut seen: Vec<String> = Vec::new();
        let members = joined.split(',').map(|one| one.trim_matches([' ', '\t']));
        for (n, member) in members.filter(|one| !one.is_empty()).enumerate() {
            let parts: Vec<&str> = member.split('=').collect();
            let [key, value] = parts[..] else { return None };
            let first = key.chars().next()?;
            let allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
            if n >= 32
                || !key.chars().all(|char| allowed.contains(char))
                || "_-*/@".contains(first)
                || value.is_empty()
                || value.chars().any(|char| !(' '..='~').contains(&char))
                || key.len().max(value.len()) > 256
            {
                return None;
            }
            if !seen.iter().any(|one| one.split('=').next() == Some(key)) {
                seen.push(member.to_owned());
            }
        }
        Some(seen)
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_the_oracle_keeps(
            values in prop::collection::vec("([ \t]?[a-c@A]{0,2}=?[a-c =~é]{0,3}[ ]?,?){0,12}", 0..4)
        ) {
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            let (kept, faults) = read(&texts);
            match oracle(&values) {
                Some(members) => prop_assert_eq!(kept, members.join(",")),
                None => prop_assert!(kept.is_empty() && faults.len() == 1, "{kept:?}"),
            }
        }

        #[test]
        fn whatever_came_what_is_kept_is_short_and_read_again_the_same(
            values in prop::collection::vec("([a-z]{1,2}=[a-z ]{0,140}[a-z],){0,12}", 0..4)
        ) {
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            let (kept, _) = read(&texts);
            prop_assert!(kept.len() <= MOST_BYTES);
            prop_assert_eq!(read(&[&kept]), (kept, vec![]));
        }
    }
}

//! What stands behind the `?` of a request to the console, as far as somebody asks for it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Bytes of a query, and pairs in it, at most.
const MOST_BYTES: usize = 4 << 10;
const MOST_PAIRS: usize = 64;

/// Names and values. A name that nobody asks for changes nothing; of a name that is there twice the
/// first counts, as for a page's own script; an empty value is none. A `%` that begins no byte stands
/// for itself, and what is no UTF-8 becomes U+FFFD, as browsers have it.
#[derive(Debug)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Why a query is refused, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadQuery(String);

impl BadQuery {
    /// That the value of `name` is not `what`.
    pub(crate) fn new(name: &str, what: &str) -> BadQuery {
        BadQuery(format!("{name}: {what}"))
    }
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Query<'a> {
    pub(crate) fn read(query: &'a str) -> Result<Query<'a>, BadQuery> {
        if query.len() > MOST_BYTES {
            return Err(BadQuery(format!("the query is longer than {MOST_BYTES} bytes")));
        }
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).take(MOST_PAIRS + 1).collect();
        if pairs.len() > MOST_PAIRS {
            return Err(BadQuery(format!("the query has more than {MOST_PAIRS} values")));
        }
        Ok(Query(pairs))
    }

    /// What `name` is, where it is anything.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(&**value).filter(|value| !value.is_empty())
    }

    /// The same read as a `T`, or that it has to be `what`.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, BadQuery> {
        let parsed = self.text(name).map(|text| text.trim().parse::<T>());
        parsed.transpose().map_err(|_| BadQuery::new(name, what))
    }

    /// How many are wanted, at most `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, BadQuery> {
        // More than any number there is would be is as good as the most.
        let all_digits = |text: &str| text.trim().bytes().all(|byte| byte.is_ascii_digit());
        match self.text("limit") {
            Some(text) if all_digits(text) && text.trim().len() > 9 => Ok(most),
            _ => {
                let limit: Option<usize> = self.parsed("limit", "a number")?;
                Ok(limit.unwrap_or(default).min(most))
            }
        }
    }

    /// Whether something is asked for, by `1` or `true`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, BadQuery> {
        match self.text(name) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(BadQuery::new(name, "1 or 0")),
        }
    }
}

/// Appends `text` in lower case, character by character: what a letter becomes does not depend on
/// those around it, so that a part of a text is found in it.
pub(crate) fn fold(text: &str, out: &mut String) {
    if text.is_ascii() {
        let from = out.len();
        out.push_str(text);
        out[from..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// The same as a text of its own.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::new();
    fold(text, &mut folded);
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(query: &str, name: &str) -> Option<String> {
        Query::read(query).unwrap().text(name).map(str::to_owned)
    }

    #[test]
    fn values_are_decoded_and_what_is_broken_stands_for_itself() {
        for (query, expected) in [
            ("text=a", Some("a")),
            ("a=1&text=b%20c+d&z", Some("b c d")),
            ("text=%C3%A9%22%0a", Some("é\"\n")),
            ("text=100%&b", Some("100%")),
            ("text=%zz%4", Some("%zz%4")),
            ("text=%ff", Some("\u{fffd}")),
            ("text=%2525", Some("%25")),
            ("te%78t=a%26b%3Dc", Some("a&b=c")),
            ("text=first&text=second", Some("first")),
            ("text=a=b", Some("a=b")),
            ("text=", None),
            ("text", None),
            ("", None),
            ("&&&=&=a", None),
            ("Text=a", None),
        ] {
            assert_eq!(text(query, "text").as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn what_is_too_much_or_makes_no_sense_is_refused_with_the_reason() {
        let refused = |query: &str| Query::read(query).unwrap_err().to_string();
        assert!(refused(&"a".repeat(MOST_BYTES + 1)).contains("4096 bytes"));
        assert!(Query::read(&"a".repeat(MOST_BYTES)).is_ok());
        assert!(refused(&"a&".repeat(MOST_PAIRS + 1)).contains("64 values"));
        let query = Query::read("limit=x&n=-1&errors=2").unwrap();
        assert_eq!(query.limit(1, 2).unwrap_err().to_string(), "limit: a number");
        assert_eq!(query.parsed::<u64>("n", "a number").unwrap_err().to_string(), "n: a number");
        assert_eq!(query.flag("errors").unwrap_err().to_string(), "errors: 1 or 0");
        let limit = |query| Query::read(query).unwrap().limit(20, 100);
        let limits = ["", "limit=", "limit=7", "limit=101", "limit=99999999999999999999999"];
        assert_eq!(limits.map(|query| limit(query).unwrap()), [20, 20, 7, 100, 100]);
        assert!(limit("limit=-1").is_err() && limit("limit=1e3").is_err());
    }

    /// By the dullest rules there are.
    fn by_hand(query: &str) -> Vec<(String, String)> {
        let decode = |text: &str| {
            let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
            while let Some((&byte, after)) = rest.split_first() {
                let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                let digits = digits.filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
                let coded = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                (bytes, rest) = match (byte, coded) {
                    (b'%', Some(coded)) => ([bytes, vec![coded]].concat(), &after[2..]),
                    (b'+', _) => ([bytes, vec![b' ']].concat(), after),
                    _ => ([bytes, vec![byte]].concat(), after),
                };
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (decode(name), decode(value)),
            None => (decode(pair), String::new()),
        };
        pairs.map(pair).collect()
    }

    proptest! {
        #[test]
        fn any_query_is_read_as_by_hand(query in "[a-c%+&=0-9A-Fé\u{0}\"]{0,60}") {
            let read = Query::read(&query).unwrap();
            for name in ["a", "b", "c", "", "é", "ab"] {
                let expected = by_hand(&query).into_iter().find(|(key, _)| key == name);
                let expected = expected.map(|(_, value)| value).filter(|value| !value.is_empty());
                prop_assert_eq!(read.text(name).map(str::to_owned), expected);
            }
        }

        #[test]
        fn nothing_panics(query in any::<String>()) {
            let Ok(query) = Query::read(&query) else { return Ok(()) };
            let _ = (query.limit(1, 2), query.flag("a"), query.parsed::<f64>("b", "x"));
        }
    }
}

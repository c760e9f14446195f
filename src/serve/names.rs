//! Which families a scrape asks for: the values of `name[]` in its query.

/// The key, as Prometheus' `params` and the clients of other languages have it.
const KEY: &str = "name[]";

/// Names that one scrape may ask for, and bytes of each.
const MOST_NAMES: usize = 64;
const MOST_BYTES: usize = 256;

/// What people are told about that.
const TOO_MANY: &str = "name[]: at most 64 names\n";
const TOO_LONG: &str = "name[]: a name has at most 256 bytes\n";

/// What a scrape asks for by name, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The names in a query; nothing where it has none, which asks for all, and the reason where they
    /// are past a limit. All other keys are passed over.
    pub(crate) fn read(query: Option<&str>) -> Result<Option<Names>, &'static str> {
        let mut names: Option<Vec<String>> = None;
        for (key, name) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if key != KEY {
                continue;
            }
            if name.len() > MOST_BYTES {
                return Err(TOO_LONG);
            }
            // What is no UTF-8 is no metric's name either way.
            let name = name.into_owned();
            let names = names.get_or_insert_default();
            if names.contains(&name) {
                continue;
            }
            if names.len() == MOST_NAMES {
                return Err(TOO_MANY);
            }
            names.push(name);
        }
        Ok(names.map(Names))
    }

    pub(crate) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Option<Vec<String>> {
        Names::read(Some(query)).unwrap().map(|names| names.0)
    }

    #[test]
    fn names_are_read_however_they_are_spelled() {
        for one in [
            "name[]=a_total",
            "name%5B%5D=a_total",
            "name%5b%5d=a%5Ftotal",
            "%6eame[%5D=a_total&name[]=a_total",
            "x=y&name[]=a_total&name=b&name[=c&names[]=d&&=&%",
        ] {
            assert_eq!(read(one).unwrap(), ["a_total"], "{one}");
        }
        // What Prometheus sends of `params: {"name[]": [b, a]}`.
        assert_eq!(read("name%5B%5D=b&name%5B%5D=a").unwrap(), ["b", "a"]);
    }

    #[test]
    fn a_query_without_names_asks_for_all() {
        for none in ["", "x=y", "name=a", "name[0]=a", "Name[]=a", "%", "&&", "[]=a"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(Names::read(None), Ok(None));
    }

    #[test]
    fn what_can_be_no_name_asks_for_nothing() {
        for (query, name) in [
            ("name[]", ""),
            ("name[]=", ""),
            ("name[]=%", "%"),
            ("name[]=%4", "%4"),
            ("name[]=%zz=", "%zz="),
            ("name[]=%ff", "\u{fffd}"),
            ("name[]=%00", "\0"),
            ("name[]=%2541", "%41"),
        ] {
            assert_eq!(read(query).unwrap(), [name], "{query}");
        }
    }

    #[test]
    fn names_past_a_limit_are_refused() {
        let query = |count: usize| {
            (0..count).map(|n| format!("name[]=n{n}&name[]=n0")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(read(&query(MOST_NAMES)).unwrap().len(), MOST_NAMES);
        assert_eq!(Names::read(Some(&query(MOST_NAMES + 1))), Err(TOO_MANY));
        assert!(TOO_MANY.contains(&MOST_NAMES.to_string()));
        let long = |len: usize| format!("name[]={}", "%61".repeat(len));
        assert_eq!(read(&long(MOST_BYTES)).unwrap(), ["a".repeat(MOST_BYTES)]);
        assert_eq!(Names::read(Some(&long(MOST_BYTES + 1))), Err(TOO_LONG));
        assert!(TOO_LONG.contains(&MOST_BYTES.to_string()));
    }

    proptest! {
        /// Whatever a name is, encoded it is read back; and no query panics.
        #[test]
        fn what_is_encoded_is_read_back(name in "\\PC{0,40}", junk in "[%&=a-f\\[\\]]{0,40}") {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(read(&format!("name[]={encoded}")).unwrap(), [name]);
            let _ = Names::read(Some(&junk));
        }
    }
}

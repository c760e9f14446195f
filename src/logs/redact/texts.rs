//! Rules as texts: a ring file has lines as they were logged, and with them what is to be kept out when
//! somebody else reads it.

use super::Redaction;

/// Words with a separator on each side.
const WORDS: &str = "words";
const KEEP: &str = "keep";
const ONLY: &str = "only";
const CREDENTIALS: &str = "credentials";
const PATTERN: &str = "pattern";

impl Redaction {
    /// The rules, each as its kind, a space and what it says.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if self.credentials {
            texts.push(CREDENTIALS.to_owned());
        }
        let mut add = |kind: &str, names: &[Vec<u8>]| {
            let name = |name: &Vec<u8>| format!("{kind} {}", String::from_utf8_lossy(name));
            texts.extend(names.iter().map(name));
        };
        let [denied, kept] = self.keys.lists();
        add(WORDS, denied);
        add(KEEP, kept);
        if let Some(only) = self.keys.listed_only() {
            add(ONLY, only);
            // Where there are none nothing may get out.
            texts.push(ONLY.to_owned());
        }
        #[cfg(feature = "patterns")]
        texts.extend(self.patterns.all().map(|pattern| format!("{PATTERN} {pattern}")));
        texts
    }

    /// The rules again, or which of them is not understood: without it secrets would get out.
    pub(crate) fn of_texts(texts: &[Box<str>]) -> Result<Redaction, String> {
        texts.iter().try_fold(Redaction::none(), |mut rules, text| {
            match text.split_once(' ').unwrap_or((text, "")) {
                (CREDENTIALS, "") => Ok(rules.credentials(true)),
                (ONLY, "") => Ok(rules.only([])),
                (ONLY, name) => Ok(rules.only([name])),
                (WORDS, words) => {
                    rules.keys.deny_words(words.as_bytes());
                    Ok(rules)
                }
                (KEEP, name) => Ok(rules.keep(name)),
                #[cfg(feature = "patterns")]
                (PATTERN, pattern) => rules.pattern(pattern).map_err(|error| error.to_string()),
                #[cfg(not(feature = "patterns"))]
                (PATTERN, _) => Err("a program with the feature `patterns` can read it".to_owned()),
                (kind, _) => Err(format!("a rule of redaction of an unknown kind, {kind:?}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(rules: &Redaction) -> Redaction {
        let texts: Vec<Box<str>> = rules.texts().into_iter().map(Box::from).collect();
        Redaction::of_texts(&texts).unwrap()
    }

    #[test]
    fn rules_come_back_as_they_were() {
        let many =
            || Redaction::new().key("accessToken2").key("user id").keep("token_count").keep("a b");
        let all = [
            Redaction::none(),
            Redaction::none().credentials(true),
            Redaction::new(),
            many(),
            many().credentials(false).only(["tool", "status"]),
            Redaction::none().only([]),
            Redaction::none().key("größe"),
        ];
        for rules in all {
            assert_eq!(format!("{:?}", again(&rules)), format!("{rules:?}"));
        }
    }

    #[cfg(feature = "patterns")]
    #[test]
    fn patterns_come_back_too() {
        let rules =
            Redaction::none().pattern(r"\d{4} \d{4}").unwrap().pattern("(?i)x=(.*)").unwrap();
        assert_eq!(again(&rules).texts(), rules.texts());
        assert_eq!(rules.texts()[0], r"pattern \d{4} \d{4}");
    }

    #[test]
    fn what_is_not_understood_is_no_rule() {
        for text in ["", "credentials no", "key token", "pattern ("] {
            assert!(Redaction::of_texts(&[text.into()]).is_err(), "{text:?}");
        }
    }
}

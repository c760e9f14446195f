//! Names in Rust's cases to values in another.

/// How a value is made from its variant's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Case {
    /// By the names that serde gives them.
    pub(super) const NAMES: [(&str, Case); 8] = [
        ("lowercase", Case::Lower),
        ("UPPERCASE", Case::Upper),
        ("PascalCase", Case::Pascal),
        ("camelCase", Case::Camel),
        ("snake_case", Case::Snake),
        ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
        ("kebab-case", Case::Kebab),
        ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
    ];

    pub(super) fn apply(self, name: &str) -> String {
        let words = words(name);
        let capital = |word: &String| {
            let mut chars = word.chars();
            chars.next().map(char::to_uppercase).into_iter().flatten().chain(chars).collect()
        };
        let capitals = || words.iter().map(capital).collect::<Vec<String>>().concat();
        match self {
            Case::Lower => words.concat(),
            Case::Upper => words.concat().to_uppercase(),
            Case::Pascal => capitals(),
            Case::Camel => {
                let mut rest = words.clone();
                let first = if rest.is_empty() { String::new() } else { rest.remove(0) };
                first + &rest.iter().map(capital).collect::<Vec<String>>().concat()
            }
            Case::Snake => words.join("_"),
            Case::ScreamingSnake => words.join("_").to_uppercase(),
            Case::Kebab => words.join("-"),
            Case::ScreamingKebab => words.join("-").to_uppercase(),
        }
    }
}

/// The words of `HTTPError2xx` in lower case: `http`, `error2xx`. One begins at a capital after
/// something else, and at the last of several capitals where a small letter follows.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    for (at, &char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let begins = char.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if begins || char == '_' {
            words.push(String::new());
        }
        if char != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_where_a_reader_would_say() {
        for (name, expected) in [
            ("Ok", "ok"),
            ("RateLimited", "rate_limited"),
            ("HTTPError", "http_error"),
            ("Http2", "http2"),
            ("Http2Error", "http2_error"),
            ("ClientIO", "client_io"),
            ("ABTest", "ab_test"),
            ("X", "x"),
            ("Snake_Case", "snake_case"),
            ("_Hidden", "hidden"),
            ("Größe", "größe"),
            ("already_snake", "already_snake"),
            ("_", ""),
        ] {
            assert_eq!(Case::Snake.apply(name), expected, "{name}");
        }
    }

    #[test]
    fn each_case_is_written_as_its_own_name_says() {
        for (name, case) in Case::NAMES {
            // `lowercase` and `UPPERCASE` are one word in their own name.
            let variant = match case {
                Case::Lower | Case::Upper => "Lowercase",
                Case::Pascal => "PascalCase",
                Case::Camel => "CamelCase",
                Case::Snake => "SnakeCase",
                Case::ScreamingSnake => "ScreamingSnakeCase",
                Case::Kebab => "KebabCase",
                Case::ScreamingKebab => "ScreamingKebabCase",
            };
            let expected = if case == Case::Upper { "LOWERCASE" } else { name };
            assert_eq!(case.apply(variant), expected);
        }
        assert_eq!(Case::Lower.apply("RateLimited"), "ratelimited");
        assert_eq!(Case::Upper.apply("RateLimited"), "RATELIMITED");
    }
}

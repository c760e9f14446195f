//! Names, and the text that is rendered once when a series is born.

use std::ops::Deref;

use super::key::ends;
use crate::Error;

/// Most labels one family may have.
pub(crate) const MOST_LABELS: usize = 16;

/// The label that a textfile puts on every sample.
const COPY_LABEL: &str = "vitals_copy";

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, by Prometheus's data model.
pub(crate) fn check_metric(name: &str) -> Result<(), Error> {
    if is_name(name, |byte| byte == b':') {
        return Ok(());
    }
    Err(Error::InvalidName { name: name.to_owned() })
}

/// Checks the labels of `metric`, own and constant ones together.
pub(crate) fn check_labels<'a>(
    metric: &str,
    labels: impl Iterator<Item = &'a str> + Clone,
    histogram: bool,
) -> Result<(), Error> {
    let refuse = |label: &str, rule| {
        Err(Error::InvalidLabel { metric: metric.to_owned(), label: label.to_owned(), rule })
    };
    for (index, label) in labels.clone().enumerate() {
        if !is_name(label, |_| false) {
            return refuse(label, "must match [a-zA-Z_][a-zA-Z0-9_]*");
        }
        if label.starts_with("__") {
            return refuse(label, "names that begin with __ are Prometheus's own");
        }
        if label == COPY_LABEL {
            return refuse(label, "tells apart the textfiles of a server's copies");
        }
        if histogram && label == "le" {
            return refuse(label, "le is the histogram's own label");
        }
        if labels.clone().take(index).any(|earlier| earlier == label) {
            return refuse(label, "is there twice (constant labels count)");
        }
        if index >= MOST_LABELS {
            return refuse(label, "a family has at most 16 labels");
        }
    }
    Ok(())
}

fn is_name(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let ok = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || extra(byte);
    let mut bytes = name.bytes();
    bytes.next().is_some_and(ok) && bytes.all(|byte| ok(byte) || byte.is_ascii_digit())
}

/// The name of a family's label, which a record by name compares with the caller's.
pub(crate) struct LabelName {
    text: Box<str>,
    ends: (u64, u64),
}

impl LabelName {
    /// Longest whose ends are all of it.
    const SHORT: usize = 2 * size_of::<u64>();

    pub(crate) fn new(text: &str) -> LabelName {
        LabelName { text: text.into(), ends: ends(text) }
    }

    /// In two comparisons of words, without a call but for names of more than 16 bytes.
    #[inline(always)]
    pub(crate) fn is(&self, name: &str) -> bool {
        name.len() == self.text.len()
            && ends(name) == self.ends
            && (name.len() <= LabelName::SHORT || *name == *self.text)
    }
}

impl Deref for LabelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Appends a label value as text 0.0.4 and OpenMetrics both want it: `\`, `"` and newline escaped.
pub(crate) fn push_escaped_value(out: &mut String, value: &str) {
    push_escaped(out, value, true);
}

/// Appends a help text: `\` and newline escaped.
pub(crate) fn push_escaped_help(out: &mut String, help: &str) {
    push_escaped(out, help, false);
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(char),
        }
    }
}

/// Appends `name="value",` for each label; the caller takes the last comma off or puts braces.
pub(crate) fn push_labels<'a>(out: &mut String, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in labels {
        out.push_str(name);
        out.push_str("=\"");
        push_escaped_value(out, value);
        out.push_str("\",");
    }
}

/// Cuts a label value to `limit` bytes at a character's edge.
pub(crate) fn cut(value: &str, limit: usize) -> &str {
    if value.len() <= limit {
        return value;
    }
    let mut end = limit;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The labels of a rendered set, unescaped, in their order.
    fn parse_labels(rendered: &str) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        let mut rest = rendered;
        while let Some((name, tail)) = rest.split_once("=\"") {
            let mut value = String::new();
            let mut chars = tail.char_indices();
            let mut end = tail.len();
            while let Some((at, char)) = chars.next() {
                match char {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => match chars.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, char)) => value.push(char),
                        None => {}
                    },
                    _ => value.push(char),
                }
            }
            labels.push((name.to_owned(), value));
            rest = tail[end..].trim_start_matches(',');
        }
        labels
    }

    proptest! {
        /// The oracle is the parser of the rendered text: no value forges another label.
        #[test]
        fn rendered_labels_read_back(values in prop::collection::vec(".*", 0..5)) {
            let names: Vec<Box<str>> = (0..values.len()).map(|n| format!("l{n}").into()).collect();
            let mut text = String::new();
            push_labels(&mut text, names.iter().map(|n| &**n).zip(values.iter().map(|v| &**v)));
            let read = parse_labels(&text);
            prop_assert_eq!(read.iter().map(|l| &l.1).collect::<Vec<_>>(), values.iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_cut_value_is_a_prefix_within_the_limit(value in ".*", limit in 0usize..40) {
            let cut = cut(&value, limit);
            prop_assert!(cut.len() <= limit && value.starts_with(cut));
            prop_assert!(cut.len() == value.len() || limit - cut.len() < 4);
        }
    }

    proptest! {
        /// Few letters and all lengths around a word's, so that names are often alike in their ends.
        #[test]
        fn a_label_name_is_itself_alone(names in prop::array::uniform2("[ab]{1,3}|a{3,20}|a{8}[ab]{0,9}a{8}")) {
            let [one, other] = &names;
            prop_assert!(LabelName::new(one).is(one));
            prop_assert_eq!(LabelName::new(one).is(other), one == other);
        }
    }

    #[test]
    fn names_follow_the_data_model() {
        for name in ["a", "_a", ":a:b", "A9_"] {
            assert!(check_metric(name).is_ok(), "{name}");
        }
        for name in ["", "9a", "a-b", "a b", "ä", "a{", "a\n"] {
            assert!(check_metric(name).is_err(), "{name}");
        }
    }

    #[test]
    fn labels_that_prometheus_would_refuse_are_refused() {
        let check =
            |labels: &[&str], histogram| check_labels("m", labels.iter().copied(), histogram);
        assert!(check(&["tool", "operation"], true).is_ok());
        assert!(check(&["le"], false).is_ok());
        for (labels, histogram) in [
            (&["le"][..], true),
            (&["a", "a"], false),
            (&["__name__"], false),
            (&["a:b"], false),
            (&[""], false),
            (
                &[
                    "q", "w", "e", "r", "t", "y", "u", "i", "o", "p", "a", "s", "d", "f", "g", "h",
                    "j",
                ],
                false,
            ),
        ] {
            assert!(check(labels, histogram).is_err(), "{labels:?}");
        }
    }
}

//! Patterns that the host gives, with the feature `patterns`; else none.

use super::texts;
use crate::batch::Record;
use crate::ring::frame::Text;

/// The host's patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    #[cfg(feature = "patterns")]
    list: Vec<regex::bytes::Regex>,
}

impl Patterns {
    #[cfg(feature = "patterns")]
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), crate::Error> {
        // Of bytes, not of characters: a text need not be UTF-8, and the tables stay out.
        let built = regex::bytes::RegexBuilder::new(pattern).unicode(false).build();
        let invalid = |why: regex::Error| crate::Error::InvalidPattern {
            pattern: pattern.to_owned(),
            why: why.to_string(),
        };
        self.list.push(built.map_err(invalid)?);
        Ok(())
    }

    /// As they were given.
    #[cfg(all(feature = "patterns", target_os = "linux"))]
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|pattern| pattern.as_str())
    }

    /// Whether there is something for [`replace`](Patterns::replace) to do in a line.
    #[inline]
    pub(super) fn hit(&self, record: &Record<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let context = &record.context;
        let ids = [context.request_id, context.user_id, context.session_id, Some(record.message)];
        let fields = context.fields().chain(record.fields()).flat_map(|field| texts(&field.value));
        ids.into_iter().chain(fields).flatten().any(|text| self.hit_text(text))
    }

    /// The same in one text.
    pub(super) fn hit_text(&self, text: Text<'_>) -> bool {
        text.lost_bytes() > 0 || self.is_match(text.as_bytes())
    }

    #[cfg(feature = "patterns")]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[cfg(not(feature = "patterns"))]
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    #[cfg(feature = "patterns")]
    fn is_match(&self, text: &[u8]) -> bool {
        self.list.iter().any(|pattern| pattern.is_match(text))
    }

    #[cfg(not(feature = "patterns"))]
    fn is_match(&self, _: &[u8]) -> bool {
        false
    }

    /// The text without what matches, and how often something did. Of a text that was cut the last
    /// word goes too: it may be half of what would have matched.
    #[cfg(feature = "patterns")]
    pub(super) fn replace(&self, text: &[u8], was_cut: bool) -> Option<(Vec<u8>, u32)> {
        use crate::logs::secret::REDACTED;

        let mut now: Option<Vec<u8>> = None;
        let mut count = 0;
        for pattern in &self.list {
            let text = now.as_deref().unwrap_or(text);
            let mut out = Vec::new();
            let mut copied = 0;
            for found in pattern.captures_iter(text) {
                let Some(part) = found.get(1).or(found.get(0)).filter(|part| !part.is_empty())
                else {
                    continue;
                };
                out.extend_from_slice(&text[copied..part.start()]);
                out.extend_from_slice(REDACTED.as_bytes());
                copied = part.end();
                count += 1;
            }
            if copied > 0 {
                out.extend_from_slice(&text[copied..]);
                now = Some(out);
            }
        }
        let end = now.as_deref().unwrap_or(text);
        let word = end.iter().rev().take_while(|byte| !byte.is_ascii_whitespace()).count();
        if was_cut && !self.is_empty() && word > 0 && !end.ends_with(REDACTED.as_bytes()) {
            let mut kept = end[..end.len() - word].to_vec();
            kept.extend_from_slice(REDACTED.as_bytes());
            return Some((kept, count + 1));
        }
        now.map(|text| (text, count))
    }

    #[cfg(not(feature = "patterns"))]
    pub(super) fn replace(&self, _: &[u8], _: bool) -> Option<(Vec<u8>, u32)> {
        None
    }
}

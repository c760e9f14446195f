//! What must not get out is taken out: by a field's name, by what a text says.
//!
//! It works on frames, between the ring and whoever formats: a line that has something is written
//! anew, all others are passed on as they stand. It never says what it found.

mod keys;
mod patterns;
mod rewrite;
mod span;
#[cfg(target_os = "linux")]
mod texts;
mod values;

use crate::batch::{Record, SiteText};
use crate::ring::frame::{Fields, Frame, Text, Value};
use keys::{Answers, Keys};
use patterns::Patterns;
pub(crate) use span::RedactedSpan;

/// What is kept out of the logs. `docs/LOGS.md` says what is caught by default and what is not.
///
/// ```
/// use mcp_vitals::logs::Redaction;
///
/// let redaction = Redaction::new().key("national_id").keep("token_count");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Redaction {
    keys: Keys,
    credentials: bool,
    patterns: Patterns,
}

impl Default for Redaction {
    fn default() -> Redaction {
        Redaction::new()
    }
}

impl Redaction {
    /// The default: fields that are called `password`, `token`, `secret` and the like, and what
    /// follows `Bearer` or `Basic` in any text.
    pub fn new() -> Redaction {
        Redaction { keys: Keys::defaults(), credentials: true, patterns: Patterns::default() }
    }

    /// Keeps out nothing but [`Secret`](super::Secret)s, to begin a list of one's own.
    pub fn none() -> Redaction {
        Redaction { keys: Keys::none(), credentials: false, patterns: Patterns::default() }
    }

    /// Keeps out fields of this name, and of names that have it as a part: `key("card")` is `card`,
    /// `Card_Number` and `userCard`, but not `discard`. Case and separators don't matter.
    pub fn key(mut self, key: &str) -> Redaction {
        self.keys.deny(key);
        self
    }

    /// Lets fields of exactly this name out again, in any case: `token_count`, say.
    pub fn keep(mut self, key: &str) -> Redaction {
        self.keys.keep(key);
        self
    }

    /// Lets out the fields of exactly these names, in any case, and no others: each call adds some.
    /// An error counts by its field's name. The ids and the message stay as they are; they, and
    /// listed fields, are still looked through for credentials and patterns.
    pub fn only<'k>(mut self, keys: impl IntoIterator<Item = &'k str>) -> Redaction {
        self.keys.only(keys);
        self
    }

    /// Whether what follows `Bearer` or `Basic` is taken out of texts. Default true, but for
    /// [`none`](Redaction::none).
    pub fn credentials(mut self, on: bool) -> Redaction {
        self.credentials = on;
        self
    }

    /// Takes what matches `pattern` out of texts, messages, ids and errors: its first group where it
    /// has one, else all of it. Feature `patterns`.
    ///
    /// The syntax is that of the `regex` crate; `\d`, `\w` and case are ASCII's. Texts are cut before
    /// they are looked at, so that a text's end may have half a secret, which matches nothing: with
    /// patterns, the last word of a text that was cut is taken out too. Each pattern costs a search of
    /// each text.
    ///
    /// # Errors
    /// [`Error::InvalidPattern`](crate::Error::InvalidPattern).
    #[cfg(feature = "patterns")]
    pub fn pattern(mut self, pattern: &str) -> Result<Redaction, crate::Error> {
        self.patterns.add(pattern)?;
        Ok(self)
    }
}

/// What is kept out of lines, and what of spans.
#[derive(Clone, Debug)]
pub(crate) struct Redactions {
    pub(crate) lines: Redaction,
    pub(crate) spans: Redaction,
}

/// What is known of a call site before any of its lines: made once for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SiteRules {
    /// A bit for each of its keys.
    denied: [u64; 4],
    any: bool,
    /// Its constant message has something.
    message: bool,
}

/// A line without what must not get out.
pub(crate) struct Redacted<'a> {
    /// Of the same call site, time and level; each field carries its key.
    pub(crate) frame: Frame<'a>,
    pub(crate) record: Record<'a>,
    /// How many values or parts of texts were taken out.
    pub(crate) count: u32,
}

/// Takes out what a [`Redaction`] says. One for each thread that reads frames.
pub(crate) struct Redactor {
    rules: Redaction,
    answers: Answers,
    scratch: rewrite::Scratch,
    /// The last context that had nothing, as its frame had it: most lines have that of the one before.
    clean: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(rules: Redaction) -> Redactor {
        let scratch = rewrite::Scratch::default();
        Redactor { rules, answers: Answers::new(), scratch, clean: Vec::new() }
    }

    /// What a call site says by itself. To be made again when the rules are others.
    pub(crate) fn site(&self, site: &SiteText) -> SiteRules {
        let mut rules = SiteRules::default();
        for (at, key) in site.keys.iter().enumerate().take(256) {
            if self.rules.keys.deny_field(key.as_bytes()) {
                rules.denied[at / 64] |= 1 << (at % 64);
                rules.any = true;
            }
        }
        let message = site.message.as_deref().unwrap_or_default();
        rules.message = self.rules.clean(Text::new(message.as_bytes())).is_some();
        rules
    }

    /// Whether `frame`, of a call site with these rules, may be passed on as it stands, as far as that
    /// can be told without its record.
    #[inline]
    pub(crate) fn passes(&mut self, frame: Frame<'_>, rules: &SiteRules) -> bool {
        self.rules.patterns.is_empty() && self.is_clean(frame, rules)
    }

    /// The line without what must not get out; nothing where it has nothing of the kind. `record` was
    /// read from `frame`, and `rules` are those of its `site`.
    pub(crate) fn redact<'a>(
        &'a mut self,
        frame: Frame<'a>,
        record: &Record<'a>,
        site: &SiteText,
        rules: &SiteRules,
    ) -> Option<Redacted<'a>> {
        if self.is_clean(frame, rules) && !self.rules.patterns.hit(record) {
            return None;
        }
        let Redactor { rules: what, answers, scratch, .. } = self;
        rewrite::rewrite(frame, record, site, rules, what, answers, scratch)
    }

    /// Whether nothing has to be taken out, but for patterns.
    #[inline(always)]
    fn is_clean(&mut self, frame: Frame<'_>, rules: &SiteRules) -> bool {
        !rules.any
            && !rules.message
            && (frame.context_bytes() == self.clean || self.is_clean_context(frame))
            && !(self.rules.credentials && values::suspect(frame.body_bytes()))
            && (frame.has_usual_fields() || self.has_clean_keys(frame))
    }

    #[inline(never)]
    fn has_clean_keys(&mut self, frame: Frame<'_>) -> bool {
        frame.body(&[]).is_some_and(|(_, fields)| !self.denies(&fields))
    }

    #[inline(never)]
    fn is_clean_context(&mut self, frame: Frame<'_>) -> bool {
        let bytes = frame.context_bytes();
        let Some(context) = frame.context() else { return false };
        if self.rules.credentials && values::suspect(bytes) || self.denies(&context.fields()) {
            return false;
        }
        self.clean.clear();
        self.clean.extend_from_slice(bytes);
        true
    }

    /// Whether one of those that carry their own keys is to be kept out.
    #[inline]
    fn denies(&mut self, fields: &Fields<'_>) -> bool {
        let Redactor { rules, answers, .. } = self;
        fields.any_own_key(|key| answers.deny_field(key, &rules.keys))
    }
}

/// The fields of a call, each with its place among the site's keys where its key is one of them.
fn keyed<'a>(
    record: &Record<'a>,
    site: &SiteText,
) -> impl Iterator<Item = (Option<usize>, crate::ring::frame::Field<'a>)> {
    let mut next = 0;
    record.fields().map(move |field| {
        // The same memory, not the same name: a frame's own keys stand in the frame.
        let of_site =
            site.keys.get(next).is_some_and(|key| key.as_ptr() == field.key.as_bytes().as_ptr());
        next += usize::from(of_site);
        (of_site.then(|| next - 1), field)
    })
}

impl Redaction {
    /// A text without its credentials and whatever matches a pattern, and how often there was one;
    /// nothing where there was none.
    fn clean(&self, text: Text<'_>) -> Option<(Vec<u8>, u32)> {
        let mut out = Vec::new();
        let mut count = 0;
        if self.credentials && values::suspect(text.as_bytes()) {
            count = values::replace(text.as_bytes(), &mut out);
        }
        let so_far = if count > 0 { &out } else { text.as_bytes() };
        match self.patterns.replace(so_far, text.lost_bytes() > 0) {
            Some((replaced, more)) => Some((replaced, count + more)),
            None => (count > 0).then_some((out, count)),
        }
    }
}

/// The texts of a value.
fn texts<'a>(value: &Value<'a>) -> [Option<Text<'a>>; 3] {
    match *value {
        Value::Str(text) | Value::Bytes(text) => [Some(text), None, None],
        Value::Error { type_name, message, traceback } => {
            [Some(type_name), Some(message), Some(traceback)]
        }
        _ => [None, None, None],
    }
}

//! The fields of an event: what needs words, before its line is begun; then all of them.

use std::error::Error;
use std::fmt::{Debug, Display};

use tracing_core::Field;
use tracing_core::field::Visit;

use super::few::Few;
use crate::logs::Line;
use crate::logs::inlet::room;
use crate::logs::private::{Rendered, debug, display};
use crate::logs::{Exception, Loggable, exception};

/// Texts of an event that stand on the stack.
const FEW: usize = 6;
/// Fields of a line at most: a frame counts no more than 255.
const MOST_FIELDS: usize = 250;
/// The index of no field.
pub(super) const NO_FIELD: usize = usize::MAX;

/// A value that was put into words.
enum Said {
    Words(Rendered),
    Error(Exception),
}

/// The values of an event that a host's code puts into words, in their order.
pub(super) struct Words {
    pub(super) message: Option<Rendered>,
    /// What went wrong, where somebody wants to know.
    pub(super) error: Option<Rendered>,
    wants_error: bool,
    message_at: usize,
    /// Bytes of all its fields at most, with their names.
    pub(super) room: usize,
    /// Most events have none, and pay for none.
    said: Option<Few<Said, FEW>>,
}

impl Words {
    /// For an event whose field `message_at` is its message.
    pub(super) fn new(message_at: usize, wants_error: bool) -> Words {
        Words { message: None, error: None, wants_error, message_at, room: 0, said: None }
    }

    /// Whether `field` says what went wrong, and nobody has yet: an error, or what has that name.
    #[inline]
    fn is_wanted(&self, field: &Field) -> bool {
        self.wants_error && self.error.is_none() && field.name() == "error"
    }

    #[inline]
    fn say(&mut self, field: &Field, said: Said) {
        self.room += match &said {
            Said::Words(words) => room(field.name(), words),
            Said::Error(error) => room(field.name(), error),
        };
        self.said.get_or_insert_with(Few::new).push(said);
    }

    /// The message may be of any type.
    #[inline]
    fn plain(&mut self, field: &Field, value: &(impl Loggable + Display + ?Sized)) {
        match field.index() == self.message_at {
            true => self.message = Some(display(&value)),
            false => self.room += room(field.name(), value),
        }
    }
}

impl Visit for Words {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_wanted(field) {
            self.error = Some(display(&value));
        }
        self.plain(field, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        match field.index() == self.message_at {
            true => self.message = Some(debug(&value)),
            false => self.room += room(field.name(), value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.wants_error && self.error.is_none() {
            self.error = Some(display(&value));
        }
        match field.index() == self.message_at {
            true => self.message = Some(display(&value)),
            false => self.say(field, Said::Error(exception(value))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.is_wanted(field) {
            self.error = Some(debug(&value));
        }
        let words = debug(&value);
        match field.index() == self.message_at {
            true => self.message = Some(words),
            false => self.say(field, Said::Words(words)),
        }
    }
}

/// What the fields of an event are put into.
pub(super) trait Take {
    /// The name is needed where it is given.
    fn take(&mut self, name: Option<&str>, value: &(impl Loggable + ?Sized));

    /// An error, which may have a name of its own there.
    fn take_error(&mut self, name: Option<&str>, value: &Exception) {
        self.take(name, value);
    }
}

impl<const C: bool> Take for &mut Line<'_, '_, C> {
    #[inline]
    fn take(&mut self, name: Option<&str>, value: &(impl Loggable + ?Sized)) {
        value.put(name, self);
    }
}

/// Puts the fields of an event into its line, or into the event of a span.
pub(super) struct Put<'p, T> {
    into: T,
    words: &'p Words,
    next_words: usize,
    /// The next field that stands where the call site says, so that it needs no name; [`NO_FIELD`]
    /// where the call site says nothing.
    next: usize,
    left: usize,
}

impl<'p, 'l, 'a, 'b, const C: bool> Put<'p, &'l mut Line<'a, 'b, C>> {
    pub(super) fn new(line: &'l mut Line<'a, 'b, C>, words: &'p Words, by_site: bool) -> Self {
        let next = if by_site { 0 } else { NO_FIELD };
        Put { into: line, words, next_words: 0, next, left: MOST_FIELDS }
    }
}

impl<'p, T: Take> Put<'p, T> {
    /// Each says its name.
    pub(super) fn into_event(into: T, words: &'p Words) -> Self {
        Put { into, words, next_words: 0, next: NO_FIELD, left: MOST_FIELDS }
    }

    #[inline]
    fn put(&mut self, field: &Field, value: &(impl Loggable + ?Sized)) {
        if let Some(name) = self.next_name(field) {
            self.into.take(name, value);
        }
    }

    /// The name of the next field, where it needs one; nothing where it is left out.
    #[inline]
    fn next_name(&mut self, field: &Field) -> Option<Option<&'static str>> {
        let (index, message) = (field.index(), self.words.message_at);
        if index == message || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let at = index - usize::from(index > message);
        if at == self.next {
            self.next += 1;
            return Some(None);
        }
        // One before it was left out: from here on each says its name.
        Some(Some(name(field)))
    }

    fn put_words(&mut self, field: &Field) {
        if field.index() == self.words.message_at {
            return;
        }
        let words = self.words;
        let said = words.said.as_ref().and_then(|said| said.get(self.next_words));
        self.next_words += 1;
        match said {
            Some(Said::Words(words)) => self.put(field, words),
            Some(Said::Error(error)) => {
                if let Some(name) = self.next_name(field) {
                    self.into.take_error(name, error);
                }
            }
            None => {}
        }
    }
}

/// As it is written in the source, `r#type` aside.
pub(super) fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl<T: Take> Visit for Put<'_, T> {
    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.put_words(field),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.put_words(field),
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, _: &(dyn Error + 'static)) {
        self.put_words(field);
    }

    #[inline]
    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        self.put_words(field);
    }
}

//! Writes a line anew, without what must not get out.

use std::borrow::Cow;

use super::keys::Answers;
use super::{Redacted, Redaction, SiteRules, keyed};
use crate::batch::{Record, SiteText};
use crate::logs::secret::REDACTED;
use crate::ring::frame::{Frame, HEADER, Text, Value, tag};
use crate::ring::writer::{self, Head, MOST_TEXT, TEXT_LIMITS, Writer};

/// Room to write in, which stays.
#[derive(Default)]
pub(super) struct Scratch {
    room: Vec<u8>,
}

impl Scratch {
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.room.len() < ROOM {
            self.room.resize(ROOM, 0);
        }
        &mut self.room
    }
}

/// Counts what one line loses.
pub(super) struct Cleaner<'r> {
    pub(super) rules: &'r Redaction,
    pub(super) count: u32,
}

pub(super) fn rewrite<'a>(
    frame: Frame<'_>,
    record: &Record<'a>,
    site: &SiteText,
    of_site: &SiteRules,
    rules: &Redaction,
    answers: &mut Answers,
    scratch: &'a mut Scratch,
) -> Option<Redacted<'a>> {
    let is_denied = |place: Option<usize>, key: Text<'_>, answers: &mut Answers| match place {
        Some(at) if at < 256 => of_site.denied[at / 64] >> (at % 64) & 1 == 1,
        _ => answers.deny_field(key.as_bytes(), &rules.keys),
    };
    // As before, so that whoever reads the frame finds its call site, time and level.
    let head = Head::of(frame);
    let Scratch { room } = scratch;
    let mut length = 0;
    let mut count = 0;
    // Once more with shorter texts if there is no room, which takes a line of many long names.
    for most_text in TEXT_LIMITS {
        let mut cleaner = Cleaner { rules, count: 0 };
        let context = cleaner.context(record, room, most_text, |key| is_denied(None, key, answers));
        if room.len() < ROOM {
            room.resize(ROOM, 0);
        }
        let mut writer = Writer::over(room, most_text, &context);
        let message = cleaner.bytes(record.message);
        // A constant message that has nothing stays at its call site.
        if message != record.message.as_bytes() || !is_of(site, record) {
            writer.message(&message, record.message.lost_bytes());
        }
        for (place, field) in keyed(record, site) {
            let denied = is_denied(place, field.key, answers);
            cleaner.field(field.key, field.value, denied, &mut writer);
        }
        count = cleaner.count;
        if let Some(written) = writer.finish(head) {
            length = written;
            break;
        }
    }
    if length == 0 {
        // Rather a line without anything than one with what must not be there.
        let mut writer = Writer::over(room, MOST_TEXT, &[]);
        writer.message(REDACTED.as_bytes(), 0);
        length = writer.finish(head)?;
        count += 1;
    }
    if count == 0 {
        return None;
    }
    let frame = Frame::first(&room[..length])?;
    let record = record.clone().with(frame)?;
    Some(Redacted { frame, record, count })
}

/// Whether the message is the call site's: the same memory.
fn is_of(site: &SiteText, record: &Record<'_>) -> bool {
    site.message
        .as_deref()
        .is_some_and(|message| message.as_ptr() == record.message.as_bytes().as_ptr())
}

/// Bytes of [`Scratch`].
const ROOM: usize = 512 << 10;

impl Cleaner<'_> {
    /// A text without what it had.
    pub(super) fn bytes<'t>(&mut self, text: Text<'t>) -> Cow<'t, [u8]> {
        match self.rules.clean(text) {
            Some((cleaned, count)) => {
                self.count += count;
                cleaned.into()
            }
            None => text.as_bytes().into(),
        }
    }

    /// The bytes of the record's context.
    fn context(
        &mut self,
        record: &Record<'_>,
        room: &mut Vec<u8>,
        most_text: usize,
        mut is_denied: impl FnMut(Text<'_>) -> bool,
    ) -> Vec<u8> {
        let context = &record.context;
        let ids = [context.request_id, context.user_id, context.session_id]
            .map(|id| id.map(|id| String::from_utf8_lossy(&self.bytes(id)).into_owned()));
        let ids = ids.each_ref().map(Option::as_deref);
        let mut bytes = writer::context(ids, context.trace_id.zip(context.span_id));
        if room.len() < ROOM {
            room.resize(ROOM, 0);
        }
        let mut writer = Writer::over(room, most_text, &[]);
        let most = usize::from(u16::MAX) - bytes.len();
        let mut whole = HEADER;
        for field in context.fields() {
            let denied = is_denied(field.key);
            self.field(field.key, field.value, denied, &mut writer);
            // What a frame can't carry is left out: a context has room for 64 KiB.
            if writer.written() - HEADER > most {
                break;
            }
            whole = writer.written();
        }
        bytes.extend_from_slice(&room[HEADER..whole]);
        bytes
    }

    pub(super) fn field(
        &mut self,
        key: Text<'_>,
        value: Value<'_>,
        denied: bool,
        writer: &mut Writer<'_>,
    ) {
        let key = key.to_str();
        let key = Some(&key[..]);
        if denied {
            self.count += u32::from(value != Value::Redacted);
            return writer.bare(key, tag::SECRET);
        }
        match value {
            Value::Null => writer.bare(key, tag::NULL),
            Value::Bool(false) => writer.bare(key, tag::FALSE),
            Value::Bool(true) => writer.bare(key, tag::TRUE),
            Value::I64(n) => writer.word(key, tag::I64, n as u64),
            Value::U64(n) => writer.word(key, tag::U64, n),
            Value::F64(n) => writer.word(key, tag::F64, n.to_bits()),
            Value::Str(text) => {
                writer.text(key, tag::STR, &self.bytes(text), text.lost_bytes());
            }
            Value::Bytes(text) => {
                writer.text(key, tag::BYTES, &self.bytes(text), text.lost_bytes());
            }
            Value::Redacted => writer.bare(key, tag::SECRET),
            Value::Error { type_name, message, traceback } => {
                let parts = [type_name, message, traceback].map(|text| self.bytes(text));
                let parts = parts.each_ref().map(|part| &**part);
                writer.error(key, parts, traceback.lost_bytes());
            }
        }
    }
}

//! What numbers in frames stand for, written down beside the frames.
//!
//! | atomic     | writer            | reader        | write / read | what the pair publishes     |
//! |------------|-------------------|---------------|--------------|-----------------------------|
//! | length     | whoever defines   | after death   | Release / -  | the records before it       |
//! | slot       | whoever defines   | after death   | Release / -  | the thread's name behind it |
//!
//! The reader comes when the writers are dead: that each store is in program order is all it takes.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::names::{Name, SiteText};
use super::layout::{Layout, MOST_THREAD, Rules, THREAD, head, record};
use super::mapping::Mapping;
use crate::ring::writer::cut;
use crate::sync::Ordering;

/// Appends what `number` stands for, or counts it where there is no room.
///
/// # Safety
/// Called by one thread at a time.
pub(super) unsafe fn define(mapping: &Mapping, layout: &Layout, number: u32, name: &Name) {
    let bytes = match name {
        // SAFETY: the caller's promise.
        Name::Thread(name) => return unsafe { define_thread(mapping, layout, number, name) },
        Name::Site(site) => site_record(number, site),
        Name::Logger(name) => begin(record::LOGGER, number, 0, [Some(&**name)]),
    };
    // SAFETY: the caller's promise.
    if !unsafe { append(mapping, layout, bytes) } {
        mapping.word(head::UNNAMED).fetch_add(1, Ordering::Relaxed);
    }
}

/// Appends rules of redaction; false where there is no room.
///
/// # Safety
/// Called by one thread at a time.
pub(super) unsafe fn keep(mapping: &Mapping, layout: &Layout, of: Rules, texts: &[String]) -> bool {
    let texts = texts.iter().map(|text| Some(&**text));
    // SAFETY: the caller's promise.
    unsafe { append(mapping, layout, begin(record::RULES, of as u32, 0, texts)) }
}

/// Appends a record; false where there is no room.
///
/// # Safety
/// Called by one thread at a time.
unsafe fn append(mapping: &Mapping, layout: &Layout, bytes: Vec<u8>) -> bool {
    let bytes = finish(bytes);
    let length = mapping.word(head::DICTIONARY);
    // Relaxed: one thread at a time, kept apart by the table's lock.
    let at = length.load(Ordering::Relaxed);
    if at + bytes.len() as u64 > layout.sizes.dictionary {
        return false;
    }
    // SAFETY: behind what is written, so the caller's alone.
    unsafe { mapping.put(layout.dictionary + at, &bytes) };
    // Release: the record before the length that says so.
    length.store(at + bytes.len() as u64, Ordering::Release);
    true
}

/// # Safety
/// Called by one thread at a time.
unsafe fn define_thread(mapping: &Mapping, layout: &Layout, number: u32, name: &str) {
    let slot = layout.threads + u64::from(number) % layout.sizes.threads * THREAD;
    let name = cut(name.as_bytes(), MOST_THREAD);
    // Nobody's, while the name changes.
    mapping.word(slot).store(0, Ordering::Release);
    // SAFETY: the slot's bytes, by the caller's promise.
    unsafe { mapping.put(slot + 8, name) };
    let word = u64::from(number) | (name.len() as u64) << 32;
    mapping.word(slot).store(word, Ordering::Release);
}

fn site_record(number: u32, site: &SiteText) -> Vec<u8> {
    let fixed = [
        site.logger.as_deref(),
        Some(&*site.module),
        Some(&*site.file),
        Some(&*site.function),
        site.message.as_deref(),
    ];
    let keys = site.keys.iter().map(|key| Some(&**key));
    begin(record::SITE, number, site.line, fixed.into_iter().chain(keys))
}

fn begin<'a>(
    kind: u64,
    number: u32,
    line: u32,
    texts: impl IntoIterator<Item = Option<&'a str>>,
) -> Vec<u8> {
    let mut bytes = (kind << 32).to_le_bytes().to_vec();
    bytes.extend((u64::from(number) | u64::from(line) << 32).to_le_bytes());
    for text in texts {
        let length = text.map_or(record::ABSENT, |text| text.len() as u32);
        bytes.extend(length.to_le_bytes());
        bytes.extend(text.unwrap_or_default().as_bytes());
    }
    bytes
}

/// Its exact length in front, and zeroes up to a multiple of 8.
fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let exact = bytes.len() as u32;
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes[..4].copy_from_slice(&exact.to_le_bytes());
    bytes
}

/// What was written down, as far as it makes sense.
#[derive(Default)]
pub(crate) struct Dictionary {
    sites: HashMap<u32, Arc<SiteText>>,
    loggers: HashMap<u32, Box<str>>,
    threads: HashMap<u32, Box<str>>,
}

impl Dictionary {
    /// `records`: the dictionary as far as it is written; `threads`: all slots.
    pub(super) fn read(mut records: &[u8], threads: &[u8]) -> Dictionary {
        let mut dictionary = Dictionary::default();
        while let Some((bytes, rest)) = split(records) {
            dictionary.record(bytes);
            records = rest;
        }
        for slot in threads.chunks_exact(THREAD as usize) {
            let Some((word, name)) = slot.split_first_chunk() else { continue };
            let word = u64::from_le_bytes(*word);
            let (number, length) = (word as u32, (word >> 32) as usize);
            if let Some(name) = name.get(..length).filter(|_| number != 0) {
                dictionary.threads.insert(number, String::from_utf8_lossy(name).into());
            }
        }
        dictionary
    }

    fn record(&mut self, bytes: &[u8]) -> Option<()> {
        let (kind, number) = kind_of(bytes)?;
        let line = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        let mut texts = Texts(bytes.get(record::HEAD..)?);
        match kind {
            record::LOGGER => {
                self.loggers.insert(number, texts.next()??);
            }
            record::SITE => {
                let site = SiteText {
                    logger: texts.next()?,
                    module: texts.next()?.unwrap_or_default(),
                    file: texts.next()?.unwrap_or_default(),
                    line,
                    function: texts.next()?.unwrap_or_default(),
                    message: texts.next()?,
                    keys: texts.flatten().collect(),
                };
                self.sites.insert(number, site.into());
            }
            _ => {}
        }
        Some(())
    }

    /// The call site of this number; where it is not known one that says the number.
    pub(super) fn site(&self, number: u32) -> Arc<SiteText> {
        self.sites.get(&number).cloned().unwrap_or_else(|| {
            let message = Some(format!("call site {number}").into());
            let keys = (0..=u8::MAX).map(|key| format!("field_{key}").into()).collect();
            Arc::new(SiteText { message, keys, ..SiteText::default() })
        })
    }

    /// The logger's name, or its number; nothing for number 0.
    pub(super) fn logger(&self, number: u32) -> Box<str> {
        match self.loggers.get(&number) {
            Some(name) => name.clone(),
            None if number == 0 => "".into(),
            None => format!("logger {number}").into(),
        }
    }

    /// The thread's name, or its number.
    pub(super) fn thread(&self, number: u32) -> Box<str> {
        match self.threads.get(&number) {
            Some(name) => name.clone(),
            None => number.to_string().into(),
        }
    }
}

/// The rules of redaction that were written down; nothing where there are none.
pub(super) fn rules(mut records: &[u8], of: Rules) -> Option<Vec<Box<str>>> {
    while let Some((bytes, rest)) = split(records) {
        if kind_of(bytes) == Some((record::RULES, of as u32)) {
            return Some(Texts(bytes.get(record::HEAD..)?).flatten().collect());
        }
        records = rest;
    }
    None
}

/// A record's kind and number.
fn kind_of(bytes: &[u8]) -> Option<(u64, u32)> {
    let kind = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    Some((kind.into(), u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?)))
}

/// The next record, whole, and what is behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length < record::HEAD {
        return None;
    }
    let rest = bytes.get(length.checked_next_multiple_of(8)?..)?;
    Some((bytes.get(..length)?, rest))
}

/// Texts in a row; each may be absent.
struct Texts<'a>(&'a [u8]);

impl Iterator for Texts<'_> {
    type Item = Option<Box<str>>;

    fn next(&mut self) -> Option<Option<Box<str>>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_le_bytes(*length);
        if length == record::ABSENT {
            self.0 = rest;
            return Some(None);
        }
        let (text, rest) = rest.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(String::from_utf8_lossy(text).into()))
    }
}

//! A ring that overwrites its oldest frames: a flight recorder.
//!
//! | atomic   | writer   | reader  | write / read                | what the pair publishes        | model                    |
//! |----------|----------|---------|-----------------------------|--------------------------------|--------------------------|
//! | `tail`   | recorder | flusher | Release / Acquire           | the words before `tail`        | `overwritten_is_dropped` |
//! | `oldest` | recorder | flusher | before a fence / after one  | that words are being replaced  | `overwritten_is_dropped` |
//! | a word   | recorder | flusher | Relaxed                     | nothing by itself              | `overwritten_is_dropped` |
//!
//! The recorder never waits for the reader. The reader copies, and afterwards throws away what the
//! recorder has passed in the meantime: all of it where it was lapped
//! (`a_lapped_reader_gets_nothing`).

use super::frame::{ALIGN, Frame, kind};
use super::{Refused, most_frame};
use crate::sync::{AtomicU64, Ordering, fence};

/// Words that one thread writes over and over.
pub(crate) struct Overwrite {
    words: Box<[AtomicU64]>,
    tail: AtomicU64,
    oldest: AtomicU64,
}

impl Overwrite {
    pub(crate) fn new(bytes: usize) -> Overwrite {
        let words = bytes.max(64).next_power_of_two() / ALIGN;
        Overwrite {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            tail: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        (self.words.len() * ALIGN) as u64
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[(at as usize / ALIGN) & (self.words.len() - 1)]
    }

    /// Writes a whole frame over the oldest ones. By the one thread that has the ring on lease.
    pub(crate) fn push(&self, frame: &[u8]) -> Result<(), Refused> {
        let length = frame.len() as u64;
        if length > most_frame(self.capacity()) {
            return Err(Refused::TooLong);
        }
        // Relaxed: both are this thread's own, or came to it with the lease.
        let tail = self.tail.load(Ordering::Relaxed);
        let mut oldest = self.oldest.load(Ordering::Relaxed);
        while tail + length - oldest > self.capacity() {
            let first = self.word(oldest).load(Ordering::Relaxed);
            oldest += first & u64::from(u32::MAX);
        }
        self.oldest.store(oldest, Ordering::Relaxed);
        // Release: whoever sees one of the words below, and then looks through a fence of its own,
        // sees at least this `oldest`.
        fence(Ordering::Release);
        for (i, word) in frame.chunks_exact(ALIGN).enumerate() {
            let word = word.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            self.word(tail + (i * ALIGN) as u64).store(word, Ordering::Relaxed);
        }
        // Release: the words come before the position that says so.
        self.tail.store(tail + length, Ordering::Release);
        Ok(())
    }

    /// Copies what is there from position `from` on to the end of `into`, as words; gives the
    /// position that the copy begins at, which is later than `from` where frames were overwritten,
    /// and the one to go on from.
    pub(crate) fn read(&self, from: u64, into: &mut Vec<u64>) -> (u64, u64) {
        // Acquire: the words before `tail`.
        let tail = self.tail.load(Ordering::Acquire);
        let begin = self.oldest.load(Ordering::Relaxed).max(from).min(tail);
        let start = into.len();
        let positions = (begin..tail).step_by(ALIGN);
        into.extend(positions.map(|at| self.word(at).load(Ordering::Relaxed)));
        // Acquire: with the recorder's fence: a word that was replaced shows in `oldest`.
        fence(Ordering::Acquire);
        let oldest = self.oldest.load(Ordering::Relaxed);
        let whole = oldest.clamp(begin, tail);
        into.drain(start..start + (whole - begin) as usize / ALIGN);
        (whole, tail)
    }
}

/// The frames in `bytes`, which were words of a ring, without padding.
pub(crate) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let all = std::iter::from_fn(move || {
        let (frame, rest) = Frame::split(bytes)?;
        bytes = rest;
        Some(frame)
    });
    all.filter(|frame| frame.kind() != kind::PAD)
}

#[cfg(test)]
mod tests {
    use super::super::frame::HEADER;
    use super::*;

    #[test]
    fn padding_in_a_file_is_no_frame() {
        let head = |length: usize, of: u8| (length as u64 | u64::from(of) << 32).to_le_bytes();
        let mut line = head(HEADER, kind::LINE).to_vec();
        line.resize(HEADER, 0);
        let bytes = [&head(ALIGN, kind::PAD)[..], &line, &head(ALIGN, kind::PAD)].concat();
        let kinds: Vec<u8> = frames(&bytes).map(|frame| frame.kind()).collect();
        assert_eq!(kinds, [kind::LINE]);
    }

    #[test]
    fn padding_that_is_asked_for_more_has_nothing() {
        let word = (ALIGN as u64 | u64::from(kind::PAD) << 32).to_le_bytes();
        let frame = Frame::first(&word).unwrap();
        assert_eq!((frame.ticks(), frame.site(), frame.logger(), frame.thread()), (0, 0, 0, 0));
        assert!(frame.context().is_none() && frame.body(&[]).is_none());
    }
}

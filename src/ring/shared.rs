//! The ring for everyone else: threads past the last lease, and those whose thread-locals are gone.

use super::Place;
use super::cursor::Cursor;
use super::frame::{ALIGN, Frame, kind};
use super::memory::Memory;
use super::parting::Parting;
use super::{Refused, most_frame};
use crate::sync::AtomicU64;

/// A ring that any thread writes and the flusher reads.
pub(crate) struct Shared {
    memory: Memory,
    cursor: Place<Cursor>,
}

impl Shared {
    /// `memory` is zero from the freed position on.
    pub(crate) fn new(memory: Memory, cursor: Place<Cursor>) -> Shared {
        Shared { memory, cursor }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        // SAFETY: an aligned word of the memory. Between reserve and commit, and between commit and
        // free, it is reached by way of this atomic alone.
        unsafe { AtomicU64::from_ptr(self.memory.word(at)) }
    }

    /// Copies a whole frame in, keeping `reserve` bytes free.
    pub(crate) fn push(&self, frame: &[u8], reserve: u64) -> Result<(), Refused> {
        let length = frame.len() as u64;
        if length > most_frame(self.capacity()) {
            return Err(Refused::TooLong);
        }
        let Some((first, rest)) = frame.split_first_chunk::<8>() else { return Ok(()) };
        let (tail, head) = (self.cursor.tail(), self.cursor.head());
        let (pad, at) =
            Parting::reserve(tail, head, self.capacity(), length, reserve).ok_or(Refused::Full)?;
        if pad != at {
            Parting::commit(self.word(pad), (at - pad) | u64::from(kind::PAD) << 32);
        }
        // SAFETY: reserved for this call, and contiguous; the first word is left out.
        let room = unsafe { self.memory.room(at + 8, rest.len()) };
        for (byte, of) in room.iter_mut().zip(rest) {
            byte.write(*of);
        }
        Parting::commit(self.word(at), u64::from_le_bytes(*first));
        Ok(())
    }

    /// As a flusher would that reads all there is.
    #[cfg(test)]
    pub(crate) fn empty(&self) {
        // SAFETY: of a test, which has no other reader.
        unsafe { self.free(self.freed(), self.reserved()) };
    }

    /// Up to where frames may have been reserved.
    pub(crate) fn reserved(&self) -> u64 {
        self.cursor.published()
    }

    pub(crate) fn freed(&self) -> u64 {
        self.cursor.freed()
    }

    /// Whether all that was reserved is free again.
    pub(crate) fn is_empty(&self) -> bool {
        // In this order: what is freed was reserved before.
        self.freed() == self.reserved()
    }

    /// The frame at position `at`, and where the next one begins; nothing where none is whole yet, or
    /// at `end`, which is [`reserved`](Self::reserved) or less.
    ///
    /// # Safety
    /// Called by the one reader, with positions not freed yet: its own or what this returned.
    pub(crate) unsafe fn read(&self, mut at: u64, end: u64) -> Option<(Frame<'_>, u64)> {
        // Past the last room lie frames that were read already and not freed yet.
        while at < end {
            let first = Parting::committed(self.word(at))?;
            // Never 0, not even in a file's: the reader would stand still.
            let length = (first & u64::from(u32::MAX)).max(1).next_multiple_of(ALIGN as u64);
            if first >> 32 & 0xff == u64::from(kind::PAD) {
                at += length;
                continue;
            }
            let n = self.memory.contiguous(at, length);
            // SAFETY: committed and not freed: its recorder is done with it.
            let frame = Frame::first(unsafe { self.memory.read(at, n) })?;
            return Some((frame, at + length));
        }
        None
    }

    /// Zeroes and gives back what stands from `from` to `to`.
    ///
    /// # Safety
    /// Called by the one reader, which read up to `to` and is done with it.
    pub(crate) unsafe fn free(&self, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            let n = self.memory.contiguous(at, to - at);
            // SAFETY: read and not freed: the reader's alone.
            let room = unsafe { self.memory.room(at, n) };
            room.fill(std::mem::MaybeUninit::new(0));
            at += n as u64;
        }
        Parting::free(self.cursor.head(), to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_without_a_length_stops_no_reader() {
        let ring = Shared::new(Memory::heap(4096), Place::heap(Cursor::new()));
        ring.push(&[0; 64], 0).unwrap();
        Parting::commit(ring.word(0), u64::from(kind::PAD) << 32);
        // SAFETY: the one reader, from the first position.
        assert!(unsafe { ring.read(0, ring.reserved()) }.is_none());
    }
}

//! A ring with one producer: the thread that has it on lease.

use std::cell::Cell;

use super::cursor::Cursor;
use super::frame::{ALIGN, Frame, kind};
use super::memory::Memory;
use super::writer::{Head, MOST_TEXT, TEXT_LIMITS, Writer};
use super::{Place, Refused, most_frame};

/// A ring that one thread writes and the flusher reads.
pub(crate) struct Ring {
    memory: Memory,
    cursor: Place<Cursor>,
}

impl Ring {
    pub(crate) fn new(memory: Memory, cursor: Place<Cursor>) -> Ring {
        Ring { memory, cursor }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    /// Bytes that are written and not freed.
    pub(crate) fn used(&self) -> u64 {
        // In this order: what is freed was published before.
        let freed = self.cursor.freed();
        self.cursor.published().saturating_sub(freed)
    }

    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The frame at position `at`, and where the next one begins; nothing when all that is published
    /// was read. Padding is passed over, and so is a rest that is no frame: the last is true.
    ///
    /// # Safety
    /// Called by the one reader, with positions not freed yet: its own or what this returned.
    pub(crate) unsafe fn read(&self, mut at: u64, end: u64) -> Option<(Option<Frame<'_>>, u64)> {
        while at < end {
            let n = self.memory.contiguous(at, end - at);
            // SAFETY: published and not freed: the recorder leaves it alone.
            let bytes = unsafe { self.memory.read(at, n) };
            let Some(frame) = Frame::first(bytes) else { return Some((None, end)) };
            at += frame.bytes().len() as u64;
            if frame.kind() != kind::PAD {
                return Some((Some(frame), at));
            }
        }
        None
    }
}

/// The recorder's side of a ring: what only the thread on lease knows.
pub(crate) struct Producer {
    tail: Cell<u64>,
    /// Up to where it may write, as of the last look.
    limit: Cell<u64>,
}

impl Producer {
    /// Takes the ring up where the thread before left it.
    ///
    /// # Safety
    /// The ring has no other producer for as long as this one is used.
    pub(crate) unsafe fn new(ring: &Ring) -> Producer {
        let tail = Cell::new(ring.cursor.published());
        Producer { tail, limit: Cell::new(ring.cursor.freed() + ring.capacity()) }
    }

    /// For a thread that writes no ring in place.
    pub(crate) fn nowhere() -> Producer {
        Producer { tail: Cell::new(0), limit: Cell::new(0) }
    }

    /// Writes one frame, keeping `reserve` bytes of the ring free. `fill` may run more than once and
    /// calls no code of a host's.
    ///
    /// # Safety
    /// `ring` is the one that this producer was made for, and on the thread that has it.
    #[inline(always)]
    pub(crate) unsafe fn write(
        &self,
        ring: &Ring,
        reserve: u64,
        head: Head,
        context: &[u8],
        fill: &impl Fn(&mut Writer<'_>),
    ) -> Result<(), Refused> {
        let tail = self.tail.get();
        // The most of a frame bounds it too: a ring is never one frame.
        let most = self.limit.get().saturating_sub(tail + reserve).min(most_frame(ring.capacity()));
        let n = ring.memory.contiguous(tail, most);
        // SAFETY: from `tail` up to the limit the bytes are the producer's.
        let room = unsafe { ring.memory.room(tail, n) };
        let mut writer = Writer::begin(room, MOST_TEXT, context);
        fill(&mut writer);
        match writer.finish(head) {
            Some(length) => {
                self.publish(ring, tail + length as u64);
                Ok(())
            }
            // SAFETY: the caller's promise.
            None => unsafe { self.write_slowly(ring, reserve, head, context, fill) },
        }
    }

    #[inline(always)]
    fn publish(&self, ring: &Ring, tail: u64) {
        self.tail.set(tail);
        ring.cursor.publish(tail);
    }

    /// After a look at what is free now, and at the ring's other end.
    ///
    /// # Safety
    /// As [`write`](Self::write).
    #[cold]
    #[inline(never)]
    unsafe fn write_slowly(
        &self,
        ring: &Ring,
        reserve: u64,
        head: Head,
        context: &[u8],
        fill: &dyn Fn(&mut Writer<'_>),
    ) -> Result<(), Refused> {
        self.limit.set(ring.cursor.freed() + ring.capacity());
        let tail = self.tail.get();
        let free = self.limit.get().saturating_sub(tail + reserve);
        let most = most_frame(ring.capacity());
        // Here, and else at the front, with padding up to there.
        let here = ring.memory.contiguous(tail, free.min(most));
        let end = ring.capacity() - (tail & (ring.capacity() - 1));
        let front = free.saturating_sub(end).min(most) as usize;
        for most_text in TEXT_LIMITS {
            for (at, n) in [(tail, here), (tail + end, front)] {
                // SAFETY: from `tail` up to the limit the bytes are the producer's.
                let room = unsafe { ring.memory.room(at, n) };
                let mut writer = Writer::begin(room, most_text, context);
                fill(&mut writer);
                if let Some(length) = writer.finish(head) {
                    if at != tail {
                        // SAFETY: as above; the padding is in front of the frame.
                        unsafe { pad(ring.memory.room(tail, ALIGN), end) };
                    }
                    self.publish(ring, at + length as u64);
                    return Ok(());
                }
                // Texts are squeezed for what is too long for any ring, not for want of room.
                if n as u64 == most {
                    break;
                }
            }
            if (here as u64).max(front as u64) < most {
                return Err(Refused::Full);
            }
        }
        Err(Refused::TooLong)
    }
}

/// Writes the head of `length` bytes of padding.
fn pad(room: &mut [std::mem::MaybeUninit<u8>], length: u64) {
    let word = length | u64::from(kind::PAD) << 32;
    for (byte, of) in room.iter_mut().zip(word.to_le_bytes()) {
        byte.write(of);
    }
}

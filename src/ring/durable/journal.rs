//! Which lines are on their way into the log file, so that recovery repeats none and tears none.
//!
//! The flusher says what a chunk was read from ([`Journal::note`]) before it queues the chunk.
//! Right before the write the chunk's bytes, and where they go, are put down beside the rings;
//! right after it the rings' bytes are free and the note is taken back. A process that dies between
//! the two leaves a note, and whoever recovers compares the log file with it, byte by byte.
//!
//! There are two notes, and a word that says which one is in force: a chunk whose write was cut
//! short goes on elsewhere with one store.
//!
//! | atomic     | writer | reader      | write / read | what the pair publishes                   |
//! |------------|--------|-------------|--------------|-------------------------------------------|
//! | `in force` | sink   | after death | Release / -  | a note, and the chunk's bytes, put down   |
//!
//! Nobody reads while the process lives: that stores are in program order is all it takes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::RingFile;
use super::layout::note;
use crate::ring::drain::Span;
use crate::ring::set::Rings;
use crate::sync::{Ordering, lock};

/// Between the flusher, the thread that writes the log file, and the ring file.
pub(crate) struct Journal {
    file: Arc<RingFile>,
    rings: Arc<Rings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chunks that are not written yet, the oldest first.
    pending: VecDeque<Pending>,
    /// Lists to be used again.
    spare: Vec<Vec<Span>>,
    /// The ticket whose bytes stand in the file.
    kept: Option<u64>,
    /// Which note is next.
    next: u64,
    /// Up to where each ring was read for chunks up to the one under way.
    read: Vec<u64>,
}

impl State {
    /// A chunk is written, or being written: those before it are no more.
    fn settle_up_to(&mut self, ticket: u64) {
        let before = self.pending.iter_mut().take_while(|pending| pending.ticket <= ticket);
        before.for_each(|pending| pending.settled = true);
    }
}

struct Pending {
    ticket: u64,
    read: Vec<Span>,
    /// Written or given up; free once all before it are.
    settled: bool,
}

impl Journal {
    /// `rings` lie in `file`, and are freed by this alone.
    pub(crate) fn new(file: Arc<RingFile>, rings: Arc<Rings>) -> Journal {
        let state = State { read: vec![0; file.rings() + 1], ..State::default() };
        Journal { file, rings, state: Mutex::new(state) }
    }

    /// Bytes of a chunk that can be noted. Of a longer one lines may be twice in the log after a
    /// crash.
    pub(crate) fn most_chunk(&self) -> usize {
        self.file.layout.sizes.chunk as usize
    }

    /// Says which positions of which rings the chunk `ticket` was read from, before it is queued.
    /// Each chunk begins where the one before ended. Tickets rise, and are not 0.
    pub(crate) fn note(&self, ticket: u64, read: impl IntoIterator<Item = Span>) {
        let mut state = lock(&self.state);
        let mut list = state.spare.pop().unwrap_or_default();
        list.extend(read);
        state.pending.push_back(Pending { ticket, read: list, settled: false });
    }

    /// The bytes from `from` on of the chunk `ticket` will be written at `offset` of the file with
    /// this device and inode. Chunks before it that are still noted were given up.
    pub(crate) fn before(
        &self,
        (device, inode): (u64, u64),
        offset: u64,
        ticket: u64,
        bytes: &[u8],
        from: usize,
    ) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if ticket == 0 {
            return;
        }
        let (mapping, layout) = (&self.file.mapping, &self.file.layout);
        let in_force = mapping.word(layout.notes);
        if state.kept != Some(ticket) {
            state.settle_up_to(ticket - 1);
            self.free(state);
            in_force.store(0, Ordering::Release);
            state.kept = None;
            let Some(pending) = state.pending.front().filter(|first| first.ticket == ticket) else {
                return;
            };
            state.kept = Some(ticket);
            for span in &pending.read {
                if let Some(to) = state.read.get_mut(span.ring.unwrap_or(self.file.rings())) {
                    *to = span.to;
                }
            }
            // SAFETY: no note is in force, and the lock keeps others out.
            unsafe { mapping.put(layout.chunk, bytes.get(..self.most_chunk()).unwrap_or(bytes)) };
        }
        let which = state.next;
        state.next ^= 1;
        let at = layout.note(which);
        let words = [
            (note::DEVICE, device),
            (note::INODE, inode),
            (note::OFFSET, offset),
            (note::FROM, from as u64),
            (note::LENGTH, bytes.len() as u64),
        ];
        for (word, value) in words {
            mapping.word(at + word).store(value, Ordering::Relaxed);
        }
        for (ring, to) in (0..).zip(&state.read) {
            mapping.word(at + note::READ + ring * 8).store(*to, Ordering::Relaxed);
        }
        // Release: the note before the word that puts it in force.
        in_force.store(which + 1, Ordering::Release);
    }

    /// The chunk `ticket` is in the file, whole: what it was read from is free.
    pub(crate) fn after(&self, ticket: u64) {
        let mut state = lock(&self.state);
        state.settle_up_to(ticket);
        self.free(&mut state);
        drop(state);
        self.rings.made_room();
    }

    /// The chunk `ticket` will not be written: it has no line for the log file, or was given up by
    /// its queue, which has counted it. It is free as soon as those before it are.
    pub(crate) fn release(&self, ticket: u64) {
        let mut state = lock(&self.state);
        state.pending.iter_mut().filter(|of| of.ticket == ticket).for_each(|of| of.settled = true);
        self.free(&mut state);
        drop(state);
        self.rings.made_room();
    }

    fn free(&self, state: &mut State) {
        let mut last = 0;
        while state.pending.front().is_some_and(|pending| pending.settled) {
            let Some(pending) = state.pending.pop_front() else { break };
            last = pending.ticket;
            for span in &pending.read {
                match span.ring {
                    // SAFETY: the flusher is done with it, and nobody else frees, by `new`.
                    None => unsafe { self.rings.shared.free(span.from, span.to) },
                    Some(ring) => {
                        self.file.cursor(ring).inspect(|cursor| cursor.free(span.to));
                    }
                }
            }
            let mut list = pending.read;
            list.clear();
            state.spare.push(list);
        }
        if state.kept.is_some_and(|kept| kept <= last) {
            state.kept = None;
            // Release: after the freed positions. Should it end in between, the note says of bytes
            // that are free already where they went, which harms nobody.
            self.file.mapping.word(self.file.layout.notes).store(0, Ordering::Release);
        }
    }
}

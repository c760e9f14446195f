//! Every interleaving of the rings' protocols, by loom: `scripts/model.sh` runs them, and
//! `scripts/model.sh --weaken ring` shows that each fails when its ordering is taken away.
//!
//! What the real rings keep in plain bytes is in loom's cells here, which tell when two threads meet
//! in one without an order between them. A reader takes what it finds and never waits; what it has
//! not found, it reads after the others have ended.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::cursor::Cursor;
use super::overwrite::Overwrite;
use super::parting::Parting;
use crate::sync::{AtomicU64, Ordering};

/// Bytes of a word, which is the shortest frame.
const WORD: u64 = 8;

/// A ring of `N` words with one recorder, who writes frames of one word.
struct Single<const N: usize> {
    cursor: Cursor,
    words: [UnsafeCell<u64>; N],
}

impl<const N: usize> Single<N> {
    fn new() -> Arc<Single<N>> {
        Arc::new(Single { cursor: Cursor::new(), words: [(); N].map(|()| UnsafeCell::new(0)) })
    }

    fn word(&self, at: u64) -> &UnsafeCell<u64> {
        &self.words[(at / WORD) as usize % N]
    }

    /// A frame behind those before, if there is room. As `Producer` does it.
    fn push(&self) -> bool {
        let (tail, limit) = (self.cursor.published(), self.cursor.freed() + N as u64 * WORD);
        if tail + WORD > limit {
            return false;
        }
        // SAFETY: loom looks after it.
        self.word(tail).with_mut(|word| unsafe { *word = tail + 1 });
        self.cursor.publish(tail + WORD);
        true
    }

    /// Reads from `at` on what there is, frees it and gives where it ended.
    fn drain(&self, at: u64) -> u64 {
        let end = self.cursor.published();
        for at in (at..end).step_by(WORD as usize) {
            // SAFETY: loom looks after it.
            self.word(at).with(|word| assert_eq!(unsafe { *word }, at + 1));
        }
        self.cursor.free(end);
        end
    }
}

#[test]
fn frames_arrive_whole() {
    loom::model(|| {
        let ring = Single::<2>::new();
        let read = ring.clone();
        let flusher = thread::spawn(move || read.drain(0));
        assert!(ring.push() && ring.push());
        let at = flusher.join().unwrap();
        assert_eq!(ring.drain(at), 2 * WORD);
    });
}

/// The second frame stands where the first one was.
#[test]
fn no_reuse_while_read() {
    loom::model(|| {
        let ring = Single::<1>::new();
        let read = ring.clone();
        let flusher = thread::spawn(move || read.drain(0));
        assert!(ring.push());
        let second = ring.push();
        let at = flusher.join().unwrap();
        assert_eq!(ring.drain(at), (1 + u64::from(second)) * WORD);
    });
}

/// A thread gives its ring back while the flusher reads it, and another one takes it up.
#[test]
fn a_lease_hands_over() {
    loom::model(|| {
        let (ring, free) = (Single::<2>::new(), Arc::new(Mutex::new(true)));
        let record = |ring: &Single<2>, free: &Mutex<bool>| {
            if !std::mem::take(&mut *free.lock().unwrap()) {
                return 0;
            }
            let pushed = ring.push();
            *free.lock().unwrap() = true;
            u64::from(pushed)
        };
        let (handed, others) = (ring.clone(), free.clone());
        let other = thread::spawn(move || record(&handed, &others) + record(&handed, &others));
        let mine = record(&ring, &free);
        let at = ring.drain(0);
        let pushed = mine + other.join().unwrap();
        assert!(pushed >= 1);
        assert_eq!(ring.drain(at), pushed * WORD);
    });
}

/// A word of a ring that many write.
struct Word {
    /// What it holds where it is a frame's first word.
    first: AtomicU64,
    /// What it holds elsewhere. Looked at beside `first` too, where that is not reached by others
    /// any more, or not yet: the real word is zeroed as a plain byte is.
    plain: UnsafeCell<u64>,
}

/// A ring of `N` words, whose frames begin with their length.
struct Many<const N: usize> {
    tail: AtomicU64,
    head: AtomicU64,
    words: [Word; N],
}

/// In a frame's first word: it is padding.
const PAD: u64 = 1 << 32;

impl<const N: usize> Many<N> {
    const CAPACITY: u64 = N as u64 * WORD;

    fn new() -> Arc<Many<N>> {
        let word = |()| Word { first: AtomicU64::new(0), plain: UnsafeCell::new(0) };
        Arc::new(Many {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            words: [(); N].map(word),
        })
    }

    fn word(&self, at: u64) -> &Word {
        &self.words[(at / WORD) as usize % N]
    }

    /// The words of a frame behind its first, with their positions.
    fn rest(&self, at: u64, length: u64) -> impl Iterator<Item = (u64, &UnsafeCell<u64>)> {
        (at + WORD..at + length).step_by(WORD as usize).map(|at| (at, &self.word(at).plain))
    }

    fn commit(&self, at: u64, first: u64) {
        // The word is its recorder's until it is committed.
        self.word(at).plain.with_mut(|_| {});
        Parting::commit(&self.word(at).first, first);
    }

    /// As `Shared::push`; where it ends.
    fn push(&self, length: u64) -> Option<u64> {
        let (pad, at) = Parting::reserve(&self.tail, &self.head, Self::CAPACITY, length, 0)?;
        assert!(at % Self::CAPACITY + length <= Self::CAPACITY, "over the end");
        if pad != at {
            self.commit(pad, (at - pad) | PAD);
        }
        for (at, word) in self.rest(at, length) {
            // SAFETY: loom looks after it.
            word.with_mut(|word| unsafe { *word = at });
        }
        self.commit(at, length);
        Some(at + length)
    }

    /// Reads one frame, with the padding before it. As `Shared::read`; where it ended.
    fn read(&self, from: u64) -> u64 {
        let (mut at, end) = (from, self.tail.load(Ordering::Relaxed));
        while at < end {
            let Some(first) = Parting::committed(&self.word(at).first) else { return from };
            self.word(at).plain.with(|_| {});
            at += first & !PAD;
            if first & PAD == 0 {
                for (at, word) in self.rest(at - first, first) {
                    // SAFETY: loom looks after it.
                    word.with(|word| assert_eq!(unsafe { *word }, at));
                }
                return at;
            }
        }
        from
    }

    /// As `Shared::free`.
    fn free(&self, from: u64, to: u64) {
        for at in (from..to).step_by(WORD as usize) {
            let word = self.word(at);
            // SAFETY: loom looks after it.
            word.plain.with_mut(|word| unsafe { *word = 0 });
            word.first.store(0, Ordering::Relaxed);
        }
        Parting::free(&self.head, to);
    }

    /// Reads one frame and frees it; where it ended.
    fn drain(&self, from: u64) -> u64 {
        let to = self.read(from);
        self.free(from, to);
        to
    }
}

/// Two recorders and the flusher, who may free the first frame before the second has its room.
#[test]
fn shared_frames_arrive_whole() {
    loom::model(|| {
        let ring = Many::<4>::new();
        let (other, read) = (ring.clone(), ring.clone());
        let recorder = thread::spawn(move || assert!(other.push(2 * WORD).is_some()));
        let flusher = thread::spawn(move || read.drain(0));
        assert!(ring.push(2 * WORD).is_some());
        recorder.join().unwrap();
        let mut at = flusher.join().unwrap();
        while at < 4 * WORD {
            let next = ring.read(at);
            assert_ne!(next, at, "a frame is missing");
            at = next;
        }
        assert_eq!(ring.read(at), at, "a frame twice");
    });
}

/// The third frame does not fit behind the second one, and gets the room of both.
#[test]
fn shared_room_comes_back_clean() {
    loom::model(|| {
        let ring = Many::<4>::new();
        assert_eq!([2, 1].map(|words| ring.push(words * WORD)), [2, 3].map(|end| Some(end * WORD)));
        let read = ring.clone();
        let flusher = thread::spawn(move || (0..3).fold(0, |at, _| read.drain(at)));
        let third = ring.push(3 * WORD);
        let at = (0..3).fold(flusher.join().unwrap(), |at, _| ring.drain(at));
        assert_eq!(at, third.unwrap_or(3 * WORD));
        assert_eq!(ring.tail.load(Ordering::Relaxed), at);
    });
}

/// Writes the frame of one word that stands at position `at`.
fn overwrite(ring: &Overwrite, at: u64) {
    ring.push(&frame_at(at).to_le_bytes()).unwrap();
}

fn frame_at(at: u64) -> u64 {
    WORD | (at + 1) << 32
}

/// Reads on from `from`: each word is the one of its position. Where it began and ended.
fn copied(ring: &Overwrite, from: u64) -> (u64, u64) {
    let mut words = Vec::new();
    let (begin, end) = ring.read(from, &mut words);
    assert!(words.iter().copied().eq((begin..end).step_by(WORD as usize).map(frame_at)));
    (begin, end)
}

/// A full ring is read while the two oldest frames are overwritten.
#[test]
fn overwritten_is_dropped() {
    loom::model(|| {
        let ring = Arc::new(Overwrite::new(64));
        let full = ring.capacity();
        let positions = |from: u64, to: u64| (from..to).step_by(WORD as usize);
        positions(0, full).for_each(|at| overwrite(&ring, at));
        let read = ring.clone();
        let flusher = thread::spawn(move || {
            let (begin, end) = copied(&read, 0);
            assert!(begin <= end && end >= full, "{begin} {end}");
        });
        let end = full + 2 * WORD;
        positions(full, end).for_each(|at| overwrite(&ring, at));
        flusher.join().unwrap();
        assert_eq!(copied(&ring, 0), (end - full, end));
    });
}

/// While the ring is read all that the reader saw there is overwritten.
#[test]
fn a_lapped_reader_gets_nothing() {
    let mut model = loom::model::Builder::new();
    // Ten frames are too many for every interleaving: those with two switches are tried.
    model.preemption_bound = Some(2);
    model.check(|| {
        let ring = Arc::new(Overwrite::new(64));
        let positions = |from: u64, to: u64| (from..to).step_by(WORD as usize);
        overwrite(&ring, 0);
        let read = ring.clone();
        let flusher = thread::spawn(move || copied(&read, 0));
        let end = ring.capacity() + 2 * WORD;
        positions(WORD, end).for_each(|at| overwrite(&ring, at));
        let (begin, seen) = flusher.join().unwrap();
        assert!(begin <= seen && seen <= end, "{begin} {seen}");
        assert_eq!(copied(&ring, seen), (seen.max(2 * WORD), end));
    });
}

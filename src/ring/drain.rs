//! Takes frames out of the rings, merged by time.
//!
//! Order is exact within a ring. Between rings it is by the clock: what is younger than the hold-back
//! waits for what may still come from another thread, and what comes later than that is written late
//! with its right time.

use std::sync::Arc;

use super::frame::Frame;
use super::overwrite;
use super::run::Run;
use super::set::{ByLevel, Kind, Leased, Rings};

/// What a ring gives up to be read, as positions of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Of the ring in the set's list; `None` is the shared one.
    pub(crate) ring: Option<usize>,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// How far one ring was read.
#[derive(Default)]
struct Source {
    read: u64,
    freed: u64,
    /// Up to where frames are looked at in this round.
    end: u64,
    /// Of a [`Kind::Recorder`]: a copy of what it had, up to `end`.
    copy: Vec<u8>,
    /// Lines of all copies so far.
    taken: ByLevel,
}

/// The flusher's side of an engine's rings: their one reader.
pub(crate) struct Drain {
    rings: Arc<Rings>,
    known: Vec<Arc<Leased>>,
    sources: Vec<Source>,
    shared: Source,
    words: Vec<u64>,
    fullest: u64,
    /// Frames that made no sense, or over which whoever saw them panicked.
    torn: u64,
    /// Frames are being seen.
    under_way: bool,
    /// Whoever reads frees; else somebody else says when.
    frees: bool,
}

/// Frames that are looked at before rings get their bytes back.
const ROUND: usize = 1_024;

impl Drain {
    /// The reader of these rings, where nobody has been given it yet.
    pub(crate) fn only(rings: Arc<Rings>) -> Option<Drain> {
        if !rings.take_reader() {
            return None;
        }
        let mut drain = Drain {
            rings,
            known: Vec::new(),
            sources: Vec::new(),
            shared: Source::default(),
            words: Vec::new(),
            fullest: 0,
            torn: 0,
            under_way: false,
            frees: true,
        };
        drain.shared.read = drain.rings.shared.freed();
        drain.shared.freed = drain.shared.read;
        Some(drain)
    }

    /// Reads on, and leaves it to somebody else to give the rings back what was read.
    pub(crate) fn leave_freeing(&mut self) {
        self.frees = false;
    }

    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }

    pub(crate) fn known(&self) -> &[Arc<Leased>] {
        &self.known
    }

    /// Whether a ring is half full, as of now.
    pub(crate) fn is_pressed(&mut self) -> bool {
        self.fullest = 0;
        for leased in &self.known {
            if let Kind::Queue(ring) = &leased.kind {
                self.fullest = self.fullest.max(ring.used() * 8 / ring.capacity());
            }
        }
        let shared = &self.rings.shared;
        let used = shared.reserved().saturating_sub(shared.freed());
        self.fullest = self.fullest.max(used * 8 / shared.capacity());
        self.fullest >= 4
    }

    /// How full the fullest ring was at the last [`is_pressed`](Self::is_pressed), in eighths.
    pub(crate) fn fullest_eighths(&self) -> usize {
        self.fullest as usize
    }

    /// Hands over at most `ROUND` frames with ticks up to `horizon`, the oldest first, until `see` says
    /// that it has enough, or takes none of those it is given; then gives the rings back what was read.
    /// How many were taken.
    pub(crate) fn round(
        &mut self,
        horizon: u64,
        mut see: impl FnMut(&mut Run<'_>) -> bool,
    ) -> usize {
        // Over the last one that was taken somebody panicked.
        self.torn += u64::from(std::mem::take(&mut self.under_way));
        self.look();
        let (mut left, mut more) = (ROUND, true);
        while more && left > 0 {
            let Some((of, until)) = self.oldest(horizon) else { break };
            self.under_way = true;
            let before = left;
            // As long as no other ring has an older one.
            while more && let Some(mut run) = self.run(of, until, left) {
                more = see(&mut run);
                if std::mem::replace(&mut left, run.left()) == left {
                    break;
                }
            }
            self.under_way = false;
            more &= left < before;
        }
        if self.frees {
            self.free();
        }
        ROUND - left
    }

    /// Sees what was published up to now.
    fn look(&mut self) {
        self.rings.list(&mut self.known);
        for leased in &self.known[self.sources.len()..] {
            let at = match &leased.kind {
                Kind::Queue(ring) => ring.cursor().freed(),
                Kind::Recorder(_) => 0,
            };
            self.sources.push(Source { read: at, freed: at, ..Source::default() });
        }
        for (leased, source) in self.known.iter().zip(&mut self.sources) {
            match &leased.kind {
                Kind::Queue(ring) => source.end = ring.cursor().published(),
                Kind::Recorder(recorder) if source.read == source.end => {
                    self.words.clear();
                    // Before the copy: what is counted by now is in it, or was overwritten.
                    let pushed = leased.pushed.seen();
                    let (from, to) = recorder.read(source.read, &mut self.words);
                    source.copy.clear();
                    source.copy.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
                    (source.read, source.end) = (from, to);
                    for frame in overwrite::frames(&source.copy) {
                        let at = usize::from(frame.level()).wrapping_sub(1);
                        source.taken.get_mut(at).into_iter().for_each(|taken| *taken += 1);
                    }
                    let taken = &source.taken;
                    let lost = |at: usize| pushed[at].saturating_sub(taken[at]);
                    leased.lost.raise(std::array::from_fn(lost));
                }
                Kind::Recorder(_) => {}
            }
        }
        self.shared.end = self.rings.shared.reserved();
    }

    /// The frame that comes next from ring `of`.
    fn peek(&mut self, of: Option<usize>) -> Option<Frame<'_>> {
        let Some(at) = of else {
            // SAFETY: the one reader, with a position that it has not freed.
            let next = unsafe { self.rings.shared.read(self.shared.read, self.shared.end) };
            return next.map(|(frame, _)| frame);
        };
        let (leased, source) = (self.known.get(at)?, self.sources.get_mut(at)?);
        match &leased.kind {
            // SAFETY: as above; what is borrowed goes before `free`, which takes `self` mutably.
            Kind::Queue(ring) => match unsafe { ring.read(source.read, source.end) }? {
                (Some(frame), _) => Some(frame),
                (None, next) => {
                    // Nothing that can be read: the rest of what is there is given up.
                    self.torn += 1;
                    source.read = next;
                    None
                }
            },
            Kind::Recorder(_) => {
                overwrite::frames(copied(&source.copy, source.end - source.read)).next()
            }
        }
    }

    /// What comes next from ring `of` and lies in one piece: at most `most` frames up to `until`.
    fn run(&mut self, of: Option<usize>, until: u64, most: usize) -> Option<Run<'_>> {
        let Some(at) = of else {
            // Of what everyone writes each frame becomes whole by itself.
            // SAFETY: as in `peek`.
            let next = unsafe { self.rings.shared.read(self.shared.read, self.shared.end) };
            let (frame, next) = next?;
            self.shared.read = next - frame.bytes().len() as u64;
            return Some(Run::new(frame.bytes(), &mut self.shared.read, until, most));
        };
        let (leased, source) = (self.known.get(at)?, self.sources.get_mut(at)?);
        let rest = match &leased.kind {
            // SAFETY: as in `peek`.
            Kind::Queue(ring) => unsafe { ring.rest(&mut source.read, source.end) },
            Kind::Recorder(_) => copied(&source.copy, source.end - source.read),
        };
        Some(Run::new(rest, &mut source.read, until, most))
    }

    /// The ring with the oldest frame up to `horizon`, and the ticks up to which no other has one.
    fn oldest(&mut self, horizon: u64) -> Option<(Option<usize>, u64)> {
        let mut first: Option<(Option<usize>, u64)> = None;
        let mut second = horizon;
        for of in (0..self.sources.len()).map(Some).chain([None]) {
            let Some(ticks) = self.peek(of).map(|frame| frame.ticks()) else { continue };
            match first {
                Some((_, least)) if ticks >= least => second = second.min(ticks),
                _ => {
                    if let Some((_, least)) = first {
                        second = second.min(least);
                    }
                    first = Some((of, ticks));
                }
            }
        }
        first.filter(|(_, ticks)| *ticks <= horizon).map(|(of, _)| (of, second))
    }

    /// What was read and not freed yet; from here on it counts as being freed.
    pub(crate) fn spans(&mut self, into: &mut Vec<Span>) {
        let rings = self.known.iter().zip(&mut self.sources).enumerate();
        for (at, (leased, source)) in rings {
            if matches!(leased.kind, Kind::Queue(_)) && source.read > source.freed {
                into.push(Span { ring: Some(at), from: source.freed, to: source.read });
                source.freed = source.read;
            }
        }
        if self.shared.read > self.shared.freed {
            into.push(Span { ring: None, from: self.shared.freed, to: self.shared.read });
            self.shared.freed = self.shared.read;
        }
    }

    fn free(&mut self) {
        for (leased, source) in self.known.iter().zip(&mut self.sources) {
            if let Kind::Queue(ring) = &leased.kind
                && source.read > source.freed
            {
                source.freed = source.read;
                ring.cursor().free(source.read);
            }
        }
        if self.shared.read > self.shared.freed {
            // SAFETY: the one reader, which has read up to there and borrows none of it any more.
            unsafe { self.rings.shared.free(self.shared.freed, self.shared.read) };
            self.shared.freed = self.shared.read;
        }
        self.rings.made_room();
    }
}

/// What was not read of a recorder's copy: so many bytes.
fn copied(copy: &[u8], left: u64) -> &[u8] {
    copy.get(copy.len().saturating_sub(left as usize)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::super::frame::kind;
    use super::super::set::{Overflow, Settings};
    use super::super::writer::{Head, Writer};
    use super::*;
    use crate::shard::space::Space;

    fn drain(overflow: Overflow, lines: u64) -> Drain {
        let settings = Settings { ring_bytes: 4096, rings: 1, overflow };
        let rings = Rings::new(settings, Arc::new(Space::new(1 << 20))).unwrap();
        for ticks in 0..lines {
            let head = Head { kind: kind::LINE, level: 3, ticks, ..Head::default() };
            rings.write(head, &|_: &mut Writer<'_>| {});
        }
        Drain::only(rings).unwrap()
    }

    /// Takes all of a run.
    fn all(run: &mut Run<'_>) -> bool {
        while run.next_if(|_| true).is_some() {}
        true
    }

    #[test]
    fn a_frame_over_which_its_reader_panics_is_not_read_again() {
        for overflow in [Overflow::DropNewest, Overflow::OverwriteOldest] {
            let mut drain = drain(overflow, 3);
            let panics = AssertUnwindSafe(|| {
                drain.round(u64::MAX, |run| {
                    run.next_if(|_| true);
                    resume_unwind(Box::new(1))
                })
            });
            assert!(catch_unwind(panics).is_err());
            let mut seen = Vec::new();
            drain.round(u64::MAX, |run| {
                seen.extend(
                    std::iter::from_fn(|| run.next_if(|_| true)).map(|frame| frame.ticks()),
                );
                true
            });
            assert_eq!((seen, drain.torn()), (vec![1, 2], 1));
        }
    }

    #[test]
    fn what_stands_behind_padding_comes_at_once() {
        // Of a length that no ring's is a multiple of, so that the reader meets padding at each lap's end,
        // and nothing before it.
        let mut drain = drain(Overflow::DropNewest, 0);
        let rings = drain.rings.clone();
        for ticks in 0..300 {
            let head = Head { kind: kind::LINE, level: 3, ticks, ..Head::default() };
            rings.write(head, &|writer: &mut Writer<'_>| writer.raw(&[7; 100]));
            assert_eq!(drain.round(u64::MAX, all), 1);
        }
        assert_eq!(drain.torn(), 0);
    }

    #[test]
    fn what_two_rings_have_comes_by_its_time_however_few_are_taken_at_once() {
        for most in [1, 3, usize::MAX] {
            // One thread has the ring, the other the shared one; each goes around several times.
            let mut drain = drain(Overflow::DropNewest, 0);
            let rings = drain.rings.clone();
            let (mut seen, mut written) = (Vec::new(), 0);
            for _ in 0..50 {
                for first in [written, written + 1] {
                    let write = || {
                        for ticks in (first..written + 30).step_by(2) {
                            let head =
                                Head { kind: kind::LINE, level: 3, ticks, ..Head::default() };
                            rings.write(head, &|_: &mut Writer<'_>| {});
                        }
                    };
                    if first == written {
                        write();
                    } else {
                        std::thread::scope(|scope| scope.spawn(write).join().unwrap());
                    }
                }
                written += 30;
                while drain.round(u64::MAX, |run| {
                    let frames = std::iter::from_fn(|| run.next_if(|_| true));
                    seen.extend(frames.take(most).map(|frame| frame.ticks()));
                    true
                }) > 0
                {}
            }
            assert_eq!(seen, (0..written).collect::<Vec<_>>());
            assert_eq!(drain.torn(), 0);
        }
    }

    #[test]
    fn what_is_not_wanted_stays() {
        let mut drain = drain(Overflow::DropNewest, 3);
        let none = |run: &mut Run<'_>| run.next_if(|of| of != kind::LINE).is_none();
        assert_eq!(drain.round(u64::MAX, none), 0);
        assert_eq!(drain.round(1, all), 2);
        assert_eq!(drain.round(u64::MAX, |run| run.next_if(|_| true).is_none()), 1);
    }

    #[test]
    fn a_recorders_line_is_read_or_lost_and_never_both() {
        const LINES: u64 = 200_000;
        let mut drain = drain(Overflow::OverwriteOldest, 0);
        let rings = drain.rings.clone();
        let mut seen = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for ticks in 0..LINES {
                    let head = Head { kind: kind::LINE, level: 3, ticks, ..Head::default() };
                    rings.write(head, &|_: &mut Writer<'_>| {});
                }
            });
            while !writer.is_finished() {
                seen += drain.round(u64::MAX, all) as u64;
            }
        });
        while let more @ 1.. = drain.round(u64::MAX, all) as u64 {
            seen += more;
        }
        assert_eq!(seen + rings.lost(drain.known())[2], LINES);
    }
}

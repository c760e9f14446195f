//! The calling thread's ring.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null};
use std::sync::{Arc, Weak};

use super::frame::{MOST_URGENT, kind};
use super::here::HERE;
use super::set::{Kind, Leased, Overflow, Rings};
use super::spsc::Producer;
use super::writer::{Blocks, Fill, Head, TEXT_LIMITS, Writer};
use super::{Refused, context, forked, most_frame, names};

/// Lines after which a thread without a ring looks for a free one again.
const RETRY_AFTER: u32 = 1_000;
/// Bytes of a frame that is put together outside a ring.
const OUTSIDE: usize = 12 << 10;

/// What a thread knows of the ring that it has from one engine, at a place that is zeroed in a
/// forked child: zeroes are a value of it.
pub(super) struct Local {
    /// 0, which is no engine's, where the ring is not written in place.
    engine: u64,
    producer: Producer,
    ring: *const Leased,
    thread: u32,
}

const _: () = assert!(size_of::<Local>() <= forked::PLACE && align_of::<Local>() <= forked::PLACE);

/// Of a thread that writes nothing in place: so it need not be asked whether it does.
pub(super) struct Nowhere(Local);

// SAFETY: no thread writes its cells: it is of no engine, and nothing fits into it.
unsafe impl Sync for Nowhere {}

pub(super) static NOWHERE: Nowhere =
    Nowhere(Local { engine: 0, producer: Producer::nowhere(), ring: null(), thread: 0 });

impl Nowhere {
    pub(super) const fn local(&self) -> *const Local {
        &raw const self.0
    }
}

/// A ring on lease, or the wish for one.
struct Lease {
    rings: Weak<Rings>,
    engine: u64,
    life: u32,
    held: Option<(NonNull<Local>, Arc<Leased>)>,
    /// Lines until the next try, where none is held.
    wait: u32,
}

struct Leases(RefCell<Vec<Lease>>);

thread_local! {
    // Const and without a destructor: there while other thread-locals are destroyed.
    /// The engine that the thread works for; 0 where it is the host's.
    static OURS: Cell<u64> = const { Cell::new(0) };
    static LEASES: Leases = const { Leases(RefCell::new(Vec::new())) };
}

impl Drop for Leases {
    fn drop(&mut self) {
        let inherited = |lease: &Lease| forked::is_inherited(lease.life);
        if !self.0.get_mut().iter().any(inherited) {
            names::thread_ended();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((local, ring)) = self.held.take() else { return };
        HERE.with(|here| {
            if here.local.get() == local.as_ptr() {
                here.local.set(NOWHERE.local());
            }
        });
        if forked::is_inherited(self.life) {
            // Whoever held a lock when the child was made may be no more.
            std::mem::forget(ring);
            return;
        }
        // SAFETY: taken for this lease, named by `HERE` alone, and not any more.
        unsafe { forked::give_back(local.cast()) };
        if let Some(rings) = self.rings.upgrade() {
            rings.give_back(ring);
        }
    }
}

/// Says that the calling thread works for the engine with the rings `engine`: its lines never wait,
/// and lines for that engine are dropped, or each batch that an exporter takes would make the next.
pub(crate) fn set_ours(engine: u64) {
    OURS.set(engine);
}

pub(crate) fn is_ours() -> bool {
    OURS.get() != 0
}

/// Whether a line of this level may use what is kept for what is urgent.
#[inline(always)]
fn is_urgent(level: u8) -> bool {
    level <= MOST_URGENT
}

/// Where [`try_write_of`] did not: writes a span as [`Rings::write`] does a line. Without effect where
/// the engine has ended.
pub(crate) fn write_of_slowly(engine: u64, head: Head, fill: &impl Fill) {
    let leased = |leases: &Leases| {
        let leases = leases.0.try_borrow().ok()?;
        leases.iter().find(|lease| lease.engine == engine)?.rings.upgrade()
    };
    // A thread that has written for it before takes no lock, and a child none that its parent may
    // have held.
    let rings = LEASES.try_with(leased).ok().flatten();
    let listed = || if forked::is_child() { None } else { super::set::of_engine(engine) };
    if let Some(rings) = rings.or_else(listed) {
        rings.write_slowly(head, Blocks::default(), fill);
    }
}

/// What the calling thread writes in place.
#[inline(always)]
fn local<'a>() -> &'a Local {
    // A reference out of the closure would be asked whether it is null.
    let local = HERE.with(|here| here.local.get());
    // SAFETY: `NOWHERE`, or a `Local` that a lease of this thread keeps, for as long as a line takes.
    unsafe { &*local }
}

/// Whether it was written: the thread's current ring is this engine's and has room.
#[inline(always)]
fn try_write_in(engine: u64, head: Head, context: Blocks<'_>, fill: &impl Fill) -> bool {
    let local = local();
    let head = Head { thread: local.thread, ..head };
    // SAFETY: the lease keeps the ring that the producer was made for.
    local.engine == engine && unsafe { local.producer.try_write(head, context, fill) }
}

/// Whether a span of the engine of this number was written; else it goes by [`write_of_slowly`]. A span
/// knows its engine by its number: to count those that know it would be dearer than the rest of it.
#[inline(always)]
pub(crate) fn try_write_of(engine: u64, head: Head, fill: &impl Fill) -> bool {
    try_write_in(engine, head, Blocks::default(), fill)
}

/// Whether a line was written, with the thread's context: its current ring is this engine's and has
/// room. Else it goes by [`Rings::write_otherwise`].
#[inline(always)]
pub(crate) fn try_write_line(engine: u64, head: Head, fill: &impl Fill) -> bool {
    // SAFETY: nothing below sets the thread's context.
    let context = unsafe { context::current_blocks() };
    try_write_in(engine, head, context, fill)
}

impl Rings {
    /// Writes one line, with the thread's context, into the calling thread's ring, or counts it as
    /// lost. `fill` may run more than once and calls no code of a host's.
    #[inline(always)]
    pub(crate) fn write(&self, head: Head, fill: &impl Fill) {
        if !try_write_line(self.id(), head, fill) {
            self.write_otherwise(head, fill);
        }
    }

    /// [`write`](Self::write), with another context than the thread's.
    pub(crate) fn write_in(&self, head: Head, context: Blocks<'_>, fill: &impl Fill) {
        if !try_write_in(self.id(), head, context, fill) {
            self.write_slowly(head, context, fill);
        }
    }

    /// [`write`](Self::write), where there is no room without a closer look, or no ring yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn write_otherwise(&self, head: Head, fill: &impl Fill) {
        // SAFETY: nothing below sets the thread's context.
        let context = unsafe { context::current_blocks() };
        self.write_slowly(head, context, fill);
    }

    /// Where there is no room without a closer look, or no ring yet.
    fn write_slowly(&self, head: Head, context: Blocks<'_>, fill: &impl Fill) {
        let local = local();
        if local.engine != self.id() {
            return self.write_elsewhere(head, context, fill);
        }
        // SAFETY: the lease keeps it.
        let leased = unsafe { &*local.ring };
        let Kind::Queue(ring) = &leased.kind else { return };
        let head = Head { thread: local.thread, ..head };
        let urgent = is_urgent(head.level);
        let write = || {
            // SAFETY: the producer was made for this ring, which this thread has on lease.
            unsafe { local.producer.write(ring, urgent, head, context, fill) }
        };
        if let Err(refused) = write() {
            self.refused(refused, Some(leased), head.level, write);
        }
    }

    /// Whether the calling thread works for this engine.
    pub(crate) fn is_for_this_thread(&self) -> bool {
        OURS.get() == self.id()
    }

    /// Waits where that was asked for, else counts.
    #[cold]
    fn refused(
        &self,
        refused: Refused,
        leased: Option<&Leased>,
        level: u8,
        again: impl FnMut() -> Result<(), Refused>,
    ) {
        let result = match refused {
            Refused::Full => self.wait_for_room(leased, again),
            Refused::TooLong => Err(Refused::TooLong),
        };
        match (result, leased) {
            (Ok(()), _) => {}
            (Err(Refused::TooLong), _) => self.refused.count(level),
            (Err(Refused::Full), Some(leased)) => leased.lost.count(level),
            (Err(Refused::Full), None) => self.shared_lost.count(level),
        }
    }

    /// Where the thread's current ring is not one of this engine's that is written in place.
    #[cold]
    #[inline(never)]
    fn write_elsewhere(&self, head: Head, context: Blocks<'_>, fill: &impl Fill) {
        // Before any lock: in a child its holder may be missing.
        if self.is_inherited() {
            return self.refused.count(head.level);
        }
        // Only here: a thread that works for an engine never gets one of its rings.
        if self.is_for_this_thread() {
            return self.own.count(head.level);
        }
        let found = LEASES.try_with(|leases| {
            let mut leases = leases.0.try_borrow_mut().ok()?;
            self.find(&mut leases)
        });
        let leased = match found {
            Ok(Some(leased)) => leased,
            // No ring, or the thread's locals are gone.
            _ => return self.write_shared(head, context, fill),
        };
        match &leased.kind {
            // `HERE` names it now.
            Kind::Queue(_) => self.write_slowly(head, context, fill),
            Kind::Recorder(recorder) => {
                let limit = most_frame(recorder.capacity());
                let head = Head { thread: names::this_thread(), ..head };
                match outside(limit, head, context, fill, |frame| recorder.push(frame)) {
                    Ok(()) => leased.pushed.count_pushed(head.level),
                    Err(_) => self.refused.count(head.level),
                }
            }
        }
    }

    /// The thread's ring of this engine, leased now if it can be; made the current one.
    fn find(&self, leases: &mut Vec<Lease>) -> Option<Arc<Leased>> {
        let at = match leases.iter().position(|lease| lease.engine == self.id()) {
            Some(at) => at,
            None => {
                // Engines that are gone make room.
                leases.retain(|lease| lease.rings.strong_count() > 0);
                if leases.is_empty() {
                    names::thread_began();
                }
                let rings = self.weak();
                let (engine, life) = (self.id(), self.life());
                leases.push(Lease { rings, engine, life, held: None, wait: 0 });
                leases.len() - 1
            }
        };
        let lease = leases.get_mut(at)?;
        if lease.held.is_none() {
            if lease.wait > 0 {
                lease.wait -= 1;
                return None;
            }
            match self.lease() {
                Some(ring) => lease.held = Some((self.local(&ring), ring)),
                None => lease.wait = RETRY_AFTER,
            }
        }
        let (local, ring) = lease.held.as_ref()?;
        HERE.with(|here| here.local.set(local.as_ptr()));
        Some(ring.clone())
    }

    fn local(&self, leased: &Arc<Leased>) -> NonNull<Local> {
        let (engine, producer) = match &leased.kind {
            Kind::Queue(ring) => {
                let reserve = match self.overflow() {
                    Overflow::DropNewest => Rings::reserve(ring.capacity()),
                    _ => 0,
                };
                // SAFETY: the ring came off the list of free ones, so no other thread has it; the
                // lease keeps it.
                (self.id(), unsafe { Producer::new(ring, reserve) })
            }
            Kind::Recorder(_) => (0, Producer::nowhere()),
        };
        let local =
            Local { engine, producer, ring: Arc::as_ptr(leased), thread: names::this_thread() };
        let place = forked::take().cast();
        // SAFETY: large and aligned enough (see the assertion), and this call's alone.
        unsafe { place.write(local) };
        place
    }

    fn write_shared(&self, head: Head, context: Blocks<'_>, fill: &impl Fill) {
        let capacity = self.shared.capacity();
        let reserve = match self.overflow() {
            Overflow::DropNewest if !is_urgent(head.level) => Rings::reserve(capacity),
            _ => 0,
        };
        let head = Head { thread: names::this_thread(), ..head };
        let write = || {
            let push = |frame: &[u8]| self.shared.push(frame, reserve);
            outside(most_frame(capacity), head, context, fill, push)
        };
        if let Err(refused) = write() {
            self.refused(refused, None, head.level, write);
        }
    }
}

/// Puts a frame together on the stack, and hands it to `push`.
fn outside(
    limit: u64,
    head: Head,
    context: Blocks<'_>,
    fill: &impl Fill,
    push: impl FnOnce(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    debug_assert_ne!(head.kind, kind::PAD);
    let mut room = [MaybeUninit::<u64>::uninit(); OUTSIDE / 8];
    // SAFETY: the same bytes, which may be uninitialised either way.
    let room: &mut [MaybeUninit<u8>] =
        unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), OUTSIDE) };
    let room = &mut room[..limit.min(OUTSIDE as u64) as usize];
    for most_text in TEXT_LIMITS {
        let mut writer = Writer::within(room, most_text, context);
        fill.fill(&mut writer);
        if let Some(length) = writer.finish(head) {
            // SAFETY: `finish` says that so many bytes at the front are written.
            let frame = unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), length) };
            return push(frame);
        }
    }
    Err(Refused::TooLong)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::frame::{Frame, tag};
    use super::super::set::{ByLevel, Settings};
    use super::*;
    use crate::shard::space::Space;

    const INFO: u8 = 3;

    fn rings(ring_bytes: usize, rings: usize, overflow: Overflow) -> Arc<Rings> {
        let space = Arc::new(Space::new(64 << 20));
        Rings::new(Settings { ring_bytes, rings, overflow }, space).unwrap()
    }

    fn line(rings: &Rings, level: u8, number: u64, text: &str) {
        let head = Head { kind: kind::LINE, level, ticks: number, ..Head::default() };
        rings.write(head, &|writer: &mut Writer<'_>| {
            writer.word(None, tag::U64, number);
            writer.text(None, tag::STR, text.as_bytes(), 0);
        });
    }

    impl Leased {
        fn queue(&self) -> &crate::ring::spsc::Ring {
            match &self.kind {
                Kind::Queue(ring) => ring,
                Kind::Recorder(_) => panic!("a recorder"),
            }
        }
    }

    /// What is in the rings of one thread each, and in the shared one: thread and ticks.
    struct Reader {
        rings: Arc<Rings>,
        known: Vec<Arc<Leased>>,
        at: Vec<u64>,
        shared: u64,
    }

    impl Reader {
        fn new(rings: &Arc<Rings>) -> Reader {
            Reader { rings: rings.clone(), known: Vec::new(), at: Vec::new(), shared: 0 }
        }

        fn drain(&mut self) -> Vec<(u32, u64)> {
            self.rings.list(&mut self.known);
            self.at.resize(self.known.len(), 0);
            let mut lines = Vec::new();
            let mut see = |frame: Frame<'_>| {
                assert_eq!(frame.kind(), kind::LINE);
                let (_, mut fields) = frame.body(&[]).unwrap();
                assert!(fields.next().is_none(), "no keys");
                lines.push((frame.thread(), frame.ticks()));
            };
            // The rings' ends first: what a thread wrote before, into the shared one, is there then.
            let ends: Vec<u64> =
                self.known.iter().map(|leased| leased.queue().cursor().published()).collect();
            let (mut at, end) = (self.shared, self.rings.shared.reserved());
            // SAFETY: the one reader, from where it freed.
            while let Some((frame, next)) = unsafe { self.rings.shared.read(at, end) } {
                see(frame);
                at = next;
            }
            // SAFETY: read up to there.
            unsafe { self.rings.shared.free(self.shared, at) };
            self.shared = at;
            for ((leased, at), end) in self.known.iter().zip(&mut self.at).zip(ends) {
                let ring = leased.queue();
                // SAFETY: the one reader, from where it freed to what is published.
                while let Some((frame, next)) = unsafe { ring.read(*at, end) } {
                    see(frame.unwrap());
                    *at = next;
                }
                *at = end;
                ring.cursor().free(end);
            }
            self.rings.made_room();
            lines
        }

        fn lost(&self) -> ByLevel {
            self.rings.lost(&self.known)
        }
    }

    #[test]
    fn a_thread_of_ours_logs_for_other_engines_alone() {
        let [ours, other] = [(); 2].map(|()| rings(4096, 1, Overflow::DropNewest));
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(!is_ours());
                set_ours(ours.id());
                assert!(is_ours());
                for number in 0..3 {
                    line(&ours, INFO, number, "");
                    line(&other, INFO, number, "");
                }
            });
        });
        line(&ours, INFO, 7, "the host's");
        let ticks = |rings: &Arc<Rings>| {
            Reader::new(rings).drain().into_iter().map(|(_, ticks)| ticks).collect::<Vec<_>>()
        };
        assert_eq!((ticks(&ours), ticks(&other)), (vec![7], vec![0, 1, 2]));
        assert_eq!((ours.own(), other.own()), ([0, 0, 3, 0, 0, 0], [0; 6]));
        assert_eq!(Reader::new(&ours).lost(), [0; 6], "no ring was full");
    }

    #[test]
    fn lines_come_back_in_their_order_through_many_turns_of_the_ring() {
        let rings = rings(4096, 1, Overflow::DropNewest);
        let mut reader = Reader::new(&rings);
        let mut seen = 0;
        for number in 0..5_000 {
            let text = "x".repeat(number as usize * 7 % 300);
            line(&rings, INFO, number, &text);
            if number % 5 == 0 {
                for (_, ticks) in reader.drain() {
                    assert_eq!(ticks, seen);
                    seen += 1;
                }
            }
        }
        seen += reader.drain().len() as u64;
        assert_eq!((seen, reader.lost()), (5_000, [0; 6]));
    }

    #[test]
    fn a_full_ring_keeps_room_for_what_is_urgent_and_counts_the_rest() {
        let rings = rings(4096, 1, Overflow::DropNewest);
        let mut reader = Reader::new(&rings);
        for number in 0..1_000 {
            line(&rings, INFO, number, "");
        }
        let warnings = 3;
        for number in 0..warnings {
            line(&rings, MOST_URGENT, number, "");
        }
        let kept = reader.drain().len() as u64;
        assert_eq!(reader.lost(), [0, 0, 1_000 + warnings - kept, 0, 0, 0]);
        assert!(kept > 4096 * 7 / 8 / 64, "{kept}");
    }

    #[test]
    fn a_text_that_no_ring_would_take_is_cut_and_a_frame_that_stays_too_long_is_counted() {
        let rings = rings(4096, 1, Overflow::DropNewest);
        let mut reader = Reader::new(&rings);
        line(&rings, INFO, 1, &"x".repeat(1 << 20));
        assert_eq!(reader.drain().len(), 1);
        let head = Head { kind: kind::LINE, level: INFO, ..Head::default() };
        rings.write(head, &|writer: &mut Writer<'_>| {
            (0..200).for_each(|n| writer.word(None, tag::U64, n))
        });
        assert_eq!((reader.drain().len(), reader.lost()), (0, [0, 0, 1, 0, 0, 0]));
    }

    #[test]
    fn threads_past_the_last_ring_and_destructors_share_one() {
        struct Logs(Arc<Rings>);
        impl Drop for Logs {
            fn drop(&mut self) {
                line(&self.0, INFO, 2, "");
            }
        }
        thread_local! {
            static BEFORE: RefCell<Option<Logs>> = const { RefCell::new(None) };
            static AFTER: RefCell<Option<Logs>> = const { RefCell::new(None) };
        }
        let rings = rings(64 << 10, 1, Overflow::DropNewest);
        let mut reader = Reader::new(&rings);
        line(&rings, INFO, 0, "");
        for _ in 0..50 {
            // Whichever order the system destroys them in, one of them comes after the lease.
            let logs = || {
                BEFORE.set(Some(Logs(rings.clone())));
                line(&rings, INFO, 1, "");
                AFTER.set(Some(Logs(rings.clone())));
            };
            thread::scope(|scope| scope.spawn(logs).join().unwrap());
        }
        let lines = reader.drain();
        let of = |ticks| lines.iter().filter(|line| line.1 == ticks).count();
        assert_eq!((of(0), of(1), of(2), reader.lost()), (1, 50, 100, [0; 6]));
        assert_eq!(reader.known.len(), 1);
    }

    #[test]
    fn a_ring_that_was_given_back_is_taken_up_with_what_is_in_it() {
        let rings = rings(4096, 4, Overflow::DropNewest);
        let mut reader = Reader::new(&rings);
        for number in 0..2_000 {
            thread::scope(|scope| {
                scope.spawn(|| line(&rings, INFO, number, "")).join().unwrap();
            });
            if number % 10 == 9 {
                let ticks: Vec<u64> = reader.drain().into_iter().map(|line| line.1).collect();
                assert_eq!(ticks, (number - 9..=number).collect::<Vec<_>>());
            }
        }
        assert_eq!((reader.known.len(), reader.lost()), (1, [0; 6]));
    }

    #[test]
    fn who_may_wait_waits_and_nothing_is_lost() {
        let rings = rings(4096, 2, Overflow::Block(std::time::Duration::from_secs(60)));
        let mut reader = Reader::new(&rings);
        let each = 20_000;
        thread::scope(|scope| {
            // The third shares.
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| (0..each).for_each(|number| line(&rings, INFO, number, "y")))
                })
                .collect();
            let mut lines = Vec::new();
            while lines.len() < 3 * each as usize {
                lines.extend(reader.drain());
            }
            // Who takes over a ring from one that ends has lines in two: their order is not this
            // reader's to say.
            lines.sort();
            for lines in lines.chunks(each as usize) {
                assert!(lines.iter().map(|line| line.1).eq(0..each));
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        });
        assert_eq!(reader.lost(), [0; 6]);
    }

    #[test]
    fn who_waited_in_vain_does_not_wait_again_before_the_ring_was_empty() {
        let patience = std::time::Duration::from_millis(20);
        let rings = rings(4096, 1, Overflow::Block(patience));
        let mut reader = Reader::new(&rings);
        let began = std::time::Instant::now();
        for number in 0..100_000 {
            line(&rings, INFO, number, "");
        }
        // A hundred thousand waits would be half an hour.
        assert!(began.elapsed() < patience * 1_000);
        let kept = reader.drain().len() as u64;
        assert_eq!(reader.lost()[2], 100_000 - kept);
        line(&rings, INFO, 0, "");
        assert_eq!(reader.drain().len(), 1);
    }

    #[test]
    fn a_recorder_keeps_the_newest_and_counts_what_no_sink_had() {
        let rings = rings(4096, 1, Overflow::OverwriteOldest);
        for number in 0..1_000 {
            line(&rings, INFO, number, "z");
        }
        let mut drain = super::super::drain::Drain::only(rings.clone()).unwrap();
        let mut ticks = Vec::new();
        drain.round(u64::MAX, |run| {
            ticks.extend(std::iter::from_fn(|| run.next_if(|_| true)).map(|frame| frame.ticks()));
            true
        });
        let oldest = ticks[0];
        assert_eq!(ticks, (oldest..1_000).collect::<Vec<_>>());
        assert_eq!(rings.lost(drain.known())[2], oldest);
    }

    #[test]
    fn engines_that_are_gone_give_their_bytes_back() {
        let space = Arc::new(Space::new(1 << 20));
        let settings = Settings { ring_bytes: 4096, rings: 2, overflow: Overflow::DropNewest };
        for _ in 0..100 {
            let rings = Rings::new(settings, space.clone()).unwrap();
            line(&rings, INFO, 0, "");
            assert_eq!(space.used(), 8192);
        }
        assert_eq!(space.used(), 0);
        let tight = Arc::new(Space::new(4096));
        let rings = Rings::new(settings, tight.clone()).unwrap();
        line(&rings, INFO, 0, "");
        assert_eq!(Reader::new(&rings).drain().len(), 1, "the shared ring's");
        assert!(Rings::new(settings, tight).is_none());
    }
}

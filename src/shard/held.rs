//! Handles that keep what they point to alive, by counts that no two threads share.
//!
//! An `Arc`'s clone and drop take two locked instructions on one word that all threads bounce; a
//! handle is made and dropped at every `family.with(..).inc()`. Here each is an add to a cell of
//! the thread's own. The price is that nobody notices the last drop: the owner's side looks, when
//! it lets go ([`Orphans::leave`]) and when a handle of an orphan is dropped.
//!
//! A handle that is forgotten keeps its owner for ever, and nothing else. One that is dropped
//! while its thread ends is counted in the common cells.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use super::cells::{Slot, Writer};
use super::count::{give_back, unheld};
use super::space::Space;
use super::thread::{add_by, all_cells, find_writer, try_add, try_add_release};
use crate::sync::{AtomicBool, Ordering, lock};

/// What handles may keep alive.
///
/// Whoever implements it keeps to this, or a handle could outlive its owner: a value lives in an
/// `Arc` that was given to [`Orphans::leave`], not dropped, when the owner's side let go of it,
/// and that nobody takes apart (`get_mut`, `try_unwrap`) or makes a `Weak` of. Its pairs of cells
/// are its own, as long as it lives, and stand at equal counts when it is born.
pub(crate) trait Hold: Send + Sync + Sized + 'static {
    /// Whose cells count its handles. Lives as long as the owner.
    fn space(&self) -> &Space;

    /// The inc cells of all pairs that its handles are counted by; each pair's dec is the next
    /// cell. A pair that comes with time is in it before the first handle is counted by it.
    fn counts(&self) -> impl Iterator<Item = Slot>;

    /// Set when the owner's side let go of it while handles lived.
    fn orphaned(&self) -> &AtomicBool;

    /// Looks again whether orphans of this type can go: [`Orphans::release`] of the type's own.
    fn release_orphans();
}

/// A counted pointer to an owner.
///
/// Invariant: from its making to its drop, one inc at `count` stands for it. So the pointer is good
/// while it lives (`count.rs`). Of one that is [lent](Held::lent) none does: it is good while the owner is
/// held otherwise, and never dropped.
pub(crate) struct Held<O: Hold> {
    owner: NonNull<O>,
    count: Slot,
    owns: PhantomData<O>,
}

// SAFETY: it gives out `&O` (`Sync`), and its drop may let the owner be dropped on any thread
// (`O: Send`, by `Hold`).
unsafe impl<O: Hold> Send for Held<O> {}
// SAFETY: as above; a clone adds to the cells of the thread that clones.
unsafe impl<O: Hold> Sync for Held<O> {}

impl<O: Hold> Held<O> {
    /// A handle that is counted at `count`, one of the owner's [`counts`](Hold::counts). Wait-free
    /// where the thread knows the chunk.
    #[cfg(test)]
    #[inline]
    pub(crate) fn new(owner: &Arc<O>, count: Slot) -> Held<O> {
        // SAFETY: the owner lives in an `Arc`, and `owner` keeps it meanwhile.
        unsafe { Held::of(owner, count) }
    }

    /// A handle for a caller that has no `Arc`.
    ///
    /// # Safety
    /// `owner` lives in an `Arc`, as [`Hold`] demands, and it can't be freed before this returns
    /// and the add is seen: the caller has an `Arc` or a handle of it, or pins its shard (and who
    /// frees owners waits for pins).
    #[inline(always)]
    pub(crate) unsafe fn of(owner: &O, count: Slot) -> Held<O> {
        debug_assert!(count != Slot::NONE);
        hold(owner, count);
        Held { owner: NonNull::from(owner), count, owns: PhantomData }
    }

    /// The handle that a forgotten one was.
    ///
    /// # Safety
    /// A handle of `owner`, counted at `count`, was forgotten, and no other is made of it.
    #[inline(always)]
    pub(crate) unsafe fn counted(owner: &O, count: Slot) -> Held<O> {
        Held { owner: NonNull::from(owner), count, owns: PhantomData }
    }

    /// A handle that is not counted.
    ///
    /// # Safety
    /// It, or what it becomes a part of, is never dropped, and no longer there than the owner is held
    /// otherwise.
    #[inline(always)]
    pub(crate) unsafe fn lent(owner: &O, count: Slot) -> Held<O> {
        Held { owner: NonNull::from(owner), count, owns: PhantomData }
    }

    /// The same handle, to a part of what it points to; nothing where there is no such part.
    #[inline]
    pub(crate) fn part<U>(
        self,
        find: impl for<'a> FnOnce(&'a O) -> Option<&'a U>,
    ) -> Option<Part<O, U>> {
        // For every lifetime: it is borrowed from what the handle keeps, or static.
        let part = NonNull::from(find(&self)?);
        Some(Part { part, held: self })
    }
}

impl<O: Hold> Deref for Held<O> {
    type Target = O;

    #[inline(always)]
    fn deref(&self) -> &O {
        // SAFETY: the count keeps the owner, by the invariant of `Held`; nobody has it `&mut`.
        unsafe { self.owner.as_ref() }
    }
}

impl<O: Hold> Clone for Held<O> {
    #[inline]
    fn clone(&self) -> Held<O> {
        hold(&**self, self.count);
        Held { owner: self.owner, count: self.count, owns: PhantomData }
    }
}

impl<O: Hold> Drop for Held<O> {
    #[inline]
    fn drop(&mut self) {
        let dec = self.count.offset(1);
        // Relaxed: a hint, see `count`.
        let orphaned = || self.orphaned().load(Ordering::Relaxed);
        let look = give_back(orphaned, || {
            if !try_add_release(dec, 1) {
                // The space is asked for before the add: after it, the owner may be gone, and its
                // space and the cell's chunk too.
                let writer = writer_of(&**self, dec);
                add_by(writer, dec, 1);
            }
        });
        if look {
            look_again::<O>();
        }
    }
}

/// A counted pointer to a part of an owner.
///
/// Invariant: `part` is borrowed from the owner, or static, so it is good as long as `held`.
pub(crate) struct Part<O: Hold, T: 'static> {
    part: NonNull<T>,
    held: Held<O>,
}

// SAFETY: it gives out `&T` (`Sync`), and the handle may be sent.
unsafe impl<O: Hold, T: Sync> Send for Part<O, T> {}
// SAFETY: as above.
unsafe impl<O: Hold, T: Sync> Sync for Part<O, T> {}

impl<O: Hold, T> Deref for Part<O, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: by the invariant of `Part`.
        unsafe { self.part.as_ref() }
    }
}

impl<O: Hold, T> Clone for Part<O, T> {
    #[inline]
    fn clone(&self) -> Part<O, T> {
        Part { part: self.part, held: self.held.clone() }
    }
}

#[inline(always)]
fn hold<O: Hold>(owner: &O, count: Slot) {
    if !try_add(count, 1) {
        add_by(writer_of(owner, count), count, 1);
    }
}

#[cold]
fn writer_of<O: Hold>(owner: &O, slot: Slot) -> Writer<'static> {
    find_writer(owner.space(), &[slot])
}

#[cold]
fn look_again<O: Hold>() {
    O::release_orphans();
}

/// Owners of one type whose side has let go of them while handles lived.
pub(crate) struct Orphans<O>(Mutex<Vec<Arc<O>>>);

impl<O: Hold> Orphans<O> {
    pub(crate) const fn new() -> Orphans<O> {
        Orphans(Mutex::new(Vec::new()))
    }

    /// Lets go of an owner: frees it now when no handle and no other `Arc` lives, else when a
    /// later look finds that. Nobody may be about to make a handle without an `Arc` of it or
    /// another handle: what look-ups find under a pin comes here when its stamp has passed.
    ///
    /// Briefly locks; reads the counts of all orphans in every shard.
    pub(crate) fn leave(&self, owner: Arc<O>) {
        // Relaxed: a hint, see `give_back`. Before the look below, or both sides would wait for
        // the other to look.
        owner.orphaned().store(true, Ordering::Relaxed);
        self.look(Some(owner));
    }

    /// Frees the orphans that nobody holds any more. A handle that is dropped at the very moment
    /// may be missed: who runs now and then, a scrape, calls this too.
    pub(crate) fn release(&self) {
        self.look(None);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    fn look(&self, another: Option<Arc<O>>) {
        let mut orphans = lock(&self.0);
        orphans.extend(another);
        let free: Vec<Arc<O>> = orphans
            .extract_if(.., |owner| {
                unheld(|| Arc::strong_count(owner), all_cells, || owner.counts())
            })
            .collect();
        drop(orphans);
        // Not under the lock: an owner may hold handles of its own kind.
        drop(free);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::sync::AtomicU64;

    static ORPHANS: Orphans<Thing> = Orphans::new();
    /// The orphans are the process's, and each test looks at its own alone.
    static TURN: Mutex<()> = Mutex::new(());

    const ALIVE: u64 = 0x600d_600d_600d_600d;

    struct Thing {
        space: Arc<Space>,
        counts: Vec<Slot>,
        orphaned: AtomicBool,
        freed: Arc<AtomicU64>,
        canary: AtomicU64,
        parts: [u64; 3],
        /// Another of its kind, which may go only with this one.
        other: Option<Held<Thing>>,
    }

    impl Thing {
        fn new(space: &Arc<Space>, freed: &Arc<AtomicU64>) -> Arc<Thing> {
            Arc::new(Thing {
                space: space.clone(),
                counts: (0..2).map(|_| space.allocate(2).unwrap()).collect(),
                orphaned: AtomicBool::new(false),
                freed: freed.clone(),
                canary: AtomicU64::new(ALIVE),
                parts: [10, 20, 30],
                other: None,
            })
        }

        fn check(&self) {
            assert_eq!(self.canary.load(Ordering::Relaxed), ALIVE);
        }
    }

    impl Hold for Thing {
        fn space(&self) -> &Space {
            &self.space
        }
        fn counts(&self) -> impl Iterator<Item = Slot> {
            self.counts.iter().copied()
        }
        fn orphaned(&self) -> &AtomicBool {
            &self.orphaned
        }
        fn release_orphans() {
            ORPHANS.release();
        }
    }

    impl Drop for Thing {
        fn drop(&mut self) {
            self.check();
            self.canary.store(0, Ordering::Relaxed);
            self.freed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn setting() -> (Arc<Space>, Arc<AtomicU64>) {
        (Arc::new(Space::new(64 << 20)), Arc::default())
    }

    fn hold(thing: &Arc<Thing>) -> Held<Thing> {
        Held::new(thing, thing.counts[0])
    }

    fn freed(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn an_owner_goes_with_its_last_handle() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        let first = hold(&thing);
        let second = first.clone();
        ORPHANS.leave(thing);
        assert_eq!((freed(&count), ORPHANS.len()), (0, 1));
        drop(first);
        assert_eq!(freed(&count), 0);
        second.check();
        drop(second);
        assert_eq!((freed(&count), ORPHANS.len()), (1, 0));
    }

    #[test]
    fn an_owner_that_nobody_holds_goes_at_once() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        drop(hold(&thing).clone());
        ORPHANS.leave(thing);
        assert_eq!((freed(&count), ORPHANS.len()), (1, 0));
    }

    #[test]
    fn another_arc_keeps_an_owner() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        let scraped = thing.clone();
        ORPHANS.leave(thing);
        assert_eq!(freed(&count), 0);
        let handle = hold(&scraped);
        drop(scraped);
        ORPHANS.release();
        assert_eq!(freed(&count), 0);
        drop(handle);
        assert_eq!(freed(&count), 1);
    }

    #[test]
    fn a_part_keeps_the_whole() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        let part: Part<Thing, u64> = hold(&thing).part(|thing| thing.parts.get(1)).unwrap();
        ORPHANS.leave(thing);
        let other = part.clone();
        drop(part);
        assert_eq!((*other, freed(&count)), (20, 0));
        other.held.check();
        drop(other);
        assert_eq!(freed(&count), 1);
    }

    #[test]
    fn handles_of_several_counts_keep_one_owner() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        let first = hold(&thing);
        ORPHANS.leave(thing);
        // SAFETY: from a handle, of an owner that lives in an `Arc`.
        let second = unsafe { Held::of(&*first, first.counts[1]) };
        drop(first);
        assert_eq!(freed(&count), 0);
        second.check();
        drop(second);
        assert_eq!(freed(&count), 1);
    }

    #[test]
    fn a_handle_may_be_dropped_by_another_thread_and_while_one_ends() {
        thread_local! {
            static KEPT: std::cell::RefCell<Option<Held<Thing>>> =
                const { std::cell::RefCell::new(None) };
        }
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let thing = Thing::new(&space, &count);
        let (sent, kept) = (hold(&thing), hold(&thing));
        ORPHANS.leave(thing);
        let ends = || {
            KEPT.with_borrow_mut(|place| *place = Some(kept));
            drop(sent);
        };
        thread::scope(|scope| scope.spawn(ends).join().unwrap());
        assert_eq!((freed(&count), ORPHANS.len()), (1, 0));
    }

    #[test]
    fn an_owner_takes_its_space_and_what_it_holds_along() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let inner = Thing::new(&space, &count);
        let held = hold(&inner);
        ORPHANS.leave(inner);
        let mut outer = Thing::new(&space, &count);
        Arc::get_mut(&mut outer).unwrap().other = Some(held);
        drop(space);
        let handle = hold(&outer);
        ORPHANS.leave(outer);
        assert_eq!((freed(&count), ORPHANS.len()), (0, 2));
        // On a thread that never touched the chunk: the slow way, and the last use of the space.
        thread::spawn(|| drop(handle)).join().unwrap();
        assert_eq!((freed(&count), ORPHANS.len()), (2, 0));
    }

    #[test]
    fn a_forgotten_handle_keeps_its_owner_and_no_other() {
        let _turn = lock(&TURN);
        let (space, count) = setting();
        let (forgotten, other) = (Thing::new(&space, &count), Thing::new(&space, &count));
        std::mem::forget(hold(&forgotten));
        let dec = forgotten.counts[0].offset(1);
        ORPHANS.leave(forgotten);
        ORPHANS.leave(other);
        assert_eq!((freed(&count), ORPHANS.len()), (1, 1));
        // Given back after all, for the other tests.
        add_by(find_writer(&space, &[dec]), dec, 1);
        ORPHANS.release();
        assert_eq!(freed(&count), 2);
    }

    /// Threads clone, send on and drop handles while the owners' side lets go of them. The canary
    /// says when one is used after it was freed, the count when it was freed twice or never.
    #[test]
    fn handles_never_outlive_their_owner() {
        const THREADS: usize = 4;
        const OWNERS: u64 = if cfg!(miri) { 20 } else { 3_000 };
        let _turn = lock(&TURN);
        let (space, count) = setting();
        // A line of threads: each hands on to the next what it was given.
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..THREADS).map(|_| mpsc::channel::<Held<Thing>>()).unzip();
        thread::scope(|scope| {
            for (at, receiver) in receivers.into_iter().enumerate() {
                let next = senders.get(at + 1).cloned();
                scope.spawn(move || {
                    // Some are kept for a while, so that lives overlap.
                    let mut kept = VecDeque::new();
                    for handle in receiver {
                        handle.check();
                        kept.push_back(handle.clone());
                        if let Some(next) = &next {
                            next.send(handle).unwrap();
                        }
                        if kept.len() > 2 {
                            kept.pop_front().unwrap().check();
                        }
                        kept.iter().for_each(|handle| handle.check());
                    }
                });
            }
            for owner in 0..OWNERS {
                let thing = Thing::new(&space, &count);
                let to = owner as usize % THREADS;
                senders[to].send(hold(&thing)).unwrap();
                if owner % 3 == 0 {
                    // Its handles are on their way, and now and then the first to let go.
                    thread::yield_now();
                }
                ORPHANS.leave(thing);
            }
            // Each thread ends when nobody is left who could send to it.
            drop(senders);
        });
        ORPHANS.release();
        assert_eq!((freed(&count), ORPHANS.len()), (OWNERS, 0));
    }
}

//! The calling thread's own way from label values to a series, in front of the shared map.
//!
//! No lock, and no line that another thread writes: whoever is suspended inside the map stalls no
//! hit. `family` is a number that no other family has had in this process, below 2^34.

use std::cell::Cell;
use std::mem::ManuallyDrop;

pub(crate) use super::entries::Found;
use super::entries::{Entries, Worth};
use super::few::Few;
use super::form::{Large, Small, Turn};
use super::key::{Key, Seeds};

/// Misses of a thread before it gets a cache: one that looks up a few times does without.
const FIRST_MISSES: u32 = 32;
/// Misses that a cache sleeps for when too few look-ups hit; to see that takes it a sixteenth.
const SLEEP: u32 = 32_768;
/// Misses after which a thread may have a large one again that had one in vain, which takes 74,000 to
/// see. It begins with a small one meanwhile: what it looks up may have become little.
const NO_GROWTH: u32 = 1 << 20;

thread_local! {
    // Without destructors, which the guard has for them: a hit asks for nothing but whether the
    // cache is there, and so does a look-up in another thread-local's destructor. Taken out and put
    // back, which is two stores where a cell of borrows has two more and a test.
    static AWAKE: Cell<Own> = const { Cell::new(None) };
    static ASLEEP: Cell<Own> = const { Cell::new(None) };
    /// In the place of both. Asked when there is none awake, by a call of its own: so it costs the
    /// small one's hits nothing.
    static GROWN: Cell<Option<ManuallyDrop<Grown>>> = const { Cell::new(None) };
    /// What the large one is asked for.
    static FEW: Few = const { Few::new() };
    /// Misses until the cache is made or woken.
    static WAIT: Cell<u32> = const { Cell::new(FIRST_MISSES) };
    /// Misses until the cache may grow.
    static SMALL_FOR: Cell<u32> = const { Cell::new(0) };
    static GUARD: Guard = const { Guard };
}

type Own = Option<ManuallyDrop<Entries<Small>>>;

/// The cache of a thread that looks up more label sets than a small one keeps.
struct Grown {
    // Freed before the turn is given back: the process never has more than there are turns.
    entries: Entries<Large>,
    _turn: Turn,
}

/// Frees the cache when its thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        for place in [&AWAKE, &ASLEEP] {
            drop(place.take().map(ManuallyDrop::into_inner));
        }
        drop(GROWN.take().map(ManuallyDrop::into_inner));
    }
}

/// Label values of a look-up that missed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    Text(&'a [&'a str]),
    /// By where they are; found by [`find_static`] alone.
    Static(&'a [&'static str]),
}

impl<'a> Values<'a> {
    pub(crate) fn text(self) -> &'a [&'a str] {
        match self {
            Values::Text(values) | Values::Static(values) => values,
        }
    }

    fn key(self, seeds: &Seeds, family: u64) -> Option<Key> {
        match self {
            Values::Text(values) => Key::of_text(seeds, family, values),
            Values::Static(values) => Key::of_static(seeds, family, values),
        }
    }
}

/// What the calling thread kept for these values; nothing once its thread-locals are destroyed.
/// Wait-free, allocates nothing. Fastest where there are six values at most and none is longer than
/// 15 bytes. Past eight, or about 80 bytes in all, nothing is ever kept.
#[inline(always)]
pub(crate) fn find<const N: usize>(family: u64, values: &[&str; N]) -> Option<Found> {
    let Some(mut entries) = AWAKE.take() else { return find_in_large(family, values) };
    let found = entries.find(family, values);
    put_back(entries);
    found
}

#[inline(never)]
fn find_in_large<const N: usize>(family: u64, values: &[&str; N]) -> Option<Found> {
    in_large(|entries| entries.find(family, values))
}

/// [`find`] for values whose number is not known where the call is compiled.
pub(crate) fn find_any(family: u64, values: &[&str]) -> Option<Found> {
    let Some(mut entries) = AWAKE.take() else {
        return in_large(|entries| entries.find_any(family, values));
    };
    let found = entries.find_any(family, values);
    put_back(entries);
    found
}

/// [`find`] by where the values are, whatever their length; past six, nothing is ever kept.
#[inline(always)]
pub(crate) fn find_static<const N: usize>(
    family: u64,
    values: &[&'static str; N],
) -> Option<Found> {
    let Some(mut entries) = AWAKE.take() else { return find_static_in_large(family, values) };
    let found = entries.find_static(family, values);
    put_back(entries);
    found
}

#[inline(never)]
fn find_static_in_large<const N: usize>(family: u64, values: &[&'static str; N]) -> Option<Found> {
    in_large(|entries| entries.find_static(family, values))
}

/// Not by the key's own `set`, which is a call where it isn't inlined.
#[inline(always)]
fn put_back(entries: ManuallyDrop<Entries<Small>>) {
    AWAKE.with(|own| own.set(Some(entries)));
}

#[inline(always)]
fn in_large(find: impl FnOnce(&mut Entries<Large>) -> Option<Found>) -> Option<Found> {
    let mut grown = GROWN.take()?;
    let found = find(&mut grown.entries);
    GROWN.set(Some(grown));
    // As if nothing were found: what makes the cache small again goes by those who miss.
    if FEW.with(|few| few.note(found)) { None } else { found }
}

/// Keeps `found` for the calling thread's next look-up of these values, or not, as room and recent
/// misses have it. To be called at each miss, because it counts them. Wait-free but for a thread's
/// 33rd miss, which allocates 34 KiB, and for one after two or four thousand more in which more than
/// one look-up in sixteen missed: that allocates 1.1 MB in their place, if fewer than eight threads
/// of the process have so much; and for one in a million when what is looked up has come down to a
/// hundred sets, which frees that again. Keeps nothing, or no more, where there is no memory.
///
/// What was found before and is old has to be [forgotten](forget), or may be found again.
#[cold]
#[inline(never)]
pub(crate) fn keep(family: u64, values: Values<'_>, found: Found) {
    if let Some(mut grown) = large_that_stays() {
        match grown.entries.keep(|seeds| values.key(seeds, family), found) {
            Worth::Yes | Worth::Narrow => GROWN.set(Some(grown)),
            Worth::No => {
                // Before anything is freed, because an allocator that counts itself comes back here.
                WAIT.set(SLEEP);
                SMALL_FOR.set(NO_GROWTH);
                drop(ManuallyDrop::into_inner(grown));
            }
        }
        return;
    }
    SMALL_FOR.set(SMALL_FOR.get().saturating_sub(1));
    let Some(mut entries) = AWAKE.take().or_else(waken) else { return };
    let worth = entries.keep(|seeds| values.key(seeds, family), found);
    if worth == Worth::Yes {
        AWAKE.set(Some(entries));
        return;
    }
    WAIT.set(SLEEP);
    // Label sets that come round in thousands never hit a small one: it cannot tell them from those
    // that never come again, and a large one can.
    if let Some(grown) = grow() {
        GROWN.set(Some(grown));
        drop(ManuallyDrop::into_inner(entries));
    } else if worth == Worth::No {
        ASLEEP.set(Some(entries));
    } else {
        AWAKE.set(Some(entries));
    }
}

/// The large cache; nothing where there is none, or a small one does and has just taken its place.
fn large_that_stays() -> Option<ManuallyDrop<Grown>> {
    let grown = GROWN.take()?;
    if !FEW.with(Few::is_so) {
        return Some(grown);
    }
    let Some(small) = Entries::new(Seeds::draw()) else { return Some(grown) };
    // Before anything is freed, as below.
    AWAKE.set(Some(ManuallyDrop::new(small)));
    drop(ManuallyDrop::into_inner(grown));
    None
}

fn grow() -> Option<ManuallyDrop<Grown>> {
    if SMALL_FOR.get() > 0 {
        return None;
    }
    let turn = Turn::take()?;
    let entries = Entries::new(Seeds::draw())?;
    FEW.with(Few::begin);
    Some(ManuallyDrop::new(Grown { entries, _turn: turn }))
}

/// The cache that slept long enough, or a new one.
fn waken() -> Own {
    if let wait @ 1.. = WAIT.get() {
        WAIT.set(wait - 1);
        return None;
    }
    if let Some(entries) = ASLEEP.take() {
        return Some(entries);
    }
    // Before anything is allocated: an allocator that counts itself comes back here.
    WAIT.set(SLEEP);
    // Without a guard, which is gone where the thread ends, nobody would free the cache.
    GUARD.try_with(|_| ()).ok()?;
    Entries::new(Seeds::draw()).map(ManuallyDrop::new)
}

/// Forgets what was kept for these values: it was found to be old.
#[cold]
#[inline(never)]
pub(crate) fn forget(family: u64, values: Values<'_>) {
    if let Some(mut grown) = GROWN.take() {
        grown.entries.forget(|seeds| values.key(seeds, family));
        GROWN.set(Some(grown));
    }
    let Some(mut entries) = AWAKE.take() else { return };
    entries.forget(|seeds| values.key(seeds, family));
    AWAKE.set(Some(entries));
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::form::MOST_LARGE;
    use super::*;

    const ONE: [&str; 3] = ["swarm.init", "execute", "success"];

    fn found(place: u32) -> Found {
        Found::new(u64::from(place) << 22 | 7, place, 9)
    }

    /// Misses until the thread has a cache, and keeps.
    fn warm_up() {
        for _ in 0..=FIRST_MISSES {
            keep(0, Values::Text(&["warm"]), found(0));
        }
        assert_eq!(find(0, &["warm"]), Some(found(0)));
    }

    #[test]
    fn a_thread_finds_what_it_kept_and_no_other_does() {
        for _ in 0..FIRST_MISSES {
            keep(1, Values::Text(&ONE), found(1));
            assert_eq!(find(1, &ONE), None);
        }
        keep(1, Values::Text(&ONE), found(1));
        assert_eq!(find(1, &ONE), Some(found(1)));
        assert_eq!(find_any(1, &ONE), Some(found(1)));
        assert_eq!(find(2, &ONE), None);
        assert_eq!(find(1, &["swarm.init", "execute", "succesS"]), None);
        let other = thread::spawn(|| {
            warm_up();
            find(1, &ONE)
        });
        assert_eq!(other.join().unwrap(), None);
        forget(1, Values::Text(&ONE));
        assert_eq!(find(1, &ONE), None);
        keep(1, Values::Text(&ONE), found(2));
        assert_eq!(find(1, &ONE), Some(found(2)));
    }

    #[test]
    fn addresses_and_text_are_kept_apart() {
        warm_up();
        keep(1, Values::Static(&ONE), found(1));
        assert_eq!(find(1, &ONE), None);
        assert_eq!(find_static(1, &ONE), Some(found(1)));
        keep(1, Values::Text(&ONE), found(2));
        let elsewhere: &'static str = "swarm.init".to_owned().leak();
        assert_eq!(find_static(1, &[elsewhere, ONE[1], ONE[2]]), None);
        assert_eq!(find(1, &[elsewhere, ONE[1], ONE[2]]), Some(found(2)));
        forget(1, Values::Static(&ONE));
        assert_eq!(find_static(1, &ONE), None);
        assert_eq!(find(1, &ONE), Some(found(2)));
    }

    /// Which caches the thread has: awake, asleep, large.
    fn there() -> [bool; 3] {
        fn is_some<T>(place: &'static std::thread::LocalKey<Cell<Option<T>>>) -> bool {
            let there = place.take();
            let is_some = there.is_some();
            place.set(there);
            is_some
        }
        [is_some(&AWAKE), is_some(&ASLEEP), is_some(&GROWN)]
    }

    const SMALL: [bool; 3] = [true, false, false];
    const LARGE: [bool; 3] = [false, false, true];

    /// One that takes all turns keeps the others from growing.
    fn growing() -> MutexGuard<'static, ()> {
        static GROWING: Mutex<()> = Mutex::new(());
        crate::sync::lock(&GROWING)
    }

    /// Once the tests beside this one, and threads that ended, have given theirs back.
    fn all_turns() -> Vec<Turn> {
        let start = Instant::now();
        let mut turns = Vec::new();
        while turns.len() < MOST_LARGE as usize {
            assert!(start.elapsed() < Duration::from_secs(60), "{} turns", turns.len());
            turns.extend(Turn::take());
            thread::yield_now();
        }
        turns
    }

    fn look_up(n: usize) -> bool {
        let text = n.to_string();
        let there = find(3, &[&text]);
        match there {
            Some(there) => assert_eq!(there, found(n as u32)),
            None => keep(3, Values::Text(&[&text]), found(n as u32)),
        }
        there.is_some()
    }

    /// Goes round in `sets` until the thread's caches are `these`.
    fn until(these: [bool; 3], sets: usize) {
        let start = Instant::now();
        (0..).map(|n| look_up(n % sets)).find(|_| {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", there());
            there() == these
        });
    }

    #[test]
    fn who_looks_up_many_sets_gets_a_large_cache() {
        let _growing = growing();
        for sets in [500, 8_000] {
            let grows = thread::spawn(move || {
                until(SMALL, sets);
                until(LARGE, sets);
                (0..sets).for_each(|n| _ = look_up(n));
                let hits = (0..sets).filter(|&n| look_up(n)).count();
                assert!(hits > sets - sets / 100, "{hits} of {sets}");
                assert_eq!(there(), LARGE);
                forget(3, Values::Text(&["7"]));
                assert_eq!(find_any(3, &["7"]), None);
                // One in a hundred finds no place among so many.
                assert!((10..20).any(|family| {
                    keep(family, Values::Static(&ONE), found(1));
                    assert_eq!(find(family, &ONE), None);
                    find_static(family, &ONE) == Some(found(1))
                }));
            });
            grows.join().unwrap();
            // It ended, and gave back what it had.
            drop(all_turns());
        }
    }

    #[test]
    fn what_comes_down_to_few_sets_gets_a_small_cache_again() {
        let _growing = growing();
        until(LARGE, 1_000);
        // Most are found meanwhile, and all as they are.
        let before = (0..500_000).filter(|n| !look_up(n % 64)).count();
        assert!(before < 100 && there() == LARGE, "{before}");
        until(SMALL, 64);
        drop(all_turns());
        assert!((0..64_000).filter(|n| !look_up(n % 64)).count() < 100);
        until(LARGE, 1_000);
        // Each at most once: it was not given up in between.
        let misses = (0..3_000_000).filter(|n| !look_up(n % 1_000)).count();
        assert!(misses <= 1_000 && there() == LARGE, "{misses}");
    }

    #[test]
    fn who_finds_nearly_all_keeps_the_small_one() {
        let _growing = growing();
        warm_up();
        let misses = (0..200_000).filter(|&n| !look_up(if n % 20 == 0 { n } else { n % 64 }));
        assert!(misses.count() > 9_000);
        assert_eq!(there(), SMALL);
    }

    #[test]
    fn a_large_cache_that_never_hits_is_freed_and_begins_anew() {
        let _growing = growing();
        until(LARGE, 1_000);
        until([false; 3], usize::MAX);
        drop(all_turns());
        for _ in 0..SLEEP {
            keep(1, Values::Text(&ONE), found(1));
        }
        assert_eq!(there(), [false; 3]);
        // A small one: what is looked up may have become little.
        keep(1, Values::Text(&ONE), found(1));
        assert_eq!(there(), SMALL);
        assert_eq!(find(1, &ONE), Some(found(1)));
        // And a large one in time, but not at once.
        (0..20_000).for_each(|n| _ = look_up(n % 1_000));
        assert!(!there()[2]);
        until(LARGE, 1_000);
    }

    #[test]
    fn past_the_eighth_large_one_the_small_ones_stay() {
        let _growing = growing();
        let turns = all_turns();
        assert!(Turn::take().is_none());
        let mut hits = 0;
        for n in 0..100_000 {
            hits += usize::from(look_up(n % 400));
            assert!(!there()[2]);
        }
        assert!(hits > 30_000, "{hits}");
        drop(turns);
        until(LARGE, 400);
    }

    #[test]
    fn what_never_hits_sends_the_cache_to_sleep_and_it_wakes() {
        let _growing = growing();
        let _turns = all_turns();
        warm_up();
        let miss = |n: u32| keep(1, Values::Text(&[&format!("user_{n}")]), found(n));
        let asleep = || there() == [false, true, false];
        for _ in 0..2 {
            let seen = (0..10_000).find(|&n| {
                miss(n);
                asleep()
            });
            assert!(seen.is_some());
            keep(1, Values::Text(&ONE), found(1));
            assert_eq!(find(1, &ONE), None);
            (1..SLEEP).for_each(miss);
            assert!(asleep());
            miss(0);
            assert!(!asleep());
        }
        // Awake, it takes in what comes often.
        let misses = (0..20).find(|_| {
            keep(1, Values::Text(&ONE), found(1));
            find(1, &ONE).is_some()
        });
        assert!(misses.is_some());
    }

    /// Looks up when its thread ends.
    struct AtExit;

    static SEEN: Mutex<Vec<Option<Found>>> = Mutex::new(Vec::new());

    impl Drop for AtExit {
        fn drop(&mut self) {
            for _ in 0..2 * SLEEP {
                keep(5, Values::Text(&["at exit"]), found(9));
            }
            SEEN.lock().unwrap().push(find(5, &["at exit"]));
            forget(5, Values::Text(&["at exit"]));
            assert_eq!(find(5, &["at exit"]), None);
        }
    }

    thread_local! {
        static AT_EXIT: AtExit = const { AtExit };
    }

    #[test]
    fn a_thread_that_ends_looks_up_without_harm() {
        let _growing = growing();
        // Destroyed before the cache and after it, whichever order the platform has.
        for (first, large) in [(true, false), (false, false), (true, true), (false, true)] {
            let ends = thread::spawn(move || {
                if first {
                    AT_EXIT.with(|_| ());
                }
                warm_up();
                if large {
                    until(LARGE, 1_000);
                }
                AT_EXIT.with(|_| ());
            });
            ends.join().unwrap();
        }
        drop(all_turns());
        let seen = SEEN.lock().unwrap();
        assert_eq!(seen.len(), 4);
        // With the guard gone, no cache is made that nobody would free.
        for seen in seen.chunks(2) {
            assert!(seen.contains(&None) && seen.contains(&Some(found(9))), "{seen:?}");
        }
    }
}

//! Which look-ups may still act on what they found before a removal.
//!
//! A look-up that finds its series in the thread's own cache takes no lock. It pins its shard,
//! compares the series' generation with the one it remembers, records, unpins. A removal marks the
//! generation, then retires: what was marked before is in no one's hands once every shard is
//! unpinned or pinned at a later epoch. A thread that does not look up is not pinned, however
//! long it sleeps, and delays nothing.
//!
//! Why that is so: the pin's fence comes before the retirer's in the one order of such fences, or
//! after it. After it: the look-up sees the mark and keeps its hands off; so a Relaxed load of the
//! generation is enough. Before it: the epoch it read is the stamp at most, because one that read
//! the retirer's new epoch comes after; and [`Epochs::oldest`] reads that pin, or a later word of
//! its thread, which is Release: then what the look-up did is seen. That holds for a shard that was
//! made meanwhile as well: its place in the pool was stored before its first pin. Who asks for the
//! oldest may be another thread than who retired, if a lock or the like comes between.
//!
//! The word that holds the generation must not be freed while a cache may name it; a pin does not
//! protect it, for the cache is older than the pin.
//!
//! | atomic | writer  | reader  | write / read         | what the pair publishes              | model                          |
//! |--------|---------|---------|----------------------|--------------------------------------|--------------------------------|
//! | `now`  | retirer | look-up | Relaxed RMW / Relaxed, fences | an epoch after the mark     | `a_removed_series_takes_no_more_adds` |
//! | `Pin`  | look-up | retirer | Release / Acquire    | what the look-up before did          | `an_add_before_a_removal_is_over_stops_it`, `a_second_pin_shows_what_the_first_one_did` |
//! | `Pin`  | look-up | retirer | Release, fence / fence, Acquire | that it is about to look  | `a_removed_series_takes_no_more_adds` |

use crate::sync::{AtomicU64, Ordering, fence};

/// Epochs that removals count and look-ups read.
pub(crate) struct Epochs {
    now: AtomicU64,
}

/// A shard's word: 0, or the epoch at which its owner pinned it.
pub(crate) struct Pin(AtomicU64);

impl Epochs {
    #[cfg(not(vitals_loom))]
    pub(crate) const fn new() -> Epochs {
        Epochs { now: AtomicU64::new(1) }
    }

    #[cfg(vitals_loom)]
    pub(crate) fn new() -> Epochs {
        Epochs { now: AtomicU64::new(1) }
    }

    /// For the shard's owner: what it loads from here on, and finds unmarked, stays as it is until
    /// [`Pin::unpin`]. Not to be nested: the inner unpin would be the outer's.
    #[inline(always)]
    pub(crate) fn pin(&self, pin: &Pin) {
        // Relaxed: the fences say what came before a later epoch. Release: a retirer that reads
        // this word, and not the unpin before it, must still see what was done under the pin
        // before. An `xchg` in the place of store and fence was no faster on Zen 4 (5.0 and
        // 5.2 ns), and would hold on x86 only.
        pin.0.store(self.now.load(Ordering::Relaxed), Ordering::Release);
        // SeqCst: the pin, then the look. Without it a look-up may find the old generation while
        // the retirer finds no pin.
        fence(Ordering::SeqCst);
    }

    /// Runs `look` while `pin` is pinned; unpins also when it panics.
    #[inline(always)]
    pub(crate) fn pinned<R>(&self, pin: &Pin, look: impl FnOnce() -> R) -> R {
        struct Unpin<'a>(&'a Pin);
        impl Drop for Unpin<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                self.0.unpin();
            }
        }
        debug_assert!(!pin.is_pinned(), "a pin within a pin");
        self.pin(pin);
        let _unpin = Unpin(pin);
        look()
    }

    /// The stamp for what the caller has marked until now: it is in no one's hands once the
    /// [`oldest`](Epochs::oldest) pin is above the stamp.
    pub(crate) fn retire(&self) -> u64 {
        // SeqCst: the mark, then the look at the pins; the other half of the pin's fence.
        fence(Ordering::SeqCst);
        // Relaxed: whoever reads the new epoch has its fence after ours, and so sees the mark.
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    /// The oldest epoch at which one of `pins` is pinned, `u64::MAX` when none is. `pins` is
    /// listed after [`retire`](Epochs::retire).
    pub(crate) fn oldest<'a>(&self, pins: impl Iterator<Item = &'a Pin>) -> u64 {
        // Acquire: what was done under a pin that is over comes before whatever follows, such as
        // giving the cell to another series.
        pins.map(|pin| pin.0.load(Ordering::Acquire))
            .filter(|&epoch| epoch != 0)
            .min()
            .unwrap_or(u64::MAX)
    }
}

impl Pin {
    pub(crate) fn new() -> Pin {
        Pin(AtomicU64::new(0))
    }

    #[inline(always)]
    pub(crate) fn unpin(&self) {
        // Release: what was done under the pin, for the retirer that finds it unpinned.
        self.0.store(0, Ordering::Release);
    }

    /// For its owner.
    fn is_pinned(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
#[cfg(not(vitals_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_passed_when_nobody_is_pinned_at_it_or_before() {
        let epochs = Epochs::new();
        let pins = [Pin::new(), Pin::new(), Pin::new()];
        let oldest = || epochs.oldest(pins.iter());
        assert_eq!(oldest(), u64::MAX);
        epochs.pin(&pins[1]);
        let stamp = epochs.retire();
        assert_eq!(oldest(), stamp);
        // Pinned since: no matter.
        epochs.pin(&pins[0]);
        assert_eq!(oldest(), stamp);
        pins[1].unpin();
        assert_eq!(oldest(), stamp + 1);
        assert_eq!(epochs.retire(), stamp + 1);
        pins[0].unpin();
        assert_eq!(oldest(), u64::MAX);
    }

    #[test]
    fn a_panic_unpins() {
        let (epochs, pin) = (Epochs::new(), Pin::new());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            epochs.pinned(&pin, || {
                assert!(pin.is_pinned());
                std::panic::resume_unwind(Box::new(()));
            })
        }));
        assert!(caught.is_err() && !pin.is_pinned());
        assert_eq!(epochs.pinned(&pin, || 7), 7);
    }
}

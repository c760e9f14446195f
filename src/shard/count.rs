//! When a counted handle is let go, and how a collector knows that none is left.
//!
//! Each handle is an inc and, when it is dropped, a dec beside it, in the cells of whichever thread
//! did it. The owner is freed once its last `Arc` is the collector's and incs and decs are equal.
//!
//! Why nobody holds it then: suppose a handle lived on whose dec was not read. Its inc was not read
//! either, or the incs would be more than the decs, because the inc that a read dec balances is
//! always read (it happened before, and decs are Release / Acquire). So it was not made from an
//! `Arc`: what those made happened before they were dropped, and the count of one `Arc` says that
//! they were (see [`unheld`] for the order). Then it was cloned from another handle, before that
//! one was dropped. If that dec had been read, this inc would have been: so the other handle is
//! one whose dec was not read, either, and its inc neither. This goes on to a handle that was
//! made from an `Arc`, whose inc was read: a contradiction. A handle that moves to another thread
//! takes what happened before with it, by whatever way it moves.
//!
//! | atomic     | writer | reader    | write / read      | what the pair publishes                   | model                        |
//! |------------|--------|-----------|-------------------|-------------------------------------------|------------------------------|
//! | a dec      | holder | collector | Release / Acquire | the holder's last use, the incs before it | `handles_keep_their_owner`, `clones_keep_their_owner` |
//! | `Arc`'s    | `Arc`  | collector | Release / Relaxed, fence Acquire | the incs of handles made from it | `handles_keep_their_owner` |
//! | `orphaned` | owner  | holder    | Relaxed / Relaxed | nothing: a hint to look                   | `handles_keep_their_owner`   |

use super::cells::{Directory, Slot, sum};
use crate::sync::{Ordering, fence};

/// Whether nothing points to an owner any more but the collector's own `Arc`, of which `arcs`
/// gives the count. `counts` are the inc cells of all pairs that its handles are counted by.
///
/// May say no for a handle that is just gone; the next look then says yes.
pub(crate) fn unheld<'a, I, C>(
    arcs: impl FnOnce() -> usize,
    shards: impl Fn() -> I,
    counts: impl Fn() -> C,
) -> bool
where
    I: Iterator<Item = &'a Directory>,
    C: Iterator<Item = Slot>,
{
    // First the `Arc`s, then the handles: an `Arc` may become a handle, never the other way.
    if arcs() != 1 {
        return false;
    }
    // Acquire: with the Release of each `Arc` that was dropped. The handles made from it are seen.
    fence(Ordering::Acquire);
    // All decs before any inc, as in `cells::level`, and over all pairs: a handle that is counted
    // by one may be made from a handle that is counted by another.
    let total = |offset, order| {
        counts().map(|count| sum(shards(), count.offset(offset), order)).fold(0, u64::wrapping_add)
    };
    let decs = total(1, Ordering::Acquire);
    decs == total(0, Ordering::Relaxed)
}

/// Gives a handle back by `dec`, which adds to the dec cell with Release; says whether its owner
/// was `orphaned`, so that somebody should look.
///
/// An owner that is orphaned between the two steps stays until the next look at its kind: freed
/// late, never early.
#[inline(always)]
pub(crate) fn give_back(orphaned: impl FnOnce() -> bool, dec: impl FnOnce()) -> bool {
    // Before the dec: after it, the owner may be gone with its flag.
    let look = orphaned();
    dec();
    look
}

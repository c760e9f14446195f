//! Spans that another crate enters and leaves by calls, in any order: the thread's current ones.

use std::cell::RefCell;

use super::context::{Parent, SpanContext};
use super::current::{Before, current, swap};
use crate::ring::context::Active;

/// Entered at once by a thread; one past them is not made current.
const MOST: usize = 1_024;

thread_local! {
    /// The innermost last; grows as deep as the thread goes, and stays.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// Who enters, and which of its spans.
pub(crate) type Key = (usize, u64);

struct Entered {
    key: Key,
    active: Active,
    /// What is current again when this is left.
    before: Before,
}

/// Makes a span the calling thread's current one until [`leave`] is called with the same key.
pub(crate) fn enter(key: Key, span: Parent) {
    // Nothing where the thread ends.
    let _ = ENTERED.try_with(|entered| {
        let Ok(mut entered) = entered.try_borrow_mut() else { return };
        if entered.len() < MOST {
            let active = span.context.active;
            entered.push(Entered { key, active, before: swap(active, span.carried) });
        }
    });
}

/// Leaves what was entered last under this key.
pub(crate) fn leave(key: Key) {
    let _ = ENTERED.try_with(|entered| {
        let Ok(mut entered) = entered.try_borrow_mut() else { return };
        let Some(at) = entered.iter().rposition(|entered| entered.key == key) else { return };
        let mut left = entered.remove(at);
        match entered.get_mut(at) {
            // Not the innermost: what was entered next comes back to what this would have.
            Some(next) if next.before.active == left.active => next.before = left.before,
            // Something of our own lies between, and knows what was before it.
            Some(_) => {}
            None if current() == left.active => left.before.restore(),
            // The same: a guard that is still there, or one that is gone and has restored.
            None => {}
        }
    });
}

impl Parent {
    /// No span: to be entered where there is to be none.
    pub(crate) const NOBODY: Parent =
        Parent { context: SpanContext { active: Active::NONE }, carried: None };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(n: u8) -> Parent {
        SpanContext::of([n; 16], [n; 8], 1).into()
    }

    fn now() -> u8 {
        current().ids[0]
    }

    proptest! {
        /// The oracle is a list: what is current is its last.
        #[test]
        fn the_last_that_is_still_entered_is_current(calls in prop::collection::vec((any::<bool>(), 1u8..6), 0..60)) {
            let mut oracle = Vec::new();
            for (enters, n) in calls {
                if enters {
                    enter((0, n.into()), span(n));
                    oracle.push(n);
                } else {
                    leave((0, n.into()));
                    if let Some(at) = oracle.iter().rposition(|other| *other == n) {
                        oracle.remove(at);
                    }
                }
                prop_assert_eq!(now(), oracle.last().copied().unwrap_or(0));
            }
            for n in oracle.into_iter() {
                leave((0, n.into()));
            }
            prop_assert_eq!(now(), 0);
        }
    }

    #[test]
    fn a_guard_of_our_own_within_stays_until_it_is_dropped() {
        enter((0, 1), span(1));
        let own = span(7).enter();
        leave((0, 1));
        assert_eq!(now(), 7);
        enter((0, 2), span(2));
        // Another crate's number 2.
        leave((1, 2));
        assert_eq!(now(), 2);
        leave((0, 2));
        assert_eq!(now(), 7);
        drop(own);
        drop(Parent::NOBODY.enter());
        swap(Active::NONE, None);
    }

    #[test]
    fn a_thread_enters_no_more_than_so_many() {
        (0..2 * MOST as u64).for_each(|n| enter((0, n), span(1 + (n % 200) as u8)));
        assert_eq!(now(), 1 + ((MOST - 1) % 200) as u8);
        (0..2 * MOST as u64).rev().for_each(|n| leave((0, n)));
        assert_eq!(now(), 0);
    }
}

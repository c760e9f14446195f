//! Bytes that are charged to the engine's budget, in steps.

use std::sync::Arc;

use crate::shard::space::Space;

/// Bytes that are charged, and given back, at once: the budget is a word that all threads share.
const STEP: u64 = 64 << 10;

/// What somebody has of an engine's budget; it goes back when this is dropped.
pub(crate) struct Account {
    space: Arc<Space>,
    used: u64,
    charged: u64,
}

impl Account {
    pub(crate) fn new(space: Arc<Space>) -> Account {
        Account { space, used: 0, charged: 0 }
    }

    /// Takes `bytes`; false, and nothing is taken, where the budget has no room for them.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let used = self.used + bytes as u64;
        if used > self.charged {
            let more = (used - self.charged).next_multiple_of(STEP);
            if !self.space.charge(more) {
                return false;
            }
            self.charged += more;
        }
        self.used = used;
        true
    }

    /// Gives back `bytes` that were taken.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes as u64);
        // Not each time that it goes to and fro over a step.
        let wanted = self.used.next_multiple_of(STEP) + STEP;
        if self.charged > wanted {
            self.space.refund(self.charged - wanted);
            self.charged = wanted;
        }
    }

    /// Bytes that are taken.
    #[cfg(test)]
    fn used(&self) -> u64 {
        self.used
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.space.refund(self.charged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle is a list of what was taken.
        #[test]
        fn what_is_charged_is_what_is_used_up_to_two_steps(
            steps in prop::collection::vec((any::<bool>(), 0usize..200_000), 0..100)
        ) {
            let space = Arc::new(Space::new(1 << 20));
            let mut account = Account::new(space.clone());
            let mut taken: Vec<usize> = Vec::new();
            for (take, bytes) in steps {
                if take {
                    if account.take(bytes) {
                        taken.push(bytes);
                    } else {
                        let sum: usize = taken.iter().sum();
                        prop_assert!((sum + bytes) as u64 + 2 * STEP > 1 << 20);
                    }
                } else if let Some(bytes) = taken.pop() {
                    account.give(bytes);
                }
                let sum = taken.iter().sum::<usize>() as u64;
                prop_assert_eq!(account.used(), sum);
                prop_assert!(space.used() >= sum && space.used() <= sum + 2 * STEP);
            }
            drop(account);
            prop_assert_eq!(space.used(), 0);
        }
    }
}

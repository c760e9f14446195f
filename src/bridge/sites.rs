//! Which call sites are known already.

use std::hash::BuildHasher;
use std::sync::{LazyLock, OnceLock};

use crate::logs::inlet::{Origin, Source};

/// Places that are looked at before a call site counts as one too many.
const TRIES: usize = 16;

/// Call sites at most that are kept of records that say in texts where they come from.
const BY_TEXT: usize = 4_096;

/// What is found without a lock, never changed, and never taken away.
pub(super) struct Sites<T, const N: usize>([OnceLock<T>; N]);

impl<T, const N: usize> Sites<T, N> {
    pub(super) const fn new() -> Sites<T, N> {
        Sites([const { OnceLock::new() }; N])
    }

    /// The one that `is` it, made if need be; nothing where there is no place for it.
    #[inline]
    pub(super) fn get(
        &self,
        hash: u64,
        is: impl Fn(&T) -> bool,
        make: impl Fn() -> T,
    ) -> Option<&T> {
        (0..TRIES).find_map(|step| {
            let place = &self.0[(hash as usize).wrapping_add(step) % N];
            let there = match place.get() {
                Some(there) => there,
                // Of two threads one makes its own; the other looks at it, and further.
                None => place.get_or_init(&make),
            };
            is(there).then_some(there)
        })
    }
}

/// Of an address: the upper half of a product with 2^64 / φ depends on all its bits.
#[inline]
#[cfg(feature = "tracing")]
pub(super) fn hash(at: usize) -> u64 {
    (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// A source, kept.
struct Known {
    target: Box<str>,
    module: Box<str>,
    file: Box<str>,
    line: u32,
    origin: Option<Origin>,
}

impl Known {
    fn new(source: &Source<'_>) -> Known {
        Known {
            target: source.target.into(),
            module: source.module.into(),
            file: source.file.into(),
            line: source.line,
            origin: Origin::define(source, std::iter::empty()),
        }
    }

    fn is(&self, source: &Source<'_>) -> bool {
        self.line == source.line
            && *self.target == *source.target
            && *self.module == *source.module
            && *self.file == *source.file
    }
}

/// The origin of a record that says so in texts: by what they say, so that it does not matter how
/// long they live. Nothing past the last one that is kept.
pub(super) fn by_text(source: &Source<'_>) -> Option<Origin> {
    static SITES: Sites<Known, BY_TEXT> = Sites::new();
    let hasher = foldhash::fast::FixedState::with_seed(0);
    let hash = hasher.hash_one((source.target, source.module, source.file, source.line));
    SITES.get(hash, |known| known.is(source), || Known::new(source))?.origin
}

/// Of a line that says in fields where it comes from.
pub(super) fn unknown() -> Origin {
    static OTHER: LazyLock<Origin> = LazyLock::new(|| Origin::unknown("_other"));
    *OTHER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_made_once_and_those_past_the_last_are_not_kept() {
        let sites = Sites::<(u64, u64), 32>::new();
        let get = |n: u64, made: u64| {
            sites.get(n, |site| site.0 == n, || (n, made)).map(|(_, made)| *made)
        };
        assert!((0..32).all(|n| get(n, 1) == Some(1)));
        assert!((0..32).all(|n| get(n, 2) == Some(1)), "made again");
        assert_eq!(get(32, 1), None);
    }

    #[test]
    fn sources_are_told_apart_by_what_they_say() {
        let source = Source { target: "sites", module: "m", file: "f", line: 1 };
        let one = by_text(&source);
        let again = String::from("sites");
        assert!(one.is_some());
        assert_eq!(by_text(&Source { target: &again, ..source }), one);
        assert_ne!(by_text(&Source { line: 2, ..source }), one);
        assert_ne!(by_text(&Source { target: "other", ..source }), one);
    }
}

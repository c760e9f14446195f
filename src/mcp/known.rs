//! The tool names that may become labels: those that the server itself named.
//!
//! A name in a request is the client's, and a client may send as many as it likes. It becomes a
//! label once the server has listed it, or said yes when asked; asking may rebuild the server's
//! whole tool router, so it is asked a few times a second at most, and not again about a name that it
//! just denied.
//!
//! | atomic    | writer    | reader    | write / read | what the pair publishes          | model |
//! |-----------|-----------|-----------|--------------|----------------------------------|-------|
//! | `denied`  | any call  | any call  | Relaxed      | nothing: a word is all it says   | –     |
//! | `paid`    | any call  | any call  | Relaxed CAS  | nothing: one number              | –     |

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::series::Series;
use crate::sync::{AtomicU64, Ordering};

type Names = HashMap<Box<str>, Arc<Series>, foldhash::fast::RandomState>;

/// Why a tool's name is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The server says, or lately said, that it has no such tool.
    Denied,
    /// The server was not asked: too many unknown names came at once, or there is nobody to ask.
    Unchecked,
    /// The server has more tools than may become labels.
    Limit,
}

/// Known names with their series. Reading is one pointer load and one look-up, and never waits.
pub(crate) struct Known {
    names: ArcSwap<Names>,
    limit: usize,
    denied: Denied,
    pace: Pace,
}

impl Known {
    pub(crate) fn new(limit: usize) -> Known {
        Known {
            names: ArcSwap::from_pointee(Names::default()),
            limit,
            denied: Denied::new(),
            pace: Pace::default(),
        }
    }

    /// The series of a known name.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Series>> {
        self.names.load().get(name).cloned()
    }

    /// Whether the server may be asked about a name that is not known, `now` after the start.
    pub(crate) fn may_ask(&self, name: &str, now: Duration) -> Result<(), Unknown> {
        if self.names.load().len() >= self.limit {
            Err(Unknown::Limit)
        } else if self.denied.holds(name, now) {
            Err(Unknown::Denied)
        } else if self.pace.take(now) {
            Ok(())
        } else {
            Err(Unknown::Unchecked)
        }
    }

    /// Notes that the server denied a name.
    pub(crate) fn deny(&self, name: &str, now: Duration) {
        self.denied.note(name, now);
    }

    /// Forgets what was denied and lets the server be asked again.
    pub(crate) fn relearn(&self) {
        self.denied.clear();
        self.pace.reset();
    }

    /// Makes labels of the names that the server told, as far as the limit goes. Allocates only for
    /// names that are new. Returns how many did not fit.
    pub(crate) fn learn<'a>(
        &self,
        told: impl Iterator<Item = &'a str>,
        make: impl Fn(&str) -> Series,
    ) -> usize {
        let known = self.names.load();
        let fresh: Vec<&str> = told.filter(|name| !known.contains_key(*name)).collect();
        drop(known);
        if fresh.is_empty() {
            return 0;
        }
        // Made once, outside the loop below, which runs again when somebody else learns at the same
        // moment. Two that learn one name make handles of the same series: whichever stays is right.
        let room = self.limit.saturating_sub(self.names.load().len());
        let made: Vec<(&str, Arc<Series>)> =
            fresh.iter().take(room).map(|name| (*name, Arc::new(make(name)))).collect();
        self.names.rcu(|names| {
            let mut names = Names::clone(names);
            for (name, series) in &made {
                if names.len() < self.limit {
                    names.entry((*name).into()).or_insert_with(|| series.clone());
                }
            }
            names
        });
        let known = self.names.load();
        fresh.iter().filter(|name| !known.contains_key(**name)).count()
    }
}

/// Names that the server denied: a table of fixed size, in which a newer name takes an older one's
/// place. A word holds 48 bits of a keyed hash, which no client can aim at another name, and the
/// second in which the server was asked.
struct Denied {
    words: Box<[AtomicU64]>,
    hasher: foldhash::fast::RandomState,
}

impl Denied {
    /// A power of two: 8 KiB.
    const WORDS: usize = 1024;
    /// A tool that is added without a new listing is noticed after this many seconds at the latest.
    const SECONDS: u16 = 10;

    fn new() -> Denied {
        Denied {
            words: (0..Self::WORDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    fn word(&self, name: &str, now: Duration) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(name);
        // The place comes from bits that the word does not keep; the lowest kept bit is set, since 0
        // means empty.
        let place = &self.words[hash as usize & (Self::WORDS - 1)];
        (place, (hash >> 16 | 1) << 16 | (now.as_secs() & 0xffff))
    }

    fn holds(&self, name: &str, now: Duration) -> bool {
        let (place, wanted) = self.word(name, now);
        // Relaxed: the word is the whole message, and an old one costs one more question.
        let word = place.load(Ordering::Relaxed);
        let age = (wanted as u16).wrapping_sub(word as u16);
        word >> 16 == wanted >> 16 && age < Self::SECONDS
    }

    fn note(&self, name: &str, now: Duration) {
        let (place, word) = self.word(name, now);
        // Relaxed: see `holds`.
        place.store(word, Ordering::Relaxed);
    }

    fn clear(&self) {
        // Relaxed: see `holds`.
        self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

/// How often the server is asked: four times a second in the long run, and 64 times at once after a
/// rest, so that a server whose tools were never listed is known at its first requests.
#[derive(Default)]
struct Pace {
    /// Nanoseconds since the start up to which questions are paid for.
    paid: AtomicU64,
}

impl Pace {
    const EVERY: u64 = 250_000_000;
    const BURST: u64 = 64;

    fn take(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: the number publishes nothing else; the exchange makes each question paid once.
        let mut paid = self.paid.load(Ordering::Relaxed);
        loop {
            let next = paid.max(now).saturating_add(Self::EVERY);
            if next - now > Self::EVERY * Self::BURST {
                return false;
            }
            // Relaxed: as above.
            match self.paid.compare_exchange_weak(paid, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(newer) => paid = newer,
            }
        }
    }

    fn reset(&self) {
        // Relaxed: as above.
        self.paid.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_flood_of_names_asks_a_burst_and_then_four_times_a_second() {
        let known = Known::new(10);
        let mut asked = 0;
        for name in 0..100_000u32 {
            let now = at(f64::from(name) / 10_000.0);
            if known.may_ask(&name.to_string(), now).is_ok() {
                known.deny(&name.to_string(), now);
                asked += 1;
            }
        }
        // Ten seconds went by.
        assert!((64..=64 + 40).contains(&asked), "{asked}");
    }

    #[test]
    fn a_denied_name_is_not_asked_about_again_until_it_is_old() {
        let known = Known::new(10);
        assert_eq!(known.may_ask("x", at(5.0)), Ok(()));
        known.deny("x", at(5.0));
        assert_eq!(known.may_ask("x", at(5.0)), Err(Unknown::Denied));
        assert_eq!(known.may_ask("x", at(14.0)), Err(Unknown::Denied));
        assert_eq!(known.may_ask("y", at(14.0)), Ok(()));
        assert_eq!(known.may_ask("x", at(15.0)), Ok(()));
    }

    #[test]
    fn relearning_forgets_what_was_denied_and_what_was_spent() {
        let known = Known::new(10);
        let asked = (0..1_000).take_while(|_| known.may_ask("x", at(1.0)).is_ok()).count();
        assert_eq!(asked as u64, Pace::BURST);
        assert_eq!(known.may_ask("x", at(1.0)), Err(Unknown::Unchecked));
        known.deny("x", at(1.0));
        known.relearn();
        assert_eq!(known.may_ask("x", at(1.0)), Ok(()));
    }

    #[test]
    fn the_second_zero_and_the_wrap_of_the_clock_are_ordinary() {
        let denied = Denied::new();
        assert!(!denied.holds("x", at(0.0)));
        denied.note("x", at(0.5));
        assert!(denied.holds("x", at(9.0)) && !denied.holds("x", at(11.0)));
        denied.note("x", at(65_535.0));
        assert!(denied.holds("x", at(65_540.0)) && !denied.holds("x", at(65_550.0)));
    }
}

//! Lines that are held back: too many from one call site, or the same again and again.

use std::hash::{BuildHasher, Hasher};

use crate::logs::limit::Limit;
use crate::ring::frame::Frame;

/// What one call site has had.
#[derive(Clone, Default)]
struct Site {
    /// Seconds since 1970, and lines let through in that one.
    second: u64,
    lines: u32,
    /// Of the line let through last: its bytes beside its time, hashed, and when it was.
    last: u64,
    last_nanos: u64,
    held: Held,
}

/// What was held back of one call site since that was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) site: u32,
    pub(crate) logger: u32,
    pub(crate) limited: u64,
    pub(crate) repeated: u64,
}

/// Decides which lines are let through.
pub(crate) struct Limits {
    limit: Limit,
    sites: Vec<Site>,
    /// Those of which something is held back.
    held: Vec<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Limits {
    pub(crate) fn new(limit: Limit) -> Limits {
        Limits { limit, sites: Vec::new(), held: Vec::new(), hasher: Default::default() }
    }

    /// Whether the line is let through. One whose call site is not known is.
    #[inline(always)]
    pub(crate) fn admit(&mut self, frame: Frame<'_>, unix_nanos: u64) -> bool {
        let Limit { per_second, same_for } = self.limit;
        per_second.is_none() && same_for.is_none() || self.admit_some(frame, unix_nanos)
    }

    /// The same where there is a limit.
    #[inline(never)]
    fn admit_some(&mut self, frame: Frame<'_>, unix_nanos: u64) -> bool {
        let Limit { per_second, same_for } = self.limit;
        let number = frame.site();
        if number == 0 {
            return true;
        }
        let at = number as usize;
        if self.sites.len() <= at {
            self.sites.resize(at + 1, Site::default());
        }
        let site = &mut self.sites[at];
        let mut last = (site.last, site.last_nanos);
        if let Some(same_for) = same_for {
            let hash = hash(&self.hasher, frame);
            // Either way: the clock may have been put back.
            let soon = u128::from(unix_nanos.abs_diff(site.last_nanos)) < same_for.as_nanos();
            if hash == site.last && soon {
                site.held.repeated += 1;
                self.hold(frame);
                return false;
            }
            last = (hash, unix_nanos);
        }
        if let Some(most) = per_second {
            let second = unix_nanos / 1_000_000_000;
            if site.second != second {
                (site.second, site.lines) = (second, 0);
            }
            if site.lines >= most {
                site.held.limited += 1;
                self.hold(frame);
                return false;
            }
            site.lines += 1;
        }
        (site.last, site.last_nanos) = last;
        true
    }

    fn hold(&mut self, frame: Frame<'_>) {
        let held = &mut self.sites[frame.site() as usize].held;
        if held.site == 0 {
            (held.site, held.logger) = (frame.site(), frame.logger());
            self.held.push(frame.site());
        }
    }

    /// What was held back since the last time, by call site.
    pub(crate) fn report(&mut self) -> Vec<Held> {
        let sites = &mut self.sites;
        self.held.drain(..).map(|site| std::mem::take(&mut sites[site as usize].held)).collect()
    }
}

/// Of a line beside its time; never 0.
fn hash(hasher: &foldhash::fast::RandomState, frame: Frame<'_>) -> u64 {
    let mut hash = hasher.build_hasher();
    hash.write_u8(frame.level());
    // Behind the ticks.
    hash.write(&frame.bytes()[16..]);
    hash.finish() | 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ring::frame::{kind, tag};
    use crate::ring::writer::{Head, MOST_TEXT, Writer};

    const SECOND: u64 = 1_000_000_000;

    fn line(site: u32, ticks: u64, n: u64) -> Vec<u8> {
        let mut room = [0; 256];
        let mut writer = Writer::over(&mut room, MOST_TEXT, &[]);
        writer.word(None, tag::U64, n);
        let head = Head { kind: kind::LINE, level: 3, ticks, site, logger: 9, thread: 1 };
        writer.finish_bytes(head).unwrap().to_vec()
    }

    fn admitted(limits: &mut Limits, site: u32, n: u64, nanos: u64) -> bool {
        let bytes = line(site, nanos, n);
        limits.admit(Frame::first(&bytes).unwrap(), nanos)
    }

    #[test]
    fn a_call_site_has_so_many_lines_in_a_second_and_others_have_theirs() {
        let mut limits = Limits::new(Limit { per_second: Some(3), same_for: None });
        let through = (0..10).filter(|&n| admitted(&mut limits, 1, n, n)).count();
        assert_eq!(through, 3);
        assert!(admitted(&mut limits, 2, 0, 0) && admitted(&mut limits, 0, 0, 0));
        assert!(admitted(&mut limits, 1, 0, SECOND));
        let held = Held { site: 1, logger: 9, limited: 7, repeated: 0 };
        assert_eq!((limits.report(), limits.report()), (vec![held], vec![]));
    }

    #[test]
    fn a_clock_that_was_put_back_holds_no_line_back_for_longer() {
        let same_for = Some(Duration::from_secs(5));
        let mut limits = Limits::new(Limit { per_second: None, same_for });
        assert!(admitted(&mut limits, 1, 7, 3_600 * SECOND));
        assert!(!admitted(&mut limits, 1, 7, 3_599 * SECOND), "a little late");
        assert!(admitted(&mut limits, 1, 7, 0));
    }

    #[test]
    fn a_line_that_was_over_the_limit_is_not_the_same_as_one_that_was_let_through() {
        let same_for = Some(Duration::from_secs(60));
        let mut limits = Limits::new(Limit { per_second: Some(1), same_for });
        assert!(admitted(&mut limits, 1, 7, 0) && !admitted(&mut limits, 1, 8, 1));
        assert!(admitted(&mut limits, 1, 8, 2 * SECOND), "nobody has seen it");
        let held = limits.report();
        assert_eq!((held[0].limited, held[0].repeated), (1, 0));
    }

    #[test]
    fn the_same_line_is_let_through_once_in_a_while_and_another_at_once() {
        let same_for = Some(Duration::from_secs(5));
        let mut limits = Limits::new(Limit { per_second: None, same_for });
        let mut at = |n, nanos| admitted(&mut limits, 1, n, nanos);
        assert!(at(7, 0) && !at(7, SECOND) && !at(7, 4 * SECOND));
        assert!(at(7, 5 * SECOND) && at(8, 5 * SECOND) && at(7, 6 * SECOND));
        assert_eq!(limits.report()[0].repeated, 2);
    }
}

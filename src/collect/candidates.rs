//! The exemplars of one scrape: the best candidate of each bucket.

use std::cmp::Reverse;

use crate::registry::{Exemplars, HistogramCells};
use crate::shard::exemplar::Candidate;
use crate::snapshot::Exemplar;

/// What one scrape found, in a buffer that the next one reuses.
#[derive(Default)]
pub(crate) struct Candidates {
    /// By series and bucket, the newest first.
    found: Vec<(Candidate, u64)>,
    /// Those of one series.
    of_series: Vec<Exemplar>,
}

impl Candidates {
    /// Collects what the threads' tables hold and `is_kept` says of its trace that it is. Allocates
    /// nothing where an earlier scrape found as many.
    pub(crate) fn gather(&mut self, from: &Exemplars, is_kept: impl Fn(&[u8; 16]) -> bool) {
        self.found.clear();
        from.each(|candidate, unix_nanos| {
            if is_kept(&ids(&candidate).0) {
                self.found.push((candidate, unix_nanos));
            }
        });
        self.found.sort_unstable_by_key(|(candidate, unix_nanos)| {
            (candidate.series, candidate.bucket, Reverse(*unix_nanos))
        });
    }

    /// Forgets all: what follows has no exemplars.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
    }

    /// The exemplars of a series, in the order of its buckets, one for each that has any.
    pub(super) fn of(&mut self, cells: &HistogramCells) -> &[Exemplar] {
        self.of_series.clear();
        if self.found.is_empty() {
            return &self.of_series;
        }
        let (series, life) = (cells.header.0, cells.life());
        let begin = self.found.partition_point(|(found, _)| found.series < series);
        let own = self.found[begin..].iter().take_while(|(found, _)| found.series == series);
        for (found, unix_nanos) in own.filter(|(found, _)| found.life == life) {
            let bucket = found.bucket as usize;
            // Of the newest alone: another would be out of order for a scraper that had this one.
            if self.of_series.last().is_none_or(|last| last.bucket != bucket) {
                let ((trace, span), units) = (ids(found), found.units);
                let unix_millis = unix_nanos / 1_000_000;
                self.of_series.push(Exemplar { bucket, trace, span, units, unix_millis });
            }
        }
        &self.of_series
    }
}

/// The ids as bytes.
fn ids(candidate: &Candidate) -> ([u8; 16], [u8; 8]) {
    let [a, b, span] = candidate.ids.map(u64::to_ne_bytes);
    let mut trace = [0; 16];
    trace[..8].copy_from_slice(&a);
    trace[8..].copy_from_slice(&b);
    (trace, span)
}

/// The traces of the largest observation of each series in the window that is on: those that are to be
/// kept. Each is told once.
#[derive(Default)]
pub(crate) struct Largest {
    now: Vec<Candidate>,
    told: Vec<[u64; 3]>,
}

impl Largest {
    /// Tells `keep` which traces these are, as far as it was not told before.
    pub(crate) fn tell(&mut self, from: &Exemplars, mut keep: impl FnMut(&[u8; 16])) {
        let window = from.window();
        self.now.clear();
        from.each(|candidate, _| {
            if candidate.window == window {
                self.now.push(candidate);
            }
        });
        self.now.sort_unstable_by_key(|found| (found.series, Reverse(found.units)));
        self.now.dedup_by_key(|found| found.series);
        for found in &self.now {
            if !self.told.contains(&found.ids) {
                keep(&ids(found).0);
            }
        }
        self.told.clear();
        self.told.extend(self.now.iter().map(|found| found.ids));
    }
}

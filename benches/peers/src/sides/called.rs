//! Runs that look their labels up at each call, as servers do that hold no handles.

use std::hint::black_box;

use super::Run;
use crate::work::{self, VALUES};

/// A run for each thread: each call looks up the next of `sets`. `call` can't keep the labels, nor
/// take them for `'static`: they are a request's.
pub(crate) fn looked_up<H: Send + 'static, const N: usize>(
    threads: usize,
    sets: &'static [[&'static str; N]],
    handle: impl Fn() -> H,
    call: impl for<'a> Fn(&H, [&'a str; N]) + Copy + Send + 'static,
) -> Vec<Run> {
    looked_up_static(threads, sets, handle, call)
}

/// [`looked_up`], of labels that the call may keep: texts that live as long as the process, enums.
pub(crate) fn looked_up_static<H: Send + 'static, T: Copy + Sync>(
    threads: usize,
    sets: &'static [T],
    handle: impl Fn() -> H,
    call: impl Fn(&H, T) + Copy + Send + 'static,
) -> Vec<Run> {
    let run = |thread| -> Run {
        let mut rounds = Rounds::new(sets, thread, threads);
        let handle = handle();
        Box::new(move |calls| rounds.each(calls, |labels, _| call(black_box(&handle), *labels)))
    };
    (0..threads).map(run).collect()
}

/// [`looked_up`], with the next of `values` at each call.
pub(crate) fn observed<H: Send + 'static, V: Copy + Sync, const N: usize>(
    threads: usize,
    sets: &'static [[&'static str; N]],
    values: &'static [V; VALUES],
    handle: impl Fn() -> H,
    call: impl for<'a> Fn(&H, [&'a str; N], V) + Copy + Send + 'static,
) -> Vec<Run> {
    let run = |thread| -> Run {
        let mut rounds = Rounds::new(sets, thread, threads);
        let handle = handle();
        Box::new(move |calls| {
            rounds.each(calls, |labels, i| call(black_box(&handle), *labels, values[i % VALUES]));
        })
    };
    (0..threads).map(run).collect()
}

/// Where a thread is in its sets, from one run to the next.
struct Rounds<T: 'static> {
    sets: &'static [T],
    next: usize,
    calls: usize,
}

impl<T> Rounds<T> {
    fn new(sets: &'static [T], thread: usize, threads: usize) -> Rounds<T> {
        Rounds { sets, next: work::called_start(sets.len(), thread, threads), calls: 0 }
    }

    /// So many calls, each with the next set and how many calls there were before.
    #[inline]
    fn each(&mut self, calls: u64, mut call: impl FnMut(&'static T, usize)) {
        let mut left = calls as usize;
        while left > 0 {
            let end = self.sets.len().min(self.next + left);
            // In a register: a word in memory that each call adds to costs as much as some calls do.
            let before = self.calls;
            for (index, labels) in self.sets[self.next..end].iter().enumerate() {
                call(labels, before.wrapping_add(index));
            }
            self.calls = before.wrapping_add(end - self.next);
            left -= end - self.next;
            self.next = end % self.sets.len();
        }
    }
}

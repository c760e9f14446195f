//! Floors: the least that a figure's work could cost, measured among the sides in the same loop.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use foldhash::fast::FixedState;

use crate::sides::called::looked_up;
use crate::sides::{Run, Scraped, Subject};
use crate::totals::Holdings;
use crate::work;

thread_local! {
    static WORD: Cell<u64> = const { Cell::new(0) };
}

/// One plain add to a thread's own word: what a counter can't be faster than.
pub fn thread_local_add(threads: usize) -> Subject {
    let run = |_| -> Run {
        Box::new(|calls| {
            for _ in 0..calls {
                WORD.with(|word| {
                    let word = black_box(word);
                    word.set(word.get().wrapping_add(1));
                });
            }
        })
    };
    floor("thread_local_add", (0..threads).map(run).collect())
}

/// Two of them, for what has to be done twice.
pub fn two_thread_local_adds(threads: usize) -> Subject {
    let run = |_| -> Run {
        Box::new(|calls| {
            for _ in 0..calls {
                WORD.with(|word| {
                    let word = black_box(word);
                    word.set(word.get().wrapping_add(1));
                });
                WORD.with(|word| {
                    let word = black_box(word);
                    word.set(word.get().wrapping_sub(1));
                });
            }
        })
    };
    floor("two_thread_local_adds", (0..threads).map(run).collect())
}

/// A locked add: to a word of one's own with one thread, to a shared one with more.
pub fn fetch_add(threads: usize) -> Subject {
    let word = Arc::new(AtomicU64::new(0));
    let run = |_| -> Run {
        let word = Arc::clone(&word);
        Box::new(move |calls| {
            for _ in 0..calls {
                black_box(&*word).fetch_add(1, Relaxed);
            }
        })
    };
    floor("fetch_add", (0..threads).map(run).collect())
}

/// Two readings of the standard library's clock.
pub fn instant_pair(threads: usize) -> Subject {
    let run = |_| -> Run {
        Box::new(|calls| {
            for _ in 0..calls {
                let start = black_box(Instant::now());
                black_box(Instant::now() - start);
            }
        })
    };
    floor("instant_pair", (0..threads).map(run).collect())
}

/// One reading of the standard library's clock.
pub fn instant_now(threads: usize) -> Subject {
    let run = |_| -> Run {
        Box::new(|calls| {
            for _ in 0..calls {
                black_box(Instant::now());
            }
        })
    };
    floor("instant_now", (0..threads).map(run).collect())
}

/// Three readings of the processor's counter, by which all sides that are fast tell the time: what a
/// span with an event can't be faster than, which has a start, an end, and a moment between them.
pub fn counter_thrice(threads: usize) -> Subject {
    let run = |_| -> Run {
        let clock = quanta::Clock::new();
        Box::new(move |calls| {
            for _ in 0..calls {
                for _ in 0..3 {
                    black_box(clock.raw());
                }
            }
        })
    };
    floor("counter_thrice", (0..threads).map(run).collect())
}

/// A hash of three labels and a plain add: what a lookup by their text can't be faster than, however
/// it finds its series.
pub fn hash_three_labels(sets: usize, threads: usize) -> Subject {
    floor("hash_three_labels", hashed(work::called_counters(sets), threads))
}

/// The same of two labels.
pub fn hash_two_labels(sets: usize, threads: usize) -> Subject {
    floor("hash_two_labels", hashed(work::called_histograms(sets), threads))
}

fn hashed<const N: usize>(sets: &'static [[&'static str; N]], threads: usize) -> Vec<Run> {
    looked_up(threads, sets, FixedState::default, |state, labels| {
        let mut hasher = state.build_hasher();
        labels.iter().for_each(|label| hasher.write(label.as_bytes()));
        black_box(hasher.finish());
        WORD.with(|word| word.set(word.get().wrapping_add(1)));
    })
}

fn floor(name: &'static str, runs: Vec<Run>) -> Subject {
    let read = Box::new(|| Ok(Holdings::new()));
    Subject { name, runs, upkeep: Box::new(|| {}), read, prompt: true, round: 1 }
}

/// Copying a text that is there already.
pub struct CopyText {
    text: Vec<u8>,
    out: Vec<u8>,
}

impl CopyText {
    /// The name of this floor.
    pub const NAME: &'static str = "copy_text";

    /// A floor for sides that write a text such as this.
    pub fn new(text: &[u8]) -> CopyText {
        CopyText { text: text.to_vec(), out: Vec::new() }
    }
}

impl Scraped for CopyText {
    fn name(&self) -> &'static str {
        CopyText::NAME
    }

    fn touch(&mut self, _: usize, _: usize) {}

    fn scrape(&mut self) -> &[u8] {
        self.out.clear();
        self.out.extend_from_slice(black_box(&self.text));
        &self.out
    }

    fn per_second(&self) -> f64 {
        1.0
    }

    fn held(&self) -> usize {
        self.out.capacity()
    }
}

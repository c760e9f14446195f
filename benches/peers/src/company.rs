//! A second thread that does something all the while the first one is measured.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The name of the floor that every figure with company is held against: the same with [`spin`] in
/// the other thread, so that it has its core, its warmth and its share of the machine.
pub const CONTROL: &str = "control";

/// Does `work` while another thread does `each` over and over, from before to after.
pub fn beside<T>(mut each: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let (going, through) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !through.load(Ordering::Relaxed) {
                each();
                going.store(true, Ordering::Relaxed);
            }
        });
        while !going.load(Ordering::Relaxed) {
            spin_loop();
        }
        let _end = End(&through);
        work()
    })
}

/// Ends the company, also where the work panics: the scope would wait for it forever.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Burns a few microseconds and touches nothing.
pub fn spin() {
    for i in 0..10_000 {
        black_box(i);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn company_is_there_before_the_work_and_gone_after_it() {
        let times = AtomicU64::new(0);
        let each = || _ = times.fetch_add(1, Ordering::Relaxed);
        let at_first = beside(each, || times.load(Ordering::Relaxed));
        assert!(at_first > 0);
        let after = times.load(Ordering::Relaxed);
        assert!(after >= at_first);
        assert_eq!(times.load(Ordering::Relaxed), after);
    }
}

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
        let done = work();
        through.store(true, Ordering::Relaxed);
        done
    })
}

/// Burns a few microseconds and touches nothing.
pub fn spin() {
    for i in 0..10_000 {
        black_box(i);
    }
}

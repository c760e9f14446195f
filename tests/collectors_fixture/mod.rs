//! What the tests of callbacks and collectors share.
#![allow(dead_code)] // each of them uses a part

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use mcp_vitals::{Counter, Desc, Gauge, Snapshot, Vitals, VitalsBuilder};

/// Longer than any test: where nothing hangs nothing may be late.
pub const NEVER: Duration = Duration::from_secs(60);
/// Where something hangs: each scrape takes this long, and what is healthy may be late too.
pub const SOON: Duration = Duration::from_millis(100);

pub fn builder() -> VitalsBuilder {
    Vitals::builder().system_metrics(false).collect_deadline(NEVER)
}

pub fn engine() -> Vitals {
    builder().build().unwrap()
}

pub fn impatient() -> Vitals {
    builder().collect_deadline(SOON).build().unwrap()
}

pub fn gauge(name: &str) -> Desc<Gauge, 0> {
    Desc::gauge(name, "A gauge.")
}

pub fn total(name: &str) -> Desc<Counter, 0> {
    Desc::counter(name, "A total.")
}

pub fn failures(snapshot: &Snapshot, collector: &str, reason: &str) -> f64 {
    let labels = [("collector", collector), ("reason", reason)];
    snapshot.value("mcp_vitals_collector_failures_total", &labels).unwrap()
}

pub fn lost(snapshot: &Snapshot, what: &str, metric: &str) -> Option<f64> {
    snapshot.value(&format!("mcp_vitals_{what}_total"), &[("metric", metric)])
}

/// Runs a test that would wait for ever if it failed.
pub fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // Ended, by a panic of its own perhaps.
        _ => test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Scrapes until one is as it should be; to be used under [`ends`].
pub fn until(vitals: &Vitals, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
    loop {
        let snapshot = vitals.snapshot();
        if is(&snapshot) {
            return snapshot;
        }
    }
}

/// A callback that hangs until the sender is dropped.
pub fn hung() -> (mpsc::Sender<()>, impl FnMut() -> f64 + Send + 'static) {
    let (release, held) = mpsc::channel::<()>();
    let callback = move || {
        let _ = held.recv();
        1.0
    };
    (release, callback)
}

/// Sends when it is dropped.
pub struct Dropped(mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

pub fn dropped() -> (Dropped, Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    (Dropped(sender), receiver)
}

//! Fork without exec: the child has its parent's rings, and must leave them alone.

use std::process::{Command, Stdio};
use std::{env, thread};

use rustix::process::{Pid, WaitOptions, waitpid};

use super::super::layout::head;
use super::*;
use crate::ring::set::BY_ENGINE;
use crate::ring::thread::{try_write_of, write_of_slowly};
use crate::ring::writer::{Head, Writer};
use crate::sync::lock;

const INNER: &str = "MCP_VITALS_FORK_TEST";

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(code: i32) -> !;
    fn alarm(seconds: u32) -> u32;
}

/// Runs `child` in a forked child, without what a process does when it ends; gives its exit code.
fn in_a_child(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `child` and ends; glibc keeps its allocator usable there.
    let pid = unsafe { fork() };
    if pid == 0 {
        let code = child();
        // SAFETY: ends the process.
        unsafe { _exit(code) };
    }
    let pid = Pid::from_raw(pid).expect("fork");
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().unwrap_or(-1)
}

fn lost(engine: &Engine) -> u64 {
    engine.rings.lost(&engine.known).iter().sum()
}

/// In a process of its own, where no other test holds a lock at the moment of the fork.
fn alone(test: &str, inner: fn()) {
    if env::var_os(INNER).is_some() {
        return inner();
    }
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1", "--nocapture"])
        .arg(format!("ring::durable::tests::fork_tests::{test}"))
        .env(INNER, "1")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_forked_child_writes_nothing_of_its_parents() {
    alone("a_forked_child_writes_nothing_of_its_parents", inner);
}

/// The thread that forked has written nothing yet, so that it knows no rings of the engine's.
#[test]
fn a_span_that_ends_in_a_child_waits_for_no_lock_of_its_parents() {
    alone("a_span_that_ends_in_a_child_waits_for_no_lock_of_its_parents", || {
        let folder = Folder::temp();
        let engine = Engine::new(&settings(&folder.0), Overflow::DropNewest);
        let held = lock(&BY_ENGINE);
        let number = engine.rings.id();
        let code = in_a_child(|| {
            // SAFETY: the system ends the child where it waits for ever.
            unsafe { alarm(10) };
            let (head, fill) = (Head::default(), |_: &mut Writer<'_>| {});
            let is_written = try_write_of(number, head, &fill);
            write_of_slowly(number, head, &fill);
            i32::from(is_written)
        });
        drop(held);
        assert_eq!(code, 0);
    });
}

fn inner() {
    let folder = Folder::temp();
    let engine = Engine::new(&settings(&folder.0), Overflow::DropNewest);
    for number in 0..3 {
        line(&engine.rings, 0, number);
    }
    let word = |engine: &Engine, at| engine.file.mapping.word(at).load(Ordering::Acquire);
    let dictionary = word(&engine, head::DICTIONARY);
    let path = engine.file.path().to_path_buf();
    let mut taken = Some(engine);
    let code = in_a_child(|| {
        let engine = taken.take().unwrap();
        // The thread that had a ring, and one that has none.
        for number in 100..110 {
            line(&engine.rings, 0, number);
        }
        let rings = engine.rings.clone();
        let ended = thread::spawn(move || line(&rings, 1, 0)).join();
        if ended.is_err() || lost(&engine) != 11 {
            return 1;
        }
        // Its own numbers are nobody else's.
        names::define_logger("the child's");
        let other = Folder::temp();
        let mut own = Engine::new(&settings(&other.0), Overflow::DropNewest);
        line(&own.rings, 2, 0);
        line(&engine.rings, 0, 110);
        if own.drain().is_none_or(|(_, lines)| count(&lines).len() != 1) {
            return 2;
        }
        if !engine.rings.is_inherited() || own.rings.is_inherited() || lost(&engine) != 12 {
            return 3;
        }
        // Neither removed nor unlocked.
        engine.file.finish();
        drop(engine);
        0
    });
    assert_eq!(code, 0);
    let mut engine = taken.take().unwrap();
    line(&engine.rings, 0, 3);
    let (ticket, lines) = engine.drain().unwrap();
    let counts = count(&lines);
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert_eq!((lost(&engine), word(&engine, head::DICTIONARY)), (0, dictionary));
    assert!(path.exists());
    assert_eq!(super::owner_tests::take_elsewhere(&folder.0), 0, "the lock is gone");
    engine.journal.release(ticket);
    drop(engine);
    assert!(!path.exists());
}

//! A child that was forked off without `exec` goes on with its parent's memory, and not with its ids.
//!
//! A process of its own: no other thread holds a lock when it forks.

#![cfg(target_os = "linux")]

use std::fs;

use mcp_vitals::Vitals;
use mcp_vitals::traces::{TraceConfig, Tracer};
use rustix::process::{Pid, WaitOptions, waitpid};

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(code: i32) -> !;
}

/// The ids that a thread makes next, a line each.
fn next_ids(tracer: &Tracer) -> String {
    let root = tracer.root("root");
    let child = tracer.child("child", root.as_parent());
    format!("{:?}\n{:?}\n", root.context(), child.context())
}

#[test]
fn children_and_their_parent_make_ids_that_differ() {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let tracer = vitals.tracer("fork");
    next_ids(&tracer);
    let temp = std::env::temp_dir();
    let name = |name| format!("mcp-vitals-fork-{}-{name}", std::process::id());
    let paths = ["one", "two"].map(|child| temp.join(name(child)));
    for path in &paths {
        // SAFETY: the child writes a file and ends; glibc keeps its allocator usable there.
        let pid = unsafe { fork() };
        if pid == 0 {
            let written = fs::write(path, next_ids(&tracer)).is_ok();
            // SAFETY: ends the process.
            unsafe { _exit(i32::from(!written)) };
        }
        let pid = Pid::from_raw(pid).expect("fork");
        let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0));
    }
    let read = |path| {
        let ids = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        ids
    };
    let mut ids = paths.map(read).concat();
    ids += &next_ids(&tracer);
    let mut lines: Vec<&str> = ids.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 6, "{ids}");
}

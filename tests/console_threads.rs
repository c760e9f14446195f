//! The console's thread is there where it is asked for, and nowhere else. A program of its own: it counts
//! the threads of the process.
#![cfg(target_os = "linux")]

use std::time::Duration;

use mcp_vitals::{ConsoleConfig, Vitals};

/// Threads of the process by name, as far as Linux shows it.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

/// The first 15 bytes of `mcp-vitals-console`.
const NAME: &str = "mcp-vitals-cons";

#[test]
fn one_thread_where_it_is_on_until_shutdown() {
    let start =
        |config: ConsoleConfig| Vitals::builder().listen(0).console(config).build().unwrap();
    let without = [Vitals::builder().build().unwrap(), start(false.into())];
    assert_eq!(threads(NAME), 0);
    for config in [ConsoleConfig::new(), ConsoleConfig::new().history(false)] {
        let vitals = start(config);
        // A thread gives itself its name.
        while threads(NAME) != 1 {
            std::thread::yield_now();
        }
        vitals.shutdown(Duration::from_secs(60));
        while threads(NAME) != 0 {
            std::thread::yield_now();
        }
    }
    let dropped = start(ConsoleConfig::new());
    drop(dropped);
    while threads(NAME) != 0 {
        std::thread::yield_now();
    }
    drop(without);
}

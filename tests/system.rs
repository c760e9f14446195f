//! What is read of the process and the machine, against readings of the test's own.
#![cfg(target_os = "linux")]

use std::alloc::System;
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mcp_vitals::{HeapAlloc, Vitals};

#[global_allocator]
static ALLOCATOR: HeapAlloc<System> = HeapAlloc::new(System);

/// What "for ever" is in a test that fails.
const LONG: Duration = Duration::from_secs(120);

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LONG, "waited for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Busy and all ticks of the machine.
fn ticks() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let line = stat.lines().next().unwrap();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    let all: f64 = ticks[..8].iter().sum();
    (all - ticks[3] - ticks[4], all)
}

/// Seconds of processor time that this process has had.
fn own_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may have blanks; in hundredths of a second.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// A CPU quota of the group at the top, which in a container is the container's own.
fn has_quota() -> bool {
    let quota = fs::read_to_string("/sys/fs/cgroup/cpu.max").unwrap_or_default();
    quota.trim().split(' ').next().is_some_and(|quota| quota.parse::<u64>().is_ok())
}

#[test]
fn a_core_that_burns_shows_as_in_proc_stat() {
    let stop = AtomicBool::new(false);
    let vitals = Vitals::builder().build().unwrap();
    let read = |name| vitals.snapshot().value(name, &[]).unwrap();
    // A process that burns has used more at each reading: that tells when one was taken.
    let next = |last: f64| {
        wait_for("the next reading", || {
            let now = read("process_cpu_seconds_total");
            (now > last).then_some(now)
        })
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                n = black_box(n.wrapping_mul(31).wrapping_add(1));
            }
        });
        let begin = next(read("process_cpu_seconds_total"));
        let (before, burnt) = (ticks(), own_seconds());
        let end = next(begin);
        let (after, burnt) = (ticks(), own_seconds() - burnt);
        let shown = read("mcp_system_cpu_usage_percent");
        stop.store(true, Ordering::Relaxed);
        // However much of a core the machine had to give; the readings are taken a little apart.
        assert!((end - begin - burnt).abs() <= 1.0, "shown {}, burnt {burnt}", end - begin);
        let own = (after.0 - before.0) / (after.1 - before.1) * 100.0;
        if has_quota() {
            assert!(shown > 0.0, "of the quota, which /proc/stat does not know");
        } else {
            assert!((shown - own).abs() <= 10.0, "shown {shown}, in /proc/stat {own}");
        }
    });
}

#[test]
fn the_process_is_described() {
    let vitals = Vitals::builder().build().unwrap();
    let snapshot = vitals.snapshot();
    let read = |name| snapshot.value(name, &[]).unwrap_or_else(|| panic!("{name} is there"));
    assert!(read("process_resident_memory_bytes") > 1e5);
    assert!(read("process_virtual_memory_bytes") >= read("process_resident_memory_bytes"));
    assert!(read("process_open_fds") >= 3.0);
    assert!(read("process_max_fds") >= read("process_open_fds"));
    assert!(read("process_threads") >= 2.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - read("process_start_time_seconds");
    assert!((-5.0..LONG.as_secs_f64() * 30.0).contains(&age), "{age}");
    let memory = |kind| snapshot.value("mcp_memory_usage_bytes", &[("type", kind)]).unwrap();
    assert_eq!(memory("rss"), read("process_resident_memory_bytes"));
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let host: f64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(memory("total") > memory("rss") && memory("total") <= host * 1024.0);
    assert!((0.0..=100.0).contains(&read("mcp_system_memory_usage_percent")));
    let text = vitals.export_prometheus();
    assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
}

#[test]
fn the_heap_is_what_the_program_holds() {
    let vitals = Vitals::builder().build().unwrap();
    let heap = || vitals.snapshot().value("mcp_memory_usage_bytes", &[("type", "heap")]).unwrap();
    let before = heap();
    assert!(before > 0.0);
    const SIZE: usize = 256 << 20;
    let block = black_box(vec![0u8; SIZE]);
    wait_for("the block", || (heap() >= before + SIZE as f64 / 2.0).then_some(()));
    drop(block);
    wait_for("its end", || (heap() < before + SIZE as f64 / 2.0).then_some(()));
}

#[test]
fn off_is_off() {
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    assert_eq!(vitals.snapshot().value("process_threads", &[]), None);
    assert!(Vitals::disabled().export_prometheus().is_empty());
}

#[test]
fn an_engine_that_ends_takes_its_thread_with_it() {
    let names = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).collect()
    };
    let mine = || {
        let names: Vec<String> = names();
        names.iter().filter(|name| name.trim() == "mcp-vitals-sys").count()
    };
    let engines: Vec<_> = (0..50).map(|_| Vitals::builder().build().unwrap()).collect();
    // A thread names itself once it runs. Other tests have engines of their own: a few.
    wait_for("their threads", || (mine() >= 50).then_some(()));
    drop(engines);
    wait_for("their end", || (mine() < 10).then_some(()));
}

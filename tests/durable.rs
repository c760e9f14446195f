//! The durable mode, from outside: a server that ends in the middle of a flood, however it ends, and
//! what its log and its next start have of it.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use mcp_vitals::logs::{LogConfig, LogFile, LogFormat, Overflow};
use mcp_vitals::recover::Recovery;
use mcp_vitals::{Vitals, info};

const CHILD: &str = "MCP_VITALS_DURABLE_CHILD";
/// One more than there are rings.
const WRITERS: u64 = 3;

fn folder(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

fn config(folder: &Path) -> LogConfig {
    // Rolled often: a chunk may be in a file that has another name by now.
    let file = LogFile::new(folder.join("log")).rotate_bytes(256 << 10).keep_files(10_000);
    LogConfig::new()
        .file(file)
        .durable_in(folder.join("rings"))
        .ring_bytes(32 << 10)
        .rings(2)
        .overflow(Overflow::Block(Duration::from_secs(600)))
}

fn start(folder: &Path) -> Vitals {
    let vitals = Vitals::builder().service("kept", "1").system_metrics(false);
    vitals.logs(config(folder)).build().unwrap()
}

/// Does nothing unless started by the test below.
#[test]
fn child() {
    let Ok(task) = env::var(CHILD) else { return };
    let (end, folder) = task.split_once(' ').unwrap();
    let vitals = start(Path::new(folder));
    let writers: Vec<_> = (0..WRITERS)
        .map(|who| {
            let logger = vitals.logger("flood");
            let lines = if end == "kill" { u64::MAX } else { 2_000 };
            thread::spawn(move || {
                for number in 0..lines {
                    let pad = "\u{1}\"\n".repeat(number as usize % 60);
                    info!(logger, "flood", who = who, number = number, pad = pad.as_str());
                    // Said once the call has returned.
                    let _ = io::stderr().write_all(format!("{who} {number}\n").as_bytes());
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    match end {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        _ => panic!("as asked"),
    }
}

/// Runs the child until it has said `lines` lines, then kills it if it is to be killed; how many lines
/// of each thread have returned.
fn run(end: &str, folder: &Path, lines: usize) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{end} {}", folder.display()))
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut returned = vec![0; WRITERS as usize];
    let mut count = 0;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((who, number)) = line.split_once(' ') else { continue };
        let (Ok(who), Ok(number)) = (who.parse::<usize>(), number.parse::<u64>()) else {
            continue;
        };
        assert_eq!(returned[who], number);
        returned[who] += 1;
        count += 1;
        if end == "kill" && count == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= lines.min(2_000), "{count}");
    returned
}

/// All lines of the files in `folder` that belong to the log, and how many were recovered.
fn lines(folder: &Path, more: &[u8]) -> (HashMap<(u64, u64), u32>, usize) {
    let mut text = more.to_vec();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("log") {
            text.extend(fs::read(path).unwrap());
        }
    }
    let mut counts = HashMap::new();
    let mut recovered = 0;
    assert!(text.ends_with(b"\n"));
    for line in String::from_utf8(text).unwrap().lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("torn: {line:?}: {error}"));
        assert_eq!((&line["message"], &line["logger"]), (&"flood".into(), &"flood".into()));
        let (who, number) = (line["who"].as_u64().unwrap(), line["number"].as_u64().unwrap());
        assert_eq!(line["pad"].as_str().unwrap().len() as u64, number % 60 * 3);
        recovered += usize::from(line["recovered"] == true);
        *counts.entry((who, number)).or_default() += 1;
    }
    (counts, recovered)
}

fn check(returned: &[u64], counts: &HashMap<(u64, u64), u32>, what: &str) {
    for (who, returned) in (0..).zip(returned) {
        for number in 0..*returned {
            let there = counts.get(&(who, number)).copied().unwrap_or(0);
            assert_eq!(there, 1, "line {number} of {who}, {what}");
        }
    }
    assert!(counts.values().all(|there| *there == 1), "{what}");
}

#[test]
fn however_a_server_ends_every_line_is_there_once() {
    let rounds = env::var("MCP_VITALS_KILLS").map_or(6, |rounds| rounds.parse().unwrap());
    let ends = (0..rounds).map(|_| "kill").chain(["abort", "exit", "panic"]);
    let mut all_recovered = 0;
    for (round, end) in ends.enumerate() {
        let folder = folder("durable");
        let returned = run(end, &folder, 500 + round * 997 % 9_000);
        let rings = folder.join("rings");
        let (counts, recovered) = if round % 2 == 0 {
            // The next start.
            let vitals = start(&folder);
            vitals.shutdown(Duration::from_secs(60));
            lines(&folder, b"")
        } else {
            let mut out = Vec::new();
            let all = Recovery::new().write(&rings, LogFormat::Json, &mut out).unwrap();
            assert_eq!((all.doubtful, all.torn, all.busy), (0, 0, 0), "{all}");
            assert!(all.refused.is_empty(), "{all}");
            lines(&folder, &out)
        };
        check(&returned, &counts, end);
        all_recovered += recovered;
        assert_eq!(fs::read_dir(&rings).unwrap().count(), 0, "{end}");
        fs::remove_dir_all(&folder).unwrap();
    }
    assert!(all_recovered > 0, "nothing was ever left behind");
}

#[test]
fn a_clean_end_leaves_nothing() {
    let folder = folder("durable-clean");
    let vitals = start(&folder);
    let rings = folder.join("rings");
    assert_eq!(fs::read_dir(&rings).unwrap().count(), 1);
    let logger = vitals.logger("flood");
    for number in 0..5_000u64 {
        info!(
            logger,
            "flood",
            who = 0u64,
            number = number,
            pad = "\u{1}\"\n".repeat(number as usize % 60).as_str()
        );
    }
    // In use: nobody else's.
    let all = Recovery::new().each(&rings, |_| Ok(())).unwrap();
    assert_eq!((all.busy, all.lines), (1, 0));
    vitals.shutdown(Duration::from_secs(60));
    assert_eq!(fs::read_dir(&rings).unwrap().count(), 0);
    let (counts, recovered) = lines(&folder, b"");
    check(&[5_000], &counts, "clean");
    assert_eq!(recovered, 0);
    fs::remove_dir_all(&folder).unwrap();
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// Does nothing unless started by the test below.
#[test]
fn forking_child() {
    let Ok(folder) = env::var("MCP_VITALS_DURABLE_FORK") else { return };
    let vitals = start(Path::new(&folder));
    let logger = vitals.logger("flood");
    let line = |who: u64, number: u64| {
        let pad = "\u{1}\"\n".repeat(number as usize % 60);
        info!(logger, "flood", who = who, number = number, pad = pad.as_str());
    };
    (0..100).for_each(|number| line(0, number));
    assert!(vitals.flush(Duration::from_secs(60)));
    // What is in no file yet is the parent's all the same.
    (100..110).for_each(|number| line(0, number));
    // SAFETY: the child logs and ends; glibc keeps its allocator usable there.
    match unsafe { fork() } {
        0 => {
            (0..50).for_each(|number| line(1, number));
            let flushed = vitals.flush(Duration::from_secs(600));
            vitals.shutdown(Duration::from_secs(600));
            drop(vitals);
            // SAFETY: ends the process.
            unsafe { _exit(i32::from(flushed)) }
        }
        pid => {
            let mut status = -1;
            // SAFETY: writes the one integer.
            assert_eq!(unsafe { waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0);
        }
    }
    (110..200).for_each(|number| line(0, number));
    vitals.shutdown(Duration::from_secs(60));
}

#[test]
fn a_forked_child_writes_no_line_of_its_parents_and_ends() {
    let folder = folder("durable-fork");
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "forking_child", "--nocapture", "--test-threads=1"])
        .env("MCP_VITALS_DURABLE_FORK", &folder)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let (counts, recovered) = lines(&folder, b"");
    check(&[200], &counts, "fork");
    assert_eq!((counts.len(), recovered), (200, 0));
    assert_eq!(fs::read_dir(folder.join("rings")).unwrap().count(), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |logs: LogConfig| Vitals::builder().logs(logs).build().err().unwrap().to_string();
    assert!(refused(LogConfig::to_memory().durable()).contains("add a file"));
    let folder = folder("durable-refused");
    let overwrite = config(&folder).overflow(Overflow::OverwriteOldest);
    assert!(refused(overwrite).contains("OverwriteOldest"));
    assert!(refused(config(&folder).durable_in("/proc/rings")).contains("/proc/rings"));
    fs::remove_dir_all(&folder).unwrap();
}

//! `mcp-vitals recover`, as a user runs it.
#![cfg(all(target_os = "linux", feature = "cli"))]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A ring file with twenty lines, whose process is no more.
const BASE: &[u8] = include_bytes!("../fuzz/bases/ring");

/// Exit code, stdout and stderr.
fn recover(args: &[&str], path: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-vitals"));
    let output = command.arg("recover").args(args).arg(path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lines_go_to_stdout_and_the_summary_to_stderr() {
    let folder = std::env::temp_dir().join(format!("mcp-vitals-recover-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let [left, foreign] = ["kept.1.1.ring", "foreign.1.1.ring"].map(|name| folder.join(name));
    fs::write(&left, BASE).unwrap();
    let (code, lines, summary) = recover(&["--keep"], &left);
    assert_eq!((code, lines.lines().count()), (Some(0), 20), "{summary}");
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["recovered"], &line["file"]), (&true.into(), &"kept.rs".into()));
    }
    assert!(summary.contains("1 files, 20 lines, 0 torn"), "{summary}");
    assert!(left.exists());
    // A folder: what can be read is, what can't stays and is said.
    fs::write(&foreign, "something else").unwrap();
    let (code, again, summary) = recover(&[], &folder);
    assert_eq!((code, again), (Some(1), lines));
    assert!(summary.contains("foreign.1.1.ring") && summary.contains("no ring file"), "{summary}");
    assert!(!left.exists() && foreign.exists());
    let (code, lines, _) = recover(&[], &foreign);
    assert_eq!((code, &*lines), (Some(1), ""));
    let (code, _, summary) = recover(&[], &folder.join("nowhere"));
    assert!(code == Some(1) && summary.contains("nowhere"), "{summary}");
    assert_eq!(recover(&["--no-such-flag"], &left).0, Some(2));
    let (code, help, _) = recover(&["--help"], &left);
    assert!(code == Some(0) && help.contains("Exit codes"), "{help}");
    fs::remove_dir_all(&folder).unwrap();
}

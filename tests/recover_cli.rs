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
    // What holds nothing is removed only where it is surely ours.
    let (disk, ours) = (folder.join("disk.img"), folder.join("kept.7.1.ring"));
    fs::write(&disk, [0; 8192]).unwrap();
    fs::write(&ours, [0; 8192]).unwrap();
    let (code, _, summary) = recover(&[], &disk);
    assert!(code == Some(1) && summary.contains("no ring file"), "{summary}");
    assert_eq!((recover(&[], &ours).0, disk.exists(), ours.exists()), (Some(0), true, false));
    // A link to a folder is the folder; one to a file is not followed, and that is said.
    let [linked, link] = ["linked", "link.1.1.ring"].map(|name| folder.join(name));
    std::os::unix::fs::symlink(&folder, &linked).unwrap();
    std::os::unix::fs::symlink(&left, &link).unwrap();
    fs::write(&left, BASE).unwrap();
    let (code, _, summary) = recover(&[], &link);
    assert!(code == Some(1) && summary.contains("not followed"), "{summary}");
    assert_eq!(recover(&[], &linked).1.lines().count(), 20);
    assert_eq!(recover(&["--no-such-flag"], &left).0, Some(2));
    let (code, help, _) = recover(&["--help"], &left);
    assert!(code == Some(0) && help.contains("Exit codes"), "{help}");
    fs::remove_dir_all(&folder).unwrap();
}

//! Every side that logs, in a process of its own: all its lines must be there and right.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mcp_vitals_peers::children::Kept;
use mcp_vitals_peers::sides::logs::SIDES;

fn child(side: &str, work: &str, file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(["--quick", "--side", side, "--work", work, "--log-file"]).arg(file);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"turn\n").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn every_line_of_every_side_is_in_its_file() {
    for side in SIDES {
        // Two threads, and more than any queue holds of one.
        for (work, calls) in [("bursts-2t", 160), ("sustained", 30_000), ("disabled", 0)] {
            let dir = tempfile::tempdir().unwrap();
            let output = child(side.name, work, &dir.path().join("x.log"));
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{} {work}: {said} {:?}", side.name, output.stderr);
            let kept: Kept = serde_json::from_str(said.lines().last().unwrap()).unwrap();
            assert_eq!(kept, Kept { calls, lines: calls }, "{} {work}", side.name);
        }
    }
}

#[test]
fn what_is_dropped_is_missing_and_the_rest_is_right() {
    for side in SIDES {
        let dir = tempfile::tempdir().unwrap();
        let output = child(side.name, "dropping", &dir.path().join("x.log"));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}: {said} {:?}", side.name, output.stderr);
        let kept: Kept = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert!(kept.calls == 30_000 && kept.lines <= 30_000, "{}: {kept:?}", side.name);
        assert!(kept.lines > 0, "{}: {kept:?}", side.name);
    }
}

#[test]
fn a_line_that_nobody_logged_is_noticed() {
    // It appends to what is there; the others begin anew.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.log");
    fs::write(&file, "{\"level\":\"INFO\"}\n").unwrap();
    let output = child("fast_log", "bursts", &file);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}

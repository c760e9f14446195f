//! Every side that makes spans, in a process of its own: all of them must arrive, and be right.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use mcp_vitals_peers::children::Kept;
use mcp_vitals_peers::sides::traces::SIDES;

fn child(side: &str, work: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(["--quick", "--side", side, "--work", work, "--log-file", "none"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"turn\n").unwrap();
    child.wait_with_output().unwrap()
}

fn kept(side: &str, work: &str) -> Kept {
    let output = child(side, work);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{side} {work}: {said} {:?}", output.stderr);
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

#[test]
fn every_span_of_every_side_arrives() {
    for side in SIDES {
        let works = [("spans", 80), ("spans-sustained", 50_000), ("spans-cpu", 1_000)];
        for (work, calls) in works {
            if work == "spans-cpu" && !side.has_otlp {
                continue;
            }
            let all = Kept { calls, lines: calls };
            assert_eq!(kept(side.name, work), all, "{} {work}", side.name);
        }
    }
}

#[test]
fn nothing_arrives_of_what_is_not_sampled() {
    for side in SIDES {
        for work in ["spans-unsampled", "spans-unsampled-root"] {
            assert_eq!(kept(side.name, work), Kept { calls: 0, lines: 0 }, "{} {work}", side.name);
        }
    }
}

#[test]
fn what_is_dropped_is_missing_and_the_rest_is_right() {
    for side in SIDES {
        let kept = kept(side.name, "spans-dropping");
        assert!(kept.calls == 50_000 && kept.lines <= 50_000, "{}: {kept:?}", side.name);
        assert!(kept.lines > 0, "{}: {kept:?}", side.name);
    }
}

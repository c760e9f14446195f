//! What a build does to its process, and what it leaves when it fails. Each test runs itself again as
//! a process of its own, which ends with [`HELD`] when all was as it should be.

use std::panic::{self, UnwindSafe};
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::Duration;

use mcp_vitals::{Error, Vitals};

const CHILD: &str = "VITALS_TEST_CHILD";
const HELD: i32 = 7;

/// Whether this is the process that the test started.
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Ends the child: with [`HELD`] when `body` did not panic. A failure is said on stdout, which works
/// whatever the test did to stderr.
fn held(body: impl FnOnce() + UnwindSafe) -> ! {
    panic::set_hook(Box::new(|panic| println!("{panic}")));
    exit(panic::catch_unwind(body).map_or(1, |()| HELD))
}

fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    command
}

#[test]
fn a_closed_stderr_does_not_stop_a_server_whose_telemetry_is_off() {
    if is_child() {
        held(|| assert!(Vitals::builder().memory_limit(1).build_or_disabled().is_disabled()));
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = child("a_closed_stderr_does_not_stop_a_server_whose_telemetry_is_off");
    assert_eq!(child.stderr(writer).status().unwrap().code(), Some(HELD));
}

#[test]
fn telemetry_that_is_off_says_why_in_one_line_on_stderr() {
    if is_child() {
        held(|| drop(Vitals::builder().memory_limit(1).build_or_disabled()));
    }
    let mut child = child("telemetry_that_is_off_says_why_in_one_line_on_stderr");
    let output = child.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let limit =
        "mcp-vitals: telemetry is off: memory_limit is 1; must be 1048576 to 1099511627776\n";
    assert_eq!((said.as_str(), output.status.code()), (limit, Some(HELD)));
}

/// Shards are the process's, so a build that fails must not set their number.
#[test]
fn a_build_that_fails_leaves_the_process_as_it_was() {
    if is_child() {
        held(|| {
            let vitals = Vitals::builder().system_metrics(false).max_shards(8).build().unwrap();
            let failed = Vitals::builder().max_shards(1).const_label("9", "x").build();
            assert!(matches!(failed, Err(Error::InvalidLabel { .. })), "{failed:?}");
            let calls = vitals.counter("calls_total", "Calls.").unwrap();
            calls.inc();
            // This thread keeps its shard meanwhile.
            thread::scope(|scope| scope.spawn(|| calls.inc()).join().unwrap());
            let common = vitals.snapshot().value("mcp_vitals_common_records_total", &[]);
            assert_eq!((common, calls.get()), (Some(0.0), 2));
        });
    }
    let mut child = child("a_build_that_fails_leaves_the_process_as_it_was");
    assert_eq!(child.status().unwrap().code(), Some(HELD));
}

#[test]
fn settings_are_checked_while_telemetry_is_off() {
    if is_child() {
        held(|| {
            let file = |interval| Vitals::builder().textfile("missing/mcp.prom", interval);
            assert!(file(Duration::from_secs(1)).build().unwrap().is_disabled());
            for wrong in [
                Vitals::builder().memory_limit(0),
                Vitals::builder().series_limit(0),
                Vitals::builder().value_length_limit(0),
                Vitals::builder().max_shards(0),
                Vitals::builder().tool_limit(0),
                Vitals::builder().const_label("9", "x"),
                Vitals::builder().const_label("a", "x").const_label("a", "y"),
                file(Duration::ZERO),
            ] {
                let built = wrong.clone().build();
                assert!(built.is_err(), "{wrong:?}");
            }
        });
    }
    let mut child = child("settings_are_checked_while_telemetry_is_off");
    assert_eq!(child.env("MCP_VITALS_DISABLED", "1").status().unwrap().code(), Some(HELD));
}

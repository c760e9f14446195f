//! How a server ends, and what of its last lines is in the file then: children of this very test that
//! panic, or get a signal.
//!
//! A harness of its own: a child's `main` is what panics, and libtest would catch that.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, panic, process, thread};

use mcp_vitals::logs::{Batch, Export, ExportError, LogConfig, LogFile};
use mcp_vitals::{Vitals, info};

const CHILD: &str = "MCP_VITALS_EXIT_CHILD";
const LINES: u64 = 100;
/// Never dropped: what is in the files got there by the hook, or the signal.
static ENGINES: OnceLock<Vec<Vitals>> = OnceLock::new();

/// A sink that takes its time: far longer than a process takes to end.
struct Slow(PathBuf, Duration);

impl Export for Slow {
    fn export(&mut self, batch: &Batch<'_>) -> Result<(), ExportError> {
        thread::sleep(self.1);
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        for record in batch.records() {
            writeln!(file, "{}", record.message.to_str())?;
        }
        Ok(())
    }
}

/// A sink that panics.
struct Panics;

impl Export for Panics {
    fn export(&mut self, _: &Batch<'_>) -> Result<(), ExportError> {
        panic!("in a sink");
    }
}

/// Two sinks: `name`.log by us, `name`.slow.
fn config(folder: &Path, name: &str, pause: Duration) -> LogConfig {
    LogConfig::new()
        .file(LogFile::new(folder.join(format!("{name}.log"))))
        .export(Slow(folder.join(format!("{name}.slow")), pause))
        .flush_on_panic(true)
}

fn engine(config: LogConfig) -> Vitals {
    Vitals::builder().system_metrics(false).logs(config).build().unwrap()
}

fn log(vitals: &Vitals) {
    let logger = vitals.logger("exit");
    (0..LINES).for_each(|n| info!(logger, "line {n}"));
}

const SHORT: Duration = Duration::from_millis(100);
/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(600);

fn child(task: &str) {
    let (task, folder) = task.split_once(' ').unwrap();
    let folder = Path::new(folder);
    // The host's own, which is there first and is called as before.
    panic::set_hook(Box::new(|_| println!("host's hook")));
    match task {
        "panic_on_main" => {
            // Those that are gone are no obstacle, and all that are there are waited for.
            (0..3).for_each(|n| drop(engine(config(folder, &format!("gone {n}"), Duration::ZERO))));
            let engines = ["one", "two"].map(|name| engine(config(folder, name, SHORT)));
            let engines = ENGINES.get_or_init(|| engines.into());
            engines.iter().for_each(log);
            panic!("as asked");
        }
        "panic_with_a_sink_that_hangs" => {
            let engine = engine(config(folder, "one", FOR_EVER));
            log(&ENGINES.get_or_init(|| vec![engine])[0]);
            panic!("as asked");
        }
        "panic_on_another_thread" => {
            let engine = engine(config(folder, "one", SHORT));
            let engine = &ENGINES.get_or_init(|| vec![engine])[0];
            for _ in 0..3 {
                let panics = thread::spawn(|| {
                    log(engine);
                    panic!("as asked");
                });
                assert!(panics.join().is_err());
            }
            assert!(engine.flush(FOR_EVER));
        }
        "panic_in_a_sink" => {
            let config = LogConfig::to_memory().export(Panics).flush_on_panic(true);
            let engine = engine(config);
            log(&engine);
            assert!(engine.flush(FOR_EVER), "the sink's panic waits for no sink");
            assert_eq!(engine.captured_logs().len() as u64, LINES);
        }
        "panic_without_engines" => {
            drop(engine(config(folder, "one", Duration::ZERO)));
            panic!("as asked");
        }
        #[cfg(all(feature = "signals", unix))]
        _ => signals::child(task, folder),
        #[cfg(not(all(feature = "signals", unix)))]
        _ => unreachable!(),
    }
}

fn start(task: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(CHILD, format!("{task} {}", folder.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads what `child` says on stdout, up to the end.
fn said(child: &mut Child) -> Vec<String> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect()
}

/// Whether all lines are there, in their order, `times` over.
#[track_caller]
fn assert_whole(folder: &Path, file: &str, times: u64) {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() as u64, LINES * times, "lines of {file}");
    for (n, line) in lines.iter().enumerate() {
        let message = format!("line {}", n as u64 % LINES);
        let whole = *line == message || line.contains(&format!("\"message\":\"{message}\""));
        assert!(whole, "{file}: {line} at {n}");
    }
}

/// Runs a child that ends by itself; gives its exit code and how often the host's hook was called.
fn ends(task: &str, folder: &Path) -> (Option<i32>, usize) {
    let mut child = start(task, folder).spawn().unwrap();
    let said = said(&mut child);
    let status = child.wait().unwrap();
    assert!(said.iter().all(|line| line == "host's hook"), "{said:?}");
    (status.code(), said.len())
}

fn panics() {
    within("panic_on_main", |task, folder| {
        assert_eq!(ends(task, folder), (Some(101), 1));
        for file in ["one.log", "one.slow", "two.log", "two.slow"] {
            assert_whole(folder, file, 1);
        }
    });
    within("panic_with_a_sink_that_hangs", |task, folder| {
        assert_eq!(ends(task, folder), (Some(101), 1));
        assert_whole(folder, "one.log", 1);
    });
    within("panic_on_another_thread", |task, folder| {
        assert_eq!(ends(task, folder), (Some(0), 3));
        assert_whole(folder, "one.log", 3);
        assert_whole(folder, "one.slow", 3);
    });
    within("panic_in_a_sink", |task, folder| {
        let (code, hooks) = ends(task, folder);
        assert_eq!(code, Some(0));
        assert!(hooks >= 1);
    });
    within("panic_without_engines", |task, folder| {
        assert_eq!(ends(task, folder), (Some(101), 1));
    });
}

/// Runs `test` with a folder of its own.
fn within(task: &str, test: impl FnOnce(&str, &Path)) {
    let folder = env::temp_dir().join(format!("mcp-vitals-{task}-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    test(task, &folder);
    fs::remove_dir_all(&folder).unwrap();
    println!("{task}: ok");
}

#[cfg(all(feature = "signals", unix))]
mod signals {
    use std::io;
    use std::os::unix::process::ExitStatusExt;

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    fn engine(folder: &Path, name: &str, pause: Duration) -> Vitals {
        // The textfile is written at the start and, before a day has passed, at the end.
        let textfile = folder.join(format!("{name}.prom"));
        let builder = Vitals::builder().system_metrics(false).handle_signals(true);
        let builder = builder.textfile(textfile, Duration::from_secs(86_400));
        builder.logs(config(folder, name, pause)).build().unwrap()
    }

    pub(super) fn child(task: &str, folder: &Path) {
        let engines = match task {
            "signal_with_a_sink_that_hangs" => vec![engine(folder, "one", FOR_EVER)],
            "signal_without_engines" => {
                drop(engine(folder, "one", Duration::ZERO));
                Vec::new()
            }
            _ => ["one", "two"].map(|name| engine(folder, name, SHORT)).into(),
        };
        for engine in ENGINES.get_or_init(|| engines) {
            let counter = engine.counter("lines_total", "Lines.").unwrap();
            log(engine);
            counter.add(LINES);
        }
        println!("ready");
        // A host that is shutting down itself when the signal comes.
        if task == "signal_while_the_host_shuts_down" {
            ENGINES.get().unwrap().iter().for_each(|engine| engine.shutdown(FOR_EVER));
        }
        // Until the other side has gone.
        let _ = io::stdin().lines().count();
    }

    /// The signal that ends it. `wait` alone would close its stdin first.
    fn ended(mut child: Child) -> Option<i32> {
        let _open = child.stdin.take();
        child.wait().unwrap().signal()
    }

    fn send(child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// The same command, started by another one that becomes it.
    #[cfg(target_os = "linux")]
    fn by(first: &[&str], own: Command) -> Command {
        let mut command = Command::new(first[0]);
        command.args(&first[1..]).arg(own.get_program());
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// The tests may run where interrupts are ignored, as what a shell has in the background does, and a
    /// child would be born so.
    fn heeding_interrupts(own: Command) -> Command {
        #[cfg(target_os = "linux")]
        return by(&["env", "--default-signal=INT"], own);
        #[cfg(not(target_os = "linux"))]
        own
    }

    /// Starts a child and waits until it has logged.
    fn ready(mut command: Command) -> Child {
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        assert_eq!(first, "ready\n");
        child
    }

    fn assert_all(folder: &Path) {
        for name in ["one", "two"] {
            assert_whole(folder, &format!("{name}.log"), 1);
            assert_whole(folder, &format!("{name}.slow"), 1);
            let metrics = fs::read_to_string(folder.join(format!("{name}.prom"))).unwrap();
            let last = format!("\nlines_total{{vitals_copy=\"0\"}} {LINES}\n");
            assert!(metrics.contains(&last), "{metrics}");
        }
    }

    pub(super) fn test() {
        for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
            for task in ["signal", "signal_while_the_host_shuts_down"] {
                within(task, |task, folder| {
                    let child = ready(heeding_interrupts(start(task, folder)));
                    send(&child, signal);
                    assert_eq!(ended(child), Some(number));
                    assert_all(folder);
                });
            }
        }
        for task in ["signal_with_a_sink_that_hangs", "signal_without_engines"] {
            within(task, |task, folder| {
                let child = ready(start(task, folder));
                send(&child, Signal::TERM);
                assert_eq!(ended(child), Some(15));
                if task == "signal_with_a_sink_that_hangs" {
                    assert_whole(folder, "one.log", 1);
                }
            });
        }
        #[cfg(target_os = "linux")]
        within("signal_that_is_ignored", |task, folder| {
            let ignoring = ["sh", "-c", "trap '' INT; exec \"$0\""];
            let child = ready(by(&ignoring, start(task, folder)));
            // Had the first one counted, it would be what ended the child.
            send(&child, Signal::INT);
            send(&child, Signal::TERM);
            assert_eq!(ended(child), Some(15));
            assert_all(folder);
        });
    }
}

fn main() {
    if let Ok(task) = env::var(CHILD) {
        return child(&task);
    }
    panics();
    #[cfg(all(feature = "signals", unix))]
    signals::test();
}

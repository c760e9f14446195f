//! The textfile: what a node exporter reads of servers that have no port.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mcp_vitals::{Desc, Error, Vitals};

/// What "for ever" is in a test that fails, and an interval that does not pass.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

/// A folder of a test's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mcp-vitals-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Every name in it, sorted; hidden ones too.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "waited for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The lines of a file that are a sample of `name`.
fn samples(path: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let of_it = |line: &&str| line.starts_with(name);
    text.lines().filter(of_it).map(str::to_owned).collect()
}

#[test]
fn it_is_there_at_once_and_whole_at_the_end() {
    let folder = Folder::new("whole");
    let path = folder.file("mcp.prom");
    let vitals = Vitals::builder().textfile(&path, LONG).build().unwrap();
    assert_eq!(vitals.textfile_path(), Some(path.clone()));
    assert!(path.exists());
    vitals.counter("jobs_total", "Jobs done.").unwrap().add(3);
    vitals.shutdown(LONG);
    assert_eq!(samples(&path, "jobs_total"), ["jobs_total{vitals_copy=\"0\"} 3"]);
    vitals.shutdown(LONG);
    assert_eq!(folder.names(), ["mcp.prom"]);
}

#[test]
fn the_last_handle_writes_it_too() {
    let folder = Folder::new("dropped");
    let path = folder.file("mcp.prom");
    let vitals = Vitals::builder().textfile(&path, LONG).build().unwrap();
    vitals.counter("jobs_total", "Jobs done.").unwrap().add(3);
    drop(vitals);
    assert_eq!(samples(&path, "jobs_total"), ["jobs_total{vitals_copy=\"0\"} 3"]);
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let folder = Folder::new("atomic");
    let path = folder.file("mcp.prom");
    let vitals = Vitals::builder().textfile(&path, SHORT).build().unwrap();
    // Enough that writing it takes its time.
    let wide = Desc::gauge("wide", "Many series.").labels(["label"]).series_limit(100_000);
    let wide = vitals.register(wide).unwrap();
    for n in 0..20_000 {
        wide.with([&format!("{n:0>100}")]).set(1.0);
    }
    let written = |text: &str| -> Option<u32> {
        let series = "outlet=\"textfile\",event=\"written\"} ";
        text.lines().find_map(|line| line.split_once(series)?.1.parse().ok())
    };
    // One read after the other, over twenty versions.
    loop {
        let text = fs::read_to_string(&path).expect("it is there at every moment");
        let (first, last) = (text.lines().next(), text.lines().next_back());
        assert!(first.is_some_and(|line| line.starts_with("# Written by mcp-vitals")));
        assert!(text.ends_with('\n') && last.is_some_and(|line| line.contains("vitals_copy=")));
        if written(&text).expect("the series is there in every version") >= 20 {
            break;
        }
    }
}

#[test]
fn wrong_paths_and_intervals_are_errors_of_the_build() {
    let folder = Folder::new("wrong");
    fs::write(folder.file("theirs.prom"), "theirs 1\n").unwrap();
    fs::create_dir(folder.file("folder.prom")).unwrap();
    let build = |path: &str, interval| {
        Vitals::builder().textfile(folder.file(path), interval).build().unwrap_err()
    };
    for path in ["missing/mcp.prom", "theirs.prom/mcp.prom", "theirs.prom", "folder.prom", "{x}"] {
        let error = build(path, LONG);
        assert!(matches!(error, Error::Textfile { .. }), "{path}: {error}");
        assert!(error.to_string().contains(path), "{error}");
    }
    assert!(matches!(build("mcp.prom", Duration::ZERO), Error::OutOfRange { .. }));
    assert_eq!(folder.names(), ["folder.prom", "theirs.prom"]);
    assert_eq!(fs::read_to_string(folder.file("theirs.prom")).unwrap(), "theirs 1\n");
}

/// The variable that makes [`child`] one of the copies: the path that all of them are told.
const CHILD: &str = "MCP_VITALS_TEST_TEXTFILE_CHILD";

/// Not a test but the copy that the others start: it counts a job, tells its file, waits for its
/// stdin to end, counts another, and ends.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let vitals = Vitals::builder().service("copy", "1").textfile(path, SHORT).build().unwrap();
    let jobs = vitals.counter("jobs_total", "Jobs done.").unwrap();
    jobs.inc();
    // A line of its own: the harness has begun one with the test's name.
    println!("\npath={}", vitals.textfile_path().unwrap().display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    jobs.inc();
    vitals.shutdown(LONG);
}

struct Copy {
    child: Child,
    out: BufReader<ChildStdout>,
    path: PathBuf,
}

impl Copy {
    /// Starts `count` copies with one setting; all of them run when this returns.
    fn start(count: usize, path: &Path) -> Vec<Copy> {
        let children: Vec<Child> = (0..count)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["child", "--exact", "--nocapture"])
                    .env(CHILD, path)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let told = |mut child: Child| {
            let mut out = BufReader::new(child.stdout.take().unwrap());
            loop {
                let mut line = String::new();
                assert_ne!(out.read_line(&mut line).unwrap(), 0, "the copy ended");
                if let Some(path) = line.strip_prefix("path=") {
                    return Copy { child, out, path: path.trim_end().into() };
                }
            }
        };
        children.into_iter().map(told).collect()
    }

    /// Lets it end.
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.out.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn five_copies_with_one_setting_lose_nothing() {
    for setting in ["mcp.prom", "{service}-{pid}.prom"] {
        let folder = Folder::new("five");
        let copies = Copy::start(5, &folder.file(setting));
        let paths: BTreeSet<_> = copies.iter().map(|copy| copy.path.clone()).collect();
        assert_eq!(paths.len(), 5, "{paths:?}");
        for copy in copies {
            copy.end();
        }
        let lines: BTreeSet<_> =
            paths.iter().flat_map(|path| samples(path, "jobs_total")).collect();
        assert_eq!(lines.len(), 5, "each is a series of its own: {lines:?}");
        assert!(lines.iter().all(|line| line.ends_with("} 2")), "{lines:?}");
        assert_eq!(folder.names().len(), 5, "files and nothing else: {:?}", folder.names());
    }
}

#[cfg(unix)]
#[test]
fn a_copy_that_is_killed_gives_its_file_back() {
    let folder = Folder::new("killed");
    let path = folder.file("mcp.prom");
    let mut copy = Copy::start(1, &path).remove(0);
    wait_until("its job", || samples(&path, "jobs_total").len() == 1);
    copy.child.kill().unwrap();
    copy.child.wait().unwrap();
    // Its last values are kept for a node exporter that has not been there yet.
    let next = Vitals::builder().textfile(&path, LONG).build().unwrap();
    assert_eq!(next.textfile_path(), Some(folder.file("mcp.1.prom")));
    assert_eq!(samples(&path, "jobs_total").len(), 1);
    // Later on they are not, and its lock went with it.
    let old = SystemTime::now() - Duration::from_secs(600);
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let later = Vitals::builder().textfile(&path, LONG).build().unwrap();
    assert_eq!(later.textfile_path(), Some(path.clone()));
    assert_eq!(samples(&path, "jobs_total").len(), 0);
}

#[test]
fn a_folder_that_goes_is_said_once_and_counted_and_it_recovers() {
    let folder = Folder::new("gone");
    let path = folder.file("mcp.prom");
    let mut copy = Copy::start(1, &path).remove(0);
    let counted = |name| {
        let vitals = samples(&path, "mcp_vitals_outlet_events_total");
        let of_it = format!("event=\"{name}\"");
        let line = vitals.iter().find(|line| line.contains(&of_it)).unwrap().clone();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(counted("failed"), 0.0);
    // A file where the folder was: nothing can be made there. Moved first, since the copy goes on writing.
    let away = folder.0.with_extension("away");
    fs::rename(&folder.0, &away).unwrap();
    fs::write(&folder.0, "").unwrap();
    fs::remove_dir_all(&away).unwrap();
    let mut said = BufReader::new(copy.child.stderr.take().unwrap());
    let mut first = String::new();
    while !first.contains("cannot be written") {
        first.clear();
        assert_ne!(said.read_line(&mut first).unwrap(), 0, "the copy ended");
    }
    fs::remove_file(&folder.0).unwrap();
    fs::create_dir(&folder.0).unwrap();
    wait_until("the file", || path.exists());
    assert!(counted("failed") >= 1.0);
    copy.end();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let lines: Vec<_> = rest.lines().filter(|line| line.starts_with("mcp-vitals:")).collect();
    assert_eq!(lines.len(), 1, "each is said once: {rest}");
    assert!(lines[0].contains("is written again"), "{rest}");
}

/// The node exporter, or nothing where it is not installed; a failure under `CI=true`.
fn node_exporter(folder: &Path, port: u16) -> Option<Child> {
    let mut command = Command::new("prometheus-node-exporter");
    command
        .arg("--collector.disable-defaults")
        .arg("--collector.textfile")
        .arg(format!("--collector.textfile.directory={}", folder.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) if std::env::var("CI").as_deref() == Ok("true") => {
            panic!("prometheus-node-exporter: {error}")
        }
        Err(error) => {
            eprintln!("left out: prometheus-node-exporter: {error}");
            None
        }
    }
}

#[test]
fn a_node_exporter_reads_all_five() {
    let folder = Folder::new("exporter");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(mut exporter) = node_exporter(&folder.0, port) else { return };
    let copies = Copy::start(5, &folder.file("mcp.prom"));
    for copy in copies {
        copy.end();
    }
    let mut text = String::new();
    wait_until("the node exporter", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        text.clear();
        stream.read_to_string(&mut text).is_ok()
    });
    exporter.kill().unwrap();
    exporter.wait().unwrap();
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
    assert!(text.contains("\nnode_textfile_scrape_error 0\n"), "{text}");
    for copy in 0..5 {
        let line = format!("\njobs_total{{vitals_copy=\"{copy}\"}} 2\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

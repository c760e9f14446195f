//! A file that the node exporter's textfile collector reads: how a server without a port is scraped.
//!
//! Each version is written beside the file and renamed onto it, so that a reader sees the old one
//! or the new one, whole. It is not synced to the disk: after a loss of power the counters start
//! anew anyway, and a sync would cost a disk write at every interval for nothing.
//!
//! Copies of one server, started with the same settings, write a file each (see [`super::slot`]),
//! and every sample carries the label `vitals_copy`: a node exporter that meets one series in two
//! files refuses the second.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slot::{HEADER, Slot, Template};
use super::{Event, Source};
use crate::Format;
use crate::background::{Background, Tick};
use crate::error::{self, Error};

/// The shortest and the longest interval between two versions, in milliseconds.
const INTERVAL_MILLIS: std::ops::RangeInclusive<u64> = 100..=86_400_000;

/// How often files of copies that have ended are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// The label that tells the copies' series apart.
const COPY_LABEL: &str = "vitals_copy";

/// The thread that writes the file; it stops, and writes once more, when dropped.
pub(crate) struct Textfile {
    background: Background<Vec<u8>>,
    path: PathBuf,
}

impl Textfile {
    /// Writes the file once, then every `interval` on a thread of its own.
    ///
    /// * `path`: where; `{service}` and, in the file's name, `{pid}` are replaced. The folder must
    ///   exist.
    /// * `interval`: 100 ms to a day.
    ///
    /// An error when the interval is out of range or the file cannot be written now. Later
    /// failures are counted, said once on stderr, and end when writing works again.
    pub(crate) fn start(
        path: &Path,
        interval: Duration,
        service: &str,
        source: Arc<dyn Source>,
    ) -> Result<Textfile, Error> {
        check_interval(interval)?;
        let refused = |source| Error::Textfile { path: path.to_path_buf(), source };
        let template = Template::parse(path, service, std::process::id()).map_err(refused)?;
        let mut writer = Writer::new(template, source).map_err(refused)?;
        writer.write(None).map_err(refused)?;
        writer.sweep();
        let path = writer.slot.path().to_path_buf();
        let background =
            Background::start("mcp-vitals-file", interval, interval, move |tick| match tick {
                Tick::Interval => writer.tick(None),
                Tick::Last(text) => writer.tick(text),
            })?;
        Ok(Textfile { background, path })
    }

    /// The file that this copy was given first.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes once more and ends the thread, within `deadline`; false when that was too short.
    ///
    /// * `last`: the metrics to end with; none asks the source, which must still be alive then.
    ///
    /// Further calls do nothing.
    pub(crate) fn stop(&mut self, last: Option<Vec<u8>>, deadline: Duration) -> bool {
        self.background.stop(last, deadline)
    }
}

/// An interval that a thread can keep, or the error that says so.
pub(crate) fn check_interval(interval: Duration) -> Result<(), Error> {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    if !INTERVAL_MILLIS.contains(&millis) {
        return Err(Error::OutOfRange {
            metric: String::new(),
            field: "textfile interval (milliseconds)",
            value: millis,
            min: *INTERVAL_MILLIS.start(),
            max: *INTERVAL_MILLIS.end(),
        });
    }
    Ok(())
}

/// What the thread owns.
struct Writer {
    template: Template,
    slot: Slot,
    source: Arc<dyn Source>,
    /// The metrics as rendered, and as written; kept for their capacity.
    text: Vec<u8>,
    file: Vec<u8>,
    failing: bool,
    swept: Instant,
}

impl Writer {
    fn new(template: Template, source: Arc<dyn Source>) -> io::Result<Writer> {
        let slot = template.claim()?;
        let (text, file) = (Vec::new(), Vec::new());
        Ok(Writer { template, slot, source, text, file, failing: false, swept: Instant::now() })
    }

    /// One turn of the thread; false when the engine is gone.
    fn tick(&mut self, text: Option<Vec<u8>>) -> bool {
        match self.write(text) {
            Ok(true) => self.recovered(),
            Ok(false) => return false,
            Err(error) => self.failed(&error),
        }
        if self.swept.elapsed() >= SWEEP {
            self.sweep();
        }
        true
    }

    /// Puts a new version in the file's place; false when the engine is gone.
    fn write(&mut self, text: Option<Vec<u8>>) -> io::Result<bool> {
        match text {
            Some(text) => self.text = text,
            None => {
                self.text.clear();
                if !self.source.scrape_into(Format::Text, &mut self.text) {
                    return Ok(false);
                }
            }
        }
        if !self.slot.is_held() {
            // The folder was emptied or made anew: the slot may be another copy's by now.
            self.slot = self.template.claim()?;
        }
        self.file.clear();
        let _ = writeln!(self.file, "{HEADER}; copy {}.", self.slot.copy());
        label_samples(&self.text, COPY_LABEL, self.slot.copy(), &mut self.file);
        replace(&self.slot, &self.file)?;
        self.source.count(Event::TextfileWritten);
        Ok(true)
    }

    fn failed(&mut self, error: &io::Error) {
        self.source.count(Event::TextfileFailed);
        if !self.failing {
            self.failing = true;
            self.say(format_args!("cannot be written: {error}; trying on"));
        }
    }

    fn recovered(&mut self) {
        if self.failing {
            self.failing = false;
            self.say(format_args!("is written again"));
        }
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        error::say(format_args!("textfile {:?} {what}", self.slot.path()));
    }

    fn sweep(&mut self) {
        self.swept = Instant::now();
        for _ in 0..self.template.sweep() {
            self.source.count(Event::TextfileSwept);
        }
    }
}

/// Writes `bytes` beside the slot's file and renames them onto it.
fn replace(slot: &Slot, bytes: &[u8]) -> io::Result<()> {
    let draft = slot.draft();
    let written = write_new(&draft, bytes).and_then(|()| fs::rename(&draft, slot.path()));
    if written.is_err() {
        // A full disk gets its space back.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Created anew, never opened: in a folder that others may write, the name could be a link.
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The node exporter runs as another user, whatever this process's umask says.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Copies text 0.0.4 with one more label in front of each sample's own.
///
/// A metric's name holds neither `{` nor a space, so the first of them is the place, whatever the
/// label values hold. `value` needs no escaping: digits and a hyphen.
fn label_samples(text: &[u8], label: &str, value: &str, out: &mut Vec<u8>) {
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let place = match line.first() {
            None | Some(b'#' | b'\n') => None,
            Some(_) => line.iter().position(|&byte| byte == b'{' || byte == b' '),
        };
        let Some(place) = place else {
            out.extend_from_slice(line);
            continue;
        };
        let (name, rest) = line.split_at(place);
        out.extend_from_slice(name);
        out.push(b'{');
        for part in [label, "=\"", value, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
        match rest.strip_prefix(b"{") {
            Some(labels) => {
                if !labels.starts_with(b"}") {
                    out.push(b',');
                }
                out.extend_from_slice(labels);
            }
            None => {
                out.push(b'}');
                out.extend_from_slice(rest);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod scratch {
    //! A folder of a test's own, removed with it.

    use std::fs;
    use std::path::{Path, PathBuf};

    use crate::sync::{AtomicU32, Ordering};

    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new() -> Folder {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            // Relaxed: only the numbers must differ.
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("mcp-vitals-unit-{}-{n}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }

        /// Every name in it, sorted.
        pub(crate) fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scratch::Folder;
    use super::*;
    use crate::export::stub::Stub;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(100);

    fn start(folder: &Folder, interval: Duration, stub: &Arc<Stub>) -> Result<Textfile, Error> {
        Textfile::start(&folder.path().join("mcp.prom"), interval, "s", stub.clone())
    }

    fn read(folder: &Folder, name: &str) -> String {
        fs::read_to_string(folder.path().join(name)).unwrap()
    }

    #[test]
    fn the_file_is_there_from_the_start_and_after_the_end() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let mut textfile = start(&folder, LONG, &stub).unwrap();
        let first = "# Written by mcp-vitals; copy 0.\na_total{vitals_copy=\"0\"} 1\n";
        assert_eq!(read(&folder, "mcp.prom"), first);
        stub.set_text("a_total 2\n");
        assert!(textfile.stop(None, LONG));
        assert!(read(&folder, "mcp.prom").ends_with(" 2\n"));
        assert_eq!(folder.names(), ["mcp.prom"], "neither lock nor draft is left");
    }

    #[test]
    fn an_engine_that_is_gone_leaves_the_last_text_that_it_handed_over() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let mut textfile = start(&folder, LONG, &stub).unwrap();
        stub.end();
        assert!(textfile.stop(Some(b"a_total 9\n".to_vec()), LONG));
        assert!(read(&folder, "mcp.prom").ends_with(" 9\n"));
    }

    #[test]
    fn it_is_written_on_the_interval() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let textfile = start(&folder, SHORT, &stub).unwrap();
        stub.set_text("a_total 2\n");
        let written = stub.seen(Event::TextfileWritten);
        stub.wait_for(Event::TextfileWritten, written + 2);
        assert!(read(&folder, "mcp.prom").ends_with(" 2\n"));
        drop(textfile);
    }

    #[test]
    fn two_engines_of_one_process_write_two_files() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let first = start(&folder, LONG, &stub).unwrap();
        let second = start(&folder, LONG, &stub).unwrap();
        assert_ne!(first.path(), second.path());
        assert!(read(&folder, "mcp.1.prom").contains("a_total{vitals_copy=\"1\"} 1\n"));
    }

    #[test]
    fn failures_are_counted_and_it_recovers() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let textfile = start(&folder, SHORT, &stub).unwrap();
        fs::remove_dir_all(folder.path()).unwrap();
        stub.wait_for(Event::TextfileFailed, 2);
        fs::create_dir(folder.path()).unwrap();
        let written = stub.seen(Event::TextfileWritten);
        stub.wait_for(Event::TextfileWritten, written + 1);
        assert!(read(&folder, "mcp.prom").ends_with(" 1\n"));
        drop(textfile);
    }

    #[test]
    fn wrong_settings_are_one_clear_error() {
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("")));
        for interval in [Duration::ZERO, Duration::from_millis(99), Duration::MAX] {
            let refused = start(&folder, interval, &stub).err();
            assert!(matches!(refused, Some(Error::OutOfRange { .. })), "{interval:?}");
        }
        let path = folder.path().join("missing").join("mcp.prom");
        let refused = Textfile::start(&path, LONG, "s", stub).err();
        assert!(matches!(refused, Some(Error::Textfile { .. })));
        assert_eq!(folder.names(), Vec::<String>::new());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_everybody_to_read_and_a_planted_link_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, stub) = (Folder::new(), Arc::new(Stub::new("a_total 1\n")));
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join(".mcp.prom.tmp")).unwrap();
        let textfile = start(&folder, LONG, &stub).unwrap();
        assert_eq!(read(&folder, "victim"), "precious");
        let mode = fs::metadata(textfile.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn the_copys_label_goes_in_front_whatever_the_values_hold() {
        let label = |text: &str| {
            let mut out = Vec::new();
            label_samples(text.as_bytes(), "c", "1", &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(label("a 1\n"), "a{c=\"1\"} 1\n");
        assert_eq!(label("a{} 1\n"), "a{c=\"1\"} 1\n");
        assert_eq!(label("a{x=\"{ }\\\"\\n\"} 1\n"), "a{c=\"1\",x=\"{ }\\\"\\n\"} 1\n");
        let comments = "# HELP a {x} b\n# TYPE a counter\n\n";
        assert_eq!(label(comments), comments);
    }
}

//! What tests of ring files have in common: an engine's rings in a file, and a small flusher.

mod fault_tests;
mod fork_tests;
mod kill_tests;
mod owner_tests;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::journal::Journal;
use super::orphan::{self, Orphan, Recovered};
use super::{Anchor, RingFile, Settings};
use crate::ring::drain::Span;
use crate::ring::frame::{Frame, Value, kind, tag};
use crate::ring::names::{self, Define, SiteText};
use crate::ring::set::{self, Kind, Leased, Overflow, Rings};
use crate::ring::store::Store;
use crate::ring::writer::Head;
use crate::shard::space::Space;
use crate::sync::{AtomicU32, Ordering};

const SERVICE: &str = "kept";
/// One tick is one nanosecond.
const RATE: u64 = 1 << 40;

/// A folder of its own, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(below: &Path) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = below.join(format!("mcp-vitals-rings-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Folder(path)
    }

    fn temp() -> Folder {
        Folder::new(&std::env::temp_dir())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: Some(folder.to_path_buf()),
        service: SERVICE.to_owned(),
        ring_bytes: 32 << 10,
        rings: 2,
        dictionary_bytes: 64 << 10,
        threads: 64,
        chunk_bytes: 128 << 10,
        rules: Default::default(),
    }
}

/// An engine as far as its lines go.
struct Engine {
    file: Arc<RingFile>,
    rings: Arc<Rings>,
    journal: Arc<Journal>,
    known: Vec<Arc<Leased>>,
    read: Vec<u64>,
    shared: u64,
    ticket: u64,
}

impl Engine {
    fn new(settings: &Settings, overflow: Overflow) -> Engine {
        let anchor = Anchor { ticks: 0, unix_nanos: 1_000 };
        let file = RingFile::create(settings, RATE, anchor).unwrap();
        let listener: Arc<dyn Define> = file.clone();
        names::subscribe(&listener);
        let of_rings =
            set::Settings { ring_bytes: settings.ring_bytes, rings: settings.rings, overflow };
        let space = Arc::new(Space::new(64 << 20));
        let rings = Rings::in_store(of_rings, space, Store::File(file.clone())).unwrap();
        let journal = Arc::new(Journal::new(file.clone(), rings.clone()));
        let (known, read) = (Vec::new(), Vec::new());
        Engine { file, rings, journal, known, read, shared: 0, ticket: 0 }
    }

    /// What is there, as lines, and the ticket that they are noted under.
    fn drain(&mut self) -> Option<(u64, Vec<u8>)> {
        self.rings.list(&mut self.known);
        self.read.resize(self.known.len(), 0);
        let mut lines = Vec::new();
        let mut spans = Vec::new();
        for ((number, leased), at) in self.known.iter().enumerate().zip(&mut self.read) {
            let Kind::Queue(ring) = &leased.kind else { continue };
            let (begin, end) = (*at, ring.cursor().published());
            // SAFETY: the one reader, from where it read to what is published.
            while let Some((frame, next)) = unsafe { ring.read(*at, end) } {
                write_line(&mut lines, &frame.unwrap(), &SITE.1);
                *at = next;
            }
            *at = end;
            spans.push(Span { ring: Some(number), from: begin, to: end });
        }
        let (begin, end) = (self.shared, self.rings.shared.reserved());
        // SAFETY: the one reader, from where it read.
        while let Some((frame, next)) = unsafe { self.rings.shared.read(self.shared, end) } {
            write_line(&mut lines, &frame, &SITE.1);
            self.shared = next;
        }
        spans.push(Span { ring: None, from: begin, to: self.shared });
        if lines.is_empty() {
            return None;
        }
        self.ticket += 1;
        self.journal.note(self.ticket, spans);
        Some((self.ticket, lines))
    }
}

/// The call site of all lines.
static SITE: LazyLock<(u32, SiteText)> = LazyLock::new(|| {
    let keys = vec!["who".into(), "number".into()];
    let site = SiteText { file: "kept.rs".into(), line: 7, keys, ..SiteText::default() };
    (names::define_site(site.clone()), site)
});

/// So long is the text of a line: all lengths up to 200, some long ones.
fn text(number: u64) -> String {
    "x".repeat(if number % 50 == 49 { 3_000 } else { number as usize % 200 })
}

/// Logs one line.
fn line(rings: &Rings, who: u64, number: u64) {
    let (site, text) = (SITE.0, text(number));
    let head = Head { kind: kind::LINE, level: 3, ticks: number, site, ..Head::default() };
    rings.write(head, &|writer: &mut crate::ring::writer::Writer<'_>| {
        writer.word(None, tag::U64, who);
        writer.word(None, tag::U64, number);
        writer.text(Some("text"), tag::STR, text.as_bytes(), 0);
    });
}

fn write_line(lines: &mut Vec<u8>, frame: &Frame<'_>, site: &SiteText) {
    let fields: Vec<_> = frame.body(&site.keys).unwrap().1.collect();
    let keys: Vec<_> = fields.iter().map(|field| field.key.to_str().into_owned()).collect();
    assert_eq!(keys, ["who", "number", "text"]);
    let [Value::U64(who), Value::U64(number), Value::Str(text)] =
        *fields.iter().map(|field| field.value).collect::<Vec<_>>().as_slice()
    else {
        panic!("{fields:?}")
    };
    writeln!(lines, "{who} {number} {text};").unwrap();
}

/// The log file: one write a chunk, noted before and after.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn open(path: PathBuf) -> Log {
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        Log { path, file }
    }

    fn id(&self) -> ((u64, u64), u64) {
        let about = self.file.metadata().unwrap();
        ((about.dev(), about.ino()), about.len())
    }
}

/// What recovery gives, as lines.
fn recover(orphan: &Orphan, mend: bool) -> (Vec<u8>, Recovered) {
    let mut lines = Vec::new();
    let recovered = orphan
        .recover(mend, &mut |found| {
            assert_eq!((&*found.site.file, found.site.line), ("kept.rs", 7));
            assert_eq!(found.unix_nanos, 1_000 + found.frame.ticks());
            write_line(&mut lines, &found.frame, found.site);
            Ok(())
        })
        .unwrap();
    (lines, recovered)
}

fn adopt_all(folder: &Path, service: &str) -> Vec<Orphan> {
    orphan::adopt(folder, service)
        .map(|orphan| orphan.map_err(|why| format!("{why:?}")).unwrap())
        .collect()
}

/// The one orphan in `folder`.
fn adopt(folder: &Path) -> Orphan {
    let mut orphans = adopt_all(folder, SERVICE);
    assert_eq!(orphans.len(), 1);
    orphans.remove(0)
}

/// How often each line is there, by who wrote it and its number. Panics at a torn one.
fn count(lines: &[u8]) -> HashMap<(u64, u64), u32> {
    let mut counts = HashMap::new();
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
    for line in String::from_utf8(lines.to_vec()).unwrap().lines() {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().unwrap().parse::<u64>().ok();
        let (Some(who), Some(number)) = (number(), number()) else { panic!("torn: {line:?}") };
        assert_eq!(words.next().unwrap(), format!("{};", text(number)), "torn: {line:?}");
        *counts.entry((who, number)).or_default() += 1;
    }
    counts
}

/// All files in `folder` whose names begin with `prefix`, one behind the other.
fn read_all(folder: &Path, prefix: &str) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            all.extend(fs::read(entry.path())?);
        }
    }
    Ok(all)
}

//! Ring files that are not as they should be: an error, or what there is of sense, never a panic.

use proptest::prelude::*;

use super::super::image::{Image, Tally};
use super::super::layout::{PAGE, Rules, head};
use super::super::repair::{self, Chunk};
use super::*;
use crate::ring::frame::HEADER;

/// Of lines and of spans, as `logs::redact` writes them.
const RULES: [&[&str]; 2] = [&["credentials", "words _token_"], &["only number", "only"]];

/// The smallest there is, with `lines` lines in a ring of its own and as many in the shared one.
fn small(lines: u64) -> Vec<u8> {
    let folder = Folder::temp();
    let small = Settings {
        ring_bytes: 4096,
        rings: 1,
        dictionary_bytes: 4096,
        threads: 4,
        chunk_bytes: 4096,
        rules: RULES.map(|rules| rules.iter().map(|&rule| rule.to_owned()).collect()),
        ..settings(&folder.0)
    };
    let engine = Engine::new(&small, Overflow::DropNewest);
    (0..lines).for_each(|number| line(&engine.rings, 0, number));
    std::thread::scope(|scope| {
        scope.spawn(|| (0..lines).for_each(|number| line(&engine.rings, 1, number)));
    });
    let path = engine.file.path().to_path_buf();
    drop(engine);
    fs::read(path).unwrap()
}

/// Looks at all that a frame has.
fn read(image: &Image) -> (Vec<u64>, Tally) {
    let mut ticks = Vec::new();
    let tally = image.visit(image.note().as_ref(), &mut |found| {
        ticks.push(found.frame.ticks());
        if let Some((message, fields)) = found.frame.body(&found.site.keys) {
            let fields = fields.map(|field| format!("{field:?}").len()).sum::<usize>();
            let context = found.frame.context().map(|context| context.fields().count());
            assert!(fields < 1 << 20 && message.is_none_or(|text| text.as_bytes().len() < 1 << 20));
            assert!(context.is_none_or(|fields| fields < 256));
        }
        Ok::<(), ()>(())
    });
    (ticks, tally.unwrap())
}

fn words(bytes: &[u8], at: u64) -> u64 {
    u64::from_le_bytes(*bytes[at as usize..].first_chunk().unwrap())
}

fn set(bytes: &mut [u8], at: u64, word: u64) {
    bytes[at as usize..][..8].copy_from_slice(&word.to_le_bytes());
}

/// Where each ring begins: the two are the last of the file.
fn rings(bytes: &[u8]) -> [usize; 2] {
    [bytes.len() - 8192, bytes.len() - 4096]
}

#[test]
fn what_is_whole_is_read_in_order() {
    let bytes = small(3);
    let (ticks, tally) = read(&Image::of(bytes).unwrap().unwrap());
    assert_eq!(ticks, [0, 0, 1, 1, 2, 2]);
    assert_eq!(tally, Tally { lines: 6, unnamed: tally.unnamed, ..Tally::default() });
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    let bytes = small(3);
    for length in 0..bytes.len() {
        match Image::of(bytes[..length].to_vec()) {
            Ok(image) => assert!(image.is_none() && length == 0, "{length}"),
            Err(error) => {
                assert!(error.to_string().contains("truncated") || length < 8, "{length}: {error}")
            }
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Image::of(longer).err().unwrap().to_string().contains("extended"));
}

#[test]
fn what_is_foreign_or_of_another_version_says_so() {
    let bytes = small(1);
    let error = |bytes: Vec<u8>| Image::of(bytes).err().unwrap().to_string();
    assert_eq!(error(b"\x7fELF".repeat(4096)), "no ring file");
    assert_eq!(error(b"short".to_vec()), "truncated: 5 bytes, and no header");
    for version in [0, 2, u64::MAX] {
        let mut other = bytes.clone();
        set(&mut other, head::VERSION, version);
        assert!(error(other).starts_with(&format!("version {version} of a ring file")));
    }
    let mut impossible = bytes.clone();
    set(&mut impossible, head::RINGS, u64::MAX);
    assert!(error(impossible).contains("impossible"));
    // A process that ended while it made the file: nothing was in it.
    let mut unfinished = bytes;
    set(&mut unfinished, head::READY, 0);
    assert!(Image::of(unfinished).unwrap().is_none());
    assert!(Image::of(vec![0; 1 << 16]).unwrap().is_none());
}

#[test]
fn a_torn_frame_is_passed_over() {
    let bytes = small(8);
    for (ring, at) in rings(&bytes).into_iter().enumerate() {
        let second = at + u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
        // Not committed, too long, too short, no multiple of 8, of no kind.
        for first in [0, 0xffff_fff8, 8 | 2 << 32, 33 | 2 << 32, 64] {
            let mut torn = bytes.clone();
            set(&mut torn, second as u64, first);
            let (ticks, tally) = read(&Image::of(torn).unwrap().unwrap());
            assert_eq!((tally.lines, tally.torn), (15, 1), "ring {ring}, {first:x}: {ticks:?}");
            assert_eq!(ticks.iter().filter(|ticks| **ticks == 1).count(), 1);
        }
    }
}

#[test]
fn frames_of_a_kind_yet_to_come_are_counted() {
    let mut bytes = small(3);
    let [ring, _] = rings(&bytes);
    bytes[ring + 4] = 9;
    let (_, tally) = read(&Image::of(bytes).unwrap().unwrap());
    assert_eq!((tally.lines, tally.foreign, tally.torn), (5, 1, 0));
}

#[test]
fn positions_that_cannot_be_cost_one_ring() {
    let bytes = small(3);
    let cursors = (0..bytes.len() as u64)
        .step_by(8)
        // The first word of the cursors is the first ring's tail.
        .skip(PAGE as usize / 8)
        .find(|at| words(&bytes, *at) == words(&bytes, *at + 256) && words(&bytes, *at) > 0)
        .unwrap();
    for tail in [u64::MAX, 7, 1 << 40] {
        let mut wrong = bytes.clone();
        set(&mut wrong, cursors, tail);
        let (_, tally) = read(&Image::of(wrong).unwrap().unwrap());
        assert_eq!((tally.lines, tally.torn), (3, 1), "{tail}");
    }
}

#[test]
fn rules_are_there_as_they_were_given_or_the_file_is_refused() {
    let image = Image::of(small(1)).unwrap().unwrap();
    for (of, rules) in [Rules::Lines, Rules::Spans].into_iter().zip(RULES) {
        assert!(image.rules(of).unwrap().iter().map(|rule| &**rule).eq(rules.iter().copied()));
    }
    let folder = Folder::temp();
    let long = || vec!["x".repeat(100); 500];
    let settings = Settings { rules: [long(), long()], ..settings(&folder.0) };
    let error = RingFile::create(&settings, RATE, Anchor::default()).err().unwrap();
    assert!(error.to_string().contains("rules of redaction"), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn names_without_room_are_numbers() {
    let mut bytes = small(2);
    set(&mut bytes, head::DICTIONARY, 0);
    let image = Image::of(bytes).unwrap().unwrap();
    let mut seen = Vec::new();
    let see = &mut |found: &super::super::image::Found<'_>| {
        let keys = found.frame.body(&found.site.keys).unwrap().1;
        seen.push(keys.map(|field| field.key.to_str().into_owned()).collect::<Vec<_>>().join(" "));
        assert!(found.site.message.as_deref().unwrap().starts_with("call site "));
        Ok::<(), ()>(())
    };
    image.visit(None, see).unwrap();
    assert_eq!(seen, ["field_0 field_1 text"; 4]);
}

/// What `tests/ring_bytes` changes. With `MCP_VITALS_WRITE_BASE` set it is written anew, as after
/// a change of the layout.
#[test]
fn the_base_for_fuzzing_is_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/bases/ring");
    if std::env::var_os("MCP_VITALS_WRITE_BASE").is_some() {
        let mut bytes = small(10);
        // Whose machine it was made on is nobody's business.
        [head::BOOT_ID, head::BOOT_ID + 8].iter().for_each(|at| set(&mut bytes, *at, 0));
        fs::write(&path, bytes).unwrap();
    }
    let (_, tally) = read(&Image::of(fs::read(&path).unwrap()).unwrap().unwrap());
    assert_eq!((tally.lines, tally.torn), (20, 0));
}

proptest! {
    /// Some words or single bits are changed: no panic, no more lines than there is room for.
    #[test]
    fn changed_bits_are_survived(
        changes in proptest::collection::vec((0usize..32 << 10, any::<u8>()), 1..40),
        heads in proptest::collection::vec((0usize..PAGE as usize / 8, any::<u64>()), 0..3),
    ) {
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| small(10));
        let mut bytes = BYTES.clone();
        for (at, bits) in changes {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        for (at, word) in heads {
            // The sizes stay: all else is refused at once.
            if at as u64 * 8 >= head::READY + 8 {
                set(&mut bytes, at as u64 * 8, word);
            }
        }
        let most = (bytes.len() / HEADER) as u64;
        if let Ok(Some(image)) = Image::of(bytes) {
            let (_, tally) = read(&image);
            prop_assert!(tally.lines + tally.torn + tally.foreign + tally.written <= 2 * most);
            image.note().map(|note| repair::look(image.log(), &note, 0, false));
        }
    }
}

/// Left behind with a chunk of three lines noted, of which `there` bytes are in the log and then
/// `behind`.
fn with_log(folder: &Path, there: usize, behind: &[u8]) -> (PathBuf, Vec<u8>) {
    let mut engine = Engine::new(&settings(folder), Overflow::DropNewest);
    let log = Log::open(folder.join("log"));
    engine.file.set_log(&log.path);
    (&log.file).write_all(b"0 100 ").unwrap();
    writeln!(&log.file, "{};", text(100)).unwrap();
    (20..23).for_each(|number| line(&engine.rings, 0, number));
    let (ticket, lines) = engine.drain().unwrap();
    let (id, offset) = log.id();
    engine.journal.before(id, offset, ticket, &lines, 0);
    (&log.file).write_all(&lines[..there]).unwrap();
    (&log.file).write_all(behind).unwrap();
    // One that was not noted.
    line(&engine.rings, 0, 23);
    (log.path, lines)
}

#[test]
fn a_chunk_that_is_there_in_part_is_finished() {
    let all = with_log(&Folder::temp().0, 0, b"").1.len();
    for there in 0..=all {
        let folder = Folder::temp();
        let (log, _) = with_log(&folder.0, there, b"");
        let orphan = adopt(&folder.0);
        let (lines, of) = recover(&orphan, true);
        let in_log = count(&fs::read(&log).unwrap()).len();
        let expected = if there == 0 { (1, 4) } else { (4, 1) };
        assert_eq!((in_log, count(&lines).len()), expected, "{there} of {all}: {of:?}");
        // Once more: it is as it was.
        assert_eq!(recover(&orphan, true).0, lines);
        assert_eq!(count(&fs::read(&log).unwrap()).len(), in_log);
    }
}

#[test]
fn what_others_wrote_behind_it_stays() {
    let all = with_log(&Folder::temp().0, 0, b"").1.len();
    let others = format!("0 200 {};\n", text(200));
    for there in 0..=all {
        let folder = Folder::temp();
        // As a process does that finds a line torn.
        let behind = if there == 0 { others.clone() } else { format!("\n{others}") };
        let (log, lines) = with_log(&folder.0, there, behind.as_bytes());
        let orphan = adopt(&folder.0);
        let mut found = recover(&orphan, true).0;
        // A line that was torn stays so, and is there again.
        let torn = there > 0 && lines[there - 1] != b'\n';
        let text = fs::read_to_string(&log).unwrap();
        for (number, line) in text.lines().enumerate() {
            let whole = line.ends_with(';') || line.is_empty();
            assert!(whole || torn && number < 4, "{there}: {line:?}");
            if whole && !line.is_empty() {
                found.extend(format!("{line}\n").bytes());
            }
        }
        let counts = count(&found);
        let is = (counts.len(), counts.values().all(|there| *there == 1));
        assert_eq!(is, (6, true), "{there} of {all}: {counts:?}");
    }
}

#[test]
fn a_log_that_was_renamed_is_found_and_one_that_is_gone_is_a_doubt() {
    let folder = Folder::temp();
    let (log, lines) = with_log(&folder.0, 10, b"");
    let renamed = folder.0.join("log.1");
    fs::rename(&log, &renamed).unwrap();
    fs::write(&log, "another\n").unwrap();
    let orphan = adopt(&folder.0);
    let (found, of) = recover(&orphan, true);
    assert_eq!((count(&found).len(), of.doubtful, of.finished), (1, false, 3));
    assert!(fs::read(&renamed).unwrap().ends_with(&lines));
    fs::remove_file(&renamed).unwrap();
    let (found, of) = recover(&orphan, true);
    assert_eq!((count(&found).len(), of.doubtful), (4, true));
    assert_eq!(fs::read(&log).unwrap(), b"another\n");
}

#[test]
fn without_mending_the_log_stays_as_it_is() {
    let folder = Folder::temp();
    let (log, lines) = with_log(&folder.0, 10, b"");
    let before = fs::read(&log).unwrap();
    let orphan = adopt(&folder.0);
    let (found, of) = recover(&orphan, false);
    assert_eq!((count(&found).len(), of.doubtful), (4, true));
    assert_eq!(fs::read(&log).unwrap(), before);
    let mended = recover(&orphan, true);
    assert_eq!((count(&mended.0).len(), mended.1.finished), (1, 3));
    assert!(fs::read(&log).unwrap().ends_with(&lines));
    let image = Image::of(fs::read(orphan.path()).unwrap()).unwrap().unwrap();
    let looked = repair::look(image.log(), &image.note().unwrap(), 0, false).unwrap();
    assert_eq!(looked, Chunk::Whole { finished: 0 });
}

#[test]
fn of_another_user_no_file_is_written_to_but_that_users_own() {
    let folder = Folder::temp();
    let (log, lines) = with_log(&folder.0, 10, b"");
    let before = fs::read(&log).unwrap();
    let orphan = adopt(&folder.0);
    let image = Image::of(fs::read(orphan.path()).unwrap()).unwrap().unwrap();
    let note = image.note().unwrap();
    let mine = fs::metadata(&log).unwrap().uid();
    assert_eq!(repair::look(image.log(), &note, mine + 1, true).unwrap(), Chunk::Unknown);
    assert_eq!(fs::read(&log).unwrap(), before);
    let mended = repair::look(image.log(), &note, mine, true).unwrap();
    assert_eq!(mended, Chunk::Whole { finished: 3 });
    assert!(fs::read(&log).unwrap().ends_with(&lines));
}

#[test]
fn rings_are_freed_in_order_and_what_was_given_up_with_the_next() {
    let folder = Folder::temp();
    let mut engine = Engine::new(&settings(&folder.0), Overflow::DropNewest);
    let freed = |engine: &Engine| engine.file.cursor(0).unwrap().freed();
    let next = |engine: &mut Engine, number| {
        line(&engine.rings, 0, number);
        let (ticket, lines) = engine.drain().unwrap();
        (ticket, lines, engine.read[0])
    };
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|number| next(&mut engine, number));
    // Given up, behind one that is not written yet.
    engine.journal.release(second.0);
    assert_eq!(freed(&engine), 0);
    engine.journal.before((1, 2), 3, first.0, &first.1, 0);
    engine.journal.after(first.0);
    assert_eq!(freed(&engine), second.2);
    // The third was given up in the queue: it is gone when the fourth is under way.
    engine.journal.before((1, 2), 3, fourth.0, &fourth.1, 0);
    assert_eq!(freed(&engine), third.2);
    let path = engine.file.path().to_path_buf();
    let image = Image::of(fs::read(&path).unwrap()).unwrap().unwrap();
    let note = image.note().unwrap();
    assert_eq!((note.device, note.inode, note.offset, note.from), (1, 2, 3, 0));
    assert_eq!(note.chunk, Some(&*fourth.1));
    assert_eq!(
        read(&image).1,
        Tally { written: 1, unnamed: read(&image).1.unnamed, ..Tally::default() }
    );
    engine.journal.after(fourth.0);
    assert_eq!(freed(&engine), fourth.2);
    assert!(engine.file.finish() && !path.exists());
}

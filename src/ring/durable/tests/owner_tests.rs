//! Whose a ring file is: one process's, whoever else looks at its folder.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::{env, thread};

use super::super::owner;
use super::*;

const TAKER: &str = "MCP_VITALS_TAKE_CHILD";

/// Does nothing unless started below: takes what is left behind as soon as the file `go` is there,
/// and writes what it found into a file of its own.
#[test]
fn taker() {
    let Some(folder) = env::var_os(TAKER) else { return };
    let folder = Path::new(&folder);
    let pid = std::process::id();
    fs::write(folder.join(format!("ready.{pid}")), "").unwrap();
    while !folder.join("go").exists() {
        thread::yield_now();
    }
    let mut lines = Vec::new();
    for orphan in adopt_all(folder, SERVICE) {
        lines.extend(recover(&orphan, true).0);
        orphan.remove().unwrap();
    }
    fs::write(folder.join(format!("took.{pid}")), lines).unwrap();
}

fn start_taker(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "ring::durable::tests::owner_tests::taker", "--nocapture"])
        .env(TAKER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// How many lines another process can take from `folder` now.
pub(super) fn take_elsewhere(folder: &Path) -> usize {
    fs::write(folder.join("go"), "").unwrap();
    let mut taker = start_taker(folder);
    assert!(taker.wait().unwrap().success());
    let took = folder.join(format!("took.{}", taker.id()));
    count(&fs::read(took).unwrap()).len()
}

/// A file with `lines` lines whose engine is gone.
fn leave_behind(folder: &Path, lines: u64) -> PathBuf {
    let engine = Engine::new(&settings(folder), Overflow::DropNewest);
    for number in 0..lines {
        line(&engine.rings, 0, number);
    }
    engine.file.path().to_path_buf()
}

#[test]
fn of_many_processes_one_gets_what_was_left_behind() {
    let folder = Folder::temp();
    for round in 0..3 {
        let path = leave_behind(&folder.0, 20);
        let mut takers: Vec<Child> = (0..4).map(|_| start_taker(&folder.0)).collect();
        for taker in &mut takers {
            let ready = folder.0.join(format!("ready.{}", taker.id()));
            while !ready.exists() {
                assert!(taker.try_wait().unwrap().is_none(), "the taker ended by itself");
                thread::yield_now();
            }
        }
        fs::write(folder.0.join("go"), "").unwrap();
        assert!(takers.iter_mut().all(|taker| taker.wait().unwrap().success()));
        let counts = count(&read_all(&folder.0, "took.").unwrap());
        assert_eq!(counts.len(), 20, "round {round}");
        assert!(counts.values().all(|there| *there == 1), "round {round}: {counts:?}");
        assert!(!path.exists());
        for entry in fs::read_dir(&folder.0).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn of_many_threads_one_gets_it_too() {
    let folder = Folder::temp();
    for _ in 0..20 {
        leave_behind(&folder.0, 5);
        let taken: usize = thread::scope(|scope| {
            let take = || adopt_all(&folder.0, SERVICE);
            let takers: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            // All are kept until the last one has looked.
            let taken: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
            taken.into_iter().flatten().map(|orphan| orphan.remove().unwrap()).count()
        });
        assert_eq!(taken, 1);
    }
}

#[test]
fn engines_side_by_side_leave_each_other_alone() {
    let folder = Folder::temp();
    let mut first = Engine::new(&settings(&folder.0), Overflow::DropNewest);
    let mut second = Engine::new(&settings(&folder.0), Overflow::DropNewest);
    line(&first.rings, 0, 0);
    line(&second.rings, 1, 0);
    // Neither this process nor another one takes what is in use.
    assert!(adopt_all(&folder.0, SERVICE).is_empty());
    assert_eq!(take_elsewhere(&folder.0), 0);
    for engine in [&mut first, &mut second] {
        assert!(!engine.file.finish(), "there is a line in it");
        let (ticket, lines) = engine.drain().unwrap();
        assert_eq!(count(&lines).len(), 1);
        assert!(!engine.file.finish(), "it is not written");
        engine.journal.release(ticket);
        assert!(engine.file.finish());
    }
    assert!(owner::files(&folder.0, None).unwrap().is_empty());
}

#[test]
fn another_services_file_is_left_to_it() {
    let folder = Folder::temp();
    let path = leave_behind(&folder.0, 1);
    // The same name once what a file's name can't have is replaced.
    for service in ["other", "kept.", "kep", "kept.1"] {
        assert!(adopt_all(&folder.0, service).is_empty(), "{service}");
    }
    assert!(path.exists());
}

/// As in containers that share a folder, in each of which the server is process 1.
#[test]
fn the_files_of_many_with_our_number_leave_names_for_another() {
    let folder = Folder::temp();
    let pid = std::process::id();
    for number in 0..300 {
        fs::write(folder.0.join(format!("many.{pid}.{number}.ring")), "theirs").unwrap();
    }
    let made = owner::Owned::create(&folder.0, "many", 4096).unwrap();
    assert!(owner::is_name(made.path()) && owner::files(&folder.0, None).unwrap().len() == 301);
}

#[test]
fn what_was_never_finished_goes_only_where_it_is_called_as_ours_are() {
    let folder = Folder::temp();
    let ours = ["kept.1.1.ring", "a.b.c.12.3.ring", ".1.2.ring"];
    let not =
        ["disk.img", "notes.ring", "kept.1.ring", "kept.1.x.ring", "kept.1..ring", "1.2.ring"];
    for (names, is_ours) in [(&ours[..], true), (&not[..], false)] {
        for name in names {
            let path = folder.0.join(name);
            fs::write(&path, [0; 8192]).unwrap();
            assert_eq!(Orphan::take(&path).is_ok(), is_ours, "{name}");
        }
    }
    // Whatever it is called: more than zeroes, and no header of ours.
    let mut bytes = vec![0; 8192];
    bytes[8191] = 1;
    fs::write(folder.0.join(ours[0]), bytes).unwrap();
    assert!(Orphan::take(&folder.0.join(ours[0])).is_err());
}

#[test]
fn files_are_the_users_alone_and_so_is_their_folder() {
    let folder = Folder::temp();
    let below = folder.0.join("rings");
    let engine = Engine::new(&settings(&below), Overflow::DropNewest);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&below), mode(engine.file.path())), (0o700, 0o600));
    drop(engine);
    let refused = |path: &Path| {
        let error = RingFile::create(&settings(path), RATE, Anchor::default()).err().unwrap();
        error.to_string()
    };
    fs::set_permissions(&below, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&below).contains("written by others"));
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(&folder.0, &link).unwrap();
    assert!(refused(&link).contains("no folder"));
    assert!(refused(&folder.0.join("a/b")).contains("No such file"));
}

#[test]
fn the_default_folder_is_in_memory() {
    let folder = owner::folder(None).unwrap();
    assert!(folder.starts_with("/dev/shm") || env::var_os("XDG_RUNTIME_DIR").is_some());
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
}

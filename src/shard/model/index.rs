//! The index: who reads while one thread writes finds what is there, or is told that it may be.

use loom::sync::Arc;
use loom::thread;

use crate::shard::index::{Index, Seen};
use crate::sync::{AtomicU64, Ordering};

/// Every place would best stand in the last of four cells, so that a run of them begins there.
fn hash(_: u32) -> u64 {
    3
}

fn find(index: &Index, wanted: u32) -> Seen {
    index.find(hash(wanted), |place| place == wanted)
}

fn index(places: &[u32]) -> Arc<Index> {
    let index = Index::new(3);
    places.iter().for_each(|&place| index.insert(hash(place), place, hash));
    Arc::new(index)
}

/// The entry that is looked for is moved over the one that is taken out.
#[test]
fn what_moves_is_never_called_missing() {
    loom::model(|| {
        let index = index(&[1, 2]);
        let read = index.clone();
        let reader = thread::spawn(move || {
            assert!([Seen::Place(2), Seen::Unsure].contains(&find(&read, 2)));
        });
        index.remove(hash(1), 1, hash);
        reader.join().unwrap();
        assert_eq!((find(&index, 1), find(&index, 2)), (Seen::None, Seen::Place(2)));
    });
}

/// The fourth entry makes the table grow.
#[test]
fn what_is_there_is_never_called_missing() {
    loom::model(|| {
        let index = index(&[1, 2, 3]);
        let read = index.clone();
        let reader = thread::spawn(move || {
            assert!([Seen::Place(3), Seen::Unsure].contains(&find(&read, 3)));
        });
        index.insert(hash(4), 4, hash);
        reader.join().unwrap();
        assert_eq!((find(&index, 3), find(&index, 4)), (Seen::Place(3), Seen::Place(4)));
    });
}

#[test]
fn a_place_is_found_with_its_labels() {
    loom::model(|| {
        let (index, labels) = (index(&[2]), Arc::new(AtomicU64::new(0)));
        let (read, seen) = (index.clone(), labels.clone());
        let reader = thread::spawn(move || {
            read.find(hash(1), |place| {
                assert!(place == 2 || seen.load(Ordering::Relaxed) == 7);
                place == 1
            });
        });
        labels.store(7, Ordering::Relaxed);
        index.insert(hash(1), 1, hash);
        reader.join().unwrap();
    });
}

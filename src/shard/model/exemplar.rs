//! Candidates for exemplars.

use loom::sync::Arc;
use loom::thread;

use crate::shard::exemplar::{copied, publish};
use crate::sync::AtomicU64;

/// Two words are enough to be torn, and all that loom can go through.
struct Words {
    turn: AtomicU64,
    words: [AtomicU64; 2],
}

#[test]
fn a_candidate_is_read_whole() {
    loom::model(|| {
        let zero = || AtomicU64::new(0);
        let place = Arc::new(Words { turn: zero(), words: [zero(), zero()] });
        let scraped = place.clone();
        let scraper = thread::spawn(move || {
            let mut copy = [9; 2];
            if copied(&scraped.turn, &scraped.words, &mut copy) {
                assert!([[1, 1], [2, 2]].contains(&copy), "{copy:?}");
            }
        });
        publish(&place.turn, &place.words, &[1, 1]);
        publish(&place.turn, &place.words, &[2, 2]);
        scraper.join().unwrap();
        let mut copy = [9; 2];
        assert!(copied(&place.turn, &place.words, &mut copy));
        assert_eq!(copy, [2, 2]);
    });
}

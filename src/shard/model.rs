//! Every interleaving of the lock-free rooms, by loom: `scripts/model.sh` runs them, and
//! `scripts/model.sh --weaken` shows that each fails when its ordering is taken away.
//!
//! Where one thread only reads, it is the spawned one. Loom looks for another order to try by the
//! last access alone: the load in a writer's load + store hides an earlier reader from it, and a
//! main thread that only reads is then never tried after the writer. A reader that comes last is
//! given every value that it may see.

use loom::sync::Arc;
use loom::thread;

use super::cells::{
    Chunk, Directory, Slot, SlotOnce, Writer, add_common, add_float, add_owned, add_owned_release,
    level, total,
};
use super::lease::Pool;
use crate::sync::{AtomicU64, Ordering};

mod count;
mod epoch;
mod exemplar;
mod index;

const SLOT: Slot = Slot::NONE.offset(1);

fn cells_with_a_chunk() -> Box<Directory> {
    let cells = Directory::zeroed().unwrap();
    cells.place(0, Chunk::zeroed().unwrap());
    cells
}

fn add(cells: &Directory, slot: Slot, n: u64) {
    add_owned(cells.chunk(0).unwrap().cell(slot), n);
}

/// Frees what a model placed, so that loom finds no leak.
fn free(cells: &Directory) {
    // SAFETY: the model's threads have ended.
    drop(unsafe { cells.take(0) });
}

#[test]
fn no_add_is_lost_and_no_scrape_goes_back() {
    loom::model(|| {
        let cells = Arc::new([cells_with_a_chunk(), cells_with_a_chunk()]);
        let scraped = cells.clone();
        let read = |cells: &[Box<Directory>]| total(cells.iter().map(|cells| &**cells), SLOT);
        let scraper = thread::spawn(move || assert!(read(&*scraped) <= read(&*scraped)));
        add(&cells[0], SLOT, 1);
        add(&cells[1], SLOT, 4);
        add(&cells[0], SLOT, 1);
        scraper.join().unwrap();
        assert_eq!(read(&*cells), 6);
        cells.iter().for_each(|cells| free(cells));
    });
}

#[test]
fn common_adds_are_not_lost() {
    loom::model(|| {
        let cells = Arc::new(cells_with_a_chunk());
        let others = cells.clone();
        let writer = thread::spawn(move || {
            add_common(others.chunk(0).unwrap().cell(SLOT), 1);
        });
        add_common(cells.chunk(0).unwrap().cell(SLOT), 2);
        writer.join().unwrap();
        assert_eq!(cells.read(SLOT, Ordering::Relaxed), 3);
        free(&cells);
    });
}

#[test]
fn a_chunk_is_seen_whole() {
    loom::model(|| {
        let cells = Arc::new(Directory::zeroed().unwrap());
        let scraped = cells.clone();
        let scraper = thread::spawn(move || {
            let seen = scraped.chunk(0).map(|chunk| chunk.cell(SLOT).load(Ordering::Relaxed));
            assert!([None, Some(7)].contains(&seen), "{seen:?}");
        });
        let chunk = Chunk::zeroed().unwrap();
        // Stands for the zeroes of a real allocation: what was written before the chunk was
        // published.
        chunk.cell(SLOT).store(7, Ordering::Relaxed);
        cells.place(0, chunk);
        scraper.join().unwrap();
        free(&cells);
    });
}

#[test]
fn a_shard_is_handed_over_with_its_values() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(1).unwrap());
        let record = |pool: &Pool| {
            let Some(shard) = pool.lease() else { return 0 };
            if shard.cells.chunk(0).is_none() {
                shard.cells.place(0, Chunk::zeroed().unwrap());
            }
            add(&shard.cells, SLOT, 1);
            pool.release(shard);
            1
        };
        let other = pool.clone();
        let writer = thread::spawn(move || record(&other));
        let mine = record(&pool);
        let recorded = mine + writer.join().unwrap();
        assert!(recorded >= 1);
        assert_eq!(total(pool.iter().map(|shard| &*shard.cells), SLOT), recorded);
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

#[test]
fn a_free_shard_gets_one_owner() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(1).unwrap());
        let shard = pool.lease().unwrap();
        shard.cells.place(0, Chunk::zeroed().unwrap());
        pool.release(shard);
        let record = |pool: &Pool| {
            let Some(shard) = pool.lease() else { return 0 };
            add(&shard.cells, SLOT, 1);
            1
        };
        let other = pool.clone();
        let writer = thread::spawn(move || record(&other));
        let recorded = record(&pool) + writer.join().unwrap();
        assert_eq!(recorded, 1);
        assert_eq!(total(pool.iter().map(|shard| &*shard.cells), SLOT), 1);
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

#[test]
fn two_threads_never_share_a_shard() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(2).unwrap());
        let record = |pool: &Pool| {
            let shard = pool.lease().unwrap();
            shard.cells.place(0, Chunk::zeroed().unwrap());
            add(&shard.cells, SLOT, 1);
        };
        let other = pool.clone();
        let writer = thread::spawn(move || record(&other));
        record(&pool);
        writer.join().unwrap();
        assert_eq!(total(pool.iter().map(|shard| &*shard.cells), SLOT), 2);
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

#[test]
fn a_new_shard_is_seen_whole() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(2).unwrap());
        let scraped = pool.clone();
        let read = |pool: &Pool| total(pool.iter().map(|shard| &*shard.cells), SLOT);
        let scraper = thread::spawn(move || {
            let (first, second) = (read(&scraped), read(&scraped));
            assert!(first <= second && [0, 5].contains(&first) && [0, 5].contains(&second));
        });
        let shard = pool.lease().unwrap();
        shard.cells.place(0, Chunk::zeroed().unwrap());
        add(&shard.cells, SLOT, 5);
        scraper.join().unwrap();
        assert_eq!(read(&pool), 5);
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

/// Incs in one shard and decs in another: the request ends on another thread than it began on.
/// That thread has learned of the inc, so one thread after the other may stand for both.
#[test]
fn a_balanced_up_down_is_never_negative() {
    balanced(|cell| add_owned_release(cell, 1));
}

#[test]
fn a_balanced_up_down_is_never_negative_in_the_common_cells() {
    balanced(|cell| {
        add_common(cell, 1);
    });
}

fn balanced(lower: impl Fn(&AtomicU64) + Send + Sync + 'static) {
    loom::model(move || {
        let cells = Arc::new([cells_with_a_chunk(), cells_with_a_chunk()]);
        let (inc, dec) = (SLOT, SLOT.offset(1));
        let scraped = cells.clone();
        let scraper = thread::spawn(move || {
            assert!(level(|| scraped.iter().map(|cells| &**cells), inc, dec) >= 0);
        });
        for _ in 0..2 {
            add(&cells[0], inc, 1);
            lower(cells[1].chunk(0).unwrap().cell(dec));
        }
        scraper.join().unwrap();
        cells.iter().for_each(|cells| free(cells));
    });
}

/// The inc is in a shard that was made after the decs were read.
#[test]
fn a_balanced_up_down_is_never_negative_over_a_new_shard() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(2).unwrap());
        let (inc, dec) = (SLOT, SLOT.offset(1));
        let old = pool.lease().unwrap();
        old.cells.place(0, Chunk::zeroed().unwrap());
        let scraped = pool.clone();
        let scraper = thread::spawn(move || {
            assert!(level(|| scraped.iter().map(|shard| &*shard.cells), inc, dec) >= 0);
        });
        let new = pool.lease().unwrap();
        new.cells.place(0, Chunk::zeroed().unwrap());
        add(&new.cells, inc, 1);
        add_owned_release(old.cells.chunk(0).unwrap().cell(dec), 1);
        scraper.join().unwrap();
        pool.iter().for_each(|shard| free(&shard.cells));
    });
}

/// A histogram's cells as a record writes and a scrape reads them: what is not marked is not
/// read, and a mark is never taken back.
#[test]
fn a_count_once_seen_stays() {
    /// In the four cells of a model's chunk.
    const MARKS: Slot = SLOT;
    const FIRST: usize = 2;
    fn record(cells: &Directory, cell: usize) {
        let writer = Writer::Own(cells);
        let chunk = writer.chunk(MARKS).unwrap();
        if writer.add(chunk.cell(Slot::new(0, FIRST + cell)), 1) == 0 {
            writer.set_bits(chunk.cell(MARKS), 1 << cell);
        }
    }
    fn count(cells: &Directory) -> u64 {
        let marks = cells.read(MARKS, Ordering::Relaxed);
        let marked = (0..2).filter(|cell| marks & 1 << cell != 0);
        marked.map(|cell| cells.read(Slot::new(0, FIRST + cell), Ordering::Relaxed)).sum()
    }
    loom::model(|| {
        let cells = Arc::new(cells_with_a_chunk());
        let scraped = cells.clone();
        let scraper = thread::spawn(move || {
            let (first, second) = (count(&scraped), count(&scraped));
            assert!(first <= second, "{first} {second}");
        });
        [0, 1, 0].iter().for_each(|&cell| record(&cells, cell));
        scraper.join().unwrap();
        assert_eq!(count(&cells), 3);
        free(&cells);
    });
}

/// Two threads need a common chunk at the same moment.
#[test]
fn a_common_chunk_is_placed_once() {
    loom::model(|| {
        let common = Arc::new(Directory::zeroed().unwrap());
        let record = |common: &Directory| {
            if common.chunk(0).is_none() {
                let chunk = Chunk::zeroed().unwrap();
                // Stands for the zeroes of a real allocation.
                chunk.cell(SLOT).store(10, Ordering::Relaxed);
                common.place_common(0, chunk);
            }
            add_common(common.chunk(0).unwrap().cell(SLOT), 1)
        };
        let other = common.clone();
        let writer = thread::spawn(move || assert!(record(&other) >= 10));
        assert!(record(&common) >= 10);
        writer.join().unwrap();
        assert_eq!(common.read(SLOT, Ordering::Relaxed), 12);
        free(&common);
    });
}

/// A histogram's run that was another series': zeroed in the recorder's own shard by whoever
/// reclaimed it, before a third thread made it this one's.
#[test]
fn a_reused_run_begins_at_zero() {
    loom::model(|| {
        let own = Arc::new(cells_with_a_chunk());
        add(&own, SLOT, 7);
        let run = Arc::new(SlotOnce::new());
        let (reclaimed, offered) = (own.clone(), run.clone());
        let other = thread::spawn(move || {
            reclaimed.chunk(0).unwrap().cell(SLOT).store(0, Ordering::Relaxed);
            let _ = offered.set(SLOT);
        });
        // Another thread offers a run of its own: whichever is first is both's.
        let rival = SLOT.offset(1);
        let found = match run.get() {
            Slot::NONE => run.set(rival).err().unwrap_or(rival),
            there => there,
        };
        if found == SLOT {
            add(&own, SLOT, 1);
            assert_eq!(own.read(SLOT, Ordering::Relaxed), 1);
        }
        other.join().unwrap();
        free(&own);
    });
}

#[test]
fn gauge_adds_are_not_lost() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0f64.to_bits()));
        let other = word.clone();
        let writer = thread::spawn(move || add_float(&other, 1.5));
        add_float(&word, 2.0);
        writer.join().unwrap();
        assert_eq!(f64::from_bits(word.load(Ordering::Relaxed)), 3.5);
    });
}

#[test]
fn common_marks_are_not_lost() {
    loom::model(|| {
        let cells = Arc::new(cells_with_a_chunk());
        let mark = |cells: &Directory, bits| {
            let writer = Writer::Common(cells);
            writer.set_bits(writer.chunk(SLOT).unwrap().cell(SLOT), bits);
        };
        let other = cells.clone();
        let writer = thread::spawn(move || mark(&other, 1));
        mark(&cells, 2);
        writer.join().unwrap();
        assert_eq!(cells.read(SLOT, Ordering::Relaxed), 3);
        free(&cells);
    });
}

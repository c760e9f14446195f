//! Totals over all shards, of series that stand side by side.

use crate::registry::places::{Block, Run};
use crate::shard::ahead;
use crate::shard::cells::{Chunk, Directory, Slot};
use crate::sync::{AtomicU64, Ordering};

/// Shards whose cells are asked for: what many threads record into is read fast enough anyway, as
/// nothing of it waits for the others.
const FETCHED: usize = 2;

/// So few totals are not worth what it takes to begin with those that stand evenly.
const FEW: usize = 8;

/// One chunk number in all shards that have it: neighbouring series look their shards up once.
#[derive(Default)]
pub(super) struct Column {
    number: Option<usize>,
    chunks: Vec<&'static Chunk>,
}

impl Column {
    /// Writes the totals of a block's first places over `shards`.
    #[inline]
    pub(super) fn totals(
        &mut self,
        shards: &[&'static Directory],
        block: &Block,
        totals: &mut [u64],
    ) {
        let runs = block.runs();
        if totals.len() < FEW || runs[0].places + runs[1].places < totals.len() {
            return self.uneven(shards, block, totals);
        }
        let (one, two) = totals.split_at_mut(runs[0].places.min(totals.len()));
        self.run(shards, runs[0], one);
        if !two.is_empty() {
            self.run(shards, runs[1], two);
        }
    }

    #[inline]
    fn run(&mut self, shards: &[&'static Directory], run: Run, totals: &mut [u64]) {
        let Run { first, apart, .. } = run;
        self.look_up(shards, first.chunk());
        let Some((chunk, more)) = self.chunks.split_first() else { return totals.fill(0) };
        // Stored and not added, so that nobody clears them first.
        each(chunk.cells(first), apart, totals, |total, cell| *total = cell);
        for chunk in more {
            let add = |total: &mut u64, cell| *total = total.wrapping_add(cell);
            each(chunk.cells(first), apart, totals, add);
        }
    }

    /// Asks for the cells of a block that is read soon, in the first shards.
    #[inline]
    pub(super) fn fetch(&self, shards: &[&'static Directory], block: &Block) {
        for Run { first, places, apart } in block.runs() {
            for shard in shards.iter().take(FETCHED) {
                let cells = shard.chunk(first.chunk()).map(|chunk| chunk.cells(first));
                let lines = cells.unwrap_or_default().chunks(8).take(places * apart / 8);
                lines.for_each(|line| ahead::fetch(&line[0]));
            }
        }
    }

    /// [`totals`](Self::totals) of a block whose cells do not stand evenly: those of series that are born
    /// in turns with other families'.
    #[inline]
    fn uneven(&mut self, shards: &[&'static Directory], block: &Block, totals: &mut [u64]) {
        if block.near() < totals.len() {
            return self.scattered(shards, block, totals);
        }
        self.look_up(shards, block.slot(0).chunk());
        let Some((chunk, more)) = self.chunks.split_first() else { return totals.fill(0) };
        each_of(chunk, block, totals, |total, cell| *total = cell);
        for chunk in more {
            each_of(chunk, block, totals, |total, cell| *total = total.wrapping_add(cell));
        }
    }

    /// [`totals`](Self::totals) of a block whose cells stand in more chunks than one.
    fn scattered(&mut self, shards: &[&'static Directory], block: &Block, totals: &mut [u64]) {
        for (total, slot) in totals.iter_mut().zip(block.slots()) {
            // Relaxed, both: as `Places::id` and as `each`.
            let slot = Slot(slot.load(Ordering::Relaxed));
            self.look_up(shards, slot.chunk());
            let cells = self.chunks.iter().map(|chunk| chunk.cell(slot));
            *total = cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)));
        }
    }

    #[inline]
    fn look_up(&mut self, shards: &[&'static Directory], number: usize) {
        if self.number != Some(number) {
            self.go_to(shards, number);
        }
    }

    #[inline(never)]
    fn go_to(&mut self, shards: &[&'static Directory], number: usize) {
        self.clear();
        self.number = Some(number);
        self.chunks.extend(shards.iter().filter_map(|shard| shard.chunk(number)));
    }

    /// Forgets the chunks, which may be gone after the walk.
    pub(super) fn clear(&mut self) {
        self.number = None;
        self.chunks.clear();
    }
}

/// The cell of each place of a block, which are all in this chunk, for each of `totals`.
#[inline]
fn each_of(chunk: &Chunk, block: &Block, totals: &mut [u64], take: impl Fn(&mut u64, u64)) {
    for (total, slot) in totals.iter_mut().zip(block.slots()) {
        // Relaxed, both: as `Places::id` and as `each`.
        let slot = Slot(slot.load(Ordering::Relaxed));
        take(total, chunk.cell(slot).load(Ordering::Relaxed));
    }
}

/// Every so many cells one for each of `totals`.
#[inline]
fn each(cells: &[AtomicU64], apart: usize, totals: &mut [u64], take: impl Fn(&mut u64, u64)) {
    // Relaxed: a count publishes nothing else.
    let take = |(total, cell): (&mut u64, &AtomicU64)| take(total, cell.load(Ordering::Relaxed));
    if apart <= 1 {
        totals.iter_mut().zip(cells).for_each(take);
    } else {
        totals.iter_mut().zip(cells.iter().step_by(apart)).for_each(take);
    }
}

#[cfg(test)]
mod tests {
    use crate::Vitals;
    use crate::metrics::Desc;

    /// Series of several families that are born in turns, over more than one chunk, and recorded into by
    /// two threads.
    #[test]
    fn series_that_stand_anyhow_have_their_own_totals() {
        let vitals = Vitals::builder().build().unwrap();
        let family = |n: usize| {
            vitals.register(Desc::counter(&format!("f{n}_total"), "").labels(["a"])).unwrap()
        };
        let families: Vec<_> = (0..3).map(family).collect();
        let total = |family: usize, series: usize| (1_000 * family + series + 1) as u64;
        let mut births: Vec<(usize, usize)> = Vec::new();
        for series in 0..1_500 {
            // The first stands evenly for a while; of the last there are few.
            births.push((0, series));
            births.extend((series % 7 == 0 && series > 100).then_some((1, series)));
            births.extend((series % 200 == 150).then_some((2, series)));
        }
        let add = |n: u64| {
            for &(family, series) in &births {
                families[family].with([&series.to_string()]).add(n * total(family, series));
            }
        };
        add(1);
        std::thread::scope(|scope| scope.spawn(|| add(2)).join().unwrap());
        let snapshot = vitals.snapshot();
        for &(family, series) in &births {
            let value = snapshot.value(&format!("f{family}_total"), &[("a", &series.to_string())]);
            assert_eq!(value, Some(3.0 * total(family, series) as f64));
        }
    }
}

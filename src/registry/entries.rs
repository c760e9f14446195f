//! Label values to what a look-up found: the entries of a thread, and which of them stay.
//!
//! A cell, chosen by the hash, names an entry, and that one is compared whole: a hit is one hash and
//! one comparison. A key has two cells to choose from when it comes in; the second is asked where the
//! first names another's entry. There are four cells to an entry, and who comes late may send another
//! to that one's other cell, so that nearly all label sets find one. Tried: 128 sets of two entries,
//! which refused up to one in ten of 64, and a quarter of 200; each of those then paid for the shared
//! map at every call.
//!
//! When all entries are taken, one miss in eight moves a hand on by one entry: that one goes if nobody
//! hit it since the hand's last round. So label sets that come round in thousands neither drive out
//! those that are hit nor pay for copies that nobody finds again. After a round in which too few
//! look-ups hit to pay for the misses' search, the cache is put to sleep.
//!
//! How many entries there are, and where, is the [form's](Form).

use std::num::NonZeroU64;

use super::form::Form;
use super::key::{Key, NO_HEAD, Seeds, WORDS};

/// Misses of a full cache to one that is looked at.
const STEP: u32 = 8;
/// A hit saves about seven times what a miss costs; fewer hits to so many misses don't pay.
const MISSES_TO_A_HIT: u32 = 7;
/// Fewer hits to a miss than this, and the misses cost more than the hits do.
const HITS_TO_A_MISS: u32 = 16;

/// What a look-up found: where a series' numbers are, its place in the family, and the place's
/// generation then.
///
/// Two words, also where there may be nothing, so that it is handed on in registers. Through memory,
/// where it was in three, a look-up waited twice for what it had just stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    cells: u64,
    /// The place, the generation, and a bit that is always set.
    life: NonZeroU64,
}

impl Found {
    /// A place is below 2^31: each has a cell, of which a directory names 2^26.
    pub(crate) fn new(cells: u64, place: u32, generation: u32) -> Found {
        let life = u64::from(place) << u32::BITS | u64::from(generation);
        Found { cells, life: NonZeroU64::MIN | life << 1 }
    }

    /// A slot's number or an address, as whoever made this has it.
    #[inline(always)]
    pub(crate) fn cells(self) -> u64 {
        self.cells
    }

    pub(crate) fn place(self) -> u32 {
        (self.life.get() >> (u32::BITS + 1)) as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.life.get() >> 1) as u32
    }
}

/// Two cache lines; of one or two short values a hit reads the first alone.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Entry {
    head: u64,
    found: Option<Found>,
    /// Since the hand's last round.
    hits: u32,
    /// The one that names it.
    cell: u16,
    /// The one that could.
    other: u16,
    words: [u64; WORDS],
}

impl Entry {
    pub(super) const NONE: Entry =
        Entry { head: NO_HEAD, found: None, hits: 0, cell: 0, other: 0, words: [0; WORDS] };

    #[inline(always)]
    fn hit(&mut self) -> Option<Found> {
        self.hits = self.hits.wrapping_add(1);
        self.found
    }

    #[inline(always)]
    fn is(&self, key: &Key) -> bool {
        self.head == key.head && (0..WORDS.min(key.used)).all(|at| self.words[at] == key.words[at])
    }
}

/// One pointer finds it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Table<F: Form> {
    // First: an offset less for a hit to add. Entry 0 is nobody's.
    entries: F::Entries,
    /// The entry that a cell names.
    cells: F::Cells,
    seeds: Seeds,
    /// Entries up to this one were given out.
    given: u32,
    /// The entry that the hand looked at last.
    hand: u32,
    /// Misses since the hand's last step.
    misses: u32,
    /// Of the entries the hand has passed, since its round began.
    round_hits: u32,
    round_steps: u32,
    /// A round has ended. The first one counts too few hits: early entries have only those from
    /// before the hand came by, and they may be the ones that are hit.
    had_round: bool,
}

// An array, not a vector: it has its one table for certain, so that nothing asks.
pub(super) struct Entries<F: Form>(Box<[Table<F>; 1]>);

/// Whether a cache is worth asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Yes,
    /// The last round had hits enough to pay, and so many misses that more entries would too.
    Narrow,
    /// The last round had too few hits.
    No,
}

impl<F: Form> Entries<F> {
    /// None where there is no memory.
    pub(super) fn new(seeds: Seeds) -> Option<Entries<F>> {
        let mut tables = F::table()?;
        tables[0].seeds = seeds;
        Some(Entries(tables))
    }

    #[inline(always)]
    pub(super) fn find<const N: usize>(
        &mut self,
        family: u64,
        values: &[&str; N],
    ) -> Option<Found> {
        let [table] = &mut *self.0;
        match Key::short(&table.seeds, family, values) {
            Some(key) => table.find(&key),
            None => table.find_long(family, values),
        }
    }

    /// [`find`](Self::find) for values whose number is not known where the call is compiled.
    pub(super) fn find_any(&mut self, family: u64, values: &[&str]) -> Option<Found> {
        let [table] = &mut *self.0;
        let key = Key::of_text(&table.seeds, family, values)?;
        table.find(&key)
    }

    #[inline(always)]
    pub(super) fn find_static<const N: usize>(
        &mut self,
        family: u64,
        values: &[&'static str; N],
    ) -> Option<Found> {
        let [table] = &mut *self.0;
        let key = Key::of_static(&table.seeds, family, values)?;
        table.find(&key)
    }

    /// Keeps `found` for the key that is made, if there is room or it is time to make some. What was
    /// kept for it before, and is old, was [forgotten](Self::forget).
    pub(super) fn keep(&mut self, key: impl FnOnce(&Seeds) -> Option<Key>, found: Found) -> Worth {
        self.0[0].keep(key, found)
    }

    pub(super) fn forget(&mut self, key: impl FnOnce(&Seeds) -> Option<Key>) {
        let [table] = &mut *self.0;
        if let Some(at) = key(&table.seeds).and_then(|key| table.place(&key)) {
            // Its cell still names it: the next that would have the cell takes both.
            let entry = &mut table.entries.as_mut()[at];
            (entry.head, entry.hits) = (NO_HEAD, 0);
        }
    }
}

impl<F: Form> Table<F> {
    /// With nothing in it, and seeds that are to be drawn.
    pub(super) const fn new(entries: F::Entries, cells: F::Cells) -> Table<F> {
        Table {
            entries,
            cells,
            seeds: Seeds::NONE,
            given: 0,
            hand: 0,
            misses: 0,
            round_hits: 0,
            round_steps: 0,
            had_round: false,
        }
    }

    #[inline(always)]
    fn find(&mut self, key: &Key) -> Option<Found> {
        let at = self.named(first_cell::<F>(key));
        // Always there; to ask and go is cheaper than to ask and panic.
        let entry = self.entries.as_mut().get_mut(at)?;
        if entry.is(key) {
            return entry.hit();
        }
        let at = self.named(second_cell::<F>(key));
        let entry = self.entries.as_mut().get_mut(at)?;
        if entry.is(key) { entry.hit() } else { None }
    }

    /// The entry that a cell names.
    #[inline(always)]
    fn named(&self, cell: usize) -> usize {
        F::named(&self.cells, cell)
    }

    fn name(&mut self, cell: usize, at: usize) {
        F::name(&mut self.cells, cell, at);
    }

    #[inline(never)]
    fn find_long(&mut self, family: u64, values: &[&str]) -> Option<Found> {
        let mut key = Key::NONE;
        key.set_long(&self.seeds, family, values)?;
        self.find(&key)
    }

    fn place(&self, key: &Key) -> Option<usize> {
        let at = cells_of::<F>(key).map(|cell| self.named(cell));
        at.into_iter().find(|&at| self.entries.as_ref()[at].is(key))
    }

    fn keep(&mut self, key: impl FnOnce(&Seeds) -> Option<Key>, found: Found) -> Worth {
        let full = self.given == F::LAST;
        // Before the key is made, because most misses of a full cache end here.
        if full && !self.is_time() {
            return Worth::Yes;
        }
        let Some(key) = key(&self.seeds) else { return Worth::Yes };
        if let Some(at) = self.place(&key) {
            // A key is in one place, or an old one could come up again.
            self.entries.as_mut()[at].found = Some(found);
            return Worth::Yes;
        }
        let cells = cells_of::<F>(&key);
        let mut at = cells.map(|cell| self.named(cell));
        // Of a forgotten key, or entry 0, which is nobody's.
        let mut free = (0..2).find(|&way| self.entries.as_ref()[at[way]].head == NO_HEAD);
        if free.is_none() {
            free = (0..2).find(|&way| self.make_way(at[way]));
            free.inspect(|&way| at[way] = 0);
        }
        match free {
            Some(way) if at[way] != 0 => {
                self.put(at[way], cells, way, &key, found);
                return Worth::Yes;
            }
            Some(way) if !full => {
                self.given += 1;
                F::give(&mut self.entries);
                self.put(self.given as usize, cells, way, &key, found);
                return Worth::Yes;
            }
            None if !full && !self.is_time() => return Worth::Yes,
            _ => {}
        }
        // Before the hand takes somebody's hits.
        let way_idle = (0..2).find(|&way| self.entries.as_ref()[at[way]].hits == 0);
        let (idle, worth) = self.step();
        match (free, idle, way_idle) {
            (Some(way), Some(at), _) => {
                // Every entry that was given out is named by its cell and by no other.
                self.name(self.entries.as_ref()[at].cell.into(), 0);
                self.put(at, cells, way, &key, found);
            }
            (None, _, Some(way)) => self.put(at[way], cells, way, &key, found),
            _ => {}
        }
        worth
    }

    /// One miss in so many.
    fn is_time(&mut self) -> bool {
        self.misses = (self.misses + 1) % STEP;
        self.misses == 0
    }

    /// Moves the hand on; gives the entry if nobody hit it.
    fn step(&mut self) -> (Option<usize>, Worth) {
        let mut worth = Worth::Yes;
        if self.hand >= self.given {
            let misses = self.round_steps * STEP;
            if self.round_hits < misses / MISSES_TO_A_HIT {
                worth = Worth::No;
            } else if self.had_round && self.round_hits < misses * HITS_TO_A_MISS {
                worth = Worth::Narrow;
            }
            self.had_round = self.given == F::LAST;
            (self.hand, self.round_hits, self.round_steps) = (0, 0, 0);
        }
        self.hand += 1;
        let at = self.hand as usize;
        let hits = std::mem::take(&mut self.entries.as_mut()[at].hits);
        self.round_hits = self.round_hits.saturating_add(hits);
        self.round_steps += 1;
        ((hits == 0).then_some(at), worth)
    }

    /// Has the entry named by its other cell, if that one is free, and no more by this one.
    fn make_way(&mut self, at: usize) -> bool {
        let entry = &mut self.entries.as_mut()[at];
        let (cell, other) = (usize::from(entry.cell), usize::from(entry.other));
        if F::named(&self.cells, other) != 0 {
            return false;
        }
        std::mem::swap(&mut entry.cell, &mut entry.other);
        self.name(other, at);
        self.name(cell, 0);
        true
    }

    /// Makes the entry the key's, named by the first or second of its cells.
    fn put(&mut self, at: usize, cells: [usize; 2], way: usize, key: &Key, found: Found) {
        self.name(cells[way], at);
        let (head, words) = (key.head, key.words);
        let (cell, other) = (cells[way] as u16, cells[1 - way] as u16);
        let found = Some(found);
        self.entries.as_mut()[at] = Entry { head, found, hits: 0, cell, other, words };
    }
}

/// The highest bits, which every bit of every word moves.
#[inline(always)]
fn first_cell<F: Form>(key: &Key) -> usize {
    (key.hash >> (u64::BITS - F::CELL_BITS)) as usize
}

/// Mixed again: the bits below the first cell's are not moved by a word's highest.
#[inline(always)]
fn second_cell<F: Form>(key: &Key) -> usize {
    let mixed = (key.hash ^ key.hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - F::CELL_BITS)) as usize
}

#[inline(always)]
fn cells_of<F: Form>(key: &Key) -> [usize; 2] {
    [first_cell::<F>(key), second_cell::<F>(key)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::form::{Large, Small};
    use super::*;

    fn entries<F: Form>() -> Entries<F> {
        Entries::new(Seeds::from(|index| mix(index as u64))).unwrap()
    }

    /// Numbers that look drawn and are the same in every run.
    fn mix(n: u64) -> u64 {
        let n = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n ^ n >> 32
    }

    fn found(place: u32) -> Found {
        Found::new(u64::MAX - u64::from(place), place, u32::MAX - place)
    }

    /// The `n`th label set; a hundred tools come to 4,000.
    fn labels(n: usize) -> [String; 3] {
        let operations =
            ["execute", "list", "call", "read", "get", "subscribe", "ping", "", "a", "é"];
        let statuses = ["success", "error", "cancelled", "timeout"];
        let status = statuses[n % 4].to_owned();
        [format!("swarm.tool_{:04}", n / 40), operations[n / 4 % 10].to_owned(), status]
    }

    fn strs(values: &[String; 3]) -> [&str; 3] {
        values.each_ref().map(String::as_str)
    }

    /// One look-up as a caller makes it.
    fn look_up<F: Form>(entries: &mut Entries<F>, n: usize) -> (bool, Worth) {
        let values = labels(n);
        match entries.find(1, &strs(&values)) {
            Some(there) => {
                assert_eq!(there, found(n as u32));
                (true, Worth::Yes)
            }
            None => {
                let key = |seeds: &Seeds| Key::of_text(seeds, 1, &strs(&values));
                (false, entries.keep(key, found(n as u32)))
            }
        }
    }

    /// Alike in all but a border, a letter or a length.
    const VALUES: [&str; 14] = [
        "",
        "a",
        "b",
        "ab",
        "ba",
        "aaaa",
        "aaaaaaa",
        "aaaaaaaa",
        "aaaaaaaab",
        "éaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaab",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];

    /// What is done, to which family and values, and what is found.
    type Op = (u8, u64, [&'static str; 3], u32);

    /// The oracle knows what was kept last. The cache may know less, never anything else.
    fn check<F: Form>(ops: &[Op], mask: u64) -> Result<(), TestCaseError> {
        let mut entries = entries::<F>();
        let mut oracle = HashMap::new();
        for &(op, family, values, place) in ops {
            let key = |seeds: &Seeds| {
                let mut key = Key::of_text(seeds, family, &values)?;
                key.hash &= mask;
                Some(key)
            };
            let Some(looked_for) = key(&entries.0[0].seeds) else { continue };
            let there = entries.0[0].find(&looked_for);
            if let Some(there) = &there {
                prop_assert_eq!(Some(there), oracle.get(&(family, values)));
            }
            match op {
                0 if there.is_none() => {
                    entries.keep(key, found(place));
                    oracle.insert((family, values), found(place));
                }
                1 => {
                    entries.forget(key);
                    prop_assert_eq!(entries.0[0].find(&looked_for), None);
                    oracle.remove(&(family, values));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The doors for a fixed number of values and for any number.
    fn check_doors<F: Form>(values: &[&str]) -> Result<(), TestCaseError> {
        let mut entries = entries::<F>();
        entries.keep(|seeds| Key::of_text(seeds, 1, values), found(1));
        let kept = Key::of_text(&Seeds::NONE, 1, values).map(|_| found(1));
        prop_assert_eq!(entries.find_any(1, values), kept);
        fn by<F: Form, const N: usize>(entries: &mut Entries<F>, values: &[&str]) -> Option<Found> {
            entries.find::<N>(1, values.try_into().unwrap())
        }
        let fixed = match values.len() {
            1 => by::<F, 1>(&mut entries, values),
            2 => by::<F, 2>(&mut entries, values),
            3 => by::<F, 3>(&mut entries, values),
            4 => by::<F, 4>(&mut entries, values),
            5 => by::<F, 5>(&mut entries, values),
            6 => by::<F, 6>(&mut entries, values),
            7 => by::<F, 7>(&mut entries, values),
            _ => by::<F, 8>(&mut entries, values),
        };
        prop_assert_eq!(fixed, kept);
        prop_assert_eq!(entries.find_any(2, values), None);
        Ok(())
    }

    proptest! {
        #[test]
        fn nothing_but_what_was_kept_is_found(
            ops in vec(
                (0u8..4, 1u64..4, prop::array::uniform3(prop::sample::select(&VALUES)), any::<u32>()),
                0..300,
            ),
            // All hashes alike, all of a second cell, a few cells, and as they are.
            mask in prop::sample::select(vec![0, 1 << 63, 7 << 60, u64::MAX]),
        ) {
            check::<Small>(&ops, mask)?;
            check::<Large>(&ops, mask)?;
        }

        #[test]
        fn what_is_kept_is_found_by_every_door(values in vec("[aé]{0,18}", 1..9)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            check_doors::<Small>(&values)?;
            check_doors::<Large>(&values)?;
        }
    }

    fn all_are_found<F: Form>(seed: u64, all: [usize; 2]) {
        let seeds = Seeds::from(|index| mix(index as u64 ^ seed << 8));
        let mut entries = Entries::<F>::new(seeds).unwrap();
        for sets in all {
            for n in 0..sets {
                look_up(&mut entries, n);
            }
            let hits = (0..sets).filter(|&n| look_up(&mut entries, n).0).count();
            // One step to the side is not always enough.
            assert!(hits >= sets - sets / 100, "{hits} of {sets}");
        }
    }

    #[test]
    fn sets_that_fit_are_all_found() {
        for seed in 0..20 {
            all_are_found::<Small>(seed, [64, 250]);
        }
        all_are_found::<Large>(20, [500, 8_000]);
    }

    #[test]
    fn who_comes_late_sends_another_to_its_other_cell() {
        let mut entries = entries::<Small>();
        // All have one first cell; a second one is shared by the last two.
        let key = |n: usize, _: &Seeds| {
            let key = Key::of_text(&Seeds::NONE, 1, &[&n.to_string()]);
            key.map(|key| Key { hash: [1, 2, 2][n] << 40, ..key })
        };
        for n in 0..3 {
            entries.keep(|seeds| key(n, seeds), found(n as u32));
        }
        for n in 0..3 {
            let there = entries.0[0].find(&key(n, &Seeds::NONE).unwrap());
            assert_eq!(there, Some(found(n as u32)));
        }
    }

    /// What a hash can't tell apart, the comparison does.
    #[test]
    fn label_sets_that_hash_alike_are_not_confused() {
        let nuls = "\0".repeat(16);
        let blocks = "abcdefgh".repeat(4);
        let sets: [[&str; 3]; 12] = [
            ["", "", ""],
            ["\0", "", ""],
            ["", "\0", ""],
            ["\0", "\0", ""],
            ["", &nuls, ""],
            ["", "", &nuls],
            ["ab", "c", ""],
            ["a", "bc", ""],
            ["", "a", "bc"],
            [&blocks, &blocks, "ab"],
            [&blocks, &blocks, "ba"],
            [&blocks, &blocks[..31], "ab"],
        ];
        let key = |values: &[&str; 3], seeds: &Seeds| Key::of_text(seeds, 1, values);
        let alike = |values, seeds: &Seeds| key(values, seeds).map(|key| Key { hash: 0, ..key });
        for kept in 0..sets.len() {
            let mut entries = entries::<Small>();
            entries.keep(|seeds| alike(&sets[kept], seeds), found(1));
            for other in 0..sets.len() {
                let there = entries.0[0].find(&alike(&sets[other], &Seeds::NONE).unwrap());
                assert_eq!(there.is_some(), other == kept, "{:?} {:?}", sets[kept], sets[other]);
            }
        }
    }

    #[test]
    fn a_key_whose_cells_are_taken_waits_for_one_that_nobody_hits() {
        let mut entries = entries::<Small>();
        // One first cell, two second ones.
        let key = |n: usize, _: &Seeds| {
            let key = Key::of_text(&Seeds::NONE, 1, &[&n.to_string()]);
            key.map(|key| Key { hash: (1 + n as u64 % 2) << 40, ..key })
        };
        let mut look_up = |n: usize| {
            let there = entries.0[0].find(&key(n, &Seeds::NONE).unwrap()).is_some();
            if !there {
                entries.keep(|seeds| key(n, seeds), found(1));
            }
            there
        };
        // Into the first cell, into one second cell and into the other; the fourth finds two taken.
        assert_eq!([1, 2, 3, 4].map(&mut look_up), [false; 4]);
        for _ in 0..100 * STEP {
            assert_eq!([1, 2, 3, 4].map(&mut look_up), [true, true, true, false]);
        }
        let misses = (0..100 * STEP).find(|_| look_up(4));
        assert!(misses.is_some());
    }

    /// Of so many sets, the lower the oftener; until all entries have been driven out.
    fn full<F: Form>(sets: u64, steps: u64) {
        let mut entries = entries::<F>();
        let mut hits = 0;
        for step in 0..steps {
            let n = (mix(step) % sets * (mix(step ^ 1 << 40) % sets) / sets) as usize;
            hits += u64::from(look_up(&mut entries, n).0);
        }
        assert!(hits > steps / 10, "{hits}");
        let table = &entries.0[0];
        let last = F::LAST as usize;
        for at in 1..=last {
            assert_eq!(table.named(table.entries.as_ref()[at].cell.into()), at);
        }
        assert_eq!((0..1 << F::CELL_BITS).filter(|&cell| table.named(cell) != 0).count(), last);
    }

    #[test]
    fn a_full_cache_finds_nothing_wrong() {
        full::<Small>(2_000, 200_000);
        full::<Large>(40_000, 400_000);
    }

    #[test]
    fn sets_that_are_hit_stay_while_thousands_pass() {
        let mut entries = entries::<Small>();
        let hot = |step: usize| step % 64;
        for step in 0..1_000 {
            look_up(&mut entries, hot(step));
        }
        let mut hits = 0;
        for step in 0..50_000 {
            hits += usize::from(look_up(&mut entries, hot(step)).0);
            let (cold, worth) = look_up(&mut entries, 64 + step);
            assert!(!cold && worth != Worth::No, "{step}");
        }
        assert!(hits > 48_000, "{hits}");
    }

    #[test]
    fn sets_that_are_hit_no_more_make_room() {
        let mut entries = entries::<Small>();
        for step in 0..100_000 {
            look_up(&mut entries, step % 250);
        }
        let late = |step: usize| 1_000 + step % 100;
        for step in 0..100_000 {
            look_up(&mut entries, late(step));
        }
        let hits = (0..100).filter(|&step| look_up(&mut entries, late(step)).0).count();
        assert!(hits > 95, "{hits}");
    }

    /// One round, after the entries were filled.
    fn given_up<F: Form>() {
        let mut entries = entries::<F>();
        let most = (F::LAST + 1 + (F::LAST + 2) * STEP) as usize;
        let given_up = (0..2 * most).find(|&n| look_up(&mut entries, n).1 == Worth::No);
        assert!(given_up.is_some_and(|n| n < most), "{given_up:?}");
    }

    #[test]
    fn what_never_hits_is_not_worth_it() {
        given_up::<Small>();
        given_up::<Large>();
    }

    #[test]
    fn many_misses_among_many_hits_ask_for_more_entries() {
        // As many hits to a miss, of 64 sets that are hit and others that are not.
        for (hits, narrow) in [(4, true), (15, true), (18, false), (100, false)] {
            let mut entries = entries::<Small>();
            let worths: Vec<Worth> = (0..6_000 * (hits + 1))
                .map(|step| match step % (hits + 1) {
                    0 => look_up(&mut entries, 64 + step).1,
                    _ => look_up(&mut entries, step % 64).1,
                })
                .collect();
            assert_eq!(worths.contains(&Worth::Narrow), narrow, "{hits} hits to a miss");
            assert!(!worths.contains(&Worth::No), "{hits} hits to a miss");
        }
    }
}

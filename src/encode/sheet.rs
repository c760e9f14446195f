//! Pages that stand side by side, brought up to date together.

use std::mem::MaybeUninit;

use super::number;
use super::page::{self, Changes, Page, PageMut, Written};
use super::text::Sink;
use crate::shard::ahead;
use crate::shard::wide::{Work, widely};
use crate::snapshot::{Number, NumberKind, Numbers, PAGE, PageHead, SHEET};

/// Up to [`SHEET`] pages of a family. What is compared stands side by side for all of them: of many
/// series of which few have changed, little else is read. So does the text, each page's with room to
/// grow behind it: of many that have changed one is asked for while the one before is written.
#[derive(Default)]
pub(super) struct Sheet {
    pages: Vec<Page>,
    text: Vec<u8>,
    /// By place.
    bits: Vec<u64>,
    lines: Vec<Written>,
}

/// When the text of a sheet's pages goes out.
pub(super) enum Out<'a, S> {
    /// As soon as a page and all before it are done, while it is near. Where it goes is not asked for
    /// then: the processor follows.
    Now(&'a mut S),
    /// By the caller, when all are done. Where it will be copied to, if that is known, is asked for.
    Later(&'a [MaybeUninit<u8>]),
}

impl Sheet {
    /// Makes room for all lines that are shown: `last` is the last page of the sheet.
    fn make_room(&mut self, last: &PageHead) {
        let pages = last.number % SHEET + 1;
        let places = pages * PAGE - last.present.leading_zeros() as usize;
        if self.bits.len() < places || self.pages.len() < pages {
            let end = self.text.len();
            grow(&mut self.pages, pages, || Page::at(end));
            grow(&mut self.bits, places, u64::default);
            grow(&mut self.lines, places, Written::default);
        }
    }

    /// Of the lines that `head` shows those that are missing.
    #[inline]
    pub(super) fn missing(&self, head: &PageHead) -> u64 {
        self.pages[head.number % SHEET].missing(head.present)
    }

    /// Adds a line that is missing; false where `charge` refuses its bytes.
    ///
    /// * `of`: how many are to be added yet, this one among them, to its page and to the sheet.
    pub(super) fn add(
        &mut self,
        head: &PageHead,
        index: usize,
        number: Number,
        line: &str,
        of: (usize, usize),
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        let mut page = self.page(head);
        if !page.charge(line, charge) {
            return false;
        }
        let mut buffer = number::Buffer::default();
        let digits = buffer.format(number);
        let longer = line.len() + digits.len() + 1;
        if page.page.free() < longer {
            let spare = page::spare(number.kind());
            let each = longer.min(self.usual()) + spare;
            let all = |lines: usize| longer + spare + each * (lines - 1);
            self.widen(head, number.kind(), all(of.0) + page::SPARE, all(of.1));
            page = self.page(head);
        }
        page.add(index, line, digits, number.bits());
        true
    }

    /// The text of one page.
    #[inline]
    pub(super) fn text(&self, head: &PageHead) -> &[u8] {
        self.pages[head.number % SHEET].text(&self.text)
    }

    /// The text of a family's only page, behind the family's head of so many bytes.
    #[inline]
    pub(super) fn only_text(&self) -> (&[u8], usize) {
        let Some(page) = self.pages.first() else { return (&[], 0) };
        (&self.text[..page.begin() + page.text_len()], page.begin())
    }

    fn page(&mut self, head: &PageHead) -> PageMut<'_> {
        let from = head.number % SHEET * PAGE;
        let places = from..self.bits.len().min(from + PAGE);
        let page = &mut self.pages[head.number % SHEET];
        PageMut {
            far: self.text.len() > FAR,
            text: &mut self.text[page.begin()..],
            page,
            bits: &mut self.bits[places.clone()],
            lines: &mut self.lines[places],
        }
    }

    /// Bytes of a line that is to come: as those that are there. Nobody accounts for the room that is made
    /// for it, so that a long one does not say how long the others will be.
    #[cold]
    fn usual(&self) -> usize {
        let lines = self.pages.iter().map(Page::lines).sum::<usize>();
        let bytes = self.pages.iter().map(Page::text_len).sum::<usize>();
        (bytes + USUAL) / (lines + 1)
    }

    /// Makes room for `more` bytes in a page. Other pages that have little left get some, too: numbers
    /// that grow mostly do so together, and the text is then moved once for all.
    ///
    /// * `most`: how many bytes the sheet will need, if that is known to be more.
    #[cold]
    fn widen(&mut self, head: &PageHead, kind: NumberKind, more: usize, most: usize) {
        let longer = |(number, page): (usize, &Page)| match page.spare(kind) {
            spare if number == head.number % SHEET => more.max(spare) - page.free(),
            spare if page.free() < spare / 2 => spare - page.free(),
            _ => 0,
        };
        let mut all = [0; SHEET];
        self.pages.iter().enumerate().map(longer).zip(&mut all).for_each(|(by, all)| *all = by);
        let mut shift = all.iter().sum();
        if self.text.capacity() < self.text.len() + shift {
            self.text.reserve_exact(most.max(shift).max(self.text.len() / 32));
        }
        self.text.resize(self.text.len() + shift, 0);
        // From the last one, so that none is moved over another.
        for (page, longer) in self.pages.iter_mut().zip(all).rev() {
            shift -= longer;
            let begin = page.begin();
            self.text.copy_within(begin..begin + page.text_len(), begin + shift);
            page.shift(shift, longer);
        }
    }

    /// Asks for the numbers that [`update`](Self::update) compares first.
    pub(super) fn fetch(&self) {
        self.bits.chunks(LINE).take(AHEAD / LINE).for_each(|line| ahead::fetch(&line[0]));
    }

    /// Writes what differs in the lines that are there, and forgets those of pages that are stale. Gives
    /// how many pages have gone out: those before the first that has to wait.
    ///
    /// In steps over all pages, so that what one number waits for from memory does not hold up the
    /// next: where few of a million series change, that is most of what they take.
    pub(super) fn update<S: Sink>(
        &mut self,
        kind: NumberKind,
        numbers: &Numbers,
        out: Out<'_, S>,
    ) -> usize {
        let Some(last) = numbers.heads.last() else { return 0 };
        self.make_room(last);
        let begun = widely(BeginAll { sheet: self, kind, numbers, out });
        if begun.lines != [0; SHEET] {
            self.write_few(kind, numbers, &begun.lines);
        }
        begun.gone
    }

    /// Writes lines that differ, few of each page: what [`rewrite`](Self::rewrite) does, in steps.
    fn write_few(&mut self, kind: NumberKind, numbers: &Numbers, lines: &[u64; SHEET]) {
        const { assert!(SHEET <= 256 && PAGE <= 256) };
        let mut waiting = [(0u8, 0u8); SHEET * PAGE];
        let mut len = 0;
        for (nth, &(mut lines)) in lines.iter().enumerate() {
            while lines != 0 {
                let index = lines.trailing_zeros() as usize;
                ahead::fetch(&self.lines[numbers.heads[nth].number % SHEET * PAGE + index]);
                waiting[len] = (nth as u8, index as u8);
                len += 1;
                lines &= lines - 1;
            }
        }
        let waiting =
            waiting[..len].iter().map(|&(nth, index)| (usize::from(nth), usize::from(index)));
        for (nth, index) in waiting.clone() {
            self.page(&numbers.heads[nth]).fetch(index);
        }
        for (nth, index) in waiting {
            let (head, now) = (&numbers.heads[nth], numbers.bits[nth][index]);
            while !self.page(head).replace(index, kind, now) {
                self.widen(head, kind, number::LONGEST, 0);
            }
        }
    }

    /// Whether the first page stands as it did, with all of its lines: then its text does, too.
    #[inline]
    pub(super) fn is_as(&self, head: &PageHead, now: &[u64; PAGE]) -> bool {
        self.pages.first().is_some_and(|page| {
            page.version == head.version
                && page.is_of(head.present)
                && page::differences(&self.bits[..page.len()], now).0 == 0
        })
    }

    /// [`update`](Self::update) of a family's only page, which has no use for the steps. The text begins with
    /// the `family`'s head: both go out by one copy.
    #[inline(never)]
    pub(super) fn update_only(
        &mut self,
        family: &str,
        kind: NumberKind,
        head: &PageHead,
        now: &[u64; PAGE],
    ) {
        if self.pages.is_empty() {
            self.text.extend_from_slice(family.as_bytes());
        }
        self.make_room(head);
        let lines = self.begin(kind, head, now, &[]);
        self.rewrite(kind, head, lines, now);
    }

    /// Writes these numbers of a page anew, and makes room for them where there is none.
    #[inline]
    fn rewrite(&mut self, kind: NumberKind, head: &PageHead, lines: u64, now: &[u64; PAGE]) {
        let mut left = lines;
        while left != 0 {
            left = self.page(head).rewrite(kind, left, now);
            if left != 0 {
                self.widen(head, kind, number::LONGEST, 0);
            }
        }
    }

    /// Forgets the lines of a page that is stale; writes it where many of its lines differ. Gives those
    /// that are to be written yet, as bits: few that differ, or what there was no room for.
    ///
    /// Inlined, as all that it does with many numbers is: into what is compiled for wide vectors.
    #[inline(always)]
    fn begin(
        &mut self,
        kind: NumberKind,
        head: &PageHead,
        now: &[u64; PAGE],
        to: &[MaybeUninit<u8>],
    ) -> u64 {
        let page = &mut self.pages[head.number % SHEET];
        // Which series are there is read after the version: one that is being removed may be gone before
        // that tells of it, and anything stands in the place of its number.
        if page.version != head.version || page.has_more_than(head.present) {
            page.clear();
            page.version = head.version;
        }
        match self.changes(head, now) {
            Changes::Many(more, lines) => self.page(head).rewrite_all(kind, more, lines, now, to),
            Changes::Few(lines) => lines,
        }
    }

    /// Finds what differs in a page.
    #[inline(always)]
    fn changes(&self, head: &PageHead, now: &[u64; PAGE]) -> Changes {
        let from = head.number % SHEET * PAGE;
        let page = &self.pages[head.number % SHEET];
        let was = &self.bits[from..];
        // Of a whole page the compiler knows how long it is. Behind the last place stands what was read
        // for another page.
        let (more, lines) = match was.first_chunk::<PAGE>() {
            Some(was) if page.len() == PAGE => page::differences(was, now),
            _ => page::differences(&was[..page.len()], now),
        };
        let ahead = was.get(AHEAD..).unwrap_or_default();
        ahead.chunks(LINE).take(PAGE / LINE).for_each(|line| ahead::fetch(&line[0]));
        page.changes(more, lines)
    }
}

/// [`Sheet::begin`] of all pages.
struct BeginAll<'a, S> {
    sheet: &'a mut Sheet,
    kind: NumberKind,
    numbers: &'a Numbers,
    out: Out<'a, S>,
}

/// What [`BeginAll`] leaves to be done.
struct Begun {
    /// Of each page the lines that are to be written yet.
    lines: [u64; SHEET],
    /// Pages whose text has gone out.
    gone: usize,
}

impl<S: Sink> Work for BeginAll<'_, S> {
    type Done = Begun;

    #[inline(always)]
    fn work(mut self) -> Begun {
        let mut begun = Begun { lines: [0; SHEET], gone: 0 };
        for (nth, ((head, now), lines)) in self.numbers.pages().zip(&mut begun.lines).enumerate() {
            let to = if let Out::Later(to) = self.out { to } else { &[] };
            *lines = self.sheet.begin(self.kind, head, now, to);
            let waits = *lines != 0 || self.sheet.missing(head) != 0;
            let text = self.sheet.text(head);
            match &mut self.out {
                Out::Now(out) if begun.gone == nth && !waits => {
                    out.page(text);
                    begun.gone += 1;
                }
                Out::Now(_) => {}
                Out::Later(to) => *to = to.get(text.len()..).unwrap_or_default(),
            }
        }
        begun
    }
}

/// Bytes of text that a processor finds by itself soon enough: to ask for each line of fewer than that
/// takes longer than it saves.
const FAR: usize = 128 << 10;

/// Bytes that a line may have where there are none yet.
const USUAL: usize = 128;

/// Numbers that come from memory at once.
const LINE: usize = 64 / size_of::<u64>();

/// How many numbers before it is compared one is asked for: a processor that sees what is read one
/// after the other asks by itself, but no further than to the end of a page of 4 KiB.
const AHEAD: usize = 4096 / size_of::<u64>();

/// Makes a list `len` long by `new` entries, if it is shorter. It is moved after an eighth more each, not at the
/// double: that would be memory that nobody accounts for.
fn grow<T>(list: &mut Vec<T>, len: usize, new: impl FnMut() -> T) {
    if list.capacity() < len {
        list.reserve_exact((len - list.len()).max(list.len() / 8));
    }
    if list.len() < len {
        list.resize_with(len, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGES: usize = 3;

    /// A sheet, and what its lines are: a name and a number each.
    struct Checked {
        sheet: Sheet,
        numbers: Numbers,
        lines: Vec<Option<(String, u64)>>,
    }

    impl Checked {
        fn new() -> Checked {
            let head = |number| PageHead { family: 0, number, version: 0, present: 0 };
            let (heads, bits) = ((0..PAGES).map(head).collect(), vec![[0; PAGE]; PAGES]);
            let numbers = Numbers { heads, bits, ..Numbers::default() };
            Checked { sheet: Sheet::default(), numbers, lines: vec![None; PAGES * PAGE] }
        }

        /// What stands beside the lines that are there changes as it likes.
        fn set(&mut self, place: usize, number: u64) {
            self.numbers.bits[place / PAGE][place % PAGE] = number;
            if let Some((_, own)) = &mut self.lines[place] {
                *own = number;
            }
        }

        fn add(&mut self, kind: NumberKind, place: usize, name: &str, of: usize) -> bool {
            let index = place % PAGE;
            self.numbers.heads[place / PAGE].present |= 1 << index;
            // Pages come when they are needed: some have lines before the next one is there.
            let last = self.numbers.heads.iter().rposition(|head| head.present != 0);
            self.sheet.make_room(&self.numbers.heads[last.unwrap()]);
            let (head, number) =
                (self.numbers.heads[place / PAGE], self.numbers.bits[place / PAGE][index]);
            assert_eq!(self.sheet.missing(&head) >> index & 1, 1);
            self.lines[place] = Some((name.to_owned(), number));
            self.sheet.add(&head, index, kind.of(number), name, (of, of), &|_| true)
        }

        /// The series of a page go, all at once.
        fn remove(&mut self, page: usize) {
            self.numbers.heads[page].version += 1;
            self.numbers.heads[page].present = 0;
            self.lines[page * PAGE..(page + 1) * PAGE].fill(None);
        }

        fn update(&mut self, kind: NumberKind) {
            // Room for a part of the text alone: what is asked for may end anywhere.
            let mut out: Vec<u8> = Vec::with_capacity(1_000);
            let later =
                self.numbers.bits.as_flattened().iter().fold(0, |all, one| all ^ one) % 2 == 1;
            let when =
                if later { Out::Later(out.spare_capacity_mut()) } else { Out::Now(&mut out) };
            let gone = self.sheet.update(kind, &self.numbers, when);
            assert!(!later || gone == 0);
            let texts = self.numbers.heads[..gone].iter().map(|head| self.sheet.text(head));
            assert!(texts.flatten().eq(&out));
        }

        /// The oracle writes every line from scratch.
        fn check(&self, kind: NumberKind) -> Result<(), TestCaseError> {
            for (head, lines) in self.numbers.heads.iter().zip(self.lines.chunks(PAGE)) {
                let mut expected = Vec::new();
                for (name, number) in lines.iter().flatten() {
                    expected.extend_from_slice(name.as_bytes());
                    expected.extend_from_slice(number::Buffer::default().format(kind.of(*number)));
                    expected.push(b'\n');
                }
                prop_assert_eq!(self.sheet.text(head), &expected);
                let page = &self.sheet.pages[head.number];
                prop_assert!(page.charged() >= expected.len() as u64);
                for (_, number) in lines.iter().flatten().filter(|_| page.slack() > 0) {
                    let grown = number.saturating_add(page.slack() - 1);
                    prop_assert_eq!(grown.to_string().len(), number.to_string().len());
                    prop_assert!(grown < 100_000_000);
                }
            }
            Ok(())
        }
    }

    /// Numbers of one kind, as bits: a family has no other.
    fn numbers() -> impl Strategy<Value = (NumberKind, Vec<u64>)> {
        let shifted = (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift);
        let levels = shifted.clone().prop_map(|bits| if bits % 2 == 0 { bits } else { !bits });
        let readings = prop_oneof![
            any::<f64>(),
            prop::sample::select(vec![0.0, -0.0, f64::NAN, 9_007_199_254_740_991.0]),
            (-12_000i32..12_000).prop_map(|n| f64::from(n) / 4.0),
        ];
        let many = |kind, bits: BoxedStrategy<u64>| {
            (Just(kind), prop::collection::vec(bits, 1..200)).boxed()
        };
        prop_oneof![
            3 => many(NumberKind::Total, shifted.boxed()),
            1 => many(NumberKind::Level, levels.boxed()),
            1 => many(NumberKind::Reading, readings.prop_map(f64::to_bits).boxed()),
        ]
    }

    proptest! {
        #[test]
        fn a_sheet_is_what_its_lines_are(
            (kind, numbers) in numbers(),
            places in prop::collection::vec(
                (0..PAGES * PAGE, 0u64..30, 1usize..4, prop::bool::weighted(0.01)), 200,
            ),
        ) {
            let mut checked = Checked::new();
            for (number, (place, more, several, goes)) in numbers.into_iter().zip(places) {
                for place in (place..PAGES * PAGE).step_by(7).take(several) {
                    // Small steps upwards are what counters do.
                    let number = match checked.lines[place] {
                        Some((_, total)) if more < 20 && kind == NumberKind::Total => {
                            total.saturating_add(more)
                        }
                        _ => number,
                    };
                    checked.set(place, number);
                    if checked.lines[place].is_none() {
                        let name = format!("line_{place} ");
                        prop_assert!(checked.add(kind, place, &name, several));
                    }
                }
                if goes {
                    checked.remove(place / PAGE);
                }
                checked.update(kind);
                checked.check(kind)?;
            }
        }

        #[test]
        fn a_page_alone_is_what_its_lines_are(
            (kind, numbers) in numbers(),
            places in prop::collection::vec(
                (0..PAGE, any::<bool>(), prop::bool::weighted(0.02)), 200,
            ),
        ) {
            let mut checked = Checked::new();
            checked.numbers.heads.truncate(1);
            let none = checked.numbers.heads[0];
            checked.sheet.update_only("# head\n", kind, &none, &[0; PAGE]);
            for (number, (place, again, goes)) in numbers.into_iter().zip(places) {
                // A number as it was says nothing new, and no more does the line beside a missing one.
                let number = checked.lines[place].as_ref().filter(|_| again).map_or(number, |l| l.1);
                checked.set(place, number);
                if checked.lines[place].is_none() {
                    let name = format!("line_{place} ");
                    prop_assert!(checked.add(kind, place, &name, 1));
                }
                if goes {
                    checked.remove(0);
                }
                let (head, now) = (checked.numbers.heads[0], checked.numbers.bits[0]);
                if !checked.sheet.is_as(&head, &now) {
                    checked.sheet.update_only("", kind, &head, &now);
                }
                checked.check(kind)?;
                let (text, begin) = checked.sheet.only_text();
                prop_assert_eq!(&text[..begin], b"# head\n");
                prop_assert_eq!(&text[begin..], checked.sheet.text(&head));
                let more = PageHead { present: head.present | 1 << ((place + 1) % PAGE), ..head };
                prop_assert!(more.present == head.present || !checked.sheet.is_as(&more, &now));
                let newer = PageHead { version: head.version + 1, ..head };
                prop_assert!(!checked.sheet.is_as(&newer, &now));
            }
        }

        /// Full pages, whose numbers are written side by side, and grow out of their room together.
        #[test]
        fn numbers_that_grow_together_stay_in_their_lines(
            steps in prop::collection::vec((0u32..50, any::<u64>()), 1..30),
        ) {
            let mut checked = Checked::new();
            for place in 0..PAGES * PAGE {
                checked.set(place, place as u64);
                let name = format!("line_{place} ");
                prop_assert!(checked.add(NumberKind::Total, place, &name, 1));
            }
            for (shift, seed) in steps {
                for place in 0..PAGES * PAGE {
                    let was = checked.numbers.bits[place / PAGE][place % PAGE];
                    let more = seed.rotate_left(place as u32) & ((1 << shift) - 1);
                    checked.set(place, was.saturating_add(more));
                }
                checked.update(NumberKind::Total);
                checked.check(NumberKind::Total)?;
            }
        }
    }

    #[test]
    fn a_line_without_budget_is_left_out() {
        let mut checked = Checked::new();
        checked.numbers.heads[0].present = 1 << 3;
        checked.sheet.make_room(&checked.numbers.heads[PAGES - 1]);
        let head = checked.numbers.heads[0];
        assert!(!checked.sheet.add(&head, 3, Number::Total(1), "a ", (1, 1), &|_| false));
        checked.set(3, 2);
        checked.update(NumberKind::Total);
        assert!(checked.sheet.missing(&head) == 1 << 3 && checked.sheet.text(&head).is_empty());
    }

    #[test]
    fn a_number_without_a_line_is_passed_over() {
        let mut checked = Checked::new();
        checked.set(3, 1);
        assert!(checked.add(NumberKind::Total, 3, "a ", 2));
        (0..PAGE).for_each(|place| checked.set(place, 9));
        checked.update(NumberKind::Total);
        assert_eq!(checked.sheet.text(&checked.numbers.heads[0]), b"a 9\n");
        checked.set(2, 7);
        assert!(checked.add(NumberKind::Total, 2, "b ", 1));
        checked.update(NumberKind::Total);
        assert_eq!(checked.sheet.text(&checked.numbers.heads[0]), b"b 7\na 9\n");
    }

    /// Of a series that is being removed a scrape may see that it is gone, and not yet that the page is
    /// stale. What stands in its place then is another page's number.
    #[test]
    fn a_line_that_is_shown_no_more_goes_before_the_version_says_so() {
        let mut checked = Checked::new();
        for (place, name) in [(3, "a "), (5, "b ")] {
            checked.set(place, 1);
            assert!(checked.add(NumberKind::Total, place, name, 1));
        }
        checked.numbers.heads[0].present = 1 << 3;
        checked.numbers.bits[0][5] = 777;
        let (head, now) = (checked.numbers.heads[0], checked.numbers.bits[0]);
        assert!(!checked.sheet.is_as(&head, &now));
        checked.update(NumberKind::Total);
        assert_eq!(checked.sheet.missing(&head), 1 << 3);
        assert_eq!(checked.sheet.text(&head), b"");
        assert!(checked.sheet.add(&head, 3, Number::Total(1), "a ", (1, 1), &|_| true));
        assert_eq!(checked.sheet.text(&head), b"a 1\n");
        assert!(checked.sheet.is_as(&head, &now));
    }
}

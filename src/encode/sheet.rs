//! Pages that stand side by side, brought up to date together.

use super::page::{self, Page, PageMut, Written};
use crate::shard::ahead;
use crate::snapshot::{Number, NumberKind, Numbers, PAGE, PageHead, SHEET};

/// Up to [`SHEET`] pages of a family. What is compared stands side by side for all of them: of many
/// series of which few have changed, little else is read.
#[derive(Default)]
pub(super) struct Sheet {
    pages: Vec<Page>,
    /// By place.
    bits: Vec<u64>,
    lines: Vec<Written>,
}

/// What differs in a page.
enum Changes {
    /// Many lines; by what, as bits of one word.
    All(u64),
    /// A bit for each of few lines, or of none.
    Lines(u64),
}

impl Sheet {
    /// Makes room for all lines that are shown: `last` is the last page of the sheet.
    fn make_room(&mut self, last: &PageHead) {
        let pages = last.number % SHEET + 1;
        let places = pages * PAGE - last.present.leading_zeros() as usize;
        if self.bits.len() < places {
            grow(&mut self.pages, pages);
            grow(&mut self.bits, places);
            grow(&mut self.lines, places);
        }
    }

    /// Of the lines that `head` shows those that are missing.
    #[inline]
    pub(super) fn missing(&self, head: &PageHead) -> u64 {
        self.pages[head.number % SHEET].missing(head.present)
    }

    /// Adds a line: see [`PageMut::add`].
    pub(super) fn add(
        &mut self,
        head: &PageHead,
        index: usize,
        number: Number,
        line: &str,
        of: usize,
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        self.page(head).add(index, number, line, of, charge)
    }

    /// The text of one page.
    #[inline]
    pub(super) fn text(&self, head: &PageHead) -> &[u8] {
        self.pages[head.number % SHEET].text()
    }

    fn page(&mut self, head: &PageHead) -> PageMut<'_> {
        let from = head.number % SHEET * PAGE;
        let places = from..self.bits.len().min(from + PAGE);
        PageMut {
            page: &mut self.pages[head.number % SHEET],
            bits: &mut self.bits[places.clone()],
            lines: &mut self.lines[places],
        }
    }

    /// Asks for the numbers that [`update`](Self::update) compares first.
    pub(super) fn fetch(&self) {
        self.bits.chunks(LINE).take(AHEAD / LINE).for_each(|line| ahead::fetch(&line[0]));
    }

    /// Writes what differs in the lines that are there, and forgets those of pages that are stale.
    ///
    /// In steps over all pages, so that what one number waits for from memory does not hold up the
    /// next: where few of a million series change, that is most of what they take.
    pub(super) fn update(&mut self, kind: NumberKind, numbers: &Numbers) {
        let Some(last) = numbers.heads.last() else { return };
        self.make_room(last);
        if let ([head], Some(now)) = (&numbers.heads[..], numbers.bits.first()) {
            // Most families have a series or a few, and no use for the steps.
            let lines = self.begin(kind, head, now);
            if lines != 0 {
                self.page(head).rewrite(kind, lines, now);
            }
            return;
        }
        let mut differ = [0; SHEET];
        for ((head, now), lines) in numbers.pages().zip(&mut differ) {
            *lines = self.begin(kind, head, now);
        }
        for (head, &lines) in numbers.heads.iter().zip(&differ) {
            if lines != 0 {
                self.page(head).fetch(lines);
            }
        }
        for ((head, now), &lines) in numbers.pages().zip(&differ) {
            if lines != 0 {
                self.page(head).rewrite(kind, lines, now);
            }
        }
    }

    /// Forgets the lines of a page that is stale; writes it where many of its lines differ, and gives
    /// those that do, as bits, where few do.
    #[inline]
    fn begin(&mut self, kind: NumberKind, head: &PageHead, now: &[u64; PAGE]) -> u64 {
        let page = &mut self.pages[head.number % SHEET];
        if page.version != head.version {
            page.clear();
            page.version = head.version;
        }
        match self.changes(head, now) {
            Changes::All(more) => {
                self.page(head).rewrite_all(kind, more, now);
                0
            }
            Changes::Lines(lines) => lines,
        }
    }

    /// Finds what differs in a page, and asks for what is known of these lines.
    #[inline]
    fn changes(&self, head: &PageHead, now: &[u64; PAGE]) -> Changes {
        let from = head.number % SHEET * PAGE;
        let len = self.pages[head.number % SHEET].len();
        let was = &self.bits[from..from + len];
        let ahead = self.bits.get(from + AHEAD..).unwrap_or_default();
        ahead.chunks(LINE).take(PAGE / LINE).for_each(|line| ahead::fetch(&line[0]));
        let more = page::more(was, now);
        if more == 0 {
            return Changes::Lines(0);
        }
        if page::many_differ(was, now) {
            return Changes::All(more);
        }
        let mut lines = 0;
        for (eight, (was, now)) in was.chunks(8).zip(now.chunks(8)).enumerate() {
            if page::more(was, now) != 0 {
                for (index, (was, now)) in was.iter().zip(now).enumerate() {
                    lines |= u64::from(was != now) << (8 * eight + index);
                }
                ahead::fetch(&self.lines[from + 8 * eight]);
            }
        }
        Changes::Lines(lines)
    }
}

/// Numbers that come from memory at once.
const LINE: usize = 64 / size_of::<u64>();

/// How many numbers before it is compared one is asked for: a processor that sees what is read one
/// after the other asks by itself, but no further than to the end of a page of 4 KiB.
const AHEAD: usize = 4096 / size_of::<u64>();

/// Makes a list `len` long, if it is shorter. It is moved after an eighth more each, not at the
/// double: that would be memory that nobody accounts for.
fn grow<T: Default>(list: &mut Vec<T>, len: usize) {
    if list.capacity() < len {
        list.reserve_exact((len - list.len()).max(list.len() / 8));
    }
    if list.len() < len {
        list.resize_with(len, T::default);
    }
}

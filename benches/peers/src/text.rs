//! Warm text scrapes: what each side must say, then how long it takes.

use crate::expected::{self, Exposed};
use crate::floors::CopyText;
use crate::harness::{Settings, scrapes};
use crate::report::{Row, Statistic};
use crate::sides::{MakeScraped, Scraped};
use crate::totals::{compare, read_text};
use crate::work;

/// So many series and their text.
#[derive(Clone, Copy)]
pub struct Text {
    /// Whose.
    pub sides: &'static [MakeScraped],
    /// How many.
    pub series: usize,
    /// Of what kind.
    pub kind: Exposed,
    /// Every how many of them one is recorded into between two scrapes.
    pub every: usize,
    /// One of so many rounds is made: where a scrape takes seconds, few must do.
    pub sparing: usize,
}

impl Text {
    /// Compares what the sides say and times them, with the floor as the last of them.
    pub fn row(&self, name: &str, settings: Settings) -> Result<Row, String> {
        let mut sides = self.checked()?;
        let copy = CopyText::new(sides[0].scrape());
        sides.push(Box::new(copy));
        let rounds = (settings.rounds / self.sparing).max(1);
        let spreads = scrapes(&mut sides, self.every, Settings { rounds, ..settings });
        let mut row = Row::new(name, "ns/series", Statistic::Min);
        let (per, last) = (self.series as f64, sides.len() - 1);
        for (side, spread) in sides[..last].iter().zip(&spreads) {
            row.add_spread(side.name(), *spread, per, true);
        }
        row.add_floor(sides[last].name(), spreads[last], per);
        Ok(row.finish())
    }

    /// Sets up every side and compares what it says after one touch of all series and, where not all
    /// are touched between scrapes, after one more of some.
    pub fn checked(&self) -> Result<Vec<Box<dyn Scraped>>, String> {
        let mut sides: Vec<_> = self.sides.iter().map(|make| make(self.series)).collect();
        let touches = [(0, 1), (1, self.every)];
        let scrapes = if self.every == 1 { 1 } else { 2 };
        for made in 1..=scrapes {
            let want = expected::text(self.series, self.kind, &touches[..made]);
            let (round, every) = touches[made - 1];
            for side in &mut sides {
                side.touch(round, every);
                let per_second = side.per_second();
                let text = String::from_utf8_lossy(side.scrape());
                let got = read_text(&text, self.family(), per_second);
                let same = got.and_then(|got| compare(&want, &got));
                same.map_err(|error| format!("{}: {error}", side.name()))?;
            }
        }
        Ok(sides)
    }

    fn family(&self) -> &'static str {
        match self.kind {
            Exposed::Counters => work::COUNTER,
            Exposed::Histograms => work::HISTOGRAM,
        }
    }
}

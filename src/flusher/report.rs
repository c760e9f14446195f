//! What the log says of itself.

use std::mem::MaybeUninit;

use super::limit::Held;
use crate::logs::Level;
use crate::ring::frame::{Frame, kind, tag};
use crate::ring::names;
use crate::ring::set::ByLevel;
use crate::ring::writer::{Head, Writer};

/// Bytes of a text that one of our lines quotes.
const MOST_SAID: usize = 512;
/// The logger of our own lines.
const LOGGER: &str = "mcp_vitals";

/// Says once how much was lost since the last time.
#[derive(Default)]
pub(crate) struct Report {
    told: ByLevel,
    bytes: Vec<u8>,
}

impl Report {
    /// A line about what was lost, of all times `lost`, where there is more than was told.
    pub(crate) fn lost(&mut self, lost: ByLevel, ticks: u64) -> Option<Frame<'_>> {
        if lost == self.told {
            return None;
        }
        let since: ByLevel = std::array::from_fn(|at| lost[at].saturating_sub(self.told[at]));
        self.told = lost;
        let (levels, [spans]) =
            since.split_first_chunk::<5>().map_or(([0; 5], [0]), |(lines, spans)| {
                (*lines, spans.first_chunk().copied().unwrap_or_default())
            });
        let all: u64 = levels.iter().sum();
        let message = match (all, spans) {
            (_, 0) => format!("{all} lines were lost: their rings were full"),
            (0, _) => format!("{spans} spans were lost: their rings were full"),
            _ => format!("{all} lines and {spans} spans were lost: their rings were full"),
        };
        self.write(Level::Warn, &message, ticks, |writer| {
            writer.word(Some("lost"), tag::U64, all);
            if spans > 0 {
                writer.word(Some("lost_spans"), tag::U64, spans);
            }
            for (level, lost) in Level::ALL.iter().zip(since).filter(|(_, lost)| *lost > 0) {
                let key = format!("lost_{level}");
                writer.word(Some(&key), tag::U64, lost);
            }
        })
    }

    /// A line about what was held back of one call site, `place`, that says `message`.
    pub(crate) fn held(
        &mut self,
        held: Held,
        place: &str,
        message: &str,
        ticks: u64,
    ) -> Option<Frame<'_>> {
        let Held { limited, repeated, .. } = held;
        let all = limited + repeated;
        self.write(Level::Warn, &format!("{all} lines were held back"), ticks, |writer| {
            writer.text(Some("of"), tag::STR, message.as_bytes(), 0);
            writer.text(Some("at"), tag::STR, place.as_bytes(), 0);
            writer.word(Some("limited"), tag::U64, limited);
            writer.word(Some("repeated"), tag::U64, repeated);
        })
    }

    /// A line of our own.
    fn write(
        &mut self,
        level: Level,
        message: &str,
        ticks: u64,
        fields: impl Fn(&mut Writer<'_>),
    ) -> Option<Frame<'_>> {
        let mut room = [MaybeUninit::new(0); 4 << 10];
        let mut writer = Writer::begin(&mut room, MOST_SAID, &[]);
        writer.message(message.as_bytes(), 0);
        fields(&mut writer);
        let head = Head {
            kind: kind::LINE,
            level: level as u8,
            ticks,
            site: 0,
            logger: names::define_logger(LOGGER),
            thread: names::this_thread(),
        };
        self.bytes = writer.finish_bytes(head)?.to_vec();
        Frame::first(&self.bytes)
    }
}

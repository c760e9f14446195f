//! The parent: has children do the work, and makes the row.

use super::work::{Gives, Work};
use crate::children::Job;
use crate::floors;
use crate::harness::{Settings, alone};
use crate::report::{Row, Statistic};
use crate::sides::traces::SIDES;

/// One kind of work by every side that can do it.
///
/// # Errors
///
/// A side made other spans than it should have, or a child can't be started.
pub fn row(figure: &str, work: Work, settings: Settings) -> Result<Row, String> {
    let dir = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
    let work = if settings.quick { work.quick() } else { work };
    let (unit, statistic) = match work.gives {
        Gives::Span | Gives::Unsampled | Gives::UnsampledRoot => ("ns", Statistic::Min),
        Gives::Cpu => ("ns cpu/span", Statistic::Median),
        Gives::Sustained => ("ns/span", Statistic::Min),
        Gives::Allocations => ("allocations", Statistic::Min),
    };
    let able = SIDES.iter().filter(|side| side.has_otlp || work.gives != Gives::Cpu);
    let sides = able.map(|side| side.name).collect();
    let job = Job { sides, work: work.name, settings, dir: &dir };
    let results = match work.gives {
        Gives::Sustained => job.sustained()?,
        _ => job.turns()?,
    };
    let mut row = Row::new(figure, unit, statistic);
    for (side, spread, kept) in results {
        if kept.lines > kept.calls {
            return Err(format!("{side}: {} spans of {}", kept.lines, kept.calls));
        }
        let lost = kept.calls - kept.lines;
        if work.gives.records() {
            row.lost.insert(side.to_string(), lost as f64 / kept.calls as f64);
        }
        // Dropping is cheap: who drops isn't compared.
        row.add_spread(side, spread, 1.0, lost == 0);
    }
    let floor = match work.gives {
        Gives::Span => Some(floors::counter_thrice(1)),
        Gives::Unsampled | Gives::UnsampledRoot => Some(floors::instant_now(1)),
        Gives::Cpu | Gives::Sustained | Gives::Allocations => None,
    };
    if let Some(floor) = floor {
        let (name, spreads) = (floor.name, alone(&mut [floor], settings));
        row.add_floor(name, spreads[0], 1.0);
    }
    Ok(row.finish())
}

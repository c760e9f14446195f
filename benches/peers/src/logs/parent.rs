//! The parent: has children do the work, and makes the row.

use super::work::{Gives, Work};
use crate::children::Job;
use crate::harness::Settings;
use crate::report::{Row, Statistic};
use crate::sides::logs::SIDES;

/// One kind of work by every side.
///
/// # Errors
///
/// A side wrote what it should not have, or a child can't be started.
pub fn row(figure: &str, work: Work, settings: Settings) -> Result<Row, String> {
    let dir = tempfile::tempdir().map_err(|error| format!("no directory: {error}"))?;
    let work = if settings.quick { work.quick() } else { work };
    let (unit, statistic) = match work.gives {
        Gives::Call if work.threads > 1 => ("ns", Statistic::Median),
        Gives::Call | Gives::Disabled => ("ns", Statistic::Min),
        Gives::Cpu => ("ns cpu/line", Statistic::Median),
        Gives::Sustained => ("ns/line", Statistic::Min),
        Gives::Allocations => ("allocations", Statistic::Min),
    };
    let sides = SIDES.iter().map(|side| side.name).collect();
    let job = Job { sides, work: work.name, settings, dir: &dir };
    let results = match work.gives {
        Gives::Sustained => job.sustained()?,
        _ => job.turns()?,
    };
    let mut row = Row::new(figure, unit, statistic);
    for (side, spread, kept) in results {
        let lost = kept.calls.abs_diff(kept.lines);
        if kept.lines > kept.calls {
            return Err(format!("{}: {} lines of {} calls", side, kept.lines, kept.calls));
        }
        if work.gives != Gives::Disabled {
            row.lost.insert(side.to_string(), lost as f64 / kept.calls as f64);
        }
        // Dropping is cheap: who drops isn't compared.
        row.add_spread(side, spread, 1.0, lost == 0);
    }
    Ok(row.finish())
}

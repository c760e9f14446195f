//! What a log call takes within a span, against outside of one.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use mcp_vitals::logs::{LogConfig, set_request_context};
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Logger, Vitals, info};

use crate::harness::{Settings, take_turns};
use crate::logs::work::{OPERATION, Request, TOOL};
use crate::report::{Row, Statistic};
use crate::sides::ours;

/// Calls of a burst, and how long the background has after it, as in the rows of the logs.
const CALLS: u64 = 20;
const PAUSE: Duration = Duration::from_micros(500);
const BURSTS: usize = 32;

/// The row: the same call with and without a span that is current, in turns.
///
/// # Errors
///
/// The engine can't be set up.
pub fn row(figure: &str, settings: Settings) -> Result<Row, String> {
    let traces = TraceConfig::to_memory();
    let vitals = Vitals::builder().system_metrics(false).logs(LogConfig::to_memory());
    let vitals = vitals.traces(traces).build().map_err(|error| error.to_string())?;
    let (logger, tracer) = (vitals.logger("bench"), vitals.tracer("bench"));
    let request = Request::new(7);
    let ids = [&request.id, &request.user, &request.session].map(|id| Some(id.as_ref()));
    let _context = set_request_context(ids[0], ids[1], ids[2]);
    let spreads = take_turns(2, settings.rounds, |_, turn| {
        let mut bursts: Vec<f64> = (0..BURSTS)
            .map(|_| {
                let span = (turn == 0).then(|| tracer.span("request"));
                let _current = span.as_ref().map(|span| span.enter());
                let took = burst(&logger);
                thread::sleep(PAUSE);
                took
            })
            .collect();
        bursts.sort_by(f64::total_cmp);
        Some(bursts[BURSTS / 2])
    });
    let mut row = Row::new(figure, "ns", Statistic::Min);
    row.add_spread(ours::NAME, spreads[0], 1.0, true);
    row.add_floor("outside", spreads[1], 1.0);
    Ok(row.finish())
}

fn burst(logger: &Logger) -> f64 {
    let start = Instant::now();
    for n in 0..CALLS {
        let (logger, n) = (black_box(logger), black_box(n));
        info!(logger, "request handled", tool = TOOL, operation = OPERATION, n = n);
    }
    start.elapsed().as_nanos() as f64 / CALLS as f64
}

//! One line that says how the load is going.

use std::time::{Duration, Instant};

use mcp_vitals::Vitals;

use super::tally::Tally;
use crate::cli::terminal::{CYAN, DIM, PLAIN, Terminal};

/// How often on a terminal, where the line is drawn in place, and elsewhere.
const REDRAW: Duration = Duration::from_millis(250);
const REPEAT: Duration = Duration::from_secs(5);

/// Shows progress for as long as it is awaited.
pub(super) async fn show(terminal: &Terminal, tally: &Tally, vitals: &Vitals) {
    let started = Instant::now();
    let every = if terminal.is_interactive() { REDRAW } else { REPEAT };
    let before = tally.sent().total;
    loop {
        tokio::time::sleep(every).await;
        let sent = tally.sent();
        let seconds = started.elapsed().as_secs_f64();
        let rate = (sent.total - before) as f64 / seconds;
        let open = in_flight(vitals);
        terminal.progress(format_args!(
            "{CYAN}{seconds:>4.0} s{PLAIN} {:>7} requests {DIM}{rate:>5.0}/s{PLAIN} \
             {:>6} errors {:>5} cancelled {open:>4} in flight",
            sent.total, sent.errors, sent.cancelled,
        ));
    }
}

/// Requests that are being handled now.
pub(super) fn in_flight(vitals: &Vitals) -> u64 {
    vitals.snapshot().sum("mcp_requests_in_flight", &[]) as u64
}

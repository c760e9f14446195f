//! Warm records of `log`, and warm events of `tracing` within spans, allocate nothing.

mod heap;

use std::hint::black_box;
use std::time::Duration;

use mcp_vitals::Vitals;
use mcp_vitals::logs::{Context, LogConfig, LogFile};
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt;

fn main() {
    assert_eq!(heap::asked_by(|| drop(black_box(Box::new(1)))), 2, "a window that sees nothing");
    let path = std::env::temp_dir().join(format!("mcp-vitals-bridge-{}.log", std::process::id()));
    let config = LogConfig::new().file(LogFile::new(&path));
    let vitals = Vitals::builder().system_metrics(false).logs(config).build().unwrap();
    vitals.log_bridge().install().unwrap();
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let _context = Context::new().request_id("req-1").field("tenant", "blue").enter();
    let request = tracing::info_span!("request", id = "r-1", user = Empty).entered();
    let tool = tracing::info_span!("tool", name = "add").entered();
    request.record("user", "ann");
    let (text, owned) = ("text", String::from("owned"));
    let work = |n: u64| {
        tracing::info!(n, ratio = 0.5, ok = true, text, "plain");
        tracing::info!(shown = %owned, debug = ?Some(n), absent = None::<u8>, n, "called {text}");
        tracing::debug!(n, "not taken");
        log::info!(n, ratio = 0.5, ok = true, text; "plain");
        log::info!(target: owned.as_str(), shown:% = owned; "called {text}");
        log::debug!(n; "not taken");
    };
    let rounds = 1_000;
    (0..10).for_each(work);
    let found = heap::asked_by(|| (0..rounds).for_each(work));
    assert_eq!(found, 0, "in {rounds} rounds");
    drop((tool, request));
    assert!(vitals.flush(Duration::from_secs(60)));
    let written = std::fs::read_to_string(&path).unwrap();
    let lost = vitals.snapshot().sum("mcp_vitals_log_lost_total", &[]) as usize;
    let lines = written.lines().filter(|line| line.contains("req-1")).count();
    assert_eq!(lines + lost, 4 * (rounds as usize + 10));
    assert!(written.contains("\"user\":\"ann\"") && written.contains("\"span\":\"request:tool\""));
    std::fs::remove_file(&path).unwrap();
}

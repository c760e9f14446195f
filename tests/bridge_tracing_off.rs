//! What is not taken of `tracing` runs nothing. In a process of its own: where several subscribers
//! disagree over a call site, `tracing` asks for its values whatever a layer's filter says.

use std::fmt;

use mcp_vitals::Vitals;
use mcp_vitals::logs::LogConfig;
use tracing::{debug, debug_span, error};
use tracing_subscriber::layer::SubscriberExt;

struct Never;

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        unreachable!("nobody asked")
    }
}

#[test]
fn an_event_that_is_not_taken_runs_nothing() {
    let vitals =
        Vitals::builder().system_metrics(false).logs(LogConfig::to_memory()).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        let mut asked = false;
        debug!(n = std::mem::replace(&mut asked, true), "{}", Never);
        let _span = debug_span!("unseen", n = std::mem::replace(&mut asked, true)).entered();
        assert!(!asked && !tracing::enabled!(tracing::Level::DEBUG));
    });
    assert!(vitals.captured_logs().is_empty());
    let off = tracing_subscriber::registry().with(Vitals::disabled().tracing_layer());
    tracing::subscriber::with_default(off, || error!("{}", Never));
}

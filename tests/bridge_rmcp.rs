//! A real server of the SDK beside a subscriber for the whole process: quiet about what its clients
//! send, unless somebody asks.

mod mcp_fixture;

use std::fmt;

use mcp_fixture::{Fixture, call, connect};
use mcp_vitals::logs::{LogConfig, LogFilter};
use mcp_vitals::{Level, Vitals};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;

/// A value whose code logs.
struct Nested;

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!(shown = %"within", "inner");
        f.write_str("shown")
    }
}

#[tokio::test]
async fn the_sdk_is_quiet_at_debug_and_speaks_when_asked() {
    let vitals =
        Vitals::builder().logs(LogConfig::to_memory().level(Level::Debug)).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let session = async |secret: &str| {
        let client = connect(Fixture::default()).await;
        let arguments = json!({ "a": 1, "b": 2, "note": secret });
        client.call_tool(call("add", arguments)).await.unwrap();
        client.cancel().await.unwrap();
    };
    session("secret-1").await;
    tracing::debug!(nested = %Nested, "own");
    vitals.set_log_filter("debug,rmcp=trace".parse::<LogFilter>().unwrap());
    session("secret-2").await;
    let raw = vitals.captured_logs();
    assert!(!raw.iter().any(|line| line.contains("secret-1")));
    assert!(raw.iter().any(|line| line.contains("secret-2")), "the SDK said nothing to keep out");
    let lines: Vec<Value> = raw.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own = lines.iter().position(|line| line["message"] == "own").unwrap();
    assert_eq!(lines[own]["nested"], "shown");
    assert_eq!(
        (&lines[own - 1]["message"], &lines[own - 1]["shown"]),
        (&json!("inner"), &json!("within"))
    );
    let of_sdk = |line: &&Value| line["logger"].as_str().unwrap().starts_with("rmcp");
    let (before, after) = lines.split_at(own);
    assert!(before.iter().filter(of_sdk).all(|line| line["level"] == "info"));
    assert!(before.iter().any(|line| of_sdk(&line)), "at info it does speak");
    assert!(after.iter().filter(of_sdk).any(|line| line["level"] != "info"));
}

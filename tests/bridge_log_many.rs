//! More call sites than the process keeps: in a process of their own.

use mcp_vitals::Vitals;
use mcp_vitals::logs::LogConfig;
use serde_json::{Value, json};

#[test]
fn more_call_sites_than_are_kept_lose_nothing() {
    log::set_max_level(log::LevelFilter::Info);
    let config = LogConfig::to_memory();
    let vitals = Vitals::builder().system_metrics(false).logs(config).build().unwrap();
    let bridge = vitals.log_bridge();
    for n in 0..6_000 {
        let target = format!("target-{n}");
        log::info!(logger: bridge, target: target.as_str(), n; "many {n}");
        if n % 500 == 0 {
            assert!(vitals.flush(std::time::Duration::from_secs(60)));
        }
    }
    let lines = vitals.captured_logs();
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6_000);
    let mut elsewhere = 0;
    for line in &lines {
        let n = line["n"].as_u64().unwrap();
        assert_eq!(line["message"], format!("many {n}"));
        let target = format!("target-{n}");
        if line["logger"] != target {
            elsewhere += 1;
            assert_eq!((&line["logger"], &line["target"]), (&json!("_other"), &json!(target)));
            assert_eq!(line["field.module"], "bridge_log_many");
        }
    }
    assert!(elsewhere > 1_000, "{elsewhere}");
}

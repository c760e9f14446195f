//! The process's one logger of the `log` crate, in a process of its own.

use mcp_vitals::logs::{LogConfig, LogFilter};
use mcp_vitals::{Error, Level, Vitals};

fn engine() -> Vitals {
    let config = LogConfig::to_memory();
    Vitals::builder().system_metrics(false).logs(config).build().unwrap()
}

#[test]
fn the_first_is_installed_and_the_max_level_follows_its_filter() {
    let (vitals, other) = (engine(), engine());
    vitals.log_bridge().install().unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Info);
    let error = other.log_bridge().install().unwrap_err();
    assert!(
        matches!(error, Error::Logs { .. }) && error.to_string().contains("already"),
        "{error}"
    );
    other.set_log_filter(Level::Trace);
    assert_eq!(log::max_level(), log::LevelFilter::Info, "of the one that is installed");
    log::debug!("no");
    vitals.set_log_filter("error,app=debug".parse::<LogFilter>().unwrap());
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    log::debug!(target: "app", n = 1; "yes");
    log::warn!("no");
    log::logger().flush();
    let lines = vitals.captured_logs();
    assert!(lines.len() == 1 && lines[0].contains("\"n\":1"), "{lines:?}");
    drop(vitals);
    assert_eq!(log::max_level(), log::LevelFilter::Off, "nobody takes any");
}

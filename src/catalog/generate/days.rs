//! Whole days in which nothing is wrong: no alert that is on by default may fire, in any minute.
//!
//! All servers have their day in the same test, where each is an instance: that costs promtool as many
//! evaluations as one of them. One check sees all alerts of every minute: what fires is in the series
//! `ALERTS` from then on.

use super::HEAD;
use super::cases::{SCRAPES, notation, one};
use crate::catalog::alerts::Samples;

/// Minutes of a day.
const DAY: u32 = 24 * 60;

pub(super) fn write() -> String {
    let mut text = format!(
        "{HEAD}#\n# Run with: promtool test rules alerts/tests/days_test.yml\n\n\
         rule_files:\n  - ../mcp.yml\n  - ../engine.yml\n\nevaluation_interval: 1m\n\ntests:\n"
    );
    text.push_str("  - name: days on which nothing is wrong, and one panic at noon\n    interval: 1m\n    input_series:\n");
    tools_only(&mut text, "tools only", DAY);
    for n in 0..50u32 {
        short(&mut text, &format!("stdio-{n}"), n * 28, 3 + n % 7);
    }
    base(&mut text, "a request a minute", "0x", DAY);
    series(&mut text, OK, "a request a minute", "0+1x", DAY);
    // Now and then one fails: of two in a window it is half, and of too few.
    text.push_str(&one(FAILED, "a request a minute", "0x700 1x20 2x720"));
    text.push_str(&one(ERRORS, "a request a minute", "0x700 1x20 2x720"));
    buckets(&mut text, "a request a minute", 1.0, DAY);
    base(&mut text, "idle", "0x", DAY);
    series(&mut text, OK, "idle", "0x", DAY);
    series(&mut text, FAILED, "idle", "0x", DAY);
    // That the check can see it: one bad minute, which is long over at the end.
    base(&mut text, "panics", "0x720 1x", DAY / 2);
    text.push_str(&format!(
        "    promql_expr_test:\n      - expr: count by (alertname, instance) (count_over_time(ALERTS{{alertstate=\"firing\"}}[1d]))\n        eval_time: {DAY}m\n        exp_samples:\n          - labels: '{{alertname=\"HandlerPanics\", instance=\"panics\"}}'\n            value: 1\n"
    ));
    text
}

const OK: &str = r#"mcp_requests_total{tool="t", operation="execute", status="success"}"#;
const FAILED: &str = r#"mcp_requests_total{tool="t", operation="execute", status="error"}"#;
const ERRORS: &str =
    r#"mcp_request_errors_total{tool="t", operation="execute", error_type="tool_error"}"#;

fn series(text: &mut String, name: &str, instance: &str, run: &str, minutes: u32) {
    text.push_str(&one(name, instance, &format!("{run}{minutes}")));
}

fn buckets(text: &mut String, instance: &str, each: f64, minutes: u32) {
    for le in ["0.1", "5.0", "+Inf"] {
        let name = format!(r#"mcp_request_duration_seconds_bucket{{tool="t", le="{le}"}}"#);
        text.push_str(&one(&name, instance, &notation(Samples::Count(each), minutes, false)));
    }
    let count = r#"mcp_request_duration_seconds_count{tool="t"}"#;
    text.push_str(&one(count, instance, &notation(Samples::Count(each), minutes, false)));
}

/// What each server has, idle or not; and how its handlers panic.
fn base(text: &mut String, instance: &str, panics: &str, minutes: u32) {
    for (name, run) in [
        ("up", "1x"),
        (r#"mcp_vitals_build_info{version="0.1.0"}"#, "1x"),
        ("process_start_time_seconds", "1000x"),
        (r#"mcp_requests_in_flight{tool="t"}"#, "0x"),
        (r#"mcp_panics_total{tool="t"}"#, panics),
        ("mcp_tasks_running", "0x"),
        ("mcp_sessions_active", "3x"),
        ("mcp_system_cpu_usage_percent", "20x"),
        ("mcp_system_memory_usage_percent", "60x"),
        (r#"mcp_memory_usage_bytes{type="rss"}"#, "20000000x"),
        (r#"mcp_memory_usage_bytes{type="total"}"#, "4000000000x"),
        // It is scraped: without, the rules over gauges are quiet for that alone.
        (SCRAPES, "0+4x"),
        (r#"mcp_vitals_lost_total{reason="memory_limit"}"#, "0x"),
        (r#"mcp_vitals_log_lost_total{place="ring", level="info", reason="full"}"#, "0x"),
    ] {
        series(text, name, instance, run, minutes);
    }
}

/// Requests at all times, some of them wrong by the caller's fault, and some that fail.
fn tools_only(text: &mut String, instance: &str, minutes: u32) {
    base(text, instance, "0x", minutes);
    series(text, OK, instance, "0+600x", minutes);
    series(text, FAILED, instance, "0+90x", minutes);
    series(text, ERRORS, instance, "0+20x", minutes);
    let client = ERRORS.replace("tool_error", "client_invalid_params");
    series(text, &client, instance, "0+70x", minutes);
    buckets(text, instance, 690.0, minutes);
}

/// One that starts at some minute, is scraped a few times and is gone for good.
fn short(text: &mut String, instance: &str, from: u32, minutes: u32) {
    let run = |samples: &str| format!("_x{from} {samples}x{minutes} stale");
    for (name, samples) in [
        ("up", "1"),
        (r#"mcp_vitals_build_info{version="0.1.0"}"#, "1"),
        ("process_start_time_seconds", "1000"),
        (r#"mcp_requests_in_flight{tool="t"}"#, "0"),
        (OK, "0+7"),
        ("mcp_sessions_active", "1"),
        (SCRAPES, "0+4"),
        (r#"mcp_memory_usage_bytes{type="rss"}"#, "20000000"),
        (r#"mcp_memory_usage_bytes{type="total"}"#, "4000000000"),
    ] {
        text.push_str(&one(name, instance, &run(samples)));
    }
}

/// What is looked at each half hour: that a server is down is said for a day.
pub(super) fn forgotten() -> String {
    let firing = r#"ALERTS{alertname="MCPServerDown", alertstate="firing"}"#;
    let step = 1_800;
    let mut text = super::cases::head("mcp", "mcp_days", "30m");
    text.push_str("  - name: MCPServerDown is forgotten after a day\n");
    text.push_str("    interval: 30m\n    input_series:\n");
    text.push_str(&one("up", "gone", "1x2 0x60"));
    text.push_str(&one(r#"mcp_vitals_build_info{version="0.1.0"}"#, "gone", "1x2 stale"));
    // It holds from the third step on, and is there at the next; until a day after the second.
    let (first, day) = (4, 48);
    let (last, end) = (2 + day - 1, 2 + day + 9);
    text.push_str(&format!(
        "    promql_expr_test:\n      - expr: 'sum(count_over_time({firing}[{0}s]))'\n        eval_time: {0}s\n        exp_samples:\n          - value: {1}\n      - expr: '{firing}'\n        eval_time: {2}s\n",
        last * step,
        last - first + 1,
        end * step,
    ));
    text
}

//! The history, of readings made by hand.

use std::time::Instant;

use serde_json::Value;

use super::super::cells::Cells;
use super::*;
use crate::snapshot::Number;

const ALL: Wanted = Wanted { coarse: true, fine: true, since: 0.0 };

fn reading(tools: &[(&str, u64)]) -> Reading {
    let mut reading = Reading::new(Instant::now());
    for (tool, total) in tools {
        let labels = [Box::from(*tool), "execute".into(), "success".into()];
        reading.add(Of::Requests, labels.into(), Number::Total(*total));
    }
    reading
}

fn interval(tools: &[(&str, u64)], seconds: f64) -> Interval {
    let mut interval = Interval { seconds, ..Interval::default() };
    for (tool, ended) in tools {
        let cells = Cells::of(vec![(2_000_000, *ended)]);
        let slow = Some(Slow { trace: [7; 16], units: 2_000_000, unix_ms: 1 });
        let work = Work { ended: *ended, answered: *ended, errors: 0, cells, slow };
        interval.all.add(&work);
        interval.tools.entry([Box::from(*tool), "execute".into()]).or_default().add(&work);
    }
    interval
}

fn json(history: &History, wanted: Wanted) -> Value {
    serde_json::from_slice(&history.json(wanted)).unwrap()
}

#[test]
fn a_point_says_what_its_time_was_like() {
    let mut history = History::default();
    let came = interval(&[("a", 30), ("b", 10)], 10.0);
    history.coarse(&reading(&[("a", 30), ("b", 10)]), 1_000_000, &came);
    let coarse = &json(&history, ALL)["coarse"];
    assert_eq!(coarse["t"], serde_json::json!([1000.0]));
    assert_eq!(coarse["all"]["rate"], serde_json::json!([4.0]));
    assert_eq!(coarse["all"]["p99_ms"], serde_json::json!([2.0]));
    assert_eq!(coarse["all"]["error_ratio"], serde_json::json!([0.0]));
    assert_eq!(coarse["tools"]["a"]["rate"], serde_json::json!([3.0]));
    assert_eq!(coarse["tools"]["b"]["slow"][0]["trace_id"], "07".repeat(16));
    assert_eq!(coarse["cpu_percent"], serde_json::json!([null]));
    // 2 ms is between 1.6 and 3.2.
    assert_eq!(coarse["heat"]["counts"][0][6], 40);
    assert_eq!(coarse["heat"]["bounds_ms"][6], 3.2);
    assert_eq!(coarse["heat"]["bounds_ms"].as_array().unwrap().len(), HEAT);
}

#[test]
fn it_is_bounded_in_points_tools_and_bytes() {
    let names: Vec<String> = (0..300).map(|n| format!("tool_{n}")).collect();
    let tools: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 5)).collect();
    let (reading, came) = (reading(&tools), interval(&tools, 10.0));
    let mut history = History::default();
    for second in 0..2_000u64 {
        history.fine(&reading, 1_000_000 + second * 1_000, &came);
        history.coarse(&reading, 1_000_000 + second * 10_000, &came);
    }
    assert_eq!((history.coarse.0.len(), history.fine.0.len()), (COARSE.0, FINE.0));
    assert!(history.bytes() < 2 << 20, "{} bytes", history.bytes());
    let fine = &json(&history, ALL)["fine"];
    assert_eq!(fine["tools"].as_object().unwrap().len(), MOST_TOOLS + 1);
    let sum = |of: &str| fine["tools"][of]["rate"][0].as_f64().unwrap();
    assert_eq!(sum("_other"), 140.0, "280 of them, 5 in 10 s each");
    for column in ["rate", "errors", "p50_ms", "p95_ms", "p99_ms", "slow"] {
        assert_eq!(fine["tools"]["_other"][column].as_array().unwrap().len(), FINE.0);
    }
}

#[test]
fn a_tool_that_is_used_much_more_gets_the_place_of_one_that_is_not() {
    let names: Vec<String> = (0..MOST_TOOLS).map(|n| format!("tool_{n:02}")).collect();
    let mut tools: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 10)).collect();
    let mut history = History::default();
    history.coarse(&reading(&tools), 1_000_000, &interval(&tools, 10.0));
    tools.push(("late", 20));
    history.coarse(&reading(&tools), 1_010_000, &interval(&tools, 10.0));
    assert_eq!(json(&history, ALL)["coarse"]["tools"]["late"], Value::Null, "not twice as many");
    tools.last_mut().unwrap().1 = 22;
    history.coarse(&reading(&tools), 1_020_000, &interval(&tools, 10.0));
    let coarse = &json(&history, ALL)["coarse"]["tools"];
    let late = serde_json::json!([0.0, 0.0, 2.2]);
    let rates: Vec<f64> = late.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    let own: Vec<f64> =
        coarse["late"]["rate"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    assert!(own.iter().zip(&rates).all(|(a, b)| (a - b).abs() < 1e-3), "{own:?}");
    assert_eq!(coarse["late"]["p50_ms"][0], Value::Null, "its past is not another's");
}

#[test]
fn a_time_that_nobody_looked_at_is_a_gap() {
    let mut history = History::default();
    for second in [0u64, 1, 2, 30, 31] {
        let (reading, came) = (reading(&[("a", 1)]), interval(&[("a", 1)], 1.0));
        history.fine(&reading, 1_000_000 + second * 1_000, &came);
    }
    let fine = &json(&history, ALL)["fine"];
    assert_eq!(fine["t"], serde_json::json!([1000.0, 1001.0, 1002.0, 1003.0, 1030.0, 1031.0]));
    assert_eq!(fine["all"]["rate"], serde_json::json!([1.0, 1.0, 1.0, null, 1.0, 1.0]));
    assert_eq!(fine["heat"]["counts"][3], Value::Null);
}

#[test]
fn only_what_is_asked_for() {
    let mut history = History::default();
    for step in 0..5u64 {
        let (reading, came) = (reading(&[("a", 1)]), interval(&[("a", 1)], 10.0));
        history.coarse(&reading, 1_000_000 + step * 10_000, &came);
        history.fine(&reading, 1_000_000 + step * 1_000, &came);
    }
    let some = json(&history, Wanted { fine: false, since: 1020.0, ..ALL });
    assert_eq!(some["coarse"]["t"], serde_json::json!([1030.0, 1040.0]));
    assert_eq!(some["coarse"]["all"]["rate"].as_array().unwrap().len(), 2);
    assert_eq!(some["fine"], Value::Null);
    let none = json(&history, Wanted { since: f64::INFINITY, ..ALL });
    assert_eq!(none["fine"]["t"], serde_json::json!([]));
}

#[test]
fn a_clock_that_is_set_back_takes_what_is_yet_to_come_with_it() {
    let mut history = History::default();
    for millis in [3_998_000u64, 3_999_000, 4_100_000, 4_000_000, 4_001_000] {
        history.fine(&reading(&[]), millis, &interval(&[], 1.0));
    }
    let fine = json(&history, ALL);
    assert_eq!(fine["fine"]["t"], serde_json::json!([3_998.0, 3_999.0, 4_000.0, 4_001.0]));
}

#[test]
fn four_digits() {
    for (number, expected) in [(1234.56, 1235.0), (0.000_123_456, 0.000_123_5), (7.0, 7.0)] {
        assert!((short(number) - expected).abs() < expected * 1e-6, "{number}");
    }
    assert_eq!(short(0.0), 0.0);
    assert!(short(f32::NAN).is_nan());
}

#[test]
fn each_duration_has_a_bucket() {
    assert_eq!((bucket(0.0), bucket(0.05), bucket(0.051), bucket(1e12)), (0, 0, 1, HEAT - 1));
}

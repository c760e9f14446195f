//! The engine through its public names: what is recorded is what a scrape shows.

use std::thread;

use mcp_vitals::{Desc, Unit, Vitals};

fn engine() -> Vitals {
    Vitals::builder().build().unwrap()
}

#[test]
fn every_kind_shows_what_was_recorded() {
    let vitals = engine();
    let calls =
        vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool", "status"])).unwrap();
    calls.with(["search", "success"]).add(3);
    calls.with(["search", "error"]).inc();
    vitals.gauge("temperature", "Degrees.").unwrap().set(-1.5);
    let open = vitals.updown("open", "Open.").unwrap();
    open.add(3);
    open.dec();
    let latency = vitals
        .register(Desc::histogram("latency_seconds", "Latency.").buckets(&[0.001, 0.01]))
        .unwrap()
        .with([]);
    latency.record_nanos(1_000_000);
    latency.record_nanos(1_000_001);
    latency.observe(0.5);
    let text = vitals.export_prometheus();
    for line in [
        "# HELP calls_total Calls.\n# TYPE calls_total counter",
        "calls_total{tool=\"search\",status=\"success\"} 3",
        "calls_total{tool=\"search\",status=\"error\"} 1",
        "temperature -1.5",
        "open 2",
        "# TYPE latency_seconds histogram",
        "latency_seconds_bucket{le=\"0.001\"} 1",
        "latency_seconds_bucket{le=\"0.01\"} 2",
        "latency_seconds_bucket{le=\"+Inf\"} 3",
        "latency_seconds_sum 0.502000001",
        "latency_seconds_count 3",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n in \n{text}");
    }
}

#[test]
fn a_quantile_is_within_half_a_cell_whatever_the_cells() {
    for cells in [16u32, 32, 64, 128, 256] {
        let vitals = engine();
        let sizes = Desc::histogram("size_bytes", "Sizes.").unit(Unit::Bytes).labels(["n"]);
        let sizes = vitals.register(sizes.cells_per_octave(cells)).unwrap();
        let values: Vec<u64> = (100_000..200_000).step_by(997).collect();
        for value in &values {
            sizes.with([&value.to_string()]).record_units(*value);
        }
        let snapshot = vitals.snapshot();
        for value in values {
            let read = snapshot.histogram("size_bytes", &[("n", &value.to_string())]).unwrap();
            let off = (read.quantile(0.5) - value as f64).abs() / value as f64;
            assert!(off <= 0.5 / f64::from(cells), "{off} at {value} with {cells} cells");
        }
    }
}

#[test]
fn a_boundary_of_minus_zero_is_zero() {
    let vitals = engine();
    let desc = Desc::histogram("time_seconds", "Time.").buckets(&[-0.0, 1.0]);
    vitals.register(desc).unwrap().with([]).record_nanos(0);
    assert!(vitals.export_prometheus().contains("time_seconds_bucket{le=\"0.0\"} 1\n"));
}

#[test]
fn target_info_is_there_when_the_service_has_a_name() {
    assert!(!engine().export_prometheus().contains("target_info"));
    let vitals = Vitals::builder().service("search", "1.4.0").build().unwrap();
    let info = "\ntarget_info{service_name=\"search\",service_version=\"1.4.0\"} 1\n";
    assert!(vitals.export_prometheus().contains(info));
}

/// What a description says of itself stands, in whatever order it is said.
#[test]
fn a_unit_takes_nothing_back() {
    let vitals = engine();
    let sizes = || Desc::histogram("size_bytes", "Sizes.");
    let early = sizes().buckets(&[10.0]).highest_units(100).unit(Unit::Bytes);
    vitals.register(early).unwrap().with([]).record_units(1_000);
    // The same metric.
    let late = sizes().unit(Unit::Bytes).highest_units(100).buckets(&[10.0]);
    vitals.register(late).unwrap().with([]).record_units(7);
    let snapshot = vitals.snapshot();
    let read = snapshot.histogram("size_bytes", &[]).unwrap();
    assert_eq!(read.buckets(), [(10.0, 1), (f64::INFINITY, 2)]);
    let clamped = snapshot.value("mcp_vitals_clamped_total", &[("metric", "size_bytes")]);
    assert_eq!(clamped, Some(1.0));

    let times = || Desc::histogram("time_seconds", "Times.");
    vitals.register(times()).unwrap();
    vitals.register(times().unit(Unit::Bytes).unit(Unit::Seconds)).unwrap();
}

/// A boundary at each small value, several between a value and its double, and one in every few doublings:
/// each counts what is at or below it.
#[test]
fn boundaries_are_exact_wherever_they_stand() {
    let small: Vec<f64> = (1..=100).map(f64::from).collect();
    let even: Vec<f64> = (1..=60).map(|n| f64::from(n) * 5_000.0).collect();
    let lists = [&small[..], &[10.0, 100.0, 1_000.0], &even, &[1.0, 100_000.0]];
    let vitals = engine();
    let values: Vec<u64> = (0..300).chain((0..300).map(|n| n * n * 7)).collect();
    for (n, bounds) in lists.into_iter().enumerate() {
        let name = format!("sizes_{n}");
        let desc = Desc::histogram(&name, "").unit(Unit::Count).buckets(bounds);
        let sizes = vitals.register(desc).unwrap().with([]);
        for times in [1, 2] {
            values.iter().for_each(|&value| sizes.record_units(value));
            thread::scope(|scope| {
                scope.spawn(|| values.iter().for_each(|&value| sizes.record_units(value)));
            });
            let snapshot = vitals.snapshot();
            let read = snapshot.histogram(&name, &[]).unwrap();
            assert_eq!(read.count(), 2 * times * values.len() as u64);
            assert_eq!(read.sum(), (2 * times * values.iter().sum::<u64>()) as f64);
            let text = vitals.export_prometheus();
            for &bound in bounds {
                let below = values.iter().filter(|&&value| value as f64 <= bound).count();
                let line =
                    format!("{name}_bucket{{le=\"{bound:?}\"}} {}\n", 2 * times as usize * below);
                assert!(text.contains(&line), "{line}{text}");
            }
        }
    }
}

/// What a unit allows, over and over: the sum stops at 2^63, and never goes back.
#[test]
fn a_sum_of_the_largest_values_never_goes_back() {
    let vitals = engine();
    let desc = Desc::histogram("sizes", "").unit(Unit::Bytes).highest_units(i64::MAX as u64);
    let sizes = vitals.register(desc).unwrap().with([]);
    let mut before = 0.0;
    for n in 1..=10 {
        sizes.record_units(1 << 62);
        let snapshot = vitals.snapshot();
        let read = snapshot.histogram("sizes", &[]).unwrap();
        assert_eq!(read.count(), n);
        assert!(read.sum() >= before && read.sum() <= (1u64 << 63) as f64, "{}", read.sum());
        before = read.sum();
    }
}

//! Sampling as a host sees it: what a kept observation weighs, how the share is set, changed and
//! shown, and what stays exact. That totals and quantiles are right is proven with fixed seeds
//! beside the sampler; here the seeds are the system's, and nothing is asserted that one of them
//! could break.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_vitals::{Desc, Error, Histogram, HistogramSnapshot, Outcome, Vitals};

const NAME: &str = "work_seconds";

fn vitals() -> Vitals {
    Vitals::builder().system_metrics(false).build().unwrap()
}

fn sampled(vitals: &Vitals, n: u32) -> Histogram {
    let desc = Desc::histogram(NAME, "Work.").buckets(&[0.001, 1.0]).sample(n);
    vitals.register(desc).unwrap().with([])
}

fn read<R>(vitals: &Vitals, name: &str, read: impl FnOnce(&HistogramSnapshot) -> R) -> R {
    read(vitals.snapshot().histogram(name, &[]).unwrap())
}

fn count(vitals: &Vitals) -> u64 {
    read(vitals, NAME, HistogramSnapshot::count)
}

/// What is shown of a metric's sampling.
fn ratio(vitals: &Vitals, metric: &str) -> Option<f64> {
    vitals.snapshot().value("mcp_vitals_sampling_ratio", &[("metric", metric)])
}

/// Eight standard deviations around a total of `records`, each kept 1 in `n` at most: what falls
/// outside does so once in 10^15 runs.
fn is_near(total: u64, records: u64, n: u64) -> bool {
    total.abs_diff(records) as f64 <= 8.0 * ((records * (n - 1)) as f64).sqrt()
}

#[test]
fn what_is_kept_weighs_n_in_all_that_is_shown() {
    let vitals = vitals();
    let histogram = sampled(&vitals, 8);
    for _ in 0..20_000 {
        histogram.record_nanos(5_000);
        histogram.observe(0.5);
    }
    let shown = count(&vitals);
    assert!(shown.is_multiple_of(8) && is_near(shown, 40_000, 8), "{shown}");
    read(&vitals, NAME, |read| {
        let fast = read.buckets()[0].1;
        assert!(fast.is_multiple_of(8) && is_near(fast, 20_000, 8), "{fast}");
        assert_eq!(read.buckets()[1..], [(1.0, shown), (f64::INFINITY, shown)]);
        assert_eq!(read.sum_units(), fast * 5_000 + (shown - fast) * 500_000_000);
        assert_eq!(read.hdr().len(), shown);
    });
    let text = vitals.export_prometheus();
    assert!(text.contains(&format!("{NAME}_count {shown}\n")), "{text}");
    assert!(text.contains(&format!("{NAME}_bucket{{le=\"+Inf\"}} {shown}\n")), "{text}");
    assert!(text.contains("mcp_vitals_sampling_ratio{metric=\"work_seconds\"} 0.125\n"), "{text}");
}

#[test]
fn the_builder_goes_before_the_description_and_the_first_registration_before_the_second() {
    let vitals = Vitals::builder()
        .system_metrics(false)
        .sample("by_builder_seconds", 3)
        .sample("by_builder_seconds", 4)
        .sample("not_sampled_seconds", 1)
        .sample("mcp_task_duration_seconds", 16)
        .build()
        .unwrap();
    for (name, n, again, shown) in [
        ("by_desc_seconds", 2, 5, Some(0.5)),
        ("by_builder_seconds", 2, 5, Some(0.25)),
        ("not_sampled_seconds", 2, 1, None),
        ("neither_seconds", 1, 5, None),
    ] {
        vitals.register(Desc::histogram(name, "Work.").sample(n)).unwrap();
        assert_eq!(ratio(&vitals, name), shown, "{name}");
        vitals.register(Desc::histogram(name, "Work.").sample(again)).unwrap();
        assert_eq!(ratio(&vitals, name), shown, "{name}");
    }
    assert_eq!(ratio(&vitals, "mcp_task_duration_seconds"), Some(1.0 / 16.0));
    assert_eq!(ratio(&vitals, "mcp_request_duration_seconds"), None);
    let labelled = Desc::histogram("labelled_seconds", "Work.").sample(7).labels(["queue"]);
    vitals.register(labelled).unwrap();
    assert_eq!(ratio(&vitals, "labelled_seconds"), Some(1.0 / 7.0));
}

#[test]
fn it_is_changed_while_running_and_off_is_exact() {
    let vitals = vitals();
    let histogram = sampled(&vitals, 1);
    let record = || (0..1_000).for_each(|_| histogram.record_nanos(1_000));
    record();
    assert_eq!((count(&vitals), ratio(&vitals, NAME)), (1_000, None));
    vitals.set_sampling(NAME, 65_536).unwrap();
    record();
    let kept = count(&vitals) - 1_000;
    assert!(kept.is_multiple_of(65_536) && kept / 65_536 < 100, "{kept}");
    assert_eq!(ratio(&vitals, NAME), Some(1.0 / 65_536.0));
    vitals.set_sampling(NAME, 1).unwrap();
    record();
    assert_eq!(count(&vitals), kept + 2_000);
    assert_eq!(ratio(&vitals, NAME), Some(1.0));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let range = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, Error::OutOfRange { metric, field: "sample", min: 1, max: 65_536, .. }
                if metric == NAME),
            "{error}"
        );
    };
    let builder = || Vitals::builder().system_metrics(false);
    let vitals = vitals();
    for n in [0, 65_537, u32::MAX] {
        range(vitals.set_sampling(NAME, n));
        range(vitals.register(Desc::histogram(NAME, "Work.").sample(n)).map(drop));
        range(builder().sample(NAME, n).build().map(drop));
    }
    // Nothing was half registered.
    assert!(matches!(vitals.set_sampling(NAME, 2), Err(Error::UnknownMetric { .. })));

    for name in ["mcp_requests_total", "mcp_tasks_running"] {
        let error = builder().sample(name, 2).build().unwrap_err();
        assert!(matches!(&error, Error::NotSampled { name: of } if of == name), "{error}");
        let error = vitals.set_sampling(name, 2).unwrap_err();
        assert!(matches!(&error, Error::NotSampled { name: of } if of == name), "{error}");
    }
    for name in ["mcp_vitals_scrape_duration_seconds", "target_info"] {
        let error = builder().sample(name, 2).build().unwrap_err();
        assert!(matches!(&error, Error::Reserved { .. }), "{error}");
        let error = vitals.set_sampling(name, 2).unwrap_err();
        assert!(matches!(&error, Error::Reserved { .. }), "{error}");
    }
    assert!(Vitals::disabled().set_sampling(NAME, 2).is_ok());
}

#[test]
fn a_section_that_is_passed_over_is_not_timed() {
    let vitals = vitals();
    let histogram = sampled(&vitals, 4);
    let mut timed = 0;
    for _ in 0..10_000 {
        let timer = histogram.start_timer();
        // Long enough for any clock.
        std::hint::black_box((0..100).sum::<u64>());
        timed += u64::from(timer.stop() > Duration::ZERO);
        histogram.start_timer().discard();
    }
    assert_eq!(count(&vitals), timed * 4);
    assert!(is_near(timed * 4, 10_000, 4), "{timed}");
    (0..10_000).for_each(|_| drop(histogram.start_timer()));
    assert!(is_near(count(&vitals), 20_000, 4));
}

/// Its start has decided, whatever is set meanwhile.
#[test]
fn a_section_weighs_what_it_did_at_its_start() {
    let vitals = vitals();
    let histogram = sampled(&vitals, 4);
    let timers: Vec<_> = (0..1_000).map(|_| histogram.start_timer()).collect();
    vitals.set_sampling(NAME, 1).unwrap();
    drop(timers);
    let shown = count(&vitals);
    assert!(shown.is_multiple_of(4) && is_near(shown, 1_000, 4), "{shown}");
}

#[test]
fn refused_is_counted_exactly_and_clamped_weighs_as_what_it_is_said_of() {
    let vitals = vitals();
    let histogram = sampled(&vitals, 8);
    for _ in 0..100 {
        histogram.record_nanos(u64::MAX);
        histogram.observe(f64::NAN);
        histogram.observe(-1.0);
    }
    let of = [("metric", NAME)];
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.value("mcp_vitals_refused_total", &of), Some(300.0));
    assert_eq!(snapshot.histogram(NAME, &[]).unwrap().count(), 0);
    // Two hours, where one is the most.
    (0..10_000).for_each(|_| histogram.record(Duration::from_secs(7_200)));
    let snapshot = vitals.snapshot();
    let read = snapshot.histogram(NAME, &[]).unwrap();
    assert!(is_near(read.count(), 10_000, 8));
    assert_eq!(snapshot.value("mcp_vitals_clamped_total", &of), Some(read.count() as f64));
    assert_eq!(read.sum(), 7_200.0 * read.count() as f64);
}

/// The sum stops where a value that is not sampled would have made it stop.
#[test]
fn a_weight_that_no_sum_holds_does_not_turn_it_round() {
    let vitals = vitals();
    let desc = Desc::histogram("ages", "Ages.").highest_units(i64::MAX as u64).sample(4);
    let ages = vitals.register(desc).unwrap().with([]);
    // Four times as much is 2^64, of which 64 bits would keep nothing.
    (0..1_000).for_each(|_| ages.record_units(1 << 62));
    assert_eq!(read(&vitals, "ages", HistogramSnapshot::sum_units), i64::MAX as u64);
}

#[test]
fn a_request_is_counted_exactly_and_its_duration_sampled() {
    let vitals = Vitals::builder()
        .system_metrics(false)
        .sample("mcp_request_duration_seconds", 4)
        .build()
        .unwrap();
    vitals.mcp().learn_tools(["x"]);
    for _ in 0..10_000 {
        let request = vitals.request("tools/call").tool("x").start();
        std::hint::black_box((0..100).sum::<u64>());
        // Who asks for the duration has it, kept or not.
        assert!(request.finish(Outcome::Ok) > Duration::ZERO);
    }
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.sum("mcp_requests_total", &[("tool", "x")]), 10_000.0);
    let timed = snapshot.sum("mcp_request_duration_seconds", &[("tool", "x")]) as u64;
    assert!(timed.is_multiple_of(4) && is_near(timed, 10_000, 4), "{timed}");
}

/// Threads record, by value and by timer, while another changes n; and what their destructors
/// record, without a shard, is sampled too.
#[test]
fn threads_and_changes_leave_the_total_right() {
    const RECORDS: u64 = 200_000;
    const MOST: u32 = 100;
    struct AtTheEnd(Histogram);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            (0..RECORDS / 2).for_each(|_| self.0.record_nanos(1_000));
        }
    }
    thread_local! {
        static AT_THE_END: std::cell::OnceCell<AtTheEnd> = const { std::cell::OnceCell::new() };
    }
    let vitals = vitals();
    let histogram = sampled(&vitals, MOST);
    let done = AtomicBool::new(false);
    let common = || vitals.snapshot().value("mcp_vitals_common_records_total", &[]).unwrap();
    let before = common();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    // Before the first record, so that its destructor comes after the lease's.
                    AT_THE_END
                        .with(|end| end.get_or_init(|| AtTheEnd(histogram.clone())).0.clone());
                    for _ in 0..RECORDS / 4 {
                        histogram.record_nanos(1_000);
                        drop(histogram.start_timer());
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for n in (1..=MOST).cycle() {
                vitals.set_sampling(NAME, n).unwrap();
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let joined: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        joined.into_iter().for_each(|result| result.unwrap());
    });
    let total = count(&vitals);
    assert!(is_near(total, 2 * RECORDS, MOST.into()), "{total}");
    assert!(common() > before, "nothing was recorded without a shard");
}

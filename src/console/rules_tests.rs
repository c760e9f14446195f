//! The rules with the cases of their alerts, which promtool runs, too.

use super::*;
use crate::catalog::alerts::{Alert, Case, Input, Samples, Selectors, Shown, alerts};

/// Seconds between two samples of a case.
const STEP: u32 = 15;

/// Long enough for the longest wait and the longest window after what turns late.
const STEPS: u32 = 120;

fn alert(name: &str) -> &'static Alert {
    alerts().find(|alert| alert.name == name).unwrap()
}

/// What a series of a case stands at.
fn at(samples: Samples, step: u32, times: f64) -> f64 {
    match samples {
        // As a counter of whole events.
        Samples::Count(more) => (more * times * f64::from(step)).floor(),
        Samples::Turns(turns) => {
            let steps = 1..=step;
            (steps.map(|step| turn(turns, step * STEP - 1)).sum::<f64>() * times).floor()
        }
        // What came before the restart, and what has come since: nothing at its step.
        Samples::Anew(turns, each, anew) => {
            let before = match turns {
                [] => Samples::Count(each),
                turns => Samples::Turns(turns),
            };
            let since = f64::from(step.saturating_sub(anew)) * each * times;
            at(before, step.min(anew - 1), times) + since.floor()
        }
        Samples::Level(level) => level,
        Samples::Levels(levels) => turn(levels, step * STEP),
        Samples::Ramp(from, more) => from + more * f64::from(step),
        other => panic!("no case of these rules has {other:?}"),
    }
}

/// What holds at this second, of turns that each hold up to theirs.
fn turn(turns: &[(f64, u32)], second: u32) -> f64 {
    let now = turns.iter().take(turns.len() - 1).find(|(_, until)| second < *until);
    now.or(turns.last()).unwrap().0
}

/// What comes to it with this step.
fn more(samples: Samples, step: u32, times: f64) -> u64 {
    (at(samples, step, times) - at(samples, step - 1, times)) as u64
}

/// The series of a case as the console would have read them.
fn read(inputs: &[Input], step: u32, times: f64) -> (Option<Interval>, Levels) {
    let mut came = Interval { seconds: STEP.into(), ..Interval::default() };
    let mut levels = Levels::default();
    let (mut memory, mut buckets) = ([None; 3], Vec::<(f64, u64)>::new());
    for &Input { series, samples } in inputs {
        let has = |label: &str| series.contains(label);
        let came_now = || if step > 0 { more(samples, step, times) } else { 0 };
        let level = at(samples, step, times);
        match series.split('{').next().unwrap() {
            "mcp_requests_total" if has("cancelled") => {}
            "mcp_requests_total" => came.all.answered += came_now(),
            "mcp_request_errors_total" if !has("client_") => came.all.errors += came_now(),
            "mcp_request_errors_total" => {}
            "mcp_request_duration_seconds_bucket" => {
                let le = series.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
                let le = le.parse().unwrap_or(f64::INFINITY);
                match buckets.iter_mut().find(|(other, _)| *other == le) {
                    Some((_, count)) => *count += came_now(),
                    None => buckets.push((le, came_now())),
                }
            }
            "mcp_request_duration_seconds_count" | "mcp_tasks_running" => {}
            "mcp_agents_spawned_total" => came.agents_spawned += came_now(),
            "mcp_agents_failed_total" => came.agents_failed += came_now(),
            "mcp_tasks_pending" => *levels.pending.get_or_insert(0.0) += level,
            "mcp_memory_usage_bytes" => {
                let kinds = ["rss", "heap", "total"];
                memory[kinds.iter().position(|kind| has(kind)).unwrap()] = Some(level);
            }
            "mcp_system_cpu_usage_percent" => levels.cpu = Some(level),
            "mcp_auth_attempts_total" => {
                levels.logins = true;
                came.auth_failed += if has("failed") { came_now() } else { 0 };
            }
            other => panic!("{other}"),
        }
    }
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut below = 0;
    // Each observation just below its boundary.
    let cells = buckets.iter().map(|&(le, count)| {
        let alone = count - below;
        below = count;
        ((le.min(1e6) * 0.999 * 1e9) as u64, alone)
    });
    came.all.cells = Cells::of(cells.collect());
    let [rss, heap, total] = memory;
    levels.memory = used_share(heap, rss, total);
    // That a process is there Prometheus knows from its second scrape on.
    if step == 0 { (None, Levels::default()) } else { (Some(came), levels) }
}

/// Whether it counts in parts of an event.
fn is_broken(samples: Samples) -> bool {
    match samples {
        Samples::Count(more) => more.fract() != 0.0,
        Samples::Turns(turns) => turns.iter().any(|(more, _)| more.fract() != 0.0),
        _ => false,
    }
}

/// The seconds at which `name` first fires. What Prometheus reads in parts of an event is read in
/// thousandths here: only rules of ratios have such cases.
fn fires(name: &str, inputs: &[Input], times: f64) -> Option<u32> {
    let broken = inputs.iter().any(|input| is_broken(input.samples));
    let times = if broken && times == 1.0 { 1_000.0 } else { times };
    let (mut rules, start) = (Rules::new(), Instant::now());
    (0..STEPS).find_map(|step| {
        let (came, levels) = read(inputs, step, times);
        let at = start + Duration::from_secs((step * STEP).into());
        rules.next(at, 0, came.as_ref(), levels);
        let rule = rules.told.iter().find(|rule| rule.name == name).unwrap();
        (rule.state == Standing::Firing).then_some(step * STEP)
    })
}

#[test]
fn each_fires_when_its_alert_does() {
    for (KeyAlert { name, .. }, ..) in RULES {
        let Case { fires: inputs, at, .. } = alert(name).case;
        assert_eq!(fires(name, inputs, 1.0), Some(at), "{name}");
    }
}

#[test]
fn each_is_of_the_unit_that_its_alert_shows() {
    for rule in Rules::new().told() {
        let unit = match alert(rule.name).shown {
            Shown::Ratio => "ratio",
            Shown::Percent => "percent",
            Shown::Seconds => "seconds",
            Shown::Number => "number",
            Shown::BytesWithin => "bytes",
        };
        assert_eq!(rule.unit, unit, "{}", rule.name);
    }
}

#[test]
fn each_is_quiet_when_its_alert_is() {
    for (KeyAlert { name, .. }, ..) in RULES {
        let Case { fires: inputs, quiet, least, .. } = alert(name).case;
        assert_eq!(fires(name, quiet, 1.0), None, "{name}");
        if least > 0.0 {
            assert_eq!(fires(name, inputs, least * 0.9), None, "{name}, of too few");
        }
    }
}

#[test]
fn each_does_what_its_alert_does_in_further_scenes() {
    for (KeyAlert { name, .. }, ..) in RULES {
        for scene in alert(name).case.scenes {
            // The console is of one process: with a restart it begins anew itself.
            if scene.inputs.iter().any(|input| matches!(input.samples, Samples::Anew(..))) {
                continue;
            }
            let expected = scene.fires.map(|(at, _)| at);
            assert_eq!(fires(name, scene.inputs, 1.0), expected, "{name}: {}", scene.what);
        }
    }
}

#[test]
fn the_expressions_read_what_the_rules_do() {
    let selectors = Selectors { matchers: "", tool: String::new(), one_tool: false };
    for (KeyAlert { name, .. }, asks, _) in RULES {
        let alert = alert(name);
        // The console asks a process that is there.
        let expr = (alert.expr)(&selectors, "T").replace(&selectors.alive(), "");
        let reads = match asks {
            Asks::Errors | Asks::Latency => Some(REQUESTS),
            Asks::Agents => Some(AGENTS),
            Asks::Logins => Some(FAILED_LOGINS),
            Asks::Queue | Asks::Memory | Asks::Cpu => None,
        };
        let Some(reads) = reads else {
            assert!(!expr.contains('['), "{expr}");
            continue;
        };
        let windows: Vec<&str> =
            expr.split('[').skip(1).filter_map(|rest| rest.split(']').next()).collect();
        let minutes = format!("{}m", reads.window / 60);
        assert!(!windows.is_empty() && windows.iter().all(|window| *window == minutes), "{expr}");
        assert_eq!(expr.contains(&format!(">= {}", reads.least)), reads.least > 0.0, "{expr}");
        assert_eq!(expr.contains("client_.*"), asks == Asks::Errors, "{expr}");
    }
}

#[test]
fn nothing_is_no_data_and_an_idle_server_is_ok() {
    let (mut rules, start) = (Rules::new(), Instant::now());
    rules.next(start, 7, None, Levels::default());
    assert!(rules.told.iter().all(|rule| rule.state == Standing::NoData && rule.value.is_none()));
    let idle = Levels { pending: Some(0.0), memory: Some(0.1), cpu: Some(0.0), logins: true };
    for second in 1..1_000 {
        let at = start + Duration::from_secs(second);
        rules.next(at, 7, Some(&Interval { seconds: 1.0, ..Interval::default() }), idle);
        let calm = |rule: &Told| matches!(rule.state, Standing::Ok | Standing::NoData);
        assert!(rules.told.iter().all(calm));
    }
    assert!(rules.slices.len() <= 300, "what no window reaches is forgotten");
}

#[test]
fn agents_that_fail_with_none_spawned_fire() {
    let (mut rules, start) = (Rules::new(), Instant::now());
    let came = Interval { seconds: 15.0, agents_failed: 10, ..Interval::default() };
    let mut told = || {
        let place = RULES.iter().position(|rule| rule.1 == Asks::Agents).unwrap();
        let second = [0, 120][usize::from(!rules.slices.is_empty())];
        rules.next(start + Duration::from_secs(second), 7, Some(&came), Levels::default());
        (rules.told[place].state, rules.told[place].since_unix_ms)
    };
    assert_eq!(told(), (Standing::Pending, Some(7)));
    assert_eq!(told(), (Standing::Firing, Some(7)));
}

#[test]
fn a_rule_that_is_over_once_waits_anew() {
    let (mut rules, start) = (Rules::new(), Instant::now());
    let mut at = |second: u64, cpu: f64| {
        let levels = Levels { cpu: Some(cpu), ..Levels::default() };
        rules.next(start + Duration::from_secs(second), second, None, levels);
        let rule = rules.told.iter().find(|rule| rule.asks == Asks::Cpu).unwrap();
        (rule.state, rule.since_unix_ms)
    };
    assert_eq!(at(0, 90.0), (Standing::Pending, Some(0)));
    assert_eq!(at(290, 85.0), (Standing::Ok, None), "at the threshold, not over it");
    assert_eq!(at(300, 90.0), (Standing::Pending, Some(300)));
    assert_eq!(at(599, 90.0), (Standing::Pending, Some(300)));
    assert_eq!(at(600, 90.0), (Standing::Firing, Some(300)));
    assert_eq!(at(610, f64::NAN), (Standing::Ok, None));
}

//! Rounds and threads, by what they hold.

use std::sync::mpsc;

use super::super::{Failures, Work};
use super::*;
use crate::metrics::Counter;
use crate::shard::space::Space;
use crate::sync::AtomicBool;

/// Without families: what is said is not looked at here.
fn item(collect: impl FnMut() + Send + 'static) -> Item {
    let mut collect = collect;
    let work = Work::Many(Box::new(move |_| collect()));
    let about = About {
        name: "test".into(),
        families: Box::default(),
        values: None,
        failures: Failures { panic: Counter::DISABLED, deadline: Counter::DISABLED },
        space: Arc::new(Space::new(1 << 20)),
        charged: 0,
        removed: AtomicBool::new(false),
    };
    Item { about: Arc::new(about), work: Arc::new(Mutex::new(work)) }
}

fn answers(pool: &Arc<Pool>, deadline: Duration) -> usize {
    pool.collect(deadline).map_or(0, |round| round.answers.len())
}

const SOON: Duration = Duration::from_millis(50);
const NEVER_LATE: Duration = Duration::from_secs(60);

#[test]
fn nobody_registered_takes_no_lock() {
    let pool = Arc::new(Pool::default());
    let held = lock(&pool.state);
    assert!(pool.collect(NEVER_LATE).is_none());
    drop(held);
}

#[test]
fn one_thread_asks_all_that_come_back() {
    let pool = Arc::new(Pool::default());
    let (said, asked) = mpsc::channel();
    for id in 0..20 {
        let said = said.clone();
        let ask = move || said.send((id, std::thread::current().id())).unwrap();
        pool.add(id, item(ask)).unwrap();
    }
    assert_eq!(answers(&pool, NEVER_LATE), 20);
    let mut asked: Vec<_> = asked.try_iter().collect();
    asked.sort_by_key(|(id, _)| *id);
    assert!(asked.iter().map(|(id, _)| *id).eq(0..20));
    // Usually one; each look that finds none moving, on a machine that is busy, starts another.
    let threads: std::collections::HashSet<_> = asked.iter().map(|(_, thread)| thread).collect();
    assert!(threads.len() < 10, "{asked:?}");
    pool.stop(NEVER_LATE);
}

/// Once for those that never came back, of which the last thread is kept; once for those that
/// did, for which there is just no other.
#[test]
fn threads_are_bounded_and_the_surplus_ends() {
    for (came_back, most_busy) in [(false, MOST_RUNNERS - 1), (true, MOST_RUNNERS)] {
        let pool = Arc::new(Pool::default());
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hang = Arc::new(AtomicBool::new(!came_back));
        let count = MOST_RUNNERS + 8;
        for id in 0..count as u64 {
            let (held, hang) = (held.clone(), hang.clone());
            let ask = move || {
                if hang.load(Ordering::SeqCst) {
                    assert!(lock(&held).recv().is_err());
                }
            };
            pool.add(id, item(ask)).unwrap();
        }
        if came_back {
            assert_eq!(answers(&pool, NEVER_LATE), count);
            hang.store(true, Ordering::SeqCst);
        }
        while lock(&pool.state).busy < most_busy {
            assert_eq!(answers(&pool, SOON), 0);
        }
        assert_eq!(answers(&pool, SOON), 0);
        {
            let state = lock(&pool.state);
            assert_eq!(state.busy, most_busy);
            assert!(state.runners <= MOST_RUNNERS && state.threads.len() <= MOST_RUNNERS);
        }
        drop(release);
        while answers(&pool, SOON) < count || lock(&pool.state).runners > 1 {}
        pool.stop(NEVER_LATE);
        assert_eq!(lock(&pool.state).runners, 0);
    }
}

/// The first waits for the second, which another thread must ask.
#[test]
fn one_that_is_slow_does_not_hold_up_the_others() {
    let pool = Arc::new(Pool::default());
    let (said, heard) = mpsc::channel();
    let slow = move || assert_eq!(heard.recv_timeout(NEVER_LATE), Ok(()), "nobody asked it");
    pool.add(0, item(slow)).unwrap();
    pool.add(1, item(move || said.send(()).unwrap())).unwrap();
    let round = pool.collect(10 * NEVER_LATE).unwrap();
    assert!(round.answers().all(|(_, answer)| matches!(answer, Answer::Many(_))));
    assert_eq!(round.answers.len(), 2);
    pool.stop(NEVER_LATE);
}

/// Without threads: what one says after its round is over is not in the next one either.
#[test]
fn what_is_late_is_dropped_and_not_asked_while_it_runs() {
    let mut state = State::default();
    for id in 0..2 {
        state.entries.push(Entry {
            id,
            item: Arc::new(item(|| ())),
            in_round: false,
            running: false,
            took: NEVER,
            answer: None,
        });
    }
    let answer = |state: &mut State, task: &Task, millis| {
        state.answered(task, Answer::Nothing, Duration::from_millis(millis));
    };
    state.begin();
    let [late, quick] = [0, 1].map(|_| state.take().unwrap());
    assert_eq!((late.id, quick.id), (0, 1));
    answer(&mut state, &quick, 5);
    assert_eq!(state.end().answers.len(), 1);

    // Still running: only the other is asked, and is all that is waited for.
    state.begin();
    let quick = state.take().unwrap();
    assert!(quick.id == 1 && state.take().is_none() && !state.is_answered());
    answer(&mut state, &late, 900);
    assert!(!state.is_answered());
    answer(&mut state, &quick, 5);
    assert!(state.is_answered());
    assert_eq!(state.end().answers.len(), 1);

    // Back between two rounds, and asked again, after what was quicker.
    state.begin();
    let [quick, slow] = [0, 1].map(|_| state.take().unwrap());
    assert_eq!((quick.id, slow.id), (1, 0));
    answer(&mut state, &quick, 5);
    assert_eq!(state.end().answers.len(), 1);
    answer(&mut state, &slow, 900);
    state.begin();
    let tasks = [0, 1].map(|_| state.take().unwrap());
    assert_eq!(tasks.each_ref().map(|task| task.id), [1, 0]);
    tasks.iter().for_each(|task| answer(&mut state, task, 1));
    assert!(state.is_answered());
    assert_eq!(state.end().answers.len(), 2);
}

/// Two scrapes wait for the same round, a third came too late for it.
#[test]
fn a_round_is_kept_only_while_somebody_waits_for_it() {
    let pool = Arc::new(Pool::default());
    let (go, wait) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    let ask = move || {
        began.send(()).unwrap();
        let _ = wait.recv();
    };
    pool.add(0, item(ask)).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| pool.collect(NEVER_LATE).unwrap());
        begun.recv().unwrap();
        let others = [0, 1].map(|_| scope.spawn(|| pool.collect(NEVER_LATE).unwrap()));
        while lock(&pool.state).waiting < 2 {
            std::thread::yield_now();
        }
        go.send(()).unwrap();
        let first = first.join().unwrap();
        begun.recv().unwrap();
        go.send(()).unwrap();
        let others = others.map(|other| other.join().unwrap());
        assert!(!Arc::ptr_eq(&first, &others[0]) && Arc::ptr_eq(&others[0], &others[1]));
    });
    let state = lock(&pool.state);
    assert!(state.latest.is_none() && state.round == 2);
    drop(state);
    pool.stop(NEVER_LATE);
}

/// Its names may be another's by the time that the round is rendered.
#[test]
fn what_is_removed_after_its_round_is_not_shown() {
    let pool = Arc::new(Pool::default());
    let removed = item(|| ());
    let about = removed.about.clone();
    pool.add(0, removed).unwrap();
    pool.add(1, item(|| ())).unwrap();
    let round = pool.collect(NEVER_LATE).unwrap();
    assert_eq!(round.answers().count(), 2);
    about.removed.store(true, Ordering::Relaxed);
    assert_eq!(round.answers().count(), 1);
    pool.stop(NEVER_LATE);
}

#[test]
fn what_is_removed_while_it_waits_to_be_asked_is_not_waited_for() {
    let pool = Arc::new(Pool::default());
    let own = pool.clone();
    pool.add(0, item(move || release(own.remove(1)))).unwrap();
    pool.add(1, item(|| ())).unwrap();
    let (done, came) = mpsc::channel();
    let scraped = pool.clone();
    std::thread::spawn(move || done.send(answers(&scraped, 60 * NEVER_LATE)));
    assert_eq!(came.recv_timeout(NEVER_LATE), Ok(1));
    pool.stop(NEVER_LATE);
}

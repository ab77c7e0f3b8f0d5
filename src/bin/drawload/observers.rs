//! Who watches while a scenario is played: the run over time, the tester's own timers, and a line of progress.
//!
//! They look and write into the book, and never at the server's door: what they cost must not be in what is measured.

use crate::book::Moment;
use crate::clock::micros;
use crate::evening::Evening;
use crate::measure::latency::in_ms;
use crate::measure::process::Reading;
use crate::progress::Progress;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Starts them; they end with the evening.
pub fn post(evening: &Rc<Evening>, pid: Option<u32>, scale: f64) -> [JoinHandle<()>; 3] {
    [
        spawn_local(sample(evening.clone(), pid, scale)),
        spawn_local(watch_timers(evening.clone())),
        spawn_local(tell_progress(evening.clone())),
    ]
}

/// Writes a line of the run each second of the plan, at most ten a second.
async fn sample(evening: Rc<Evening>, pid: Option<u32>, scale: f64) {
    let mut ticks = interval(Duration::from_secs_f64(scale.clamp(0.1, 1.0)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while tick(&evening, &mut ticks).await.is_some() {
        // To look at 20,000 descriptors takes longer than a timer may be late.
        let server = match pid {
            Some(pid) => spawn_blocking(move || Reading::of(pid).ok()).await.unwrap_or_default(),
            None => None,
        };
        let at_s = evening.clock.now().as_secs_f64();
        let mut book = evening.book.borrow_mut();
        book.oneself.sample(at_s);
        if let Some(server) = server {
            book.server_cpu.note(at_s, server.cpu_s);
        }
        let moment = Moment {
            at_s,
            registered: book.registered(),
            sockets: book.sockets,
            announced: book.announced(),
            errors: book.errors,
            api_p50_ms: in_ms(book.recent.value_at_quantile(0.5)),
            api_p95_ms: in_ms(book.recent.value_at_quantile(0.95)),
            server,
        };
        book.recent.reset();
        book.series.push(moment);
    }
}

/// Looks how late the tester's own timers are.
async fn watch_timers(evening: Rc<Evening>) {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(planned) = tick(&evening, &mut ticks).await {
        // Timers are kept in whole milliseconds; what is below two is no delay.
        let late_us = micros(planned.elapsed()).saturating_sub(2_000);
        evening.book.borrow_mut().oneself.note_lag(late_us);
    }
}

/// A line on stderr now and then.
async fn tell_progress(evening: Rc<Evening>) {
    let progress = Progress::begin();
    let mut ticks = interval(progress.every());
    while tick(&evening, &mut ticks).await.is_some() {
        progress.tell(&evening.plan, &evening.book.borrow());
    }
}

/// The next tick, or none when the evening is over.
async fn tick(evening: &Evening, ticks: &mut tokio::time::Interval) -> Option<Instant> {
    tokio::select! {
        planned = ticks.tick() => Some(planned),
        () = evening.over.cancelled() => None,
    }
}

//! drand: gets the rounds that draws wait for, from relays on the web.
//!
//! One thread looks at the rooms once per second, and asks for a round once its time has come. A
//! round's number is part of the lock, so a restart goes on with the same one, and nothing here is
//! kept. When a draw begins to wait, one relay is asked at once: if it has the round already, the
//! wall clock is slow, and the lock came too late to prove anything. A signature is verified here,
//! before it is submitted to the sequencer: the arithmetic takes milliseconds that the writer does
//! not have. Relays cannot cheat, only fail: the thread asks another one, backs off, and goes on
//! until the draw waits no more.

pub mod relay;

use crate::base::chance;
use crate::base::clock::{SteadyClock, wall_clock};
use crate::base::http_client::Url;
use crate::draw::proof::{Awaited, Beacon, DrandChain};
use crate::draw::{Actor, Command, DrawId, EventId, Timestamp};
use crate::live::room::Directory;
use crate::sequencer::inbox::{Inbox, Request, Responder};
use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use relay::{FetchError, Relays};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Interval between looks at the rooms. A lock is three seconds ahead of its round.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Time after which relays have a round, from the round's own time.
const RELAY_DELAY_MS: i64 = 300;

/// Time for one answer of one relay.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for the answer about a round that nobody should have yet, and the least time until it: with
/// less, a relay's own clock could be the wrong one.
const EARLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits between passes over all relays, at first and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(300);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The draws that wait for a round of the chain, by the round's number.
pub type Waiting = BTreeMap<u64, Vec<(EventId, DrawId)>>;

/// The thread that gets rounds. Dropping it ends the thread after the answer that it waits for.
pub struct DrandThread {
    _dropped_to_stop: Sender<Infallible>,
}

impl DrandThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        relays: &[Url],
        chain: DrandChain,
        directory: Arc<Directory>,
        inbox: Inbox,
        clock: Arc<SteadyClock>,
    ) -> io::Result<Self> {
        let (mut fetcher, name) = (Fetcher::new(relays, chain), chain.hash());
        let (sender, stopped) = bounded::<Infallible>(0);
        let serve = move || {
            loop {
                let waiting = waiting_in(&directory, &name);
                let pause = fetcher.advance(&waiting, &mut |event, draw, beacon| give(&inbox, event, draw, beacon));
                clock.note_slow(fetcher.is_clock_slow());
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("drand".into()).spawn(serve)?;
        Ok(Self { _dropped_to_stop: sender })
    }
}

/// The draws that wait for a round of this chain. Rounds of another chain, in an event that came
/// from another server, nobody here can get.
fn waiting_in(directory: &Directory, chain: &[u8; 32]) -> Waiting {
    let mut waiting = Waiting::new();
    for room in directory.all() {
        let snapshot = room.snapshot();
        let Some(draw) = snapshot.event.pending_draw() else { continue };
        if let Some(Awaited::Round(round)) = draw.awaited()
            && round.chain == *chain
        {
            waiting.entry(round.number).or_default().push((room.id.clone(), draw.id));
        }
    }
    waiting
}

/// Posts a round to the writer. A full inbox is tried again at the next look.
fn give(inbox: &Inbox, event: EventId, draw: DrawId, beacon: Beacon) {
    let command = Command::GiveBeacon { draw, beacon };
    if let Err(error) = inbox.post(Request::Command { event, actor: Actor::Clock, command, reply: Responder::Discard }) {
        tracing::warn!(%error, "the writer takes no round at the moment");
    }
}

/// The rounds that are waited for, and the tries to get them. Public for tests, which drive it
/// against relays of their own.
pub struct Fetcher {
    chain: DrandChain,
    relays: Relays,
    tries: BTreeMap<u64, Tries>,
    is_clock_slow: bool,
}

/// The tries to get one round.
struct Tries {
    failures: u32,
    next_at: Instant,
    /// A relay was asked before the round's time.
    was_asked_early: bool,
    /// The round, once a relay had it: the writer may have to be told again.
    beacon: Option<Beacon>,
}

impl Fetcher {
    /// A fetcher that begins with the first relay.
    pub fn new(relays: &[Url], chain: DrandChain) -> Self {
        Self { chain, relays: Relays::new(relays, None), tries: BTreeMap::new(), is_clock_slow: false }
    }

    /// A fetcher that trusts its relays by these anchors alone.
    pub fn trusting(relays: &[Url], chain: DrandChain, tls: Arc<ClientConfig>) -> Self {
        Self { chain, relays: Relays::new(relays, Some(tls)), tries: BTreeMap::new(), is_clock_slow: false }
    }

    /// True when a relay had a round before its time by this machine's clock.
    pub fn is_clock_slow(&self) -> bool {
        self.is_clock_slow
    }

    /// Asks for every round that is due, once, and gives those that came to their draws. Returns
    /// the time until the next look.
    pub fn advance(&mut self, waiting: &Waiting, give: &mut dyn FnMut(EventId, DrawId, Beacon)) -> Duration {
        self.tries.retain(|round, _| waiting.contains_key(round));
        let mut next = SCAN_INTERVAL;
        for (round, draws) in waiting {
            let (begun, until_due) = (Instant::now(), until(self.chain.time_of(*round), wall_clock()));
            let tries = self.tries.entry(*round).or_insert(Tries::new(begun));
            if until_due > Duration::ZERO {
                if until_due > EARLY_TIMEOUT && !std::mem::replace(&mut tries.was_asked_early, true) {
                    check_clock(&mut self.relays, &self.chain, *round, &mut self.is_clock_slow);
                }
                next = next.min(until(self.chain.time_of(*round), wall_clock()));
                continue;
            }
            if begun >= tries.next_at {
                tries.try_once(&mut self.relays, &self.chain, *round);
                if let Some(beacon) = tries.beacon {
                    draws.iter().for_each(|(event, draw)| give(event.clone(), *draw, beacon));
                }
            }
            next = next.min(tries.next_at.saturating_duration_since(Instant::now()));
        }
        next
    }
}

/// Asks a relay for a round that is to come. A relay that has it shows a slow clock, one that has
/// not shows a good one, and without an answer nothing is known.
fn check_clock(relays: &mut Relays, chain: &DrandChain, round: u64, is_clock_slow: &mut bool) {
    match relays.fetch(chain, round, Instant::now() + EARLY_TIMEOUT) {
        Ok(_) => {
            *is_clock_slow = true;
            tracing::error!(round, "drand's round was public when a draw was locked: this machine's clock is slow, set it");
        }
        Err(FetchError::NoRound { .. }) => *is_clock_slow = false,
        Err(_) => {}
    }
}

impl Tries {
    fn new(now: Instant) -> Self {
        Self { failures: 0, next_at: now, was_asked_early: false, beacon: None }
    }

    fn try_once(&mut self, relays: &mut Relays, chain: &DrandChain, round: u64) {
        if self.beacon.is_none() {
            match relays.fetch(chain, round, Instant::now() + ANSWER_TIMEOUT) {
                Ok(beacon) => {
                    let late_ms = wall_clock().0 - chain.time_of(round).0;
                    tracing::info!(round, late_ms, failures = self.failures, "a round of drand came");
                    self.beacon = Some(beacon);
                }
                Err(error) => {
                    self.failures += 1;
                    // The first is usual: relays differ by some hundred milliseconds.
                    if self.failures > 1 && self.failures.is_power_of_two() {
                        tracing::warn!(round, failures = self.failures, %error, "no relay has had this round of drand yet");
                    }
                }
            }
        }
        self.next_at = Instant::now() + if self.beacon.is_some() { SCAN_INTERVAL } else { self.pause(relays.len()) };
    }

    /// The wait after a failure: none before each relay was asked once, then half to all of a time
    /// that doubles.
    fn pause(&self, relays: u32) -> Duration {
        let passes = self.failures / relays.max(1);
        if !self.failures.is_multiple_of(relays.max(1)) {
            return Duration::ZERO;
        }
        let longest = BACKOFF_MIN.saturating_mul(1 << passes.clamp(1, 6) >> 1).min(BACKOFF_MAX);
        longest.mul_f64(0.5 + f64::from(chance::bytes::<1>()[0]) / 512.0)
    }
}

/// Time until relays have the round of this time.
fn until(round: Timestamp, now: Timestamp) -> Duration {
    let ms = round.0.saturating_add(RELAY_DELAY_MS).saturating_sub(now.0);
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

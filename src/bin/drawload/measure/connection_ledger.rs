//! Connections: which sockets were opened and greeted, and whether they are alive.
//!
//! Nothing is due to a socket without a state sync, and a socket that the server has forgotten
//! receives nothing that could be missing. So both are counted here, against the plan.

use super::delivery_ledger::HeardFrame;
use std::collections::BTreeMap;

/// The code of a server that restarts and expects its sockets back.
pub const RESTARTING: u16 = 1012;

/// The code of a socket that ended without a close frame (RFC 6455 section 7.1.5).
pub const ABNORMAL_CLOSURE: u16 = 1006;

/// The code under which a drop is counted that the phone itself decided on, since its socket was
/// silent. No close frame can carry it (RFC 6455 section 7.4.2).
pub const SILENT: u16 = 0;

/// Restarts that one run may announce to a socket, by close code 1012.
const RESTARTS_MAX: u32 = 2;

/// Every socket of the run; the last one is the display.
#[derive(Debug, Default)]
pub struct ConnectionLedger {
    sockets: Vec<Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    planned: bool,
    opened_us: Option<u64>,
    /// Time and `seq` of the first state sync.
    greeted: Option<(u64, u64)>,
    /// Close codes 1012 that it received.
    restarts: u32,
    /// Pings without a pong, on the socket that is open now.
    unanswered: u32,
    /// Sockets that it gave up since they were silent.
    silent: u32,
    vanished: bool,
}

impl ConnectionLedger {
    pub fn new(sockets: usize) -> Self {
        Self { sockets: (0..sockets).map(|_| Connection::default()).collect() }
    }

    /// Marks a socket that the scenario opens.
    pub fn plan(&mut self, socket: usize) {
        self.sockets[socket].planned = true;
    }

    pub fn open(&mut self, socket: usize, at_us: u64) {
        let socket = &mut self.sockets[socket];
        socket.opened_us.get_or_insert(at_us);
        socket.unanswered = 0;
    }

    /// Records a state sync; returns when the socket opened, for the first one.
    pub fn greet(&mut self, socket: usize, at_us: u64, seq: u64) -> Option<u64> {
        let socket = &mut self.sockets[socket];
        let is_first = socket.greeted.is_none();
        socket.greeted.get_or_insert((at_us, seq));
        socket.opened_us.filter(|_| is_first)
    }

    pub fn ping(&mut self, socket: usize) {
        self.sockets[socket].unanswered += 1;
    }

    pub fn pong(&mut self, socket: usize) {
        let unanswered = &mut self.sockets[socket].unanswered;
        *unanswered = unanswered.saturating_sub(1);
    }

    /// Records the end of a socket: by a server that restarts, since it was silent, or otherwise.
    pub fn close(&mut self, socket: usize, code: u16) {
        let socket = &mut self.sockets[socket];
        socket.restarts += u32::from(code == RESTARTING);
        socket.silent += u32::from(code == SILENT);
        socket.unanswered = 0;
    }

    /// Marks a phone that left on purpose: it is owed nothing.
    pub fn vanish(&mut self, socket: usize) {
        self.sockets[socket].vanished = true;
    }

    /// Planned sockets that never opened.
    pub fn never_opened(&self) -> u64 {
        self.count(|socket| socket.planned && socket.opened_us.is_none())
    }

    /// Sockets that were opened and never received a state sync.
    pub fn never_greeted(&self) -> u64 {
        self.count(|socket| socket.opened_us.is_some() && socket.greeted.is_none())
    }

    /// Sockets that were told of more restarts than one run may have.
    pub fn restarted_without_end(&self) -> u64 {
        self.count(|socket| socket.restarts > RESTARTS_MAX)
    }

    /// Pings without a pong on sockets that are open, and sockets that were given up as silent.
    pub fn pongs_missing(&self) -> u64 {
        let present = self.sockets.iter().filter(|socket| !socket.vanished);
        present.map(|socket| u64::from(socket.unanswered) + u64::from(socket.silent)).sum()
    }

    /// Sockets that were connected for longer than `max_us` when others received a frame, and were
    /// greeted only after it. `awake_us` gives the time in which the tester itself was able to
    /// receive, between two times. Returns the socket, and the first such frame.
    pub fn greeted_late(
        &self,
        frames: &BTreeMap<u64, HeardFrame>,
        max_us: u64,
        awake_us: impl Fn(u64, u64) -> u64,
    ) -> Vec<(usize, u64)> {
        let late = self.sockets.iter().enumerate().filter_map(|(index, socket)| {
            let (opened_us, (greeted_us, base)) = socket.opened_us.zip(socket.greeted)?;
            let mut covered = frames.range(..=base);
            let missed = covered.find(|(_, frame)| {
                let first_us = frame.first_us;
                first_us > opened_us && first_us <= greeted_us && awake_us(opened_us, first_us) > max_us
            });
            missed.map(|(seq, _)| (index, *seq))
        });
        late.collect()
    }

    /// Tells whether a socket was greeted, or none was planned.
    pub fn is_served(&self, socket: usize) -> bool {
        let socket = &self.sockets[socket];
        !socket.planned || socket.vanished || socket.greeted.is_some()
    }

    fn count(&self, holds: impl Fn(&Connection) -> bool) -> u64 {
        self.sockets.iter().filter(|socket| !socket.vanished && holds(socket)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_against_the_plan() {
        let mut ledger = ConnectionLedger::new(4);
        (0..3).for_each(|socket| ledger.plan(socket));
        ledger.open(0, 0);
        ledger.open(1, 5);
        assert_eq!(ledger.greet(1, 7, 10), Some(5));
        assert_eq!(ledger.greet(1, 8, 10), None, "it was greeted before");
        assert_eq!((ledger.never_greeted(), ledger.never_opened()), (1, 1));
        ledger.vanish(0);
        assert_eq!(ledger.never_greeted(), 0, "a phone that left is owed nothing");
    }

    #[test]
    fn a_greeting_is_late_when_others_received_what_it_covers() {
        let mut ledger = ConnectionLedger::new(2);
        ledger.open(1, 1_000);
        let frame = |first_us| HeardFrame { kind: String::new(), draw: None, text: String::new(), first_us };
        let frames = BTreeMap::from([(11, frame(9_000)), (12, frame(9_200))]);
        ledger.greet(1, 9_500, 11);
        let late = |max_us, asleep_us| ledger.greeted_late(&frames, max_us, |from, to| to - from - asleep_us);
        assert_eq!((late(7_000, 0), late(8_000, 0)), (vec![(1, 11)], vec![]));
        assert_eq!(late(7_000, 2_000), [], "the tester could not receive anything for a while");
    }

    #[test]
    fn a_pong_is_owed_until_it_comes_or_the_socket_ends() {
        let mut ledger = ConnectionLedger::new(3);
        (0..2).for_each(|socket| ledger.ping(socket));
        ledger.pong(0);
        assert_eq!(ledger.pongs_missing(), 1);
        ledger.close(1, 1006);
        assert_eq!(ledger.pongs_missing(), 0);
        (0..=RESTARTS_MAX).for_each(|_| ledger.close(2, RESTARTING));
        [RESTARTING, SILENT].iter().for_each(|code| ledger.close(1, *code));
        assert_eq!((ledger.restarted_without_end(), ledger.pongs_missing()), (1, 1));
    }
}

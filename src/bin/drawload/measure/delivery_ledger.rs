//! Deliveries: every numbered frame of every socket, by its `seq`.
//!
//! A phone costs one bit per frame. The text of a frame is kept once, since every socket must
//! receive the same bytes, and the audit reads it. Counting messages, as the predecessor did,
//! cannot distinguish a lost frame from a duplicate.

use super::number;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum numbered frames of one run: 10,000 draws have 40,000.
pub const FRAMES_MAX: u64 = 65_536;

/// Faults that are described per metric; the others are only counted.
const FAULTS_MAX: usize = 20;

/// Lost frames that are listed.
const LOST_MAX: usize = 1_000;

/// Maximum columns and rows of the grid of gaps: beyond that, neighbours share one.
pub const GRID_MAX: usize = 400;

/// A numbered frame as one socket received it.
#[derive(Clone, Copy, Debug)]
pub struct NumberedFrame<'a> {
    pub kind: &'a str,
    pub seq: u64,
    pub epoch: &'a str,
    pub draw: Option<u32>,
    pub winners: &'a [u32],
    /// When the receiver is to show it, by the clock of the run; `None` for at once.
    pub show_us: Option<u64>,
    pub text: &'a str,
}

/// The announcement of a draw, as phones received it.
#[derive(Clone, Debug, Default)]
pub struct Announcement {
    pub reveal_planned_us: Option<u64>,
    /// When the host asked for it.
    pub completed_us: Option<u64>,
    /// Winners that the first socket received.
    pub winners: Option<Vec<u32>>,
    /// First and last arrival at a phone, without the display.
    pub first_us: Option<u64>,
    pub last_us: u64,
    pub phones: u32,
    /// When the first phone and the last one show it, if the server planned a moment.
    pub turned_us: Option<(u64, u64)>,
    /// Lateness of all phones that were there, and their number.
    late_us: u64,
    timed: u32,
    /// The latest phone of each row of the grid, in microseconds.
    pub late_by_row_us: Vec<u64>,
    /// Phones that received it, by row of the grid.
    received_by_row: Vec<u32>,
}

impl Announcement {
    /// Mean time from the host's request, or from the planned moment, to a phone; `None` without
    /// one.
    pub fn mean_us(&self) -> Option<u64> {
        self.late_us.checked_div(self.timed.into())
    }

    fn record_lateness(&mut self, late_us: u64, row: usize) {
        (self.late_us, self.timed) = (self.late_us + late_us, self.timed + 1);
        if self.late_by_row_us.len() <= row {
            self.late_by_row_us.resize(row + 1, 0);
        }
        self.late_by_row_us[row] = self.late_by_row_us[row].max(late_us);
    }
}

/// A frame that a socket should have received.
#[derive(Clone, Debug, Serialize)]
pub struct LostFrame {
    pub phone: usize,
    pub seq: u64,
    pub kind: String,
    pub draw: Option<u32>,
}

/// Everything that was received.
#[derive(Debug, Default)]
pub struct DeliveryLedger {
    epoch: Option<String>,
    /// Numbered frames that any socket received, by `seq`.
    pub frames: BTreeMap<u64, HeardFrame>,
    sockets: Vec<SocketRecord>,
    pub draws: BTreeMap<u32, Announcement>,
    /// The highest `seq` that anything named, a frame or a state sync.
    pub highest: u64,
    pub received: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Frames that differ from what another socket received under the same number.
    pub contradicted: u64,
    /// Impossible frames: of another epoch, far ahead, before the state sync, or not JSON.
    pub invalid: u64,
    /// Sockets that the tester dropped, in a storm.
    pub departed: u64,
    /// Frames that reconnected sockets received before their state sync: those they had missed.
    pub caught_up: u64,
    /// Faults in words, by metric.
    pub faults: BTreeMap<&'static str, Vec<String>>,
}

/// Frames that were due, and those that did not come.
#[derive(Debug, Default)]
pub struct Balance {
    pub expected: u64,
    pub lost: u64,
    pub listed: Vec<LostFrame>,
    /// Sockets that lost any.
    pub incomplete: BTreeSet<usize>,
}

/// A numbered frame as the first socket received it.
#[derive(Debug)]
pub struct HeardFrame {
    pub kind: String,
    pub draw: Option<u32>,
    pub text: String,
    pub first_us: u64,
}

/// One socket.
#[derive(Debug, Default)]
struct SocketRecord {
    /// The `seq` of its first state sync; `None` before that.
    base: Option<u64>,
    last: u64,
    /// One bit per frame after `base`.
    received: Vec<u64>,
    vanished: bool,
    late_us: u64,
    timed: u32,
    /// When a socket that the tester dropped is due back; cleared by the next state sync.
    due_back_us: Option<u64>,
}

impl DeliveryLedger {
    /// A ledger for this many sockets; the last one is the display.
    pub fn new(sockets: usize) -> Self {
        Self { sockets: (0..sockets).map(|_| SocketRecord::default()).collect(), ..Self::default() }
    }

    /// The position that a reconnecting socket resumes from.
    pub fn position(&self, socket: usize) -> Option<(u64, &str)> {
        self.sockets[socket].base.map(|_| (self.sockets[socket].last, self.epoch.as_deref().unwrap_or_default()))
    }

    /// The phone whose announcements took longest on average, and that mean in microseconds.
    pub fn slowest_phone(&self) -> Option<(usize, u64)> {
        let means = self.sockets.iter().enumerate();
        let means = means.filter_map(|(index, socket)| Some((index, socket.late_us.checked_div(socket.timed.into())?)));
        means.max_by_key(|(_, mean_us)| *mean_us)
    }

    /// Marks a phone that left on purpose: nothing is due to it.
    pub fn vanish(&mut self, socket: usize) {
        self.sockets[socket].vanished = true;
    }

    /// The lowest `seq` from which on a socket listened.
    pub fn first_base(&self) -> Option<u64> {
        self.sockets.iter().filter_map(|socket| socket.base).min()
    }

    /// Marks a socket that the tester drops and will reopen. What it misses reaches it later than
    /// others, through no fault of the server.
    pub fn depart(&mut self, socket: usize, due_back_us: u64) {
        self.departed += 1;
        self.sockets[socket].due_back_us = Some(due_back_us);
    }

    /// Marks a departed socket as back; returns when it was due.
    pub fn mark_returned(&mut self, socket: usize) -> Option<u64> {
        self.sockets[socket].due_back_us.take()
    }

    /// Departed sockets without a new state sync.
    pub fn absent(&self) -> u64 {
        self.sockets.iter().filter(|socket| socket.due_back_us.is_some() && !socket.vanished).count() as u64
    }

    /// Records a `state_sync`. Frames that it skips stay unreceived, and are lost.
    pub fn sync(&mut self, socket: usize, seq: u64, epoch: &str) {
        self.check_epoch(socket, epoch);
        self.highest = self.highest.max(seq);
        let socket = &mut self.sockets[socket];
        socket.base.get_or_insert(seq);
        socket.last = socket.last.max(seq);
    }

    /// Records a numbered frame. Returns true for an announcement that this socket receives for the
    /// first time, without having been away.
    pub fn receive(&mut self, socket: usize, frame: NumberedFrame<'_>, at_us: u64) -> bool {
        self.received += 1;
        self.check_epoch(socket, frame.epoch);
        let base = self.sockets[socket].base;
        let Some(offset) = base.and_then(|base| frame.seq.checked_sub(base + 1)).filter(|at| *at < FRAMES_MAX) else {
            self.record_invalid(socket, &format!("seq {} of {} before its state_sync or far ahead", frame.seq, frame.kind));
            return false;
        };
        self.highest = self.highest.max(frame.seq);
        self.compare(socket, frame, at_us);
        let first_time = self.mark(socket, frame, offset);
        let announces = first_time && frame.kind == "winner_announced";
        let was_there = self.sockets[socket].due_back_us.is_none();
        self.caught_up += u64::from(!was_there && first_time);
        if let Some(id) = frame.draw.filter(|_| announces) {
            let is_phone = socket + 1 < self.sockets.len();
            let draw = self.draws.entry(id).or_default();
            draw.winners.get_or_insert_with(|| frame.winners.to_vec());
            draw.phones += u32::from(is_phone);
            let per_row = per_line(self.sockets.len());
            draw.received_by_row.resize(self.sockets.len().div_ceil(per_row), 0);
            draw.received_by_row[socket / per_row] += u32::from(is_phone);
            if is_phone && was_there {
                draw.first_us.get_or_insert(at_us);
                draw.last_us = draw.last_us.max(at_us);
                if let Some(turn_us) = frame.show_us.map(|show_us| show_us.max(at_us)) {
                    let (first_us, last_us) = draw.turned_us.unwrap_or((turn_us, turn_us));
                    draw.turned_us = Some((first_us.min(turn_us), last_us.max(turn_us)));
                }
                if let Some(due_us) = frame.show_us.or(draw.completed_us) {
                    let late_us = at_us.saturating_sub(due_us);
                    draw.record_lateness(late_us, socket / per_row);
                    let socket = &mut self.sockets[socket];
                    (socket.late_us, socket.timed) = (socket.late_us + late_us, socket.timed + 1);
                }
            }
        }
        announces && was_there
    }

    /// Records a message that cannot be a frame of this event.
    pub fn record_invalid(&mut self, socket: usize, what: &str) {
        self.invalid += 1;
        self.describe("delivery.strange", format!("{} received {what}", self.name(socket)));
    }

    /// Compares what every socket should have received up to `end_seq` with what it did.
    pub fn balance(&self, end_seq: u64) -> Balance {
        let mut balance = Balance::default();
        for (phone, seq, received) in self.due_frames(end_seq) {
            balance.expected += 1;
            balance.lost += u64::from(!received);
            if !received {
                balance.incomplete.insert(phone);
            }
            if !received && balance.listed.len() < LOST_MAX {
                let frame = self.frames.get(&seq);
                let kind = frame.map_or("a frame that no socket received", |frame| &frame.kind).to_owned();
                balance.listed.push(LostFrame { phone, seq, kind, draw: frame.and_then(|frame| frame.draw) });
            }
        }
        balance
    }

    /// Growth of the mean delivery from the first quarter of the draws to the last, in
    /// microseconds; `None` for fewer than four draws.
    pub fn growth_us(&self) -> Option<u64> {
        let means: Vec<u64> = self.draws.values().filter_map(Announcement::mean_us).collect();
        let quarter = means.len() / 4;
        let sum = |part: &[u64]| part.iter().sum::<u64>();
        let growth_us = sum(&means[means.len() - quarter..]).saturating_sub(sum(&means[..quarter]));
        growth_us.checked_div(quarter as u64)
    }

    /// The share of the phones of one part of all rows that received a draw.
    pub fn share_received(&self, draw: &Announcement, part: usize, parts: usize) -> f64 {
        let (per_row, phones) = (per_line(self.sockets.len()), self.sockets.len().saturating_sub(1));
        let [from, to] = [part, part + 1].map(|part| draw.received_by_row.len() * part / parts);
        let [first, end] = [from, to].map(|row| (row * per_row).min(phones));
        let received: u32 = draw.received_by_row[from..to].iter().sum();
        number(received) / number((end - first).max(1))
    }

    pub fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// A socket as reports call it.
    pub fn name(&self, socket: usize) -> String {
        if socket + 1 == self.sockets.len() { "the display".into() } else { format!("phone {socket}") }
    }

    /// Every frame that was due to a socket up to `end_seq`: socket, `seq`, and whether it came.
    pub fn due_frames(&self, end_seq: u64) -> impl Iterator<Item = (usize, u64, bool)> {
        let sockets = self.sockets.iter().enumerate().filter(|(_, socket)| !socket.vanished);
        let synced = sockets.filter_map(|(index, socket)| Some((index, socket, socket.base?)));
        synced.flat_map(move |(index, socket, base)| {
            (base + 1..=end_seq.min(base + FRAMES_MAX)).map(move |seq| (index, seq, socket.has(seq - base - 1)))
        })
    }

    /// Marks a frame as received; returns false for a duplicate.
    fn mark(&mut self, socket: usize, frame: NumberedFrame<'_>, offset: u64) -> bool {
        let NumberedFrame { seq, kind, .. } = frame;
        let of_draw = frame.draw.map_or(String::new(), |draw| format!(" of draw {draw}"));
        let record = &mut self.sockets[socket];
        let before = record.last;
        if !record.set(offset) {
            self.duplicated += 1;
            self.describe("delivery.doubled", format!("{} received seq {seq} ({kind}{of_draw}) twice", self.name(socket)));
            return false;
        }
        record.last = before.max(seq);
        if seq < before {
            self.reordered += 1;
            let fault = format!("{} received seq {seq} ({kind}{of_draw}) after seq {before}", self.name(socket));
            self.describe("delivery.reordered", fault);
        }
        true
    }

    /// Compares a frame with what others received under the same number: the bytes must be equal.
    fn compare(&mut self, socket: usize, frame: NumberedFrame<'_>, at_us: u64) {
        let NumberedFrame { kind, seq, draw, text, .. } = frame;
        let new = || HeardFrame { kind: kind.into(), draw, text: text.into(), first_us: at_us };
        if self.frames.entry(seq).or_insert_with(new).text != text {
            self.contradicted += 1;
            let fault = format!("{} received seq {seq} as {text}, others received other bytes", self.name(socket));
            self.describe("delivery.contradicted", fault);
        }
    }

    fn check_epoch(&mut self, socket: usize, epoch: &str) {
        if self.epoch.get_or_insert_with(|| epoch.to_owned()) != epoch {
            self.record_invalid(socket, "a frame of another epoch");
        }
    }

    fn describe(&mut self, metric: &'static str, fault: String) {
        let faults = self.faults.entry(metric).or_default();
        if faults.len() < FAULTS_MAX {
            faults.push(fault);
        }
    }
}

impl SocketRecord {
    fn has(&self, offset: u64) -> bool {
        let (word, bit) = bit(offset);
        self.received.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Sets a bit; returns false when it was set.
    fn set(&mut self, offset: u64) -> bool {
        let (word, bit) = bit(offset);
        if self.received.len() <= word {
            self.received.resize(word + 1, 0);
        }
        let fresh = self.received[word] & bit == 0;
        self.received[word] |= bit;
        fresh
    }
}

/// Things that share a row or a column of the grid of gaps.
pub fn per_line(things: usize) -> usize {
    things.div_ceil(GRID_MAX).max(1)
}

/// The word and the mask of a bit; offsets are below [`FRAMES_MAX`].
fn bit(offset: u64) -> (usize, u64) {
    (usize::try_from(offset / 64).unwrap_or(usize::MAX), 1 << (offset % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, text: &str) -> NumberedFrame<'_> {
        NumberedFrame { kind: "winner_announced", seq, epoch: "e", draw: Some(1), winners: &[7], show_us: None, text }
    }

    /// Two phones and a display with a state sync at 10.
    fn synced() -> DeliveryLedger {
        let mut ledger = DeliveryLedger::new(3);
        (0..3).for_each(|socket| ledger.sync(socket, 10, "e"));
        ledger
    }

    fn faults(ledger: &DeliveryLedger, end: u64) -> [u64; 5] {
        [ledger.balance(end).lost, ledger.duplicated, ledger.reordered, ledger.contradicted, ledger.invalid]
    }

    #[test]
    fn a_complete_delivery_balances() {
        let mut ledger = synced();
        for seq in 11..=14 {
            (0..3).for_each(|socket| assert!(ledger.receive(socket, frame(seq, "same"), 5)));
        }
        assert_eq!(faults(&ledger, 14), [0; 5]);
        assert_eq!((ledger.balance(14).expected, ledger.received), (12, 12));
    }

    #[test]
    fn each_fault_is_distinguished_from_the_others() {
        type Received = &'static [(u64, &'static str)];
        let cases: [(Received, [u64; 5]); 6] = [
            (&[(11, "a"), (13, "c")], [1, 0, 0, 0, 0]),
            (&[(11, "a"), (12, "b"), (12, "b"), (13, "c")], [0, 1, 0, 0, 0]),
            (&[(12, "b"), (11, "a"), (13, "c")], [0, 0, 1, 0, 0]),
            (&[(11, "a"), (12, "x"), (13, "c")], [0, 0, 0, 1, 0]),
            (&[(11, "a"), (12, "b"), (13, "c"), (900_000, "d")], [0, 0, 0, 0, 1]),
            (&[(11, "a"), (12, "b")], [1, 0, 0, 0, 0]),
        ];
        for (received, expected) in cases {
            let mut ledger = synced();
            for complete in [0, 2] {
                for (seq, text) in [(11, "a"), (12, "b"), (13, "c")] {
                    ledger.receive(complete, frame(seq, text), 1);
                }
            }
            for (seq, text) in received {
                ledger.receive(1, frame(*seq, text), 1);
            }
            assert_eq!(faults(&ledger, 13), expected, "{received:?}");
        }
    }

    #[test]
    fn nothing_is_due_before_a_state_sync_or_after_a_phone_vanished() {
        let mut ledger = synced();
        ledger.vanish(1);
        ledger.receive(0, frame(11, "a"), 1);
        ledger.receive(2, frame(11, "a"), 1);
        assert_eq!(faults(&ledger, 11), [0; 5]);
        assert_eq!(DeliveryLedger::new(3).balance(99).expected, 0, "no socket was synced");
    }

    #[test]
    fn one_late_phone_is_found_among_many_and_a_growing_delay_in_the_draws() {
        let mut ledger = synced();
        for (draw, late_us) in [(1, 10), (2, 30)] {
            ledger.draws.entry(draw).or_default().completed_us = Some(100);
            let frame = NumberedFrame { draw: Some(draw), seq: 10 + u64::from(draw), ..frame(0, "same") };
            ledger.receive(0, frame, 100 + late_us);
            ledger.receive(1, frame, 100 + 3 * late_us);
        }
        assert_eq!(ledger.slowest_phone(), Some((1, 60)));
        assert_eq!([1, 2].map(|draw| ledger.draws[&draw].mean_us()), [Some(20), Some(60)]);
        assert_eq!((Announcement::default().mean_us(), ledger.growth_us()), (None, None));
        for (draw, late_us) in [(3, 900), (4, 1_900)] {
            ledger.draws.insert(draw, Announcement { late_us, timed: 1, ..Announcement::default() });
        }
        assert_eq!(ledger.growth_us(), Some(1_880));
    }

    #[test]
    fn a_departed_socket_catches_up_and_counts_in_no_latency() {
        let mut ledger = synced();
        ledger.depart(1, 100);
        for socket in [0, 2] {
            assert!(ledger.receive(socket, frame(11, "a"), 50));
        }
        assert!(!ledger.receive(1, frame(11, "a"), 300), "it was away");
        assert_eq!((ledger.absent(), ledger.caught_up), (1, 1));
        ledger.sync(1, 11, "e");
        assert_eq!((ledger.mark_returned(1), ledger.absent(), ledger.departed), (Some(100), 0, 1));
        let draw = &ledger.draws[&1];
        assert_eq!((draw.first_us, draw.last_us, draw.phones), (Some(50), 50, 2));
        assert_eq!(faults(&ledger, 11), [0; 5]);
        assert!(ledger.receive(1, frame(12, "b"), 400), "it is back");
    }

    #[test]
    fn frames_that_a_second_state_sync_skips_are_lost() {
        let mut ledger = synced();
        for socket in [0, 2] {
            (11..=13).for_each(|seq| assert!(ledger.receive(socket, frame(seq, "a"), 1)));
        }
        ledger.receive(1, frame(11, "a"), 1);
        assert_eq!(ledger.position(1), Some((11, "e")));
        ledger.sync(1, 13, "e");
        assert_eq!(ledger.balance(13).lost, 2);
    }
}

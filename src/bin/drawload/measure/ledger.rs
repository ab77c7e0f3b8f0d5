//! Who heard what: every numbered frame of every phone, by its `seq`.
//!
//! A phone costs a bit a frame, whatever is said in it; what a frame held is kept once, as a fingerprint, since everybody must have heard the same bytes.
//! Counting messages, as the forerunner did, cannot tell a lost frame from one that came twice.

use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Numbered frames of one run that are kept apart: 10,000 draws have 40,000.
const FRAMES_MAX: u64 = 65_536;

/// Faults that are described; the others are only counted.
const WITNESSES_MAX: usize = 20;

/// Lost frames that are listed.
const LOST_MAX: usize = 1_000;

/// A numbered frame as one socket heard it.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub kind: &'a str,
    pub seq: u64,
    pub epoch: &'a str,
    pub draw: Option<u32>,
    pub winners: &'a [u32],
    pub text: &'a str,
}

/// What is known of a draw.
#[derive(Clone, Debug, Default)]
pub struct DrawSeen {
    pub prize: String,
    pub reveal_asked_us: Option<u64>,
    pub completed_us: Option<u64>,
    /// The answer to the reveal.
    pub revealed: Option<Vec<u32>>,
    /// What the display was shown.
    pub shown: Option<Vec<u32>>,
    /// What the first socket heard.
    pub announced: Option<Vec<u32>>,
    /// Of phones, not of the display.
    pub first_us: Option<u64>,
    pub last_us: u64,
    pub heard: u32,
}

/// A frame that somebody should have heard.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    pub phone: usize,
    pub seq: u64,
    pub kind: String,
    pub draw: Option<u32>,
}

/// Everything that was heard.
#[derive(Debug, Default)]
pub struct Ledger {
    epoch: Option<String>,
    frames: BTreeMap<u64, Frame>,
    ears: Vec<Ear>,
    pub draws: BTreeMap<u32, DrawSeen>,
    pub received: u64,
    pub doubled: u64,
    pub reordered: u64,
    /// Frames that say other than the same frame said to somebody else.
    pub contradicted: u64,
    /// Frames that cannot be: of another epoch, far ahead, before the greeting, or not JSON.
    pub strange: u64,
    /// Sockets that broke off on their own, in a storm.
    pub departed: u64,
    /// Frames that came to those that were back, before their greeting: what they had missed.
    pub caught_up: u64,
    pub witnesses: Vec<String>,
}

/// What was due and did not come.
#[derive(Debug, Default)]
pub struct Balance {
    pub expected: u64,
    pub lost: u64,
    pub listed: Vec<Lost>,
}

/// Most columns and rows of [`Gaps`]: beyond that, neighbours share one.
const GRID_MAX: usize = 400;

/// What is missing, by draw and by phone: a column for each draw and one for frames of no draw, a row for each phone and one for the display. Where
/// there are more than a grid has room for, some share a cell; none is left out.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    /// In the order of their ids.
    pub draws: Vec<u32>,
    pub draws_per_column: usize,
    pub sockets: usize,
    pub sockets_per_row: usize,
    pub columns: usize,
    pub rows: usize,
    /// Row by row.
    pub cells: Vec<Cell>,
}

/// Frames that were owed to a cell, and those of them that did not come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub owed: u64,
    pub lost: u64,
}

#[derive(Debug)]
struct Frame {
    fingerprint: u64,
    kind: String,
    draw: Option<u32>,
}

/// One socket's hearing.
#[derive(Debug, Default)]
struct Ear {
    opened: bool,
    /// What its first greeting covered; none: it was never greeted.
    base: Option<u64>,
    last: u64,
    heard: Vec<u64>,
    vanished: bool,
    /// It broke off on its own, is due back then, and was not greeted again.
    due_back_us: Option<u64>,
}

impl Ledger {
    /// A ledger for so many sockets; the last one is the display.
    pub fn new(sockets: usize) -> Self {
        Self { ears: (0..sockets).map(|_| Ear::default()).collect(), ..Self::default() }
    }

    /// What a socket that comes back says about how far it got.
    pub fn position(&self, ear: usize) -> Option<(u64, &str)> {
        self.ears[ear].base.map(|_| (self.ears[ear].last, self.epoch.as_deref().unwrap_or_default()))
    }

    /// A socket was opened.
    pub fn open(&mut self, ear: usize) {
        self.ears[ear].opened = true;
    }

    /// Sockets that were opened and never greeted. Nothing can be owed to them, so that they must not be forgotten.
    pub fn ungreeted(&self) -> u64 {
        self.ears.iter().filter(|ear| ear.opened && ear.base.is_none() && !ear.vanished).count() as u64
    }

    /// Nothing is owed to a phone that went away on purpose.
    pub fn vanish(&mut self, ear: usize) {
        self.ears[ear].vanished = true;
    }

    /// A socket breaks off on its own and comes back. What it misses it is told later than others, through no fault of the server.
    pub fn depart(&mut self, ear: usize, due_back_us: u64) {
        self.departed += 1;
        self.ears[ear].due_back_us = Some(due_back_us);
    }

    /// It was greeted again; gives back when it was due, if it had broken off.
    pub fn come_back(&mut self, ear: usize) -> Option<u64> {
        self.ears[ear].due_back_us.take()
    }

    /// Those that broke off and were not greeted again.
    pub fn absent(&self) -> u64 {
        self.ears.iter().filter(|ear| ear.due_back_us.is_some() && !ear.vanished).count() as u64
    }

    /// A `state_sync` came. What it covers beyond what was heard stays unheard, and is lost.
    pub fn greet(&mut self, ear: usize, seq: u64, epoch: &str) {
        self.check_epoch(ear, epoch);
        let ear = &mut self.ears[ear];
        ear.base.get_or_insert(seq);
        ear.last = ear.last.max(seq);
    }

    /// A numbered frame came; gives back whether it was an announcement heard for the first time, by one who was there.
    pub fn hear(&mut self, ear: usize, told: Told<'_>, at_us: u64) -> bool {
        self.received += 1;
        self.check_epoch(ear, told.epoch);
        let Some(offset) = self.ears[ear].base.and_then(|base| told.seq.checked_sub(base + 1)).filter(|at| *at < FRAMES_MAX)
        else {
            self.note_strange(ear, &format!("seq {} of {} before its greeting or far ahead", told.seq, told.kind));
            return false;
        };
        self.compare(ear, told);
        let first_time = self.mark(ear, told, offset);
        let announces = first_time && told.kind == "winner_announced";
        let was_there = self.ears[ear].due_back_us.is_none();
        self.caught_up += u64::from(!was_there && first_time);
        if let Some(id) = told.draw.filter(|_| announces) {
            let is_phone = ear + 1 < self.ears.len();
            let draw = self.draws.entry(id).or_default();
            draw.announced.get_or_insert_with(|| told.winners.to_vec());
            draw.heard += u32::from(is_phone);
            if is_phone && was_there {
                draw.first_us.get_or_insert(at_us);
                draw.last_us = draw.last_us.max(at_us);
            }
        }
        announces && was_there
    }

    /// Something came that is no frame of this event.
    pub fn note_strange(&mut self, ear: usize, what: &str) {
        self.strange += 1;
        self.witness(format!("{} heard {what}", self.name(ear)));
    }

    /// What everybody should have heard up to `end_seq`, and did not.
    pub fn balance(&self, end_seq: u64) -> Balance {
        let mut balance = Balance::default();
        for (index, ear) in self.ears.iter().enumerate().filter(|(_, ear)| !ear.vanished) {
            let Some(base) = ear.base else { continue };
            for seq in base + 1..=end_seq.min(base + FRAMES_MAX) {
                balance.expected += 1;
                if ear.has(seq - base - 1) {
                    continue;
                }
                balance.lost += 1;
                if balance.listed.len() < LOST_MAX {
                    let frame = self.frames.get(&seq);
                    let kind = frame.map_or("a frame nobody heard", |frame| &frame.kind).to_owned();
                    balance.listed.push(Lost { phone: index, seq, kind, draw: frame.and_then(|frame| frame.draw) });
                }
            }
        }
        balance
    }

    /// What is missing up to `end_seq`, as a grid. Looks at every frame of every socket.
    pub fn gaps(&self, end_seq: u64) -> Gaps {
        let draws: Vec<u32> = self.draws.keys().copied().collect();
        let (draws_per_column, sockets_per_row) = (share(draws.len()), share(self.ears.len()));
        // The last column is for frames of no draw, and for those that nobody heard, of which nothing is known.
        let columns = draws.len().div_ceil(draws_per_column) + 1;
        let rows = self.ears.len().div_ceil(sockets_per_row);
        let column_of = |seq| {
            let draw = self.frames.get(&seq).and_then(|frame: &Frame| frame.draw);
            let place = draw.and_then(|draw| draws.binary_search(&draw).ok());
            place.map_or(columns - 1, |place| place / draws_per_column)
        };
        let first = self.ears.iter().filter_map(|ear| ear.base).min().map_or(end_seq, |base| base.min(end_seq));
        let column_of: Vec<usize> = (first + 1..=end_seq.min(first + FRAMES_MAX)).map(column_of).collect();
        let mut cells = vec![Cell::default(); rows * columns];
        for (index, ear) in self.ears.iter().enumerate().filter(|(_, ear)| !ear.vanished) {
            let Some(base) = ear.base else { continue };
            let row = index / sockets_per_row * columns;
            for (seq, column) in (first + 1..).zip(&column_of).skip_while(|(seq, _)| *seq <= base) {
                let cell = &mut cells[row + column];
                cell.owed += 1;
                cell.lost += u64::from(!ear.has(seq - base - 1));
            }
        }
        Gaps { draws, draws_per_column, sockets: self.ears.len(), sockets_per_row, columns, rows, cells }
    }

    /// A socket as reports call it.
    pub fn name(&self, ear: usize) -> String {
        if ear + 1 == self.ears.len() { "the display".into() } else { format!("phone {ear}") }
    }

    /// Marks a frame as heard; false when it was before.
    fn mark(&mut self, ear: usize, told: Told<'_>, offset: u64) -> bool {
        let Told { seq, kind, .. } = told;
        let of_draw = told.draw.map_or(String::new(), |draw| format!(" of draw {draw}"));
        let hearing = &mut self.ears[ear];
        let before = hearing.last;
        if !hearing.set(offset) {
            self.doubled += 1;
            self.witness(format!("{} heard seq {seq} ({kind}{of_draw}) twice", self.name(ear)));
            return false;
        }
        hearing.last = before.max(seq);
        if seq < before {
            self.reordered += 1;
            self.witness(format!("{} heard seq {seq} ({kind}{of_draw}) after seq {before}", self.name(ear)));
        }
        true
    }

    /// Everybody must hear the same bytes under the same number.
    fn compare(&mut self, ear: usize, told: Told<'_>) {
        let mut hasher = DefaultHasher::new();
        told.text.hash(&mut hasher);
        let fingerprint = hasher.finish();
        let first = self.frames.entry(told.seq).or_insert_with(|| Frame { fingerprint, kind: told.kind.into(), draw: told.draw });
        if first.fingerprint != fingerprint {
            self.contradicted += 1;
            let words = format!("{} heard seq {} as {}, others heard something else", self.name(ear), told.seq, told.text);
            self.witness(words);
        }
    }

    fn check_epoch(&mut self, ear: usize, epoch: &str) {
        if self.epoch.get_or_insert_with(|| epoch.to_owned()) != epoch {
            self.note_strange(ear, "a frame of another epoch");
        }
    }

    fn witness(&mut self, words: String) {
        if self.witnesses.len() < WITNESSES_MAX {
            self.witnesses.push(words);
        }
    }
}

impl Ear {
    fn has(&self, offset: u64) -> bool {
        let (word, bit) = place(offset);
        self.heard.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Sets a bit; false when it was set.
    fn set(&mut self, offset: u64) -> bool {
        let (word, bit) = place(offset);
        if self.heard.len() <= word {
            self.heard.resize(word + 1, 0);
        }
        let fresh = self.heard[word] & bit == 0;
        self.heard[word] |= bit;
        fresh
    }
}

/// How many of so many things share a line of a grid.
fn share(things: usize) -> usize {
    things.div_ceil(GRID_MAX).max(1)
}

/// Where a bit is; offsets are below [`FRAMES_MAX`].
fn place(offset: u64) -> (usize, u64) {
    (usize::try_from(offset / 64).unwrap_or(usize::MAX), 1 << (offset % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seq: u64, text: &str) -> Told<'_> {
        Told { kind: "winner_announced", seq, epoch: "e", draw: Some(1), winners: &[7], text }
    }

    /// Two phones and a display that were greeted at 10.
    fn greeted() -> Ledger {
        let mut ledger = Ledger::new(3);
        (0..3).for_each(|ear| ledger.greet(ear, 10, "e"));
        ledger
    }

    fn faults(ledger: &Ledger, end: u64) -> [u64; 5] {
        [ledger.balance(end).lost, ledger.doubled, ledger.reordered, ledger.contradicted, ledger.strange]
    }

    #[test]
    fn an_honest_hall_balances() {
        let mut ledger = greeted();
        for seq in 11..=14 {
            (0..3).for_each(|ear| assert!(ledger.hear(ear, told(seq, "same"), 5)));
        }
        assert_eq!(faults(&ledger, 14), [0; 5]);
        assert_eq!((ledger.balance(14).expected, ledger.received), (12, 12));
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        type Heard = &'static [(u64, &'static str)];
        let cases: [(Heard, [u64; 5]); 6] = [
            (&[(11, "a"), (13, "c")], [1, 0, 0, 0, 0]),
            (&[(11, "a"), (12, "b"), (12, "b"), (13, "c")], [0, 1, 0, 0, 0]),
            (&[(12, "b"), (11, "a"), (13, "c")], [0, 0, 1, 0, 0]),
            (&[(11, "a"), (12, "x"), (13, "c")], [0, 0, 0, 1, 0]),
            (&[(11, "a"), (12, "b"), (13, "c"), (900_000, "d")], [0, 0, 0, 0, 1]),
            (&[(11, "a"), (12, "b")], [1, 0, 0, 0, 0]),
        ];
        for (heard, expected) in cases {
            let mut ledger = greeted();
            for honest in [0, 2] {
                for (seq, text) in [(11, "a"), (12, "b"), (13, "c")] {
                    ledger.hear(honest, told(seq, text), 1);
                }
            }
            for (seq, text) in heard {
                ledger.hear(1, told(*seq, text), 1);
            }
            assert_eq!(faults(&ledger, 13), expected, "{heard:?}");
        }
    }

    #[test]
    fn a_phone_owes_nothing_for_what_came_before_it_or_after_it_vanished() {
        let mut ledger = greeted();
        ledger.vanish(1);
        ledger.hear(0, told(11, "a"), 1);
        ledger.hear(2, told(11, "a"), 1);
        assert_eq!(faults(&ledger, 11), [0; 5]);
        assert_eq!(Ledger::new(3).balance(99).expected, 0, "nobody was greeted");
    }

    #[test]
    fn one_gap_among_two_million_is_in_the_grid_and_at_its_place() {
        let (phones, draws) = (19_900, 100);
        let mut ledger = Ledger::new(phones + 1);
        (0..=phones).for_each(|ear| ledger.greet(ear, 0, "e"));
        for draw in 1..=draws {
            let told = Told { draw: Some(draw), seq: draw.into(), ..told(0, "same") };
            for ear in (0..=phones).filter(|ear| (*ear, draw) != (12_345, 67)) {
                ledger.hear(ear, told, 1);
            }
        }
        let gaps = ledger.gaps(draws.into());
        assert!(gaps.rows <= GRID_MAX && gaps.columns == 101, "{} × {}", gaps.rows, gaps.columns);
        assert_eq!(gaps.cells.iter().map(|cell| cell.owed).sum::<u64>(), 19_901 * 100);
        let lost: Vec<usize> = (0..gaps.cells.len()).filter(|at| gaps.cells[*at].lost > 0).collect();
        assert_eq!(lost, [12_345 / gaps.sockets_per_row * gaps.columns + 66]);
        assert_eq!(gaps.cells[lost[0]].lost, 1);
    }

    #[test]
    fn the_grid_and_the_balance_tell_of_the_same_gaps() {
        let mut ledger = greeted();
        ledger.hear(0, told(11, "a"), 1);
        ledger.hear(1, told(12, "b"), 1);
        ledger.vanish(2);
        let sum = |gaps: &Gaps| gaps.cells.iter().fold((0, 0), |(owed, lost), cell| (owed + cell.owed, lost + cell.lost));
        for end in [0, 10, 11, 14] {
            let Balance { expected, lost, .. } = ledger.balance(end);
            assert_eq!(sum(&ledger.gaps(end)), (expected, lost), "up to {end}");
        }
        assert_eq!(sum(&Ledger::new(0).gaps(9)), (0, 0));
    }

    #[test]
    fn a_socket_that_was_never_greeted_is_not_forgotten() {
        let mut ledger = Ledger::new(3);
        ledger.open(0);
        ledger.open(1);
        ledger.greet(1, 10, "e");
        assert_eq!(ledger.ungreeted(), 1);
    }

    #[test]
    fn who_broke_off_is_told_later_and_counts_in_no_time() {
        let mut ledger = greeted();
        ledger.depart(1, 100);
        for ear in [0, 2] {
            assert!(ledger.hear(ear, told(11, "a"), 50));
        }
        assert!(!ledger.hear(1, told(11, "a"), 300), "it was not there");
        assert_eq!((ledger.absent(), ledger.caught_up), (1, 1));
        ledger.greet(1, 11, "e");
        assert_eq!((ledger.come_back(1), ledger.absent(), ledger.departed), (Some(100), 0, 1));
        let draw = &ledger.draws[&1];
        assert_eq!((draw.first_us, draw.last_us, draw.heard), (Some(50), 50, 2));
        assert_eq!(faults(&ledger, 11), [0; 5]);
        assert!(ledger.hear(1, told(12, "b"), 400), "it is there again");
    }

    #[test]
    fn what_a_second_greeting_skips_is_lost() {
        let mut ledger = greeted();
        for ear in [0, 2] {
            (11..=13).for_each(|seq| assert!(ledger.hear(ear, told(seq, "a"), 1)));
        }
        ledger.hear(1, told(11, "a"), 1);
        assert_eq!(ledger.position(1), Some((11, "e")));
        ledger.greet(1, 13, "e");
        assert_eq!(ledger.balance(13).lost, 2);
    }
}

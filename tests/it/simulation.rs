//! Seeded simulation against a naive model: random commands, double clicks, retries and crashes go
//! to the real writer on a real journal. A model of plain vectors and sets predicts each result.
//!
//! A crash is a copy of the data folder between two answers: everything answered must be in it.
//! `SIM_SEEDS=10000` simulates more events.

mod harness;
mod model;

use harness::{PARTICIPANTS_MAX, Writer};
use luckydraw::draw::command::{Command, DrawSelector, EligibilityPatch, Redraw, ResetScope, SettingsPatch, Show};
use luckydraw::draw::event::Audience;
use luckydraw::draw::fact::VoidReason;
use luckydraw::draw::proof::{Awaited, OutsideRule, Words};
use luckydraw::draw::{DrawId, DrawRequest, Mode, Number, Outcome, Phase, SessionId, Status};
use luckydraw::live::room::Snapshot;
use luckydraw::sequencer::inbox::{Accepted, Rejection};
use model::{Model, Seat};
use std::collections::BTreeSet;

const STEPS: u32 = 120;

/// A small random generator, whose seed is printed when a run fails (SplitMix64, Steele et al.
/// 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// One simulated event of one seed.
struct Simulation {
    writer: Writer,
    model: Model,
    random: Random,
    keys: u64,
    /// Draws that start now wait for the hall's words.
    is_hall: bool,
}

impl Simulation {
    fn step(mut self) -> Self {
        match self.random.below(100) {
            0..28 => self.register(),
            28..43 => self.start(),
            43..55 => self.reveal(),
            55..58 => self.draw_at_once(),
            58..60 => self.set_outside(),
            60..68 => self.complete(),
            68..71 => self.cancel(),
            71..79 => self.void(),
            79..82 => self.show_standby(),
            82..85 => self.set_eligibility(),
            85..88 => self.submit_details(),
            88..90 => self.change_phase(),
            90..92 => self.reset(),
            _ => self.crash(),
        }
        self.check();
        self
    }

    /// A new phone, or a retry after a lost answer. The phase is checked before a number is
    /// claimed, so not here.
    fn register(&mut self) {
        let retry = self.random.below(3) == 0 && self.keys > 0;
        let id = if retry { self.random.below(self.keys) } else { self.keys };
        self.keys = self.keys.max(id + 1);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(id * 7 + 1).to_le_bytes());
        let snapshot = self.writer.snapshot();
        let Some(number) = snapshot.roster.claim(&key) else {
            assert!(self.model.numbers.len() >= PARTICIPANTS_MAX as usize, "only a full event gives no number");
            return;
        };
        let number = Number(number);
        let command = Command::Register { number, key, session: snapshot.event.session };
        let Outcome::Registered { number: given, existing } = self.writer.execute(command).unwrap().outcome else {
            panic!("no number")
        };
        assert_eq!(given, number);
        assert_eq!(existing, self.model.numbers.contains_key(&key));
        let kept = *self.model.numbers.entry(key).or_insert(given.0);
        assert_eq!(kept, given.0, "a phone keeps its number");
    }

    fn start(&mut self) {
        let (prize, mode, count) = self.random.one_of(&[("TV", Mode::Slot, 1), ("Mug", Mode::Card, 3), ("Sock", Mode::List, 4)]);
        let refused = self.model.refuses_start(prize, count);
        match self.writer.execute(Command::Start(draw_request(prize, mode, count))) {
            Ok(accepted) => {
                assert_eq!(refused, None, "{prize} should have been refused");
                let Outcome::Started(draw) = accepted.outcome else { panic!("not started") };
                match &self.model.pending {
                    Some(pending) => assert_eq!(pending.draw, draw.0, "a second click starts nothing"),
                    None => self.model.start_draw(draw.0, prize, count),
                }
            }
            Err(rejection) => assert_eq!(refused, code(&rejection), "{prize}: {rejection}"),
        }
    }

    /// Draws of the event wait for the hall's words, at once or after a fallback, or no longer.
    fn set_outside(&mut self) {
        let rule = self.random.one_of(&[OutsideRule::None, OutsideRule::Hall, OutsideRule::DrandOrHall]);
        self.is_hall = rule != OutsideRule::None;
        let outside = Some(rule);
        self.writer.execute(Command::ChangeSettings(SettingsPatch { outside, ..SettingsPatch::default() })).unwrap();
    }

    /// Gives the pending draw its words, as one or both consoles do.
    fn give_words(&mut self, draw: DrawId) {
        let (first, other) = (Words::parse("red7").unwrap(), Words::parse("red8").unwrap());
        if matches!(self.writer.snapshot().event.draw(draw).unwrap().awaited(), Some(Awaited::Round(_))) {
            self.crash();
            self.writer.execute(Command::FallBack { draw, reason: "no network".into() }).unwrap();
            self.crash();
        }
        assert_eq!(self.writer.execute(Command::Reveal(Show::Open)).err().as_ref().and_then(code), Some("WAITING_FOR_OUTSIDE"));
        self.crash();
        self.writer.execute(Command::GiveWords { draw, words: first.clone() }).unwrap();
        self.crash();
        let again = self.writer.execute(Command::GiveWords { draw, words: other });
        assert_eq!(again.err().as_ref().and_then(code), Some("OUTSIDE_GIVEN"));
        self.writer.execute(Command::GiveWords { draw, words: first }).unwrap();
    }

    fn reveal(&mut self) {
        let pending = self.writer.snapshot().event.pending_draw().cloned();
        if let Some(draw) = pending.filter(|draw| draw.waits_for_outside()) {
            self.give_words(draw.id);
        }
        let answer = self.writer.execute(Command::Reveal(Show::Open));
        match &self.model.pending {
            Some(pending) => self.model.reveal(&winners(&answer.unwrap(), DrawId(pending.draw))),
            None => assert_eq!(answer.err().as_ref().and_then(code), Some("REVEAL_FAILED")),
        }
    }

    fn draw_at_once(&mut self) {
        let (prize, count) = self.random.one_of(&[("Mug", 2), ("Sock", 3)]);
        let lacking = || self.model.lacks(prize, count).then_some("DRAW_FAILED");
        let waits = || if self.is_hall { Some("OUTSIDE_REQUIRED") } else { lacking() };
        let refused = self.model.pending.as_ref().map_or_else(waits, |_| Some("DRAW_IN_PROGRESS"));
        match self.writer.execute(Command::DrawAtOnce(draw_request(prize, Mode::List, count))) {
            Ok(accepted) => {
                assert_eq!(refused, None, "{prize} should have been refused");
                let Outcome::Revealed(draw) = accepted.outcome else { panic!("not drawn") };
                self.model.start_draw(draw.0, prize, count);
                self.model.reveal(&winners(&accepted, draw));
            }
            Err(rejection) => assert_eq!(refused, code(&rejection), "{prize}: {rejection}"),
        }
    }

    fn complete(&mut self) {
        let answer = self.writer.execute(Command::Complete(DrawSelector::Latest));
        let is_refused = self.model.unannounced.is_none() && self.model.announced.is_empty();
        assert_eq!(answer.err().as_ref().and_then(code), is_refused.then_some("COMPLETE_FAILED"));
        self.model.announce_last();
    }

    fn cancel(&mut self) {
        let answer = self.writer.execute(Command::Cancel { reason: "mistake".into() });
        let is_refused = self.model.pending.is_none() && !self.model.standby;
        assert_eq!(answer.is_err(), is_refused);
        if self.model.pending.take().is_none() {
            self.model.standby = false;
        }
    }

    /// Voids a seat, and sometimes redraws it: both or neither.
    fn void(&mut self) {
        let Some(index) = self.random_valid_seat() else { return };
        let Seat { draw, prize, number, .. } = self.model.seats[index].clone();
        let (reason, redraw) = (self.random.one_of(&VoidReason::ALL), self.random.one_of(&[Redraw::Yes, Redraw::No]));
        let answer = self.writer.execute(Command::Void { draw: DrawId(draw), number: Number(number), reason, redraw });
        let mut after = self.model.clone();
        after.seats[index].voided = Some(reason);
        let refused = match redraw {
            _ if !self.model.announced.contains(&draw) => Some("DRAW_IN_PROGRESS"),
            Redraw::Yes if self.model.pending.is_some() => Some("DRAW_IN_PROGRESS"),
            Redraw::Yes => after.lacks(prize, 1).then_some("DRAW_FAILED"),
            Redraw::No => None,
        };
        match answer {
            Ok(accepted) => {
                assert_eq!(refused, None, "{number} of draw {draw} should have been refused");
                let Outcome::Voided { redraw: again } = accepted.outcome else { panic!("not voided") };
                assert_eq!(again.is_some(), redraw == Redraw::Yes);
                self.model = after;
                if let Some(again) = again {
                    self.model.start_draw(again.0, prize, 1);
                }
            }
            Err(rejection) => assert_eq!(refused, code(&rejection), "{number} of draw {draw}: {rejection}"),
        }
    }

    fn show_standby(&mut self) {
        let answer = self.writer.execute(Command::Standby(draw_request("Sock", Mode::List, 4)));
        let refused = match self.model.pending {
            Some(_) => Some("DRAW_IN_PROGRESS"),
            None => self.model.lacks("Sock", 4).then_some("DRAW_FAILED"),
        };
        assert_eq!(answer.err().as_ref().and_then(code), refused);
        if refused.is_none() {
            self.model.announce_last();
            self.model.standby = true;
        }
    }

    /// Staff excludes a participant, or includes one again.
    fn set_eligibility(&mut self) {
        let number = 1 + self.random.below(self.model.numbers.len() as u64 + 1) as u32;
        let eligible = self.random.below(2) == 0;
        let patch = EligibilityPatch { eligible: Some(eligible), ..EligibilityPatch::default() };
        let answer = self.writer.execute(Command::MarkParticipant { number: Number(number), patch });
        let known = self.model.numbers.values().any(|registered| *registered == number);
        assert_eq!(answer.err().as_ref().and_then(code), (!known).then_some("PARTICIPANT_NOT_FOUND"));
        self.model.excluded.remove(&number);
        if known && !eligible {
            self.model.excluded.insert(number);
        }
    }

    /// A winner submits details, for the first time or again.
    fn submit_details(&mut self) {
        if self.model.seats.is_empty() {
            return;
        }
        let Seat { draw, number, voided, .. } = self.random.one_of(&self.model.seats);
        let name = format!("{number} of {draw}");
        let (draw, number) = (DrawId(draw), Number(number));
        let answer = self.writer.submit_details(draw, number, name);
        match answer {
            Ok(accepted) => {
                assert!(self.model.announced.contains(&draw.0) && voided.is_none(), "{number:?} has not won {draw:?}");
                let first = self.model.details_now.insert((draw.0, number.0));
                self.model.details.insert((draw.0, number.0));
                let Outcome::Details { version, .. } = accepted.outcome else { panic!("{:?}", accepted.outcome) };
                assert_eq!(accepted.outcome, Outcome::Details { draw, number, version, keeps_address: false });
                assert_eq!(version == 1, first, "a correction has a later version");
            }
            Err(rejection) => {
                assert_eq!(code(&rejection), Some("NOT_A_WINNER"));
                assert!(!self.model.announced.contains(&draw.0) || voided.is_some(), "{number:?} has won {draw:?}");
            }
        }
    }

    fn change_phase(&mut self) {
        let phase = self.random.one_of(&[Phase::Open, Phase::Drawing]);
        self.writer.execute(Command::ChangePhase(phase)).unwrap();
        self.model.phase = phase;
    }

    fn reset(&mut self) {
        let clears_participants = self.random.below(3) == 0;
        let session = SessionId([self.random.next() as u8; 16]);
        let scope = if clears_participants { ResetScope::Participants(session) } else { ResetScope::Draws };
        self.writer.execute(Command::Reset(scope)).unwrap();
        self.model.reset(clears_participants);
    }

    fn crash(&mut self) {
        let pending = self.writer.snapshot().event.pending_draw().cloned();
        self.writer.crash();
        assert_eq!(self.writer.snapshot().event.pending_draw().cloned(), pending, "the same draw, lock and pick");
        let kept = self.writer.details();
        assert!(kept.iter().all(|details| details.name == format!("{} of {}", details.number.0, details.draw.0)));
        let kept: BTreeSet<_> = kept.iter().map(|details| (details.draw.0, details.number.0)).collect();
        assert_eq!(kept, self.model.details, "exactly the acknowledged details");
    }

    /// The event closes: the last draw is announced. No number is given and no draw starts
    /// afterwards, even after a crash.
    fn close(mut self) {
        let closing = || Command::ChangePhase(Phase::Closed);
        if self.model.pending.is_some() {
            assert_eq!(self.writer.execute(closing()).err().as_ref().and_then(code), Some("DRAW_IN_PROGRESS"));
            self.cancel();
        }
        self.writer.execute(closing()).unwrap();
        self.model.announce_last();
        for _ in 0..2 {
            let snapshot = self.writer.snapshot();
            assert_eq!((snapshot.event.phase, snapshot.roster.claim(&[9; 32])), (Phase::Closed, None));
            let answer = self.writer.execute(Command::Start(draw_request("TV", Mode::Slot, 1)));
            assert_eq!(answer.err().as_ref().and_then(code), Some("EVENT_CLOSED"));
            self.check_facts(&snapshot);
            self.crash();
        }
    }

    fn random_valid_seat(&mut self) -> Option<usize> {
        let seats = self.model.seats.iter().enumerate();
        let valid: Vec<_> = seats.filter(|(_, seat)| seat.voided.is_none()).map(|(index, _)| index).collect();
        (!valid.is_empty()).then(|| self.random.one_of(&valid))
    }

    /// The published state agrees with the model, after a restart too.
    fn check(&self) {
        let snapshot = self.writer.snapshot();
        assert_eq!(snapshot.event.phase, self.model.phase);
        self.check_facts(&snapshot);
        check_frames(&snapshot, self.model.announcements);
    }

    fn check_facts(&self, snapshot: &Snapshot) {
        let (event, model) = (&snapshot.event, &self.model);
        let numbers: BTreeSet<_> = event.participants_after(0).map(|(number, _)| number.0).collect();
        assert_eq!(numbers, model.numbers.values().copied().collect(), "exactly the acknowledged numbers");
        assert_eq!(numbers, (1..=numbers.len() as u32).collect(), "without a gap");
        assert_eq!(event.pending_draw().map(|draw| draw.id.0), model.pending.as_ref().map(|pending| pending.draw));
        assert_eq!(event.unannounced_draw().map(|draw| draw.id.0), model.unannounced);
        assert_eq!(event.standby.is_some(), model.standby);
        let seats = event.draws().flat_map(|draw| draw.seats.iter().map(|seat| (draw.id.0, seat)));
        let mut seats: Vec<_> = seats
            .map(|(draw, seat)| (draw, seat.number.0, seat.voided.map(|voided| voided.1), seat.details_at.is_some()))
            .collect();
        let submitted = |seat: &Seat| model.details_now.contains(&(seat.draw, seat.number));
        let expected = model.seats.iter().map(|seat| (seat.draw, seat.number, seat.voided, submitted(seat)));
        let mut expected: Vec<_> = expected.collect();
        seats.sort_by_key(|seat| (seat.0, seat.1));
        expected.sort_by_key(|seat| (seat.0, seat.1));
        assert_eq!(seats, expected);
        let public: BTreeSet<_> = event.draws().filter(|draw| draw.is_known_to(Audience::Public)).map(|draw| draw.id.0).collect();
        assert_eq!(public, model.announced, "the public knows the announced draws and no other");
        assert!(event.draws().all(|draw| draw.status() != Status::Started || draw.disclosed_pick().is_none()));
    }
}

fn winners(accepted: &Accepted, draw: DrawId) -> BTreeSet<u32> {
    let draw = accepted.snapshot.event.draw(draw).unwrap();
    assert_eq!(draw.winners().count() as u32, draw.spec.winner_count, "nobody twice");
    draw.winners().map(|number| number.0).collect()
}

/// The frames of the ring are numbered without a gap and hold each announcement once.
fn check_frames(snapshot: &Snapshot, announcements: u64) {
    let frames: Vec<_> = snapshot.ring.after(0).unwrap().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    assert_eq!(frames.len() as u64, snapshot.ring.last_seq());
    for (seq, frame) in (1..).zip(&frames) {
        assert!(frame.contains(&format!(r#""seq":{seq},"#)), "frame {seq} says {frame}");
    }
    let announced = frames.iter().filter(|frame| frame.contains("winner_announced")).count() as u64;
    assert_eq!(announced, announcements, "an announcement goes out once");
}

fn draw_request(name: &str, mode: Mode, count: u32) -> DrawRequest {
    DrawRequest {
        prize_name: Some(name.into()),
        prize_rank: Some(1),
        mode: Some(mode),
        winner_count: Some(count),
        ..DrawRequest::default()
    }
}

fn code(rejection: &Rejection) -> Option<&'static str> {
    match rejection {
        Rejection::Refused(refusal) => Some(refusal.code()),
        _ => None,
    }
}

#[test]
fn every_simulated_event_agrees_with_the_model() {
    let seeds: u64 = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        eprintln!("seed {seed}");
        let mut simulation =
            Simulation { writer: Writer::start(), model: Model::default(), random: Random(seed), keys: 0, is_hall: false };
        for _ in 0..STEPS {
            simulation = simulation.step();
        }
        simulation.close();
    }
}

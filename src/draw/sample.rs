//! Events for tests.
//!
//! [`EventFixture`] takes commands, as the tests of this module need. [`event`] builds an event
//! from facts alone with chosen winners, for tests of other modules: they are about the looks of an
//! event, not about the rules that led there.

use super::command::{EligibilityPatch, Redraw, Show};
use super::fact::{Cause, Eligibility, SealedPick, SecretScope, Settings, VoidReason};
use super::proof::drand::QUICKNET;
use super::*;
use std::sync::Arc;

/// A builder of events.
pub(crate) struct Sample {
    event: Event,
    last: Option<(DrawId, SealedPick)>,
}

/// An open event `gala` with ten participants, two televisions on its list of prizes, and no draw.
pub(crate) fn event() -> Sample {
    let settings = Settings { title: "Gala".into(), participants_max: 20_000, ..Settings::default() };
    let id = EventId::parse("gala").expect("a plain name");
    let event = Event::new(id, settings, SessionId([1; 16]), Epoch([2; 8]), Timestamp(0));
    let television = Fact::PrizeAdded { prize: Prize { id: PrizeId(1), ..prize("TV", 2) } };
    let sample = Sample { event, last: None }.apply(0, television);
    (1..=10).fold(sample, |sample, number| {
        let registered = Fact::Registered { number: Number(number), key: [number as u8; 32], secrets: SecretScope::Registration };
        sample.apply(i64::from(number) * 1000, registered)
    })
}

impl Sample {
    /// Adds a pending draw.
    pub(crate) fn started(mut self, prize: &str, picks: &[u32]) -> Self {
        let mut pool = Pool::new(10);
        (1..=10).for_each(|number| pool.push(Number(number), 1));
        let spec = DrawSpec {
            prize_id: (prize == "TV").then_some(PrizeId(1)),
            prize_name: prize.into(),
            prize_rank: 1,
            prize_grade: None,
            prize_image: None,
            mode: Mode::List,
            winner_count: picks.len() as u32,
            show_length: None,
        };
        let draw = DrawId(self.event.next_draw);
        let sealed = SealedPick { entropy: Entropy([0xab; 32]), picks: picks.iter().copied().map(Number).collect() };
        self.last = Some((draw, sealed.clone()));
        self.apply(
            20_000,
            Fact::Started {
                draw,
                spec: Arc::new(spec),
                pool: Arc::new(pool),
                sealed: Some(sealed),
                lock: None,
                redraw_of: None,
                request: None,
            },
        )
    }

    /// Adds a revealed draw.
    pub(crate) fn revealed(self, prize: &str, picks: &[u32]) -> Self {
        self.started(prize, picks).apply_to_last(30_000, |draw, sealed| Fact::Revealed { draw, sealed, show_at: None })
    }

    /// Adds an announced draw.
    pub(crate) fn announced(self, prize: &str, picks: &[u32]) -> Self {
        self.revealed(prize, picks).apply_to_last(40_000, |draw, _| Fact::Announced { draw, cause: Cause::Completed })
    }

    /// Cancels the last draw.
    pub(crate) fn cancelled(self, reason: &str) -> Self {
        self.apply_to_last(35_000, |draw, sealed| Fact::Cancelled { draw, sealed: Some(sealed), reason: reason.into() })
    }

    /// Voids the first seat of the last draw.
    pub(crate) fn voided(self, reason: VoidReason) -> Self {
        self.apply_to_last(50_000, |draw, sealed| Fact::SeatVoided { draw, number: sealed.picks[0], reason })
    }

    /// The event.
    pub(crate) fn build(self) -> Event {
        self.event
    }

    fn apply_to_last(self, at_ms: i64, fact: impl FnOnce(DrawId, SealedPick) -> Fact) -> Self {
        let (draw, sealed) = self.last.clone().expect("a draw was started");
        self.apply(at_ms, fact(draw, sealed))
    }

    fn apply(mut self, at_ms: i64, fact: Fact) -> Self {
        self.event.apply(Timestamp(at_ms), &fact);
        self
    }
}

/// An event with a clock and an entropy source that only count.
pub(super) struct EventFixture {
    pub event: Event,
    /// All facts so far.
    pub facts: Vec<Fact>,
    /// The time of each fact.
    pub times: Vec<Timestamp>,
    /// The time of tick zero, in milliseconds.
    pub start_ms: i64,
    tick: u32,
}

impl EventFixture {
    /// An event with this many participants.
    pub fn with(participants: u32) -> Self {
        let mut fixture = Self { event: Self::new_event(), facts: vec![], times: vec![], start_ms: 0, tick: 0 };
        (1..=participants).for_each(|number| drop(fixture.register(number)));
        fixture
    }

    /// The event before its first fact.
    pub fn new_event() -> Event {
        let settings = Settings { title: "송년회".into(), participants_max: 1_000, ..Settings::default() };
        let id = EventId::parse("demo").unwrap();
        Event::new(id, settings, SessionId([1; 16]), Epoch([2; 8]), Timestamp(0))
    }

    /// Decides a command and applies its facts.
    pub fn execute(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.tick += 1;
        let (at, entropy) = (Timestamp(self.start_ms + i64::from(self.tick)), Entropy([self.tick as u8; 32]));
        let sources = command::Sources { entropy: &mut || entropy, drand: &QUICKNET };
        let decision = self.event.decide(at, &command, sources)?;
        decision.facts.iter().for_each(|fact| self.event.apply(at, fact));
        self.times.extend(decision.facts.iter().map(|_| at));
        self.facts.extend(decision.facts);
        Ok(decision.outcome)
    }

    pub fn register(&mut self, number: u32) -> Result<Outcome, Refusal> {
        let session = self.event.session;
        self.execute(Command::Register { number: Number(number), key: [number as u8; 32], session })
    }

    pub fn mark(&mut self, number: u32, mark: Eligibility) {
        let Eligibility { eligible, group, weight } = mark;
        let patch = EligibilityPatch { eligible: Some(eligible), group: Some(group), weight: Some(weight) };
        self.execute(Command::MarkParticipant { number: Number(number), patch }).unwrap();
    }

    /// Adds a prize to the list, after `change`.
    pub fn list(&mut self, name: &str, quantity: u32, change: impl FnOnce(&mut Prize)) -> PrizeId {
        let mut prize = prize(name, quantity);
        change(&mut prize);
        match self.execute(Command::AddPrize(prize)) {
            Ok(Outcome::PrizeAdded(id)) => id,
            other => panic!("not listed: {other:?}"),
        }
    }

    pub fn start(&mut self, name: &str, mode: Mode, count: u32) -> Result<DrawId, Refusal> {
        let outcome = self.execute(Command::Start(draw_request(name, mode, count)))?;
        let Outcome::Started(id) = outcome else { panic!("{outcome:?}") };
        Ok(id)
    }

    /// Starts, reveals and completes a draw.
    pub fn draw(&mut self, name: &str, mode: Mode, count: u32) -> Result<Draw, Refusal> {
        let id = self.start(name, mode, count)?;
        self.execute(Command::Reveal(Show::Open)).unwrap();
        self.execute(Command::Complete(command::DrawSelector::Draw(id))).unwrap();
        Ok(Draw::clone(self.event.draw(id).unwrap()))
    }

    pub fn void(&mut self, draw: &Draw, number: Number, reason: VoidReason, redraw: Redraw) -> Result<Outcome, Refusal> {
        self.execute(Command::Void { draw: draw.id, number, reason, redraw })
    }
}

/// A plain prize.
pub(crate) fn prize(name: &str, quantity: u32) -> Prize {
    Prize {
        id: PrizeId(0),
        name: name.into(),
        rank: 1,
        grade: None,
        quantity,
        mode: None,
        winner_count: None,
        show_length: None,
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
    }
}

/// A request for this many winners of a prize.
pub(super) fn draw_request(name: &str, mode: Mode, count: u32) -> DrawRequest {
    DrawRequest {
        prize_name: Some(name.into()),
        prize_rank: Some(1),
        mode: Some(mode),
        winner_count: Some(count),
        ..DrawRequest::default()
    }
}

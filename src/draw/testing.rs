//! An event in a test's hands: commands go in, facts are applied, refusals come back.

use super::command::{Command, DrawSelector, Outcome, Redraw};
use super::fact::{Eligibility, Settings, VoidReason};
use super::{
    Draw, DrawId, DrawRequest, Entropy, Epoch, Event, EventId, Fact, Number, Prize, PrizeId, Refusal, SessionId, Timestamp,
};

/// An event, and a clock and a chance that only count.
pub struct EventFixture {
    pub event: Event,
    pub facts: Vec<Fact>,
    tick: u32,
}

impl EventFixture {
    /// An event in which so many have registered.
    pub fn with(participants: u32) -> Self {
        let settings = Settings { title: "송년회".into(), participants_max: 1_000, ..Settings::default() };
        let id = EventId::parse("demo").unwrap();
        let event = Event::new(id, settings, SessionId([1; 16]), Epoch([2; 8]), Timestamp(0));
        let mut fixture = Self { event, facts: vec![], tick: 0 };
        (1..=participants).for_each(|number| drop(fixture.register(number)));
        fixture
    }

    /// Decides and applies.
    pub fn order(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.tick += 1;
        let (at, entropy) = (Timestamp(i64::from(self.tick)), Entropy([self.tick as u8; 32]));
        let decision = self.event.decide(at, &command, &mut || entropy)?;
        decision.facts.iter().for_each(|fact| self.event.apply(at, fact));
        self.facts.extend(decision.facts);
        Ok(decision.outcome)
    }

    pub fn register(&mut self, number: u32) -> Result<Outcome, Refusal> {
        let session = self.event.session;
        self.order(Command::Register { number: Number(number), key: [number as u8; 32], session })
    }

    pub fn mark(&mut self, number: u32, mark: Eligibility) {
        self.order(Command::MarkParticipant { number: Number(number), mark }).unwrap();
    }

    /// Lists a prize, which `change` may make special.
    pub fn list(&mut self, name: &str, quantity: u32, change: impl FnOnce(&mut Prize)) -> PrizeId {
        let mut prize = prize(name, quantity);
        change(&mut prize);
        match self.order(Command::AddPrize(prize)) {
            Ok(Outcome::PrizeAdded(id)) => id,
            other => panic!("not listed: {other:?}"),
        }
    }

    pub fn start(&mut self, name: &str, mode: super::Mode, count: u32) -> Result<DrawId, Refusal> {
        let outcome = self.order(Command::Start(wish(name, mode, count)))?;
        let Outcome::Started(id) = outcome else { panic!("{outcome:?}") };
        Ok(id)
    }

    /// Starts, reveals and completes a draw.
    pub fn draw(&mut self, name: &str, mode: super::Mode, count: u32) -> Result<Draw, Refusal> {
        let id = self.start(name, mode, count)?;
        self.order(Command::Reveal).unwrap();
        self.order(Command::Complete(DrawSelector::Draw(id))).unwrap();
        Ok(Draw::clone(self.event.draw(id).unwrap()))
    }

    pub fn void(&mut self, draw: &Draw, number: Number, reason: VoidReason, redraw: Redraw) -> Result<Outcome, Refusal> {
        self.order(Command::Void { draw: draw.id, number, reason, redraw })
    }
}

/// A plain prize.
pub fn prize(name: &str, quantity: u32) -> Prize {
    Prize {
        id: PrizeId(0),
        name: name.into(),
        rank: 1,
        grade: None,
        quantity,
        mode: None,
        winner_count: None,
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
    }
}

/// A wish for so many winners of a prize.
pub fn wish(name: &str, mode: super::Mode, count: u32) -> DrawRequest {
    DrawRequest {
        prize_name: Some(name.into()),
        prize_rank: Some(1),
        mode: Some(mode),
        winner_count: Some(count),
        ..DrawRequest::default()
    }
}

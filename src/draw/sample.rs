//! Events as tests of the other rooms need them: told by facts alone, with chosen winners, since those tests are about how an event looks and not
//! how it came about.

use super::fact::{Cause, SealedPick, Settings, VoidReason};
use super::testing::prize;
use super::*;
use std::sync::Arc;

/// Puts an event together.
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
    let sample = Sample { event, last: None }.tell(0, television);
    (1..=10).fold(sample, |sample, number| {
        sample.tell(i64::from(number) * 1000, Fact::Registered { number: Number(number), key: [number as u8; 32] })
    })
}

impl Sample {
    /// Adds a draw that is picked and not revealed.
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
        };
        let draw = DrawId(self.event.next_draw);
        let sealed = SealedPick { entropy: Entropy([0xab; 32]), picks: picks.iter().copied().map(Number).collect() };
        self.last = Some((draw, sealed.clone()));
        self.tell(
            20_000,
            Fact::Started { draw, spec: Arc::new(spec), pool: Arc::new(pool), sealed, redraw_of: None, request: None },
        )
    }

    /// Adds a draw that displays and consoles know.
    pub(crate) fn revealed(self, prize: &str, picks: &[u32]) -> Self {
        self.started(prize, picks).tell_of_last(30_000, |draw, sealed| Fact::Revealed { draw, sealed })
    }

    /// Adds a draw that everybody knows.
    pub(crate) fn announced(self, prize: &str, picks: &[u32]) -> Self {
        self.revealed(prize, picks).tell_of_last(40_000, |draw, _| Fact::Announced { draw, cause: Cause::Completed })
    }

    /// Calls off the last draw.
    pub(crate) fn cancelled(self, reason: &str) -> Self {
        self.tell_of_last(35_000, |draw, sealed| Fact::Cancelled { draw, sealed, reason: reason.into() })
    }

    /// Voids the first seat of the last draw.
    pub(crate) fn voided(self, reason: VoidReason) -> Self {
        self.tell_of_last(50_000, |draw, sealed| Fact::SeatVoided { draw, number: sealed.picks[0], reason })
    }

    /// The event.
    pub(crate) fn build(self) -> Event {
        self.event
    }

    fn tell_of_last(self, at_ms: i64, fact: impl FnOnce(DrawId, SealedPick) -> Fact) -> Self {
        let (draw, sealed) = self.last.clone().expect("a draw was started");
        self.tell(at_ms, fact(draw, sealed))
    }

    fn tell(mut self, at_ms: i64, fact: Fact) -> Self {
        self.event.apply(Timestamp(at_ms), &fact);
        self
    }
}

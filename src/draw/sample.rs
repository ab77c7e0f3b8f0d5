//! Events as tests of the other rooms need them: put together by hand, since those tests are about how an event looks, not how it came about.

use super::chunked::Chunked;
use super::event::{Draw, Event, Participant, Seat};
use super::fact::{Sealed, Settings, VoidReason};
use super::*;
use std::sync::Arc;

/// Puts an event together.
pub(crate) struct Sample {
    event: Event,
}

/// An open event `gala` with ten participants, two televisions on its list of prizes, and no draw.
pub(crate) fn event() -> Sample {
    let mut participants = Chunked::default();
    (1..=10).for_each(|second| participants.push(Some(Participant { registered_at: Moment(second * 1000), mark: 0 })));
    let prize = Prize {
        id: PrizeId(1),
        name: "TV".into(),
        rank: 1,
        grade: None,
        quantity: 2,
        mode: None,
        winner_count: None,
        image: None,
        repeat_winners: false,
        group: None,
    };
    let settings = Settings { title: "Gala".into(), participants_max: 20_000, groups: false, weights: false };
    let event = Event {
        id: EventId::parse("gala").expect("a plain name"),
        settings: Arc::new(settings),
        phase: Phase::Open,
        session: SessionId([1; 16]),
        epoch: Epoch([2; 8]),
        entry_code: None,
        prizes: Arc::new(vec![prize]),
        standby: None,
        links: Arc::default(),
        opened_at: Moment(0),
        changed_at: Moment(0),
        participants,
        registered: 10,
        marks: Arc::default(),
        draws: Arc::default(),
        next_draw: 1,
        next_prize: 2,
        next_link: 1,
    };
    Sample { event }
}

impl Sample {
    /// Adds a draw that is picked and not revealed.
    pub(crate) fn started(mut self, prize: &str, picks: &[u32]) -> Self {
        let id = DrawId(self.event.next_draw);
        let mut pool = Pool::new(10);
        (1..=10).for_each(|number| pool.push(Number(number), 1));
        let spec = DrawSpec {
            prize_id: (prize == "TV").then_some(PrizeId(1)),
            prize_name: prize.into(),
            prize_rank: 1,
            prize_image: None,
            mode: Mode::List,
            winner_count: picks.len() as u32,
        };
        let draw = Draw {
            id,
            spec: Arc::new(spec),
            pool: Arc::new(pool),
            sealed: Sealed { entropy: Entropy([0xab; 32]), picks: picks.iter().copied().map(Number).collect() },
            redraw_of: None,
            started_at: Moment(20_000),
            revealed_at: None,
            announced_at: None,
            cancelled: None,
            seats: Vec::new(),
        };
        Arc::make_mut(&mut self.event.draws).push(Arc::new(draw));
        self.event.next_draw += 1;
        self
    }

    /// Adds a draw that displays and consoles know.
    pub(crate) fn revealed(self, prize: &str, picks: &[u32]) -> Self {
        let seat = |&number: &u32| Seat { number: Number(number), voided: None, details_at: None, arrived_at: None };
        self.started(prize, picks).last(|draw| {
            draw.revealed_at = Some(Moment(30_000));
            draw.seats = picks.iter().map(seat).collect();
        })
    }

    /// Adds a draw that everybody knows.
    pub(crate) fn announced(self, prize: &str, picks: &[u32]) -> Self {
        self.revealed(prize, picks).last(|draw| draw.announced_at = Some(Moment(40_000)))
    }

    /// Calls off the last draw.
    pub(crate) fn cancelled(self, reason: &str) -> Self {
        self.last(|draw| draw.cancelled = Some((Moment(35_000), reason.into())))
    }

    /// Voids the first seat of the last draw.
    pub(crate) fn voided(self, reason: VoidReason) -> Self {
        self.last(|draw| draw.seats[0].voided = Some((Moment(50_000), reason)))
    }

    /// The event.
    pub(crate) fn build(self) -> Event {
        self.event
    }

    fn last(mut self, change: impl FnOnce(&mut Draw)) -> Self {
        let draw = Arc::make_mut(&mut self.event.draws).last_mut().expect("a draw was added");
        change(Arc::make_mut(draw));
        self
    }
}

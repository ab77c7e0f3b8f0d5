//! The event that a fresh server begins with, so that a stranger has something to draw a minute
//! after cloning.

use crate::draw::fact::Settings;
use crate::draw::{EventId, Mode, Prize, PrizeId};
use crate::ops::config::Config;

/// An event to be created.
pub struct FirstEvent {
    /// The operator's default event.
    pub id: EventId,
    /// Settings of the event.
    pub settings: Settings,
    /// The prizes of the list.
    pub prizes: Vec<Prize>,
}

/// The demonstration: one prize per way of drawing.
pub fn first_event(config: &Config) -> FirstEvent {
    let settings = Settings {
        title: "럭키드로우 데모 · Lucky draw demo".into(),
        participants_max: config.app.participants_max,
        ..Settings::default()
    };
    let prizes = vec![
        prize("커피 쿠폰", 4, 20, Mode::List, 10),
        prize("무선 이어폰", 3, 5, Mode::Card, 5),
        prize("태블릿", 2, 2, Mode::Network, 2),
        prize("자전거", 1, 1, Mode::Slot, 1),
    ];
    FirstEvent { id: config.default_event.clone(), settings, prizes }
}

fn prize(name: &str, rank: u32, quantity: u32, mode: Mode, winner_count: u32) -> Prize {
    Prize {
        // Assigned when the event is created.
        id: PrizeId(0),
        name: name.into(),
        rank,
        grade: None,
        quantity,
        mode: Some(mode),
        winner_count: Some(winner_count),
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
    }
}

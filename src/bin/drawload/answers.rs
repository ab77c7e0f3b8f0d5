//! The answers that clients rely on, as types: an answer that lacks a field is an error.
//!
//! Fields that nobody here compares are left out, so that a server may add more. A layer without
//! imports, since measurements keep some of these values too.

use serde::Deserialize;

/// Any answer: the type takes whatever the data is.
pub type Anything = serde::de::IgnoredAny;

/// A draw with its winners, as answers and frames tell it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DrawResult {
    pub draw_id: u32,
    pub prize_name: String,
    pub prize_rank: u32,
    pub draw_mode: String,
    pub winner_count: u32,
    pub winners: Vec<u32>,
    pub drawn_at: String,
}

#[derive(Deserialize)]
pub struct Registered {
    pub draw_number: u32,
    pub session_token: String,
    pub event_id: String,
}

#[derive(Deserialize)]
pub struct MyNumber {
    pub draw_number: u32,
}

#[derive(Deserialize)]
pub struct CheckedWinner {
    pub draw_number: u32,
    pub won: bool,
    pub prizes: Vec<Win>,
}

/// A prize that a number has won.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Win {
    pub draw_id: u32,
    pub prize_name: String,
    pub prize_rank: u32,
}

#[derive(Deserialize)]
pub struct Standby {
    pub prize_name: String,
    pub status: String,
}

#[derive(Deserialize)]
pub struct Started {
    pub draw_id: u32,
    pub prize_name: String,
}

#[derive(Deserialize)]
pub struct Results {
    pub draws: Vec<PublishedDraw>,
}

#[derive(Deserialize)]
pub struct PublishedDraw {
    draw_id: u32,
    prize_name: String,
    prize_rank: u32,
    draw_mode: String,
    winner_count: u32,
    winners: Vec<Seat>,
    drawn_at: String,
}

/// A winner, by number.
#[derive(Deserialize)]
pub struct Seat {
    pub draw_number: u32,
}

impl Results {
    /// The draws, as frames tell them.
    pub fn into_draws(self) -> Vec<DrawResult> {
        let draws = self.draws.into_iter().map(|draw| DrawResult {
            draw_id: draw.draw_id,
            prize_name: draw.prize_name,
            prize_rank: draw.prize_rank,
            draw_mode: draw.draw_mode,
            winner_count: draw.winner_count,
            winners: draw.winners.into_iter().map(|seat| seat.draw_number).collect(),
            drawn_at: draw.drawn_at,
        });
        draws.collect()
    }
}

#[derive(Deserialize)]
pub struct History {
    pub draws: Vec<HistoryRow>,
}

/// A winner of a draw in the admin's history.
#[derive(Clone, Debug, Deserialize)]
pub struct HistoryRow {
    pub draw_id: u32,
    pub prize_name: String,
    pub prize_rank: u32,
    pub draw_number: u32,
    pub status: String,
}

#[derive(Deserialize)]
pub struct Events {
    pub events: Vec<Event>,
}

#[derive(Deserialize)]
pub struct Event {
    pub event_id: String,
}

#[derive(Deserialize)]
pub struct Participants {
    pub participants: Vec<Seat>,
    pub total_count: u64,
}

#[derive(Deserialize)]
pub struct Winners {
    pub winners: Vec<WinnerRow>,
}

/// A winner's details in the admin's list; the name is missing until they come in.
#[derive(Clone, Debug, Deserialize)]
pub struct WinnerRow {
    pub draw_number: u32,
    pub name: Option<String>,
}

#[derive(Deserialize)]
pub struct State {
    pub state_sync: StateSync,
}

/// The state of the event, as a role may know it.
#[derive(Clone, Debug, Deserialize)]
pub struct StateSync {
    pub role: String,
    pub participant_count: u64,
    pub connection_count: u64,
    pub draw_count: u64,
    pub current: Option<Current>,
    /// The last ten.
    pub results: Vec<DrawResult>,
    /// To a phone that proved its number.
    pub you: Option<You>,
    pub seq: u64,
    pub epoch: String,
}

/// The draw that is being played.
#[derive(Clone, Debug, Deserialize)]
pub struct Current {
    /// Only displays and consoles may know them.
    pub winners: Option<Vec<u32>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct You {
    pub draw_number: u32,
    pub won: bool,
    pub prizes: Vec<Win>,
}

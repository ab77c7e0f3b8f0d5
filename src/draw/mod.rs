//! The rules of a lucky draw: what may happen to an event, and what follows when it did.
//!
//! Everything here is pure. A [`Command`] is a wish; [`Event::decide`] answers it with the [`Fact`]s that would make it true, or
//! a [`Refusal`]; [`Event::apply`] takes a fact for granted. Time and chance come in as arguments, so that a test, a
//! replay and a live event run the very same code. This room knows no I/O, no clock, no lock, no JSON and no hash order.
//!
//! Read [`event`] first, then [`decide`], then [`pick`].

pub mod apply;
pub mod chunked;
pub mod command;
pub mod decide;
pub mod event;
pub mod fact;
mod lifecycle;
pub mod pick;
pub mod pool;
pub mod prize;

pub mod refusal;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
pub(crate) mod testing;
mod winners;

pub use command::{Command, Decision, Outcome, WinSelector};
pub use event::{Draw, Event, Participant, Seat, Status};
pub use fact::{Actor, Fact};
pub use pool::Pool;
pub use prize::{DrawRequest, DrawSpec, Mode, Prize};
pub use refusal::Refusal;

use std::fmt;
use std::sync::Arc;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// A participant's number within one event session, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u32);

/// A draw's number within its event, from 1; never given twice, also after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrawId(pub u32);

/// A listed prize's number within its event, from 1; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrizeId(pub u32);

/// A signed link's number within its event, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// 32 random bytes from outside: everything a draw's chance is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entropy(pub [u8; 32]);

impl fmt::Debug for Entropy {
    /// Prints no byte: entropy foretells the winners, and debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// One generation of participants. Resetting participants begins a new one, and every older number and token is void with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// Marks one unbroken history of frames: a phone that knows another epoch cannot catch up by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub [u8; 8]);

/// An event's name in addresses: 1 to 64 of `A-Z a-z 0-9 _ -`, and not `events`, which names the list of events there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Arc<str>);

impl EventId {
    /// The longest id, in bytes.
    pub const LEN_MAX: usize = 64;

    /// The rule of [`EventId::parse`], to be quoted in an error message.
    pub const RULE: &str = "1 to 64 of A-Z a-z 0-9 _ -, and not `events`";

    /// The name that addresses use for the list of events: `/admin/events/…`.
    const RESERVED: &str = "events";

    /// Parses an event id; `None` for a text that breaks [`EventId::RULE`].
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::LEN_MAX).contains(&text.len());
        let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        (fits && is_plain && text != Self::RESERVED).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for EventId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far an event has come. It only ever ends once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// People may register, and prizes may be drawn.
    Open,
    /// Registration is closed; prizes may be drawn. Can be opened again.
    Drawing,
    /// Over: no registration, no draw, no socket. Its rows stay.
    Closed,
}

/// Who may use a signed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRole {
    /// A projector: may connect as a display.
    Display,
    /// The prize desk: may read the winners and mark a participant as not eligible.
    Staff,
    /// Runs the show of one event.
    Host,
}

/// A signed link: valid as long as it stands in its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: LinkId,
    pub role: LinkRole,
    pub made_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_safe_in_a_path_and_never_the_list_of_events() {
        for id in ["a", "demo", "Year-End_2026", "EVENTS", "event", "events2", &"x".repeat(EventId::LEN_MAX)] {
            assert_eq!(EventId::parse(id).as_ref().map(EventId::as_str), Some(id));
        }
        for text in ["", "events", "a b", "a/b", "..", "a.b", "%41", "송년회", "a\n", &"x".repeat(EventId::LEN_MAX + 1)] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}

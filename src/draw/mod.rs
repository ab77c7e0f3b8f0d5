//! The rules of a lucky draw: which changes an event allows, and what each change does to it.
//!
//! Everything here is pure. A [`Command`] asks for a change; [`Event::decide`] answers it with the
//! [`Fact`]s that make the change, or with a [`Refusal`]; [`Event::apply`] applies a fact and never
//! refuses it. Time and entropy are arguments, so that a test, a replay and a live event run the
//! same code. This module knows no I/O, clock, lock, JSON or hash order.
//!
//! Read [`event`] first, then [`decide`], then [`pick`] and [`proof`].

mod apply;
mod chunked;
pub mod command;
pub mod decide;
pub mod entry_code;
pub mod event;
pub mod fact;
pub mod lifecycle;
mod locking;
pub mod pick;
pub mod prize;
pub mod proof;
mod refusal;
#[cfg(test)]
pub(crate) mod sample;
mod void_reason;
mod winners;

pub use command::{Command, Decision, Outcome, WinSelector};
pub use event::{Draw, Event, Participant, Registration, Seat, Status};
pub use fact::{Actor, Fact};
pub use pick::Pool;
pub use prize::{DrawRequest, DrawSpec, Mode, Prize, ShowLength};
pub use refusal::Refusal;

use std::fmt;
use std::sync::Arc;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// A participant's number within one session of an event, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u32);

/// A draw's number within its event, from 1; never reused, not even after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrawId(pub u32);

/// A listed prize's number within its event, from 1; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrizeId(pub u32);

/// A signed link's number within its event, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// The 32 random bytes that decide one draw.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entropy(pub [u8; 32]);

impl fmt::Debug for Entropy {
    /// Prints no byte: entropy predicts the winners, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// One generation of participants. Resetting the participants begins a new one and voids all older
/// numbers and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// One unbroken history of numbered frames. A phone that knows another epoch cannot catch up by
/// frame number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub [u8; 8]);

/// An event's name in addresses: 1 to 64 of `A-Z a-z 0-9 _ -`, and not `events`, which names the
/// list of events there.
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

/// The phase of an event. [`Phase::Closed`] is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Registration is open, and prizes can be drawn.
    Open,
    /// Registration is closed, and prizes can be drawn. The host can reopen registration.
    Drawing,
    /// Over: no registration, no draw, no socket. Its rows stay in the journal.
    Closed,
}

/// The rights of a signed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRole {
    /// A projector: connects as a display.
    Display,
    /// The prize desk: reads the winners and marks participants as not eligible.
    Staff,
    /// The host of one event: runs its draws.
    Host,
}

/// A signed link: valid until it is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, which the token carries.
    pub id: LinkId,
    /// The rights it gives.
    pub role: LinkRole,
    /// The time of its creation.
    pub made_at: Timestamp,
    /// The time of its revocation; `None` while it is valid.
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

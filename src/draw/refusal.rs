//! Refusals: the reasons why a command changes nothing.
//!
//! Each refusal has a code that clients rely on and that never changes. `http` maps codes to
//! statuses, this file must not.

use super::{DrawId, Mode, Number, Timestamp};
use std::sync::Arc;

/// The reason why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The event is in a phase without registration.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The event is over.
    #[error("the event is closed")]
    EventClosed,
    /// All numbers are given.
    #[error("the event is full: it takes {max} participants")]
    EventFull {
        /// The event's `participants_max`.
        max: u32,
    },
    /// A claim from before the last reset. No client sees it: the caller claims again.
    #[error("the number was claimed before the last reset")]
    StaleSession,
    /// A draw without participants.
    #[error("nobody has registered: let people scan the QR code first")]
    NobodyRegistered,
    /// A draw in which all participants are excluded.
    #[error("nobody is left to win: let earlier winners win this prize too, or include excluded participants")]
    NobodyLeft,
    /// A draw of more winners than are eligible.
    #[error("only {left} can still win: draw no more than that")]
    TooFewLeft {
        /// The size of the pool.
        left: u32,
    },
    /// A draw of more winners than its mode shows.
    #[error("{} draws at most {max} at once", mode.name())]
    TooManyWinners {
        /// The mode.
        mode: Mode,
        /// The mode's limit.
        max: u32,
    },
    /// A draw of more winners than the prize has left.
    #[error("{left} of this prize are left: draw no more than that, raise its quantity or choose another prize")]
    PrizeExhausted {
        /// The prizes left.
        left: u32,
    },
    /// Another draw has to end first.
    #[error("draw {} is not announced yet", .0.0)]
    DrawInProgress(DrawId),
    /// A reveal without a pending draw.
    #[error("nothing is pending")]
    NothingToReveal,
    /// A reveal of a draw whose outside value is not here.
    #[error("the draw waits for its outside value")]
    WaitingForOutside,
    /// A draw in one call of an event whose draws wait for an outside value.
    #[error("draws of this event wait for an outside value: start one, and reveal it once the value is here")]
    OutsideRequired,
    /// Another outside value for a draw that has one.
    #[error("the draw has another outside value")]
    OutsideGiven,
    /// An outside value for a draw that takes none of its kind.
    #[error("the draw takes no such outside value")]
    NoOutsideValue,
    /// A fallback for a draw whose lock names none.
    #[error("the lock of the draw names no fallback")]
    NoFallback,
    /// A completion without a revealed draw.
    #[error("there is nothing to complete")]
    NothingToComplete,
    /// A cancellation without a pending draw or standby.
    #[error("there is nothing to cancel")]
    NothingToCancel,
    /// The number did not win in that draw, or the win is not public or voided.
    #[error("the number has no such win")]
    NotAWinner,
    /// The command was made for an older state: another operator was first.
    #[error("another draw has been started since")]
    Outdated,
    /// The change replaces a list or an entry of it that another operator changed first.
    #[error("the list of prizes has been changed since")]
    PrizesOutdated,
    /// The details replace others that have been corrected meanwhile. Carries their version, from
    /// which the author may go on.
    #[error("the details have been changed since")]
    DetailsOutdated {
        /// The version of the details, 0 for none.
        version: u32,
    },
    /// The seat is voided, so its prize is not handed over.
    #[error("the win was voided")]
    WinVoided,
    /// The prize is at its winner's. Carries the first hand-over, so that the desk can say when and
    /// where.
    #[error("the prize was handed over already")]
    AlreadyHandedOver {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The prize's name.
        prize: Arc<str>,
        /// The time of the hand-over.
        at: Timestamp,
        /// The desk's name.
        desk: Arc<str>,
    },
    /// Nothing was handed over, so nothing can be undone.
    #[error("the prize was not handed over")]
    NotHandedOver,
    /// Only rehearsals are wiped.
    #[error("the event is no rehearsal")]
    NotARehearsal,
    /// The number is not registered.
    #[error("no such participant")]
    ParticipantNotFound,
    /// The named kind of thing is not there.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// A field has a wrong value.
    #[error("{field} {why}")]
    Invalid {
        /// The field's name on the wire.
        field: &'static str,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A field's number is out of its range.
    #[error("{field} must be from {min} to {max}")]
    OutOfRange {
        /// The field's name on the wire.
        field: &'static str,
        /// The lowest value.
        min: u32,
        /// The highest value.
        max: u32,
    },
    /// A list is full.
    #[error("at most {max} {what}")]
    TooMany {
        /// The plural of the things in the list.
        what: &'static str,
        /// The list's limit.
        max: u32,
    },
}

impl Refusal {
    /// The code that clients see. Codes never change.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::RegistrationClosed => "REGISTRATION_CLOSED",
            Refusal::EventClosed => "EVENT_CLOSED",
            Refusal::EventFull { .. } => "EVENT_FULL",
            Refusal::StaleSession => "OVERLOADED",
            Refusal::NobodyRegistered
            | Refusal::NobodyLeft
            | Refusal::TooFewLeft { .. }
            | Refusal::TooManyWinners { .. }
            | Refusal::PrizeExhausted { .. }
            | Refusal::NothingToCancel => "DRAW_FAILED",
            Refusal::DrawInProgress(_) => "DRAW_IN_PROGRESS",
            Refusal::NothingToReveal => "REVEAL_FAILED",
            Refusal::WaitingForOutside => "WAITING_FOR_OUTSIDE",
            Refusal::OutsideRequired => "OUTSIDE_REQUIRED",
            Refusal::OutsideGiven => "OUTSIDE_GIVEN",
            Refusal::NoOutsideValue => "NO_OUTSIDE_VALUE",
            Refusal::NoFallback => "NO_FALLBACK",
            Refusal::NothingToComplete => "COMPLETE_FAILED",
            Refusal::NotAWinner => "NOT_A_WINNER",
            Refusal::Outdated => "DRAW_OUTDATED",
            Refusal::PrizesOutdated => "PRIZES_OUTDATED",
            Refusal::DetailsOutdated { .. } => "DETAILS_OUTDATED",
            Refusal::WinVoided => "WIN_VOIDED",
            Refusal::AlreadyHandedOver { .. } => "ALREADY_HANDED_OVER",
            Refusal::NotHandedOver => "NOT_HANDED_OVER",
            Refusal::NotARehearsal => "NOT_A_REHEARSAL",
            Refusal::ParticipantNotFound => "PARTICIPANT_NOT_FOUND",
            Refusal::NotFound(_) => "NOT_FOUND",
            Refusal::Invalid { .. } | Refusal::OutOfRange { .. } | Refusal::TooMany { .. } => "INVALID_REQUEST",
        }
    }
}

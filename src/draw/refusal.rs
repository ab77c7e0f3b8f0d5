//! Why a wish is not granted. Each refusal has a stable code; which HTTP status it gets is the web's to say.

use super::{DrawId, Mode, Number, Timestamp};
use std::sync::Arc;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("registration is closed")]
    RegistrationClosed,
    #[error("the event is closed")]
    EventClosed,
    #[error("the event is full: it takes {max} participants")]
    EventFull { max: u32 },
    /// A claim from before the last reset. Never reaches a client: the web claims again.
    #[error("the number was claimed before the last reset")]
    StaleSession,
    #[error("nobody has registered")]
    NobodyRegistered,
    #[error("nobody is left to win")]
    NobodyLeft,
    #[error("only {left} are left to win")]
    TooFewLeft { left: u32 },
    #[error("{} draws at most {max} at once", mode.name())]
    TooManyWinners { mode: Mode, max: u32 },
    #[error("only {left} of this prize are left")]
    PrizeExhausted { left: u32 },
    #[error("draw {} is not announced yet", .0.0)]
    DrawInProgress(DrawId),
    #[error("nothing is pending")]
    NothingToReveal,
    #[error("there is nothing to complete")]
    NothingToComplete,
    #[error("there is nothing to cancel")]
    NothingToCancel,
    #[error("the number has no such win")]
    NotAWinner,
    #[error("another draw has been started since")]
    Outdated,
    #[error("the win was voided")]
    WinVoided,
    /// With the first time it was, so that the desk can say when and where.
    #[error("the prize was handed over already")]
    AlreadyHandedOver { draw: DrawId, number: Number, prize: Arc<str>, at: Timestamp, desk: Arc<str> },
    #[error("the prize was not handed over")]
    NotHandedOver,
    #[error("the event is no rehearsal")]
    NotARehearsal,
    #[error("no such participant")]
    ParticipantNotFound,
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{field} {why}")]
    Invalid { field: &'static str, why: &'static str },
    #[error("at most {max} {what}")]
    TooMany { what: &'static str, max: u32 },
}

impl Refusal {
    /// The code a client sees, for good.
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
            | Refusal::PrizeExhausted { .. } => "DRAW_FAILED",
            Refusal::DrawInProgress(_) => "DRAW_IN_PROGRESS",
            Refusal::NothingToReveal => "REVEAL_FAILED",
            Refusal::NothingToComplete => "COMPLETE_FAILED",
            Refusal::NothingToCancel => "DRAW_FAILED",
            Refusal::NotAWinner => "NOT_A_WINNER",
            Refusal::Outdated => "DRAW_OUTDATED",
            Refusal::WinVoided => "WIN_VOIDED",
            Refusal::AlreadyHandedOver { .. } => "ALREADY_HANDED_OVER",
            Refusal::NotHandedOver => "NOT_HANDED_OVER",
            Refusal::NotARehearsal => "NOT_A_REHEARSAL",
            Refusal::ParticipantNotFound => "PARTICIPANT_NOT_FOUND",
            Refusal::NotFound(_) => "NOT_FOUND",
            Refusal::Invalid { .. } | Refusal::TooMany { .. } => "INVALID_REQUEST",
        }
    }
}

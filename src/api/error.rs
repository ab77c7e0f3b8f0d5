//! Errors of the layers below as HTTP errors: the one place where a refusal gets its status.

use crate::base::clock::rfc3339;
use crate::draw::Refusal;
use crate::http::response::HttpError;
use crate::sequencer::inbox::Rejection;
use crate::wire::parse::Invalid;
use hyper::StatusCode;

/// 404 for an event that does not exist.
pub fn event_not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "EVENT_NOT_FOUND", "no such event")
}

impl From<Rejection> for HttpError {
    fn from(rejection: Rejection) -> Self {
        use StatusCode as S;
        let (code, message) = (rejection.code(), rejection.to_string());
        match rejection {
            Rejection::Refused(refusal) => Self::from(refusal),
            Rejection::NoSuchEvent => event_not_found(),
            Rejection::EventExists => Self::new(S::CONFLICT, code, message),
            Rejection::TooManyEvents { .. } => Self::new(S::CONFLICT, code, message),
            Rejection::EventInUse => Self::new(S::CONFLICT, code, message),
            Rejection::NotDurable | Rejection::Unanswered => {
                Self { retry_after: Some(2), ..Self::new(S::SERVICE_UNAVAILABLE, code, message) }
            }
            Rejection::Overloaded => Self::overloaded(),
        }
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        let status = match refusal {
            Refusal::RegistrationClosed | Refusal::NotAWinner => S::FORBIDDEN,
            Refusal::EventClosed
            | Refusal::EventFull { .. }
            | Refusal::DrawInProgress(_)
            | Refusal::Outdated
            | Refusal::PrizesOutdated
            | Refusal::DetailsOutdated { .. }
            | Refusal::WinVoided
            | Refusal::AlreadyHandedOver { .. }
            | Refusal::NotHandedOver
            | Refusal::NotARehearsal
            | Refusal::OutsideRequired
            | Refusal::OutsideGiven
            | Refusal::NoOutsideValue
            | Refusal::NoFallback => S::CONFLICT,
            Refusal::WaitingForOutside => {
                return Self { retry_after: Some(2), ..Self::new(S::CONFLICT, refusal.code(), refusal.to_string()) };
            }
            // Registration claims again by itself; should it ever give up, a retry is right.
            Refusal::StaleSession => return Self::overloaded(),
            Refusal::NobodyRegistered
            | Refusal::NobodyLeft
            | Refusal::TooFewLeft { .. }
            | Refusal::TooManyWinners { .. }
            | Refusal::PrizeExhausted { .. }
            | Refusal::NothingToReveal
            | Refusal::NothingToComplete
            | Refusal::NothingToCancel => S::BAD_REQUEST,
            Refusal::ParticipantNotFound | Refusal::NotFound(_) => S::NOT_FOUND,
            Refusal::Invalid { .. } | Refusal::OutOfRange { .. } | Refusal::TooMany { .. } => S::UNPROCESSABLE_ENTITY,
        };
        let mut error = Self::new(status, refusal.code(), refusal.to_string());
        if let Refusal::TooFewLeft { left } | Refusal::PrizeExhausted { left } = refusal {
            error.more.insert("left".into(), left.into());
        }
        if let Refusal::DetailsOutdated { version } = refusal {
            error.more.insert("details_version".into(), version.into());
        }
        if let Refusal::AlreadyHandedOver { draw, number, prize, at, desk } = &refusal {
            error.more.insert("draw_id".into(), draw.0.into());
            error.more.insert("draw_number".into(), number.0.into());
            error.more.insert("prize_name".into(), (**prize).into());
            error.more.insert("handed_over_at".into(), rfc3339(*at).into());
            error.more.insert("desk".into(), (**desk).into());
        }
        error
    }
}

impl From<Invalid> for HttpError {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.to_string())
    }
}

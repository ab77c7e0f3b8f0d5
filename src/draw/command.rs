//! Commands to an event, and the decisions and outcomes that answer them.
//!
//! A command carries all that its decision needs but time and entropy. It must never hold a
//! winner's details: facts stay in the journal for good, details do not.

use super::fact::{Cause, Eligibility, Settings, VoidReason};
use super::{DrawId, DrawRequest, Entropy, Fact, LinkId, LinkRole, Number, Phase, Prize, PrizeId, SessionId};
use std::sync::Arc;

/// A command to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Commit the number that the roster gave to `key` in `session`.
    Register {
        /// The claimed number.
        number: Number,
        /// The SHA-256 of the registration's `request_id`.
        key: [u8; 32],
        /// The session in which the number was claimed.
        session: SessionId,
    },
    /// Show a prize as the next to be drawn.
    Standby(DrawRequest),
    /// Pick winners in secret.
    Start(DrawRequest),
    /// Reveal the pending draw.
    Reveal,
    /// Reveal this draw and no other; a revealed draw stays as it is.
    RevealDraw(DrawId),
    /// Announce a revealed draw, since its show is over.
    Complete(DrawSelector),
    /// Cancel the pending draw, or else the standby.
    Cancel {
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// Cancel this draw and no other.
    CancelDraw {
        /// The pending draw.
        draw: DrawId,
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// Void an announced seat, and redraw it if asked.
    Void {
        /// The seat's draw.
        draw: DrawId,
        /// The seat's number.
        number: Number,
        /// The reason, which is public.
        reason: VoidReason,
        /// Redraws the seat in the same decision.
        redraw: Redraw,
    },
    /// Start and reveal in one step, in `list` mode.
    DrawAtOnce(DrawRequest),
    /// Announce a revealed draw, unless it is announced.
    Announce {
        /// The revealed draw.
        draw: DrawId,
        /// The cause, for the audit trail.
        cause: Cause,
    },
    /// Clear draws, or participants and draws.
    Reset(ResetScope),
    /// Clear a rehearsal: participants and all draws. The new session comes from outside.
    Wipe(SessionId),
    /// Replace the settings.
    ChangeSettings(Settings),
    /// Move to another phase.
    ChangePhase(Phase),
    /// Ask phones for four digits before they register; `None` asks for nothing.
    SetEntryCode(Option<[u8; 4]>),
    /// Add a prize to the list. Its id is ignored: the event gives the next one.
    AddPrize(Prize),
    /// Add all of these prizes, or none.
    AddPrizes(Arc<[Prize]>),
    /// Replace the listed prize of the same id.
    ChangePrize(Prize),
    /// Take a prize off the list.
    RemovePrize(PrizeId),
    /// Put the list into this order.
    OrderPrizes(Arc<[PrizeId]>),
    /// Set a participant's eligibility, group and weight.
    MarkParticipant {
        /// The participant.
        number: Number,
        /// The eligibility from now on.
        mark: Eligibility,
    },
    /// Accept a winner's details.
    ReceiveDetails {
        /// The win they belong to.
        pick: WinSelector,
        /// The winner.
        number: Number,
        /// The details include a postal address.
        has_address: bool,
    },
    /// Note that a winner is present.
    Arrive {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// Hand a prize over, once.
    HandOver {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The desk's name.
        desk: Arc<str>,
    },
    /// Take back a mistaken hand-over.
    UndoHandOver {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// Make a signed link.
    MakeLink(LinkRole),
    /// Revoke a signed link.
    RevokeLink(LinkId),
    /// Record that an operator reads winners' details unmasked.
    NoteUnmasking,
}

/// The draw that a completion means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrawSelector {
    /// The draw of this id.
    Draw(DrawId),
    /// The latest draw of exactly these winners, in any order.
    Winners(Vec<Number>),
    /// The latest revealed draw.
    Latest,
}

/// The win that a winner's details belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WinSelector {
    /// The win in this draw.
    Draw(DrawId),
    /// A win of the prize of this name, which is all that old phones know.
    PrizeNamed(Arc<str>),
}

/// The choice to redraw a voided seat at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// Start a draw of the one seat.
    Yes,
    /// Leave the seat empty.
    No,
}

/// The extent of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetScope {
    /// Clears nothing.
    Nothing,
    /// Clears all draws.
    Draws,
    /// Clears the participants and all draws. The new session comes from outside.
    Participants(SessionId),
}

/// The result of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The number is the phone's.
    Registered {
        /// The number.
        number: Number,
        /// The number was committed before.
        existing: bool,
    },
    /// The prize is on standby.
    Standby,
    /// The draw is pending.
    Started(DrawId),
    /// The draw is revealed.
    Revealed(DrawId),
    /// The draw is announced.
    Completed(DrawId),
    /// The draw that was cancelled; `None` for a standby.
    Cancelled(Option<DrawId>),
    /// The seat is voided.
    Voided {
        /// The draw that fills the seat again, if it was asked for.
        redraw: Option<DrawId>,
    },
    /// The scope is cleared.
    Reset,
    /// The prize is on the list under this id.
    PrizeAdded(PrizeId),
    /// The link has this id.
    LinkMade(LinkId),
    /// The details belong to this win.
    Details {
        /// The draw of the win.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// These are the win's first details, and the ones that are kept.
        first: bool,
        /// The prize is sent, so the address is kept.
        keeps_address: bool,
    },
    /// The command is done and has nothing more to tell.
    Done,
}

/// An accepted command: the facts to commit, in order, and the answer once they are committed. No
/// facts: nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The facts, in order.
    pub facts: Vec<Fact>,
    /// The answer.
    pub outcome: Outcome,
}

impl Decision {
    pub(super) fn new(facts: impl Into<Vec<Fact>>, outcome: Outcome) -> Self {
        Self { facts: facts.into(), outcome }
    }
}

/// The source of a draw's entropy. A decision reads it at most once.
pub type EntropySource<'a> = &'a mut dyn FnMut() -> Entropy;

//! What can be wished of an event, and what comes back.

use super::fact::{Cause, Eligibility, Settings, VoidReason};
use super::{DrawId, DrawRequest, Entropy, Fact, LinkId, LinkRole, Number, Phase, Prize, PrizeId, SessionId};
use std::sync::Arc;

/// A wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Commit a number that the roster gave to `key` in `session`.
    Register {
        number: Number,
        key: [u8; 32],
        session: SessionId,
    },
    Standby(DrawRequest),
    Start(DrawRequest),
    Reveal,
    /// Reveal this draw and no other; one that is revealed already stays so.
    RevealDraw(DrawId),
    Complete(DrawSelector),
    Cancel {
        reason: Arc<str>,
    },
    /// Call this draw off and no other.
    CancelDraw {
        draw: DrawId,
        reason: Arc<str>,
    },
    Void {
        draw: DrawId,
        number: Number,
        reason: VoidReason,
        redraw: Redraw,
    },
    /// Start and reveal at once, in `list` mode.
    DrawAtOnce(DrawRequest),
    /// Announce a revealed draw, if it is not announced yet.
    Announce {
        draw: DrawId,
        cause: Cause,
    },
    Reset(ResetScope),
    /// Clear a rehearsal: participants and all draws; the new session comes from outside.
    Wipe(SessionId),
    ChangeSettings(Settings),
    ChangePhase(Phase),
    SetEntryCode(Option<[u8; 4]>),
    /// The id in it is ignored: the event gives the next.
    AddPrize(Prize),
    /// All of them, or none.
    AddPrizes(Arc<[Prize]>),
    ChangePrize(Prize),
    RemovePrize(PrizeId),
    OrderPrizes(Arc<[PrizeId]>),
    MarkParticipant {
        number: Number,
        mark: Eligibility,
    },
    /// A winner hands in details.
    ReceiveDetails {
        pick: WinSelector,
        number: Number,
        has_address: bool,
    },
    Arrive {
        draw: DrawId,
        number: Number,
    },
    /// The prize desk hands a prize over, once.
    HandOver {
        draw: DrawId,
        number: Number,
        desk: Arc<str>,
    },
    UndoHandOver {
        draw: DrawId,
        number: Number,
    },
    MakeLink(LinkRole),
    RevokeLink(LinkId),
    NoteUnmasking,
}

/// Which draw a completion means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrawSelector {
    Draw(DrawId),
    /// The one that drew exactly these, in any order; the latest, if several did.
    Winners(Vec<Number>),
    Latest,
}

/// Which win is meant: an old phone knows only the prize's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WinSelector {
    Draw(DrawId),
    PrizeNamed(Arc<str>),
}

/// Whether a voided seat is drawn again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    Yes,
    No,
}

/// What a reset clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetScope {
    Nothing,
    Draws,
    /// Participants, and with them all draws; the new session comes from outside.
    Participants(SessionId),
}

/// What a granted wish came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Registered {
        number: Number,
        existing: bool,
    },
    Standby,
    Started(DrawId),
    Revealed(DrawId),
    Completed(DrawId),
    /// The draw that was called off; none: a standby.
    Cancelled(Option<DrawId>),
    /// The new draw of the seat, if it was drawn again.
    Voided {
        redraw: Option<DrawId>,
    },
    Reset,
    PrizeAdded(PrizeId),
    LinkMade(LinkId),
    /// Whose win the details belong to, whether they are the first, and whether the prize is sent to the address in them.
    Details {
        draw: DrawId,
        number: Number,
        first: bool,
        keeps_address: bool,
    },
    Done,
}

/// A granted wish: the facts that make it true, in order, and what to answer once they are committed. No facts: nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub facts: Vec<Fact>,
    pub outcome: Outcome,
}

/// EntropySource, as an argument: asked for at most once a command.
pub type EntropySource<'a> = &'a mut dyn FnMut() -> Entropy;

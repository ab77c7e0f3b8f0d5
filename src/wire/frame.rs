//! Frames that announce facts, encoded once for all peers.
//!
//! Frames for everyone are numbered by `seq`. The numbering must depend on the committed facts
//! alone, so that replaying the journal gives each frame its old number and its old bytes.

mod operators;
mod outside;

use super::{Role, entry_code, text_frame};
use crate::base::clock::rfc3339;
use crate::draw::entry_code::EntryCode;
use crate::draw::fact::{Fact, VoidReason};
use crate::draw::{Draw, DrawId, DrawSpec, Event, Number, Phase, Timestamp};
use bytes::Bytes;
pub(super) use operators::shown_ranges;
pub use operators::{prizes_changed, step_taken, winner_arrived, winner_info_received, winner_updated};
use outside::{FellBack, LockView, OutsideReceived, OutsideView};
use serde::Serialize;

/// A frame, by its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingFrame {
    /// For phones, displays and consoles; carries the next `seq`.
    Everyone(Bytes),
    /// For displays and consoles; carries no `seq`.
    Operators(Bytes),
}

/// The frames that announce `fact`, which `event` has just applied. `last_seq` is the number of the
/// frame before them.
pub fn frames_for(event: &Event, fact: &Fact, last_seq: u64) -> Vec<OutgoingFrame> {
    let mut numbers = FrameNumbers { epoch: data_encoding::HEXLOWER.encode(&event.epoch.0), seq: last_seq };
    let draw_of = |id: &DrawId| event.draw(*id).expect("a fact names a draw of its event");
    match fact {
        Fact::StandbyShown { spec } => {
            vec![numbers.next("draw_standby", Standby { prize: PrizeFields::of(spec), status: "standby" })]
        }
        Fact::StandbyEnded => {
            vec![numbers.next("draw_voided", Voided { draw_id: None, draw_number: None, reason: "cancelled" })]
        }
        Fact::Started { draw, .. } => started(draw_of(draw), &mut numbers),
        Fact::OutsideReceived { draw, .. } => vec![numbers.next("outside_received", OutsideReceived::of(draw_of(draw)))],
        Fact::FellBack { draw, .. } => vec![numbers.next("outside_fallback", FellBack::of(draw_of(draw)))],
        Fact::Revealed { draw, show_at, .. } => revealed(draw_of(draw), *show_at, &mut numbers),
        Fact::Announced { draw, .. } => {
            let result = RevealedDraw::of(draw_of(draw));
            let seed = draw_of(draw).disclosed_seed().map(|seed| data_encoding::HEXLOWER.encode(&seed.0));
            let announced = Announced { draw: &result, seed };
            vec![numbers.next("winner_announced", &announced), numbers.next("draw_complete", &announced)]
        }
        Fact::Cancelled { draw, reason, .. } => {
            vec![numbers.next("draw_voided", Voided { draw_id: Some(draw.0), draw_number: None, reason })]
        }
        Fact::SeatVoided { draw, number, reason } => {
            let voided = Voided { draw_id: Some(draw.0), draw_number: Some(number.0), reason: VoidReason::name(*reason) };
            vec![numbers.next("draw_voided", voided)]
        }
        Fact::Reset { session } => {
            let event_session_id = session.map(|session| data_encoding::HEXLOWER.encode(&session.0));
            let reset = Reset { reset_participants: session.is_some(), reset_draws: true, event_session_id };
            vec![numbers.next("event_reset", reset)]
        }
        Fact::EntryCodeSet { .. } | Fact::EntryCodeRotates => vec![OutgoingFrame::Operators(entry_code_changed(event))],
        Fact::ParticipantsRemoved { ranges } => {
            let removed = Removed { ranges, total_count: event.participant_count() };
            vec![numbers.next("participants_removed", removed)]
        }
        Fact::PhaseChanged { phase } => vec![numbers.next("notice", notice(*phase))],
        Fact::Opened { .. }
        | Fact::ChainBegun { .. }
        | Fact::SettingsChanged { .. }
        | Fact::PrizeAdded { .. }
        | Fact::PrizeChanged { .. }
        | Fact::PrizeRemoved { .. }
        | Fact::PrizesOrdered { .. }
        | Fact::Registered { .. }
        | Fact::ParticipantMarked { .. }
        | Fact::DetailsReceived { .. }
        | Fact::Arrived { .. }
        | Fact::HandedOver { .. }
        | Fact::HandOverUndone { .. }
        | Fact::LinkMade { .. }
        | Fact::LinkRevoked { .. }
        | Fact::DetailsUnmasked
        | Fact::EpochRenewed { .. } => vec![],
    }
}

/// The frames of a start; first who can win, so that an animation begins with them.
fn started(draw: &Draw, numbers: &mut FrameNumbers) -> Vec<OutgoingFrame> {
    vec![OutgoingFrame::Operators(operators::draw_pool(draw)), numbers.next("draw_started", StartedDraw::of(draw))]
}

/// The frames of a reveal: the winners for operators, and for everyone the end of a planned show.
fn revealed(draw: &Draw, show_at: Option<Timestamp>, numbers: &mut FrameNumbers) -> Vec<OutgoingFrame> {
    let winners = OutgoingFrame::Operators(typed("winner_revealed", RevealedDraw::of(draw)));
    let planned = |at| numbers.next("show_planned", ShowPlanned { draw_id: draw.id.0, show_at: rfc3339(at) });
    [winners].into_iter().chain(show_at.map(planned)).collect()
}

/// `participant_joined`: the number of participants, and the numbers that joined since the last
/// such frame.
pub fn participant_joined(total_count: u32, joined: &[Number]) -> Bytes {
    #[derive(Serialize)]
    struct Joined<'a> {
        total_count: u32,
        draw_number: Option<u32>,
        draw_numbers: &'a [u32],
    }
    let numbers: Vec<_> = joined.iter().map(|number| number.0).collect();
    typed("participant_joined", Joined { total_count, draw_number: numbers.last().copied(), draw_numbers: &numbers })
}

/// The connections of an event, as far as a role is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionTotals {
    /// Open sockets of every role.
    pub sockets: u32,
    /// Numbers whose phone is connected; `None` to phones.
    pub phones: Option<u32>,
}

impl ConnectionTotals {
    /// The totals that a role is told.
    pub fn told_to(self, role: Role) -> Self {
        Self { phones: self.phones.filter(|_| role != Role::Phone), ..self }
    }
}

/// `connection_count`: the number of open sockets, and of connected phones to who shows them.
pub fn connection_count(totals: ConnectionTotals) -> Bytes {
    #[derive(Serialize)]
    struct Connections {
        count: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        phones_connected: Option<u32>,
    }
    typed("connection_count", Connections { count: totals.sockets, phones_connected: totals.phones })
}

/// The prize's fields of a draw, in frames and in answers.
#[derive(Serialize)]
pub(super) struct PrizeFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prize_id: Option<u32>,
    prize_name: &'a str,
    prize_rank: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    prize_grade: Option<&'a str>,
    prize_image: Option<&'a str>,
    draw_mode: &'static str,
    winner_count: u32,
}

impl<'a> PrizeFields<'a> {
    pub(super) fn of(spec: &'a DrawSpec) -> Self {
        Self {
            prize_id: spec.prize_id.map(|id| id.0),
            prize_name: &spec.prize_name,
            prize_rank: spec.prize_rank,
            prize_grade: spec.prize_grade.as_deref(),
            prize_image: spec.prize_image.as_deref(),
            draw_mode: spec.mode.name(),
            winner_count: spec.winner_count,
        }
    }
}

#[derive(Serialize)]
struct Standby<'a> {
    #[serde(flatten)]
    prize: PrizeFields<'a>,
    status: &'static str,
}

/// A started draw, as everyone may know it.
#[derive(Serialize)]
pub(super) struct StartedDraw<'a> {
    draw_id: u32,
    #[serde(flatten)]
    prize: PrizeFields<'a>,
    /// Commitment to the entropy of a draw from before locks: published once the pick is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
    #[serde(flatten)]
    lock: Option<LockView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redraw_of: Option<u32>,
    /// The planned end of the show, once there is one. It tells of no winner.
    #[serde(skip_serializing_if = "Option::is_none")]
    show_at: Option<String>,
}

impl<'a> StartedDraw<'a> {
    pub(super) fn of(draw: &'a Draw) -> Self {
        Self {
            draw_id: draw.id.0,
            prize: PrizeFields::of(&draw.spec),
            commitment: draw.commitment().map(|commitment| data_encoding::HEXLOWER.encode(&commitment)),
            lock: LockView::of(draw),
            redraw_of: draw.redraw_of.map(|(draw, _)| draw.0),
            show_at: draw.show_at.map(rfc3339),
        }
    }
}

/// A draw with its winners.
#[derive(Serialize)]
pub(super) struct RevealedDraw<'a> {
    draw_id: u32,
    #[serde(flatten)]
    prize: PrizeFields<'a>,
    winners: Vec<u32>,
    drawn_at: Option<String>,
    /// The time at which every page shows the winners.
    #[serde(skip_serializing_if = "Option::is_none")]
    show_at: Option<String>,
    /// The confirmation code, which people compare between the stage and a phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(flatten)]
    outside: OutsideView,
}

/// An announced draw, with the seed that its proof uses.
#[derive(Serialize)]
struct Announced<'a> {
    #[serde(flatten)]
    draw: &'a RevealedDraw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
}

impl<'a> RevealedDraw<'a> {
    pub(super) fn of(draw: &'a Draw) -> Self {
        Self {
            draw_id: draw.id.0,
            prize: PrizeFields::of(&draw.spec),
            winners: draw.winners().map(|number| number.0).collect(),
            drawn_at: draw.revealed_at.map(rfc3339),
            show_at: draw.show_at.map(rfc3339),
            code: draw.confirmation_code(),
            outside: OutsideView::of(draw),
        }
    }

    /// As a result of the past, which every page shows at once.
    pub(super) fn without_show(draw: &'a Draw) -> Self {
        Self { show_at: None, ..Self::of(draw) }
    }
}

/// The time at which every page shows the winners of a draw, by which phones count down.
#[derive(Serialize)]
struct ShowPlanned {
    draw_id: u32,
    show_at: String,
}

#[derive(Serialize)]
struct Voided<'a> {
    /// `None` when a standby ended.
    draw_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw_number: Option<u32>,
    reason: &'a str,
}

#[derive(Serialize)]
struct Reset {
    reset_participants: bool,
    reset_draws: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_session_id: Option<String>,
}

#[derive(Serialize)]
struct Notice {
    code: &'static str,
    message: &'static str,
}

fn notice(phase: Phase) -> Notice {
    let (code, message) = match phase {
        Phase::Open => ("REGISTRATION_OPEN", "registration is open"),
        Phase::Drawing => ("REGISTRATION_CLOSED", "registration is closed"),
        Phase::Closed => ("EVENT_CLOSED", "the event is over"),
    };
    Notice { code, message }
}

/// `entry_code`: the code that displays show; `null` when phones need none, and while it rotates:
/// then each display asks for the present one.
fn entry_code_changed(event: &Event) -> Bytes {
    #[derive(Serialize)]
    struct EntryCodeChanged<'a> {
        entry_code: Option<&'a str>,
        entry_code_rotates: bool,
    }
    let code = event.entry_code.as_ref();
    let entry_code_rotates = code == Some(&EntryCode::Rotating);
    typed("entry_code", EntryCodeChanged { entry_code: code.and_then(entry_code), entry_code_rotates })
}

/// `participants_removed`: runs of numbers that take part no more.
#[derive(Serialize)]
struct Removed<'a> {
    ranges: &'a [(u32, u32)],
    total_count: u32,
}

/// The numbering of frames.
struct FrameNumbers {
    epoch: String,
    seq: u64,
}

impl FrameNumbers {
    /// The next numbered frame.
    fn next(&mut self, kind: &'static str, body: impl Serialize) -> OutgoingFrame {
        #[derive(Serialize)]
        struct WithSeq<'a, B> {
            #[serde(flatten)]
            body: B,
            seq: u64,
            epoch: &'a str,
        }
        self.seq += 1;
        OutgoingFrame::Everyone(typed(kind, WithSeq { body, seq: self.seq, epoch: &self.epoch }))
    }
}

/// A frame of one JSON object, whose first member is its type.
pub(super) fn typed(kind: &'static str, body: impl Serialize) -> Bytes {
    text_frame(&typed_text(kind, body))
}

/// The JSON text of a frame of this type.
pub(super) fn typed_text(kind: &'static str, body: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Typed<B> {
        r#type: &'static str,
        #[serde(flatten)]
        body: B,
    }
    serde_json::to_string(&Typed { r#type: kind, body }).expect("a frame has text keys and finite numbers")
}

#[cfg(test)]
mod tests {
    use super::super::frame_text;
    use super::*;
    use crate::draw::entry_code::EntryDigits;
    use crate::draw::fact::{Cause, Eligibility, SealedPick};
    use crate::draw::{Entropy, SessionId, sample};
    use serde_json::{Value, json};

    /// The frames of `fact` after frame 4, by receivers and JSON.
    fn frames(event: &Event, fact: &Fact) -> Vec<(&'static str, Value)> {
        let read = |frame: Bytes| serde_json::from_slice(&frame_text(&frame)).unwrap();
        let frames = frames_for(event, fact, 4).into_iter().map(|frame| match frame {
            OutgoingFrame::Everyone(frame) => ("everyone", read(frame)),
            OutgoingFrame::Operators(frame) => ("operators", read(frame)),
        });
        frames.collect()
    }

    #[test]
    fn frames_for_everyone_are_numbered_without_a_gap() {
        let event = sample::event().announced("TV", &[3, 7]).build();
        let frames = frames(&event, &Fact::Announced { draw: DrawId(1), cause: Cause::Completed });
        let heads: Vec<_> = frames.iter().map(|(to, frame)| (*to, &frame["type"], &frame["seq"])).collect();
        let (announced, complete) = (json!("winner_announced"), json!("draw_complete"));
        assert_eq!(heads, [("everyone", &announced, &json!(5)), ("everyone", &complete, &json!(6))]);
        assert!(frames.iter().all(|(_, frame)| frame["winners"] == json!([3, 7]) && frame["epoch"] == "02".repeat(8)));
    }

    #[test]
    fn winners_reach_only_operators_before_the_announcement() {
        let event = sample::event().revealed("TV", &[3]).build();
        let draw = event.unannounced_draw().unwrap();
        let fact = Fact::Revealed { draw: draw.id, sealed: draw.disclosed_pick().unwrap().clone(), show_at: None };
        let revealed = frames(&event, &fact);
        assert_eq!((revealed.len(), revealed[0].0, &revealed[0].1["winners"]), (1, "operators", &json!([3])));
        assert_eq!(revealed[0].1.get("seq"), None, "only frames for everyone are numbered");

        let event = sample::event().started("TV", &[3]).build();
        let draw = event.pending_draw().unwrap();
        let sealed = SealedPick { entropy: Entropy([0xab; 32]), picks: [Number(3)].into() };
        let (spec, pool) = (draw.spec.clone(), draw.pool.clone());
        let fact = Fact::Started { draw: draw.id, spec, pool, sealed: Some(sealed), lock: None, redraw_of: None, request: None };
        let started = frames(&event, &fact);
        let receivers: Vec<_> = started.iter().map(|(to, frame)| (*to, frame["type"].as_str().unwrap())).collect();
        assert_eq!(receivers, [("operators", "draw_pool"), ("everyone", "draw_started")]);
        let text = format!("{} {}", started[0].1, started[1].1);
        assert!(!text.contains("winners") && !text.contains("abab"), "{text}");
    }

    #[test]
    fn an_entry_code_is_for_operators_and_an_eligibility_for_nobody() {
        let mut event = sample::event().build();
        let shown = |event: &mut Event, fact: Fact| {
            event.apply(Timestamp(1), &fact);
            frames(event, &fact)
        };
        let code = shown(&mut event, Fact::EntryCodeSet { code: EntryDigits::parse("0042") });
        let frame =
            |code: Option<&str>, rotates| json!({"type": "entry_code", "entry_code": code, "entry_code_rotates": rotates});
        assert_eq!(code, [("operators", frame(Some("0042"), false))]);
        assert_eq!(shown(&mut event, Fact::EntryCodeRotates), [("operators", frame(None, true))]);
        let marked = Fact::ParticipantMarked { number: Number(1), mark: Eligibility::default() };
        assert_eq!(frames(&event, &marked), []);
    }

    #[test]
    fn a_reset_names_the_new_session_when_it_clears_the_participants() {
        let event = sample::event().build();
        let draws = frames(&event, &Fact::Reset { session: None });
        assert_eq!((&draws[0].1["reset_participants"], draws[0].1.get("event_session_id")), (&json!(false), None));
        let all = frames(&event, &Fact::Reset { session: Some(SessionId([0x0f; 16])) });
        assert_eq!(all[0].1["reset_participants"], true);
        assert_eq!(all[0].1["event_session_id"], "0f".repeat(16));
    }

    #[test]
    fn joined_numbers_are_listed_and_the_last_one_is_named() {
        let text = |frame: Bytes| String::from_utf8(frame_text(&frame).to_vec()).unwrap();
        assert_eq!(
            text(participant_joined(9, &[Number(8), Number(9)])),
            r#"{"type":"participant_joined","total_count":9,"draw_number":9,"draw_numbers":[8,9]}"#
        );
        assert!(text(participant_joined(9, &[])).contains(r#""draw_number":null,"draw_numbers":[]"#));
    }
}

//! The frame that says how things stand: what a socket hears first, and what a long-poll answers.
//!
//! There is one for each role, never one for all: until a draw is announced, a phone's says of it what is known of a draw that was only
//! started. A phone that proved its number is also told about itself.

use super::frame::{Outcome, Prize, Started, typed_text};
use super::view::people::{AuthenticatedPhone, WinView, own_wins};
use super::{Role, display_number, entry_code};
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::{Draw, Event, Phase, Timestamp};
use serde::Serialize;

/// How many of the last results are told.
const RESULTS_MAX: usize = 10;

/// The JSON text of `event` as it stands for `role`, covering every frame up to `seq`; `own` is the phone itself, if it proved its number.
pub fn text(event: &Event, seq: u64, connections: u32, role: Role, own: Option<&AuthenticatedPhone<'_>>) -> String {
    let audience = role.audience();
    let draws = || event.draws().filter(|draw| draw.is_known_to(audience));
    let mut results: Vec<_> = draws().rev().take(RESULTS_MAX).map(|draw| ResultView::of(draw)).collect();
    results.reverse();
    // Whoever has a number has agreed to it, and a hall of them need not hear it again.
    let consent_text = event.settings.consent_text.as_deref().filter(|_| role == Role::Phone && own.is_none());
    let shown_code = event.entry_code.as_ref().filter(|_| role != Role::Phone);
    typed_text(
        "state_sync",
        StateSync {
            role: role.name(),
            event_id: event.id.as_str(),
            title: &event.settings.title,
            phase: phase_name(event.phase),
            event_session_id: data_encoding::HEXLOWER.encode(&event.session.0),
            registration_open: event.phase == Phase::Open,
            entry_code_required: event.entry_code.is_some(),
            entry_code: shown_code.map(entry_code),
            consent_required: event.settings.consent_text.is_some(),
            consent_text,
            rehearsal: event.settings.rehearsal,
            participant_count: event.participant_count(),
            connection_count: connections,
            draw_count: draws().count(),
            current: current(event, audience),
            results,
            last_draw_id: event.last_draw_id().0,
            privacy: own.map(|own| Privacy::of(event, own)),
            you: own.map(|own| You::of(event, own)),
            seq,
            epoch: data_encoding::HEXLOWER.encode(&event.epoch.0),
        },
    )
}

/// A phase's name on the wire.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Drawing => "drawing",
        Phase::Closed => "closed",
    }
}

#[derive(Serialize)]
struct StateSync<'a> {
    role: &'static str,
    event_id: &'a str,
    title: &'a str,
    phase: &'static str,
    event_session_id: String,
    registration_open: bool,
    entry_code_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_code: Option<&'a str>,
    consent_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_text: Option<&'a str>,
    rehearsal: bool,
    participant_count: u32,
    connection_count: u32,
    draw_count: usize,
    current: Option<Current<'a>>,
    results: Vec<ResultView<'a>>,
    last_draw_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy: Option<Privacy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<You<'a>>,
    seq: u64,
    epoch: String,
}

/// What is on the stage.
#[derive(Serialize)]
struct Current<'a> {
    status: &'static str,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Standby(Prize<'a>),
    Started(Started<'a>),
    Revealed(Outcome<'a>),
}

/// A revealed draw is still going on until it is announced; to the public it has only started.
fn current(event: &Event, audience: Audience) -> Option<Current<'_>> {
    let going_on = event.pending_draw().or(event.unannounced_draw());
    match (going_on, &event.standby) {
        (Some(draw), _) if draw.is_known_to(audience) => {
            Some(Current { status: "revealed", what: What::Revealed(Outcome::of(draw)) })
        }
        (Some(draw), _) => Some(Current { status: "started", what: What::Started(Started::of(draw)) }),
        (None, Some(spec)) => Some(Current { status: "standby", what: What::Standby(Prize::of(spec)) }),
        (None, None) => None,
    }
}

#[derive(Serialize)]
struct ResultView<'a> {
    #[serde(flatten)]
    outcome: Outcome<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    voided: Vec<u32>,
}

impl<'a> ResultView<'a> {
    fn of(draw: &'a Draw) -> Self {
        let voided = draw.seats.iter().filter(|seat| seat.voided.is_some());
        Self { outcome: Outcome::of(draw), voided: voided.map(|seat| seat.number.0).collect() }
    }
}

/// What a winner's details are used for, and how long they are kept if they come now.
#[derive(Serialize)]
struct Privacy<'a> {
    purpose: Option<&'a str>,
    days: u32,
    /// The last day, in UTC.
    until: String,
}

impl<'a> Privacy<'a> {
    fn of(event: &'a Event, own: &AuthenticatedPhone<'_>) -> Self {
        const DAY_MS: i64 = 86_400_000;
        let mut until = rfc3339(Timestamp(own.now.0 + i64::from(own.details_days) * DAY_MS));
        until.truncate("2026-12-31".len());
        Self { purpose: event.settings.privacy_purpose.as_deref(), days: own.details_days, until }
    }
}

/// What a phone is told about itself.
#[derive(Serialize)]
struct You<'a> {
    draw_number: u32,
    display_number: String,
    won: bool,
    prizes: Vec<WinView<'a>>,
}

impl<'a> You<'a> {
    fn of(event: &'a Event, own: &AuthenticatedPhone<'_>) -> Self {
        let (number, prizes) = (own.number, own_wins(event, own));
        Self { draw_number: number.0, display_number: display_number(number), won: !prizes.is_empty(), prizes }
    }
}

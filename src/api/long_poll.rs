//! `GET /state`: the frames of a socket, for networks that block WebSocket.
//!
//! A display or a console polls as well, by its credential. Some of its frames have no number to
//! wait for, so it is answered at the next change of any kind.
//!
//! An up-to-date phone waits, at most 25 s, on the watch of its event's frames, and then asks
//! again. Waiting requests are bounded by the application's permits and hold nothing but a watch:
//! the answer is made from the latest snapshot.

use crate::api::app::ApiRequest;
use crate::api::phone::with_private_view;
use crate::base::clock::{rfc3339, wall_clock};
use crate::draw::Timestamp;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::Role;
use crate::live::message_handler::ResumePoint;
use crate::live::room::{Room, Snapshot};
use crate::wire::frame_text;
use crate::wire::request;
use crate::wire::state_sync;
use crate::wire::view::people::AuthenticatedPhone;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest wait of an up-to-date phone: below the half minute after which networks tend to cut idle
/// connections.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// Longest wait of a display or console, whose counts change without a new snapshot.
const OPERATOR_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time between two looks for a change.
const OPERATOR_STEP: Duration = Duration::from_millis(50);

/// The receiver of an answer.
pub enum Answer {
    /// A display or console, with the text of its `state_sync`.
    Operator(String),
    /// A phone that presents no token.
    Anonymous,
    /// Its token proves no number here: the participants were reset, or a restore lost the number.
    Refused,
    /// Its token proves its number.
    Authenticated {
        /// The text of its `state_sync`.
        sync: String,
    },
}

/// `GET /state`
pub async fn state(request: ApiRequest) -> HttpResult {
    let (app, room) = (&request.app, request.event_in_query()?);
    // A missing `epoch` means the current one; otherwise each poll would look stale and return at
    // once.
    let epoch = request.query("epoch").unwrap_or_else(|| epoch_text(&room.snapshot()).into());
    let since = parse_since(request.query("since").as_deref(), Some(&epoch))?;
    if let Some(role) = operator_role(&request) {
        request.require_role(&room, role).await?;
        return poll_as_operator(&request, &room, role, since).await;
    }
    if is_up_to_date(&room.snapshot(), since) {
        let _permit = app.long_polls.try_acquire().map_err(|_| HttpError::overloaded())?;
        wait_for_frames(&app.stopping, &room, since).await;
    }
    let snapshot = room.snapshot();
    let query = request.query("token").or_else(|| request.query("session_token"));
    let token = request.bearer().or(query.as_deref());
    let phone = match token.map(|token| app.tokens.verify(&snapshot.event, token)) {
        None => Answer::Anonymous,
        Some(None) => Answer::Refused,
        Some(Some(of)) => Answer::Authenticated {
            sync: with_private_view(&app.tokens, &app.settings, &of, |own| personal_sync(&room, &snapshot, Role::Phone, own)),
        },
    };
    success(&body(&snapshot, since, phone, wall_clock()), "the state")
}

/// The role of a query that asks for more than a phone.
pub fn operator_role<A>(request: &RequestContext<A>) -> Option<Role> {
    Role::named(&request.query("role")?).filter(|role| *role != Role::Phone)
}

/// Answers a display or console once there is another revision than the one it names.
async fn poll_as_operator(request: &ApiRequest, room: &Room, role: Role, since: Option<ResumePoint>) -> HttpResult {
    let (app, seen) = (&request.app, request.number_in_query::<u64>("revision")?);
    let _permit = app.long_polls.try_acquire().map_err(|_| HttpError::overloaded())?;
    let mut waited = Duration::ZERO;
    while seen == Some(room.snapshot().revision) && waited < OPERATOR_WAIT_MAX && !app.stopping.is_cancelled() {
        tokio::time::sleep(OPERATOR_STEP).await;
        waited += OPERATOR_STEP;
    }
    // The credential may have ended meanwhile.
    request.require_role(room, role).await?;
    let snapshot = room.snapshot();
    let sync = state_sync::text(&snapshot.event, snapshot.ring.last_seq(), room.connection_totals(), role, None);
    success(&body(&snapshot, since, Answer::Operator(sync), wall_clock()), "the state")
}

/// The last frame that a phone has, where it gives both its number and its epoch.
///
/// # Errors
/// 422 for a `since` that is no number.
pub fn parse_since(seq: Option<&str>, epoch: Option<&str>) -> Result<Option<ResumePoint>, HttpError> {
    let seq = seq.map(str::parse).transpose().map_err(|_| HttpError::invalid("since: must be a number"))?;
    Ok(seq.zip(epoch.and_then(request::epoch)).map(|(seq, epoch)| ResumePoint { epoch, seq }))
}

/// A snapshot's epoch, as polls name it.
pub fn epoch_text(snapshot: &Snapshot) -> String {
    HEXLOWER.encode(&snapshot.event.epoch.0)
}

/// The `state_sync` text of one phone.
pub fn personal_sync(room: &Room, snapshot: &Snapshot, role: Role, own: &AuthenticatedPhone<'_>) -> String {
    state_sync::text(&snapshot.event, snapshot.ring.last_seq(), room.connection_totals(), role, Some(own))
}

/// Waits for a frame, for the longest wait, or for the server to stop. A wait that runs out is no
/// failure.
pub async fn wait_for_frames(stopping: &CancellationToken, room: &Room, since: Option<ResumePoint>) {
    let mut watch = room.watch_seq();
    // All arms are cancel safe.
    tokio::select! {
        _ = watch.wait_for(|seq| since.is_none_or(|since| *seq != since.seq)) => {}
        () = tokio::time::sleep(WAIT_MAX) => {}
        () = stopping.cancelled() => {}
    }
}

/// Returns whether that is the event's last frame.
pub fn is_up_to_date(snapshot: &Snapshot, since: Option<ResumePoint>) -> bool {
    since.is_some_and(|since| since.epoch == snapshot.event.epoch && since.seq == snapshot.ring.last_seq())
}

/// The frames missed since then, as far as the ring holds them, and the state. A phone whose token
/// is refused is told so, as a socket tells it by its close code.
pub fn body(snapshot: &Snapshot, since: Option<ResumePoint>, phone: Answer, now: Timestamp) -> String {
    let known = since.filter(|since| since.epoch == snapshot.event.epoch);
    let missed = known.and_then(|since| snapshot.ring.after(since.seq));
    let frames: Vec<Bytes> = missed.map(|frames| frames.map(frame_text).collect()).unwrap_or_default();
    let token_refused = if let Answer::Refused = phone { r#","token_refused":true"# } else { "" };
    // A phone is not told: a reveal is another revision.
    let revision = if let Answer::Operator(_) = phone { format!(r#","revision":{}"#, snapshot.revision) } else { String::new() };
    let sync = match phone {
        Answer::Authenticated { sync } | Answer::Operator(sync) => Bytes::from(sync),
        Answer::Anonymous | Answer::Refused => frame_text(&snapshot.sync[Role::Phone]),
    };
    let mut text = String::from(r#"{"frames":["#);
    for (place, frame) in frames.iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        text.push_str(&String::from_utf8_lossy(frame));
    }
    text.push_str(r#"],"state_sync":"#);
    text.push_str(&String::from_utf8_lossy(&sync));
    let epoch = epoch_text(snapshot);
    let (seq, now) = (snapshot.ring.last_seq(), rfc3339(now));
    text.push_str(&format!(r#","seq":{seq},"epoch":"{epoch}"{revision},"server_time":"{now}"{token_refused}}}"#));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::sample;
    use crate::live::ByRole;
    use crate::live::ring::Ring;
    use crate::live::roster::Roster;
    use crate::wire::text_frame;
    use serde_json::{Value, json};

    fn snapshot(frames: u64) -> Snapshot {
        let mut ring = Ring::default();
        (1..=frames).for_each(|seq| ring.push(text_frame(&format!(r#"{{"seq":{seq}}}"#))));
        let roster = std::sync::Arc::new(Roster::new(10, 1));
        let sync = ByRole::from_fn(|role| text_frame(&format!(r#"{{"for":"{role:?}"}}"#)));
        Snapshot { revision: 1, event: sample::event().build(), roster, ring, sync, documents: Default::default() }
    }

    fn body_for(frames: u64, since: Option<&str>, epoch: Option<&str>) -> Value {
        let snapshot = snapshot(frames);
        let since = parse_since(since, epoch).unwrap();
        serde_json::from_str(&body(&snapshot, since, Answer::Anonymous, wall_clock())).unwrap()
    }

    const EPOCH: Option<&str> = Some("0202020202020202");

    #[test]
    fn a_phone_gets_the_frames_it_missed_and_the_state() {
        let state = body_for(5, Some("3"), EPOCH);
        assert_eq!(state["frames"], json!([{"seq": 4}, {"seq": 5}]));
        assert_eq!(state["state_sync"], json!({"for": "Phone"}));
        assert_eq!((&state["seq"], &state["epoch"]), (&json!(5), &json!("0202020202020202")));
    }

    #[test]
    fn another_epoch_has_no_missed_frames() {
        for (since, epoch) in [(Some("3"), Some("0303030303030303")), (Some("3"), None), (None, EPOCH), (Some("9"), EPOCH)] {
            assert_eq!(body_for(5, since, epoch)["frames"], json!([]), "{since:?} {epoch:?}");
        }
        assert!(parse_since(Some("x"), EPOCH).is_err());
    }

    #[test]
    fn only_an_up_to_date_phone_waits() {
        let snapshot = snapshot(5);
        let waits = |seq, epoch| is_up_to_date(&snapshot, parse_since(seq, epoch).unwrap());
        assert!(waits(Some("5"), EPOCH));
        assert!(!waits(Some("4"), EPOCH) && !waits(Some("6"), EPOCH) && !waits(None, None) && !waits(Some("5"), None));
    }
}

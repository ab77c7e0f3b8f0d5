//! `GET /state`: what a phone's socket would get, for networks that block WebSocket.
//!
//! A phone that is up to date waits, at most 25 s, on the watch of its event's frames, and then asks again. Waiting ones are bounded by the app's
//! permits and hold nothing but a watch: the answer is made from the snapshot that stands when it is given.

use crate::api::app::App;
use crate::api::participants::{event_named, find, number_of, own};
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

/// How long an up-to-date phone waits for news: below the half minute after which networks between tend to hang up.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// `GET /state`
pub async fn state(call: RequestContext) -> HttpResult {
    let room = find(&call.app, &event_named(&call)?)?;
    // Whoever names no epoch means the event as it is: taken as another history, it would be answered at once each time.
    let epoch = call.query("epoch").unwrap_or_else(|| HEXLOWER.encode(&room.snapshot().event.epoch.0).into());
    let since = since(call.query("since").as_deref(), Some(&epoch))?;
    if is_up_to_date(&room.snapshot(), since) {
        let _permit = call.app.long_polls.try_acquire().map_err(|_| HttpError::overloaded())?;
        wait_for_news(&call.app, &room, since).await;
    }
    let snapshot = room.snapshot();
    let query = call.query("token").or_else(|| call.query("session_token"));
    let token = call.bearer().or(query.as_deref());
    let number = token.and_then(|token| number_of(&call.app.tokens, &snapshot.event, token));
    let personal = number.map(|number| {
        own(&call.app.tokens, &call.app.settings, &snapshot.event, number, |own| personal(&room, &snapshot, Role::Phone, own))
    });
    success(&answer(&snapshot, since, personal), "the state")
}

/// How far a phone had got, where it says both halves of it.
///
/// # Errors
/// 422 for a `since` that is no number.
pub fn since(seq: Option<&str>, epoch: Option<&str>) -> Result<Option<ResumePoint>, HttpError> {
    let seq = seq.map(str::parse).transpose().map_err(|_| HttpError::invalid("since: must be a number"))?;
    Ok(seq.zip(epoch.and_then(request::epoch)).map(|(seq, epoch)| ResumePoint { epoch, seq }))
}

/// The personal `state_sync` text of one phone.
pub fn personal(room: &Room, snapshot: &Snapshot, role: Role, own: &AuthenticatedPhone<'_>) -> String {
    state_sync::text(&snapshot.event, snapshot.ring.last_seq(), room.connections.total(), role, Some(own))
}

/// Waits for news, for the longest wait, or for the server to stop. In any case the answer is what stands then: a wait that ran out is no failure.
async fn wait_for_news(app: &App, room: &Room, since: Option<ResumePoint>) {
    let mut watch = room.watch_seq();
    // All arms are cancel safe.
    tokio::select! {
        _ = watch.wait_for(|seq| since.is_none_or(|since| *seq != since.seq)) => {}
        () = tokio::time::sleep(WAIT_MAX) => {}
        () = app.stopping.cancelled() => {}
    }
}

fn is_up_to_date(snapshot: &Snapshot, since: Option<ResumePoint>) -> bool {
    since.is_some_and(|since| since.epoch == snapshot.event.epoch && since.seq == snapshot.ring.last_seq())
}

/// The frames missed since then, as far as they are held, and how things stand.
fn answer(snapshot: &Snapshot, since: Option<ResumePoint>, personal: Option<String>) -> String {
    let known = since.filter(|since| since.epoch == snapshot.event.epoch);
    let missed = known.and_then(|since| snapshot.ring.after(since.seq));
    let frames: Vec<Bytes> = missed.map(|frames| frames.map(frame_text).collect()).unwrap_or_default();
    let sync = personal.map_or_else(|| frame_text(&snapshot.sync[Role::Phone]), Bytes::from);
    let mut text = String::from(r#"{"frames":["#);
    for (place, frame) in frames.iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        text.push_str(&String::from_utf8_lossy(frame));
    }
    text.push_str(r#"],"state_sync":"#);
    text.push_str(&String::from_utf8_lossy(&sync));
    let epoch = HEXLOWER.encode(&snapshot.event.epoch.0);
    text.push_str(&format!(r#","seq":{},"epoch":"{epoch}"}}"#, snapshot.ring.last_seq()));
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
        Snapshot { revision: 1, event: sample::event().build(), roster, ring, sync }
    }

    fn given(frames: u64, since: Option<&str>, epoch: Option<&str>) -> Value {
        let snapshot = snapshot(frames);
        let since = super::since(since, epoch).unwrap();
        serde_json::from_str(&answer(&snapshot, since, None)).unwrap()
    }

    const EPOCH: Option<&str> = Some("0202020202020202");

    #[test]
    fn a_phone_gets_what_it_missed_and_how_things_stand() {
        let state = given(5, Some("3"), EPOCH);
        assert_eq!(state["frames"], json!([{"seq": 4}, {"seq": 5}]));
        assert_eq!(state["state_sync"], json!({"for": "Phone"}));
        assert_eq!((&state["seq"], &state["epoch"]), (&json!(5), &json!("0202020202020202")));
    }

    #[test]
    fn another_history_is_not_caught_up_on() {
        for (since, epoch) in [(Some("3"), Some("0303030303030303")), (Some("3"), None), (None, EPOCH), (Some("9"), EPOCH)] {
            assert_eq!(given(5, since, epoch)["frames"], json!([]), "{since:?} {epoch:?}");
        }
        assert!(super::since(Some("x"), EPOCH).is_err());
    }

    #[test]
    fn only_who_is_up_to_date_waits() {
        let snapshot = snapshot(5);
        let waits = |seq, epoch| is_up_to_date(&snapshot, super::since(seq, epoch).unwrap());
        assert!(waits(Some("5"), EPOCH));
        assert!(!waits(Some("4"), EPOCH) && !waits(Some("6"), EPOCH) && !waits(None, None) && !waits(Some("5"), None));
    }
}

//! `GET /metrics` of an edge: its phones, and its link to the origin.

use crate::api::auth::is_same_secret;
use crate::api::metrics::text::{Kind, MetricsText};
use crate::base::secret::Secret;
use crate::edge::app::Edge;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, with_type};
use crate::live::Role;
use std::sync::atomic::Ordering::Relaxed;

/// `GET /metrics`, for the metrics token: an edge knows no other.
///
/// # Errors
/// 401 for any other client.
pub async fn metrics(request: RequestContext<Edge>) -> HttpResult {
    let app = &request.app;
    let token = app.metrics_token.as_ref().map(Secret::expose);
    if !request.bearer().zip(token).is_some_and(|(presented, token)| is_same_secret(token, presented)) {
        return Err(HttpError::unauthorized());
    }
    let rooms = app.shared.directory.all();
    let mut text = MetricsText::default();
    text.family("luckydraw_edge_origin_up", Kind::Gauge, "Whether the origin is heard.")
        .sample(&[], u8::from(app.shared.origin.borrow().is_there));
    text.family("luckydraw_edge_phones", Kind::Gauge, "Connected phones of an event.");
    for room in &rooms {
        text.sample(&[("event", room.id.as_str())], room.connections.connected(Role::Phone));
    }
    text.family("luckydraw_edge_phones_behind", Kind::Gauge, "Phones with frames that wait for their network.");
    for room in &rooms {
        text.sample(&[("event", room.id.as_str())], room.connections.behind.load(Relaxed));
    }
    text.family("luckydraw_edge_seq", Kind::Gauge, "The number of an event's last frame.");
    for room in &rooms {
        text.sample(&[("event", room.id.as_str())], room.snapshot().ring.last_seq());
    }
    Ok(with_type("text/plain; version=0.0.4; charset=utf-8", text.finish()))
}

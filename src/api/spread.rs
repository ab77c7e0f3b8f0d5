//! The way of phones that join: to the least loaded box, this server among them.
//!
//! A phone's number is kept by its browser for the address that gave it, so a phone is led to the
//! same box each time, as a cookie remembers. Only a box that is gone for sure loses its phones to
//! the others; their pages bring their numbers along.

use crate::api::app::ApiRequest;
use crate::api::edges::EdgeReport;
use crate::api::error::event_not_found;
use crate::api::placement::{HERE, Place};
use crate::api::{pages, phone};
use crate::draw::EventId;
use crate::http::response::{HttpResult, empty};
use crate::live::Role;
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION, SET_COOKIE};
use std::time::Instant;

/// The cookie that remembers a phone's box. Cookies of events begin with `ld_`.
const COOKIE: &str = "luckydraw_box";

/// Seconds for which a browser remembers its box.
const COOKIE_AGE_S: u32 = 86_400;

/// `GET /j/{event_id}`: the phone's page, or the way to it on an edge.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub async fn join(request: ApiRequest) -> HttpResult {
    let (app, now) = (&request.app, Instant::now());
    let edges = app.edges.list(now);
    if edges.is_empty() {
        return pages::join(request).await;
    }
    let event = EventId::parse(request.param(0)).ok_or_else(event_not_found)?;
    // The box that this phone comes from has died, as its page has noticed.
    let is_back = request.query("back").is_some();
    let remembered = request.cookie(COOKIE).filter(|_| !is_back).or_else(|| {
        // It has a number of this server's from before there were edges.
        request.cookie(&phone::cookie_name(&event)).map(|_| HERE)
    });
    let left = request.cookie(COOKIE).filter(|_| is_back);
    let is_open = |(name, edge): &&(String, EdgeReport)| takes_phones(edge, &event, now) && left != Some(name);
    let open: Vec<_> = edges.iter().filter(is_open).collect();
    let here = app.directory.all().iter().map(|room| room.connections.connected(Role::Phone)).sum();
    let own = Place { name: HERE, sockets: here, sockets_max: app.connections_max };
    let places: Vec<_> = open.iter().map(|(name, edge)| place_of(name, edge)).chain([own]).collect();
    let chosen = app.led.choose(&places, remembered, now).to_owned();
    let cookie = format!("{COOKIE}={chosen}; Path=/j; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax");
    let mut response = match open.iter().find(|(name, _)| *name == chosen) {
        Some((_, edge)) => {
            let mut response = empty(StatusCode::FOUND);
            let location = HeaderValue::try_from(format!("{}/j/{event}", edge.address));
            response.headers_mut().extend(location.ok().map(|location| (LOCATION, location)));
            response
        }
        None => pages::join(request).await?,
    };
    response.headers_mut().extend(HeaderValue::try_from(cookie).ok().map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}

/// Returns whether phones of an event may be led to an edge.
fn takes_phones(edge: &EdgeReport, event: &EventId, now: Instant) -> bool {
    !edge.address.is_empty() && !edge.is_silent(now) && !edge.has_other_version() && edge.events.contains_key(event.as_str())
}

fn place_of<'a>(name: &'a str, edge: &EdgeReport) -> Place<'a> {
    Place { name, sockets: edge.sockets(), sockets_max: edge.sockets_max }
}

//! The request context of this application: bodies as types, the event that a call is about, and
//! commands to the sequencer.

use crate::api::app::App;
use crate::api::auth::EventAccess;
use crate::api::error::event_not_found;
use crate::api::old_clients;
use crate::draw::Command;
use crate::http::request::RequestContext;
use crate::http::response::HttpError;
use crate::live::room::Room;
use crate::sequencer::inbox::Accepted;
use crate::wire::parse::{parse, parse_many_fields};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Bytes of an ordinary body, at most.
pub const BODY_MAX: usize = 64 << 10;

/// Bytes of a draw call's body, at most: an old console sends the prize's image in it.
pub const BODY_WITH_IMAGE_MAX: usize = 4 << 20;

impl RequestContext<App> {
    /// Reads an ordinary body.
    ///
    /// # Errors
    /// 422 for a body of another shape; else as [`RequestContext::read_body`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, HttpError> {
        let body = self.read_body(BODY_MAX).await?;
        Ok(old_clients::read(self.app.settings.http.open, &body, parse)?)
    }

    /// Reads the body of a draw call, which may hold an image.
    ///
    /// # Errors
    /// As [`RequestContext::json`].
    pub async fn json_with_image<T: DeserializeOwned>(&mut self) -> Result<T, HttpError> {
        let body = self.read_body(BODY_WITH_IMAGE_MAX).await?;
        Ok(old_clients::read(self.app.settings.http.open, &body, parse)?)
    }

    /// Reads a body of many fields, by simd-json.
    ///
    /// # Errors
    /// As [`RequestContext::json`].
    pub async fn json_of_many_fields<T: DeserializeOwned>(&mut self) -> Result<T, HttpError> {
        Ok(parse_many_fields(&self.read_body(BODY_MAX).await?)?)
    }

    /// Submits a command to the event that `access` opened; returns once its facts are durable and
    /// published.
    ///
    /// # Errors
    /// The sequencer's rejection.
    pub async fn submit(&self, access: &EventAccess, command: Command) -> Result<Accepted, HttpError> {
        Ok(self.app.inbox.submit(access.room.id.clone(), access.credential.actor(), command).await?)
    }

    /// The room of the event that the query names.
    ///
    /// # Errors
    /// 422 when it names none, 404 when there is no such event.
    pub fn event_in_query(&self) -> Result<Arc<Room>, HttpError> {
        let event = self.query("event_id").filter(|event| !event.is_empty());
        self.app.find_room(&event.ok_or_else(|| HttpError::invalid("event_id: is missing"))?)
    }

    /// A number in the query, if there is one.
    ///
    /// # Errors
    /// 422 for anything that is no number.
    pub fn number_in_query<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, HttpError> {
        let value = self.query(name).map(|value| value.parse());
        value.transpose().map_err(|_| HttpError::invalid(format!("{name}: must be a number")))
    }

    /// Returns whether a query parameter is `1`.
    pub fn is_flag_set(&self, name: &str) -> bool {
        self.query(name).as_deref() == Some("1")
    }
}

impl App {
    /// The room of an event.
    ///
    /// # Errors
    /// 404 when there is no such event.
    pub fn find_room(&self, event: &str) -> Result<Arc<Room>, HttpError> {
        self.directory.find(event).ok_or_else(event_not_found)
    }
}

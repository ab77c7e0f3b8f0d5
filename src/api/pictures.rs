//! Pictures of prizes: converted, stored once under their SHA-256, served from memory.
//!
//! The stored image is never the upload itself, but a `picture` made of it, without the place where
//! it was taken. Converting takes much memory: one thread at a time does it, and flushes the result
//! to the disk; a few uploads wait for their turn. An old console sends its picture with every step
//! of a draw, so recent conversions are remembered. All phones of a hall request the same picture
//! in the same second: the last few are kept as one buffer each, which every response shares.

use crate::api::app::{ApiRequest, App};
use crate::api::assets;
use crate::api::auth::AccessLevel;
use crate::api::deadline::run_blocking;
use crate::api::image_cache::{IMAGES_MAX, StoreError, Stored, Unfit, format_of};
use crate::backup::unused_images;
use crate::base::image_name::ImageName;
use crate::draw::Refusal;
use crate::http::response::{HttpError, HttpResult, empty, success, with_type};
use crate::sequencer::inbox::Rejection;
use crate::wire::view::json;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an upload, at most.
const UPLOAD_BYTES_MAX: usize = 5 << 20;
/// Time that an upload waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The answer to an upload; width and height in pixels.
#[derive(Serialize)]
struct Uploaded {
    prize_image: String,
    width: u32,
    height: u32,
}

/// `POST images`
pub async fn upload(mut request: ApiRequest) -> HttpResult {
    request.require_event(AccessLevel::Host).await?;
    let image = request.read_body(UPLOAD_BYTES_MAX).await?;
    let Stored { name, width, height } = store(&request.app, image).await?;
    success(&json(&Uploaded { prize_image: name.path(), width, height }), "stored")
}

/// `GET /images/{name}`
pub async fn show(request: ApiRequest) -> HttpResult {
    let not_found = || HttpError::not_found("no such image");
    let name = request.param(0);
    let format = format_of(name).ok_or_else(not_found)?;
    let tag = format!("\"{name}\"");
    // The name is the content: a client that holds the tag holds the image, and no file is read.
    let mut response = if assets::is_held(&request.head.headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let image = request.app.images.get_or_read(&request.app.settings.data_dir.images(), name).await?;
        with_type(format.media_type(), image.ok_or_else(not_found)?)
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// Stores the image of a `data:` URL, as old consoles send it, and returns its path.
///
/// # Errors
/// 422 for anything but such a URL of an image.
pub async fn store_data_url(app: &Arc<App>, url: &str) -> Result<String, HttpError> {
    let image = decode_data_url(url).ok_or_else(|| HttpError::invalid("prize_image: must be a base64 data: URL"))?;
    Ok(store(app, image.into()).await?.name.path())
}

/// Marks the stored image at a path as used, before an event begins to show it: unused images are
/// removed.
pub async fn mark_used(app: &App, path: Option<&str>) {
    let Some(name) = path.and_then(ImageName::in_path) else { return };
    let file = app.settings.data_dir.image(&name);
    // A console may name an image that was never there. Past the deadline the mark is still made.
    let _ = run_blocking(move || unused_images::mark_used(&file)).await;
}

async fn store(app: &Arc<App>, upload: Bytes) -> Result<Stored, HttpError> {
    let waiting = app.images.waiting.try_acquire().map_err(|_| HttpError::overloaded())?;
    let permit = tokio::time::timeout(WAIT_MAX, Arc::clone(&app.files).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else { return Err(HttpError::overloaded()) };
    drop(waiting);
    let app = Arc::clone(app);
    let work = move || {
        // Held by the thread that works: when the client goes away, the next upload still waits for
        // its end.
        let _permit = permit;
        app.images.store(&app.settings.data_dir.images(), &upload)
    };
    // An upload that makes a decoder panic cannot be read.
    let stored = run_blocking(work).await?.unwrap_or(Err(StoreError::Unfit(Unfit::Broken)));
    stored.map_err(|error| match error {
        StoreError::Unfit(_) => HttpError::invalid(error.to_string()),
        StoreError::Full => Refusal::TooMany { what: "images", max: IMAGES_MAX as u32 }.into(),
        StoreError::Disk(error) => {
            tracing::error!(%error, "an image could not be stored");
            Rejection::NotDurable.into()
        }
    })
}

fn decode_data_url(url: &str) -> Option<Vec<u8>> {
    let (head, data) = url.split_once(',')?;
    let is_base64 = head.get(5..)?.to_ascii_lowercase().ends_with(";base64");
    let data = data.trim().as_bytes();
    is_base64.then(|| BASE64.decode(data).or_else(|_| BASE64_NOPAD.decode(data)).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_gives_its_bytes() {
        assert_eq!(decode_data_url("data:image/png;base64,aGk=").as_deref(), Some(&b"hi"[..]));
        assert_eq!(decode_data_url("DATA:;BASE64,aGk").as_deref(), Some(&b"hi"[..]));
        for wrong in ["data:image/png,hi", "data:image/png;base64", "data:image/png;base64,*", ""] {
            assert_eq!(decode_data_url(wrong), None, "{wrong}");
        }
    }
}

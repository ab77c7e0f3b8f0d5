//! The pages and their modules, styles and texts, embedded: found by name, and sent as small as the
//! browser accepts.
//!
//! Files of a page are served from a folder named after the hash of all files, and may be cached
//! for ever; a page itself is revalidated each time and answered 304 while it is unchanged.
//! `src/pages/build.rs` makes the table. Nothing is read from the disk. Only the compressed forms
//! are embedded: the plain ones would be a third of a MiB of the program, for the few clients that
//! accept no gzip. The first of them has a file decompressed, and the others share it.

use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult, empty, with_type};
use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use std::io::Read;
use std::sync::OnceLock;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// An embedded file.
#[derive(Debug)]
pub struct File {
    /// `folder/name`.
    pub name: &'static str,
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// Hash of the content.
    pub tag: &'static str,
    /// Compressed by Brotli (RFC 7932).
    pub brotli: &'static [u8],
    /// Compressed by gzip (RFC 1952).
    pub gzip: &'static [u8],
    /// Not compressed, once it was asked for.
    plain: OnceLock<Bytes>,
}

impl File {
    /// The content, which all answers share.
    ///
    /// # Panics
    /// Never: the build compressed it.
    pub fn plain(&self) -> Bytes {
        let decompress = || {
            let mut plain = Vec::new();
            GzDecoder::new(self.gzip).read_to_end(&mut plain).expect("embedded files were compressed by the build");
            plain.into()
        };
        self.plain.get_or_init(decompress).clone()
    }

    /// Names of the files that this page, module or style sheet refers to in double quotes, for
    /// which `counts` agrees to the text before the quote. Relative names are resolved against its
    /// folder.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn references(&self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let plain = self.plain();
        let text = str::from_utf8(&plain).expect("pages and modules are UTF-8");
        let (folder, _) = self.name.split_once('/').expect("each file is in a folder");
        let parts: Vec<_> = text.split('"').collect();
        let quoted = parts.chunks_exact(2).filter(|pair| counts(pair[0])).map(|pair| pair[1]);
        let root = format!("/lottery/files/{VERSION}/");
        let resolve = |quoted: &str| {
            let inner = quoted.strip_prefix("./").map(|name| format!("{folder}/{name}"));
            inner.or_else(|| quoted.strip_prefix("../").or_else(|| quoted.strip_prefix(&root)).map(str::to_owned))
        };
        quoted.filter_map(resolve).collect()
    }
}

/// The file of that name.
pub fn find(name: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.name.cmp(name)).ok().map(|place| &FILES[place])
}

/// A page with every file it loads before it can do anything: those its HTML names.
///
/// # Panics
/// When the page, or a file that it names, does not exist.
pub fn files_of(page: &str) -> Vec<&'static File> {
    let mut parts: Vec<&'static File> = Vec::new();
    let mut open = vec![page.to_owned()];
    while let Some(name) = open.pop() {
        if parts.iter().any(|file| file.name == name) {
            continue;
        }
        let file = find(&name).unwrap_or_else(|| panic!("{name} does not exist"));
        parts.push(file);
        open.extend(file.references(|_| name.ends_with(".html")));
    }
    parts
}

/// `GET /lottery/files/{version}/{folder}/{name}`
///
/// # Errors
/// 404 for an unknown name, and for a page, which has an address of its own.
pub async fn show<A>(request: RequestContext<A>) -> HttpResult {
    let name = format!("{}/{}", request.param(1), request.param(2));
    let file = find(&name).filter(|file| !file.name.ends_with(".html"));
    let file = file.ok_or_else(|| HttpError::not_found("there is nothing at this address"))?;
    // A page loaded before the server was replaced still finds its files, but no cache keeps them
    // under the old name.
    let is_current = request.param(0) == VERSION;
    let cache_control = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(response(file, &request.head.headers, cache_control))
}

/// The file in the best encoding that the request accepts, or 304.
pub fn response(file: &'static File, request_headers: &HeaderMap, cache_control: &'static str) -> HttpResponse {
    let encoding = best_encoding(request_headers);
    let tag = format!("\"{}{}\"", file.tag, encoding.name().unwrap_or_default());
    let mut response = if is_held(request_headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        match encoding {
            Encoding::Brotli => with_type(file.media_type, file.brotli),
            Encoding::Gzip => with_type(file.media_type, file.gzip),
            Encoding::Plain => with_type(file.media_type, file.plain()),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(ETAG, HeaderValue::try_from(tag).expect("a tag is of hexadecimal digits"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Returns whether the client holds the content of `tag` already (RFC 9110, section 13.1.2).
pub fn is_held(request_headers: &HeaderMap, tag: &str) -> bool {
    let lists = request_headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|tags| tags.split(',')).any(|held| held.trim().trim_start_matches("W/") == tag)
}

/// Encoding of a file on the wire, from the largest to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Encoding {
    Plain,
    Gzip,
    Brotli,
}

impl Encoding {
    fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Brotli => Some("br"),
            Encoding::Gzip => Some("gzip"),
            Encoding::Plain => None,
        }
    }
}

/// The smallest encoding that the client accepts. A weight of 0 refuses one; other weights are no
/// reason to send more bytes.
fn best_encoding(request_headers: &HeaderMap) -> Encoding {
    let lists = request_headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted = lists.flat_map(|list| list.split(',')).filter_map(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        match coding.trim() {
            _ if is_refused => None,
            "br" => Some(Encoding::Brotli),
            "gzip" => Some(Encoding::Gzip),
            _ => None,
        }
    });
    accepted.max().unwrap_or(Encoding::Plain)
}

#[cfg(test)]
#[path = "../pages/bundle.rs"]
mod bundle;

#[cfg(test)]
mod tests {
    use super::*;

    fn request_headers(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))])
    }

    #[test]
    fn the_smallest_accepted_encoding_is_sent() {
        for (accept, expected) in [
            ("gzip, deflate, br", Encoding::Brotli),
            ("br;q=0.1, gzip;q=1.0", Encoding::Brotli),
            ("gzip, br;q=0", Encoding::Gzip),
            ("deflate, gzip;q=0.000", Encoding::Plain),
            ("", Encoding::Plain),
        ] {
            assert_eq!(best_encoding(&request_headers(accept)), expected, "{accept}");
        }
    }

    #[test]
    fn every_file_is_found_and_is_smaller_compressed() {
        for file in &FILES {
            assert_eq!(find(file.name).map(|found| found.tag), Some(file.tag));
            let (packed, plain) = (file.brotli.len().max(file.gzip.len()), file.plain().len());
            assert!(packed < plain || plain < 1_000, "{}", file.name);
        }
        assert!(find("no-such-file.js").is_none());
    }

    #[test]
    fn a_file_is_decompressed_once() {
        let file = find("phone/main.js").unwrap();
        assert_eq!(file.plain().as_ptr(), file.plain().as_ptr(), "both answers share its bytes");
    }

    #[test]
    fn a_held_file_is_not_sent_again() {
        let file = find("phone/index.html").unwrap();
        let first = response(file, &request_headers("br"), "no-cache");
        let mut again = request_headers("br");
        again.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(response(file, &again, "no-cache").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response(file, &request_headers("gzip"), "no-cache").status(), StatusCode::OK);
        let mut other = request_headers("gzip");
        other.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(response(file, &other, "no-cache").status(), StatusCode::OK, "another encoding is another file");
    }
}

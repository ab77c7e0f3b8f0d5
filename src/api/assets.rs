//! The pages and their modules, styles and texts, embedded: found by name and sent as small as the browser takes them.
//!
//! What is beside a page is served from a folder named after the hash of all files, and may be kept for ever; a page itself is asked for anew each
//! time and answered 304 while it is the same. `src/pages/build.rs` makes the table. Nothing is read from the disk. Only the packed forms are
//! embedded: the plain ones would be a third of a MiB of the program, for the few who take no gzip.

use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Response, StatusCode};
use std::io::Read;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// An embedded file.
#[derive(Debug)]
pub struct File {
    pub name: &'static str,
    pub media_type: &'static str,
    /// The hash of what it holds.
    pub tag: &'static str,
    pub brotli: &'static [u8],
    pub gzip: &'static [u8],
}

impl File {
    /// What it holds, unpacked anew each time: some ten microseconds.
    ///
    /// # Panics
    /// Never: the build packed it.
    pub fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut plain).expect("what is embedded was packed by the build");
        plain
    }

    /// Names of the files that this page, module or style sheet refers to in double quotes, for which
    /// `counts` agrees to the text before the quote. Relative names are resolved against its folder.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn references(&self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let text = String::from_utf8(self.plain()).expect("pages and modules are UTF-8");
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

/// A page with all that it loads before it can do anything: what its HTML names, and the modules these import, but not what they import later.
///
/// # Panics
/// When there is no such page, or one names a file that is not there.
pub fn weighed(page: &str) -> Vec<&'static File> {
    let mut parts: Vec<&'static File> = Vec::new();
    let mut open = vec![page.to_owned()];
    while let Some(name) = open.pop() {
        if parts.iter().any(|file| file.name == name) {
            continue;
        }
        let file = find(&name).unwrap_or_else(|| panic!("{name} is not there"));
        parts.push(file);
        open.extend(file.references(|before| name.ends_with(".html") || before.ends_with("from ")));
    }
    parts
}

/// `GET /lottery/files/{version}/{folder}/{name}`
///
/// # Errors
/// 404 for a name that is not there, and for a page, which has an address of its own.
pub fn show(call: &RequestContext) -> HttpResult {
    let name = format!("{}/{}", call.param(1), call.param(2));
    let file = find(&name).filter(|file| !file.name.ends_with(".html"));
    let file = file.ok_or_else(|| HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address"))?;
    // A page that was loaded before the server was replaced still finds its files, but nobody keeps them under the old name.
    let is_current = call.param(0) == VERSION;
    let keep = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(reply(file, &call.head.headers, keep))
}

/// The file as this browser takes it, to be kept as `keep` says.
pub fn reply(file: &'static File, asked: &HeaderMap, keep: &'static str) -> HttpResponse {
    let best = best(asked);
    let encoding = match best {
        Encoding::Brotli => Some("br"),
        Encoding::Gzip => Some("gzip"),
        Encoding::Plain => None,
    };
    let tag = format!("\"{}{}\"", file.tag, encoding.unwrap_or_default());
    let is_held = holds(asked, &tag);
    let bytes = match best {
        _ if is_held => Bytes::new(),
        Encoding::Brotli => Bytes::from_static(file.brotli),
        Encoding::Gzip => Bytes::from_static(file.gzip),
        Encoding::Plain => file.plain().into(),
    };
    let mut reply = Response::new(Full::new(bytes));
    if is_held {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(ETAG, HeaderValue::try_from(tag).expect("a tag is of hexadecimal digits"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    reply
}

/// Whether the browser says that it holds what `tag` names (RFC 9110, section 13.1.2).
pub fn holds(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|tags| tags.split(',')).any(|held| held.trim().trim_start_matches("W/") == tag)
}

/// How a file travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
    Brotli,
}

/// The smallest encoding that the browser takes. What it gives a weight of 0 it does not take; other weights are no reason to send more bytes.
fn best(asked: &HeaderMap) -> Encoding {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let taken = lists.flat_map(|list| list.split(',')).filter_map(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        match coding.trim() {
            _ if is_refused => None,
            "br" => Some(Encoding::Brotli),
            "gzip" => Some(Encoding::Gzip),
            _ => None,
        }
    });
    let rank = |encoding: &Encoding| matches!(encoding, Encoding::Brotli);
    taken.max_by_key(rank).unwrap_or(Encoding::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))])
    }

    #[test]
    fn the_smallest_form_that_is_taken_is_sent() {
        for (accept, expected) in [
            ("gzip, deflate, br", Encoding::Brotli),
            ("br;q=0.1, gzip;q=1.0", Encoding::Brotli),
            ("gzip, br;q=0", Encoding::Gzip),
            ("deflate, gzip;q=0.000", Encoding::Plain),
            ("", Encoding::Plain),
        ] {
            assert_eq!(best(&asked(accept)), expected, "{accept}");
        }
    }

    #[test]
    fn every_file_is_found_and_is_smaller_packed() {
        for file in FILES {
            assert_eq!(find(file.name).map(|found| found.tag), Some(file.tag));
            let (packed, plain) = (file.brotli.len().max(file.gzip.len()), file.plain().len());
            assert!(packed < plain || plain < 1_000, "{}", file.name);
        }
        assert!(find("no-such-file.js").is_none());
    }

    #[test]
    fn what_is_held_is_not_sent_again() {
        let file = find("phone/index.html").unwrap();
        let first = reply(file, &asked("br"), "no-cache");
        let mut again = asked("br");
        again.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(reply(file, &again, "no-cache").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(reply(file, &asked("gzip"), "no-cache").status(), StatusCode::OK);
        let mut other = asked("gzip");
        other.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(reply(file, &other, "no-cache").status(), StatusCode::OK, "another encoding is another thing");
    }
}

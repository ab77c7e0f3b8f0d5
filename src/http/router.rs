//! The router: finds the function that answers a method and a path.
//!
//! A route is a row of a table: method, pattern, where it is served, and the handler itself.
//! Walking some seventy patterns costs about a microsecond, and the table stays one that a person
//! can read; a prefix tree would buy nothing here. The first pattern that fits a path decides, so
//! literal segments stand above `{…}` ones in the table, which a test checks.

use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult};
use hyper::{Method, StatusCode};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

/// Answers a request. A pointer and not a trait object: rows are constants.
pub type Handler<A> = fn(RequestContext<A>) -> Pin<Box<dyn Future<Output = HttpResult>>>;

/// A row of the table.
pub struct Route<A> {
    /// HEAD and OPTIONS have no rows of their own.
    pub method: Method,
    /// Literal segments, and `{name}` for any one segment.
    pub pattern: &'static str,
    /// Where the pattern is served.
    pub scope: Scope,
    /// Answers the request.
    pub handler: Handler<A>,
}

/// Where a pattern is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Without a prefix.
    Root,
    /// Under the router's prefix.
    Prefixed,
    /// Both ways: the plan's tables write admin paths with and without the prefix.
    Both,
}

/// Builds a `&'static [Route<A>]` out of rows such as `Root GET "/health" => health::live`.
/// Handlers are `async fn`s.
#[macro_export]
macro_rules! routes {
    ($($scope:ident $method:ident $pattern:literal => $handler:path,)+) => {
        &[$($crate::http::router::Route {
            method: hyper::Method::$method,
            pattern: $pattern,
            scope: $crate::http::router::Scope::$scope,
            handler: |request| Box::pin($handler(request)),
        },)+]
    };
}

/// The application's table, and the prefix of its calls.
pub struct Router<A: 'static> {
    /// Path of the calls, without a slash at its end.
    pub prefix: &'static str,
    /// The table, literal segments before `{…}` ones.
    pub routes: &'static [Route<A>],
    /// The page for a person whose browser meets this error, if there is one: HTML.
    pub error_page: fn(&HttpError) -> Option<&'static str>,
    /// The message to people in open mode, by an error's code and its own message.
    pub open_mode_message: fn(&str, Cow<'static, str>) -> Cow<'static, str>,
}

/// A route, or the methods of a path.
#[expect(missing_docs, reason = "the variants say it")]
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// The route at `index` of the table, and its path parameters.
    Route { index: usize, params: Vec<String> },
    /// OPTIONS: only asks which methods the path has.
    Options { allow: String },
}

impl<A> Router<A> {
    /// Finds the route of `method` on `path`. The handler of GET answers HEAD as well; the table
    /// itself answers OPTIONS.
    ///
    /// # Errors
    /// 404 for a path that is not in the table, 405 for a method that its path lacks.
    pub fn find(&self, method: &Method, path: &str) -> Result<Match, HttpError> {
        if method == Method::OPTIONS && path == "*" {
            // Asks about the server as a whole (RFC 9110, section 9.3.7).
            return Ok(Match::Options { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into() });
        }
        let inner = path.strip_prefix(self.prefix).filter(|inner| inner.starts_with('/'));
        let served = |route: &Route<A>| match (route.scope, inner) {
            (Scope::Root | Scope::Both, None) => Some(path),
            (Scope::Prefixed | Scope::Both, Some(inner)) => Some(inner),
            (Scope::Prefixed, None) | (Scope::Root, Some(_)) => None,
        };
        // The scope is checked last, since nearly every pattern differs within its first letters.
        let fits = |route: &&Route<A>| fits(route.pattern, inner.unwrap_or(path)) && served(route).is_some();
        let Some(first) = self.routes.iter().find(fits) else {
            return Err(HttpError::not_found("there is nothing at this address"));
        };
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let same_pattern = self.routes.iter().enumerate().filter(|(_, route)| route.pattern == first.pattern);
        if let Some((index, route)) = same_pattern.clone().find(|(_, route)| route.method == wanted) {
            let params = served(route).map(|path| params(route.pattern, path)).unwrap_or_default();
            return Ok(Match::Route { index, params });
        }
        let allow = allow(same_pattern.map(|(_, route)| &route.method));
        if method == Method::OPTIONS {
            return Ok(Match::Options { allow });
        }
        let error =
            HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this address does not take that method");
        Err(HttpError { allow: Some(allow), ..error })
    }
}

/// The methods of one path, as `Allow` lists them.
fn allow<'r>(of_path: impl Iterator<Item = &'r Method>) -> String {
    let mut methods = Vec::new();
    for method in of_path {
        methods.push(method.as_str());
        if method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// Returns whether a path fits a pattern: segment by segment, where `{…}` fits any but an empty
/// one.
fn fits(pattern: &str, path: &str) -> bool {
    let literal = pattern.bytes().take_while(|&byte| byte != b'{');
    if literal.zip(path.bytes()).any(|(expected, found)| expected != found) {
        return false;
    }
    let mut segments = path.split('/');
    let fits = pattern.split('/').all(|expected| {
        segments.next().is_some_and(|segment| if is_param(expected) { !segment.is_empty() } else { segment == expected })
    });
    fits && segments.next().is_none()
}

/// The path segments where the pattern has `{…}`.
fn params(pattern: &str, path: &str) -> Vec<String> {
    let pairs = pattern.split('/').zip(path.split('/'));
    pairs.filter(|(expected, _)| is_param(expected)).map(|(_, segment)| segment.to_owned()).collect()
}

fn is_param(segment: &str) -> bool {
    segment.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn no_answer(_: RequestContext<()>) -> HttpResult {
        Err(HttpError::overloaded())
    }

    const ROUTER: Router<()> = Router {
        prefix: "/api/luckydraw",
        error_page: |_| None,
        open_mode_message: |_, message| message,
        routes: routes![
            Root GET "/health" => no_answer,
            Prefixed POST "/register" => no_answer,
            Both GET "/admin/events" => no_answer,
            Both POST "/admin/events" => no_answer,
            Both DELETE "/admin/{event_id}" => no_answer,
            Both GET "/admin/{event_id}/links/{link_id}" => no_answer,
        ],
    };

    fn route(method: Method, path: &str) -> Option<(usize, Vec<String>)> {
        match ROUTER.find(&method, path) {
            Ok(Match::Route { index, params }) => Some((index, params)),
            _ => None,
        }
    }

    fn refusal(method: &str, path: &str) -> (u16, Option<String>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let error = ROUTER.find(&method, path).unwrap_err();
        (error.status.as_u16(), error.allow)
    }

    #[test]
    fn admin_paths_have_two_addresses_and_one_handler() {
        let expected = Some((5, vec!["gala".to_owned(), "7".to_owned()]));
        assert_eq!(route(Method::GET, "/admin/gala/links/7"), expected);
        assert_eq!(route(Method::GET, "/api/luckydraw/admin/gala/links/7"), expected);
    }

    #[test]
    fn calls_are_under_the_prefix_and_health_is_not() {
        assert_eq!(route(Method::POST, "/api/luckydraw/register"), Some((1, vec![])));
        assert_eq!(route(Method::GET, "/health"), Some((0, vec![])));
        for path in
            ["/register", "/api/luckydraw/health", "/api/luckydrawn/register", "/api/luckydraw", "", "*", "/health/", "//health"]
        {
            assert_eq!(refusal("GET", path), (404, None), "{path}");
        }
    }

    #[test]
    fn a_literal_stands_above_a_parameter() {
        assert_eq!(route(Method::POST, "/admin/events"), Some((3, vec![])));
        assert_eq!(route(Method::DELETE, "/admin/gala"), Some((4, vec!["gala".into()])));
        assert_eq!(refusal("DELETE", "/admin/events").0, 405, "no event is called events by accident");
        assert_eq!(refusal("DELETE", "/admin/").0, 404, "an empty segment is no event");
    }

    #[test]
    fn a_path_lists_exactly_the_methods_it_has() {
        assert_eq!(refusal("PUT", "/admin/events"), (405, Some("GET, HEAD, POST, OPTIONS".into())));
        assert_eq!(refusal("GET", "/api/luckydraw/register"), (405, Some("POST, OPTIONS".into())));
        assert_eq!(refusal("TRACE", "/health"), (405, Some("GET, HEAD, OPTIONS".into())));
        let options = ROUTER.find(&Method::OPTIONS, "/api/luckydraw/register").unwrap();
        assert_eq!(options, Match::Options { allow: "POST, OPTIONS".into() });
        assert!(matches!(ROUTER.find(&Method::OPTIONS, "*"), Ok(Match::Options { .. })), "the server as a whole");
    }

    #[test]
    fn the_handler_of_get_answers_head() {
        assert_eq!(route(Method::HEAD, "/health"), Some((0, vec![])));
        assert_eq!(refusal("HEAD", "/api/luckydraw/register").0, 405);
    }
}

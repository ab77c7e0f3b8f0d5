//! Finding who answers a path: a walk through the table in [`routes`](crate::api::routes).
//!
//! Walking some sixty patterns costs about a microsecond, and the table stays one that a person can read; a tree of prefixes
//! would buy nothing here. The first pattern that fits a path decides, so literal segments stand above `{…}` ones in the table,
//! which a test makes sure of. The router knows methods and paths, and calls nobody.

use crate::api::routes::{Endpoint, ROUTES, Route};
use crate::http::response::HttpError;
use hyper::{Method, StatusCode};

/// What all calls of the contract are under.
pub const PREFIX: &str = "/api/luckydraw";

/// The first segments of paths that stand at the root: pages, and what machines ask for.
const AT_ROOT: [&str; 9] = ["", "asyncapi.json", "health", "healthz", "j", "lottery", "metrics", "openapi.json", "readyz"];

/// Where a pattern is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// As it stands.
    Root,
    /// Under [`PREFIX`].
    Api,
    /// Under [`PREFIX`], and as it stands: the plan's tables write admin paths both ways.
    Both,
}

/// Who answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Endpoint {
        endpoint: Endpoint,
        /// The route's place in the table.
        place: usize,
        params: Vec<String>,
    },
    /// It was only asked what the path can do.
    Options { allow: String },
}

impl Route {
    /// Where its pattern is served.
    pub fn scope(&self) -> Scope {
        let first = self.pattern.split('/').nth(1).unwrap_or("");
        match first {
            "admin" => Scope::Both,
            _ if AT_ROOT.contains(&first) => Scope::Root,
            _ => Scope::Api,
        }
    }
}

/// Finds who answers `method` on `path`. HEAD is answered by who answers GET, OPTIONS by the table itself.
///
/// # Errors
/// 404 for a path that is not in the table, 405 for a method that its path has not got.
pub fn find(method: &Method, path: &str) -> Result<Found, HttpError> {
    find_in(ROUTES, method, path)
}

fn find_in(routes: &[Route], method: &Method, path: &str) -> Result<Found, HttpError> {
    if method == Method::OPTIONS && path == "*" {
        // Asks about the server as a whole (RFC 9110, section 9.3.7).
        return Ok(Found::Options { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into() });
    }
    let inner = path.strip_prefix(PREFIX).filter(|inner| inner.starts_with('/'));
    let place = |route: &Route| match (route.scope(), inner) {
        (Scope::Root, None) | (Scope::Both, None) => Some(path),
        (Scope::Api | Scope::Both, Some(inner)) => Some(inner),
        (Scope::Api, None) | (Scope::Root, Some(_)) => None,
    };
    // Where it is served is asked last, since nearly every pattern differs within its first letters.
    let fits = |route: &&Route| matches(route.pattern, inner.unwrap_or(path)) && place(route).is_some();
    let Some(first) = routes.iter().find(fits) else {
        return Err(HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address"));
    };
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let same_pattern = routes.iter().enumerate().filter(|(_, route)| route.pattern == first.pattern);
    if let Some((index, route)) = same_pattern.clone().find(|(_, route)| route.method == wanted) {
        let params = place(route).map(|path| params(route.pattern, path)).unwrap_or_default();
        return Ok(Found::Endpoint { endpoint: route.endpoint, place: index, params });
    }
    let allow = allow(same_pattern.map(|(_, route)| route));
    if method == Method::OPTIONS {
        return Ok(Found::Options { allow });
    }
    let failure = HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this address does not take that method");
    Err(HttpError { allow: Some(allow), ..failure })
}

/// The methods of one path's routes, as `Allow` lists them.
fn allow<'r>(routes: impl Iterator<Item = &'r Route>) -> String {
    let mut methods = Vec::new();
    for route in routes {
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// Whether a path fits a pattern: segment by segment, where `{…}` fits any but an empty one.
fn matches(pattern: &str, path: &str) -> bool {
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

/// What stands in a path where its pattern has `{…}`.
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

    const TABLE: &[Route] = &[
        Route { method: Method::GET, pattern: "/health", endpoint: Endpoint::Health },
        Route { method: Method::POST, pattern: "/register", endpoint: Endpoint::Home },
        Route { method: Method::GET, pattern: "/admin/events", endpoint: Endpoint::OpenApi },
        Route { method: Method::POST, pattern: "/admin/events", endpoint: Endpoint::AsyncApi },
        Route { method: Method::DELETE, pattern: "/admin/{event_id}", endpoint: Endpoint::Ready },
        Route { method: Method::GET, pattern: "/admin/{event_id}/links/{link_id}", endpoint: Endpoint::Ready },
    ];

    fn endpoint(method: Method, path: &str) -> Option<(Endpoint, Vec<String>)> {
        match find_in(TABLE, &method, path) {
            Ok(Found::Endpoint { endpoint, params, .. }) => Some((endpoint, params)),
            _ => None,
        }
    }

    fn refusal(method: &str, path: &str) -> (u16, Option<String>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let failure = find_in(TABLE, &method, path).unwrap_err();
        (failure.status.as_u16(), failure.allow)
    }

    #[test]
    fn admin_paths_have_two_addresses_and_one_handler() {
        let expected = Some((Endpoint::Ready, vec!["gala".to_owned(), "7".to_owned()]));
        assert_eq!(endpoint(Method::GET, "/admin/gala/links/7"), expected);
        assert_eq!(endpoint(Method::GET, "/api/luckydraw/admin/gala/links/7"), expected);
    }

    #[test]
    fn calls_are_under_the_prefix_and_health_is_not() {
        assert_eq!(endpoint(Method::POST, "/api/luckydraw/register"), Some((Endpoint::Home, vec![])));
        assert_eq!(endpoint(Method::GET, "/health"), Some((Endpoint::Health, vec![])));
        for path in
            ["/register", "/api/luckydraw/health", "/api/luckydrawn/register", "/api/luckydraw", "", "*", "/health/", "//health"]
        {
            assert_eq!(refusal("GET", path), (404, None), "{path}");
        }
    }

    #[test]
    fn a_literal_stands_above_a_parameter() {
        assert_eq!(endpoint(Method::POST, "/admin/events"), Some((Endpoint::AsyncApi, vec![])));
        assert_eq!(endpoint(Method::DELETE, "/admin/gala"), Some((Endpoint::Ready, vec!["gala".into()])));
        assert_eq!(refusal("DELETE", "/admin/events").0, 405, "no event is called events by accident");
        assert_eq!(refusal("DELETE", "/admin/").0, 404, "an empty segment is no event");
    }

    #[test]
    fn a_path_tells_exactly_the_methods_it_has() {
        assert_eq!(refusal("PUT", "/admin/events"), (405, Some("GET, HEAD, POST, OPTIONS".into())));
        assert_eq!(refusal("GET", "/api/luckydraw/register"), (405, Some("POST, OPTIONS".into())));
        assert_eq!(refusal("TRACE", "/health"), (405, Some("GET, HEAD, OPTIONS".into())));
        let options = find_in(TABLE, &Method::OPTIONS, "/api/luckydraw/register").unwrap();
        assert_eq!(options, Found::Options { allow: "POST, OPTIONS".into() });
        assert!(matches!(find_in(TABLE, &Method::OPTIONS, "*"), Ok(Found::Options { .. })), "the server as a whole");
    }

    #[test]
    fn head_is_answered_by_who_answers_get() {
        assert_eq!(endpoint(Method::HEAD, "/health"), Some((Endpoint::Health, vec![])));
        assert_eq!(refusal("HEAD", "/api/luckydraw/register").0, 405);
    }

    #[test]
    fn every_route_of_the_table_is_reached_by_its_own_pattern() {
        for route in ROUTES {
            let path = if route.scope() == Scope::Root { route.pattern.into() } else { format!("{PREFIX}{}", route.pattern) };
            match find(&route.method, &path.replace(['{', '}'], "")) {
                Ok(Found::Endpoint { endpoint, params, .. }) => {
                    assert_eq!(endpoint, route.endpoint, "{path}");
                    assert_eq!(params.len(), route.pattern.matches('{').count(), "{path}");
                }
                other => panic!("{} {path}: {other:?}", route.method),
            }
        }
    }
}

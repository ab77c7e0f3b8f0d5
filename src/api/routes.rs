//! The table of calls: every method and path, and the handler behind it. A path that is not here
//! does not exist.
//!
//! Patterns stand without the prefix `/api/luckydraw`. The first that fits a path wins:
//! `/admin/events/{event_id}` stands before `/admin/{event_id}/stats`.

use crate::api::app::App;
use crate::api::{
    assets, auth, backups, clock, desk, draws, edge_code, entry, events, exports, health, links, long_poll, metrics, old_clients,
    pages, phone, pictures, prizes, proof, qr, rehearsal, socket, spread, spreadsheets, stages, stats,
};
use crate::http::router::{Route, Router};
use crate::routes;

/// The router of this application.
pub static ROUTER: Router<App> =
    Router { prefix: "/api/luckydraw", routes: ROUTES, error_page: pages::error_page, open_mode_message: old_clients::in_korean };

/// The table.
pub static ROUTES: &[Route<App>] = routes![
    Root GET "/health" => health::live,
    Root GET "/healthz" => health::live,
    Root GET "/readyz" => health::ready,
    Root GET "/metrics" => metrics::metrics,
    Root GET "/openapi.json" => health::openapi,
    Root GET "/asyncapi.json" => health::asyncapi,
    Root GET "/" => pages::home,
    Root GET "/lottery" => pages::lobby,
    Root GET "/lottery/main" => pages::stage,
    Root GET "/lottery/waiting" => pages::phone,
    Root GET "/lottery/admin" => pages::admin,
    Root GET "/lottery/staff" => pages::staff,
    Root GET "/lottery/verify" => pages::verify,
    Root GET "/lottery/files/{version}/{folder}/{name}" => assets::show,
    Root GET "/j/{event_id}" => spread::join,
    Prefixed POST "/register" => phone::register,
    Prefixed POST "/entry-pass" => entry::entry_pass,
    Prefixed POST "/recover" => phone::recover,
    Prefixed GET "/my-number" => phone::my_number,
    Prefixed GET "/check-winner" => phone::check_winner,
    Prefixed POST "/winner-info" => phone::winner_info,
    Prefixed POST "/claim.svg" => qr::claim,
    Prefixed GET "/state" => long_poll::state,
    Prefixed GET "/results" => phone::results,
    Prefixed GET "/proof" => proof::proof,
    Prefixed GET "/proof/path" => proof::path,
    Prefixed GET "/images/{name}" => pictures::show,
    Prefixed GET "/join" => qr::join_address,
    Prefixed GET "/join.svg" => qr::join,
    Prefixed GET "/verify.svg" => qr::verify,
    Prefixed GET "/ws/{event_id}" => socket::connect,
    Both GET "/admin/login" => auth::show_login,
    Both POST "/admin/login" => auth::login,
    Both POST "/admin/logout" => auth::logout,
    Both GET "/admin/clock" => clock::show,
    Both POST "/admin/clock" => clock::confirm,
    Both POST "/admin/edge-code" => edge_code::make_code,
    Both GET "/admin/events" => events::list,
    Both POST "/admin/events" => events::create,
    Both GET "/admin/events/{event_id}" => events::show,
    Both PATCH "/admin/events/{event_id}" => events::change,
    Both DELETE "/admin/events/{event_id}" => events::remove,
    Both POST "/admin/{event_id}/phase" => events::phase,
    Both POST "/admin/{event_id}/entry-code" => events::entry_code,
    Both POST "/admin/{event_id}/draw/standby" => draws::standby,
    Both POST "/admin/{event_id}/draw/start-animation" => draws::start,
    Both POST "/admin/{event_id}/draw/outside" => draws::give_outside,
    Both POST "/admin/{event_id}/draw/fallback" => draws::fall_back,
    Both POST "/admin/{event_id}/draw/reveal" => draws::reveal,
    Both POST "/admin/{event_id}/draw/complete" => draws::complete,
    Both POST "/admin/{event_id}/draw/cancel" => draws::cancel,
    Both POST "/admin/{event_id}/draw/void" => draws::void,
    Both POST "/admin/{event_id}/draw" => draws::draw_at_once,
    Both GET "/admin/{event_id}/draws" => draws::history,
    Both POST "/admin/{event_id}/reset" => draws::reset,
    Both GET "/admin/{event_id}/participants" => desk::participants,
    Both POST "/admin/{event_id}/participants/remove" => desk::remove_participants,
    Both PATCH "/admin/{event_id}/participants/{draw_number}" => desk::mark,
    Both GET "/admin/{event_id}/winners" => desk::winners,
    Both PUT "/admin/{event_id}/winners/{draw_id}/{draw_number}" => desk::correct_details,
    Both POST "/admin/{event_id}/claims/look-up" => desk::look_up,
    Both POST "/admin/{event_id}/claims/hand-over" => desk::hand_over,
    Both POST "/admin/{event_id}/claims/undo" => desk::undo_hand_over,
    Both GET "/admin/{event_id}/prizes" => prizes::list,
    Both POST "/admin/{event_id}/prizes" => prizes::add,
    Both POST "/admin/{event_id}/prizes/order" => prizes::order,
    Both POST "/admin/{event_id}/prizes/import" => spreadsheets::import_prizes,
    Both GET "/admin/{event_id}/prizes/template.xlsx" => spreadsheets::template,
    Both PUT "/admin/{event_id}/prizes/{prize_id}" => prizes::change,
    Both DELETE "/admin/{event_id}/prizes/{prize_id}" => prizes::remove,
    Both POST "/admin/{event_id}/images" => pictures::upload,
    Both GET "/admin/{event_id}/export.csv" => exports::export_csv,
    Both GET "/admin/{event_id}/export.xlsx" => exports::export_xlsx,
    Both POST "/admin/{event_id}/rehearsal/wipe" => draws::wipe_rehearsal,
    Both GET "/admin/{event_id}/rehearsal/phones" => rehearsal::phones,
    Both POST "/admin/{event_id}/rehearsal/phones" => rehearsal::set_phones,
    Both POST "/admin/{event_id}/backup" => backups::create,
    Both GET "/admin/{event_id}/backup" => backups::list,
    Both GET "/admin/{event_id}/links" => links::list,
    Both POST "/admin/{event_id}/links" => links::make,
    Both DELETE "/admin/{event_id}/links/{link_id}" => links::revoke,
    Both GET "/admin/{event_id}/stages" => stages::list,
    Both POST "/admin/{event_id}/stages" => stages::report,
    Both PATCH "/admin/{event_id}/stages/{stage_id}" => stages::change,
    Both GET "/admin/{event_id}/stats" => stats::stats,
    Both GET "/admin/{event_id}/audit" => stats::audit,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::{Match, Scope};

    #[test]
    fn no_method_and_pattern_has_two_rows() {
        for (index, route) in ROUTES.iter().enumerate() {
            for other in &ROUTES[index + 1..] {
                assert!((&route.method, route.pattern) != (&other.method, other.pattern), "{} twice", route.pattern);
            }
        }
    }

    #[test]
    fn patterns_are_of_one_form() {
        for Route { pattern, .. } in ROUTES.iter().filter(|route| route.pattern != "/") {
            let mut segments = pattern.split('/');
            assert_eq!(segments.next(), Some(""), "{pattern} begins with a slash");
            for segment in segments {
                let name = segment.strip_prefix('{').map_or(segment, |rest| rest.strip_suffix('}').expect("closed"));
                assert!(!name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'-' | b'_' | b'.')), "{pattern}");
            }
        }
    }

    #[test]
    fn every_route_is_reached_by_its_own_pattern() {
        for (place, route) in ROUTES.iter().enumerate() {
            let prefix = if route.scope == Scope::Root { "" } else { ROUTER.prefix };
            let path = format!("{prefix}{}", route.pattern.replace(['{', '}'], ""));
            match ROUTER.find(&route.method, &path) {
                Ok(Match::Route { index, params }) => {
                    assert_eq!(index, place, "{path}");
                    assert_eq!(params.len(), route.pattern.matches('{').count(), "{path}");
                }
                other => panic!("{} {path}: {other:?}", route.method),
            }
        }
    }
}

//! The table of calls: every method and path, and the handler behind it. What is not here is not there.
//!
//! Patterns stand without the prefix `/api/luckydraw`; [`Route::scope`] tells where each is served. Where two match, the one
//! further up counts: `/admin/events/{event_id}` before `/admin/{event_id}/stats`.

use crate::api::assets;
use crate::api::health;
use crate::api::metrics;
use crate::api::pages;
use crate::api::{
    auth, backups, claim_code, claims, draws, entrance, events, exports, figures, images, imports, join, links, participants,
    people, prizes, public, rehearsal, state as long_poll,
};
use crate::http::request::RequestContext;
use crate::http::response::HttpResult;
use hyper::Method;

/// One line of the table.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    /// Literal segments, and `{name}` for any one segment.
    pub pattern: &'static str,
    pub endpoint: Endpoint,
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Health,
    Healthz,
    Ready,
    Metrics,
    OpenApi,
    AsyncApi,
    Home,
    LobbyPage,
    StagePage,
    PhonePage,
    AdminPage,
    StaffPage,
    VerifyPage,
    JoinPage,
    ShowFile,
    Register,
    Recover,
    MyNumber,
    CheckWinner,
    WinnerInfo,
    ClaimCode,
    State,
    Results,
    Proof,
    ShowImage,
    JoinAddress,
    JoinCode,
    Connect,
    ShowLogin,
    Login,
    Logout,
    ListEvents,
    CreateEvent,
    ShowEvent,
    ChangeEvent,
    RemoveEvent,
    ChangePhase,
    EntryCode,
    Standby,
    Start,
    Reveal,
    Complete,
    Cancel,
    Void,
    DrawAtOnce,
    History,
    Reset,
    Participants,
    MarkParticipant,
    Winners,
    LookUpClaim,
    HandOver,
    UndoHandOver,
    ListPrizes,
    AddPrize,
    OrderPrizes,
    ImportPrizes,
    ChangePrize,
    RemovePrize,
    UploadImage,
    ExportCsv,
    ExportXlsx,
    WipeRehearsal,
    MakeBackup,
    ListBackups,
    ListLinks,
    MakeLink,
    RevokeLink,
    Stats,
    Audit,
}

/// The table.
pub static ROUTES: &[Route] = &[
    route(Method::GET, "/health", Endpoint::Health),
    route(Method::GET, "/healthz", Endpoint::Healthz),
    route(Method::GET, "/readyz", Endpoint::Ready),
    route(Method::GET, "/metrics", Endpoint::Metrics),
    route(Method::GET, "/openapi.json", Endpoint::OpenApi),
    route(Method::GET, "/asyncapi.json", Endpoint::AsyncApi),
    route(Method::GET, "/", Endpoint::Home),
    route(Method::GET, "/lottery", Endpoint::LobbyPage),
    route(Method::GET, "/lottery/main", Endpoint::StagePage),
    route(Method::GET, "/lottery/waiting", Endpoint::PhonePage),
    route(Method::GET, "/lottery/admin", Endpoint::AdminPage),
    route(Method::GET, "/lottery/staff", Endpoint::StaffPage),
    route(Method::GET, "/lottery/verify", Endpoint::VerifyPage),
    route(Method::GET, "/lottery/files/{version}/{folder}/{name}", Endpoint::ShowFile),
    route(Method::GET, "/j/{event_id}", Endpoint::JoinPage),
    route(Method::POST, "/register", Endpoint::Register),
    route(Method::POST, "/recover", Endpoint::Recover),
    route(Method::GET, "/my-number", Endpoint::MyNumber),
    route(Method::GET, "/check-winner", Endpoint::CheckWinner),
    route(Method::POST, "/winner-info", Endpoint::WinnerInfo),
    route(Method::POST, "/claim.svg", Endpoint::ClaimCode),
    route(Method::GET, "/state", Endpoint::State),
    route(Method::GET, "/results", Endpoint::Results),
    route(Method::GET, "/proof", Endpoint::Proof),
    route(Method::GET, "/images/{name}", Endpoint::ShowImage),
    route(Method::GET, "/join", Endpoint::JoinAddress),
    route(Method::GET, "/join.svg", Endpoint::JoinCode),
    route(Method::GET, "/ws/{event_id}", Endpoint::Connect),
    route(Method::GET, "/admin/login", Endpoint::ShowLogin),
    route(Method::POST, "/admin/login", Endpoint::Login),
    route(Method::POST, "/admin/logout", Endpoint::Logout),
    route(Method::GET, "/admin/events", Endpoint::ListEvents),
    route(Method::POST, "/admin/events", Endpoint::CreateEvent),
    route(Method::GET, "/admin/events/{event_id}", Endpoint::ShowEvent),
    route(Method::PATCH, "/admin/events/{event_id}", Endpoint::ChangeEvent),
    route(Method::DELETE, "/admin/events/{event_id}", Endpoint::RemoveEvent),
    route(Method::POST, "/admin/{event_id}/phase", Endpoint::ChangePhase),
    route(Method::POST, "/admin/{event_id}/entry-code", Endpoint::EntryCode),
    route(Method::POST, "/admin/{event_id}/draw/standby", Endpoint::Standby),
    route(Method::POST, "/admin/{event_id}/draw/start-animation", Endpoint::Start),
    route(Method::POST, "/admin/{event_id}/draw/reveal", Endpoint::Reveal),
    route(Method::POST, "/admin/{event_id}/draw/complete", Endpoint::Complete),
    route(Method::POST, "/admin/{event_id}/draw/cancel", Endpoint::Cancel),
    route(Method::POST, "/admin/{event_id}/draw/void", Endpoint::Void),
    route(Method::POST, "/admin/{event_id}/draw", Endpoint::DrawAtOnce),
    route(Method::GET, "/admin/{event_id}/draws", Endpoint::History),
    route(Method::POST, "/admin/{event_id}/reset", Endpoint::Reset),
    route(Method::GET, "/admin/{event_id}/participants", Endpoint::Participants),
    route(Method::PATCH, "/admin/{event_id}/participants/{draw_number}", Endpoint::MarkParticipant),
    route(Method::GET, "/admin/{event_id}/winners", Endpoint::Winners),
    route(Method::POST, "/admin/{event_id}/claims/look-up", Endpoint::LookUpClaim),
    route(Method::POST, "/admin/{event_id}/claims/hand-over", Endpoint::HandOver),
    route(Method::POST, "/admin/{event_id}/claims/undo", Endpoint::UndoHandOver),
    route(Method::GET, "/admin/{event_id}/prizes", Endpoint::ListPrizes),
    route(Method::POST, "/admin/{event_id}/prizes", Endpoint::AddPrize),
    route(Method::POST, "/admin/{event_id}/prizes/order", Endpoint::OrderPrizes),
    route(Method::POST, "/admin/{event_id}/prizes/import", Endpoint::ImportPrizes),
    route(Method::PUT, "/admin/{event_id}/prizes/{prize_id}", Endpoint::ChangePrize),
    route(Method::DELETE, "/admin/{event_id}/prizes/{prize_id}", Endpoint::RemovePrize),
    route(Method::POST, "/admin/{event_id}/images", Endpoint::UploadImage),
    route(Method::GET, "/admin/{event_id}/export.csv", Endpoint::ExportCsv),
    route(Method::GET, "/admin/{event_id}/export.xlsx", Endpoint::ExportXlsx),
    route(Method::POST, "/admin/{event_id}/rehearsal/wipe", Endpoint::WipeRehearsal),
    route(Method::POST, "/admin/{event_id}/backup", Endpoint::MakeBackup),
    route(Method::GET, "/admin/{event_id}/backup", Endpoint::ListBackups),
    route(Method::GET, "/admin/{event_id}/links", Endpoint::ListLinks),
    route(Method::POST, "/admin/{event_id}/links", Endpoint::MakeLink),
    route(Method::DELETE, "/admin/{event_id}/links/{link_id}", Endpoint::RevokeLink),
    route(Method::GET, "/admin/{event_id}/stats", Endpoint::Stats),
    route(Method::GET, "/admin/{event_id}/audit", Endpoint::Audit),
];

/// Hands a call to its handler.
pub async fn serve(endpoint: Endpoint, call: RequestContext) -> HttpResult {
    match endpoint {
        Endpoint::Health | Endpoint::Healthz => health::health(),
        Endpoint::Ready => health::ready(&call.app),
        Endpoint::Metrics => metrics::metrics(&call).await,
        Endpoint::OpenApi => health::openapi(),
        Endpoint::AsyncApi => health::asyncapi(),
        Endpoint::Home => pages::home(),
        Endpoint::LobbyPage => pages::lobby(&call),
        Endpoint::StagePage => pages::stage(&call),
        Endpoint::PhonePage => pages::phone(&call),
        Endpoint::AdminPage => pages::admin(&call),
        Endpoint::StaffPage => pages::staff(&call),
        Endpoint::VerifyPage => pages::verify(&call),
        Endpoint::JoinPage => pages::join(&call),
        Endpoint::ShowFile => assets::show(&call),
        Endpoint::Register => participants::register(call).await,
        Endpoint::Recover => participants::recover(call).await,
        Endpoint::MyNumber => participants::my_number(call).await,
        Endpoint::CheckWinner => participants::check_winner(call).await,
        Endpoint::WinnerInfo => participants::winner_info(call).await,
        Endpoint::ClaimCode => claim_code::draw(call).await,
        Endpoint::State => long_poll::state(call).await,
        Endpoint::Results => public::results(call).await,
        Endpoint::Proof => public::proof(call).await,
        Endpoint::ShowImage => images::show(call).await,
        Endpoint::JoinAddress => join::address(&call),
        Endpoint::JoinCode => join::code(&call),
        Endpoint::Connect => entrance::connect(call).await,
        Endpoint::ShowLogin => auth::show_login(&call),
        Endpoint::Login => auth::login(call).await,
        Endpoint::Logout => auth::logout(call).await,
        Endpoint::ListEvents => events::list(call).await,
        Endpoint::CreateEvent => events::create(call).await,
        Endpoint::ShowEvent => events::show(call).await,
        Endpoint::ChangeEvent => events::change(call).await,
        Endpoint::RemoveEvent => events::remove(call).await,
        Endpoint::ChangePhase => events::phase(call).await,
        Endpoint::EntryCode => events::entry_code(call).await,
        Endpoint::Standby => draws::standby(call).await,
        Endpoint::Start => draws::start(call).await,
        Endpoint::Reveal => draws::reveal(call).await,
        Endpoint::Complete => draws::complete(call).await,
        Endpoint::Cancel => draws::cancel(call).await,
        Endpoint::Void => draws::void(call).await,
        Endpoint::DrawAtOnce => draws::at_once(call).await,
        Endpoint::History => draws::history(call).await,
        Endpoint::Reset => draws::reset(call).await,
        Endpoint::Participants => people::participants(call).await,
        Endpoint::MarkParticipant => people::mark(call).await,
        Endpoint::Winners => people::winners(call).await,
        Endpoint::LookUpClaim => claims::look_up(call).await,
        Endpoint::HandOver => claims::hand_over(call).await,
        Endpoint::UndoHandOver => claims::undo(call).await,
        Endpoint::ListPrizes => prizes::list(call).await,
        Endpoint::AddPrize => prizes::add(call).await,
        Endpoint::OrderPrizes => prizes::order(call).await,
        Endpoint::ImportPrizes => imports::prizes(call).await,
        Endpoint::ChangePrize => prizes::change(call).await,
        Endpoint::RemovePrize => prizes::remove(call).await,
        Endpoint::UploadImage => images::upload(call).await,
        Endpoint::ExportCsv => exports::as_csv(call).await,
        Endpoint::ExportXlsx => exports::as_xlsx(call).await,
        Endpoint::WipeRehearsal => rehearsal::wipe(call).await,
        Endpoint::MakeBackup => backups::create(call).await,
        Endpoint::ListBackups => backups::list(call).await,
        Endpoint::ListLinks => links::list(call).await,
        Endpoint::MakeLink => links::make(call).await,
        Endpoint::RevokeLink => links::revoke(call).await,
        Endpoint::Stats => figures::stats(call).await,
        Endpoint::Audit => figures::audit(call).await,
    }
}

const fn route(method: Method, pattern: &'static str, endpoint: Endpoint) -> Route {
    Route { method, pattern, endpoint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_stands_once_and_every_endpoint_has_a_line_of_its_own() {
        for (place, route) in ROUTES.iter().enumerate() {
            for other in &ROUTES[place + 1..] {
                assert!((&route.method, route.pattern) != (&other.method, other.pattern), "{route:?} twice");
                assert_ne!(route.endpoint, other.endpoint, "{route:?}");
            }
        }
    }

    #[test]
    fn patterns_are_of_one_form() {
        for Route { pattern, .. } in ROUTES {
            let mut segments = pattern.split('/');
            if *pattern == "/" {
                continue;
            }
            assert_eq!(segments.next(), Some(""), "{pattern} begins with a slash");
            for segment in segments {
                let name = segment.strip_prefix('{').map_or(segment, |rest| rest.strip_suffix('}').expect("closed"));
                assert!(!name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'-' | b'_' | b'.')), "{pattern}");
            }
        }
    }
}

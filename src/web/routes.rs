//! Every path of the server: the table, and who answers each row.
//!
//! A pattern is written without the prefix; [`Route::scope`] tells where it is served. Literal segments stand above `{…}` ones.

use super::answer::Answer;
use super::call::Call;
use super::{health, metrics, pages};
use hyper::Method;

/// A row of the table.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    /// `/admin/{event_id}/draw/standby`.
    pub pattern: &'static str,
    pub endpoint: Endpoint,
}

/// What a path is for.
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
}

/// The table.
pub static ROUTES: &[Route] = &[
    Route { method: Method::GET, pattern: "/health", endpoint: Endpoint::Health },
    Route { method: Method::GET, pattern: "/healthz", endpoint: Endpoint::Healthz },
    Route { method: Method::GET, pattern: "/readyz", endpoint: Endpoint::Ready },
    Route { method: Method::GET, pattern: "/metrics", endpoint: Endpoint::Metrics },
    Route { method: Method::GET, pattern: "/openapi.json", endpoint: Endpoint::OpenApi },
    Route { method: Method::GET, pattern: "/asyncapi.json", endpoint: Endpoint::AsyncApi },
    Route { method: Method::GET, pattern: "/", endpoint: Endpoint::Home },
    Route { method: Method::GET, pattern: "/lottery", endpoint: Endpoint::LobbyPage },
    Route { method: Method::GET, pattern: "/lottery/main", endpoint: Endpoint::StagePage },
    Route { method: Method::GET, pattern: "/lottery/waiting", endpoint: Endpoint::PhonePage },
    Route { method: Method::GET, pattern: "/lottery/admin", endpoint: Endpoint::AdminPage },
    Route { method: Method::GET, pattern: "/lottery/staff", endpoint: Endpoint::StaffPage },
    Route { method: Method::GET, pattern: "/lottery/verify", endpoint: Endpoint::VerifyPage },
    Route { method: Method::GET, pattern: "/j/{event_id}", endpoint: Endpoint::JoinPage },
];

/// Answers a call.
pub async fn serve(endpoint: Endpoint, call: Call) -> Answer {
    match endpoint {
        Endpoint::Health | Endpoint::Healthz => health::health(),
        Endpoint::Ready => health::ready(&call.app),
        Endpoint::Metrics => metrics::metrics(&call.app),
        Endpoint::OpenApi => health::openapi(),
        Endpoint::AsyncApi => health::asyncapi(),
        Endpoint::Home => pages::home(),
        Endpoint::LobbyPage => pages::lobby(&call),
        Endpoint::StagePage => pages::stage(),
        Endpoint::PhonePage => pages::phone(),
        Endpoint::AdminPage => pages::admin(),
        Endpoint::StaffPage => pages::staff(),
        Endpoint::VerifyPage => pages::verify(),
        Endpoint::JoinPage => pages::join(&call),
    }
}

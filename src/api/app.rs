//! What every handler may reach: the doors to the other rooms, and what the operator settled.

use crate::live::directory::Directory;
use crate::live::reactor::Reactors;
use crate::sequencer::inbox::Inbox;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the operator settled about the street side.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Trust every client, as the server before this one did. Only ever on loopback.
    pub open: bool,
    /// Origins beside the server's own, as `scheme://host[:port]`.
    pub allowed_origins: Vec<String>,
    /// The name this server goes by.
    pub domain: Option<String>,
    /// The event of an address that names none.
    pub default_event: Option<String>,
    /// The most participants of an event that does not say.
    pub participants_max: u32,
    /// The most connections at once, HTTP and WebSocket together.
    pub connections_max: usize,
    /// The most long-polls at once.
    pub long_polls_max: usize,
    /// The token that opens every admin call.
    pub admin_token: String,
    /// The token that opens the figures alone.
    pub metrics_token: Option<String>,
    /// The folder of the journal, the images and the backups.
    pub data_dir: crate::base::data_dir::DataDir,
    /// How long winners' details are kept, in days.
    pub details_days: u32,
    /// The address phones in the hall reach this server by, without a path: `http://192.168.0.7:8000`.
    pub join_base: String,
    /// The port that speaks TLS, if one does.
    pub https_port: Option<u16>,
}

/// The street side's view of the house.
pub struct App {
    pub settings: Settings,
    pub directory: Arc<Directory>,
    pub inbox: Inbox,
    pub stages: Reactors,
    /// How TLS is spoken, where it is.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub tokens: crate::store::tokens::Tokens,
    /// How often recovery and entry codes may be guessed.
    pub patience: crate::api::patience::RateLimiter,
    /// The images that were asked for last.
    pub images: crate::api::images::ImageCache,
    /// Whether the server takes new work; false while it starts and once it stops. Written by the server, read relaxed: it
    /// stands alone.
    pub ready: std::sync::atomic::AtomicBool,
    /// Whether the last commit succeeded.
    pub durable: Arc<std::sync::atomic::AtomicBool>,
    /// Where backups are asked for.
    pub backups: crate::backup::thread::BackupHandle,
    pub long_polls: tokio::sync::Semaphore,
    /// One permit: whoever reads or writes a spreadsheet, a picture or a copy of the journal holds it.
    pub files: Arc<tokio::sync::Semaphore>,
    /// How the writer keeps up.
    pub pace: Arc<crate::sequencer::commit_metrics::CommitMetrics>,
    /// What each route has answered.
    pub traffic: crate::http::request_metrics::RequestMetrics,
    /// What the small box's burst credit has paid for.
    pub credit: crate::api::metrics::process::Credit,
    /// Cancelled once, when the server stops: connections finish the request they are at, and long-polls wait no more.
    pub stopping: CancellationToken,
}

/// Settings for tests of single rooms: nothing listed, nothing open.
#[cfg(test)]
pub fn sample_settings() -> Settings {
    Settings {
        open: false,
        allowed_origins: Vec::new(),
        domain: None,
        default_event: Some("demo".into()),
        participants_max: 20_000,
        connections_max: 100,
        long_polls_max: 10,
        admin_token: "a token for tests".into(),
        metrics_token: None,
        data_dir: crate::base::data_dir::DataDir::new("data"),
        details_days: 30,
        join_base: "http://192.168.0.7:8000".into(),
        https_port: None,
    }
}

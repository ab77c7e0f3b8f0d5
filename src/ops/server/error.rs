//! Reasons for which the server does not start. Nothing here is about a running server.

use crate::http::bind::BindError;
use crate::ops::admin_token::AdminTokenError;
use crate::ops::supervisor::SocketsError;
use crate::store::JournalError;
use crate::store::keys::KeysError;
use crate::tls::TlsError;
use std::io;
use std::path::PathBuf;

/// The reason for which the server did not start.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    #[error("the folder {} cannot be made", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the operating system gives no threads, descriptors or readiness queues")]
    Threads(#[source] io::Error),
}

impl StartError {
    /// True when the settings ask for something impossible, false when something failed.
    pub fn is_usage(&self) -> bool {
        match self {
            StartError::Bind(BindError::NotLoopback { .. }) | StartError::Sockets(SocketsError::Bind(_)) => true,
            StartError::Tls(error) => error.is_usage(),
            _ => false,
        }
    }
}

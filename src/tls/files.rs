//! Certificates from files, which somebody else renews.
//!
//! They are looked at every few seconds, since a renewal may forget the signal, and at once on SIGHUP. A new pair is shown when it is good in every
//! way; else the log says what is wrong with it and the old one stays: between the writing of a chain and that of its key they never fit. What watches
//! files in the kernel is refused: links that are swapped, as renewers do, need a watch on every folder on the way.

use crate::tls::Source;
use crate::tls::pair::{Pair, PairError, day};
use crate::tls::resolver::CertificateResolver;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// How long before its end a certificate is spoken of in the log, and how often.
const END_IS_NEAR: Duration = Duration::from_secs(10 * 86_400);
const REMIND: Duration = Duration::from_secs(6 * 3600);

/// A chain and its key, in two files or one.
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
    domain: Option<String>,
    shelf: Arc<CertificateResolver>,
    seen: [Stamp; 2],
    ends: SystemTime,
    reminded: Option<SystemTime>,
}

/// What changes when a file does: none where there is none.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Files {
    /// Reads the files and shows what they hold.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open(cert: &Path, key: &Path, domain: Option<&str>, shelf: &Arc<CertificateResolver>) -> Result<Self, PairError> {
        let seen = [stamp(cert), stamp(key)];
        let pair = Pair::read(cert, key, domain, SystemTime::now())?;
        tracing::info!(cert = %cert.display(), until = day(pair.ends), "certificate read");
        shelf.show(pair.key);
        let (cert, key, domain) = (cert.to_owned(), key.to_owned(), domain.map(str::to_owned));
        Ok(Self { cert, key, domain, shelf: Arc::clone(shelf), seen, ends: pair.ends, reminded: None })
    }

    /// Looks at the files, and reads them if they have changed or somebody says so.
    fn look(&mut self, is_asked: bool) {
        let seen = [stamp(&self.cert), stamp(&self.key)];
        if seen == self.seen && !is_asked {
            return self.remind(SystemTime::now());
        }
        self.seen = seen;
        match Pair::read(&self.cert, &self.key, self.domain.as_deref(), SystemTime::now()) {
            Ok(pair) => {
                tracing::info!(cert = %self.cert.display(), until = day(pair.ends), "certificate read again");
                self.ends = pair.ends;
                self.shelf.show(pair.key);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the new certificate is refused, and the old one stays in use");
            }
        }
    }

    /// Says that the end is near, now and then.
    fn remind(&mut self, now: SystemTime) {
        let is_near = self.ends.duration_since(now).map_or(true, |left| left < END_IS_NEAR);
        let is_said = self.reminded.is_some_and(|at| now.duration_since(at).is_ok_and(|since| since < REMIND));
        if is_near && !is_said {
            self.reminded = Some(now);
            tracing::warn!(cert = %self.cert.display(), until = day(self.ends), "the certificate wants to be renewed");
        }
    }
}

impl Source for Files {
    fn keep(mut self: Box<Self>, again: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            loop {
                // Both arms are cancel safe.
                let is_asked = tokio::select! {
                    () = again.notified() => true,
                    () = tokio::time::sleep(LOOK) => false,
                };
                self.look(is_asked);
            }
        })
    }
}

/// Device, inode, and the time of the last change to the nanosecond.
fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

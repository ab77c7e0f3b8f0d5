//! Certificates from files, which another program renews.
//!
//! The files are checked every few seconds, since a renewal may forget the signal, and at once on
//! SIGHUP. A new pair is shown when nothing is wrong with it; else the log says what is, and the
//! old one stays: between the writing of a chain and that of its key they never fit. Watching files
//! through the kernel is refused: renewers swap links, which needs a watch on every folder on the
//! way.

use crate::tls::certificate::{Certificate, CertificateError, utc_text};
use crate::tls::resolver::CertificateResolver;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// Time between checks of the files.
const CHECK_EVERY: Duration = Duration::from_secs(3);

/// Time before its end from which the log warns about a certificate, and the time between warnings.
const WARN_BEFORE_END: Duration = Duration::from_secs(10 * 86_400);
const WARN_EVERY: Duration = Duration::from_secs(6 * 3600);

/// A chain and its key, in two files or one.
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
    domain: Option<String>,
    resolver: Arc<CertificateResolver>,
    /// Versions of both files when they were last read.
    versions: [FileVersion; 2],
    /// The end of the shown certificate's validity.
    not_after: SystemTime,
    warned_at: Option<SystemTime>,
}

/// Device, inode, and time of the last change in seconds and nanoseconds; `None` for a missing
/// file.
type FileVersion = Option<(u64, u64, i64, i64)>;

impl Files {
    /// Reads the files and shows their certificate.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(
        cert: &Path,
        key: &Path,
        domain: Option<&str>,
        resolver: &Arc<CertificateResolver>,
    ) -> Result<Self, CertificateError> {
        let versions = [version_of(cert), version_of(key)];
        let certificate = Certificate::read(cert, key, domain, SystemTime::now())?;
        tracing::info!(cert = %cert.display(), until = utc_text(certificate.not_after), "certificate read");
        resolver.show(certificate.key);
        let (cert, key, domain) = (cert.to_owned(), key.to_owned(), domain.map(str::to_owned));
        let (resolver, not_after) = (Arc::clone(resolver), certificate.not_after);
        Ok(Self { cert, key, domain, resolver, versions, not_after, warned_at: None })
    }

    /// Checks the files again and again until it is dropped; at once on `reload`.
    pub async fn run(mut self, reload: Arc<Notify>) {
        loop {
            // Both arms are cancel safe.
            let is_forced = tokio::select! {
                () = reload.notified() => true,
                () = tokio::time::sleep(CHECK_EVERY) => false,
            };
            self.check(is_forced);
        }
    }

    /// Reads the files if they have changed, or if `is_forced`.
    fn check(&mut self, is_forced: bool) {
        let versions = [version_of(&self.cert), version_of(&self.key)];
        if versions == self.versions && !is_forced {
            return self.warn_before_end(SystemTime::now());
        }
        self.versions = versions;
        match Certificate::read(&self.cert, &self.key, self.domain.as_deref(), SystemTime::now()) {
            Ok(certificate) => {
                tracing::info!(cert = %self.cert.display(), until = utc_text(certificate.not_after), "certificate read again");
                self.not_after = certificate.not_after;
                self.resolver.show(certificate.key);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the new certificate is refused, and the old one stays in use");
            }
        }
    }

    /// Warns once per [`WARN_EVERY`] when the certificate is about to end.
    fn warn_before_end(&mut self, now: SystemTime) {
        let is_near = self.not_after.duration_since(now).map_or(true, |left| left < WARN_BEFORE_END);
        let is_recent = self.warned_at.is_some_and(|at| now.duration_since(at).is_ok_and(|since| since < WARN_EVERY));
        if is_near && !is_recent {
            self.warned_at = Some(now);
            tracing::warn!(cert = %self.cert.display(), until = utc_text(self.not_after), "the certificate has to be renewed");
        }
    }
}

fn version_of(path: &Path) -> FileVersion {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_new_certificate_leaves_the_old_one_and_a_good_one_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let write = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(&cert, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            made.cert.der().clone()
        };
        let first = write();
        let resolver = Arc::new(CertificateResolver::default());
        let mut files = Files::open(&cert, &key, Some("localhost"), &resolver).unwrap();
        let shown = || resolver.shown().unwrap().cert[0].clone();
        assert_eq!(shown(), first);
        std::fs::write(&key, "not a key").unwrap();
        files.check(false);
        assert_eq!(shown(), first);
        let second = write();
        files.check(true);
        assert_eq!(shown(), second);
    }

    #[test]
    fn a_warning_comes_once_per_interval_and_only_near_the_end() {
        let now = SystemTime::now();
        let mut files = Files {
            cert: PathBuf::new(),
            key: PathBuf::new(),
            domain: None,
            resolver: Arc::default(),
            versions: [None, None],
            not_after: now + WARN_BEFORE_END,
            warned_at: None,
        };
        let mut warns_at = |at: SystemTime| {
            files.warn_before_end(at);
            files.warned_at == Some(at)
        };
        let second = Duration::from_secs(1);
        assert!(!warns_at(now) && warns_at(now + second));
        assert!(!warns_at(now + WARN_EVERY) && warns_at(now + second + WARN_EVERY));
    }
}

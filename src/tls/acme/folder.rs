//! The folder of certificates, their keys, accounts and failed orders: `acme` in the data folder,
//! for the server alone.
//!
//! rustls-acme's own cache writes keys that every user of the machine can read under the usual
//! umask. Here every file is private before it has a byte, and replaces the old one by a rename. A
//! file's name depends on directory and domain, so that a practice certificate is never shown.

use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::tls::TlsError;
use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use rustls_acme::{AccountCache, CertCache};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder of certificates.
#[derive(Clone, Debug)]
pub struct AcmeFolder {
    path: PathBuf,
}

impl AcmeFolder {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(data_dir: &DataDir) -> Result<Self, TlsError> {
        let path = data_dir.acme();
        durable_file::create_folder(&path).map_err(|source| TlsError::Folder { path: path.clone(), source })?;
        Ok(Self { path })
    }

    /// The file of failed orders.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    /// The certificate that a directory issued for a domain, with its key; `None` if there is none
    /// that can be read.
    pub fn certificate(&self, directory: &str, domain: &str) -> Option<Vec<u8>> {
        read_if_present(&self.certificate_path(directory, domain)).ok().flatten()
    }

    fn certificate_path(&self, directory: &str, domain: &str) -> PathBuf {
        self.path.join(format!("certificate-{}.pem", fingerprint(&[directory, domain])))
    }

    fn account_path(&self, directory: &str, contact: &[String]) -> PathBuf {
        let parts: Vec<&str> = std::iter::once(directory).chain(contact.iter().map(String::as_str)).collect();
        self.path.join(format!("account-{}.key", fingerprint(&parts)))
    }
}

/// The cache of one order, as rustls-acme asks for it. Clones share the certificate.
#[derive(Clone, Debug)]
pub struct OrderCache {
    folder: AcmeFolder,
    /// A practice certificate is not written.
    is_practice: bool,
    certificate: Arc<Mutex<Option<Vec<u8>>>>,
}

impl OrderCache {
    /// The cache of an order that has no certificate yet.
    pub fn new(folder: &AcmeFolder, is_practice: bool) -> Self {
        Self { folder: folder.clone(), is_practice, certificate: Arc::default() }
    }

    /// The issued certificate with its key, once there is one.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl CertCache for OrderCache {
    type EC = io::Error;

    /// Always `None`: an order is made only when one is due.
    async fn load_cert(&self, _domains: &[String], _directory: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn store_cert(&self, domains: &[String], directory: &str, pem: &[u8]) -> io::Result<()> {
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(pem.to_vec());
        match domains {
            [domain] if !self.is_practice => durable_file::write(&self.folder.certificate_path(directory, domain), pem),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl AccountCache for OrderCache {
    type EA = io::Error;

    async fn load_account(&self, contact: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        read_if_present(&self.folder.account_path(directory, contact))
    }

    async fn store_account(&self, contact: &[String], directory: &str, key: &[u8]) -> io::Result<()> {
        durable_file::write(&self.folder.account_path(directory, contact), key)
    }
}

/// Reads a file; `None` if it is missing.
fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file name that differs for different parts: 64 bits of a hash.
fn fingerprint(parts: &[&str]) -> String {
    let hash = digest(&SHA256, parts.join("\n").as_bytes());
    data_encoding::HEXLOWER.encode(&hash.as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DIRECTORY: &str = "https://a/dir";
    const DOMAIN: &str = "draw.example.kr";

    #[test]
    fn files_are_for_their_owner_alone() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = AcmeFolder::open(&DataDir::new(data_dir.path())).unwrap();
        let path = folder.certificate_path(DIRECTORY, DOMAIN);
        std::fs::write(durable_file::temporary_path(&path), "left by a crash, readable by all").unwrap();
        for text in ["first", "second"] {
            durable_file::write(&path, text.as_bytes()).unwrap();
            assert_eq!(folder.certificate(DIRECTORY, DOMAIN).unwrap(), text.as_bytes());
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder.path)), (0o600, 0o700));
        assert_eq!(folder.certificate("https://b/dir", DOMAIN), None, "another directory's is another file");
    }

    #[tokio::test]
    async fn a_practice_certificate_is_not_written_and_an_account_is_kept() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = AcmeFolder::open(&DataDir::new(data_dir.path())).unwrap();
        let (domains, contact) = ([DOMAIN.to_owned()], ["mailto:ops@example.kr".to_owned()]);
        for is_practice in [true, false] {
            let cache = OrderCache::new(&folder, is_practice);
            cache.store_cert(&domains, DIRECTORY, b"chain").await.unwrap();
            assert_eq!(cache.certificate().as_deref(), Some(&b"chain"[..]));
            assert_eq!(folder.certificate(DIRECTORY, DOMAIN).is_some(), !is_practice);
        }
        let cache = OrderCache::new(&folder, true);
        assert_eq!(cache.load_account(&contact, DIRECTORY).await.unwrap(), None);
        cache.store_account(&contact, DIRECTORY, b"key").await.unwrap();
        assert_eq!(cache.load_account(&contact, DIRECTORY).await.unwrap().as_deref(), Some(&b"key"[..]));
    }
}

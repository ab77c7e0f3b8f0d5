//! Where certificates, their keys, accounts and failed tries lie: `acme` in the data folder, for the server's own eyes.
//!
//! rustls-acme's own store writes keys that everybody on the machine can read, wherever the umask is the usual one. Here every file has its mode before it
//! has a byte, and takes its place by a rename, so that a crash leaves the old one. A file's name tells the directory and the domain apart: what was
//! obtained for practice is never shown.

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
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens it, and makes it where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(data_dir: &DataDir) -> Result<Self, TlsError> {
        let path = data_dir.acme();
        durable_file::create_folder(&path).map_err(|source| TlsError::Folder { path: path.clone(), source })?;
        Ok(Self { path })
    }

    /// The file of failed tries.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    /// The certificate that a directory gave for a domain, with its key; none when there is none that can be read.
    pub fn certificate(&self, directory: &str, domain: &str) -> Option<Vec<u8>> {
        read(&self.certificate_path(directory, domain)).ok().flatten()
    }

    fn certificate_path(&self, directory: &str, domain: &str) -> PathBuf {
        self.path.join(format!("certificate-{}.pem", label(&[directory, domain])))
    }

    fn account_path(&self, directory: &str, contact: &[String]) -> PathBuf {
        let parts: Vec<&str> = std::iter::once(directory).chain(contact.iter().map(String::as_str)).collect();
        self.path.join(format!("account-{}.key", label(&parts)))
    }
}

/// What one order keeps: its account, and the certificate it obtains.
#[derive(Debug)]
pub struct Kept {
    folder: Folder,
    /// Whether the certificate counts, or was for practice.
    counts: bool,
    certificate: Mutex<Option<Vec<u8>>>,
}

/// [`Kept`] as rustls-acme asks for it.
pub struct Shared(Arc<Kept>);

impl Kept {
    /// What an order keeps in `folder`; its certificate only if it counts.
    pub fn new(folder: &Folder, counts: bool) -> Self {
        Self { folder: folder.clone(), counts, certificate: Mutex::default() }
    }

    /// The certificate that came, with its key.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is given to the order.
    pub fn cache(self: Arc<Self>) -> Shared {
        Shared(self)
    }
}

#[async_trait]
impl CertCache for Shared {
    type EC = io::Error;

    /// Always none: an order is made only when one is due.
    async fn load_cert(&self, _domains: &[String], _directory: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn store_cert(&self, domains: &[String], directory: &str, pem: &[u8]) -> io::Result<()> {
        *self.0.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(pem.to_vec());
        match domains {
            [domain] if self.0.counts => durable_file::write(&self.0.folder.certificate_path(directory, domain), pem),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl AccountCache for Shared {
    type EA = io::Error;

    async fn load_account(&self, contact: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.0.folder.account_path(directory, contact))
    }

    async fn store_account(&self, contact: &[String], directory: &str, key: &[u8]) -> io::Result<()> {
        durable_file::write(&self.0.folder.account_path(directory, contact), key)
    }
}

/// Reads a file; none when it is not there.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that tells these parts from any others.
fn label(parts: &[&str]) -> String {
    let hash = digest(&SHA256, parts.join("\n").as_bytes());
    data_encoding::HEXLOWER.encode(&hash.as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nobody_else_may_read_what_is_written() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&DataDir::new(data_dir.path())).unwrap();
        let path = folder.certificate_path("https://a/dir", "draw.example.kr");
        std::fs::write(durable_file::temporary_path(&path), "left by a crash, for everybody to read").unwrap();
        for text in ["first", "second"] {
            durable_file::write(&path, text.as_bytes()).unwrap();
            assert_eq!(folder.certificate("https://a/dir", "draw.example.kr").unwrap(), text.as_bytes());
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder.path)), (0o600, 0o700));
        assert_eq!(folder.certificate("https://b/dir", "draw.example.kr"), None, "another directory's is another file");
    }
}

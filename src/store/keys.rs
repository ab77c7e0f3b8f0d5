//! The one secret of a data folder, and the keys derived from it.
//!
//! The secret is one file of 32 random bytes, so that there is one file to back up and to guard.
//! Every use has a key of its own, by HMAC-SHA256 under a label, so that a signature by one key
//! says nothing about another. An imported event brings the key that signed its phones' tokens;
//! those keys lie in a file of their own. Losing the secret voids every token and makes every
//! sealed pick and winner's details unreadable for good: it belongs to the journal, and is backed
//! up with it. Keys must never be printed.

use crate::base::chance;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::draw::{EventId, SessionId};
use crate::store::lock::{FolderLock, LockError};
use crate::store::seal::Seal;
use data_encoding::HEXLOWER;
use ring::hmac;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SECRET_LEN: usize = 32;

/// Why the keys of a data folder cannot be used.
#[expect(missing_docs, reason = "the text of each error shows its fields")]
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The disk's error.
    #[error("{} cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The secret has another length than 32 bytes.
    #[error("{} holds {len} bytes where a secret has 32: put back the one that was backed up with the journal", path.display())]
    SecretLength { path: PathBuf, len: usize },
    /// A line of the file of imported keys cannot be read; lines count from 1.
    #[error("line {line} of {} is no event with its key: put back the file that was backed up with the journal", path.display())]
    ImportedKey { path: PathBuf, line: usize },
    /// Another server is creating the secret at this moment.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The key that signs the tokens of an event from another server.
#[derive(Clone)]
pub(crate) struct ImportedKey {
    pub event: EventId,
    pub session: SessionId,
    secret: [u8; SECRET_LEN],
}

impl ImportedKey {
    /// Signs the event's phone and link tokens.
    pub fn token_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret)
    }
}

/// The secret of a data folder. The keys derived from it are the same at every start.
pub struct Keys {
    root: hmac::Key,
    imported: Vec<ImportedKey>,
}

impl Keys {
    /// Reads the keys of a data folder; at the first start, creates the folder and the secret.
    ///
    /// # Errors
    /// When the secret cannot be read or written, has another length, or another server is creating
    /// it.
    pub fn open(data: &DataDir) -> Result<Self, KeysError> {
        let path = data.secret_key();
        let io = |source| KeysError::Io { path: path.clone(), source };
        data.create().map_err(io)?;
        if !path.exists() {
            // Under the folder's lock: of two servers that start at once, one would sign with a
            // secret that the other replaces.
            let _lock = FolderLock::acquire(data.path())?;
            if !path.exists() {
                durable_file::write(&path, &chance::bytes::<SECRET_LEN>()).map_err(io)?;
            }
        }
        Self::read(data)
    }

    /// Reads the keys of a data folder or a backup, and creates none.
    ///
    /// # Errors
    /// When the secret is missing, cannot be read, or has another length.
    pub fn read(data: &DataDir) -> Result<Self, KeysError> {
        let path = data.secret_key();
        let io = |source| KeysError::Io { path: path.clone(), source };
        restrict_to_owner(&path).map_err(io)?;
        let secret = fs::read(&path).map_err(io)?;
        Ok(Self { imported: read_imported(data)?, ..Self::from_secret(&secret, &path)? })
    }

    /// The keys of a secret that was read from `path`, be it a file of its own or an export.
    ///
    /// # Errors
    /// When it has another length.
    pub(super) fn from_secret(secret: &[u8], path: &Path) -> Result<Self, KeysError> {
        if secret.len() != SECRET_LEN {
            return Err(KeysError::SecretLength { path: path.to_owned(), len: secret.len() });
        }
        Ok(Self { root: hmac::Key::new(hmac::HMAC_SHA256, secret), imported: Vec::new() })
    }

    /// The keys of the events that came from other servers.
    pub(crate) fn imported(&self) -> &[ImportedKey] {
        &self.imported
    }

    /// The secret behind the token key of an event's session; an export carries it to another
    /// server.
    pub(crate) fn token_secret(&self, session: SessionId) -> [u8; SECRET_LEN] {
        let imported = self.imported.iter().find(|imported| imported.session == session);
        imported.map_or_else(|| self.derive("luckydraw token"), |imported| imported.secret)
    }

    /// Signs phone and link tokens.
    pub(crate) fn token_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive("luckydraw token"))
    }

    /// Signs the console's login cookie.
    pub(crate) fn login_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive("luckydraw login"))
    }

    /// Seals picks until they are revealed.
    pub(super) fn pick_seal(&self) -> Seal {
        Seal::new(&self.derive("luckydraw pick"))
    }

    /// Seals winners' details.
    pub(super) fn details_seal(&self) -> Seal {
        Seal::new(&self.derive("luckydraw details"))
    }

    /// Tells this secret from another without disclosing it; a journal stores it.
    pub(super) fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.derive("luckydraw fingerprint")[..16])
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.root, label.as_bytes());
        tag.as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes")
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Stores the token secret of an imported event, in place of an earlier one of an event of that
/// name.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn store_imported_key(
    data: &DataDir,
    event: &EventId,
    session: SessionId,
    secret: [u8; SECRET_LEN],
) -> Result<(), KeysError> {
    let mut imported = read_imported(data)?;
    imported.retain(|imported| imported.event != *event);
    imported.push(ImportedKey { event: event.clone(), session, secret });
    let line = |ImportedKey { event, session, secret }: &ImportedKey| {
        format!("{} {} {}\n", event.as_str(), HEXLOWER.encode(&session.0), HEXLOWER.encode(secret))
    };
    let text: String = imported.iter().map(line).collect();
    let path = data.imported_keys();
    durable_file::write(&path, text.as_bytes()).map_err(|source| KeysError::Io { path, source })
}

/// Reads the imported keys: per line an event's name, its session and the key, in hex.
fn read_imported(data: &DataDir) -> Result<Vec<ImportedKey>, KeysError> {
    let path = data.imported_keys();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KeysError::Io { path, source }),
    };
    let read = |line: &str| {
        let mut words = line.split(' ');
        let event = EventId::parse(words.next()?)?;
        let mut hex = || HEXLOWER.decode(words.next()?.as_bytes()).ok();
        let (session, secret) = (SessionId(hex()?.try_into().ok()?), hex()?.try_into().ok()?);
        Some(ImportedKey { event, session, secret })
    };
    let lines = text.lines().zip(1..);
    lines.map(|(line, number)| read(line).ok_or_else(|| KeysError::ImportedKey { path: path.clone(), line: number })).collect()
}

/// Takes the secret's file from everybody but its owner. Repaired rather than refused: a copy back
/// from a backup often opens it to others, and an event under way is no time to learn chmod.
fn restrict_to_owner(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "the secret could be read by others; it is private again");
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::temp_data_dir;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_secret_is_created_once_and_stays() {
        let temp = temp_data_dir();
        let data = DataDir::new(temp.path().join("data"));
        let first = Keys::open(&data).unwrap().fingerprint();
        assert_eq!((mode(data.path()), mode(&data.secret_key())), (0o700, 0o600));
        assert_eq!(Keys::open(&data).unwrap().fingerprint(), first);
        assert_ne!(Keys::open(&temp_data_dir()).unwrap().fingerprint(), first);
    }

    #[test]
    fn reading_creates_no_secret() {
        let data = temp_data_dir();
        assert!(matches!(Keys::read(&data), Err(KeysError::Io { .. })));
        assert!(!data.secret_key().exists());
    }

    #[test]
    fn a_secret_that_others_could_read_is_made_private() {
        let data = temp_data_dir();
        let first = Keys::open(&data).unwrap().fingerprint();
        fs::set_permissions(data.secret_key(), Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Keys::open(&data).unwrap().fingerprint(), first);
        assert_eq!(mode(&data.secret_key()), 0o600);
    }

    #[test]
    fn the_key_of_an_imported_event_is_stored_by_its_name() {
        let data = temp_data_dir();
        let (gala, picnic) = (EventId::parse("gala").unwrap(), EventId::parse("picnic").unwrap());
        let own = Keys::open(&data).unwrap().token_secret(SessionId([1; 16]));
        store_imported_key(&data, &gala, SessionId([1; 16]), [1; 32]).unwrap();
        store_imported_key(&data, &picnic, SessionId([2; 16]), [2; 32]).unwrap();
        store_imported_key(&data, &gala, SessionId([3; 16]), [3; 32]).unwrap();
        let keys = Keys::open(&data).unwrap();
        let secrets = [1, 2, 3].map(|session| keys.token_secret(SessionId([session; 16])));
        assert_eq!(secrets, [own, [2; 32], [3; 32]]);
        assert_eq!(mode(&data.imported_keys()), 0o600);
    }

    #[test]
    fn a_line_that_is_no_imported_key_is_named() {
        let data = temp_data_dir();
        store_imported_key(&data, &EventId::parse("gala").unwrap(), SessionId([1; 16]), [1; 32]).unwrap();
        let good = fs::read_to_string(data.imported_keys()).unwrap();
        for bad in ["gala 00 00", "", "gala", &good.trim()[..90], &good.trim().replace('0', "g"), "no/name 00 00"] {
            fs::write(data.imported_keys(), format!("{good}{bad}\n")).unwrap();
            assert!(matches!(Keys::open(&data), Err(KeysError::ImportedKey { line: 2, .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_of_another_length_is_refused() {
        let data = temp_data_dir();
        for wrong in [0, 16, 31, 33] {
            fs::write(data.secret_key(), vec![7; wrong]).unwrap();
            let refusal = Keys::open(&data).unwrap_err();
            assert!(matches!(refusal, KeysError::SecretLength { len, .. } if len == wrong), "{refusal}");
        }
    }

    #[test]
    fn no_use_shares_its_key_with_another() {
        let keys = Keys::open(&temp_data_dir()).unwrap();
        let sealed = keys.pick_seal().seal(b"", b"pick");
        assert_eq!(keys.pick_seal().open(b"", &sealed).as_deref(), Some(&b"pick"[..]));
        assert_eq!(keys.details_seal().open(b"", &sealed), None);
        let signed = hmac::sign(&keys.token_key(), b"x");
        assert!(hmac::verify(&keys.login_key(), b"x", signed.as_ref()).is_err());
        assert!(!format!("{keys:?}").contains(char::is_numeric), "nothing of a key is printed");
    }
}

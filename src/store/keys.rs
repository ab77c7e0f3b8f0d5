//! The one secret of a data folder, and the keys derived from it.
//!
//! One file of 32 random bytes, so that there is one thing to back up and to guard; every use gets a key of its own by HMAC-SHA256
//! under a label, so that what one key signs says nothing about another. An event that came from another server brings the key along that
//! its phones' tokens were signed with; those keys stand in a file of their own. Losing the file voids every token and shuts every sealed
//! pick and winner's details for good: it belongs to the journal, and is backed up with it. Keys are never printed.

use crate::base::chance;
use crate::draw::{EventId, SessionId};
use crate::store::folder::{self, Lock, LockError};
use crate::store::seal::Seal;
use data_encoding::HEXLOWER;
use ring::hmac;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The secret's file within a data folder.
pub(crate) const SECRET_FILE: &str = "secret.key";
const SECRET_LEN: usize = 32;

/// Where the keys of imported events are kept within a data folder: a line each, its name, its session and the key, in hex.
pub(crate) const IMPORTED_FILE: &str = "imported.keys";

/// Why the secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("{} cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} holds {len} bytes where a secret has 32: put back the one that was backed up with the journal", path.display())]
    Misshapen { path: PathBuf, len: usize },
    #[error("line {line} of {} is no event with its key: put back the file that was backed up with the journal", path.display())]
    Imported { path: PathBuf, line: usize },
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// What signs the tokens of an event that came from another server.
#[derive(Clone)]
pub(crate) struct Imported {
    pub event: EventId,
    pub session: SessionId,
    secret: [u8; SECRET_LEN],
}

impl Imported {
    /// Signs what its phones and links carry.
    pub fn token(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret)
    }
}

/// The secret of a data folder. What is derived from it is the same at every start.
pub struct Keys {
    root: hmac::Key,
    imported: Vec<Imported>,
}

impl Keys {
    /// Reads the secret of the folder `dir`; at the first start, makes the folder and the secret.
    ///
    /// # Errors
    /// When it cannot be read or written, has another length, or another server is just making it.
    pub fn open(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(SECRET_FILE);
        let io = |source| KeysError::Io { path: path.clone(), source };
        folder::make(dir).map_err(io)?;
        if !path.exists() {
            // Under the folder's lock: of two servers that start at once, one would sign with a secret that the other replaces.
            let _lock = Lock::take(dir)?;
            if !path.exists() {
                folder::write_durably(&path, &chance::bytes::<SECRET_LEN>()).map_err(io)?;
            }
        }
        Self::read(dir)
    }

    /// Reads the secret of the folder `dir`, and makes none.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or has another length.
    pub fn read(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(SECRET_FILE);
        let io = |source| KeysError::Io { path: path.clone(), source };
        keep_private(&path).map_err(io)?;
        let secret = fs::read(&path).map_err(io)?;
        Ok(Self { imported: read_imported(dir)?, ..Self::of(&secret, &path)? })
    }

    /// The keys of a secret that lies at `path`, whatever the form.
    ///
    /// # Errors
    /// When it has another length.
    pub(super) fn of(secret: &[u8], path: &Path) -> Result<Self, KeysError> {
        if secret.len() != SECRET_LEN {
            return Err(KeysError::Misshapen { path: path.to_owned(), len: secret.len() });
        }
        Ok(Self { root: hmac::Key::new(hmac::HMAC_SHA256, secret), imported: Vec::new() })
    }

    /// The events that came from other servers.
    pub(crate) fn imported(&self) -> &[Imported] {
        &self.imported
    }

    /// What the tokens of an event's session are signed with, to travel with it to another server.
    pub(crate) fn token_secret(&self, session: SessionId) -> [u8; SECRET_LEN] {
        let imported = self.imported.iter().find(|imported| imported.session == session);
        imported.map_or_else(|| self.derive("luckydraw token"), |imported| imported.secret)
    }

    /// Signs what phones and links carry.
    pub(crate) fn token(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive("luckydraw token"))
    }

    /// Signs the console's login cookie.
    pub(crate) fn login(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive("luckydraw login"))
    }

    /// Closes picks that are not revealed.
    pub(super) fn picks(&self) -> Seal {
        Seal::new(&self.derive("luckydraw pick"))
    }

    /// Closes the winners' details.
    pub(super) fn details(&self) -> Seal {
        Seal::new(&self.derive("luckydraw details"))
    }

    /// Tells this secret from another without giving it away; a journal keeps it.
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

/// Keeps what the tokens of an event are signed with that came from another server; what stands there of an event of that name goes.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn keep_imported(dir: &Path, event: &EventId, session: SessionId, secret: [u8; SECRET_LEN]) -> Result<(), KeysError> {
    let mut imported = read_imported(dir)?;
    imported.retain(|imported| imported.event != *event);
    imported.push(Imported { event: event.clone(), session, secret });
    let line = |Imported { event, session, secret }: &Imported| {
        format!("{} {} {}\n", event.as_str(), HEXLOWER.encode(&session.0), HEXLOWER.encode(secret))
    };
    let text: String = imported.iter().map(line).collect();
    let path = dir.join(IMPORTED_FILE);
    folder::write_durably(&path, text.as_bytes()).map_err(|source| KeysError::Io { path, source })
}

fn read_imported(dir: &Path) -> Result<Vec<Imported>, KeysError> {
    let path = dir.join(IMPORTED_FILE);
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
        Some(Imported { event, session, secret })
    };
    let lines = text.lines().zip(1..);
    lines.map(|(line, number)| read(line).ok_or_else(|| KeysError::Imported { path: path.clone(), line: number })).collect()
}

/// Takes the secret from everybody but its owner. Repaired rather than refused: a copy back from a backup often opens it, and the
/// evening is not the time to learn chmod.
fn keep_private(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "the secret could be read by others; it is private again");
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_secret_is_made_once_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        let first = Keys::open(&dir).unwrap().fingerprint();
        assert_eq!((mode(&dir), mode(&dir.join(SECRET_FILE))), (0o700, 0o600));
        assert_eq!(Keys::open(&dir).unwrap().fingerprint(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Keys::open(other.path()).unwrap().fingerprint(), first);
    }

    #[test]
    fn a_secret_that_others_could_read_is_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let first = Keys::open(temp.path()).unwrap().fingerprint();
        let path = temp.path().join(SECRET_FILE);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Keys::open(temp.path()).unwrap().fingerprint(), first);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn the_key_of_an_imported_event_is_kept_by_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let (gala, picnic) = (EventId::parse("gala").unwrap(), EventId::parse("picnic").unwrap());
        let own = Keys::open(temp.path()).unwrap().token_secret(SessionId([1; 16]));
        keep_imported(temp.path(), &gala, SessionId([1; 16]), [1; 32]).unwrap();
        keep_imported(temp.path(), &picnic, SessionId([2; 16]), [2; 32]).unwrap();
        keep_imported(temp.path(), &gala, SessionId([3; 16]), [3; 32]).unwrap();
        let keys = Keys::open(temp.path()).unwrap();
        let secrets = [1, 2, 3].map(|session| keys.token_secret(SessionId([session; 16])));
        assert_eq!(secrets, [own, [2; 32], [3; 32]]);
        assert_eq!(mode(&temp.path().join(IMPORTED_FILE)), 0o600);
        fs::write(temp.path().join(IMPORTED_FILE), "gala 00 00\n").unwrap();
        assert!(matches!(Keys::open(temp.path()), Err(KeysError::Imported { line: 1, .. })));
    }

    #[test]
    fn half_a_secret_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join(SECRET_FILE), [7; 16]).unwrap();
        let refusal = Keys::open(temp.path()).unwrap_err();
        assert!(matches!(refusal, KeysError::Misshapen { len: 16, .. }), "{refusal}");
    }

    #[test]
    fn no_use_shares_its_key_with_another() {
        let temp = tempfile::tempdir().unwrap();
        let keys = Keys::open(temp.path()).unwrap();
        let sealed = keys.picks().close(b"", b"pick");
        assert_eq!(keys.picks().open(b"", &sealed).as_deref(), Some(&b"pick"[..]));
        assert_eq!(keys.details().open(b"", &sealed), None);
        let signed = hmac::sign(&keys.token(), b"x");
        assert!(hmac::verify(&keys.login(), b"x", signed.as_ref()).is_err());
    }
}

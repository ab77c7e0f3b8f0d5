//! Logins that a log-out ended before their time.
//!
//! A login's cookie is derived and not stored, so the server keeps the ids of those that count no
//! more, until they would have expired anyway. The list is a file too: a restart must not bring a
//! login back. Readers never wait; the file is written on a blocking thread.

use crate::base::durable_file;
use crate::draw::Timestamp;
use crate::store::tokens::Login;
use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Revoked logins that have not expired, at most. Each took the admin token to make.
const REVOKED_MAX: usize = 10_000;

/// The list, in memory and in its file.
#[derive(Debug)]
pub struct RevokedLogins {
    path: PathBuf,
    /// Ids, and the times at which the logins expire.
    revoked: ArcSwap<BTreeMap<[u8; 16], Timestamp>>,
    /// True while the file holds what memory holds. Locked while the file is written.
    is_stored: Mutex<bool>,
}

impl RevokedLogins {
    /// Reads the list; a missing file is an empty one.
    ///
    /// # Errors
    /// The disk's error, or a file of another shape: without the list, revoked logins would count.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let revoked = text.lines().map(parse_line).collect::<Option<_>>();
        let revoked = revoked.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the list of revoked logins is damaged"))?;
        Ok(Self { path, revoked: ArcSwap::from_pointee(revoked), is_stored: Mutex::new(true) })
    }

    /// Returns whether a login counts at `now`: neither its time nor a log-out has ended it.
    pub fn is_valid(&self, login: Login, now: Timestamp) -> bool {
        now < login.expires_at && !self.revoked.load().contains_key(&login.id)
    }

    /// Ends a login, and forgets those that have expired at `now`. Returns whether it counted until
    /// then: of two calls at once, one gets true. Blocks for the disk. The login counts no more
    /// even where the file cannot be written. A restart would then bring it back, so every call
    /// fails until the file is written.
    ///
    /// # Errors
    /// The disk's error, or a full list.
    pub fn revoke(&self, login: Login, now: Timestamp) -> io::Result<bool> {
        let mut is_stored = self.is_stored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut revoked = BTreeMap::clone(&self.revoked.load());
        let counted = !revoked.contains_key(&login.id);
        if !counted && *is_stored {
            return Ok(false);
        }
        revoked.retain(|_, expires_at| now < *expires_at);
        if revoked.len() >= REVOKED_MAX {
            return Err(io::Error::new(ErrorKind::StorageFull, "too many logins are revoked"));
        }
        revoked.insert(login.id, login.expires_at);
        let lines: String = revoked.iter().map(|(id, at)| format!("{} {}\n", HEXLOWER.encode(id), at.0)).collect();
        self.revoked.store(revoked.into());
        *is_stored = false;
        durable_file::write(&self.path, lines.as_bytes())?;
        *is_stored = true;
        Ok(counted)
    }
}

fn parse_line(line: &str) -> Option<([u8; 16], Timestamp)> {
    let (id, expires_at) = line.split_once(' ')?;
    Some((HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?, Timestamp(expires_at.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(id: u8, expires_at: i64) -> Login {
        Login { id: [id; 16], expires_at: Timestamp(expires_at) }
    }

    #[test]
    fn a_revoked_login_stays_revoked_across_a_restart_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RevokedLogins::open(folder.path().join("revoked")).unwrap();
        let logins = open();
        assert!(logins.revoke(login(1, 1_000), Timestamp(0)).unwrap());
        assert!(!logins.revoke(login(1, 1_000), Timestamp(0)).unwrap(), "it is ended once");
        logins.revoke(login(2, 2_000), Timestamp(0)).unwrap();
        for list in [&logins, &open()] {
            let is_valid = |id| list.is_valid(login(id, 1_000), Timestamp(0));
            assert!(!is_valid(1) && !is_valid(2) && is_valid(3));
        }
        logins.revoke(login(3, 3_000), Timestamp(1_000)).unwrap();
        assert_eq!(open().revoked.load().keys().map(|id| id[0]).collect::<Vec<_>>(), [2, 3], "an expired one is forgotten");
    }

    #[test]
    fn a_revocation_that_is_not_on_disk_fails_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/revoked");
        let logins = RevokedLogins::open(path.clone()).unwrap();
        for _ in 0..2 {
            assert!(logins.revoke(login(1, 1_000), Timestamp(0)).is_err());
            assert!(!logins.is_valid(login(1, 1_000), Timestamp(0)), "it counts no more all the same");
        }
        std::fs::create_dir(folder.path().join("missing")).unwrap();
        assert!(!logins.revoke(login(1, 1_000), Timestamp(0)).unwrap(), "it had ended before");
        assert!(!RevokedLogins::open(path).unwrap().is_valid(login(1, 1_000), Timestamp(0)));
    }

    #[test]
    fn the_list_is_bounded_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        let lines: String = (0..REVOKED_MAX).map(|id| format!("{id:032x} 9\n")).collect();
        std::fs::write(&path, lines).unwrap();
        let logins = RevokedLogins::open(path.clone()).unwrap();
        assert!(logins.revoke(login(0xff, 9), Timestamp(1)).is_err());
        logins.revoke(login(0xff, 19), Timestamp(9)).unwrap();
        std::fs::write(&path, "half").unwrap();
        assert!(RevokedLogins::open(path).is_err());
    }
}

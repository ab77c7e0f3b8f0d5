//! Credentials that may end before the socket whose role they proved.
//!
//! Each is checked when its peer enters, and again at every scan, once per second. A revoked link
//! also closes its role at once, by a publication. A login has none: it belongs to no event, and
//! time alone may end it. The list stands beside the peers, since consoles are few and a peer fits
//! a cache line.

use crate::live::CloseCode;
use crate::live::message_handler::RevocableCredential;
use crate::live::reactor::event_loop::{EventLoop, Verdict};

impl EventLoop {
    /// Watches the credential of a peer that has entered a room.
    ///
    /// # Errors
    /// For one that has ended since the handshake.
    pub fn watch_credential(&mut self, slot: u32, key: u32, credential: RevocableCredential) -> Result<(), CloseCode> {
        if !self.handler.is_valid(&self.subscribers[key as usize].room, credential) {
            return Err(CloseCode::BadToken);
        }
        self.credentials.push((self.peer_id(slot), credential));
        Ok(())
    }

    /// Notes a verdict on every peer whose credential has ended, and forgets peers that have left.
    pub fn recheck_credentials(&mut self) {
        let mut credentials = std::mem::take(&mut self.credentials);
        credentials.retain(|&(peer, credential)| {
            let Some(slot) = self.find_slot(peer) else { return false };
            // A closed peer is a member of no room.
            let Some(membership) = self.peers[slot as usize].membership else { return false };
            let is_valid = self.handler.is_valid(&self.subscribers[membership.subscribers as usize].room, credential);
            if !is_valid {
                self.verdicts.push((slot, Verdict::Close(CloseCode::BadToken)));
            }
            is_valid
        });
        self.credentials = credentials;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Link, LinkId, LinkRole, Timestamp};
    use crate::live::Role;
    use crate::live::reactor::testing::*;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    fn login(id: u8) -> RevocableCredential {
        RevocableCredential::Login { id: [id; 16], expires_at: Timestamp(0) }
    }

    #[test]
    fn a_link_that_is_revoked_during_the_handshake_opens_nothing() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let _early = test.phone();
        let made = |id, revoked_at| Link { id: LinkId(id), role: LinkRole::Display, made_at: Timestamp(0), revoked_at };
        let links = Arc::new(vec![made(1, None), made(2, Some(Timestamp(1)))]);
        // Neither is published to the reactor: it reads the room's latest snapshot.
        drop(test.next_publication("links", |snapshot| snapshot.event.links = links, |_| {}));
        let link = |id| RevocableCredential::Link(LinkId(id));
        test.greeted(test.console(link(1)));
        assert_eq!(test.join(test.console(link(2))).until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_login_that_ends_closes_its_sockets_and_no_other() {
        let mut test = TestRoom::open(patient_limits(), 2);
        let mut ended: Vec<_> = (0..4).map(|_| test.greeted(test.console(login(1)))).collect();
        let mut others: Vec<_> = [login(2), login(3)].map(|login| test.greeted(test.console(login))).into();
        others.push(test.greeted(test.admitted(Role::Admin)));
        test.publish("1");
        ended.iter_mut().chain(&mut others).for_each(|peer| peer.expect(&["1"]));
        // By its time or by a log-out: nothing is published.
        test.ended_login.store(1, Relaxed);
        ended.iter_mut().for_each(|peer| assert_eq!(peer.until_closed(), (vec![], 4401)));
        test.publish("2");
        others.iter_mut().for_each(|peer| peer.expect(&["2"]));
        assert_eq!(test.join(test.console(login(1))).until_closed(), (vec![], 4401), "it ended during the handshake");
        drop(others);
        eventually("all have left", || test.room.connections.total() == 0);
    }
}

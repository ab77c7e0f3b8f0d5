//! The reactor's answer to a panic in its own thread: empty tables, and the loop goes on.
//!
//! A panic may leave a list, a count or a peer half changed, so none of them is used again: the
//! shared counts get back what this reactor added to them, and every peer is closed and reconnects.
//! The other threads and their peers notice nothing. Ending the process instead would let a message
//! that makes one thread panic put everybody out, each time it is sent. Closing the one peer at
//! fault would go on with tables that nobody has checked.

use crate::base::clock::monotonic_ms;
use crate::live::CloseCode;
use crate::live::inbound;
use crate::live::peer::close_frame;
use crate::live::reactor::event_loop::EventLoop;
use slab::Slab;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl EventLoop {
    /// Closes every peer with 1012, as far as its socket takes the frame at once, and empties every
    /// table. The inbox keeps its jobs; the one that panicked is gone.
    pub fn start_over(&mut self) {
        tracing::error!(thread = self.index, sockets = self.peers.len(), "a socket thread panicked: its sockets reconnect");
        for subscribers in std::mem::take(&mut self.subscribers).drain() {
            subscribers.take_back_counts(self.index, monotonic_ms());
        }
        let last = close_frame(Some(CloseCode::Restarting as u16));
        for mut peer in std::mem::replace(&mut self.peers, Slab::new()).drain() {
            // Its session may be half changed and panic again; then it is closed without a code.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                if !peer.is_leaving() && peer.send_control(&last, self.now, &self.limits).is_ok() {
                    peer.shut_down_writes();
                }
            }));
        }
        self.permits = None;
        self.buffer = inbound::buffer(self.limits.message_bytes_max);
        (self.verdicts, self.removed) = (Vec::new(), Vec::new());
        (self.closing, self.unfinished_bytes, self.own_bytes) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use crate::live::reactor::testing::*;

    #[test]
    fn a_panic_costs_the_reactor_its_own_peers_and_no_other() {
        let mut test = TestRoom::open(patient_limits(), 2);
        // Sockets join the two reactors in turn.
        let mut peers: Vec<_> = (0..8).map(|index| test.greeted(test.numbered(index % 4 + 1))).collect();
        let _tls = test.tls_phone();
        let _pending = test.join(test.pending(0));
        let (mut doomed, mut unharmed): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
        for mut peer in peers.drain(..) {
            if peer.id().reactor == 0 { doomed.push(peer) } else { unharmed.push(peer) }
        }
        assert_eq!((doomed.len(), unharmed.len(), test.room.connections.total()), (4, 4, 9));
        for round in 0..3 {
            let mut culprit = test.phone();
            while culprit.id().reactor != 0 {
                culprit = test.phone();
            }
            culprit.send_text("panic");
            doomed.push(culprit);
            for mut peer in doomed.drain(..) {
                assert_eq!(peer.until_closed(), (vec![], 1012), "round {round}");
            }
            eventually("the counts are those of the other reactor", || test.room.connections.total() == 4);
            let tokens = test.room.token_sockets.all();
            assert_eq!((tokens.len(), tokens.iter().all(|(_, peer)| peer.reactor == 1)), (4, true));
            let mut back = [test.phone(), test.phone()];
            test.publish("after");
            unharmed.iter_mut().chain(&mut back).for_each(|peer| peer.expect(&["after"]));
            doomed.extend(back.into_iter().filter_map(|mut peer| (peer.id().reactor == 0).then_some(peer)));
        }
    }
}

//! An update of one event on its way to edges: numbered frames, and the phones' `state_sync` after
//! them.
//!
//! The frames travel as the bytes that sockets get, so that an edge encodes nothing. Frames and
//! `state_sync` are one message, since a phone that joins between two would be greeted with a state
//! older than its frames.

use crate::draw::{Epoch, SessionId, Timestamp};
use async_nats::HeaderMap;
use bytes::Bytes;
use data_encoding::HEXLOWER;

/// A point in an event's history of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub epoch: Epoch,
    /// The number of the last frame.
    pub seq: u64,
}

/// The event's standing.
#[expect(missing_docs, reason = "the variants say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Going,
    /// Its phase is closed: sockets end.
    Closed,
    /// The origin does not have it.
    Gone,
}

/// An update of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The position after the frames.
    pub at: Position,
    /// The session of participants.
    pub session: SessionId,
    /// Whole WebSocket frames, the last of which has the number `at.seq`.
    pub frames: Vec<Bytes>,
    /// The phones' `state_sync` after the frames, as a whole WebSocket frame; `None` while it is as
    /// it was.
    pub sync: Option<Bytes>,
    /// The event's standing.
    pub standing: Standing,
    /// The address by which people reach the origin.
    pub address: String,
    /// The time at which it was made.
    pub sent_at: Timestamp,
}

impl Position {
    /// Adds the position to the headers of a message.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert("epoch", HEXLOWER.encode(&self.epoch.0));
        headers.insert("seq", self.seq.to_string());
    }

    /// Reads the position that a message's headers give; `None` without a whole one.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        Some(Self { epoch: Epoch(hex(headers, "epoch")?), seq: text(headers, "seq")?.parse().ok()? })
    }
}

impl Update {
    /// The number of the frame before the first.
    pub fn base_seq(&self) -> u64 {
        self.at.seq.saturating_sub(self.frames.len() as u64)
    }

    /// The message that carries the update.
    pub fn encode(&self) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        self.at.write(&mut headers);
        headers.insert("session", HEXLOWER.encode(&self.session.0));
        headers.insert("address", self.address.as_str());
        headers.insert("time", self.sent_at.0.to_string());
        match self.standing {
            Standing::Going => {}
            Standing::Closed => headers.insert("standing", "closed"),
            Standing::Gone => headers.insert("standing", "gone"),
        }
        let payload = pack(&mut headers, &self.frames, self.sync.as_ref());
        (headers, payload)
    }

    /// Reads an update; `None` for what is none.
    pub fn decode(headers: &HeaderMap, payload: Bytes) -> Option<Self> {
        let standing = match text(headers, "standing") {
            None => Standing::Going,
            Some("closed") => Standing::Closed,
            Some("gone") => Standing::Gone,
            Some(_) => return None,
        };
        let (frames, rest) = unpack(headers, payload)?;
        Some(Self {
            at: Position::read(headers)?,
            session: SessionId(hex(headers, "session")?),
            frames,
            sync: Some(rest).filter(|rest| !rest.is_empty()),
            standing,
            address: text(headers, "address").unwrap_or_default().to_owned(),
            sent_at: Timestamp(text(headers, "time")?.parse().ok()?),
        })
    }
}

/// Lays frames and what follows them into one payload, with the lengths of the frames in a header.
pub fn pack(headers: &mut HeaderMap, frames: &[Bytes], rest: Option<&Bytes>) -> Bytes {
    if !frames.is_empty() {
        let lengths: Vec<_> = frames.iter().map(|frame| frame.len().to_string()).collect();
        headers.insert("frames", lengths.join(","));
    }
    match (frames, rest) {
        ([], None) => Bytes::new(),
        ([], Some(rest)) => rest.clone(),
        _ => crate::wire::join_frames(frames.iter().chain(rest)),
    }
}

/// Takes a payload of [`pack`] apart; `None` when the lengths do not fit it.
pub fn unpack(headers: &HeaderMap, mut payload: Bytes) -> Option<(Vec<Bytes>, Bytes)> {
    let mut frames = Vec::new();
    for length in text(headers, "frames").into_iter().flat_map(|lengths| lengths.split(',')) {
        let length = length.parse().ok().filter(|length| *length <= payload.len())?;
        frames.push(payload.split_to(length));
    }
    Some((frames, payload))
}

/// The text of a header.
pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.as_str())
}

/// The bytes of a header in hex.
fn hex<const N: usize>(headers: &HeaderMap, name: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text(headers, name)?.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(frames: &[&str], sync: Option<&str>) -> Update {
        Update {
            at: Position { epoch: Epoch([7; 8]), seq: 9 },
            session: SessionId([3; 16]),
            frames: frames.iter().map(|frame| Bytes::from(frame.to_string())).collect(),
            sync: sync.map(|sync| Bytes::from(sync.to_owned())),
            standing: Standing::Going,
            address: "http://10.0.0.1:8000".into(),
            sent_at: Timestamp(1_000),
        }
    }

    #[test]
    fn an_update_arrives_as_it_was_sent() {
        for sent in [
            update(&[], None),
            update(&[], Some("sync")),
            update(&["a", "", "bcd"], None),
            Update { standing: Standing::Closed, ..update(&["a"], Some("sync")) },
            Update { standing: Standing::Gone, ..update(&[], None) },
        ] {
            let (headers, payload) = sent.encode();
            assert_eq!(Update::decode(&headers, payload), Some(sent));
        }
        assert_eq!(update(&["a", "b"], None).base_seq(), 7);
    }

    #[test]
    fn a_message_that_is_no_update_is_refused() {
        let sent = update(&["abc"], None);
        for (name, value) in [
            ("epoch", ""),
            ("epoch", "07"),
            ("seq", "-1"),
            ("session", "zz"),
            ("standing", "new"),
            ("time", "now"),
            ("frames", "4"),
            ("frames", "1,x"),
            ("frames", "18446744073709551615"),
        ] {
            let (mut headers, payload) = sent.encode();
            headers.insert(name, value);
            assert_eq!(Update::decode(&headers, payload), None, "{name}: {value:?}");
        }
        assert_eq!(Update::decode(&HeaderMap::new(), Bytes::new()), None);
    }
}

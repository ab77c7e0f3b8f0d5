//! The wire format: each body and frame, encoded once. It knows the draw's nouns and nothing of who
//! sends or reads.
//!
//! Outgoing: [`frame`] announces what happened, [`state_sync`] describes the current state,
//! [`reply`] answers one peer, and [`view`] shows draws, prizes and participants in HTTP answers.
//! Incoming: [`request`] holds HTTP bodies and [`message`] what sockets send; [`parse`] reads both.
//! The encoding that all of them share is in this file.

pub mod frame;
pub mod message;
pub mod parse;
pub mod reply;
pub mod request;
pub mod state_sync;
pub mod view;

use crate::draw::Number;
use crate::draw::entry_code::EntryCode;
use crate::draw::event::Audience;
use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The role of a connection: decides which frames it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A participant's phone.
    Phone,
    /// The projector's page.
    Display,
    /// A console of the event's host or of the administrator.
    Admin,
}

impl Role {
    /// Every role, by its discriminant.
    pub const ALL: [Role; 3] = [Role::Phone, Role::Display, Role::Admin];

    /// The audience whose view of a draw this role gets.
    pub fn audience(self) -> Audience {
        match self {
            Role::Phone => Audience::Public,
            Role::Display | Role::Admin => Audience::Operators,
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The role's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::Phone => "phone",
            Role::Display => "display",
            Role::Admin => "admin",
        }
    }
}

/// A number as pages show it, with at least three digits.
pub fn display_number(number: Number) -> String {
    format!("{:03}", number.0)
}

/// The digits of an entry code, as displays show them; `None` for a code that rotates.
pub fn entry_code(code: &EntryCode) -> Option<&str> {
    match code {
        EntryCode::Fixed(digits) => Some(digits.as_str()),
        EntryCode::Rotating => None,
    }
}

/// A text as one final, unmasked WebSocket frame (RFC 6455 section 5.2), ready to be written to any
/// number of sockets.
pub fn text_frame(text: &str) -> Bytes {
    let mut frame = Vec::with_capacity(text.len() + 10);
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    header.format(text.len() as u64, &mut frame).expect("a vector takes every byte");
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// The text of a frame made by [`text_frame`].
pub fn frame_text(frame: &Bytes) -> Bytes {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.slice(header.min(frame.len())..)
}

/// Several frames in one buffer, for one write.
pub fn join_frames<'a>(frames: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut joined = BytesMut::new();
    frames.into_iter().for_each(|frame| joined.extend_from_slice(frame));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_returns_its_text_at_every_header_length() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(len);
            let frame = text_frame(&text);
            assert_eq!(frame[0], 0x81, "final text");
            assert_eq!(frame_text(&frame), text.as_bytes(), "{len} bytes");
        }
    }

    #[test]
    fn joined_frames_are_the_frames_one_after_the_other() {
        let frames: Vec<_> = ["a", "", &"b".repeat(300)].into_iter().map(text_frame).collect();
        assert_eq!(join_frames(&frames), frames.concat());
        assert!(join_frames([]).is_empty());
    }

    #[test]
    fn a_number_is_shown_with_three_digits_or_more() {
        for (number, shown) in [(1, "001"), (58, "058"), (999, "999"), (1_000, "1000"), (300_000, "300000")] {
            assert_eq!(display_number(Number(number)), shown);
        }
    }

    #[test]
    fn only_phones_wait_for_the_announcement() {
        let audiences = Role::ALL.map(|role| (role.name(), role.audience()));
        assert_eq!(audiences, [("phone", Audience::Public), ("display", Audience::Operators), ("admin", Audience::Operators)]);
    }
}

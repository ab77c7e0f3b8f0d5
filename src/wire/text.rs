//! The small print: times as text, numbers as they are shown, and a text as a whole WebSocket frame.

use crate::draw::Number;
use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A number as people read it, with at least three digits.
pub fn display_number(number: Number) -> String {
    format!("{:03}", number.0)
}

/// An entry code as it is shown.
pub fn entry_code(digits: &[u8; 4]) -> &str {
    std::str::from_utf8(digits).expect("an entry code is of ASCII digits")
}

/// A text as one whole, final, unmasked WebSocket frame (RFC 6455 section 5.2), ready to be written to any number of sockets.
pub fn text_frame(text: &str) -> Bytes {
    let mut frame = Vec::with_capacity(text.len() + 10);
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    header.format(text.len() as u64, &mut frame).expect("a vector takes every byte");
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// The text inside a frame that [`text_frame`] made.
pub fn frame_text(frame: &Bytes) -> Bytes {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.slice(header.min(frame.len())..)
}

/// Several whole frames as one buffer, for one write.
pub fn join_frames<'a>(frames: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut joined = BytesMut::new();
    frames.into_iter().for_each(|frame| joined.extend_from_slice(frame));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_its_text_at_every_header_length() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(len);
            let frame = text_frame(&text);
            assert_eq!(frame[0], 0x81, "final text");
            assert_eq!(frame_text(&frame), text.as_bytes(), "{len} bytes");
        }
    }
}

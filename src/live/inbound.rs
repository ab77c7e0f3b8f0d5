//! What came in: frames out of bytes, and messages out of frames (RFC 6455 sections 5 to 7), as a server must read them.
//!
//! The bytes lie in a buffer that the stage lends; frames are found, checked and unmasked where they lie. A peer keeps bytes of its own only
//! while a frame or a fragmented message is unfinished, so an idle one keeps none. tungstenite reads the header; its codec is not used, since it owns a
//! buffer a socket and answers a broken rule with silence instead of a close code. This file writes nothing and knows no peer.

use crate::live::CloseCode;
use std::io::Cursor;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest message, and so the longest frame.
pub const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// The longest header of a frame.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;
/// What a buffer has to hold so that every allowed frame fits in whole.
pub const BUFFER_BYTES: usize = MESSAGE_BYTES_MAX + HEADER_BYTES_MAX;

/// The head of a frame that is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    header: usize,
    payload: usize,
}

/// What a frame means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A whole message, valid UTF-8.
    Message(&'a mut [u8]),
    /// The same, put together from fragments.
    Assembled(Vec<u8>),
    /// Part of one, which is kept.
    Part,
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    Pong,
    /// The peer says goodbye, with a code or without; it is to be told the same.
    Close(Option<u16>),
}

/// A frame or message that has come only in part. A peer owns one while there is something in it.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// The beginning of a frame, as it came.
    frame: Vec<u8>,
    /// The fragments so far.
    message: Option<Vec<u8>>,
}

impl Frame {
    /// Finds the frame at the beginning of `bytes`; none until all of it is there. A frame that breaks a rule is refused by its header.
    ///
    /// # Errors
    /// The code to close with.
    pub fn find(bytes: &[u8]) -> Result<Option<Self>, CloseCode> {
        let mut cursor = Cursor::new(bytes);
        let (header, payload) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(Error::Capacity(_)) => return Err(CloseCode::TooBig),
            Err(_) => return Err(CloseCode::Protocol),
        };
        let header_len = cursor.position() as usize;
        let is_minimal = header.len(payload) == header_len;
        let mask = header.mask.ok_or(CloseCode::Protocol)?;
        if header.rsv1 || header.rsv2 || header.rsv3 || !is_minimal {
            return Err(CloseCode::Protocol);
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || payload > CONTROL_BYTES_MAX => return Err(CloseCode::Protocol),
            OpCode::Data(Data::Binary) => return Err(CloseCode::Unsupported),
            _ if payload > MESSAGE_BYTES_MAX as u64 => return Err(CloseCode::TooBig),
            _ => {}
        }
        let frame =
            Self { opcode: header.opcode, is_final: header.is_final, mask, header: header_len, payload: payload as usize };
        Ok((bytes.len() >= frame.len()).then_some(frame))
    }

    /// How many bytes it takes up, its header included.
    pub fn len(&self) -> usize {
        self.header + self.payload
    }

    /// Understands the frame, whose bytes are `bytes`, as what follows `unfinished`, and unmasks it where it lies or where it is kept.
    ///
    /// # Errors
    /// The code to close with.
    pub fn understand<'a>(
        &self,
        bytes: &'a mut [u8],
        unfinished: &mut Option<Box<Unfinished>>,
    ) -> Result<Meaning<'a>, CloseCode> {
        let payload = &mut bytes[self.header..];
        payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= self.mask[at % 4]);
        let is_continued = unfinished.as_ref().is_some_and(|unfinished| unfinished.message.is_some());
        match self.opcode {
            OpCode::Data(Data::Text) if is_continued => Err(CloseCode::Protocol),
            OpCode::Data(Data::Text) if self.is_final => check_text(payload).map(|()| Meaning::Message(payload)),
            OpCode::Data(Data::Text) => {
                unfinished.get_or_insert_default().message = Some(payload.to_vec());
                Ok(Meaning::Part)
            }
            OpCode::Data(Data::Continue) => self.go_on(payload, unfinished),
            OpCode::Control(Control::Ping) => Ok(Meaning::Ping(payload)),
            OpCode::Control(Control::Pong) => Ok(Meaning::Pong),
            OpCode::Control(Control::Close) => close(payload),
            OpCode::Data(_) | OpCode::Control(Control::Reserved(_)) => Err(CloseCode::Protocol),
        }
    }

    /// Adds a fragment to the message it belongs to.
    fn go_on<'a>(&self, part: &[u8], unfinished: &mut Option<Box<Unfinished>>) -> Result<Meaning<'a>, CloseCode> {
        let message = unfinished.as_mut().map(|unfinished| &mut unfinished.message);
        let Some(kept @ Some(_)) = message else { return Err(CloseCode::Protocol) };
        let text = kept.get_or_insert_default();
        if text.len() + part.len() > MESSAGE_BYTES_MAX {
            return Err(CloseCode::TooBig);
        }
        text.extend_from_slice(part);
        if !self.is_final {
            return Ok(Meaning::Part);
        }
        let whole = kept.take().unwrap_or_default();
        check_text(&whole).map(|()| Meaning::Assembled(whole))
    }
}

impl Unfinished {
    /// Lays the beginning of a frame into `buffer` and says how long it is; what is read next belongs behind it.
    pub fn lay_out(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.frame.len()].copy_from_slice(&self.frame);
        self.frame.len()
    }

    /// Keeps `rest`, the beginning of a frame, in place of what was kept of one, and nothing at all when there is nothing to keep.
    pub fn keep(this: &mut Option<Box<Self>>, rest: &[u8]) {
        if rest.is_empty() && this.as_ref().is_none_or(|unfinished| unfinished.message.is_none()) {
            *this = None;
            return;
        }
        let frame = &mut this.get_or_insert_default().frame;
        if rest.is_empty() {
            *frame = Vec::new();
        } else {
            frame.clear();
            frame.extend_from_slice(rest);
        }
    }

    /// How many bytes it owns.
    pub fn bytes(&self) -> usize {
        self.frame.capacity() + self.message.as_ref().map_or(0, Vec::capacity)
    }
}

/// A message is text, and text is UTF-8.
fn check_text(text: &[u8]) -> Result<(), CloseCode> {
    std::str::from_utf8(text).map(drop).map_err(|_| CloseCode::InvalidText)
}

/// A close frame's payload: nothing, or a code that may be sent and a reason (RFC 6455 section 7.4).
fn close(payload: &[u8]) -> Result<Meaning<'_>, CloseCode> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(Meaning::Close(None)) } else { Err(CloseCode::Protocol) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CloseCode::Protocol);
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(CloseCode::InvalidText);
    }
    Ok(Meaning::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame: the first byte, and the payload under a mask.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len @ 126..=65_535 => bytes.extend([0xfe, (len >> 8) as u8, len as u8]),
            len => bytes.extend([&[0xff][..], &(len as u64).to_be_bytes()].concat()),
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        bytes
    }

    /// Reads `bytes` in pieces of `step`, as a stage does: what was said, or the code to close with, and what is kept.
    fn hear(bytes: &[u8], step: usize) -> (Vec<String>, Option<CloseCode>, Option<Box<Unfinished>>) {
        let (mut said, mut unfinished, mut buffer) = (Vec::new(), None::<Box<Unfinished>>, vec![0; BUFFER_BYTES]);
        for piece in bytes.chunks(step) {
            let held = unfinished.as_ref().map_or(0, |unfinished| unfinished.lay_out(&mut buffer));
            buffer[held..held + piece.len()].copy_from_slice(piece);
            let mut rest = &mut buffer[..held + piece.len()];
            loop {
                let frame = match Frame::find(rest) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(code) => return (said, Some(code), unfinished),
                };
                let (bytes, after) = rest.split_at_mut(frame.len());
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                match frame.understand(bytes, &mut unfinished) {
                    Ok(Meaning::Message(message)) => said.push(text(message)),
                    Ok(Meaning::Assembled(message)) => said.push(text(&message)),
                    Ok(Meaning::Ping(payload)) => said.push(format!("ping {}", text(payload))),
                    Ok(Meaning::Close(code)) => said.push(format!("close {code:?}")),
                    Ok(Meaning::Part | Meaning::Pong) => {}
                    Err(code) => return (said, Some(code), unfinished),
                }
                rest = after;
            }
            Unfinished::keep(&mut unfinished, rest);
        }
        (said, None, unfinished)
    }

    /// The same at every way of cutting the bytes.
    fn check(bytes: &[u8], said: &[&str], code: Option<CloseCode>) {
        for step in [1, 2, 3, 7, 100, 4096, BUFFER_BYTES - HEADER_BYTES_MAX] {
            let (heard, refused, unfinished) = hear(bytes, step);
            assert_eq!((heard, refused), (said.iter().map(|s| (*s).to_owned()).collect(), code), "in pieces of {step}");
            assert!(code.is_some() || unfinished.is_none(), "an idle peer keeps no bytes");
        }
    }

    #[test]
    fn messages_are_found_wherever_the_bytes_are_cut() {
        let long = "번호".repeat(2_000);
        let bytes = [frame(0x81, b"one"), frame(0x89, b"?"), frame(0x81, long.as_bytes()), frame(0x8a, b"!"), frame(0x81, b"")];
        check(&bytes.concat(), &["one", "ping ?", &long, ""], None);
    }

    #[test]
    fn fragments_make_one_message_with_control_frames_between() {
        let parts = [
            frame(0x01, "당".as_bytes()),
            frame(0x89, b""),
            frame(0x00, &"첨".as_bytes()[..2]),
            frame(0x80, &"첨".as_bytes()[2..]),
        ];
        check(&[parts.concat(), frame(0x81, b"next")].concat(), &["ping ", "당첨", "next"], None);
    }

    #[test]
    fn broken_rules_have_their_code() {
        use CloseCode::*;
        let unmasked = vec![0x81, 0x02, b'h', b'i'];
        let stretched = [&[0x81, 0xfe, 0x00, 0x02][..], &[0; 4], b"hi"].concat();
        let negative = [&[0x81, 0xff][..], &[0xff; 8], &[0; 4]].concat();
        let cases: [(&str, Vec<u8>, CloseCode); 20] = [
            ("an unmasked frame", unmasked, Protocol),
            ("a length longer than it need be", stretched, Protocol),
            ("a length beyond all bounds", negative, TooBig),
            ("rsv1", frame(0xc1, b"x"), Protocol),
            ("rsv2", frame(0xa1, b"x"), Protocol),
            ("rsv3", frame(0x91, b"x"), Protocol),
            ("an unknown data opcode", frame(0x83, b"x"), Protocol),
            ("an unknown control opcode", frame(0x8b, b"x"), Protocol),
            ("a fragmented ping", frame(0x09, b"x"), Protocol),
            ("a ping of 126 bytes", frame(0x89, &[b'x'; 126]), Protocol),
            ("a continuation of nothing", frame(0x80, b"x"), Protocol),
            ("a text within a text", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), Protocol),
            ("a binary frame", frame(0x82, b"x"), Unsupported),
            ("text that is no UTF-8", frame(0x81, &[0xc3, 0x28]), InvalidText),
            ("fragments that are no UTF-8", [frame(0x01, &[0xc3]), frame(0x80, &[0x28])].concat(), InvalidText),
            ("a frame of 17 KiB", frame(0x81, &[b'x'; 17 << 10]), TooBig),
            ("a fragmented flood", [frame(0x01, &[b'x'; 9 << 10]), frame(0x00, &[b'x'; 9 << 10])].concat(), TooBig),
            ("a close of one byte", frame(0x88, &[3]), Protocol),
            ("a close that may not be sent", frame(0x88, &1005_u16.to_be_bytes()), Protocol),
            ("a close whose reason is no UTF-8", frame(0x88, &[3, 232, 0xff]), InvalidText),
        ];
        for (what, bytes, code) in cases {
            println!("{what}");
            check(&bytes, &[], Some(code));
        }
    }

    #[test]
    fn goodbyes_that_may_be_said_are_understood() {
        check(&frame(0x88, b""), &["close None"], None);
        for code in [1000_u16, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            let payload = [&code.to_be_bytes()[..], "그만".as_bytes()].concat();
            check(&frame(0x88, &payload), &[&format!("close Some({code})")], None);
        }
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            check(&frame(0x88, &code.to_be_bytes()), &[], Some(CloseCode::Protocol));
        }
    }

    #[test]
    fn the_longest_message_fits() {
        let longest = "x".repeat(MESSAGE_BYTES_MAX);
        check(&frame(0x81, longest.as_bytes()), &[&longest], None);
    }
}

//! Inbound frames and messages: decoding of bytes by the rules for a server (RFC 6455 sections 5 to
//! 7).
//!
//! The bytes lie in a buffer that the reactor lends; frames are found, checked and unmasked in
//! place. A peer owns bytes only while a frame or a fragmented message is unfinished, so an idle
//! one owns none. tungstenite parses the header; its codec is not used, since it owns a buffer per
//! socket and answers a broken rule with silence instead of a close code. This file writes nothing
//! and knows no peer.

use crate::live::CloseCode;
use crate::live::tick::Tick;
use std::io::Cursor;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Bytes of the longest frame header.
const HEADER_BYTES_MAX: usize = 14;
/// Bytes of a control frame's longest payload.
const CONTROL_BYTES_MAX: u64 = 125;

/// A frame that has arrived whole: its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    header: usize,
    payload: usize,
}

/// A decoded frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole message, valid UTF-8.
    Message(&'a mut [u8]),
    /// A whole message, assembled from fragments.
    Assembled(Vec<u8>),
    /// A fragment, which is stored.
    Fragment,
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    Pong,
    /// A close frame, with a code or without; the answer carries the same.
    Close(Option<u16>),
}

/// A frame or message that has come in part. A peer owns one only while it is not empty.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// The beginning of a frame, as it came.
    frame: Vec<u8>,
    /// The fragments so far.
    message: Option<Vec<u8>>,
    /// The time at which the message began, or the TLS record before it; noted by the peer.
    pub began_at: Option<Tick>,
}

/// A buffer that every allowed frame fits into whole.
pub fn buffer(message_bytes_max: usize) -> Vec<u8> {
    vec![0; message_bytes_max + HEADER_BYTES_MAX]
}

impl Frame {
    /// Finds the frame at the beginning of `bytes`; `None` until it is whole. A frame that breaks a
    /// rule, or has more than `message_bytes_max` bytes of payload, is refused by its header.
    ///
    /// # Errors
    /// The code to close with.
    pub fn find(bytes: &[u8], message_bytes_max: usize) -> Result<Option<Self>, CloseCode> {
        let mut cursor = Cursor::new(bytes);
        let (header, payload) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(Error::Capacity(_)) => return Err(CloseCode::TooBig),
            Err(_) => return Err(CloseCode::ProtocolError),
        };
        let header_len = cursor.position() as usize;
        let is_minimal = header.len(payload) == header_len;
        let mask = header.mask.ok_or(CloseCode::ProtocolError)?;
        if header.rsv1 || header.rsv2 || header.rsv3 || !is_minimal {
            return Err(CloseCode::ProtocolError);
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || payload > CONTROL_BYTES_MAX => return Err(CloseCode::ProtocolError),
            OpCode::Data(Data::Binary) => return Err(CloseCode::Unsupported),
            _ if payload > message_bytes_max as u64 => return Err(CloseCode::TooBig),
            _ => {}
        }
        let frame =
            Self { opcode: header.opcode, is_final: header.is_final, mask, header: header_len, payload: payload as usize };
        Ok((bytes.len() >= frame.len()).then_some(frame))
    }

    /// Bytes of the frame, its header included.
    pub fn len(&self) -> usize {
        self.header + self.payload
    }

    /// Decodes the frame from its `bytes`, unmasking them in place. A fragment is added to
    /// `unfinished`, whose message has at most `message_bytes_max` bytes.
    ///
    /// # Errors
    /// The code to close with.
    pub fn decode<'a>(
        &self,
        bytes: &'a mut [u8],
        unfinished: &mut Option<Box<Unfinished>>,
        message_bytes_max: usize,
    ) -> Result<Decoded<'a>, CloseCode> {
        let payload = &mut bytes[self.header..];
        payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= self.mask[at % 4]);
        let is_continued = unfinished.as_ref().is_some_and(|unfinished| unfinished.message.is_some());
        match self.opcode {
            OpCode::Data(Data::Text) if is_continued => Err(CloseCode::ProtocolError),
            OpCode::Data(Data::Text) if self.is_final => check_text(payload).map(|()| Decoded::Message(payload)),
            OpCode::Data(Data::Text) => {
                unfinished.get_or_insert_default().message = Some(payload.to_vec());
                Ok(Decoded::Fragment)
            }
            OpCode::Data(Data::Continue) => self.append_fragment(payload, unfinished, message_bytes_max),
            OpCode::Control(Control::Ping) => Ok(Decoded::Ping(payload)),
            OpCode::Control(Control::Pong) => Ok(Decoded::Pong),
            OpCode::Control(Control::Close) => decode_close(payload),
            OpCode::Data(_) | OpCode::Control(Control::Reserved(_)) => Err(CloseCode::ProtocolError),
        }
    }

    /// Adds a fragment to its message, which is decoded with the last one.
    fn append_fragment<'a>(
        &self,
        fragment: &[u8],
        unfinished: &mut Option<Box<Unfinished>>,
        message_bytes_max: usize,
    ) -> Result<Decoded<'a>, CloseCode> {
        let message = unfinished.as_mut().map(|unfinished| &mut unfinished.message);
        let Some(stored @ Some(_)) = message else { return Err(CloseCode::ProtocolError) };
        let text = stored.get_or_insert_default();
        if text.len() + fragment.len() > message_bytes_max {
            return Err(CloseCode::TooBig);
        }
        text.extend_from_slice(fragment);
        if !self.is_final {
            return Ok(Decoded::Fragment);
        }
        let whole = stored.take().unwrap_or_default();
        check_text(&whole).map(|()| Decoded::Assembled(whole))
    }
}

impl Unfinished {
    /// Copies the beginning of a frame into `buffer` and returns its length. The next bytes read
    /// belong behind it.
    pub fn copy_into(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.frame.len()].copy_from_slice(&self.frame);
        self.frame.len()
    }

    /// Stores `rest`, the beginning of a frame, in place of an earlier one; drops `this` when
    /// nothing is left to store.
    pub fn store(this: &mut Option<Box<Self>>, rest: &[u8]) {
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

    /// Is no byte of a frame or message here?
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty() && self.message.is_none()
    }

    /// Has a fragmented message begun?
    pub fn has_fragments(&self) -> bool {
        self.message.is_some()
    }

    /// Bytes that it owns.
    pub fn bytes(&self) -> usize {
        self.frame.capacity() + self.message.as_ref().map_or(0, Vec::capacity)
    }
}

/// Checks that a message is UTF-8.
fn check_text(text: &[u8]) -> Result<(), CloseCode> {
    std::str::from_utf8(text).map(drop).map_err(|_| CloseCode::InvalidText)
}

/// Decodes a close frame's payload: nothing, or a code that may be sent and a reason (RFC 6455
/// section 7.4).
fn decode_close(payload: &[u8]) -> Result<Decoded<'_>, CloseCode> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(Decoded::Close(None)) } else { Err(CloseCode::ProtocolError) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CloseCode::ProtocolError);
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(CloseCode::InvalidText);
    }
    Ok(Decoded::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE_BYTES_MAX: usize = 16 << 10;

    /// A client's frame: the first byte as given, the payload masked.
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

    /// Decodes `bytes` in pieces of `step`, as a reactor does. Returns the messages, the code to
    /// close with, and what is left over.
    fn decode_all(bytes: &[u8], step: usize) -> (Vec<String>, Option<CloseCode>, Option<Box<Unfinished>>) {
        let (mut messages, mut unfinished, mut buffer) = (Vec::new(), None::<Box<Unfinished>>, buffer(MESSAGE_BYTES_MAX));
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let held = unfinished.as_ref().map_or(0, |unfinished| unfinished.copy_into(&mut buffer));
            let (piece, later) = bytes.split_at(step.min(bytes.len()).min(buffer.len() - held));
            bytes = later;
            buffer[held..held + piece.len()].copy_from_slice(piece);
            let mut rest = &mut buffer[..held + piece.len()];
            loop {
                let frame = match Frame::find(rest, MESSAGE_BYTES_MAX) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(code) => return (messages, Some(code), unfinished),
                };
                let (bytes, after) = rest.split_at_mut(frame.len());
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                match frame.decode(bytes, &mut unfinished, MESSAGE_BYTES_MAX) {
                    Ok(Decoded::Message(message)) => messages.push(text(message)),
                    Ok(Decoded::Assembled(message)) => messages.push(text(&message)),
                    Ok(Decoded::Ping(payload)) => messages.push(format!("ping {}", String::from_utf8_lossy(payload))),
                    Ok(Decoded::Close(code)) => messages.push(format!("close {code:?}")),
                    Ok(Decoded::Fragment | Decoded::Pong) => {}
                    Err(code) => return (messages, Some(code), unfinished),
                }
                rest = after;
            }
            Unfinished::store(&mut unfinished, rest);
        }
        (messages, None, unfinished)
    }

    /// Checks the messages and the close code of `bytes`, cut into pieces of many sizes.
    fn check(bytes: &[u8], expected: &[&str], code: Option<CloseCode>) {
        for step in [1, 2, 3, 7, 100, 4096, MESSAGE_BYTES_MAX] {
            let (messages, refused, unfinished) = decode_all(bytes, step);
            assert_eq!((messages, refused), (expected.iter().map(|s| (*s).to_owned()).collect(), code), "in pieces of {step}");
            assert!(code.is_some() || unfinished.is_none(), "an idle peer owns no bytes");
        }
    }

    #[test]
    fn messages_are_decoded_wherever_the_bytes_are_cut() {
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
    fn each_broken_rule_has_its_close_code() {
        use CloseCode::*;
        let unmasked = vec![0x81, 0x02, b'h', b'i'];
        let stretched = [&[0x81, 0xfe, 0x00, 0x02][..], &[0; 4], b"hi"].concat();
        let negative = [&[0x81, 0xff][..], &[0xff; 8], &[0; 4]].concat();
        let cases: [(&str, Vec<u8>, CloseCode); 20] = [
            ("an unmasked frame", unmasked, ProtocolError),
            ("a length encoded longer than necessary", stretched, ProtocolError),
            ("a negative length", negative, TooBig),
            ("rsv1", frame(0xc1, b"x"), ProtocolError),
            ("rsv2", frame(0xa1, b"x"), ProtocolError),
            ("rsv3", frame(0x91, b"x"), ProtocolError),
            ("an unknown data opcode", frame(0x83, b"x"), ProtocolError),
            ("an unknown control opcode", frame(0x8b, b"x"), ProtocolError),
            ("a fragmented ping", frame(0x09, b"x"), ProtocolError),
            ("a ping of 126 bytes", frame(0x89, &[b'x'; 126]), ProtocolError),
            ("a continuation of nothing", frame(0x80, b"x"), ProtocolError),
            ("a text within a text", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), ProtocolError),
            ("a binary frame", frame(0x82, b"x"), Unsupported),
            ("text that is no UTF-8", frame(0x81, &[0xc3, 0x28]), InvalidText),
            ("fragments that are no UTF-8", [frame(0x01, &[0xc3]), frame(0x80, &[0x28])].concat(), InvalidText),
            ("a frame of 17 KiB", frame(0x81, &[b'x'; 17 << 10]), TooBig),
            ("a fragmented flood", [frame(0x01, &[b'x'; 9 << 10]), frame(0x00, &[b'x'; 9 << 10])].concat(), TooBig),
            ("a close of one byte", frame(0x88, &[3]), ProtocolError),
            ("a close code that may not be sent", frame(0x88, &1005_u16.to_be_bytes()), ProtocolError),
            ("a close whose reason is no UTF-8", frame(0x88, &[3, 232, 0xff]), InvalidText),
        ];
        for (what, bytes, code) in cases {
            println!("{what}");
            check(&bytes, &[], Some(code));
        }
    }

    #[test]
    fn close_frames_are_answered_if_their_code_may_be_sent() {
        check(&frame(0x88, b""), &["close None"], None);
        for code in [1000_u16, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            let payload = [&code.to_be_bytes()[..], "그만".as_bytes()].concat();
            check(&frame(0x88, &payload), &[&format!("close Some({code})")], None);
        }
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            check(&frame(0x88, &code.to_be_bytes()), &[], Some(CloseCode::ProtocolError));
        }
    }

    #[test]
    fn fuzzed_frames_are_decoded_alike_wherever_they_are_cut() {
        crate::fuzz::run("frames", 1_000, |bytes| {
            let (messages, code, _) = decode_all(bytes, bytes.len());
            for step in [1, 5, 1_000] {
                let again = decode_all(bytes, step);
                assert_eq!((&again.0, again.1), (&messages, code), "in pieces of {step}");
            }
            format!("{code:?} after {} messages", messages.len().min(8))
        });
    }

    #[test]
    fn the_longest_message_fits() {
        let longest = "x".repeat(MESSAGE_BYTES_MAX);
        check(&frame(0x81, longest.as_bytes()), &[&longest], None);
    }
}

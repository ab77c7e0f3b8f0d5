//! The code that a phone needs to register: digits that people type, or a code in the QR code.
//!
//! Four digits keep out the curious: a script tries all of them within seconds. Eight are still
//! typed, and a script needs hours for them.

/// The code that a phone needs to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryCode {
    /// Digits, which a person can type.
    Fixed(EntryDigits),
    /// A long code that changes with the time, which only the QR code carries. Its present value is
    /// derived outside of the rules, which know no clock.
    Rotating,
}

/// From four to eight ASCII digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryDigits {
    /// Zeros after the code.
    digits: [u8; EntryDigits::LEN_MAX],
    len: usize,
}

impl EntryDigits {
    /// Digits of the shortest code.
    pub const LEN_MIN: usize = 4;
    /// Digits of the longest code.
    pub const LEN_MAX: usize = 8;

    /// The code that a text spells; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_code = (Self::LEN_MIN..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| {
            let mut digits = [0; Self::LEN_MAX];
            digits[..text.len()].copy_from_slice(text.as_bytes());
            Self { digits, len: text.len() }
        })
    }

    /// The code as a text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).expect("digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_four_to_eight_digits() {
        for text in ["0042", "12345", "12345678"] {
            assert_eq!(EntryDigits::parse(text).unwrap().as_str(), text);
        }
        assert_ne!(EntryDigits::parse("0042"), EntryDigits::parse("00420"));
        for text in ["", "004", "123456789", "00a2", "00 42", "٠٠٤٢"] {
            assert_eq!(EntryDigits::parse(text), None, "{text}");
        }
    }
}

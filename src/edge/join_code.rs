//! The code by which an edge joins its origin: the address of NATS, credentials, and the origin's
//! own address, in one text to copy.
//!
//! The code is a secret, since it holds credentials: it is shown to operators alone, and neither
//! logged nor kept. It begins with a version and ends with a check sum, so that half a code is
//! named as such, instead of failing at its first connection.

use crate::base::sha256;
use crate::edge::nats::{self, NatsError};
use crate::edge::{NatsSettings, TextSource};
use crate::http::guard::is_web_origin;
use data_encoding::BASE64URL_NOPAD;
use std::fmt;

/// The version of the form below.
const VERSION: u8 = 1;

/// Bytes of the check sum, which are the first of a SHA-256.
const SUM_LEN: usize = 4;

/// Characters of a code, at most: room for credentials and a chain of certificates.
const CODE_CHARS_MAX: usize = 64 << 10;

/// The beginning of NATS credentials as its tools make them.
const CREDENTIALS_BEGIN: &str = "-----BEGIN NATS USER JWT-----";

/// Everything that an edge needs to know.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinCode {
    /// The address of NATS.
    pub nats_url: String,
    /// The edge's credentials; empty where NATS asks for none.
    pub credentials: String,
    /// Root certificates for the TLS of NATS in PEM form; empty for those of the system.
    pub certificates: String,
    /// The address by which people reach the origin.
    pub origin: String,
}

/// The reason why a text is no code.
#[expect(missing_docs, reason = "the messages say what is wrong")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinCodeError {
    #[error("is not a whole code: copy it from its first character to its last")]
    Damaged,
    #[error("is a code of another version: take the one that this version's origin gives")]
    OtherVersion,
}

impl fmt::Debug for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinCode").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl JoinCode {
    /// The code as a text: a version, each field behind its length, and a check sum, in base64 for
    /// URLs.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        for field in [&self.nats_url, &self.credentials, &self.certificates, &self.origin] {
            bytes.extend((field.len() as u32).to_be_bytes());
            bytes.extend(field.as_bytes());
        }
        let sum = sha256(&bytes);
        bytes.extend(&sum[..SUM_LEN]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a code.
    ///
    /// # Errors
    /// [`JoinCodeError`] for any other text.
    pub fn decode(text: &str) -> Result<Self, JoinCodeError> {
        let text = text.trim();
        let bytes = Some(text).filter(|text| text.len() <= CODE_CHARS_MAX);
        let bytes = bytes.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).ok_or(JoinCodeError::Damaged)?;
        let (body, sum) = bytes.split_at_checked(bytes.len().saturating_sub(SUM_LEN)).ok_or(JoinCodeError::Damaged)?;
        if sum.len() < SUM_LEN || sum != &sha256(body)[..SUM_LEN] {
            return Err(JoinCodeError::Damaged);
        }
        let (version, mut rest) = body.split_first().ok_or(JoinCodeError::Damaged)?;
        if *version != VERSION {
            return Err(JoinCodeError::OtherVersion);
        }
        let mut field = || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (field, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = behind;
            String::from_utf8(field.to_vec()).ok()
        };
        let fields = (|| Some(Self { nats_url: field()?, credentials: field()?, certificates: field()?, origin: field()? }))();
        let is_usable = |code: &Self| nats::is_address(&code.nats_url) && is_web_origin(&code.origin);
        fields.filter(is_usable).filter(|_| rest.is_empty()).ok_or(JoinCodeError::Damaged)
    }

    /// The way to NATS that the code describes.
    pub fn settings(self) -> NatsSettings {
        let given = |text: String| Some(text).filter(|text| !text.is_empty()).map(TextSource::Given);
        NatsSettings {
            url: self.nats_url,
            credentials: given(self.credentials),
            certificates: given(self.certificates),
            origin: Some(self.origin),
            edge_credentials: None,
            edge_url: None,
        }
    }
}

/// The codes that an origin can give: one per credentials of an edge, by the names that NATS knows
/// them by. `origin` is the address by which people reach it.
///
/// # Errors
/// When a file cannot be used.
pub fn codes(settings: &NatsSettings, origin: &str) -> Result<Vec<(String, JoinCode)>, NatsError> {
    let Some(source) = &settings.edge_credentials else { return Ok(Vec::new()) };
    let certificates = settings.certificates.as_ref().map(TextSource::read).transpose()?.unwrap_or_default();
    let code = |credentials: String| {
        let name = nats::name_in(&credentials).ok_or_else(|| NatsError::Credentials { source_name: source.to_string() })?;
        let code = JoinCode {
            nats_url: settings.edge_url.clone().unwrap_or_else(|| settings.url.clone()),
            credentials,
            certificates: certificates.clone(),
            origin: origin.to_owned(),
        };
        Ok((name, code))
    };
    split(&source.read()?).into_iter().map(code).collect()
}

/// The credentials in a file, one after another.
fn split(text: &str) -> Vec<String> {
    if text.contains(CREDENTIALS_BEGIN) {
        return text.split(CREDENTIALS_BEGIN).skip(1).map(|rest| format!("{CREDENTIALS_BEGIN}{rest}")).collect();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> JoinCode {
        JoinCode {
            nats_url: "tls://nats.example.kr:4222".into(),
            credentials: "edge1:secret-of-edge1".into(),
            certificates: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
            origin: "https://draw.example.kr".into(),
        }
    }

    #[test]
    fn a_code_arrives_as_it_was_made_and_hides_its_secret() {
        let text = code().encode();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "one word: {text}");
        assert_eq!(JoinCode::decode(&format!(" {text}\n")), Ok(code()));
        assert!(!format!("{:?}", code()).contains("secret") && !format!("{:?}", code().settings()).contains("secret"));
    }

    #[test]
    fn a_damaged_code_is_named_as_such() {
        let text = code().encode();
        for end in 0..text.len() {
            assert_eq!(JoinCode::decode(&text[..end]), Err(JoinCodeError::Damaged), "{end}");
        }
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(JoinCode::decode(&String::from_utf8(changed).unwrap()).is_err(), "{place}");
        }
        for bad in
            ["", "edge1:secret", &"A".repeat(CODE_CHARS_MAX + 4), &JoinCode { nats_url: "http://a".into(), ..code() }.encode()]
        {
            assert_eq!(JoinCode::decode(bad), Err(JoinCodeError::Damaged));
        }
        let mut other = vec![VERSION + 1];
        other.extend(&sha256(&other)[..SUM_LEN]);
        assert_eq!(JoinCode::decode(&BASE64URL_NOPAD.encode(&other)), Err(JoinCodeError::OtherVersion));
    }

    #[test]
    fn a_file_holds_the_credentials_of_several_edges() {
        assert_eq!(split("# edges\nedge1:a\n\n edge2:b\n"), ["edge1:a", "edge2:b"]);
        let tools = format!("{CREDENTIALS_BEGIN}\nX\n{CREDENTIALS_BEGIN}\nY\n");
        assert_eq!(split(&tools), [format!("{CREDENTIALS_BEGIN}\nX\n"), format!("{CREDENTIALS_BEGIN}\nY\n")]);
    }
}

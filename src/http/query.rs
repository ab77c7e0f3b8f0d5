//! Query strings: `a=1&b=%20`, decoded only where asked.

use std::borrow::Cow;

/// The first value of `name` in `query`, with `+` and `%XX` decoded; an ill-formed escape stays as it is.
pub fn find<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })?;
    Some(decode(value))
}

/// Percent-decoding of one value.
fn decode(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = match (first, escape) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &tail[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_one_counts() {
        let query = "a=1&name=%EA%B9%80+x&name=2&bad=%zz&flag";
        assert_eq!(find(query, "name").as_deref(), Some("김 x"));
        assert_eq!(find(query, "bad").as_deref(), Some("%zz"));
        assert_eq!(find(query, "flag").as_deref(), Some(""));
        assert_eq!(find(query, "none"), None);
    }
}

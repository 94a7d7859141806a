//! The arguments of a service, which may be in any encoding, as the text by which the engine launches it.

use std::borrow::Cow;

/// The first character of arguments that are not UTF-8; each further one is a byte. Arguments of Lua never begin with it.
const MARK: char = '\0';

/// The text for these arguments: themselves where they are UTF-8.
pub(crate) fn encode(arguments: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(arguments) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let bytes = arguments.iter().copied().map(char::from);
            Cow::Owned(std::iter::once(MARK).chain(bytes).collect())
        }
    }
}

/// The arguments of a text.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.strip_prefix(MARK).map(|bytes| {
        bytes
            .chars()
            .map(|byte| u8::try_from(byte).unwrap_or(b'?'))
            .collect()
    });
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_in_any_encoding_come_back_as_they_were() {
        for arguments in [
            &b""[..],
            b"agent 1 2",
            "agent \u{7f51}\u{5173}".as_bytes(),
            b"agent \xc4\xe3\xba\xc3 \xff\x80",
        ] {
            assert_eq!(decode(&encode(arguments)), arguments);
        }
        assert!(matches!(encode(b"plain"), Cow::Borrowed("plain")));
    }
}

//! Base64 with the leniency of Skynet's decoder.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The meaning of a character in base64.
enum Symbol {
    Bits(u32),
    Padding,
}

fn symbol(character: u8) -> Option<Symbol> {
    Some(Symbol::Bits(match character {
        b'A'..=b'Z' => u32::from(character - b'A'),
        b'a'..=b'z' => u32::from(character - b'a') + 26,
        b'0'..=b'9' => u32::from(character - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => return Some(Symbol::Padding),
        _ => return None,
    }))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes a text. Unlike a strict decoder it skips other characters within a group of four, accepts missing padding,
/// and accepts several padded texts in a row. `None`: the text is not base64.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut text = text.iter();
    while !text.as_slice().is_empty() {
        let mut bits = 0;
        let mut padding = 0;
        for _ in 0..4 {
            // Characters missing at the end are padding.
            match text
                .by_ref()
                .find_map(|&character| symbol(character))
                .unwrap_or(Symbol::Padding)
            {
                Symbol::Bits(_) if padding > 0 => return None,
                Symbol::Bits(six) => bits = bits << 6 | six,
                Symbol::Padding => {
                    padding += 1;
                    bits <<= 6;
                }
            }
        }
        let [_, first, second, third] = u32::to_be_bytes(bits);
        match padding {
            0 => decoded.extend([first, second, third]),
            1 if third == 0 => decoded.extend([first, second]),
            2 if second == 0 => decoded.push(first),
            _ => return None,
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_bytes_decode_to_themselves() {
        for length in 0..70 {
            let bytes: Vec<u8> = (0u8..length).map(|byte| byte.wrapping_mul(37)).collect();
            let text = encode(&bytes);
            assert_eq!(decode(text.as_bytes()), Some(bytes.clone()));
            assert_eq!(decode(text.trim_end_matches('=').as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn it_accepts_and_rejects_what_skynet_accepts_and_rejects() {
        assert_eq!(decode(b"aGVs\nbG8="), Some(b"hello".to_vec()));
        assert_eq!(decode(b"aA==aA=="), Some(b"hh".to_vec()));
        for invalid in [&b"a"[..], b"aGVsbG8=\n", b"aB==", b"a=Vs", b"====", b"!"] {
            assert_eq!(decode(invalid), None, "{}", String::from_utf8_lossy(invalid));
        }
    }
}

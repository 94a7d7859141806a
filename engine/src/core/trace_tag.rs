//! The trace tag of a request to another node: the text of the W3C header `traceparent`.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// The part of a trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceTag {
    /// The trace; never 0.
    pub(crate) trace: u128,
    /// The span that made the request; 0 when it is not known.
    pub(crate) parent: u64,
}

impl TraceTag {
    /// The text for another node.
    pub(crate) fn to_text(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.parent)
    }

    /// The tag in the header `traceparent` of a request over HTTP. `None`: it is not one, or says that the request is not traced.
    pub(crate) fn from_header(text: &str) -> Option<TraceTag> {
        parse(text)
            .filter(|(_, is_traced)| *is_traced)
            .map(|(tag, _)| tag)
    }

    /// The tag of another node. A text of another form, such as the tags of Skynet, is a trace of its own, the same for the
    /// same text. `None`: the other node says that the request is not traced.
    pub(crate) fn from_text(text: &[u8]) -> Option<TraceTag> {
        match std::str::from_utf8(text).ok().and_then(parse) {
            Some((_, false)) => None,
            Some((tag, true)) => Some(tag),
            None => {
                let half = |seed: u64| {
                    let mut hasher = FxHasher::default();
                    hasher.write_u64(seed);
                    hasher.write(text);
                    u128::from(hasher.finish())
                };
                let trace = (half(1) << 64 | half(2)).max(1);
                Some(TraceTag { trace, parent: 0 })
            }
        }
    }
}

/// The tag in a `traceparent`, and whether the request is traced.
fn parse(text: &str) -> Option<(TraceTag, bool)> {
    let mut fields = text.split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_known = version == "00" && fields.next().is_none();
    // Later versions may have more fields; `ff` is none.
    let is_later = version != "00" && version != "ff" && hex(version, 2).is_some();
    if !is_known && !is_later {
        return None;
    }
    let tag = TraceTag {
        trace: hex(trace, 32).filter(|trace| *trace != 0)?,
        parent: hex(parent, 16).filter(|parent| *parent != 0)? as u64,
    };
    Some((tag, hex(flags, 2)? & 1 == 1))
}

/// A number of exactly so many digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_valid = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    let is_number = text.len() == digits && text.bytes().all(is_valid);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TAG: TraceTag = TraceTag {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        parent: 0x00f0_67aa_0ba9_02b7,
    };

    #[test]
    fn a_tag_is_the_text_of_the_standard() {
        assert_eq!(TAG.to_text(), TEXT);
        assert_eq!(TraceTag::from_text(TEXT.as_bytes()), Some(TAG));
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(TraceTag::from_text(later.as_bytes()), Some(TAG));
    }

    #[test]
    fn a_request_that_its_sender_does_not_trace_is_not_traced() {
        let text = TEXT.replace("-01", "-00");
        assert_eq!(TraceTag::from_text(text.as_bytes()), None);
    }

    #[test]
    fn a_header_that_the_standard_calls_invalid_is_ignored() {
        let ids = "12345678901234567890123456789012-1234567890123456";
        for valid in [
            &format!("00-{ids}-01"),
            &format!("00-{ids}-03"),
            &format!("00-{ids}-ff"),
            &format!("01-{ids}-01"),
            &format!("cc-{ids}-01"),
            &format!("cc-{ids}-01-"),
            &format!("cc-{ids}-01-what-the-future-will-be-like"),
        ] {
            let tag = TraceTag::from_header(valid).expect(valid);
            assert_eq!(tag.trace, 0x1234_5678_9012_3456_7890_1234_5678_9012, "{valid}");
            assert_eq!(tag.parent, 0x1234_5678_9012_3456, "{valid}");
        }
        for not_traced in [
            &format!("00-{ids}-00"),
            &format!("00-{ids}-02"),
            &format!("cc-{ids}-00"),
        ] {
            assert_eq!(TraceTag::from_header(not_traced), None, "{not_traced}");
        }
        for invalid in [
            "",
            "-",
            "---",
            "00",
            &format!("{ids}-01"),
            &format!("ff-{ids}-01"),
            &format!("0-{ids}-01"),
            &format!("000-{ids}-01"),
            &format!(".0-{ids}-01"),
            &format!("0.-{ids}-01"),
            &format!("CC-{ids}-01"),
            &format!("cc-{ids}-01.what-the-future-will-be-like"),
            &format!("00-{ids}"),
            &format!("00-{ids}-"),
            &format!("00-{ids}-1"),
            &format!("00-{ids}-.1"),
            &format!("00-{ids}-0x1"),
            &format!("00-{ids}-001"),
            &format!("00-{ids}-01-"),
            &format!("00-{ids}-01-what-the-future-will-be-like"),
            &format!("00-{ids}-01."),
            &format!(" 00-{ids}-01"),
            &format!("00-{ids}-01 "),
            &format!("00-{ids}-01,00-{ids}-01"),
            "00-00000000000000000000000000000000-1234567890123456-01",
            "00-.2345678901234567890123456789012-1234567890123456-01",
            "00-1234567890123456789012345678901.-1234567890123456-01",
            "00-1234567890123456789012345678901-1234567890123456-01",
            "00-123456789012345678901234567890123-1234567890123456-01",
            "00-1234567890123456789012345678901A-1234567890123456-01",
            "00-+2345678901234567890123456789012-1234567890123456-01",
            "00-12345678901234567890123456789012-0000000000000000-01",
            "00-12345678901234567890123456789012-.234567890123456-01",
            "00-12345678901234567890123456789012-123456789012345.-01",
            "00-12345678901234567890123456789012-123456789012345-01",
            "00-12345678901234567890123456789012-12345678901234567-01",
            "00-12345678901234567890123456789012-12345678901234AB-01",
        ] {
            assert_eq!(TraceTag::from_header(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn any_other_text_is_a_trace_of_its_own() {
        let of = |text: &[u8]| TraceTag::from_text(text).expect("traced");
        let skynet = of(b":01000012-3");
        assert_eq!((skynet, skynet.parent), (of(b":01000012-3"), 0));
        for other in [
            &b":01000012-4"[..],
            b"",
            b"\xff\xfe",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let trace = of(other);
            assert!(trace.parent == 0 && trace.trace != 0 && trace.trace != skynet.trace);
        }
    }
}

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

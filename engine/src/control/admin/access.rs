//! Who may ask: with a token whoever has it, without one whoever is on this machine and is no page of a web site.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use subtle::ConstantTimeEq as _;

/// How the value of `Authorization` begins.
const BEARER: &str = "bearer ";

/// Whether a request has the token.
pub(super) fn has_token(headers: &HeaderMap, token: &[u8]) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return false;
    };
    match value.as_bytes().split_at_checked(BEARER.len()) {
        Some((scheme, given)) => {
            scheme.eq_ignore_ascii_case(BEARER.as_bytes()) && bool::from(given.ct_eq(token))
        }
        None => false,
    }
}

/// Why a browser that shows a page of somebody else may not ask: the page could see what the node tells, or have it work.
pub(super) fn refused_page(headers: &HeaderMap, needs_token: bool) -> Option<&'static str> {
    let text = |value: Option<&HeaderValue>| Some(value?.to_str().unwrap_or("?").to_owned());
    let host = text(headers.get(HOST));
    let site = text(headers.get("sec-fetch-site"));
    if site.is_some_and(|site| site != "none" && site != "same-origin") {
        return Some("a page of another site may not ask");
    }
    if let Some(origin) = text(headers.get(ORIGIN)) {
        let stripped = ["http://", "https://"].map(|scheme| origin.strip_prefix(scheme));
        if host.is_none() || !stripped.contains(&host.as_deref()) {
            return Some("a page of another site may not ask");
        }
    }
    // A name could be one that somebody else lets lead here.
    if !needs_token && host.is_some_and(|host| !is_of_machine(&host)) {
        return Some("without a token the host is an IP address or localhost");
    }
    None
}

/// Whether a host, with or without a port, is an IP address or `localhost`.
fn is_of_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_whole_token_is_one() {
        let has = |value| has_token(&headers(&[("authorization", value)]), b"0123456789abcdef");
        assert!(has("Bearer 0123456789abcdef") && has("bearer 0123456789abcdef"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!has(wrong), "{wrong}");
        }
        assert!(!has_token(&headers(&[]), b"0123456789abcdef"));
    }

    #[test]
    fn pages_of_other_sites_and_names_of_others_are_refused() {
        let refused = |lines: &[_]| refused_page(&headers(lines), false).is_some();
        assert!(!refused(&[]));
        for host in ["127.0.0.1:8100", "localhost:8100", "[::1]:8100", "10.0.0.1"] {
            assert!(!refused(&[("host", host)]), "{host}");
        }
        assert!(refused(&[("host", "evil.example:8100")]));
        assert!(refused_page(&headers(&[("host", "node.example:8100")]), true).is_none());
        assert!(refused(&[("sec-fetch-site", "cross-site")]));
        assert!(!refused(&[
            ("sec-fetch-site", "same-origin"),
            ("host", "127.0.0.1:1")
        ]));
        assert!(refused(&[
            ("origin", "http://evil.example"),
            ("host", "127.0.0.1:1")
        ]));
        assert!(refused(&[("origin", "null"), ("host", "127.0.0.1:1")]));
        assert!(!refused(&[
            ("origin", "http://127.0.0.1:1"),
            ("host", "127.0.0.1:1")
        ]));
    }
}

//! Why a TLS connection ends, in the words of the end that ends it or learns of it.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::shell::HANDSHAKE_BYTES_MAX;

/// Why a TLS connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFault {
    pub(crate) reason: TlsReason,
    /// What the reason alone does not tell; empty for nothing.
    detail: String,
}

/// The kinds of faults. Each has a counter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsReason {
    /// The peer has no certificate.
    NoCertificate,
    Expired,
    NotYetValid,
    OtherCa,
    OtherName,
    /// Its certificate is wrong in another way.
    InvalidCertificate,
    /// The peer refuses this node.
    Refused,
    /// The handshake has more bytes than it may have.
    TooLong,
    /// The bytes are not those of TLS 1.3, or were changed on their way.
    Malformed,
    /// The peer's bytes are no TLS at all.
    NotTls,
    /// The peer has no version or cipher of TLS in common with this end.
    Incompatible,
}

/// All kinds.
pub(crate) const TLS_REASONS: [TlsReason; 11] = [
    TlsReason::NoCertificate,
    TlsReason::Expired,
    TlsReason::NotYetValid,
    TlsReason::OtherCa,
    TlsReason::OtherName,
    TlsReason::InvalidCertificate,
    TlsReason::Refused,
    TlsReason::TooLong,
    TlsReason::Malformed,
    TlsReason::NotTls,
    TlsReason::Incompatible,
];

impl TlsFault {
    pub(crate) fn new(reason: TlsReason) -> TlsFault {
        let detail = String::new();
        TlsFault { reason, detail }
    }

    /// The peer speaks another protocol within TLS.
    pub(super) fn other_protocol() -> TlsFault {
        TlsFault {
            reason: TlsReason::Malformed,
            detail: "the peer speaks another protocol within it".to_owned(),
        }
    }

    /// The fault of an error of rustls. `is_first`: nothing of TLS has come from the peer before.
    pub(super) fn of(error: &Error, is_first: bool) -> TlsFault {
        let with = |reason, detail: String| TlsFault { reason, detail };
        match error {
            Error::NoCertificatesPresented => TlsFault::new(TlsReason::NoCertificate),
            Error::InvalidCertificate(fault) => TlsFault::of_certificate(fault),
            Error::AlertReceived(alert) => with(TlsReason::Refused, alert_text(*alert)),
            // What comes in a record of no kind of TLS: the answer of a node without it.
            Error::InvalidMessage(InvalidMessage::InvalidContentType) if is_first => {
                TlsFault::new(TlsReason::NotTls)
            }
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
                with(TlsReason::Incompatible, error.to_string())
            }
            error => with(TlsReason::Malformed, error.to_string()),
        }
    }

    pub(super) fn of_certificate(fault: &CertificateError) -> TlsFault {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFault::new(TlsReason::Expired)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFault::new(TlsReason::NotYetValid)
            }
            CertificateError::UnknownIssuer => TlsFault::new(TlsReason::OtherCa),
            CertificateError::NotValidForName => TlsFault::new(TlsReason::OtherName),
            CertificateError::NotValidForNameContext { presented, .. } => TlsFault {
                reason: TlsReason::OtherName,
                detail: presented.join(", "),
            },
            other => TlsFault {
                reason: TlsReason::InvalidCertificate,
                detail: other.to_string(),
            },
        }
    }
}

/// What a peer means by an alert.
fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "this node's certificate is expired or not yet valid".to_owned()
        }
        AlertDescription::UnknownCA => "this node's certificate comes from another CA".to_owned(),
        AlertDescription::CertificateRequired => "this node has no certificate".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            "this node's certificate is not valid for it; is it for this node's name?".to_owned()
        }
        other => format!("TLS alert {other:?}"),
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &self.detail;
        match self.reason {
            TlsReason::NoCertificate => formatter.write_str("no certificate"),
            TlsReason::Expired => formatter.write_str("a certificate that has expired"),
            TlsReason::NotYetValid => formatter.write_str("a certificate that is not yet valid"),
            TlsReason::OtherCa => formatter.write_str("a certificate that does not come from the CA"),
            TlsReason::OtherName if detail.is_empty() => {
                formatter.write_str("a certificate that is not for the name of the node")
            }
            TlsReason::OtherName => {
                write!(
                    formatter,
                    "a certificate that is not for the name of the node, but for {detail}"
                )
            }
            TlsReason::InvalidCertificate => write!(formatter, "an invalid certificate: {detail}"),
            TlsReason::Refused => write!(formatter, "it refuses this node: {detail}"),
            TlsReason::TooLong => {
                write!(
                    formatter,
                    "a TLS handshake of more than {HANDSHAKE_BYTES_MAX} bytes"
                )
            }
            TlsReason::Malformed => write!(formatter, "broken TLS: {detail}"),
            TlsReason::NotTls => formatter.write_str("no TLS, which this node requires"),
            TlsReason::Incompatible => write!(formatter, "no TLS in common: {detail}"),
        }
    }
}

impl std::error::Error for TlsFault {}

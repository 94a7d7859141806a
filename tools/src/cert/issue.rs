//! The certificates: of a CA, and of nodes that it signs.
//!
//! The name of a CA follows from its key, so that the key alone makes certificates that fit to the CA's, and two CAs
//! are never taken for each other.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long ago a certificate begins to be valid: the clocks of the nodes are not the same.
const CLOCKS_DIFFER_TIME: Duration = Duration::from_secs(60 * 60);

/// A certificate and its key, in PEM.
pub(super) struct Issued {
    pub(super) pem: String,
    pub(super) key_pem: String,
}

/// A CA that signs.
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Makes a CA.
    pub(super) fn make(days: u32) -> Result<Issued, String> {
        let key = KeyPair::generate().map_err(text)?;
        let mut params = params_of_ca(&key).map_err(text)?;
        set_validity(&mut params, days);
        let certificate = params.self_signed(&key).map_err(text)?;
        Ok(Issued {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The CA with this key.
    pub(super) fn of_key(pem: &str) -> Result<Authority, String> {
        // The text of an error may quote what it has read.
        let key = KeyPair::from_pem(pem).map_err(|_| "it is not valid PEM of a private key".to_owned())?;
        let params = params_of_ca(&key).map_err(text)?;
        Ok(Authority(Issuer::new(params, key)))
    }

    /// Makes a certificate of a node with these names.
    pub(super) fn issue(&self, names: &[String], days: u32) -> Result<Issued, String> {
        let key = KeyPair::generate().map_err(text)?;
        let mut params = CertificateParams::new(names).map_err(text)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, days);
        let certificate = params.signed_by(&key, &self.0).map_err(text)?;
        Ok(Issued {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// What the certificate of a CA says, without when it is valid.
fn params_of_ca(key: &KeyPair) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let name: String = params
        .key_identifier(key)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("skyring CA {name}"));
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCKS_DIFFER_TIME).into();
    params.not_after = (now + DAY * days).into();
}

fn text(error: Error) -> String {
    format!("cannot make a certificate: {error}")
}

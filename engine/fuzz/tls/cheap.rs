//! What makes a handshake cheap, so that each execution can have one: random numbers that begin anew with each
//! execution, a key exchange that adds two numbers, and signatures that are verified once and then remembered. The
//! ciphers of the records and the derivation of their keys are those that a node uses.
//!
//! Nothing of this is secret; it is for fuzzing only.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
    WebPkiSupportedAlgorithms, ring,
};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use rustls::{Error, NamedGroup, PeerMisbehaved, SignatureScheme};

const KEY_BYTES: usize = 32;

/// Signatures that are remembered; then they are forgotten.
const REMEMBERED_MAX: usize = 1_024;

const VERIFIED: &[&dyn SignatureVerificationAlgorithm] = &[&Remembered];

/// The provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = vec![&Sum];
    provider.secure_random = &Repeated;
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: VERIFIED,
        mapping: &[(SignatureScheme::ED25519, VERIFIED)],
    };
    Arc::new(provider)
}

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    static VALID: RefCell<HashSet<Vec<u8>>> = RefCell::new(HashSet::new());
}

/// An execution begins: the random numbers are those of each other execution.
pub(super) fn begin() {
    STATE.set(0);
}

/// The same random numbers for each execution.
#[derive(Debug)]
struct Repeated;

impl SecureRandom for Repeated {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        for chunk in bytes.chunks_mut(8) {
            let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            STATE.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).to_le_bytes();
            chunk.copy_from_slice(&mixed[..chunk.len()]);
        }
        Ok(())
    }
}

/// A key exchange whose secret is the sum of both public keys.
#[derive(Debug)]
struct Sum;

impl SupportedKxGroup for Sum {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut key = [0; KEY_BYTES];
        Repeated.fill(&mut key)?;
        Ok(Box::new(Half(key)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Half([u8; KEY_BYTES]);

impl ActiveKeyExchange for Half {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        if peer_pub_key.len() != KEY_BYTES {
            return Err(Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare));
        }
        let bytes = self.0.iter().zip(peer_pub_key);
        let sum: Vec<u8> = bytes.map(|(one, other)| one.wrapping_add(*other)).collect();
        Ok(SharedSecret::from(sum))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Ed25519, whose signatures are the same each time for the same message: valid ones are remembered.
#[derive(Debug)]
struct Remembered;

impl SignatureVerificationAlgorithm for Remembered {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        // Keys and signatures have one length each.
        let all = [public_key, signature, message].concat();
        if VALID.with_borrow(|valid| valid.contains(&all)) {
            return Ok(());
        }
        webpki::ring::ED25519.verify_signature(public_key, message, signature)?;
        VALID.with_borrow_mut(|valid| {
            if valid.len() == REMEMBERED_MAX {
                valid.clear();
            }
            valid.insert(all);
        });
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

//! The cluster secret, and the proofs with which both ends of a connection show that they know it.
//!
//! There are three, each an HMAC-SHA256 under the secret with its own label:
//!
//! - the dialler's hello ends with an *offer* for each of its secrets. It covers the hello, so that an acceptor tells a
//!   stranger, another secret and a changed hello apart at once, and gives no proof to any of them;
//! - the answer to the hello ends with the acceptor's *answer proof*, which covers both hellos;
//! - the dialler's first frame is its *final proof*, which covers both hellos too. The nonce of the acceptor is in what
//!   it covers, so it is worth nothing on any other connection.
//!
//! Invariants: proofs are compared in constant time; the labels differ, so that no proof is valid in the place of
//! another; a secret is never printed, and its memory is overwritten when it is dropped.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::NONCE_BYTES;

/// The least length of a secret, in bytes: what 128 random bits take in hexadecimal digits. A recorded handshake
/// allows to guess without limit, so a secret must not be a word that somebody remembers.
pub const SECRET_BYTES_MIN: usize = 32;

/// The greatest length of a secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// How many secrets a node may have at a time: the present one, and the one that it replaces or that replaces it.
pub const SECRETS_MAX: usize = 2;

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;

/// Bytes of the hint in an offer.
const HINT_BYTES: usize = 8;

/// Bytes of an offer: the hint, which tells secrets apart, and the proof.
const OFFER_BYTES: usize = HINT_BYTES + PROOF_BYTES;

const HINT_LABEL: &[u8] = b"skyring hint\0";
const HELLO_LABEL: &[u8] = b"skyring hello\0";
const ANSWER_LABEL: &[u8] = b"skyring answer\0";
const FINAL_LABEL: &[u8] = b"skyring proof\0";

/// A proof, or the hash of a hello.
pub(crate) type Hash = [u8; PROOF_BYTES];

/// Why a secret, or a number of them, cannot be used. The text never contains a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is shorter than [`SECRET_BYTES_MIN`].
    #[error("a secret of {bytes} bytes: secrets have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// There are none, or more than [`SECRETS_MAX`].
    #[error("{count} secrets: a node has one, or two while they are exchanged")]
    Count {
        /// How many.
        count: usize,
    },
    /// Both are the same.
    #[error("the same secret twice")]
    Same,
}

/// Why the other end of a connection has not proved what it must: the cluster secret, or who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unproved {
    /// Its hello, or its answer to one, has no proof: it has no secret.
    #[error("no proof of the cluster secret")]
    NoProof,
    /// It has another secret.
    #[error("a proof with another cluster secret")]
    OtherSecret,
    /// It has the secret, but its hello is not the one that arrived.
    #[error("the hello was changed on its way")]
    Changed,
    /// Its hello was right, but the proof that answers this end's nonce is not: the hello is a replay.
    #[error("the proof is not that of this handshake, so the hello is a replay")]
    OtherHandshake,
    /// It sent this end's own proof back.
    #[error("this node's own proof came back")]
    Reflected,
    /// It speaks the skynet dialect, which has no proof.
    #[error("the skynet dialect, which proves no cluster secret")]
    SkynetDialect,
    /// Its first package is longer than any hello.
    #[error("the first package is longer than a hello")]
    TooLong,
    /// It sent another frame in the place of the proof.
    #[error("a frame before the proof of the cluster secret")]
    EarlyFrame,
    /// It did not begin with TLS, which this end requires.
    #[error("a connection without TLS, which this node requires")]
    Plain,
    /// It began with TLS, which this end does not speak.
    #[error("TLS, which this node is not set to speak")]
    Tls,
    /// Its certificate is not for the name in its hello.
    #[error("a certificate that is not for the name of the node")]
    OtherName,
}

impl Unproved {
    /// All of them.
    pub const ALL: [Unproved; 11] = [
        Unproved::NoProof,
        Unproved::OtherSecret,
        Unproved::Changed,
        Unproved::OtherHandshake,
        Unproved::Reflected,
        Unproved::SkynetDialect,
        Unproved::TooLong,
        Unproved::EarlyFrame,
        Unproved::Plain,
        Unproved::Tls,
        Unproved::OtherName,
    ];
}

/// The secrets of a node: one, or two while one replaces the other. Connections succeed between nodes that have one in
/// common.
pub struct Secrets(Box<[Zeroizing<Vec<u8>>]>);

impl Secrets {
    /// The secrets of a node.
    ///
    /// # Errors
    /// [`SecretError`] for secrets that are too short or too long, and for too few or too many of them.
    pub fn new(secrets: Vec<Zeroizing<Vec<u8>>>) -> Result<Self, SecretError> {
        let count = secrets.len();
        if !(1..=SECRETS_MAX).contains(&count) {
            return Err(SecretError::Count { count });
        }
        let lengths = SECRET_BYTES_MIN..=SECRET_BYTES_MAX;
        if let Some(secret) = secrets.iter().find(|secret| !lengths.contains(&secret.len())) {
            let bytes = secret.len();
            return Err(SecretError::Length { bytes });
        }
        if let [first, second] = &secrets[..]
            && **first == **second
        {
            return Err(SecretError::Same);
        }
        Ok(Self(secrets.into()))
    }

    /// How many there are: 1 or 2.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The HMAC of some parts under one of them.
    fn mac(&self, index: usize, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC takes keys of every length, and the index is that of a secret that was found.
        let secret = self.0.get(index).map_or(&[][..], |secret| secret);
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret)
            .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
        parts.iter().for_each(|part| mac.update(part));
        mac
    }

    fn hash_of(&self, index: usize, parts: &[&[u8]]) -> Hash {
        self.mac(index, parts).finalize().into_bytes().into()
    }

    /// The offers of a dialler for its hello, whose hash is `hello`: one for each secret.
    pub(crate) fn offers(&self, nonce: &[u8; NONCE_BYTES], hello: &Hash) -> Vec<u8> {
        let mut offers = Vec::with_capacity(self.count() * OFFER_BYTES);
        for index in 0..self.count() {
            let hint = self.hash_of(index, &[HINT_LABEL, nonce]);
            offers.extend_from_slice(hint.get(..HINT_BYTES).unwrap_or_default());
            offers.extend_from_slice(&self.hash_of(index, &[HELLO_LABEL, hello]));
        }
        offers
    }

    /// Checks the offers of a hello; returns the secret that both ends have.
    pub(crate) fn check_offers(
        &self,
        nonce: &[u8; NONCE_BYTES],
        hello: &Hash,
        offers: &[u8],
    ) -> Result<usize, Unproved> {
        let (offers, rest) = offers.as_chunks::<OFFER_BYTES>();
        if offers.is_empty() || offers.len() > SECRETS_MAX || !rest.is_empty() {
            return Err(Unproved::NoProof);
        }
        for offer in offers {
            let (hint, proof) = offer.split_at(HINT_BYTES);
            for index in 0..self.count() {
                let is_hinted = self
                    .mac(index, &[HINT_LABEL, nonce])
                    .verify_truncated_left(hint)
                    .is_ok();
                if !is_hinted {
                    continue;
                }
                let mac = self.mac(index, &[HELLO_LABEL, hello]);
                return match mac.verify_slice(proof) {
                    Ok(()) => Ok(index),
                    Err(_) if fault!(HelloUnchecked) => Ok(index),
                    Err(_) => Err(Unproved::Changed),
                };
            }
        }
        Err(Unproved::OtherSecret)
    }

    /// The acceptor's proof in the answer to a hello.
    pub(crate) fn answer_proof(&self, index: usize, hello: &Hash, answer: &Hash) -> Hash {
        self.hash_of(index, &[ANSWER_LABEL, hello, answer])
    }

    /// The dialler's proof in its first frame.
    pub(crate) fn final_proof(&self, index: usize, hello: &Hash, answer: &Hash) -> Hash {
        self.final_mac(index, hello, answer)
            .finalize()
            .into_bytes()
            .into()
    }

    fn final_mac(&self, index: usize, hello: &Hash, answer: &Hash) -> Hmac<Sha256> {
        let answer = if fault!(NonceForgotten) { &[0; 32] } else { answer };
        let label = if fault!(LabelForgotten) {
            ANSWER_LABEL
        } else {
            FINAL_LABEL
        };
        self.mac(index, &[label, hello, answer])
    }

    /// Checks the proof in the answer to a hello; returns the secret that it was made with. `offers` are those of the
    /// hello.
    pub(crate) fn check_answer(
        &self,
        hello: &Hash,
        answer: &Hash,
        proof: &[u8],
        offers: &[u8],
    ) -> Result<usize, Unproved> {
        for index in 0..self.count() {
            let mac = self.mac(index, &[ANSWER_LABEL, hello, answer]);
            if mac.verify_slice(proof).is_ok() || fault!(AnswerUnchecked) {
                return Ok(index);
            }
        }
        let (own, _) = offers.as_chunks::<OFFER_BYTES>();
        let is_own =
            |offer: &[u8; OFFER_BYTES]| offer.get(HINT_BYTES..) == Some(proof) || &offer[..] == proof;
        match own.iter().any(is_own) {
            true => Err(Unproved::Reflected),
            false => Err(Unproved::OtherHandshake),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.count())
    }
}

/// Equality, without a difference in time that tells how much is equal.
impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count()
            && (0..self.count()).all(|index| {
                let label: &[&[u8]] = &[b"skyring equality\0"];
                let proof = self.hash_of(index, label);
                other.mac(index, label).verify_slice(&proof).is_ok()
            })
    }
}

impl Eq for Secrets {}

/// The hash of a packed hello, without the proof at its end.
pub(crate) fn hash(hello: &[u8]) -> Hash {
    Sha256::digest(hello).into()
}

/// The final proof that an acceptor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// The secret that both ends have.
    pub(crate) index: usize,
    /// The hashes of both hellos.
    pub(crate) hello: Hash,
    pub(crate) answer: Hash,
}

impl Awaited {
    /// Checks the payload of the first frame.
    pub(crate) fn check(&self, secrets: &Secrets, proof: &[u8]) -> Result<(), Unproved> {
        let Self { index, hello, answer } = self;
        let expected = secrets.final_mac(*index, hello, answer);
        if expected.verify_slice(proof).is_ok() || fault!(ProofUnchecked) {
            return Ok(());
        }
        let own = secrets.mac(*index, &[ANSWER_LABEL, hello, answer]);
        match own.verify_slice(proof) {
            Ok(()) => Err(Unproved::Reflected),
            Err(_) => Err(Unproved::OtherHandshake),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
    const HELLO: Hash = [1; 32];
    const ANSWER: Hash = [2; 32];

    fn secrets(fills: &[u8]) -> Secrets {
        let secrets = fills
            .iter()
            .map(|fill| Zeroizing::new(vec![*fill; SECRET_BYTES_MIN]));
        Secrets::new(secrets.collect()).expect("valid secrets")
    }

    fn awaited() -> Awaited {
        Awaited {
            index: 0,
            hello: HELLO,
            answer: ANSWER,
        }
    }

    #[test]
    fn nodes_with_a_secret_in_common_agree_on_it() {
        for (dialler, acceptor, common) in [
            (&b"a"[..], &b"a"[..], Ok(0)),
            (b"ab", b"b", Ok(0)),
            (b"ab", b"ca", Ok(1)),
            (b"a", b"b", Err(Unproved::OtherSecret)),
            (b"ab", b"cd", Err(Unproved::OtherSecret)),
        ] {
            let (dialler, acceptor) = (secrets(dialler), secrets(acceptor));
            let offers = dialler.offers(&NONCE, &HELLO);
            assert_eq!(acceptor.check_offers(&NONCE, &HELLO, &offers), common);
            let Ok(index) = common else { continue };
            let proof = acceptor.answer_proof(index, &HELLO, &ANSWER);
            let own = dialler
                .check_answer(&HELLO, &ANSWER, &proof, &offers)
                .expect("the same secret");
            let last = dialler.final_proof(own, &HELLO, &ANSWER);
            let awaited = Awaited { index, ..awaited() };
            assert_eq!(awaited.check(&acceptor, &last), Ok(()));
        }
    }

    #[test]
    fn an_offer_is_valid_for_its_hello_only() {
        let secrets = secrets(b"a");
        let offers = secrets.offers(&NONCE, &HELLO);
        let check = |offers: &[u8]| secrets.check_offers(&NONCE, &HELLO, offers);
        assert_eq!(
            secrets.check_offers(&NONCE, &ANSWER, &offers),
            Err(Unproved::Changed)
        );
        assert_eq!(
            secrets.check_offers(&[8; 16], &HELLO, &offers),
            Err(Unproved::OtherSecret)
        );
        for bytes in [0, 1, 39, 41, 79, 120] {
            assert_eq!(check(&vec![0; bytes]), Err(Unproved::NoProof), "{bytes} bytes");
        }
        for at in 0..offers.len() {
            let mut changed = offers.clone();
            changed[at] ^= 1;
            let expected = if at < HINT_BYTES {
                Unproved::OtherSecret
            } else {
                Unproved::Changed
            };
            assert_eq!(check(&changed), Err(expected), "byte {at}");
        }
    }

    #[test]
    fn no_proof_is_valid_in_the_place_of_another() {
        let secrets = secrets(b"ab");
        let offers = secrets.offers(&NONCE, &HELLO);
        let answer = secrets.answer_proof(0, &HELLO, &ANSWER);
        let last = secrets.final_proof(0, &HELLO, &ANSWER);
        assert_eq!(awaited().check(&secrets, &answer), Err(Unproved::Reflected));
        for wrong in [&offers[8..40], &offers[48..], &[0; 32], &last[..31], b""] {
            assert_eq!(awaited().check(&secrets, wrong), Err(Unproved::OtherHandshake));
        }
        // Under the other secret, or with the hellos of another handshake.
        for wrong in [
            secrets.final_proof(1, &HELLO, &ANSWER),
            secrets.final_proof(0, &HELLO, &HELLO),
            secrets.final_proof(0, &ANSWER, &ANSWER),
        ] {
            assert_eq!(awaited().check(&secrets, &wrong), Err(Unproved::OtherHandshake));
        }
        let check = |proof: &[u8]| secrets.check_answer(&HELLO, &ANSWER, proof, &offers);
        assert_eq!(check(&answer), Ok(0));
        assert_eq!(check(&offers[8..40]), Err(Unproved::Reflected));
        assert_eq!(check(&offers[48..]), Err(Unproved::Reflected));
        assert_eq!(check(&last), Err(Unproved::OtherHandshake));
        assert_eq!(check(&answer[1..]), Err(Unproved::OtherHandshake));
    }

    #[test]
    fn secrets_that_are_too_short_too_long_equal_or_too_many_are_refused() {
        let of = |lengths: &[usize]| {
            let secrets = lengths.iter().enumerate();
            let secrets = secrets.map(|(fill, length)| Zeroizing::new(vec![fill as u8; *length]));
            Secrets::new(secrets.collect()).map(|secrets| secrets.count())
        };
        assert_eq!(of(&[32]), Ok(1));
        assert_eq!(of(&[1024, 32]), Ok(2));
        for (lengths, error) in [
            (&[][..], SecretError::Count { count: 0 }),
            (&[32, 32, 32], SecretError::Count { count: 3 }),
            (&[31], SecretError::Length { bytes: 31 }),
            (&[32, 1025], SecretError::Length { bytes: 1025 }),
        ] {
            assert_eq!(of(lengths), Err(error));
        }
        let twice = vec![Zeroizing::new(vec![1; 32]), Zeroizing::new(vec![1; 32])];
        assert_eq!(Secrets::new(twice), Err(SecretError::Same));
    }

    #[test]
    fn secrets_are_compared_and_never_printed() {
        let secrets = secrets(b"sx");
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
        assert_eq!(secrets, self::secrets(b"sx"));
        assert_ne!(secrets, self::secrets(b"xs"));
        assert_ne!(secrets, self::secrets(b"s"));
    }
}

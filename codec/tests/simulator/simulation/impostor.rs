//! A stranger without the cluster secret, who has recorded handshakes of others. It replays, reflects and changes them,
//! at both ends; nobody must serve it, or trust its answers.

use bytes::Bytes;
use skyring_codec::link::{
    Access, CalleeLink, CallerEvent, CallerLimits, CallerLink, Inbound, ProtocolError,
};
use skyring_codec::native::{FrameKind, Header, Hello, PROOF_BYTES};
use skyring_codec::outbuffer::OutBuffer;
use skyring_codec::seri;
use skyring_codec::skynet::{encode_error_response, encode_ok_response};

use super::ledger::Process;
use super::node::HANDLE;
use super::transfer::output_of;
use super::world::World;

/// Handshakes that it remembers.
const RECORDINGS_MAX: usize = 20;

/// Bytes of a frame with a proof.
pub(super) const PROOF_FRAME_BYTES: usize = 24 + PROOF_BYTES;

/// What a dialler has sent to a process that has taken it.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    acceptor: Process,
    /// The package of the hello.
    hello: Bytes,
    /// The frame of the final proof.
    proof: Bytes,
}

/// What it sends to an acceptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// The hello and the proof of another connection.
    Replay,
    /// The acceptor's own proof.
    Reflect,
    /// A proof at random.
    Guess,
    /// A call in the place of the proof.
    NoProof,
    /// A hello in which the name is another one.
    Change,
}

/// What it answers to a dialler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgery {
    /// No proof.
    None,
    /// A proof at random.
    Guess,
    /// The dialler's own proof.
    Reflect,
    /// That it is a Skynet node.
    Downgrade,
}

impl World {
    /// Remembers a handshake.
    pub(super) fn record_handshake(&mut self, acceptor: Process, hello: Bytes, proof: Bytes) {
        if self.recordings.len() >= RECORDINGS_MAX {
            self.recordings.remove(0);
        }
        self.recordings.push(Recording {
            acceptor,
            hello,
            proof,
        });
    }

    /// It connects to a node, or takes the connection of one.
    pub(super) fn intrude(&mut self) {
        let recordings = self.recordings.iter();
        let living = recordings.filter(|recording| {
            let node = &self.nodes[recording.acceptor.node];
            node.is_alive && node.process == recording.acceptor
        });
        let living: Vec<Recording> = living.cloned().collect();
        if living.is_empty() {
            return;
        }
        let at = self.random.below(living.len() as u64) as usize;
        let recording = &living[at];
        let Some(access) = self.settings.access(recording.acceptor.node, false) else {
            return;
        };
        self.ledger.counts.intrusions += 1;
        if self.random.chance(700) {
            self.dial_as_impostor(recording, access);
        } else {
            self.answer_as_impostor(recording.acceptor.node, access);
        }
    }

    fn dial_as_impostor(&mut self, recording: &Recording, access: Access) {
        let attack = self.random.pick(&[
            Attack::Replay,
            Attack::Reflect,
            Attack::Guess,
            Attack::NoProof,
            Attack::Change,
        ]);
        self.note(|_| format!("an impostor dials {:?}: {attack:?}", recording.acceptor));
        let mut link = CalleeLink::with_access(self.settings.callee_limits, access);
        link.receive(match attack {
            Attack::Change => renamed(&recording.hello),
            _ => recording.hello.clone(),
        });
        let hello = match link.poll_inbound() {
            Ok(Some(Inbound::Hello(hello))) if attack != Attack::Change => hello,
            Err(ProtocolError::Unproved(_)) if attack == Attack::Change => return,
            outcome => {
                let text = format!("{attack:?}: {outcome:?} to the hello of an impostor");
                return self.ledger.fail(|| text);
            }
        };
        let own = |holder: &&super::acceptor::Acceptor| holder.process == recording.acceptor;
        let mut holders = self.acceptors.iter().flatten().filter(own);
        if holders.any(|holder| holder.link.can_resume(&link)) {
            return self
                .ledger
                .fail(|| format!("{attack:?}: a replayed hello resumes a session"));
        }
        let answer =
            self.nodes[recording.acceptor.node].hello(&mut self.random, hello.channel, hello.channels);
        if let Err(error) = link.accept_hello(&answer) {
            return self.ledger.fail(|| format!("the hello is not answered: {error}"));
        }
        let answered = output_of(&link, usize::MAX);
        link.transmitted(answered.len());
        let own_proof = answered.slice(answered.len().saturating_sub(PROOF_BYTES)..);
        let first = match attack {
            Attack::Replay => recording.proof.clone(),
            Attack::Reflect => proof_frame(&own_proof),
            Attack::Guess => proof_frame(&self.random_proof()),
            Attack::NoProof | Attack::Change => Bytes::new(),
        };
        link.receive(first);
        link.receive(call_frame());
        let mut outcome = link.poll_inbound();
        if matches!(outcome, Ok(None)) && link.next_resolved(1, |_| Some(HANDLE)).is_some() {
            outcome = Ok(Some(Inbound::Goodbye));
        }
        if !matches!(outcome, Err(ProtocolError::Unproved(_))) || link.has_output() {
            let text = format!("{attack:?}: {outcome:?} to a caller without the secret");
            self.ledger.fail(|| text);
        }
    }

    fn answer_as_impostor(&mut self, node: usize, access: Access) {
        let forgery = self.random.pick(&[
            Forgery::None,
            Forgery::Guess,
            Forgery::Reflect,
            Forgery::Downgrade,
        ]);
        self.note(|_| format!("an impostor answers node {node}: {forgery:?}"));
        let now = self.clock.now();
        let mut link = CallerLink::new(CallerLimits::default());
        link.set_access(Some(access));
        let hello = self.nodes[node].hello(&mut self.random, 1, 1);
        if let Err(error) = link.dial(now, &hello) {
            return self
                .ledger
                .fail(|| format!("an impostor is not dialled: {error}"));
        }
        let sent = output_of(&link, usize::MAX);
        link.transmitted(sent.len());
        let proof = match forgery {
            Forgery::None | Forgery::Downgrade => Bytes::new(),
            Forgery::Guess => self.random_proof(),
            Forgery::Reflect => sent.slice(sent.len().saturating_sub(PROOF_BYTES)..),
        };
        let other = (node + 1) % self.nodes.len();
        let answer = self.nodes[other].hello(&mut self.random, 1, 1);
        link.receive(forged_answer(&answer, forgery, &proof));
        let outcome = link.poll_event(now);
        if !matches!(outcome, Err(ProtocolError::Unproved(_))) {
            let is_ready = matches!(outcome, Ok(Some(CallerEvent::Ready { .. })));
            let text = format!("{forgery:?}: {outcome:?}, ready {is_ready}, to the answer of an impostor");
            self.ledger.fail(|| text);
        }
    }

    fn random_proof(&mut self) -> Bytes {
        (0..PROOF_BYTES / 8)
            .flat_map(|_| self.random.next().to_le_bytes())
            .collect()
    }
}

/// A hello in which the dialler's name ends with another digit.
fn renamed(hello: &Bytes) -> Bytes {
    let mut bytes = hello.to_vec();
    // The key and the value both begin with this word.
    let at = bytes.windows(4).rposition(|window| window == b"node");
    if let Some(digit) = at.and_then(|at| bytes.get_mut(at + 4)) {
        *digit ^= 1;
    }
    bytes.into()
}

fn forged_answer(answer: &Hello, forgery: Forgery, proof: &Bytes) -> Bytes {
    let mut out = OutBuffer::new();
    if forgery == Forgery::Downgrade {
        encode_error_response(&mut out, 1, b"name not found");
    } else {
        let mut payload = answer.pack().unwrap_or_default().to_vec();
        if !proof.is_empty() {
            let value = seri::Value::String(proof.clone());
            payload.extend(seri::pack(&value).unwrap_or_default());
        }
        // A hello is far shorter than a package.
        let _ = encode_ok_response(&mut out, 1, &payload.into());
    }
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = out.slices(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    bytes.into()
}

fn proof_frame(proof: &Bytes) -> Bytes {
    let header = Header {
        length: proof.len() as u32,
        ..Header::new(FrameKind::Proof)
    };
    [&header.encode()[..], proof].concat().into()
}

fn call_frame() -> Bytes {
    let header = Header {
        session: 1,
        target: HANDLE,
        ..Header::new(FrameKind::Call)
    };
    header.encode().to_vec().into()
}

//! One client of a gate.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use skyring::Handle;

use super::admission::Place;
use super::framing::{Framing, FramingError, Incoming, Packet};
use super::proxy::{self, Preface};
use super::rate::Bucket;
use super::settings::GateSettings;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) framing: Framing,
    /// What came before the header of a load balancer was complete; `None` after it, and where there is none.
    preface: Option<Box<Incoming>>,
    pub(super) address: SocketAddr,
    /// `None` until its address is known.
    pub(super) place: Option<Place>,
    /// Packets that were not answered.
    pub(super) unanswered: usize,
    /// Bytes that waited to be written to it after the last write.
    pub(super) waiting_max: usize,
    /// Its socket is not read.
    pub(super) is_paused: bool,
    /// It sends no more, and is closed when all its packets are answered.
    pub(super) has_ended: bool,
    /// It has sent a packet, or finished its handshake; the target knows of it.
    has_begun: bool,
    /// The target was told that it is there.
    pub(super) is_known: bool,
    /// Its last packet was a text.
    pub(super) is_text: bool,
    /// Who gets its packets instead of the target.
    pub(super) agent: Option<Handle>,
    /// When it was heard last; when it connected, until it has begun.
    since: Instant,
    /// `None` where there is no limit.
    rates: Option<Box<Rates>>,
}

/// What a client may send.
#[derive(Debug)]
struct Rates {
    packets: Bucket,
    bytes: Bucket,
}

impl Client {
    /// A client that has just connected. `is_proxied`: it begins with the header of a load balancer.
    pub(super) fn new(
        address: SocketAddr,
        is_proxied: bool,
        settings: &GateSettings,
        now: Instant,
    ) -> Client {
        Client {
            framing: match settings.tls {
                None => Framing::new(&settings.protocol, settings.packet_bytes_max),
                Some(_) => Framing::Handshaking,
            },
            preface: is_proxied.then(Box::default),
            address,
            place: None,
            unanswered: 0,
            waiting_max: 0,
            is_paused: false,
            has_ended: false,
            has_begun: false,
            is_known: false,
            is_text: false,
            agent: None,
            since: now,
            rates: settings.has_rates().then(|| {
                Box::new(Rates {
                    packets: Bucket::full(settings.packets_per_second, now),
                    bytes: Bucket::full(settings.bytes_per_second, now),
                })
            }),
        }
    }

    /// Takes received bytes. True when they have completed the header of a load balancer, and the address is known now.
    ///
    /// # Errors
    /// [`FramingError`] for a header that is none.
    pub(super) fn receive(
        &mut self,
        bytes: Bytes,
        settings: &GateSettings,
        now: Instant,
    ) -> Result<bool, FramingError> {
        if self.has_begun {
            self.since = now;
        }
        if let Some(rates) = &mut self.rates {
            rates.bytes.take(bytes.len(), settings.bytes_per_second, now);
        }
        let Some(preface) = &mut self.preface else {
            self.framing.feed(bytes);
            return Ok(false);
        };
        preface.feed(bytes);
        match proxy::parse(preface.bytes()).map_err(FramingError::Malformed)? {
            Preface::Incomplete => Ok(false),
            Preface::Complete(count, client) => {
                let _ = preface.take(count);
                let rest = Bytes::copy_from_slice(preface.bytes());
                self.preface = None;
                self.address = client.unwrap_or(self.address);
                self.framing.feed(rest);
                Ok(true)
            }
        }
    }

    /// The next packet. What is to be written is added to `output`.
    ///
    /// # Errors
    /// As [`Framing::next`].
    pub(super) fn next(
        &mut self,
        settings: &GateSettings,
        output: &mut Vec<u8>,
    ) -> Result<Option<Packet<'_>>, FramingError> {
        if self.preface.is_some() {
            return Ok(None);
        }
        let packet = match self.framing.next(settings.packet_bytes_max, output) {
            // Packets may be anything; but a client that begins like this speaks TLS.
            Err(FramingError::Tls) if self.has_begun => return Ok(None),
            next => next?,
        };
        if let Some(packet) = &packet {
            if !self.has_begun {
                self.has_begun = true;
                self.since = Instant::now();
            }
            self.is_text = packet.is_text;
            if let Some(rates) = &mut self.rates {
                rates.packets.take(1, settings.packets_per_second, Instant::now());
            }
        }
        Ok(packet)
    }

    /// It has sent its first packet, or finished its handshake.
    pub(super) fn begin(&mut self) {
        self.has_begun = true;
        self.since = Instant::now();
    }

    /// Its TLS handshake has ended.
    pub(super) fn secure(&mut self, settings: &GateSettings) {
        if let Framing::Handshaking = self.framing {
            self.framing = Framing::new(&settings.protocol, settings.packet_bytes_max);
        }
    }

    /// Whether it has sent its share.
    pub(super) fn is_throttled(&mut self, settings: &GateSettings) -> bool {
        self.rates.as_mut().is_some_and(|rates| {
            let now = Instant::now();
            rates.packets.is_overdrawn(settings.packets_per_second, now)
                || rates.bytes.is_overdrawn(settings.bytes_per_second, now)
        })
    }

    /// Whether it has taken too long to begin, or was silent for too long.
    pub(super) fn is_overdue(&self, settings: &GateSettings, now: Instant) -> bool {
        let time = if self.has_begun {
            settings.idle
        } else {
            settings.handshake
        };
        !time.is_zero() && now.saturating_duration_since(self.since) > time
    }
}

//! The hello: how two Skyring nodes detect each other on a connection that begins in the skynet dialect.
//!
//! It is a query for a name that no node has, so a Skynet node answers it as such and nothing is lost. The payload
//! is the packed text [`HELLO_NAME`] and a table; the answer is packed the same way. Unknown keys are ignored, so
//! that later versions can add some.

use bytes::{Bytes, BytesMut};

use super::proof::{Hash, hash};
use crate::seri::{PackError, Packer, TableRef, UnpackError, ValueRef, values};

/// The name that a hello queries.
pub const HELLO_NAME: &str = "skyring.hello";

/// The version of the dialect that this crate implements; the lower one of both ends is used.
pub const VERSION: u32 = 1;

/// The longest packed hello, in bytes.
pub const HELLO_BYTES_MAX: usize = 4096;

/// The longest name of a node, in bytes.
const NODE_BYTES_MAX: usize = 255;

/// The most channels of a peer.
pub const CHANNELS_MAX: u32 = 1024;

/// The most threads of a node.
pub const THREADS_MAX: u32 = 4096;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// The properties that one end announces when a connection begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version of the dialect: the highest that the dialler supports; in an answer the selected one.
    pub version: u32,
    /// The name of the node in the cluster map, at most 255 bytes; empty when it is in none.
    pub node: String,
    /// The number of this channel of the peer, from 1.
    pub channel: u32,
    /// How many channels the dialler requests; in an answer how many there are. 1 to [`CHANNELS_MAX`].
    pub channels: u32,
    /// Threads of the node, 1 to [`THREADS_MAX`].
    pub threads: u32,
    /// A random number of the process.
    pub epoch: u64,
    /// Random bytes of this connection.
    pub nonce: [u8; NONCE_BYTES],
    /// Whether and which session this connection has. A link sets it by its limits.
    pub resume: Resumption,
    /// The number of this connection among those of its channel that the dialler has opened, from 1; 0 when it does not
    /// say. An acceptor resumes a session only for a higher number than the last, so that a replayed hello resumes
    /// none. A link sets it where there is a cluster secret.
    pub attempt: u64,
    /// Whether this end takes trace tags. A dialler sends some only where it is set in the answer.
    pub traces: bool,
}

/// A packed hello that was read, with the parts that its proof is about.
pub(crate) struct ReadHello<'a> {
    pub(crate) hello: Hello,
    /// The hash of everything that the proof covers.
    pub(crate) hash: Hash,
    /// The proof behind the table; empty when there is none.
    pub(crate) proof: &'a [u8],
}

/// Whether both ends retain frames until the other has acknowledged them, to resume the session on the next
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resumption {
    /// There is no session.
    #[default]
    Off,
    /// A session begins with this connection. Its secret is the nonce of the acceptor.
    New,
    /// The connection resumes an earlier session.
    Session {
        /// The secret of the session.
        session: [u8; NONCE_BYTES],
        /// How many numbered frames of the session this end has received.
        received: u64,
    },
}

/// Why a hello, or its answer, is invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HelloError {
    /// The values cannot be read.
    #[error("hello: {0}")]
    Unpack(#[from] UnpackError),
    /// The values cannot be written.
    #[error("hello: {0}")]
    Pack(#[from] PackError),
    /// It does not begin with the name and a table.
    #[error("hello: not the text {HELLO_NAME:?} and a table")]
    Shape,
    /// It is longer than [`HELLO_BYTES_MAX`].
    #[error("hello: {bytes} bytes, limit {HELLO_BYTES_MAX}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// A key is missing, or its value is of the wrong type or out of range.
    #[error("hello: {key} is missing or invalid")]
    Field {
        /// The key.
        key: &'static str,
    },
    /// The session that it names does not exist, or frames were dropped that it needs.
    #[error("hello: the session that it names cannot be resumed")]
    Session,
    /// The node that answers is not the one that was dialled.
    #[error("hello: node {answered:?} answers at the address of {dialled:?}")]
    OtherNode {
        /// Its name.
        answered: String,
        /// The name that was dialled.
        dialled: String,
    },
    /// The peer answered with a version that this end did not offer.
    #[error("hello: answered with version {version}, but {offered} was offered")]
    Version {
        /// The version of the answer.
        version: u32,
        /// The highest version that was offered.
        offered: u32,
    },
}

impl Hello {
    /// Whether the payload of a query begins a hello: its first value is [`HELLO_NAME`] and a second follows.
    pub fn is_hello(payload: &[u8]) -> bool {
        let mut values = values(payload);
        let is_named =
            matches!(values.next(), Some(Ok(ValueRef::String(name))) if name == HELLO_NAME.as_bytes());
        is_named && !values.rest().is_empty()
    }

    /// Packs the hello.
    ///
    /// # Errors
    /// [`HelloError::Field`] for a field that the other end would refuse.
    pub fn pack(&self) -> Result<Bytes, HelloError> {
        Ok(self.pack_into_buffer()?.freeze())
    }

    /// Packs the hello with a proof behind it: the result of `prove` for the hash of the hello. Returns the hash too.
    pub(crate) fn pack_proved(
        &self,
        prove: impl FnOnce(&Hash) -> Vec<u8>,
    ) -> Result<(Bytes, Hash), HelloError> {
        let mut buffer = self.pack_into_buffer()?;
        let hash = hash(&buffer);
        Packer::new(&mut buffer).string(&prove(&hash))?;
        Ok((buffer.freeze(), hash))
    }

    fn pack_into_buffer(&self) -> Result<BytesMut, HelloError> {
        self.check()?;
        let mut buffer = BytesMut::with_capacity(256);
        let mut packer = Packer::new(&mut buffer);
        packer.string(HELLO_NAME.as_bytes())?;
        packer.table_start(0)?;
        let integer = |packer: &mut Packer<'_>, key: &str, value: i64| {
            packer.string(key.as_bytes())?;
            packer.integer(value)
        };
        integer(&mut packer, "version", self.version.into())?;
        integer(&mut packer, "channel", self.channel.into())?;
        integer(&mut packer, "channels", self.channels.into())?;
        integer(&mut packer, "threads", self.threads.into())?;
        // All 64 bits, as the Lua integer with the same bits.
        integer(&mut packer, "epoch", self.epoch as i64)?;
        packer.string(b"node")?;
        packer.string(self.node.as_bytes())?;
        packer.string(b"nonce")?;
        packer.string(&self.nonce)?;
        packer.string(b"resume")?;
        packer.boolean(self.resume != Resumption::Off)?;
        if let Resumption::Session { session, received } = &self.resume {
            packer.string(b"session")?;
            packer.string(session)?;
            integer(&mut packer, "received", *received as i64)?;
        }
        if self.attempt > 0 {
            integer(&mut packer, "attempt", self.attempt as i64)?;
        }
        if self.traces {
            packer.string(b"traces")?;
            packer.boolean(true)?;
        }
        packer.table_end();
        Ok(buffer)
    }

    fn check(&self) -> Result<(), HelloError> {
        let is_valid = [
            ("version", self.version >= 1),
            ("node", self.node.len() <= NODE_BYTES_MAX),
            ("channels", (1..=CHANNELS_MAX).contains(&self.channels)),
            ("channel", (1..=self.channels).contains(&self.channel)),
            ("threads", (1..=THREADS_MAX).contains(&self.threads)),
            ("received", i64::try_from(self.resume.received()).is_ok()),
            ("attempt", i64::try_from(self.attempt).is_ok()),
        ];
        match is_valid.into_iter().find(|(_, is_valid)| !is_valid) {
            Some((key, _)) => Err(HelloError::Field { key }),
            None => Ok(()),
        }
    }

    /// Reads a hello or its answer.
    ///
    /// # Errors
    /// A [`HelloError`] that names the invalid part.
    pub fn unpack(payload: &[u8]) -> Result<Self, HelloError> {
        Ok(Self::read(payload)?.hello)
    }

    /// Reads a hello or its answer, with the proof behind it.
    pub(crate) fn read(payload: &[u8]) -> Result<ReadHello<'_>, HelloError> {
        if payload.len() > HELLO_BYTES_MAX {
            let bytes = payload.len();
            return Err(HelloError::Length { bytes });
        }
        let mut values = values(payload);
        let name = values.take_value()?;
        let table = values.take_value()?;
        let (Some(name), Some(table)) = (name.as_bytes(), table.as_table()) else {
            return Err(HelloError::Shape);
        };
        if name != HELLO_NAME.as_bytes() {
            return Err(HelloError::Shape);
        }
        let node = table.get("node").and_then(|node| node.as_str());
        let nonce = table.get("nonce").and_then(|nonce| nonce.as_bytes());
        let epoch = table.get("epoch").and_then(|epoch| epoch.as_integer());
        let attempt = match table.get("attempt") {
            None => Some(0),
            Some(attempt) => attempt
                .as_integer()
                .and_then(|attempt| u64::try_from(attempt).ok()),
        };
        let hello = Self {
            version: number(&table, "version", None)?,
            node: node.ok_or(HelloError::Field { key: "node" })?.to_owned(),
            channel: number(&table, "channel", Some(1))?,
            channels: number(&table, "channels", Some(1))?,
            threads: number(&table, "threads", None)?,
            epoch: epoch.ok_or(HelloError::Field { key: "epoch" })? as u64,
            nonce: nonce
                .and_then(|nonce| nonce.try_into().ok())
                .ok_or(HelloError::Field { key: "nonce" })?,
            resume: resumption(&table)?,
            attempt: attempt.ok_or(HelloError::Field { key: "attempt" })?,
            traces: boolean(&table, "traces")?,
        };
        hello.check()?;
        let covered = payload.len() - values.rest().len();
        // Anything else in the place of the proof is none; without a secret nobody looks at it.
        let proof = values.take_value().ok().and_then(|proof| proof.as_bytes());
        let proof = proof.filter(|_| values.rest().is_empty());
        Ok(ReadHello {
            hello,
            hash: hash(payload.get(..covered).unwrap_or_default()),
            proof: proof.unwrap_or_default(),
        })
    }
}

impl Resumption {
    /// The number of received frames in it.
    fn received(&self) -> u64 {
        match self {
            Self::Off | Self::New => 0,
            Self::Session { received, .. } => *received,
        }
    }
}

fn boolean(table: &TableRef<'_>, key: &'static str) -> Result<bool, HelloError> {
    let value = table.get(key).map_or(Some(false), |value| value.as_boolean());
    value.ok_or(HelloError::Field { key })
}

fn resumption(table: &TableRef<'_>) -> Result<Resumption, HelloError> {
    if !boolean(table, "resume")? {
        return Ok(Resumption::Off);
    }
    let Some(session) = table.get("session") else {
        return Ok(Resumption::New);
    };
    let session = session.as_bytes().and_then(|session| session.try_into().ok());
    let received = table.get("received").and_then(|received| received.as_integer());
    Ok(Resumption::Session {
        session: session.ok_or(HelloError::Field { key: "session" })?,
        received: received
            .and_then(|received| u64::try_from(received).ok())
            .ok_or(HelloError::Field { key: "received" })?,
    })
}

fn number(table: &TableRef<'_>, key: &'static str, default: Option<u32>) -> Result<u32, HelloError> {
    let number = match table.get(key) {
        None => default,
        Some(value) => value.as_integer().and_then(|value| u32::try_from(value).ok()),
    };
    number.ok_or(HelloError::Field { key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seri::{Table, Value, pack};

    fn hello() -> Hello {
        Hello {
            version: 1,
            node: "db1".to_owned(),
            channel: 2,
            channels: 4,
            threads: 8,
            epoch: 0xfedc_ba98_7654_3210,
            nonce: *b"0123456789abcdef",
            resume: Resumption::Off,
            attempt: 0,
            traces: false,
        }
    }

    fn table() -> Vec<(Value, Value)> {
        let integer = |key: &str, value: i64| (Value::from(key), Value::Integer(value));
        vec![
            integer("version", 1),
            integer("channel", 2),
            integer("channels", 4),
            integer("threads", 8),
            integer("epoch", 0xfedc_ba98_7654_3210u64 as i64),
            (Value::from("node"), Value::from("db1")),
            (Value::from("nonce"), Value::from("0123456789abcdef")),
            (Value::from("resume"), Value::Boolean(false)),
        ]
    }

    fn packed(entries: Vec<(Value, Value)>) -> Bytes {
        let array = Vec::new();
        pack(&(HELLO_NAME, Value::Table(Table { array, entries }))).expect("packable")
    }

    /// The table with one entry changed or removed.
    fn with(key: &str, value: Option<Value>) -> Result<Hello, HelloError> {
        let mut entries = table();
        entries.retain(|(other, _)| other.as_str() != Some(key));
        entries.extend(value.map(|value| (Value::from(key), value)));
        Hello::unpack(&packed(entries))
    }

    #[test]
    fn a_hello_is_a_name_and_a_table_in_any_order() {
        assert_eq!(hello().pack(), Ok(packed(table())));
        let mut entries = table();
        entries.reverse();
        assert_eq!(Hello::unpack(&packed(entries)), Ok(hello()));
    }

    #[test]
    fn unknown_keys_are_ignored_and_some_may_be_missing() {
        let later = Value::Table(Table::new());
        assert_eq!(with("compression", Some(later)), Ok(hello()));
        assert_eq!(with("resume", None), Ok(hello()));
        assert_eq!(
            with("channel", None),
            Ok(Hello {
                channel: 1,
                ..hello()
            })
        );
        let with_one_channel = Hello {
            channel: 1,
            channels: 1,
            ..hello()
        };
        let entries = table().into_iter();
        let entries = entries.filter(|(key, _)| !key.as_str().is_some_and(|key| key.starts_with("channel")));
        assert_eq!(Hello::unpack(&packed(entries.collect())), Ok(with_one_channel));
    }

    #[test]
    fn a_session_is_named_with_its_secret_and_its_received_frames() {
        let resume = |extra: Vec<(&str, Value)>| {
            let mut entries = table();
            entries.retain(|(key, _)| key.as_str() != Some("resume"));
            entries.push((Value::from("resume"), Value::Boolean(true)));
            entries.extend(extra.into_iter().map(|(key, value)| (Value::from(key), value)));
            Hello::unpack(&packed(entries)).map(|hello| hello.resume)
        };
        let secret = || Value::from("fedcba9876543210");
        assert_eq!(resume(vec![]), Ok(Resumption::New));
        let named = vec![("session", secret()), ("received", Value::Integer(i64::MAX))];
        let session = Resumption::Session {
            session: *b"fedcba9876543210",
            received: i64::MAX as u64,
        };
        assert_eq!(resume(named), Ok(session));
        let error = |key| Err(HelloError::Field { key });
        assert_eq!(resume(vec![("session", secret())]), error("received"));
        let negative = vec![("session", secret()), ("received", Value::Integer(-1))];
        assert_eq!(resume(negative), error("received"));
        let short = vec![("session", Value::from("fedc")), ("received", Value::Integer(0))];
        assert_eq!(resume(short), error("session"));
        for resume in [Resumption::New, session] {
            let hello = Hello { resume, ..hello() };
            assert_eq!(hello.pack().and_then(|packed| Hello::unpack(&packed)), Ok(hello));
        }
        let resume = Resumption::Session {
            session: *b"fedcba9876543210",
            received: u64::MAX,
        };
        assert_eq!(
            Hello { resume, ..hello() }.pack(),
            Err(HelloError::Field { key: "received" })
        );
    }

    #[test]
    fn a_missing_or_invalid_field_is_an_error_that_names_it() {
        let invalid = |key, value| assert_eq!(with(key, value), Err(HelloError::Field { key }), "{key}");
        for key in ["version", "node", "threads", "epoch", "nonce"] {
            invalid(key, None);
        }
        for key in [
            "version", "node", "channel", "channels", "threads", "epoch", "nonce", "resume",
        ] {
            invalid(key, Some(Value::Table(Table::new())));
            invalid(key, Some(Value::Number(0.5)));
        }
        for key in ["version", "channel", "channels", "threads"] {
            for number in [-1, 0, 1 << 32] {
                invalid(key, Some(Value::Integer(number)));
            }
        }
        invalid("channel", Some(Value::Integer(5)));
        invalid("channels", Some(Value::Integer(i64::from(CHANNELS_MAX) + 1)));
        invalid("threads", Some(Value::Integer(i64::from(THREADS_MAX) + 1)));
        invalid("nonce", Some(Value::from("0123456789abcde")));
        invalid("nonce", Some(Value::from("0123456789abcdefg")));
        invalid("node", Some(Value::from("n".repeat(256).as_str())));
        invalid("node", Some(Value::from(&b"\xff"[..])));
    }

    #[test]
    fn an_invalid_hello_is_not_packed() {
        let refused = |hello: Hello, key| assert_eq!(hello.pack(), Err(HelloError::Field { key }));
        refused(
            Hello {
                version: 0,
                ..hello()
            },
            "version",
        );
        refused(
            Hello {
                channel: 5,
                ..hello()
            },
            "channel",
        );
        refused(
            Hello {
                channels: 0,
                ..hello()
            },
            "channels",
        );
        refused(
            Hello {
                threads: 0,
                ..hello()
            },
            "threads",
        );
        refused(
            Hello {
                node: "n".repeat(256),
                ..hello()
            },
            "node",
        );
    }

    #[test]
    fn a_payload_that_is_no_hello_is_an_error() {
        assert_eq!(Hello::unpack(b""), Err(HelloError::Shape));
        assert_eq!(
            Hello::unpack(&pack(&HELLO_NAME).expect("packable")),
            Err(HelloError::Shape)
        );
        assert_eq!(
            Hello::unpack(&pack(&(HELLO_NAME, 7)).expect("packable")),
            Err(HelloError::Shape)
        );
        let other = pack(&("skyring.bye", Value::Table(Table::new()))).expect("packable");
        assert_eq!(Hello::unpack(&other), Err(HelloError::Shape));
        let long = vec![0; HELLO_BYTES_MAX + 1];
        assert_eq!(
            Hello::unpack(&long),
            Err(HelloError::Length {
                bytes: HELLO_BYTES_MAX + 1
            })
        );
        let whole = packed(table());
        for end in 1..whole.len() {
            assert!(Hello::unpack(&whole[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn the_query_for_the_name_alone_is_no_hello() {
        assert!(Hello::is_hello(&packed(table())));
        assert!(Hello::is_hello(&pack(&(HELLO_NAME, 7)).expect("packable")));
        assert!(!Hello::is_hello(&pack(&HELLO_NAME).expect("packable")));
        assert!(!Hello::is_hello(
            &pack(&("sdb", Value::Table(Table::new()))).expect("packable")
        ));
        assert!(!Hello::is_hello(b"") && !Hello::is_hello(b"\xff\xff"));
    }
}

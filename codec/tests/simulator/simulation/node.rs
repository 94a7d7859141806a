//! A process of a node: its names, its map, its channels.

use std::collections::BTreeMap;

use skyring_codec::Millis;
use skyring_codec::native::{Hello, NONCE_BYTES, Resumption, VERSION};

use super::ledger::Process;
use super::random::Random;

/// Names that every process may have.
pub(super) const NAMES: u8 = 3;

/// The first handle that a name gets; the handles below belong to services without a name.
const HANDLE_FIRST: u32 = 1_000;

/// The service that has no name.
pub(super) const HANDLE: u32 = 7;

/// The entry of another node in the map of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is at the address of the node with this number.
    At(usize),
    Disabled,
}

/// A node and its current process.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) process: Process,
    pub(super) epoch: u64,
    pub(super) is_alive: bool,
    /// Its machine does not answer either.
    pub(super) is_unreachable: bool,
    /// It accepts no connections before this time.
    pub(super) not_listening_until: Millis,
    /// It is paused until this time.
    pub(super) paused_until: Millis,
    /// The handle behind each name.
    names: [Option<u32>; NAMES as usize],
    /// Counts the changes of `names`.
    pub(super) names_state: u64,
    pub(super) map: Vec<Entry>,
    /// The dialler of each channel: by node and number.
    pub(super) channels: BTreeMap<(usize, u32), usize>,
}

impl Node {
    pub(super) fn new(node: usize, nodes: usize) -> Node {
        Node {
            process: Process { node, generation: 0 },
            epoch: 0,
            is_alive: false,
            is_unreachable: false,
            not_listening_until: 0,
            paused_until: 0,
            names: [None; NAMES as usize],
            names_state: 0,
            map: (0..nodes).map(Entry::At).collect(),
            channels: BTreeMap::new(),
        }
    }

    /// Starts a new process, without any state of the previous one.
    pub(super) fn start(&mut self, random: &mut Random) {
        let Process { node, generation } = self.process;
        *self = Node {
            process: Process {
                node,
                generation: generation + 1,
            },
            epoch: random.next(),
            is_alive: true,
            ..Node::new(node, self.map.len())
        };
        for number in 0..NAMES {
            self.register(number, true);
        }
    }

    /// Gives a name another handle, or none.
    pub(super) fn register(&mut self, number: u8, is_there: bool) -> Option<u32> {
        self.names_state += 1;
        let handle = is_there.then_some(HANDLE_FIRST + self.names_state as u32);
        self.names[usize::from(number)] = handle;
        handle
    }

    /// The handle behind a name.
    pub(super) fn resolve(&self, name: &[u8]) -> Option<u32> {
        let names = 0..NAMES;
        let number = names.into_iter().find(|number| name_text(*number) == name)?;
        self.handle_of(number)
    }

    pub(super) fn handle_of(&self, number: u8) -> Option<u32> {
        self.names.get(usize::from(number)).copied().flatten()
    }

    /// Its hello.
    pub(super) fn hello(&self, random: &mut Random, channel: u32, channels: u32) -> Hello {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..8].copy_from_slice(&random.next().to_le_bytes());
        Hello {
            version: VERSION,
            node: format!("node{}", self.process.node),
            channel,
            channels,
            threads: 1,
            epoch: self.epoch,
            nonce,
            // The link sets this field.
            resume: Resumption::Off,
            attempt: 0,
            traces: false,
        }
    }

    /// Until when the process was paused: calls whose deadline has passed meanwhile may end then.
    pub(super) fn paused_until(&self) -> Millis {
        self.paused_until
    }
}

/// The text of a name in requests.
pub(super) fn name_text(number: u8) -> &'static [u8] {
    const TEXTS: [&[u8]; NAMES as usize] = [b"@sdb", b".agent", b"@a.name.that.is.longer.than.the.others"];
    TEXTS[usize::from(number)]
}

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

/// What the map of a process says of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is there: at the place of the node with that number.
    At(usize),
    Disabled,
}

/// A node and the process that it is now.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) process: Process,
    pub(super) epoch: u64,
    pub(super) is_alive: bool,
    /// Not even its machine answers.
    pub(super) is_unreachable: bool,
    /// It accepts no connections before.
    pub(super) deaf_until: Millis,
    /// It does nothing before.
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
            deaf_until: 0,
            paused_until: 0,
            names: [None; NAMES as usize],
            names_state: 0,
            map: (0..nodes).map(Entry::At).collect(),
            channels: BTreeMap::new(),
        }
    }

    /// A new process, which knows nothing of the one before.
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

    /// What it says of itself.
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
            // A link says what it wants.
            resume: Resumption::Off,
        }
    }

    /// Until when a call may end whose deadline came while the process was paused; 0 when none may.
    pub(super) fn excuse(&self) -> Millis {
        self.paused_until
    }
}

/// A name as requests say it.
pub(super) fn name_text(number: u8) -> &'static [u8] {
    const TEXTS: [&[u8]; NAMES as usize] = [b"@sdb", b".agent", b"@a.name.that.is.longer.than.the.others"];
    TEXTS[usize::from(number)]
}

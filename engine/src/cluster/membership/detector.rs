//! What is known of other nodes: who is up, who is suspect, who is down, and who was restarted.
//!
//! The first shard has the node's only detector. Channels of all shards bring it evidence; what it concludes
//! is told to all shards in the same order. So every shard, and every service that listens, sees the same
//! history of a node.
//!
//! The rule, all of it:
//! - a node is *up* while one of its channels has a connection on which there are signs of life;
//! - without one it is *suspect*: the last connection broke or went quiet, or the first attempt failed;
//! - it is *down* when that has lasted as long as is bearable, when a connection shows no sign of life for as
//!   long, or when the node itself has said goodbye;
//! - the first connection on which it answers makes it up again, and when the epoch in its hello is another
//!   one, it was restarted.
//!
//! Invariants: each change is reported once; time in which this process itself was stopped is not counted against
//! others; a node of which nothing was ever tried is not judged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::error::Text;

/// What a node thinks of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NodeState {
    /// Nothing: it was never called or monitored, or it is not in the map, or turned off there.
    #[default]
    Unknown,
    /// It shows signs of life.
    Up,
    /// Its last connection is gone or quiet, or the first attempt to connect has failed. Calls wait.
    Suspect,
    /// It has shown no sign of life for too long, or it has said goodbye. Calls fail at once.
    Down,
}

impl NodeState {
    /// `unknown`, `up`, `suspect` or `down`.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Unknown => "unknown",
            NodeState::Up => "up",
            NodeState::Suspect => "suspect",
            NodeState::Down => "down",
        }
    }
}

/// What has become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeChange {
    /// It is up.
    Up,
    /// It is up, and it is another process than before.
    Restarted,
    /// It is suspect.
    Suspect,
    /// It is down.
    Down,
    /// The map has turned it off, or has another address for it: what was known of it does not hold any more.
    Forgotten,
    /// It is a group, and its messages go to another member now, which the cause names.
    Switched,
}

impl NodeChange {
    /// `up`, `restarted`, `suspect`, `down`, `forgotten` or `switched`.
    pub fn name(self) -> &'static str {
        match self {
            NodeChange::Up => "up",
            NodeChange::Restarted => "restarted",
            NodeChange::Suspect => "suspect",
            NodeChange::Down => "down",
            NodeChange::Forgotten => "forgotten",
            NodeChange::Switched => "switched",
        }
    }

    /// The state that it leads to.
    pub fn state(self) -> NodeState {
        match self {
            NodeChange::Up | NodeChange::Restarted | NodeChange::Switched => NodeState::Up,
            NodeChange::Suspect => NodeState::Suspect,
            NodeChange::Down => NodeState::Down,
            NodeChange::Forgotten => NodeState::Unknown,
        }
    }
}

/// One change of what is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node's name in the cluster map.
    pub node: Text,
    /// What has become of it.
    pub change: NodeChange,
    /// Why: what broke, what was waited for in vain; of a group, the member that its messages go to.
    pub cause: Text,
    /// When this node came to know it.
    pub time: SystemTime,
}

impl NodeEvent {
    /// An event of this moment.
    pub(crate) fn now(node: &Text, change: NodeChange, cause: Text) -> NodeEvent {
        NodeEvent {
            node: Text::clone(node),
            change,
            cause,
            time: SystemTime::now(),
        }
    }

    /// Its time, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a channel has seen of its node.
#[derive(Debug, Clone)]
pub(crate) enum Evidence {
    /// An attempt to connect begins.
    Dialling,
    /// An attempt has failed.
    Failed(Text),
    /// The node has answered on a new connection; its epoch, if it says one.
    Connected(Option<u64>),
    /// Nothing was heard on the connection for half of the time that is bearable.
    Quiet,
    /// It is quiet no more.
    Heard,
    /// The connection is gone, and why.
    Lost(Text),
    /// It was given up, because nothing was heard on it for as long as is bearable.
    Silent(Text),
    /// The node has said that it is stopping.
    Goodbye,
}

/// What is known of one node.
#[derive(Debug, Default)]
struct Watched {
    state: NodeState,
    /// The channels that have a connection with signs of life.
    heard: Vec<u32>,
    epoch: Option<u64>,
    /// Since when no channel has had one.
    silent_since: Option<Millis>,
    /// What was seen last that speaks against it.
    cause: Option<Text>,
    /// It has said goodbye, and has not answered on a new connection since.
    is_draining: bool,
}

impl Watched {
    fn hear(&mut self, channel: u32) {
        if !self.heard.contains(&channel) {
            self.heard.push(channel);
        }
        self.silent_since = None;
    }

    fn miss(&mut self, channel: u32) {
        self.heard.retain(|heard| *heard != channel);
    }

    fn change(&mut self, change: NodeChange) -> Option<NodeChange> {
        let state = change.state();
        if self.state == state && change != NodeChange::Restarted {
            return None;
        }
        self.state = state;
        Some(change)
    }

    /// Without a channel that is heard it is suspect, unless it is known to be down.
    fn suspect(&mut self, since: Millis, cause: Text) -> Option<NodeChange> {
        if !self.heard.is_empty() {
            return None;
        }
        self.cause = Some(cause);
        if self.state == NodeState::Down {
            return None;
        }
        self.silent_since.get_or_insert(since);
        self.change(NodeChange::Suspect)
    }

    fn lay_down(&mut self, cause: Text) -> Option<NodeChange> {
        self.silent_since = None;
        self.cause = Some(cause);
        self.change(NodeChange::Down)
    }
}

/// Everything that is known of other nodes; see the module.
#[derive(Debug)]
pub(crate) struct Detector {
    /// How long the absence of every sign of life is bearable; 0 = for ever.
    down_after_ms: Millis,
    nodes: FxHashMap<Text, Watched>,
}

impl Detector {
    pub(crate) fn new(down_after_ms: Millis) -> Detector {
        Detector {
            down_after_ms,
            nodes: FxHashMap::default(),
        }
    }

    /// Takes what a channel has seen; says what that makes of the node, if anything changes.
    pub(crate) fn note(
        &mut self,
        now: Millis,
        node: &Text,
        channel: u32,
        evidence: Evidence,
    ) -> Option<(NodeChange, Text)> {
        let half = self.down_after_ms / 2;
        let watched = self.nodes.entry(Text::clone(node)).or_default();
        let change = match evidence {
            Evidence::Dialling => {
                if watched.heard.is_empty() && watched.state != NodeState::Down {
                    watched.silent_since.get_or_insert(now);
                }
                None
            }
            Evidence::Failed(cause) => watched.suspect(now, cause),
            Evidence::Connected(epoch) => {
                watched.hear(channel);
                watched.is_draining = false;
                let before = watched.epoch;
                watched.epoch = epoch.or(before);
                let is_another = before.is_some() && before != watched.epoch;
                let cause = match (is_another, watched.state) {
                    (true, _) => "another process answers",
                    (false, NodeState::Unknown) => "it answers",
                    (false, _) => "it answers again",
                };
                watched.cause = Some(cause.into());
                watched.change(match is_another {
                    true => NodeChange::Restarted,
                    false => NodeChange::Up,
                })
            }
            Evidence::Quiet => {
                watched.miss(channel);
                let cause = format!("no sign of life for {half} ms");
                watched.suspect(now.saturating_sub(half), cause.into())
            }
            Evidence::Heard if watched.is_draining => None,
            Evidence::Heard => {
                watched.hear(channel);
                watched.cause = Some("it is heard again".into());
                watched.change(NodeChange::Up)
            }
            Evidence::Lost(cause) => {
                watched.miss(channel);
                watched.suspect(now, cause)
            }
            Evidence::Silent(cause) => {
                watched.miss(channel);
                match watched.heard.is_empty() {
                    true => watched.lay_down(cause),
                    false => None,
                }
            }
            Evidence::Goodbye => {
                watched.heard.clear();
                watched.is_draining = true;
                watched.lay_down("it has said goodbye: it is stopping".into())
            }
        };
        change.map(|change| (change, watched.cause.clone().unwrap_or_else(|| "".into())))
    }

    /// One node whose time is over at `now`, with the last that was seen of it. To be asked until there is none.
    pub(crate) fn poll(&mut self, now: Millis) -> Option<(Text, Option<Text>)> {
        if self.down_after_ms == 0 {
            return None;
        }
        for (node, watched) in &mut self.nodes {
            let Some(since) = watched.silent_since else {
                continue;
            };
            let late = now.saturating_sub(since + self.down_after_ms);
            if now < since + self.down_after_ms {
                continue;
            }
            if late > self.down_after_ms / 2 {
                // This process was stopped itself: it gives others the time that it could not see.
                watched.silent_since = Some(since + late + self.down_after_ms / 2);
                continue;
            }
            let cause = watched.cause.clone();
            watched.silent_since = None;
            if watched.change(NodeChange::Down).is_some() {
                return Some((Text::clone(node), cause));
            }
        }
        None
    }

    /// When to poll next.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        if self.down_after_ms == 0 {
            return None;
        }
        let silent = self.nodes.values().filter_map(|watched| watched.silent_since);
        silent.min().map(|since| since + self.down_after_ms)
    }

    /// Forgets a node; whether there was anything to forget.
    pub(crate) fn forget(&mut self, node: &str) -> bool {
        let forgotten = self.nodes.remove(node);
        forgotten.is_some_and(|watched| watched.state != NodeState::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN_AFTER_MS: Millis = 2_000;

    struct Bench {
        detector: Detector,
        node: Text,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                detector: Detector::new(DOWN_AFTER_MS),
                node: "db".into(),
            }
        }

        fn note(&mut self, now: Millis, channel: u32, evidence: Evidence) -> Option<NodeChange> {
            let noted = self.detector.note(now, &self.node, channel, evidence);
            noted.map(|(change, _)| change)
        }

        fn is_down_at(&mut self, now: Millis) -> bool {
            self.detector.poll(now).is_some()
        }
    }

    fn lost() -> Evidence {
        Evidence::Lost("closed by the peer".into())
    }

    fn failed() -> Evidence {
        Evidence::Failed("refused".into())
    }

    #[test]
    fn a_broken_connection_that_is_made_again_at_once_puts_nobody_down() {
        let mut bench = Bench::new();
        assert_eq!(
            bench.note(0, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
        assert_eq!(bench.note(1_000, 1, lost()), Some(NodeChange::Suspect));
        assert_eq!(bench.note(1_000, 1, failed()), None);
        assert!(!bench.is_down_at(2_999));
        assert_eq!(
            bench.note(2_999, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
        assert!(!bench.is_down_at(60_000));
    }

    #[test]
    fn a_node_that_stays_away_is_down_and_its_first_answer_ends_that() {
        let mut bench = Bench::new();
        bench.note(0, 1, Evidence::Connected(Some(7)));
        bench.note(1_000, 1, lost());
        bench.note(2_900, 1, failed());
        assert_eq!(bench.detector.next_deadline(), Some(3_000));
        let (_, cause) = bench.detector.poll(3_000).expect("it is down");
        assert_eq!(cause.as_deref(), Some("refused"), "the newest cause");
        assert!(!bench.is_down_at(3_001), "it is said once");
        assert_eq!(bench.note(5_000, 1, failed()), None);
        assert_eq!(bench.detector.next_deadline(), None);
        assert_eq!(
            bench.note(9_000, 1, Evidence::Connected(Some(8))),
            Some(NodeChange::Restarted)
        );
        assert_eq!(bench.note(9_000, 2, Evidence::Connected(Some(8))), None);
    }

    #[test]
    fn a_node_that_was_never_met_is_suspect_at_the_first_failure_and_down_in_the_same_time() {
        let mut bench = Bench::new();
        assert_eq!(bench.note(500, 1, Evidence::Dialling), None);
        assert_eq!(bench.note(600, 1, failed()), Some(NodeChange::Suspect));
        assert!(!bench.is_down_at(2_499));
        assert!(bench.is_down_at(2_500), "from the first attempt on");
        // One that takes the connection and says nothing has no failed attempt.
        let mut bench = Bench::new();
        bench.note(0, 1, Evidence::Dialling);
        assert!(bench.is_down_at(2_000));
    }

    #[test]
    fn one_channel_that_is_heard_keeps_a_node_up() {
        let mut bench = Bench::new();
        bench.note(0, 1, Evidence::Connected(Some(7)));
        bench.note(0, 2, Evidence::Connected(Some(7)));
        assert_eq!(bench.note(1_000, 1, Evidence::Quiet), None);
        assert_eq!(bench.note(2_000, 1, Evidence::Silent("silent".into())), None);
        assert_eq!(bench.note(2_500, 1, failed()), None);
        assert!(!bench.is_down_at(10_000));
        assert_eq!(bench.note(11_000, 2, Evidence::Quiet), Some(NodeChange::Suspect));
        assert_eq!(bench.note(11_100, 2, Evidence::Heard), Some(NodeChange::Up));
        assert_eq!(bench.note(12_000, 2, Evidence::Quiet), Some(NodeChange::Suspect));
        assert_eq!(
            bench.note(13_000, 2, Evidence::Silent("silent".into())),
            Some(NodeChange::Down)
        );
    }

    #[test]
    fn who_says_goodbye_is_down_until_it_answers_on_a_new_connection() {
        let mut bench = Bench::new();
        bench.note(0, 1, Evidence::Connected(Some(7)));
        bench.note(0, 2, Evidence::Connected(Some(7)));
        assert_eq!(bench.note(100, 2, Evidence::Goodbye), Some(NodeChange::Down));
        assert_eq!(bench.note(100, 1, Evidence::Goodbye), None);
        assert_eq!(bench.note(110, 1, Evidence::Heard), None);
        assert_eq!(bench.note(120, 1, lost()), None);
        assert_eq!(
            bench.note(5_000, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
    }

    #[test]
    fn time_in_which_this_process_was_stopped_itself_does_not_count() {
        let mut bench = Bench::new();
        bench.note(0, 1, Evidence::Connected(None));
        bench.note(100, 1, lost());
        // Asleep from 200 to 60,000.
        assert!(!bench.is_down_at(60_000));
        assert!(
            bench
                .detector
                .next_deadline()
                .is_some_and(|deadline| deadline > 60_000)
        );
        assert!(bench.is_down_at(62_000));
    }

    #[test]
    fn nobody_is_put_down_where_nothing_is_watched() {
        let mut detector = Detector::new(0);
        let node = Text::from("db");
        detector.note(0, &node, 1, Evidence::Dialling);
        detector.note(0, &node, 1, failed());
        assert_eq!(detector.next_deadline(), None);
        assert!(detector.poll(Millis::MAX / 2).is_none());
    }
}

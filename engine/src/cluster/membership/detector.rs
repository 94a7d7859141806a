//! The failure detector: which nodes are up, suspect or down, and which were restarted.
//!
//! The first shard has the node's only detector. Channels of all shards report evidence to it, and it sends its
//! conclusions to all shards in the same order. So every shard, and every service with a monitor, sees the same
//! history of a node.
//!
//! The rules:
//! - a node is *up* while one of its channels has a connection on which there are signs of life;
//! - without one it is *suspect*: the last connection broke or went quiet, or the first attempt failed;
//! - it is *down* when that has lasted for the configured time, when a connection shows no sign of life for as long,
//!   when the node itself has said goodbye, or when it refuses this node or is not trusted;
//! - the first connection on which it answers makes it up again; when the epoch in its hello has changed, it was
//!   restarted.
//!
//! Invariants: each change is reported once; time in which this process itself was stopped does not count against
//! other nodes; a node that was never tried has no state.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::error::Text;
use crate::rt;

/// The state of a node, as another node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NodeState {
    /// It was never called or monitored, or it is not in the map, or the map disables it.
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

/// A change of the state of a node.
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
    /// The map disables it, or has another address for it, or its unused connection was closed: its state before no longer
    /// holds.
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

/// One change of the state of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node's name in the cluster map.
    pub node: Text,
    /// The change.
    pub change: NodeChange,
    /// The cause; of a group, the member that its messages go to.
    pub cause: Text,
    /// When this node detected it.
    pub time: SystemTime,
}

impl NodeEvent {
    /// An event of this moment.
    pub(crate) fn now(node: &Text, change: NodeChange, cause: Text) -> NodeEvent {
        NodeEvent {
            node: Text::clone(node),
            change,
            cause,
            time: rt::wall_clock(),
        }
    }

    /// Its time, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a channel has observed of its node.
#[derive(Debug, Clone)]
pub(crate) enum Evidence {
    /// An attempt to connect begins.
    Dialling,
    /// An attempt has failed.
    Failed(Text),
    /// The node refuses this one, or is not trusted: it is down at once, unless another channel has a connection.
    Denied(Text),
    /// The node has answered on a new connection; its epoch, if its hello has one.
    Connected(Option<u64>),
    /// The connection received nothing for half of the configured time.
    Quiet,
    /// The connection receives again.
    Heard,
    /// The connection is lost, with the cause.
    Lost(Text),
    /// The connection was abandoned, because it received nothing for the configured time.
    Silent(Text),
    /// The connection was closed because it was not used.
    Closed,
    /// The node has said that it is stopping.
    Goodbye,
    /// A source of the map says that the node has left.
    Left(Text),
}

/// The record of one node.
#[derive(Debug, Default)]
struct NodeRecord {
    state: NodeState,
    /// The channels that have a connection with signs of life.
    live: Vec<u32>,
    epoch: Option<u64>,
    /// Since when there is no such channel.
    silent_since: Option<Millis>,
    /// The last cause to suspect it.
    cause: Option<Text>,
    /// It has said goodbye, and has not answered on a new connection since.
    is_draining: bool,
}

impl NodeRecord {
    fn add_live(&mut self, channel: u32) {
        if !self.live.contains(&channel) {
            self.live.push(channel);
        }
        self.silent_since = None;
    }

    fn remove_live(&mut self, channel: u32) {
        self.live.retain(|live| *live != channel);
    }

    fn change(&mut self, change: NodeChange) -> Option<NodeChange> {
        let state = change.state();
        if self.state == state && change != NodeChange::Restarted {
            return None;
        }
        self.state = state;
        Some(change)
    }

    /// Marks the node as suspect if it has no live channel and is not down.
    fn suspect(&mut self, since: Millis, cause: Text) -> Option<NodeChange> {
        if !self.live.is_empty() {
            return None;
        }
        self.cause = Some(cause);
        if self.state == NodeState::Down {
            return None;
        }
        self.silent_since.get_or_insert(since);
        self.change(NodeChange::Suspect)
    }

    fn mark_down(&mut self, cause: Text) -> Option<NodeChange> {
        self.silent_since = None;
        self.cause = Some(cause);
        self.change(NodeChange::Down)
    }
}

/// The failure detector; see the module.
#[derive(Debug)]
pub(crate) struct Detector {
    /// How long a node may show no sign of life before it is down; 0 = for ever.
    down_after_ms: Millis,
    nodes: FxHashMap<Text, NodeRecord>,
}

impl Detector {
    pub(crate) fn new(down_after_ms: Millis) -> Detector {
        Detector {
            down_after_ms,
            nodes: FxHashMap::default(),
        }
    }

    /// Applies what a channel has observed; returns the change and its cause, if the state changes.
    pub(crate) fn apply(
        &mut self,
        now: Millis,
        node: &Text,
        channel: u32,
        evidence: Evidence,
    ) -> Option<(NodeChange, Text)> {
        let half = self.down_after_ms / 2;
        let record = self.nodes.entry(Text::clone(node)).or_default();
        let change = match evidence {
            Evidence::Dialling => {
                if record.live.is_empty() && record.state != NodeState::Down {
                    record.silent_since.get_or_insert(now);
                }
                None
            }
            Evidence::Failed(cause) => record.suspect(now, cause),
            Evidence::Denied(cause) => match record.live.is_empty() {
                true => record.mark_down(cause),
                false => None,
            },
            Evidence::Connected(epoch) => {
                record.add_live(channel);
                record.is_draining = false;
                let before = record.epoch;
                record.epoch = epoch.or(before);
                let is_another = before.is_some() && before != record.epoch;
                let cause = match (is_another, record.state) {
                    (true, _) => "another process answers",
                    (false, NodeState::Unknown) => "it answers",
                    (false, _) => "it answers again",
                };
                record.cause = Some(cause.into());
                record.change(match is_another {
                    true => NodeChange::Restarted,
                    false => NodeChange::Up,
                })
            }
            Evidence::Quiet => {
                record.remove_live(channel);
                let cause = format!("no sign of life for {half} ms");
                record.suspect(now.saturating_sub(half), cause.into())
            }
            Evidence::Heard if record.is_draining => None,
            Evidence::Heard => {
                record.add_live(channel);
                record.cause = Some("it is heard again".into());
                record.change(NodeChange::Up)
            }
            Evidence::Lost(cause) => {
                record.remove_live(channel);
                record.suspect(now, cause)
            }
            Evidence::Silent(cause) => {
                record.remove_live(channel);
                match record.live.is_empty() {
                    true => record.mark_down(cause),
                    false => None,
                }
            }
            Evidence::Closed => {
                record.remove_live(channel);
                record.cause = Some("it is not used".into());
                match record.live.is_empty() && record.state == NodeState::Up {
                    true => record.change(NodeChange::Forgotten),
                    false => None,
                }
            }
            // A node that answers has only lost the source.
            Evidence::Left(_) if !record.live.is_empty() => None,
            Evidence::Left(cause) => record.mark_down(cause),
            Evidence::Goodbye => {
                record.live.clear();
                record.is_draining = true;
                record.mark_down("it has said goodbye: it is stopping".into())
            }
        };
        change.map(|change| (change, record.cause.clone().unwrap_or_else(|| "".into())))
    }

    /// Marks one node as down whose time has elapsed at `now`, and returns it with its last cause. Call it until it
    /// returns `None`.
    pub(crate) fn poll(&mut self, now: Millis) -> Option<(Text, Option<Text>)> {
        if self.down_after_ms == 0 {
            return None;
        }
        for (node, record) in &mut self.nodes {
            let Some(since) = record.silent_since else {
                continue;
            };
            let late = now.saturating_sub(since + self.down_after_ms);
            if now < since + self.down_after_ms {
                continue;
            }
            if late > self.down_after_ms / 2 {
                // This process itself was stopped: the node gets the time in which nothing could be received.
                record.silent_since = Some(since + late + self.down_after_ms / 2);
                continue;
            }
            let cause = record.cause.clone();
            record.silent_since = None;
            if record.change(NodeChange::Down).is_some() {
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
        let silent = self.nodes.values().filter_map(|record| record.silent_since);
        silent.min().map(|since| since + self.down_after_ms)
    }

    /// Removes the record of a node; returns whether it had a state.
    pub(crate) fn forget(&mut self, node: &str) -> bool {
        let forgotten = self.nodes.remove(node);
        forgotten.is_some_and(|record| record.state != NodeState::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN_AFTER_MS: Millis = 2_000;

    struct Fixture {
        detector: Detector,
        node: Text,
    }

    impl Fixture {
        fn new() -> Fixture {
            Fixture {
                detector: Detector::new(DOWN_AFTER_MS),
                node: "db".into(),
            }
        }

        fn apply(&mut self, now: Millis, channel: u32, evidence: Evidence) -> Option<NodeChange> {
            let change = self.detector.apply(now, &self.node, channel, evidence);
            change.map(|(change, _)| change)
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
    fn a_broken_connection_that_is_reconnected_at_once_marks_no_node_down() {
        let mut test = Fixture::new();
        assert_eq!(
            test.apply(0, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
        assert_eq!(test.apply(1_000, 1, lost()), Some(NodeChange::Suspect));
        assert_eq!(test.apply(1_000, 1, failed()), None);
        assert!(!test.is_down_at(2_999));
        assert_eq!(
            test.apply(2_999, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
        assert!(!test.is_down_at(60_000));
    }

    #[test]
    fn a_node_that_stays_away_is_down_and_its_first_answer_ends_that() {
        let mut test = Fixture::new();
        test.apply(0, 1, Evidence::Connected(Some(7)));
        test.apply(1_000, 1, lost());
        test.apply(2_900, 1, failed());
        assert_eq!(test.detector.next_deadline(), Some(3_000));
        let (_, cause) = test.detector.poll(3_000).expect("it is down");
        assert_eq!(cause.as_deref(), Some("refused"), "the newest cause");
        assert!(!test.is_down_at(3_001), "it is reported once");
        assert_eq!(test.apply(5_000, 1, failed()), None);
        assert_eq!(test.detector.next_deadline(), None);
        assert_eq!(
            test.apply(9_000, 1, Evidence::Connected(Some(8))),
            Some(NodeChange::Restarted)
        );
        assert_eq!(test.apply(9_000, 2, Evidence::Connected(Some(8))), None);
    }

    #[test]
    fn a_node_that_was_never_reached_is_suspect_at_the_first_failure_and_down_in_the_same_time() {
        let mut test = Fixture::new();
        assert_eq!(test.apply(500, 1, Evidence::Dialling), None);
        assert_eq!(test.apply(600, 1, failed()), Some(NodeChange::Suspect));
        assert!(!test.is_down_at(2_499));
        assert!(test.is_down_at(2_500), "from the first attempt on");
        // A node that accepts the connection and sends nothing has no failed attempt.
        let mut test = Fixture::new();
        test.apply(0, 1, Evidence::Dialling);
        assert!(test.is_down_at(2_000));
    }

    #[test]
    fn one_live_channel_keeps_a_node_up() {
        let mut test = Fixture::new();
        test.apply(0, 1, Evidence::Connected(Some(7)));
        test.apply(0, 2, Evidence::Connected(Some(7)));
        assert_eq!(test.apply(1_000, 1, Evidence::Quiet), None);
        assert_eq!(test.apply(2_000, 1, Evidence::Silent("silent".into())), None);
        assert_eq!(test.apply(2_500, 1, failed()), None);
        assert!(!test.is_down_at(10_000));
        assert_eq!(test.apply(11_000, 2, Evidence::Quiet), Some(NodeChange::Suspect));
        assert_eq!(test.apply(11_100, 2, Evidence::Heard), Some(NodeChange::Up));
        assert_eq!(test.apply(12_000, 2, Evidence::Quiet), Some(NodeChange::Suspect));
        assert_eq!(
            test.apply(13_000, 2, Evidence::Silent("silent".into())),
            Some(NodeChange::Down)
        );
    }

    #[test]
    fn a_node_that_says_goodbye_is_down_until_it_answers_on_a_new_connection() {
        let mut test = Fixture::new();
        test.apply(0, 1, Evidence::Connected(Some(7)));
        test.apply(0, 2, Evidence::Connected(Some(7)));
        assert_eq!(test.apply(100, 2, Evidence::Goodbye), Some(NodeChange::Down));
        assert_eq!(test.apply(100, 1, Evidence::Goodbye), None);
        assert_eq!(test.apply(110, 1, Evidence::Heard), None);
        assert_eq!(test.apply(120, 1, lost()), None);
        assert_eq!(
            test.apply(5_000, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
    }

    #[test]
    fn a_node_that_has_left_is_down_unless_it_shows_signs_of_life() {
        let left = || Evidence::Left("its lease has run out".into());
        let mut test = Fixture::new();
        assert_eq!(test.apply(0, 0, left()), Some(NodeChange::Down), "never tried");
        assert_eq!(
            test.apply(10, 1, Evidence::Connected(Some(7))),
            Some(NodeChange::Up)
        );
        assert_eq!(test.apply(20, 0, left()), None, "it is connected");
        assert_eq!(test.apply(30, 1, lost()), Some(NodeChange::Suspect));
        assert_eq!(test.apply(40, 0, left()), Some(NodeChange::Down));
        assert_eq!(test.apply(50, 0, left()), None, "reported once");
    }

    #[test]
    fn time_in_which_this_process_was_stopped_does_not_count() {
        let mut test = Fixture::new();
        test.apply(0, 1, Evidence::Connected(None));
        test.apply(100, 1, lost());
        // Asleep from 200 to 60,000.
        assert!(!test.is_down_at(60_000));
        assert!(
            test.detector
                .next_deadline()
                .is_some_and(|deadline| deadline > 60_000)
        );
        assert!(test.is_down_at(62_000));
    }

    #[test]
    fn no_node_is_marked_down_when_the_detector_is_off() {
        let mut detector = Detector::new(0);
        let node = Text::from("db");
        detector.apply(0, &node, 1, Evidence::Dialling);
        detector.apply(0, &node, 1, failed());
        assert_eq!(detector.next_deadline(), None);
        assert!(detector.poll(Millis::MAX / 2).is_none());
    }
}

//! Groups: several nodes behind one name. A message for the name goes to one of them, as the group's policy
//! says, and a call that certainly did not run there goes to the next.
//!
//! Every shard has its own view of the groups, made anew when the map changes, with what it knows of each
//! member. A message to a group takes one look-up more than one to a node; messages to nodes pay nothing.
//!
//! With a policy that is steady, callers stay with their member while its connection is only cut: for
//! [`SWITCH_PAUSE_MS`] after a loss its messages wait here, in order, until it is back or others take over.
//!
//! Invariants: what waits here is bounded; no `RefCell` is borrowed while a message goes on its way, which may
//! come back at once as an answer.

mod calls;
mod choice;
mod nearest;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use self::calls::GroupCall;
use self::choice::{Candidate, Situation, Standing, choose};
use super::detector::{NodeChange, NodeEvent, NodeState};
use super::route::Route;
use super::{ClusterShard, Entry};
use crate::config::{ClusterMap, NodeEntry, Policy, region};
use crate::error::{Error, Text};
use crate::rt;
use crate::service::handle::Handle;
use crate::shard::Shard;
use crate::shard::envelope::{RemoteRequest, ReplyTo};
use crate::shard::slab::Slab;

/// How long messages wait for a member whose connection was lost before they go to another, in milliseconds.
const SWITCH_PAUSE_MS: Millis = 50;

/// Messages of one shard that wait so for one group; further ones go to another member at once.
pub const GROUP_WAITING_MAX: usize = 16_384;

/// Calls to groups that one shard has under way.
pub const GROUP_CALLS_MAX: usize = 1 << 20;

/// A member, as one shard sees it.
pub(super) struct Member {
    route: Rc<Route>,
    standing: Cell<Standing>,
    /// When its connection was lost last.
    paused_at: Cell<Millis>,
    in_flight: Cell<u32>,
    round_trip: Cell<Option<Duration>>,
    is_own_region: bool,
}

impl Member {
    fn name(&self) -> &Text {
        &self.route.node
    }
}

/// A group, as one shard sees it.
pub(super) struct Group {
    name: Text,
    policy: Policy,
    hedge_ms: Option<Millis>,
    members: Vec<Rc<Member>>,
    count: Cell<u64>,
    nearest: Cell<usize>,
    /// It was used, so its members are watched.
    is_used: Cell<bool>,
    /// On the first shard: whom the log has named last.
    announced: Cell<usize>,
    /// What waits for a member that may be back in a moment.
    waiting: RefCell<VecDeque<RemoteRequest>>,
}

impl Group {
    /// The member for a message, other than those in `tried`.
    fn choose(&self, key: u64, tried: u64) -> Option<usize> {
        let situation = Situation {
            key,
            count: self.count.replace(self.count.get().wrapping_add(1)),
            nearest: self.nearest.get(),
        };
        let candidate = |index: usize| {
            let member = &self.members[index];
            Candidate {
                name: member.name(),
                standing: member.standing.get(),
                in_flight: member.in_flight.get(),
                round_trip: member.round_trip.get(),
                is_own_region: member.is_own_region,
            }
        };
        let chosen = choose(self.policy, self.members.len(), candidate, tried, situation)?;
        if self.policy == Policy::Nearest && tried == 0 {
            self.nearest.set(chosen);
        }
        Some(chosen)
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| **member.name() == *name)
    }
}

/// The groups of a map. What is known of one that is the same is kept, and of members as far as they are.
fn make_groups(
    map: &ClusterMap,
    own_name: &str,
    known: &FxHashMap<Text, Rc<Group>>,
) -> FxHashMap<Text, Rc<Group>> {
    let own_region = region(own_name);
    map.groups()
        .map(|(name, group)| {
            (
                name.into(),
                make_group(map, name, own_region, group, known.get(name)),
            )
        })
        .collect()
}

fn make_group(
    map: &ClusterMap,
    name: &str,
    own_region: Option<&str>,
    group: &crate::config::Group,
    before: Option<&Rc<Group>>,
) -> Rc<Group> {
    if let Some(before) = before {
        let members = before.members.iter().map(|member| &**member.name());
        let is_same = before.policy == group.policy
            && before.hedge_ms == group.hedge_ms
            && members.eq(group.members.iter().map(String::as_str));
        if is_same {
            return Rc::clone(before);
        }
    }
    let member = |node: &String| {
        let known = before.and_then(|group| Some(&group.members[group.index_of(node)?]));
        known.cloned().unwrap_or_else(|| {
            Rc::new(Member {
                route: Route::new(node.as_str().into()),
                standing: Cell::new(match map.nodes.get(node) {
                    Some(NodeEntry::Address(_)) => Standing::Good,
                    Some(NodeEntry::Disabled) | None => Standing::Bad,
                }),
                paused_at: Cell::new(0),
                in_flight: Cell::new(0),
                round_trip: Cell::new(None),
                is_own_region: own_region.is_some() && region(node) == own_region,
            })
        })
    };
    Rc::new(Group {
        name: name.into(),
        policy: group.policy,
        hedge_ms: group.hedge_ms,
        members: group.members.iter().map(member).collect(),
        count: Cell::new(0),
        nearest: Cell::new(0),
        is_used: Cell::new(false),
        announced: Cell::new(0),
        waiting: RefCell::default(),
    })
}

/// The groups of one shard.
pub(crate) struct Groups {
    known: RefCell<FxHashMap<Text, Rc<Group>>>,
    calls: RefCell<Slab<GroupCall>>,
}

impl Groups {
    /// Those of the map that a node starts with; changes come by [`ClusterShard::groups_changed`].
    pub(super) fn of(map: &ClusterMap, own_name: &str) -> Groups {
        Groups {
            known: RefCell::new(make_groups(map, own_name, &FxHashMap::default())),
            calls: RefCell::default(),
        }
    }

    /// The group of that name.
    fn get(&self, name: &str) -> Option<Rc<Group>> {
        let known = self.known.borrow();
        // Most nodes know no groups.
        if known.is_empty() {
            None
        } else {
            known.get(name).cloned()
        }
    }

    /// Whether there is one of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known.borrow().contains_key(name)
    }

    fn with_member(&self, node: &str) -> Vec<(Rc<Group>, usize)> {
        let known = self.known.borrow();
        let groups = known.values();
        groups
            .filter_map(|group| Some((Rc::clone(group), group.index_of(node)?)))
            .collect()
    }
}

impl ClusterShard {
    /// Sends a message on its way to a member if it is for a group; gives it back if it is for a node.
    pub(super) fn route_to_group(&self, shard: &Rc<Shard>, request: RemoteRequest) -> Option<RemoteRequest> {
        let Some(group) = self.groups.get(&request.node) else {
            return Some(request);
        };
        if !group.is_used.replace(true) {
            self.keep_members(shard, &group.name);
            if group.policy == Policy::Nearest {
                rt::spawn(nearest::measure(Rc::clone(shard), Text::clone(&group.name)));
            }
        }
        self.dispatch(shard, &group, request);
        None
    }

    /// Has the members of a group watched, if there is one of that name.
    pub(super) fn keep_members(&self, shard: &Rc<Shard>, name: &str) -> bool {
        let Some(group) = self.groups.get(name) else {
            return false;
        };
        for member in &group.members {
            self.keep(shard, Text::clone(member.name()));
        }
        true
    }

    /// Sends a message to the member that the policy says, or keeps it if that may be back in a moment.
    fn dispatch(&self, shard: &Rc<Shard>, group: &Rc<Group>, mut request: RemoteRequest) {
        let Some(index) = group.choose(request.key, 0) else {
            return shard.refuse(request.reply_to, Error::Absent { node: request.node });
        };
        let member = &group.members[index];
        if member.standing.get() == Standing::Paused && group.policy.is_steady() {
            let mut waiting = group.waiting.borrow_mut();
            if waiting.len() < GROUP_WAITING_MAX {
                return waiting.push_back(request);
            }
        }
        if request.reply_to == ReplyTo::Nobody {
            request.node = Text::clone(member.name());
            return self.send_to_member(shard, member, request);
        }
        self.begin_group_call(shard, group, index, request);
    }

    /// Sends a message that names a member to it.
    fn send_to_member(&self, shard: &Rc<Shard>, member: &Member, mut request: RemoteRequest) {
        let Some(channel) = self.remembered(&member.route, request.key) else {
            return self.route_to_node(shard, request);
        };
        channel.request_remote(shard, &mut request);
    }

    // ---- what changes ----

    fn standing(&self, node: &str) -> Standing {
        match (self.entry(node), self.node_state(node)) {
            (Entry::Disabled | Entry::Absent { .. }, _) | (_, NodeState::Down) => Standing::Bad,
            (_, NodeState::Suspect) => Standing::Doubtful,
            (_, NodeState::Up | NodeState::Unknown) => Standing::Good,
        }
    }

    /// Makes the groups anew that a changed map has changed.
    pub(super) fn groups_changed(&self, shard: &Rc<Shard>) {
        let made = self.map.read(|map| {
            let known = self.groups.known.borrow();
            make_groups(map, &shard.node.settings.name, &known)
        });
        let before = std::mem::replace(&mut *self.groups.known.borrow_mut(), made);
        for group in before.into_values() {
            let is_new = self
                .groups
                .get(&group.name)
                .is_none_or(|now| !Rc::ptr_eq(&now, &group));
            if is_new {
                self.release_group(shard, &group);
            }
        }
        let groups: Vec<Rc<Group>> = self.groups.known.borrow().values().cloned().collect();
        for group in groups {
            for member in &group.members {
                let standing = self.standing(member.name());
                // A pause has its own end.
                if !(member.standing.get() == Standing::Paused && standing == Standing::Doubtful) {
                    member.standing.set(standing);
                }
            }
            self.announce_switch(shard, &group);
        }
    }

    /// A node is up, suspect or down: the groups that it is a member of act on it.
    pub(super) fn member_changed(&self, shard: &Rc<Shard>, node: &Text) {
        let standing = self.standing(node);
        for (group, index) in self.groups.with_member(node) {
            let member = &group.members[index];
            let is_loss = standing == Standing::Doubtful && member.standing.get() == Standing::Good;
            if is_loss && group.policy.is_steady() {
                member.standing.set(Standing::Paused);
                self.begin_pause(shard, member);
            } else if standing != Standing::Doubtful || member.standing.get() != Standing::Paused {
                member.standing.set(standing);
                self.act_on_standing(shard, &group, index);
            }
        }
    }

    fn begin_pause(&self, shard: &Rc<Shard>, member: &Rc<Member>) {
        member.paused_at.set(shard.update_now());
        let (shard, node) = (Rc::clone(shard), Text::clone(member.name()));
        rt::spawn(async move {
            rt::timer::sleep(Duration::from_millis(SWITCH_PAUSE_MS)).await;
            shard.io_seen();
            shard.cluster.end_pauses(&shard, &node);
        });
    }

    /// A pause is over: who is still paused is suspect.
    fn end_pauses(&self, shard: &Rc<Shard>, node: &Text) {
        for (group, index) in self.groups.with_member(node) {
            let member = &group.members[index];
            let is_over = shard.now() >= member.paused_at.get() + SWITCH_PAUSE_MS;
            if member.standing.get() == Standing::Paused && is_over {
                member.standing.set(Standing::Doubtful);
                self.act_on_standing(shard, &group, index);
            }
        }
    }

    /// A member has another standing now, which is no pause.
    fn act_on_standing(&self, shard: &Rc<Shard>, group: &Rc<Group>, index: usize) {
        if group.members[index].standing.get() > Standing::Paused {
            self.leave_member(shard, group, index);
        }
        self.release_group(shard, group);
        self.announce_switch(shard, group);
    }

    /// Sends what waits for a member on its way, in order.
    fn release_group(&self, shard: &Rc<Shard>, group: &Rc<Group>) {
        let waiting = std::mem::take(&mut *group.waiting.borrow_mut());
        for request in waiting {
            // By its name: the group may be another one now, or none.
            self.route(shard, request);
        }
    }

    /// On the first shard: says when the messages of a group go to another member than before.
    fn announce_switch(&self, shard: &Rc<Shard>, group: &Rc<Group>) {
        if shard.index != 0 || !matches!(group.policy, Policy::Failover | Policy::Nearest) {
            return;
        }
        let before = group.announced.get();
        let Some(now) = group.choose(0, 0).filter(|now| *now != before) else {
            return;
        };
        group.announced.set(now);
        let is_first = now == 0;
        let [before, now] = [before, now].map(|index| group.members[index].name());
        let why = match self.node_state(before) {
            state @ (NodeState::Suspect | NodeState::Down) => format!("{before} is {}", state.name()),
            NodeState::Up | NodeState::Unknown if group.policy == Policy::Nearest => {
                format!("{now} is nearer")
            }
            NodeState::Up | NodeState::Unknown => format!("{now} is up"),
        };
        let how = match group.policy {
            Policy::Failover if is_first => "is back on node",
            Policy::Failover => "switches to backup node",
            _ => "switches to node",
        };
        let name = &group.name;
        shard.log(Handle::NONE, format!("cluster group {name} {how} {now}: {why}"));
        let event = NodeEvent::now(name, NodeChange::Switched, Text::clone(now));
        crate::control::on_every_shard(shard, move |shard| shard.cluster.tell(shard, &event));
    }
}

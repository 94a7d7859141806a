//! The groups of one shard, and their members.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use skyring_codec::Millis;

use crate::cluster::group::call::GroupCall;
use crate::cluster::group::choice::{Candidate, ChoiceContext, Health, choose};
use crate::config::{ClusterMap, NodeEntry, Policy};
use crate::core::request::RemoteRequest;
use crate::core::route::Route;
use crate::core::slab::Slab;
use crate::error::Text;

/// Messages of one shard that wait for a paused member of one group; further ones go to another member at once.
pub const GROUP_WAITING_MAX: usize = 16_384;

/// Calls to groups that one shard has in flight.
pub const GROUP_CALLS_MAX: usize = 1 << 20;

/// A member, with its health on this shard.
pub(in crate::cluster) struct Member {
    pub(super) route: Rc<Route>,
    pub(super) health: Cell<Health>,
    /// When its last pause began.
    pub(super) paused_at: Cell<Millis>,
    pub(super) in_flight: Cell<u32>,
    pub(super) round_trip: Cell<Option<Duration>>,
    pub(super) is_own_region: Cell<bool>,
}

impl Member {
    pub(super) fn name(&self) -> &Text {
        &self.route.node
    }
}

/// A group, with its state on this shard.
pub(in crate::cluster) struct Group {
    pub(super) name: Text,
    pub(super) policy: Policy,
    pub(super) hedge_ms: Option<Millis>,
    pub(super) members: Vec<Rc<Member>>,
    pub(super) count: Cell<u64>,
    pub(super) nearest: Cell<usize>,
    /// It was used, so its members are watched.
    pub(super) is_used: Cell<bool>,
    /// On the first shard: the member that the log has named last.
    pub(super) announced: Cell<usize>,
    /// The messages that wait for a paused member.
    pub(super) waiting: RefCell<VecDeque<RemoteRequest>>,
}

impl Group {
    /// Chooses the member for a message, none of those in `tried`.
    pub(super) fn choose(&self, key: u64, tried: u64) -> Option<usize> {
        let context = ChoiceContext {
            key,
            count: self.count.replace(self.count.get().wrapping_add(1)),
            nearest: self.nearest.get(),
        };
        let candidate = |index: usize| {
            let member = &self.members[index];
            Candidate {
                name: member.name(),
                health: member.health.get(),
                in_flight: member.in_flight.get(),
                round_trip: member.round_trip.get(),
                is_own_region: member.is_own_region.get(),
            }
        };
        let chosen = choose(self.policy, self.members.len(), candidate, tried, context)?;
        if self.policy == Policy::Nearest && tried == 0 {
            self.nearest.set(chosen);
        }
        Some(chosen)
    }

    /// Whether no member can be reached.
    pub(in crate::cluster) fn is_down(&self) -> bool {
        let is_down = |member: &Rc<Member>| member.health.get() == Health::Down;
        self.members.iter().all(is_down)
    }

    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| **member.name() == *name)
    }
}

/// Builds the groups of a map. Reuses groups that have not changed, and the members of those that have.
pub(super) fn build_groups(
    map: &ClusterMap,
    own_name: &str,
    before: &FxHashMap<Text, Rc<Group>>,
) -> FxHashMap<Text, Rc<Group>> {
    let own_region = map.zone(own_name);
    map.groups()
        .map(|(name, group)| {
            (
                name.into(),
                build_group(map, name, own_region, group, before.get(name)),
            )
        })
        .collect()
}

fn build_group(
    map: &ClusterMap,
    name: &str,
    own_region: Option<&str>,
    group: &crate::config::Group,
    before: Option<&Rc<Group>>,
) -> Rc<Group> {
    let is_own_region = |node: &str| own_region.is_some() && map.zone(node) == own_region;
    if let Some(before) = before {
        for member in &before.members {
            member.is_own_region.set(is_own_region(member.name()));
        }
        let members = before.members.iter().map(|member| &**member.name());
        let is_same = before.policy == group.policy
            && before.hedge_ms == group.hedge_ms
            && members.eq(group.members.iter().map(String::as_str));
        if is_same {
            return Rc::clone(before);
        }
    }
    let member = |node: &String| {
        let existing = before.and_then(|group| Some(&group.members[group.index_of(node)?]));
        existing.cloned().unwrap_or_else(|| {
            Rc::new(Member {
                route: Route::new(node.as_str().into()),
                health: Cell::new(match map.nodes.get(node) {
                    Some(NodeEntry::Address(_)) => Health::Good,
                    Some(NodeEntry::Disabled) | None => Health::Down,
                }),
                paused_at: Cell::new(0),
                in_flight: Cell::new(0),
                round_trip: Cell::new(None),
                is_own_region: Cell::new(is_own_region(node)),
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
pub(in crate::cluster) struct Groups {
    pub(super) by_name: RefCell<FxHashMap<Text, Rc<Group>>>,
    pub(super) calls: RefCell<Slab<GroupCall>>,
}

impl Groups {
    /// The groups of a node's first map; later changes come by [`ClusterShard::groups_changed`].
    pub(in crate::cluster) fn of(map: &ClusterMap, own_name: &str) -> Groups {
        Groups {
            by_name: RefCell::new(build_groups(map, own_name, &FxHashMap::default())),
            calls: RefCell::default(),
        }
    }

    /// The group with this name.
    pub(in crate::cluster) fn get(&self, name: &str) -> Option<Rc<Group>> {
        let by_name = self.by_name.borrow();
        // Most nodes have no groups.
        if by_name.is_empty() {
            None
        } else {
            by_name.get(name).cloned()
        }
    }

    /// Whether there is a group with this name.
    pub(in crate::cluster) fn has(&self, name: &str) -> bool {
        self.by_name.borrow().contains_key(name)
    }

    pub(super) fn with_member(&self, node: &str) -> Vec<(Rc<Group>, usize)> {
        let by_name = self.by_name.borrow();
        let groups = by_name.values();
        groups
            .filter_map(|group| Some((Rc::clone(group), group.index_of(node)?)))
            .collect()
    }
}

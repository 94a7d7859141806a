//! The reaction of groups to changes of the map and of their members.

use std::rc::Rc;
use std::time::Duration;

use skyring_codec::Millis;

use crate::cluster::group::choice::Health;
use crate::cluster::group::table::{Group, Member, build_groups};
use crate::cluster::membership::detector::{NodeChange, NodeEvent, NodeState};
use crate::cluster::room::{ClusterShard, Entry};
use crate::config::Policy;
use crate::core::ShardCore;
use crate::error::Text;
use crate::log::Level;
use crate::rt;

/// How long messages wait for a member whose connection was lost before they go to another member, in milliseconds.
const SWITCH_PAUSE_MS: Millis = 50;

impl ClusterShard {
    fn health(&self, node: &str) -> Health {
        match (self.entry(node), self.node_state(node)) {
            (Entry::Disabled | Entry::Absent { .. }, _) | (_, NodeState::Down) => Health::Down,
            (_, NodeState::Suspect) => Health::Suspect,
            (_, NodeState::Up | NodeState::Unknown) => Health::Good,
        }
    }

    /// Rebuilds the groups that a changed map affects.
    pub(in crate::cluster) fn groups_changed(&self, shard: &Rc<ShardCore>) {
        let groups = self.map.read(|map| {
            let current = self.groups.by_name.borrow();
            build_groups(map, &shard.node.settings.name, &current)
        });
        let before = std::mem::replace(&mut *self.groups.by_name.borrow_mut(), groups);
        for group in before.into_values() {
            let is_replaced = self
                .groups
                .get(&group.name)
                .is_none_or(|now| !Rc::ptr_eq(&now, &group));
            if is_replaced {
                self.drain_group(shard, &group);
            }
        }
        let groups: Vec<Rc<Group>> = self.groups.by_name.borrow().values().cloned().collect();
        for group in groups {
            for member in &group.members {
                let health = self.health(member.name());
                // A pause has its own timer.
                if !(member.health.get() == Health::Paused && health == Health::Suspect) {
                    member.health.set(health);
                }
            }
            self.publish_switch(shard, &group);
        }
    }

    /// Applies a change of a node's state to the groups that it is a member of.
    pub(in crate::cluster) fn member_changed(&self, shard: &Rc<ShardCore>, node: &Text) {
        let health = self.health(node);
        for (group, index) in self.groups.with_member(node) {
            let member = &group.members[index];
            let is_lost = health == Health::Suspect && member.health.get() == Health::Good;
            if is_lost && group.policy.is_steady() {
                member.health.set(Health::Paused);
                self.begin_pause(shard, member);
            } else if health != Health::Suspect || member.health.get() != Health::Paused {
                member.health.set(health);
                self.apply_health(shard, &group, index);
            }
        }
    }

    fn begin_pause(&self, shard: &Rc<ShardCore>, member: &Rc<Member>) {
        member.paused_at.set(shard.update_now());
        let (shard, node) = (Rc::clone(shard), Text::clone(member.name()));
        rt::spawn(async move {
            rt::timer::sleep(Duration::from_millis(SWITCH_PAUSE_MS)).await;
            shard.note_io_polled();
            shard.cluster().end_pauses(&shard, &node);
        });
    }

    /// Ends a pause: a member that is still paused becomes suspect.
    fn end_pauses(&self, shard: &Rc<ShardCore>, node: &Text) {
        for (group, index) in self.groups.with_member(node) {
            let member = &group.members[index];
            let is_over = shard.now() >= member.paused_at.get() + SWITCH_PAUSE_MS;
            if member.health.get() == Health::Paused && is_over {
                member.health.set(Health::Suspect);
                self.apply_health(shard, &group, index);
            }
        }
    }

    /// Applies a changed health, other than a pause.
    fn apply_health(&self, shard: &Rc<ShardCore>, group: &Rc<Group>, index: usize) {
        if group.members[index].health.get() > Health::Paused {
            self.move_calls_from(shard, group, index);
        }
        self.drain_group(shard, group);
        if group.is_down() {
            self.pending.draining.borrow_mut().remove(&group.name);
        } else {
            self.drain_pending(shard, &group.name);
        }
        self.publish_switch(shard, group);
    }

    /// Routes the waiting messages of a group again, in order.
    fn drain_group(&self, shard: &Rc<ShardCore>, group: &Rc<Group>) {
        let waiting = std::mem::take(&mut *group.waiting.borrow_mut());
        for request in waiting {
            // By its name: the group may have changed, or be gone.
            self.route(shard, request);
        }
    }

    /// On the first shard: logs and publishes that the messages of a group go to another member than before.
    pub(super) fn publish_switch(&self, shard: &Rc<ShardCore>, group: &Rc<Group>) {
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
        shard.log_cluster(Level::Info, format!("cluster group {name} {how} {now}: {why}"));
        let event = NodeEvent::now(name, NodeChange::Switched, Text::clone(now));
        shard.run_on_all(move |shard| shard.cluster().notify_monitors(shard, &event));
    }
}

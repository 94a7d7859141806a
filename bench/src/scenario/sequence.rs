//! The sequence of operations of a phase, which follows from the seed alone.

use std::time::Duration;

use super::check::Scenario;
use super::file::OperationKind;
use super::random::{Random, mixed};

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its place among the operations of the file.
    pub index: usize,
    /// The place of the node that it goes to.
    pub node: usize,
    /// The key, if it has one.
    pub key: Option<u64>,
    /// Bytes of its value.
    pub size: usize,
    /// How long its caller pauses after it.
    pub think: Duration,
}

impl Operation {
    /// A number that another operation, or the same at another place, has not.
    pub(super) fn digest(&self, number: u64) -> u64 {
        let parts = [
            number,
            self.index as u64,
            self.node as u64,
            self.key.map_or(u64::MAX, |key| key),
            self.size as u64,
            self.think.as_nanos() as u64,
        ];
        parts
            .iter()
            .fold(0, |digest, part| mixed(digest ^ part).wrapping_add(*part))
    }
}

impl Scenario {
    /// Operation `number` of a phase, both counted from 0.
    pub fn operation(&self, phase: usize, number: u64) -> Operation {
        let mut random = Random::of(self.seed, phase, number);
        let place = random.unit();
        let index = self
            .operations
            .iter()
            .position(|operation| place < operation.until)
            .unwrap_or(self.operations.len().saturating_sub(1));
        let think = self.phases.get(phase).and_then(|phase| phase.think_ms.as_ref());
        let Some(plan) = self.operations.get(index) else {
            // A file has at least one operation.
            return Operation {
                index,
                node: 0,
                key: None,
                size: 0,
                think: Duration::ZERO,
            };
        };
        let key = plan.keys.as_ref().map(|keys| keys.draw(&mut random));
        let selector = key.map_or_else(|| random.next(), mixed);
        let node = plan
            .nodes
            .get((selector % plan.nodes.len().max(1) as u64) as usize);
        Operation {
            index,
            node: node.copied().unwrap_or(0),
            key,
            size: plan.size.draw(&mut random) as usize,
            think: think.map_or(Duration::ZERO, |think| {
                Duration::from_secs_f64(think.draw(&mut random).max(0.0) / 1e3)
            }),
        }
    }

    /// One operation as a line: its name, node, key, size and pause.
    pub fn describe(&self, operation: &Operation) -> String {
        let plan = self.operations.get(operation.index);
        let name = plan.map_or("", |plan| &*plan.name);
        let kind = match plan.map(|plan| plan.kind) {
            Some(OperationKind::Send) => "send",
            _ => "call",
        };
        let node = self.nodes.get(operation.node).map_or("", |node| &*node.name);
        let key = operation
            .key
            .map_or_else(String::new, |key| format!(", key {key}"));
        let think = match operation.think {
            Duration::ZERO => String::new(),
            think => format!(", then a pause of {:.1} ms", think.as_secs_f64() * 1e3),
        };
        format!("{name}: {kind} to {node}{key}, {} bytes{think}", operation.size)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::SMALL;
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_operations_and_another_gives_others() {
        let operations = |seed: u32| {
            let scenario = Scenario::parse(SMALL).unwrap().with_seed(seed);
            (0..5_000)
                .map(|number| scenario.operation(0, number))
                .collect::<Vec<_>>()
        };
        let first = operations(7);
        assert_eq!(first, operations(7));
        assert_ne!(first, operations(8));
        let gets = first.iter().filter(|operation| operation.index == 0).count();
        assert!((3_600..3_900).contains(&gets), "three of four: {gets}");
        for operation in &first {
            match operation.index {
                0 => assert!((10..100).contains(&operation.size) && operation.key.unwrap() < 1_000),
                _ => assert!(operation.size == 64 && operation.key.is_none()),
            }
        }
    }

    #[test]
    fn the_order_in_which_operations_are_asked_for_does_not_matter() {
        let scenario = Scenario::parse(SMALL).unwrap();
        let forth: u64 = (0..100).fold(0, |sum: u64, n| {
            sum.wrapping_add(scenario.operation(0, n).digest(n))
        });
        let back: u64 = (0..100).rev().fold(0, |sum: u64, n| {
            sum.wrapping_add(scenario.operation(0, n).digest(n))
        });
        assert_eq!(forth, back);
    }
}

//! What a service tells of itself when somebody asks for the status of its node.

use crate::status::Unit;

/// Figures that one service may report; further ones are left out.
pub const MEASURES_MAX: usize = 64;

/// A figure of a service.
pub(super) struct Reported {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Unit,
    pub(super) value: u64,
}

/// What a service tells of itself; see [`Service::report`](crate::Service::report).
#[derive(Default)]
pub struct Report {
    pub(super) memory_bytes: u64,
    pub(super) measures: Vec<Reported>,
}

impl Report {
    /// The memory that the service has, in bytes.
    pub fn memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
    }

    /// A figure that only grows, such as `gate_refused`, and what it is, in one sentence. In `/metrics` it is
    /// `skyring_gate_refused_total`, added up over the services with the same name.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.add(name, help, Unit::Counter, value);
    }

    /// A figure that grows and shrinks, such as `gate_clients`. In `/metrics` it is `skyring_gate_clients`.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.add(name, help, Unit::Gauge, value);
    }

    fn add(&mut self, name: &'static str, help: &'static str, unit: Unit, value: u64) {
        if self.measures.len() < MEASURES_MAX {
            self.measures.push(Reported {
                name,
                help,
                unit,
                value,
            });
        }
    }

    /// Forgets all, for the next service.
    pub(super) fn clear(&mut self) {
        self.memory_bytes = 0;
        self.measures.clear();
    }
}

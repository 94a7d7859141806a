//! How much a line matters, and what part of a node it is from.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something that should work does not: a panic, a node that fails.
    Error,
    /// Something to know of: a lost connection, a refused peer, a restart.
    Warning,
    /// What happens in the order of things.
    Info,
    /// What only matters to whoever looks for a mistake.
    Debug,
}

impl Level {
    /// `error`, `warning`, `info` or `debug`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// The part of a node that a line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The node itself.
    Node,
    /// Connections to other nodes, and their states.
    Cluster,
    /// The sources of the cluster map.
    Discovery,
    /// A service: its own lines, and what the engine says about it.
    Service,
}

impl Origin {
    const COUNT: usize = 4;

    /// `node`, `cluster`, `discovery` or `service`.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Node => "node",
            Origin::Cluster => "cluster",
            Origin::Discovery => "discovery",
            Origin::Service => "service",
        }
    }

    /// The origin of a line whose writer does not say it, by its handle.
    pub(super) fn of(source: u32) -> Origin {
        if source == 0 {
            Origin::Node
        } else {
            Origin::Service
        }
    }
}

/// Which lines are written.
#[derive(Debug, Clone, Copy)]
pub struct Levels([Option<Level>; Origin::COUNT]);

impl Default for Levels {
    /// Everything but [`Level::Debug`].
    fn default() -> Levels {
        Levels([Some(Level::Info); Origin::COUNT])
    }
}

impl Levels {
    /// Has the lines of an origin written down to this level; `None`: none of them.
    pub fn set(&mut self, origin: Origin, level: Option<Level>) {
        self.0[origin as usize] = level;
    }

    /// Whether such lines are written.
    pub fn allows(&self, origin: Origin, level: Level) -> bool {
        self.0[origin as usize].is_some_and(|lowest| level <= lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_down_to_the_level_of_their_origin() {
        let mut levels = Levels::default();
        assert!(levels.allows(Origin::Cluster, Level::Info) && !levels.allows(Origin::Cluster, Level::Debug));
        levels.set(Origin::Cluster, Some(Level::Debug));
        levels.set(Origin::Service, Some(Level::Error));
        levels.set(Origin::Discovery, None);
        assert!(levels.allows(Origin::Cluster, Level::Debug) && !levels.allows(Origin::Node, Level::Debug));
        assert!(
            levels.allows(Origin::Service, Level::Error) && !levels.allows(Origin::Service, Level::Warning)
        );
        assert!(!levels.allows(Origin::Discovery, Level::Error));
    }
}

//! Counts of incidents over one run or many, which show that each of them occurred.

use super::coverage::Coverage;

macro_rules! counts {
    ($($count:ident $name:literal,)*) => {
        /// Counts of incidents.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $(pub(crate) $count: u64,)*
            /// The messages that the disturbances met.
            pub(crate) coverage: Coverage,
        }

        impl Counts {
            /// Each with its name.
            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$count),)*]
            }

            /// Adds those of another run.
            pub(crate) fn add(&mut self, other: &Counts) {
                $(self.$count += other.$count;)*
                self.coverage.add(&other.coverage);
            }
        }
    };
}

counts! {
    calls "calls",
    sends "sends",
    not_taken "refused by the link",
    runs "runs",
    answered "answered",
    refused "refused by the peer",
    expired "expired",
    lost_perhaps_run "lost, may have run",
    lost_not_run "lost, not run",
    restarted "restarted",
    forgotten "forgotten",
    run_again "idempotent, run again",
    too_large "answers too large",
    connections_native "native connections",
    connections_skynet "skynet connections",
    sessions_resumed "sessions resumed",
    sessions_taken_over "sessions taken over",
    sessions_dropped "sessions or answers dropped",
    lost_with_session "lost with a session",
    withdrawals "peers marked down",
    cuts "cuts",
    stalls "stalls",
    silences "silences",
    crashes "crashes",
    pauses "pauses",
    goodbyes "goodbyes",
    connections_proved "proved connections",
    intrusions "intrusions",
    names_moved "names moved",
    nodes_moved "nodes moved",
    nodes_disabled "nodes disabled",
    reads_paused "reads paused",
    long_bytes "bytes of long messages",
    events "events",
}

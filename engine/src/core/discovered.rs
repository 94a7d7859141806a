//! What the control thread has learned of the cluster, on its way to the map.

use crate::config::ClusterMap;
use crate::error::Text;

/// A change of the map that a source of it has told. All of it takes effect together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// What is merged into the map, as by a reload.
    pub(crate) map: ClusterMap,
    /// The nodes that have left, each with the cause. They stay in the map; one that shows signs of life stays up.
    pub(crate) left: Vec<(Text, Text)>,
    /// The nodes that are taken out of the map.
    pub(crate) forgotten: Vec<Text>,
}

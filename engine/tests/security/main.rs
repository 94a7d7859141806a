//! A node with a cluster secret serves those who prove it, and goes on while others try.

#[path = "../common/certificates.rs"]
mod certificates;
#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/cutter.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod cutter;
#[path = "../common/node.rs"]
mod node;
#[path = "../common/peer.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod peer;
#[path = "../common/start.rs"]
#[expect(dead_code, reason = "these tests need a part of it")]
mod start;

mod floods;
mod permissions;
mod refusals;
mod secrets;
mod skynet_peers;
mod strangers;
mod support;
mod tls;
mod tls_refusals;

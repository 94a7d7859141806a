//! Skynet nodes, which can prove nothing: only from listed networks, in both directions.

use skyring::{DialectChoice, Error, Security};

use crate::peer::Peer;
use crate::start::builder;
use crate::support::{SECRET, ask, closed, counter, dialling, security, serving};

fn listed(network: &str) -> Security {
    security(&[SECRET]).allow_skynet_peers(network.parse().expect("a network"))
}

#[test]
fn a_node_in_the_skynet_dialect_is_served_from_a_listed_network_only() {
    for (network, is_served) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let (db, address) = serving(builder(1).security(listed(network)));
        let game = dialling(builder(1).dialect(DialectChoice::Skynet), &address);
        let answer = ask(&game);
        match is_served {
            true => assert_eq!(answer, Ok("db".to_owned())),
            false => {
                let denied = Error::Denied {
                    reason: "the skynet dialect, which proves no cluster secret".into(),
                };
                assert_eq!(answer, Err(denied));
                assert!(counter(&db, "connections_skynet_denied") > 0);
            }
        }
        // A node with the secret is served in either case.
        let gate = dialling(closed(1), &address);
        assert_eq!(ask(&gate), Ok("db".to_owned()));
        for node in [game, gate, db] {
            node.stop();
        }
    }
}

#[test]
fn a_skynet_peer_is_called_in_a_listed_network_only() {
    let peer = Peer::listen();
    let gate = dialling(
        builder(1).security(listed("10.0.0.0/8")).channels(1),
        &peer.address(),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| peer.accept().wait_closed());
        match ask(&gate) {
            Err(Error::Denied { reason }) => {
                assert!(
                    reason.contains("this node does not trust it: the skynet dialect"),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    });
    gate.stop();
    let gate = dialling(
        builder(1).security(listed("127.0.0.1")).channels(1),
        &peer.address(),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = peer.accept();
            let (session, _) = connection.read_request();
            connection.answer(session, b"\x0cx");
        });
        assert_eq!(ask(&gate), Ok("x".to_owned()));
    });
    gate.stop();
}

//! `discovery = { dns = … }` with a small server of DNS on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use skyring::{Node, NodeState};

use crate::load::Load;
use crate::node::{run, wait_until};
use crate::support::{Folder, server};

const SERVICE: &str = "_skyring._tcp.game.test";
const HOST: &str = "db.game.test";

/// What the server knows, and how it behaves.
#[derive(Default)]
struct Zone {
    /// Hosts in `game.test` by the first word of their name, with their ports.
    services: Vec<(&'static str, u16)>,
    /// How many addresses HOST has: 127.0.0.1, 127.0.0.2 and so on.
    addresses: u8,
    fails: bool,
    is_silent: bool,
    by_tcp: bool,
}

/// A server that ends with the test process.
struct Server {
    zone: Arc<Mutex<Zone>>,
    address: SocketAddr,
}

impl Server {
    fn start(zone: Zone) -> Server {
        // The kernel gives the same port for both only by chance, so try some.
        let (socket, listener) = (0..100)
            .find_map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
                let listener = TcpListener::bind(socket.local_addr().ok()?).ok()?;
                Some((socket, listener))
            })
            .expect("a port that is free for both");
        let address = socket.local_addr().expect("it is bound");
        let zone = Arc::new(Mutex::new(zone));
        let (by_udp, by_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let zone = by_udp.lock().expect("no test panics with it");
                if let (Some(answer), false) = (answer(&zone, &bytes[..length], zone.by_tcp), zone.is_silent)
                {
                    let _ = socket.send_to(b"no answer at all", from);
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut length = [0; 2];
                let Ok(()) = stream.read_exact(&mut length) else {
                    continue;
                };
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                let Ok(()) = stream.read_exact(&mut question) else {
                    continue;
                };
                let zone = by_tcp.lock().expect("no test panics with it");
                if let Some(answer) = answer(&zone, &question, false) {
                    let length = (answer.len() as u16).to_be_bytes();
                    let _ = stream.write_all(&[&length[..], &answer[..]].concat());
                }
            }
        });
        Server { zone, address }
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.lock().expect("no test panics with it"));
    }

    fn config(&self, name: &str, more: &str) -> String {
        let server = self.address;
        format!(
            "down_after_ms = 1000 discovery = {{ dns = '{name}', server = '{server}', period_s = 1, {more} }}"
        )
    }
}

fn answer(zone: &Zone, question: &[u8], is_cut_off: bool) -> Option<Vec<u8>> {
    let mut packet = Packet::parse(question).ok()?.into_reply();
    let asked = packet.questions.first()?.qname.to_string();
    let record = |name: String, rdata: RData<'static>| {
        ResourceRecord::new(
            Name::new(&name).expect("a name").into_owned(),
            CLASS::IN,
            1,
            rdata,
        )
    };
    let address = |last: u8| {
        RData::A(A {
            address: Ipv4Addr::new(127, 0, 0, last).into(),
        })
    };
    let is_ipv4 = format!("{:?}", packet.questions.first()?.qtype).contains("(A)");
    if zone.fails {
        *packet.rcode_mut() = RCODE::ServerFailure;
    } else if is_cut_off {
        packet.set_flags(PacketFlag::TRUNCATION);
    } else if asked == SERVICE && !zone.services.is_empty() {
        for (host, port) in &zone.services {
            let target = Name::new(&format!("{host}.game.test"))
                .expect("a name")
                .into_owned();
            let service = SRV {
                priority: 0,
                weight: 0,
                port: *port,
                target,
            };
            packet.answers.push(record(asked.clone(), RData::SRV(service)));
        }
    } else if asked == HOST && zone.addresses > 0 {
        let addresses = (1..=zone.addresses).filter(|_| is_ipv4);
        packet
            .answers
            .extend(addresses.map(|last| record(asked.clone(), address(last))));
    } else if zone
        .services
        .iter()
        .any(|(host, _)| asked == format!("{host}.game.test"))
    {
        packet
            .answers
            .extend(is_ipv4.then(|| record(asked.clone(), address(1))));
    } else {
        *packet.rcode_mut() = RCODE::NameError;
    }
    packet.build_bytes_vec_compressed().ok()
}

fn port(address: &str) -> u16 {
    address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port")
}

fn names(node: &Node) -> Vec<String> {
    run(node, |caller| async move {
        caller.cluster().map().nodes.keys().cloned().collect()
    })
}

#[test]
fn the_nodes_of_a_service_are_found_and_followed_and_a_failure_changes_nothing() {
    let (old, new, other) = (server("old"), server("new"), server("other"));
    let dns = Server::start(Zone {
        services: vec![("db-0", port(&old.1)), ("gate-0", port(&other.1))],
        ..Zone::default()
    });
    let folder = Folder::new();
    let gate = folder.start(&dns.config(SERVICE, ""));
    let load = Load::start(&gate, "db-0");
    load.wait_for("old");
    assert_eq!(names(&gate), ["db-0", "gate-0"]);
    dns.change(|zone| zone.services[0].1 = port(&new.1));
    load.wait_for("new");
    for (count, silent) in [false, true].into_iter().enumerate() {
        dns.change(|zone| (zone.fails, zone.is_silent) = (!silent, silent));
        wait_until("it is reported", || {
            folder.lines_with("DNS gives no answer") == count + 1
        });
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(folder.lines_with("DNS gives no answer"), count + 1);
        dns.change(|zone| (zone.fails, zone.is_silent) = (false, false));
        wait_until("it is back", || {
            folder.lines_with("DNS answers again") == count + 1
        });
    }
    let answers = load.end();
    assert_eq!(answers.errors, Vec::<String>::new());
    assert_eq!(names(&gate), ["db-0", "gate-0"]);
}

#[test]
fn a_node_that_is_gone_from_dns_is_down_then_forgotten_and_found_again() {
    let (db, address) = server("db");
    let dns = Server::start(Zone {
        services: vec![("db-0", port(&address)), ("db-1", 1)],
        ..Zone::default()
    });
    let folder = Folder::new();
    let gate = folder.start(&dns.config(SERVICE, "grace_s = 2"));
    wait_until("both are known", || names(&gate).len() == 2);
    dns.change(|zone| zone.services.truncate(1));
    let state = |name: &'static str| run(&gate, move |caller| async move { caller.cluster().state(name) });
    wait_until("it is down", || state("db-1") == NodeState::Down);
    wait_until("it is forgotten", || names(&gate) == ["db-0"]);
    dns.change(|zone| zone.services.clear());
    wait_until("all are forgotten", || names(&gate).is_empty());
    dns.change(|zone| zone.services.push(("db-0", port(&address))));
    let load = Load::start(&gate, "db-0");
    load.wait_for("db");
    drop((load.end(), db));
}

#[test]
fn the_addresses_of_a_host_are_one_group_also_when_the_answer_comes_by_tcp() {
    let (_db, address) = server("db");
    let dns = Server::start(Zone {
        addresses: 2,
        by_tcp: true,
        ..Zone::default()
    });
    let folder = Folder::new();
    let more = format!("port = {}, policy = 'failover'", port(&address));
    let gate = folder.start(&dns.config(HOST, &more));
    let load = Load::start(&gate, "db");
    load.wait_for("db");
    assert_eq!(names(&gate), ["db-127-0-0-1", "db-127-0-0-2"]);
    assert_eq!(load.end().errors, Vec::<String>::new());
}

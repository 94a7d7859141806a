//! Questions to DNS and what its answers say, without I/O.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Most records of one answer that are taken.
pub(crate) const RECORDS_MAX: usize = 256;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Srv,
    A,
    Aaaa,
}

impl Kind {
    fn of_packet(self) -> TYPE {
        match self {
            Kind::Srv => TYPE::SRV,
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
        }
    }
}

/// What an answer says; nothing where there is no such name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// The targets of the services, each with its port.
    pub(crate) services: Vec<(String, u16)>,
    /// The addresses in the answer itself.
    pub(crate) addresses: Vec<IpAddr>,
    /// The addresses that come with it, by the name of the host.
    pub(crate) additional: BTreeMap<String, IpAddr>,
}

impl Records {
    pub(crate) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.addresses.is_empty()
    }
}

/// Why an answer gives no records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers another question, or is none.
    NotIt,
    /// It is cut off, and is to be asked for by TCP.
    CutOff,
    /// The server cannot answer, for this cause.
    Refused(String),
}

/// The bytes of a question.
pub(crate) fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let parsed = Name::new(name.trim_end_matches('.')).map_err(|error| error.to_string())?;
    let class = QCLASS::CLASS(CLASS::IN);
    packet
        .questions
        .push(Question::new(parsed, QTYPE::TYPE(kind.of_packet()), class, false));
    packet.build_bytes_vec().map_err(|error| error.to_string())
}

/// Reads the answer to a question.
pub(crate) fn read(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Result<Records, Fault> {
    let packet = Packet::parse(bytes).map_err(|_| Fault::NotIt)?;
    let is_question = |asked: &Question<'_>| {
        let asked_name = asked.qname.to_string();
        asked.qtype == QTYPE::TYPE(kind.of_packet())
            && asked_name.eq_ignore_ascii_case(name.trim_end_matches('.'))
    };
    if packet.id() != id
        || !packet.has_flags(PacketFlag::RESPONSE)
        || !packet.questions.first().is_some_and(is_question)
    {
        return Err(Fault::NotIt);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Err(Fault::CutOff);
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        code => return Err(Fault::Refused(format!("it answers {code:?}"))),
    }
    let mut records = Records::default();
    for record in packet.answers.iter().take(RECORDS_MAX) {
        match &record.rdata {
            RData::SRV(service) if kind == Kind::Srv && service.port > 0 => {
                let target = service.target.to_string();
                records
                    .services
                    .push((target.trim_end_matches('.').to_owned(), service.port));
            }
            rdata => records.addresses.extend(address(rdata)),
        }
    }
    for record in packet.additional_records.iter().take(RECORDS_MAX) {
        if let Some(address) = address(&record.rdata) {
            let host = record.name.to_string().to_ascii_lowercase();
            // The first of several, and one of IPv4 before one of IPv6, as the order of servers has it.
            records.additional.entry(host).or_insert(address);
        }
    }
    if kind == Kind::Srv {
        records.addresses.clear();
    }
    Ok(records)
}

fn address(rdata: &RData<'_>) -> Option<IpAddr> {
    match rdata {
        RData::A(record) => Some(Ipv4Addr::from(record.address).into()),
        RData::AAAA(record) => Some(Ipv6Addr::from(record.address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, SRV};

    use super::*;

    const NAME: &str = "_skyring._tcp.game.svc";

    fn answer(change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let asked = question(7, NAME, Kind::Srv).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        change(&mut packet);
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn service(packet: &mut Packet<'_>, target: &'static str, port: u16) {
        let target = Name::new_unchecked(target);
        let record = SRV {
            priority: 0,
            weight: 0,
            port,
            target,
        };
        let name = Name::new_unchecked(NAME);
        packet
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 5, RData::SRV(record)));
    }

    #[test]
    fn services_and_the_addresses_that_come_with_them_are_read() {
        let bytes = answer(|packet| {
            service(packet, "db-0.game.svc", 7_101);
            service(packet, "db-1.game.svc", 0);
            let name = Name::new_unchecked("DB-0.game.svc");
            let address = RData::A(A { address: 0x0a01_0105 });
            packet
                .additional_records
                .push(ResourceRecord::new(name, CLASS::IN, 5, address));
        });
        let records = read(&bytes, 7, NAME, Kind::Srv).unwrap();
        assert_eq!(records.services, [("db-0.game.svc".to_owned(), 7_101)]);
        assert_eq!(records.additional["db-0.game.svc"], IpAddr::from([10, 1, 1, 5]));
    }

    #[test]
    fn the_answer_to_another_question_is_none() {
        let bytes = answer(|packet| service(packet, "db-0", 1));
        assert_eq!(read(&bytes, 8, NAME, Kind::Srv), Err(Fault::NotIt), "another id");
        assert_eq!(
            read(&bytes, 7, "other", Kind::Srv),
            Err(Fault::NotIt),
            "another name"
        );
        assert_eq!(read(&bytes, 7, NAME, Kind::A), Err(Fault::NotIt), "another type");
        let asked = question(7, NAME, Kind::Srv).unwrap();
        assert_eq!(read(&asked, 7, NAME, Kind::Srv), Err(Fault::NotIt), "no answer");
    }

    #[test]
    fn no_such_name_is_an_empty_answer_and_a_failure_is_none() {
        let no_name = answer(|packet| *packet.rcode_mut() = RCODE::NameError);
        assert!(read(&no_name, 7, NAME, Kind::Srv).unwrap().is_empty());
        let failure = answer(|packet| *packet.rcode_mut() = RCODE::ServerFailure);
        assert!(matches!(
            read(&failure, 7, NAME, Kind::Srv),
            Err(Fault::Refused(_))
        ));
        let cut = answer(|packet| packet.set_flags(PacketFlag::TRUNCATION));
        assert_eq!(read(&cut, 7, NAME, Kind::Srv), Err(Fault::CutOff));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let bytes = answer(|packet| {
            service(packet, "db-0.game.svc", 7_101);
            service(packet, "db-1.game.svc", 7_102);
        });
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            let mut changed = bytes.clone();
            for _ in 0..3 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = (seed >> 16) as usize % changed.len();
                changed[at] = seed as u8;
            }
            changed.truncate((seed >> 40) as usize % (changed.len() + 1));
            if let Ok(records) = read(&changed, 7, NAME, Kind::Srv) {
                assert!(records.services.len() <= RECORDS_MAX);
            }
        }
    }
}

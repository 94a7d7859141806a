//! Inputs to begin with, in pieces: tokens of JSON, and names and fields of a message of DNS.

/// The question of the answers of DNS, as [`skyring::fuzzing::dns_answers`] has it.
const NAME: &str = "_skyring._tcp.game.svc";

/// An input: what it answers, and its pieces.
fn input<'a>(kind: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut input = vec![kind];
    for piece in pieces {
        // A longer piece is several.
        for part in piece.chunks(usize::from(u8::MAX)) {
            input.push(part.len() as u8);
            input.extend_from_slice(part);
        }
    }
    input
}

/// A text of JSON in tokens: texts with their quotes, marks one by one, and what is between them.
fn tokens(text: &str) -> Vec<&[u8]> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let length = match rest[0] {
            b'"' => rest[1..]
                .iter()
                .position(|byte| *byte == b'"')
                .map_or(1, |at| at + 2),
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b'\n' | b'@' => 1,
            _ => rest
                .iter()
                .take_while(|byte| !b"\"{}[]:,\n@".contains(byte))
                .count(),
        };
        tokens.push(&rest[..length]);
        start += length;
    }
    tokens
}

/// The answers of etcd 3.4: `/game/db`, `/game/gate` and `/game/own` with entries, `/game/x/y` and a value that is none.
pub fn etcd_answers() -> Vec<Vec<u8>> {
    // {"address":"10.1.1.5:7101","channels":4,"zone":"beijing","version":"0.1.0","process":"1f","started_ms":7}
    let full = "eyJhZGRyZXNzIjoiMTAuMS4xLjU6NzEwMSIsImNoYW5uZWxzIjo0LCJ6b25lIjoiYmVpamluZyIsInZlcnNpb24iOiIwLjEuMCIsInByb2Nlc3MiOiIxZiIsInN0YXJ0ZWRfbXMiOjd9";
    // {"address":"db:7101"}
    let short = "eyJhZGRyZXNzIjoiZGI6NzEwMSJ9";
    // false
    let off = "ZmFsc2U=";
    // /game/db, /game/gate, /game/own, /game/x/y
    let (db, gate, own, deep) = ("L2dhbWUvZGI=", "L2dhbWUvZ2F0ZQ==", "L2dhbWUvb3du", "L2dhbWUveC95");
    let key = |key: &str, value: &str| {
        format!(
            r#"{{"key":"{key}","create_revision":"2","mod_revision":"3","version":"2","value":"{value}","lease":"7"}}"#
        )
    };
    let header = r#""header":{"cluster_id":"14","member_id":"10","revision":"3","raft_term":"2"}"#;
    let range = |keys: &[String]| {
        format!(
            r#"{{{header},"kvs":[{}],"count":"{}"}}"#,
            keys.join(","),
            keys.len()
        )
    };
    let all = range(&[
        key(db, full),
        key(gate, short),
        key(own, full),
        key(deep, short),
        key(own, off),
    ]);
    let put = |value: &str| format!(r#"{{"kv":{value}}}"#);
    let deleted = |key: &str| format!(r#"{{"type":"DELETE","kv":{{"key":"{key}","mod_revision":"9"}}}}"#);
    let watch = |events: &[String]| format!(r#"{{"result":{{{header},"events":[{}]}}}}"#, events.join(","));
    let refusal = r#"{"error":"etcdserver: mvcc: required revision has been compacted","code":11}"#;
    let canceled = format!(
        r#"{{"result":{{{header},"canceled":true,"cancel_reason":"compacted","compact_revision":"8"}}}}"#
    );
    let life = [
        all.as_str(),
        &watch(&[deleted(db), put(&key(gate, off)), put(&key(db, short))]),
        "@400",
        &watch(&[deleted(gate), deleted(own), put(&key(deep, "Pw=="))]),
        "@999999",
        &canceled,
        &watch(&[put(&key(gate, "eyJhZGRyZXNzIjoiZGIifQ=="))]),
    ]
    .join("\n");
    let texts = [
        (0, all.clone()),
        (0, "{}".to_owned()),
        (1, format!(r#"{{{header},"ID":"7587884106041396226","TTL":"5"}}"#)),
        (2, format!(r#"{{"result":{{{header},"ID":"7587","TTL":"5"}}}}"#)),
        (
            3,
            format!(r#"{{{header},"succeeded":true,"responses":[{{"response_put":{{}}}}]}}"#),
        ),
        (
            3,
            format!(
                r#"{{{header},"responses":[{{"response_range":{}}}]}}"#,
                range(&[key(db, full)])
            ),
        ),
        (4, format!(r#"{{{header},"deleted":"1"}}"#)),
        (5, format!(r#"{{{header},"token":"a.b-c"}}"#)),
        (6, watch(&[put(&key(db, full)), deleted(gate)])),
        (6, canceled.clone()),
        (6, refusal.to_owned()),
        (
            6,
            r#"{"error":{"message":"no leader","grpc_code":14}}"#.to_owned(),
        ),
        (7, life),
    ];
    texts
        .iter()
        .map(|(kind, text)| input(*kind, tokens(text)))
        .collect()
}

/// Labels with their lengths, and the end.
fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The name of the question, by a reference to where it stands.
const SAME: [u8; 2] = [0xc0, 12];

/// A record in pieces: its name, its type with class and life, its length, its data.
fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<Vec<u8>> {
    let [high, low] = kind.to_be_bytes();
    vec![
        name.to_vec(),
        vec![high, low, 0, 1, 0, 0, 0, 5],
        (data.len() as u16).to_be_bytes().to_vec(),
        data.to_vec(),
    ]
}

/// An answer to the question of that type: with these flags, records and additional records.
fn answer(kind: u16, flags: u16, records: &[Vec<Vec<u8>>], additional: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut header = vec![0, 7];
    header.extend_from_slice(&flags.to_be_bytes());
    for count in [1, records.len() as u16, 0, additional.len() as u16] {
        header.extend_from_slice(&count.to_be_bytes());
    }
    let [high, low] = kind.to_be_bytes();
    let mut pieces = vec![header, name(NAME), vec![high, low, 0, 1]];
    pieces.extend(records.iter().chain(additional).flatten().cloned());
    pieces
}

/// Answers of servers of DNS.
pub fn dns_answers() -> Vec<Vec<u8>> {
    const A: u16 = 1;
    const AAAA: u16 = 28;
    const SRV: u16 = 33;
    const ANSWERED: u16 = 0x8180;
    const CUT_OFF: u16 = 0x8380;
    const NO_NAME: u16 = 0x8183;
    const FAILED: u16 = 0x8182;
    let service = |port: u16, target: &str| {
        let mut data = vec![0, 0, 0, 0];
        data.extend_from_slice(&port.to_be_bytes());
        data.extend_from_slice(&name(target));
        record(&SAME, SRV, &data)
    };
    let services = [
        service(7_101, "db-0.game.svc"),
        service(7_102, "db-1.game.svc"),
        service(0, "db-2.game.svc"),
    ];
    let hosts = [
        record(&name("db-0.game.svc"), A, &[10, 1, 1, 5]),
        record(
            &name("DB-1.game.svc"),
            AAAA,
            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ];
    let addresses = [record(&SAME, A, &[10, 1, 1, 5]), record(&SAME, A, &[10, 1, 1, 6])];
    // An alias before the addresses, and a text that is neither.
    let alias = [
        record(&SAME, 5, &name("other.svc")),
        record(&name("other.svc"), A, &[10, 0, 0, 1]),
    ];
    let answers = [
        (0, answer(SRV, ANSWERED, &services, &hosts)),
        (0, answer(SRV, ANSWERED, &[], &[])),
        (0, answer(SRV, CUT_OFF, &services, &[])),
        (0, answer(SRV, NO_NAME, &[], &[])),
        (0, answer(SRV, FAILED, &[], &[])),
        (1, answer(A, ANSWERED, &addresses, &[])),
        (1, answer(A, ANSWERED, &alias, &[record(&SAME, 16, b"\x04text")])),
        (2, answer(AAAA, ANSWERED, &[record(&SAME, AAAA, &[0; 16])], &[])),
        // The answer to another question.
        (1, answer(AAAA, ANSWERED, &[], &[])),
    ];
    answers
        .iter()
        .map(|(kind, pieces)| input(*kind, pieces.iter().map(Vec::as_slice)))
        .collect()
}

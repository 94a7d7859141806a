//! Runs the fuzz entries of lua-seri on inputs made from a fixed seed, so that every test run does some
//! fuzzing and none differs from another.

use std::panic::catch_unwind;

use entries::{Action, Record};
use skyring_codec::seri::{Table, Value, pack, to_bytes, unpack_all};

#[path = "../fuzz/entries/seri.rs"]
pub mod entries;

/// Any number but zero would do; it is printed with an input that fails.
const SEED: u64 = 0x5eed_0f1e_a5e2_1001;

/// Marsaglia's xorshift64: enough randomness to stir bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        // The low bits decide the type; half of the bytes are made small, to hit cookies that mean something.
        let byte = self.next() as u8;
        if self.next().is_multiple_of(2) {
            byte & 0x3f
        } else {
            byte
        }
    }

    fn bytes(&mut self, length_end: usize) -> Vec<u8> {
        (0..self.below(length_end)).map(|_| self.byte()).collect()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, donor: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 if at < bytes.len() => bytes[at] = self.byte(),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let from = self.below(donor.len() + 1);
                    let to = from + self.below(donor.len() - from + 1);
                    bytes.splice(at..at, donor[from..to].iter().copied());
                }
            }
        }
    }
}

/// Runs an entry, and names the input if it fails.
fn run(entry: fn(&[u8]), input: &[u8]) {
    if catch_unwind(|| entry(input)).is_err() {
        panic!("seed {SEED:#x}, input {input:02x?}");
    }
}

fn run_random(entry: fn(&[u8]), rounds: usize) {
    let mut random = Random(SEED);
    for _ in 0..rounds {
        run(entry, &random.bytes(48));
    }
}

fn run_mutated(entry: fn(&[u8]), valid: &[Vec<u8>], rounds: usize) {
    let mut random = Random(SEED);
    for input in valid {
        run(entry, input);
    }
    let mut readable = 0;
    for _ in 0..rounds {
        let mut input = valid[random.below(valid.len())].clone();
        let donor = &valid[random.below(valid.len())];
        random.mutate(&mut input, donor);
        run(entry, &input);
        readable += usize::from(unpack_all(&input).is_ok());
    }
    // Inputs that are all refused, or all accepted, would prove little.
    assert!(
        (rounds / 20..rounds * 19 / 20).contains(&readable),
        "{readable} of {rounds} inputs can be read"
    );
}

fn valid_packs() -> Vec<Vec<u8>> {
    let mut nested = Value::Nil;
    for level in 0..34 {
        let mut table = Table::from(vec![nested]);
        if level == 0 {
            table.array.clear();
        }
        nested = Value::from(table);
    }
    let mut table = Table::from((0..40).map(Value::from).collect::<Vec<_>>());
    table.set("name", "Alice");
    table.set(1000, f64::NAN);
    table.set(2.5, Table::from(vec![Value::Nil, Value::from("x")]));
    // The nest is deeper by one than may be packed; what it holds is not.
    assert!(pack(&nested).is_err());
    let nested = nested
        .as_table()
        .and_then(|table| table.array.first())
        .cloned()
        .unwrap_or_default();
    vec![
        pack(&("GET", "key")).expect("packs").to_vec(),
        pack(&(1, -1, 300, 70_000, i64::MIN, 0.5, true, None::<bool>))
            .expect("packs")
            .to_vec(),
        pack(&("x".repeat(40), "y".repeat(300), table))
            .expect("packs")
            .to_vec(),
        pack(&nested).expect("packs").to_vec(),
    ]
}

fn valid_records() -> Vec<Vec<u8>> {
    let plain = Record {
        id: 7,
        name: "plain".into(),
        ..Record::default()
    };
    let full = Record {
        id: 8,
        name: "full".into(),
        scores: vec![Some(1), None, Some(-3)],
        position: (1.0, -0.5),
        counts: [("a".to_owned(), 1), ("b".to_owned(), 70_000)].into(),
        slots: [(1, true), (9, false)].into(),
        actions: vec![
            Action::Stop,
            Action::Wait(None),
            Action::Wait(Some(5)),
            Action::Move(-1, 1),
            Action::Say {
                text: "hi".into(),
                target: Some(3),
            },
        ],
        inner: Some(Box::new(plain.clone())),
        rest: Value::from(vec![Value::from(1), Value::from("two")]),
    };
    vec![
        to_bytes(&("SET", &full)).expect("packs").to_vec(),
        to_bytes(&full).expect("packs").to_vec(),
        to_bytes(&plain).expect("packs").to_vec(),
        to_bytes(&full.actions[4]).expect("packs").to_vec(),
        to_bytes(&full.actions[1]).expect("packs").to_vec(),
    ]
}

#[test]
fn unpack_holds_its_promises_on_random_bytes() {
    run_random(entries::unpack, 40_000);
}

#[test]
fn unpack_holds_its_promises_on_mutated_packs() {
    run_mutated(entries::unpack, &valid_packs(), 30_000);
}

#[test]
fn from_bytes_holds_its_promises_on_random_bytes() {
    run_random(entries::from_bytes, 20_000);
}

#[test]
fn from_bytes_holds_its_promises_on_mutated_records() {
    run_mutated(entries::from_bytes, &valid_records(), 15_000);
}

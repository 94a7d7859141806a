//! Fuzzes the shell of TLS for a given time, with a stable compiler, as the codec's command does its entries.
//!
//! `cargo run --profile fuzz -p skyring --example fuzz_tls -- [--seconds N | --executions N] [--seed N] [--input HEX]`
//!
//! An input is a list of steps between a dialler and an acceptor whose bytes pass through somebody: he delivers them in
//! pieces, changes them, repeats them, leaves some out, or writes his own. Whatever he does, what comes out at one end
//! is a beginning of what the other end has sealed, bounds hold, and nothing panics. Ends with 0 when nothing failed,
//! with 1 when something did, and with 2 for arguments that make no sense.

#[path = "../../codec/fuzz/entries/mod.rs"]
pub mod entries;
#[path = "../src/file_mark.rs"]
mod file_mark;
#[path = "../../codec/fuzz/search/mod.rs"]
pub mod search;
#[path = "../src/secret_file.rs"]
mod secret_file;
// The room is the engine's own, and compiled once more here: nothing outside the engine reaches it otherwise.
#[path = "../src/tls/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the shell is what is fuzzed")]
pub mod tls;

use std::collections::VecDeque;
use std::fs;
use std::io::IoSlice;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::sync::OnceLock;

use bytes::BytesMut;
use entries::Entry;
use entries::events::{magnitude, note, note_words};
use entries::shape::{Content, Shape, Stream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use search::campaign::{Campaign, Limit};
use search::hex::{from_hex, hex};
use search::shrink::shrink;
use search::watchdog::Watchdog;
use search::{judge, process_time, seed_new};
use tls::{Gate, SEALED_BYTES_MAX, Shell, Tls, TlsFiles};

const USAGE: &str = "usage: fuzz_tls [--seconds N | --executions N] [--seed N] [--input HEX]";

/// The number of steps; the last one writes bytes of somebody else.
const STEPS: u8 = 10;

const ENTRY: Entry = Entry {
    name: "tls_shell",
    run: tls_shell,
    shape: Shape {
        has_cut: true,
        content: Content::Steps {
            count: STEPS,
            hostile: Some(Stream::Packages),
        },
    },
    samples,
};

/// The identities of both ends, made once.
struct Identities {
    gate: Tls,
    db: Tls,
}

fn identities() -> &'static Identities {
    static IDENTITIES: OnceLock<Identities> = OnceLock::new();
    IDENTITIES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate");
        let issuer = Issuer::new(params, key);
        let files = |name: &str| {
            let file = |end: &str| folder.path().join(format!("{name}.{end}"));
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            let files = TlsFiles {
                certificate: file("pem"),
                key: file("key"),
                ca: file("ca"),
            };
            fs::write(&files.certificate, certificate.pem()).expect("it is writable");
            fs::write(&files.key, key.serialize_pem()).expect("it is writable");
            fs::write(&files.ca, root.pem()).expect("it is writable");
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("it is ours");
            Tls::load(files).expect("valid files")
        };
        Identities {
            gate: files("gate"),
            db: files("db"),
        }
    })
}

/// One end, and what is on its way to it.
struct End {
    shell: Shell,
    on_the_way: VecDeque<u8>,
    /// What it has sealed, and what has come out of it.
    sealed: Vec<u8>,
    opened: Vec<u8>,
    next: u8,
}

impl End {
    fn new(shell: Shell) -> End {
        End {
            shell,
            on_the_way: VecDeque::new(),
            sealed: Vec::new(),
            opened: Vec::new(),
            next: 0,
        }
    }

    fn seal(&mut self, count: usize) {
        let bytes: Vec<u8> = (0..count)
            .map(|at| self.next.wrapping_add((at / 3) as u8))
            .collect();
        self.next = self.next.wrapping_add(41);
        let (first, second) = bytes.split_at(count / 2);
        let taken = self.shell.seal(&[IoSlice::new(first), IoSlice::new(second)]);
        assert!(taken <= bytes.len());
        self.sealed.extend_from_slice(&bytes[..taken]);
    }

    /// What it writes goes on its way.
    fn write_to(&mut self, other: &mut End, bytes_max: usize) {
        let mut written = Vec::new();
        self.shell.gather(bytes_max.is_multiple_of(2), &mut |slices| {
            let all = slices.iter().flat_map(|slice| slice.iter().copied());
            written = all.take(bytes_max).collect();
        });
        assert!(written.len() <= 2 * SEALED_BYTES_MAX);
        self.shell.wrote(written.len());
        other.on_the_way.extend(written);
    }

    /// Takes so many bytes, in pieces.
    fn take(&mut self, count: usize, piece: usize) {
        let count = count.min(self.on_the_way.len());
        let bytes: Vec<u8> = self.on_the_way.drain(..count).collect();
        let had_fault = self.shell.fault().is_some();
        for mut piece in bytes.chunks(piece) {
            loop {
                let mut out = BytesMut::new();
                let is_done = self.shell.open(&mut piece, &mut out, 1_000);
                assert!(out.len() <= 1_000, "more than there is room for");
                assert!(!had_fault || out.is_empty(), "something comes out after a fault");
                self.opened.extend_from_slice(&out);
                if is_done {
                    break;
                }
            }
        }
        if let Some(fault) = self.shell.fault() {
            note_words("fault", &fault.reason);
        }
        while let Some(event) = self.shell.next_event() {
            note_words("event", &event);
        }
    }
}

/// The first byte says who the acceptor lets in and how long pieces are; then come pairs of a step and its argument.
fn tls_shell(input: &[u8]) {
    let (first, steps) = input.split_first().unwrap_or((&0, &[]));
    let gate = match first & 1 {
        0 => Gate::Tls,
        _ => Gate::TlsOrPlain,
    };
    let piece = usize::from(first >> 1) * 8 + 1;
    let identities = identities();
    let mut dialler = End::new(Shell::dialler(&identities.gate.identity(), "db").expect("a name"));
    let mut acceptor = End::new(Shell::acceptor(&identities.db.identity(), gate).expect("a shell"));
    let (mut at, mut is_touched) = (0, false);
    while let Some([step, argument]) = steps.get(at..at + 2) {
        at += 2;
        let count = (usize::from(*argument) + 1) * 16;
        match step % STEPS {
            0 => dialler.write_to(&mut acceptor, count * 16),
            1 => acceptor.write_to(&mut dialler, count * 16),
            2 => acceptor.take(count, piece),
            3 => dialler.take(count, piece),
            4 => dialler.seal(count * 4),
            5 => acceptor.seal(count * 4),
            6 => is_touched |= change(&mut acceptor.on_the_way, *argument),
            7 => is_touched |= change(&mut dialler.on_the_way, *argument),
            8 => {
                // Leaves some out, or repeats some.
                let length = acceptor.on_the_way.len().min(usize::from(*argument) / 2);
                let some: Vec<u8> = acceptor.on_the_way.drain(..length).collect();
                if argument & 1 == 1 {
                    acceptor.on_the_way.extend(some.iter().chain(&some));
                }
                is_touched |= length > 0;
            }
            _ => {
                let end = (at + usize::from(*argument)).min(steps.len());
                acceptor.on_the_way.extend(&steps[at..end]);
                is_touched |= end > at;
                at = end;
            }
        }
        check(&dialler, &acceptor);
    }
    // All that is left arrives.
    for _ in 0..8 {
        dialler.write_to(&mut acceptor, usize::MAX);
        acceptor.take(usize::MAX, piece);
        acceptor.write_to(&mut dialler, usize::MAX);
        dialler.take(usize::MAX, piece);
    }
    check(&dialler, &acceptor);
    if !is_touched {
        assert!(dialler.shell.fault().is_none() && acceptor.shell.fault().is_none());
        assert!(acceptor.opened == dialler.sealed && dialler.opened == acceptor.sealed);
        assert!(acceptor.shell.is_open() && acceptor.shell.peer_names() == ["gate"]);
    }
    note("came", magnitude(acceptor.opened.len()));
    note("went", magnitude(dialler.opened.len()));
}

/// Changes one byte of those on their way; whether there is one.
fn change(bytes: &mut VecDeque<u8>, argument: u8) -> bool {
    let at = usize::from(argument) * 3;
    match bytes.get_mut(at) {
        Some(byte) => {
            *byte ^= argument | 1;
            true
        }
        None => false,
    }
}

fn check(dialler: &End, acceptor: &End) {
    assert!(
        acceptor.sealed.starts_with(&dialler.opened),
        "the dialler reads what was not written"
    );
    // Before it is decided that the peer speaks no TLS, or after that, bytes pass as they are.
    assert!(
        acceptor.shell.is_plain() || dialler.sealed.starts_with(&acceptor.opened),
        "the acceptor reads what was not written"
    );
    assert!(!acceptor.shell.is_plain() || acceptor.sealed.is_empty());
}

/// Whole conversations.
fn samples() -> Vec<Vec<u8>> {
    let handshake = [0, 255, 2, 255, 1, 255, 3, 255, 0, 255, 2, 255, 1, 255, 3, 255];
    let messages = [
        4, 9, 5, 200, 0, 255, 2, 255, 1, 255, 3, 255, 4, 255, 4, 255, 4, 255, 0, 3, 2, 1,
    ];
    let with = |first: u8, more: &[u8]| [&[first][..], &handshake, &messages, more].concat();
    vec![
        vec![0],
        with(0, &[]),
        with(255, &[6, 3, 2, 255]),
        with(17, &[7, 3, 3, 255]),
        with(16, &[8, 9, 2, 255]),
        [&[1, 9, 7][..], b"\x16\x03\x01\x00\x02\x01\x00", &[2, 0]].concat(),
        [&[1, 9, 9][..], b"\x00\x07\x00\x01\x00\x00\x00", &[2, 0]].concat(),
    ]
}

fn main() -> ExitCode {
    let (mut limit, mut seed, mut replayed) = (Limit::Seconds(60), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let number = value.parse::<u64>().ok();
        match (name.as_str(), number) {
            ("--seconds", Some(seconds)) => limit = Limit::Seconds(seconds),
            ("--executions", Some(executions)) => limit = Limit::Executions(executions),
            ("--seed", Some(number)) => seed = Some(number),
            ("--input", _) if from_hex(&value).is_some() => replayed = from_hex(&value),
            _ => {
                eprintln!("{name} {value}: not known\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    identities();
    if let Some(input) = replayed {
        return match judge(ENTRY.run, &input) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let seed = seed.unwrap_or_else(seed_new);
    println!("seed {seed}");
    let (began, watchdog) = (process_time(), Watchdog::none());
    let mut campaign = Campaign::new(&ENTRY, seed);
    let outcome = campaign.run(limit, &watchdog);
    println!(
        "{}: {} executions in {:.1} s of processor time, {} inputs retained for {} features",
        ENTRY.name,
        campaign.executions(),
        process_time().saturating_sub(began).as_secs_f64(),
        campaign.retained(),
        campaign.features()
    );
    let Err((input, failure)) = outcome else {
        println!("clean");
        return ExitCode::SUCCESS;
    };
    let (input, failure) = shrink(&ENTRY, &input, failure, &watchdog);
    println!("{failure}\nto run it again: --input {}", hex(&input));
    ExitCode::FAILURE
}

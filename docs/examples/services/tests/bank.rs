//! The bank under faults: money is neither lost nor made.
//!
//! `SKYRING_TEST_SEEDS=10000 cargo test --release -p skyring-examples --test bank` runs more seeds.

use std::rc::Rc;

use skyring::Error;
use skyring::testing::{FaultKind, Faults, Run, Scenario};
use skyring_examples::bank::disk::{Books, Disk};
use skyring_examples::bank::{durable, obvious};

const BRANCHES: [&str; 3] = ["north", "south", "east"];
const ACCOUNTS: [&str; 2] = ["Ada", "Bob"];
const BALANCE: u64 = 100;
const TOTAL: u64 = BALANCE * (BRANCHES.len() * ACCOUNTS.len()) as u64;

/// The disks of the branches, which outlive their processes.
struct Disks(Vec<Disk>);

impl Disks {
    fn new() -> Rc<Disks> {
        let books = || Books {
            balances: ACCOUNTS.map(|account| (account.to_owned(), BALANCE)).into(),
            ..Books::default()
        };
        Rc::new(Disks(BRANCHES.iter().map(|_| Disk::in_memory(books())).collect()))
    }

    /// The money in the accounts.
    fn in_accounts(&self) -> u64 {
        let sum = |disk: &Disk| look(disk, |books| books.balances.values().sum::<u64>());
        self.0.iter().map(sum).sum()
    }

    /// The money that is in no account: noted by its sender, and not yet by its receiver.
    fn on_the_way(&self) -> u64 {
        let mut sum = 0;
        for (from, sender) in BRANCHES.iter().zip(&self.0) {
            for (to, receiver) in BRANCHES.iter().zip(&self.0) {
                let last = look(receiver, |books| {
                    books.last_received.get(*from).copied().unwrap_or(0)
                });
                sum += look(sender, |books| {
                    let outgoing = books.outgoing.get(*to).into_iter().flatten();
                    let waiting = outgoing.filter(|transfer| transfer.number > last);
                    waiting.map(|transfer| transfer.amount).sum::<u64>()
                });
            }
        }
        sum
    }
}

/// Looks at the books on a disk, after each step of a simulation, so without a copy.
fn look<T>(disk: &Disk, look: impl FnOnce(&Books) -> T) -> T {
    match disk {
        Disk::Memory(books) => look(&books.lock().expect("nobody panics with the books")),
        Disk::File(_) => unreachable!("the test has its disks in memory"),
    }
}

fn check(is: u64) -> Result<(), String> {
    match is {
        TOTAL => Ok(()),
        is => Err(format!("{is} of {TOTAL} are there")),
    }
}

/// A transfer between accounts that the seed selects.
struct Transfer {
    from: &'static str,
    branch: &'static str,
    to: &'static str,
    amount: u64,
}

fn transfer(own: &str, random: &mut skyring::testing::Random) -> Transfer {
    let others: Vec<&'static str> = BRANCHES.into_iter().filter(|name| *name != own).collect();
    Transfer {
        from: random.pick(&ACCOUNTS).expect("an account"),
        branch: random.pick(&others).expect("a branch"),
        to: random.pick(&ACCOUNTS).expect("an account"),
        amount: 1 + random.below(50),
    }
}

/// The scenario with the obvious bank.
fn obvious_bank(run: &mut Run) -> Result<(), Error> {
    let disks = Disks::new();
    for (name, disk) in BRANCHES.iter().zip(disks.0.clone()) {
        run.node(name)
            .start(move |caller| obvious::open(caller, disk.clone()))?;
    }
    for name in BRANCHES {
        run.operations(name, 10, move |caller, mut operation| async move {
            let Transfer {
                from,
                branch,
                to,
                amount,
            } = transfer(name, &mut operation.random);
            let own = obvious::BranchClient::at(caller, "@branch");
            // One that fails must leave the money where it was.
            let _ = own.transfer(from.into(), branch.into(), to.into(), amount).await;
        });
    }
    run.finally("no money is lost or made", "north", move |_| async move {
        check(disks.in_accounts())
    });
    Ok(())
}

/// The scenario with the durable bank.
fn durable_bank(run: &mut Run) -> Result<(), Error> {
    let disks = Disks::new();
    for (name, disk) in BRANCHES.iter().zip(disks.0.clone()) {
        run.node(name).start(move |caller| {
            let disk = disk.clone();
            async move { durable::open(caller, name, disk).await }
        })?;
    }
    for name in BRANCHES {
        run.operations(name, 10, move |caller, mut operation| async move {
            let Transfer {
                from,
                branch,
                to,
                amount,
            } = transfer(name, &mut operation.random);
            let own = durable::BranchClient::at(caller, "@branch");
            let _ = own.transfer(from, branch, to, amount).await;
        });
    }
    let always = Rc::clone(&disks);
    run.always("no money is lost or made", move || {
        check(always.in_accounts() + always.on_the_way())
    });
    run.finally("all money has arrived", "north", move |_| async move {
        check(disks.in_accounts())
    });
    Ok(())
}

/// A bank whose nodes die, and that is all that goes wrong.
fn death(bank: fn(&mut Run) -> Result<(), Error>) -> Scenario {
    let faults = Faults::only(&[FaultKind::Kill, FaultKind::SwitchOff]);
    Scenario::new("bank", bank).faults(faults).seeds(0..1_000)
}

#[test]
fn the_obvious_bank_loses_money_within_1000_seeds() {
    let scenario = death(obvious_bank);
    let failure = scenario.explore().expect_err("it loses money");
    println!("{failure}");
    assert_eq!(failure.what(), "no money is lost or made");
    assert!(failure.is_repeatable());
    assert_eq!(failure.operations(), 1, "one transfer is enough: {failure}");
    assert!(
        failure.faults().len() <= 2,
        "one death is enough, or two: {failure}"
    );
    // The seed alone gives the same failure again.
    let again = scenario.run(failure.seed()).expect_err("it loses money again");
    assert_eq!(again.to_string(), failure.to_string());
}

#[test]
fn the_durable_bank_keeps_all_money() {
    Scenario::new("bank", durable_bank).seeds(0..20).check();
}

/// With the environment variable `SKYRING_UPDATE_BOOK` it writes the report there.
#[test]
fn the_report_in_the_book_is_what_the_kit_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../chapters/testing-services.md");
    let chapter = std::fs::read_to_string(path).expect("the chapter can be read");
    let failure = death(obvious_bank).explore().expect_err("it loses money");
    // The last line names the test, and the book's reader has another.
    let report = failure.to_string();
    let (report, _) = report
        .rsplit_once(" cargo test")
        .expect("the last line says how to run it again");
    let begin = "```text\nbank: ";
    let (before, rest) = chapter.split_once(begin).expect("the chapter has a report");
    let (printed, after) = rest.split_once("\n```").expect("the report ends");
    if std::env::var_os("SKYRING_UPDATE_BOOK").is_some() {
        let text = format!("{before}```text\n{report} cargo test\n```{after}");
        std::fs::write(path, text).expect("the chapter can be written");
        return;
    }
    assert_eq!(
        format!("bank: {printed}"),
        format!("{report} cargo test"),
        "SKYRING_UPDATE_BOOK=1 cargo test -p skyring-examples --test bank writes the new one"
    );
}

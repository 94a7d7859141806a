//! The bank that loses nothing: money on its way is in the books, too.
//!
//! A branch takes the money and notes the transfer with a number, in one write. It then tells the other branch until that has
//! confirmed it, over restarts of both. The other branch notes the number with the money that it puts into the account, in one
//! write, so it puts it there once, however often it is told. Transfers to one branch go in order, one after the other, so the
//! last number is all that it has to keep.

use std::time::Duration;

use skyring::{Caller, Context, Error};

use super::BankError;
use super::disk::{Books, Disk, Outgoing};

/// The pause before the next attempt to tell another branch.
const PAUSE: Duration = Duration::from_millis(50);

/// How long one attempt may take.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(1);

/// Most transfers to one branch that wait for its confirmation.
const OUTGOING_MAX: usize = 10_000;

/// The accounts of one node.
pub struct Branch {
    /// The node, by which other branches know it.
    name: String,
    disk: Disk,
    books: Books,
    /// The branches that are being told.
    telling: std::collections::BTreeSet<String>,
}

#[skyring::service]
impl Branch {
    #[start]
    fn start(&mut self, context: &Context<Self>) -> Result<(), Error> {
        // Those of an earlier life.
        let waiting: Vec<String> = self.books.outgoing.keys().cloned().collect();
        for branch in waiting {
            self.tell(context, branch);
        }
        Ok(())
    }

    /// The money in an account.
    pub fn balance(&self, account: &str) -> Result<u64, BankError> {
        let balance = self.books.balances.get(account).copied();
        balance.ok_or_else(|| BankError::NoAccount(account.to_owned()))
    }

    /// Moves money from an account of this branch to one of another branch, which is on the node `branch`. When it has
    /// answered, the money is on its way, and will arrive.
    pub fn transfer(
        &mut self,
        context: &Context<Self>,
        from: &str,
        branch: &str,
        to: &str,
        amount: u64,
    ) -> Result<(), BankError> {
        let balance = self.balance(from)?;
        let left = balance
            .checked_sub(amount)
            .ok_or(BankError::TooPoor { balance })?;
        let waiting = self.books.outgoing.get(branch).map_or(0, Vec::len);
        if waiting >= OUTGOING_MAX {
            return Err(BankError::Unreachable(format!("{waiting} transfers wait")));
        }
        let mut books = self.books.clone();
        books.balances.insert(from.to_owned(), left);
        let number = books.last_sent.entry(branch.to_owned()).or_default();
        *number += 1;
        let outgoing = Outgoing {
            number: *number,
            account: to.to_owned(),
            amount,
        };
        books
            .outgoing
            .entry(branch.to_owned())
            .or_default()
            .push(outgoing);
        self.write(books)?;
        self.tell(context, branch.to_owned());
        Ok(())
    }

    /// Puts money into an account, once for each number of the branch that it comes from.
    pub fn put(&mut self, from: &str, number: u64, account: &str, amount: u64) -> Result<(), BankError> {
        if self
            .books
            .last_received
            .get(from)
            .is_some_and(|last| number <= *last)
        {
            return Ok(());
        }
        let balance = self.balance(account)?;
        let mut books = self.books.clone();
        books.balances.insert(account.to_owned(), balance + amount);
        books.last_received.insert(from.to_owned(), number);
        self.write(books)
    }
}

impl Branch {
    /// A branch with the books of this disk; other branches know it by the name of its node.
    pub fn new(name: &str, disk: Disk, books: Books) -> Branch {
        Branch {
            name: name.to_owned(),
            disk,
            books,
            telling: Default::default(),
        }
    }

    /// Tells another branch of its transfers, until it has confirmed all.
    fn tell(&mut self, context: &Context<Self>, branch: String) {
        if !self.telling.insert(branch.clone()) {
            return;
        }
        let context = context.clone();
        context.clone().spawn(async move {
            let other = BranchClient::at(context.node(branch.as_str()), "@branch");
            loop {
                let next = context.update(|own| {
                    let next = own.next_to(&branch);
                    if next.is_none() {
                        own.telling.remove(&branch);
                    }
                    next
                });
                let Some((name, next)) = next else { return };
                let told = other.put(&name, next.number, &next.account, next.amount);
                match told.timeout(ATTEMPT_TIME_MAX).idempotent().await {
                    Ok(()) => {
                        let confirmed = context.update(|own| own.confirm(&branch, next.number));
                        if let Err(error) = confirmed {
                            context.log(error);
                            context.sleep(PAUSE).await;
                        }
                    }
                    Err(error) => {
                        context.log(format!("transfer {} to {branch} waits: {error}", next.number));
                        context.sleep(PAUSE).await;
                    }
                }
            }
        });
    }

    fn next_to(&self, branch: &str) -> Option<(String, Outgoing)> {
        let next = self.books.outgoing.get(branch)?.first()?;
        Some((self.name.clone(), next.clone()))
    }

    fn confirm(&mut self, branch: &str, number: u64) -> Result<(), BankError> {
        let mut books = self.books.clone();
        if let Some(outgoing) = books.outgoing.get_mut(branch) {
            outgoing.retain(|transfer| transfer.number > number);
        }
        self.write(books)
    }

    /// The new books hold as soon as they are written.
    fn write(&mut self, books: Books) -> Result<(), BankError> {
        let written = self.disk.write(&books);
        written.map_err(|error| BankError::Disk(error.to_string()))?;
        self.books = books;
        Ok(())
    }
}

/// Opens a branch on the node of the caller, as `@branch`; `name` is the node.
///
/// # Errors
/// When the books cannot be read, or the node has a branch already.
pub async fn open(caller: Caller, name: &str, disk: Disk) -> Result<(), Error> {
    let books = disk.read().map_err(|error| Error::remote(error.to_string()))?;
    let name = name.to_owned();
    let branch = caller.launch(move |_| Branch::new(&name, disk, books)).await?;
    caller.cluster().register("branch", Some(branch))
}

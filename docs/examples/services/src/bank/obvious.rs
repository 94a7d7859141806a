//! The obvious bank: take the money here, put it there, and give it back if that fails.

use skyring::{Caller, Context, Error};

use super::BankError;
use super::disk::{Books, Disk};

/// The accounts of one node.
pub struct Branch {
    disk: Disk,
    books: Books,
}

#[skyring::service]
impl Branch {
    /// The money in an account.
    pub fn balance(&self, account: &str) -> Result<u64, BankError> {
        let balance = self.books.balances.get(account).copied();
        balance.ok_or_else(|| BankError::NoAccount(account.to_owned()))
    }

    /// Moves money from an account of this branch to one of another branch, which is on the node `branch`.
    pub async fn transfer(
        context: &Context<Self>,
        from: String,
        branch: String,
        to: String,
        amount: u64,
    ) -> Result<(), BankError> {
        context.update(|own| own.take(&from, amount))?;
        let other = BranchClient::at(context.node(branch), "@branch");
        match other.put(to, amount).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // It did not work, so the money goes back.
                context.update(|own| own.give(&from, amount))?;
                Err(BankError::Unreachable(error.to_string()))
            }
        }
    }

    /// Puts money into an account.
    pub fn put(&mut self, account: String, amount: u64) -> Result<(), BankError> {
        self.give(&account, amount)
    }
}

impl Branch {
    /// A branch with the books of this disk.
    pub fn new(disk: Disk, books: Books) -> Branch {
        Branch { disk, books }
    }

    fn take(&mut self, account: &str, amount: u64) -> Result<(), BankError> {
        let balance = self.balance(account)?;
        let left = balance
            .checked_sub(amount)
            .ok_or(BankError::TooPoor { balance })?;
        self.books.balances.insert(account.to_owned(), left);
        self.write()
    }

    fn give(&mut self, account: &str, amount: u64) -> Result<(), BankError> {
        let balance = self.balance(account)?;
        self.books.balances.insert(account.to_owned(), balance + amount);
        self.write()
    }

    fn write(&self) -> Result<(), BankError> {
        let written = self.disk.write(&self.books);
        written.map_err(|error| BankError::Disk(error.to_string()))
    }
}

/// Opens a branch on the node of the caller, as `@branch`.
///
/// # Errors
/// When the books cannot be read, or the node has a branch already.
pub async fn open(caller: Caller, disk: Disk) -> Result<(), Error> {
    let books = disk.read().map_err(|error| Error::remote(error.to_string()))?;
    let branch = caller.launch(move |_| Branch::new(disk, books)).await?;
    caller.cluster().register("branch", Some(branch))
}

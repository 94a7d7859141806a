//! The callee of the ledger: runs a call by writing it to its journal, and answers with the call's number.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skyring::{Answer, Context, Error, Kinds, Message, Payload, Service};

use super::journal::{JournalWriter, Record};

/// One call of so many is answered later, after calls that came later.
const LATER_EVERY: u64 = 16;

/// How much later.
const LATER_BY: Duration = Duration::from_millis(1);

/// The service; its argument in a config is the folder of its journal.
#[derive(Debug)]
struct LedgerCallee {
    folder: PathBuf,
    journal: Option<JournalWriter>,
}

/// The time, in milliseconds since 1970.
fn unix_time_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

/// Adds the kind `ledger`, whose argument is a folder: it writes a journal there of every call that it runs.
pub fn ledger_kind(kinds: Kinds) -> Kinds {
    kinds.add("ledger", |arguments| {
        if arguments.is_empty() {
            return Err(Error::invalid("ledger wants the folder of its journal"));
        }
        Ok(LedgerCallee {
            folder: arguments.into(),
            journal: None,
        })
    })
}

impl Service for LedgerCallee {
    fn start(&mut self, _context: &Context<Self>) -> Result<(), Error> {
        let journal = JournalWriter::begin(&self.folder);
        self.journal =
            Some(journal.map_err(|error| Error::invalid(format!("{}: {error}", self.folder.display())))?);
        Ok(())
    }

    fn handle(&mut self, context: &Context<Self>, message: Message) -> Answer {
        let (caller, number) = match message.unpack::<(u32, u64)>() {
            Ok(read) => read,
            Err(error) => return Answer::error(error),
        };
        let record = Record {
            caller,
            number,
            time_ms: unix_time_ms(),
        };
        let Some(journal) = &mut self.journal else {
            return Answer::error(Error::remote("the journal is not open"));
        };
        if let Err(error) = journal.append(record) {
            return Answer::error(Error::remote(format!("the journal cannot be written: {error}")));
        }
        if !number.is_multiple_of(LATER_EVERY) {
            return Answer::now(&number);
        }
        let context = context.clone();
        Answer::later(async move {
            context.sleep(LATER_BY).await;
            Payload::pack(&number)
        })
    }
}

//! A service that remembers what it gets, where the test can see it.

use std::sync::{Arc, Mutex, PoisonError};

use skyring::{Answer, Caller, Handle};

use crate::handler::launch;

/// The numbers that a recorder got, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<i64>>>);

impl Record {
    /// All of them so far.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many so far.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Launches a service that records the first value of each message and answers with how many it has.
    pub(crate) async fn launch(&self, caller: &Caller) -> Handle {
        let record = self.clone();
        launch(caller, move |_, message| match message.unpack::<i64>() {
            Ok(number) => {
                let mut numbers = record.0.lock().unwrap_or_else(PoisonError::into_inner);
                numbers.push(number);
                Answer::now(&numbers.len())
            }
            Err(error) => Answer::error(error),
        })
        .await
    }
}

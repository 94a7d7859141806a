//! A service that records its messages for the test.

use std::sync::{Arc, Mutex, PoisonError};

use skyring::{Answer, Caller, Handle};

use crate::handler::launch;

/// The numbers that a recorder has received, in order.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<i64>>>);

impl Record {
    /// All numbers so far.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The count of numbers so far.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Launches a service that records the first value of each message and answers with its count of numbers.
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

//! Many futures at once.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use skyring::Caller;

/// Runs all futures at once and returns their values in order.
pub(crate) async fn all<T, F>(caller: &Caller, futures: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let values: Rc<RefCell<Vec<Option<T>>>> = Rc::default();
    let left = Rc::new(RefCell::new(0usize));
    for (index, future) in futures.into_iter().enumerate() {
        values.borrow_mut().push(None);
        *left.borrow_mut() += 1;
        let (values, left) = (Rc::clone(&values), Rc::clone(&left));
        caller.spawn(async move {
            let value = future.await;
            values.borrow_mut()[index] = Some(value);
            *left.borrow_mut() -= 1;
        });
    }
    while *left.borrow() > 0 {
        caller.sleep(Duration::from_millis(1)).await;
    }
    values.take().into_iter().flatten().collect()
}

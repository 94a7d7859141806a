//! Services of the book's chapter "Testing services": each is used by a program in `src/bin`, and tested by the test kit in
//! `tests`.

pub mod bank;
pub mod limiter;
pub mod matchmaker;

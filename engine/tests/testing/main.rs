//! The test kit: what it promises to those who test their services with it.

mod clusters;
mod deliberate;
mod determinism;
mod units;

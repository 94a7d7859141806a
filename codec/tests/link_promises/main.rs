//! What the sans-I/O link promises, one module for each kind of promise.

mod deadlines;
mod disconnect;
mod edges;
mod hostile;
mod limits;
mod properties;
mod support;

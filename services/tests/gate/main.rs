//! A gate passes the packets of clients to its target and the answers back, whatever clients and target do.

mod frames;
mod limits;
mod pushes;
mod support;
mod tcp;
mod websocket;

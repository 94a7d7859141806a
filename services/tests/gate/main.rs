//! A gate passes the packets of clients to its target and the answers back, whatever clients and target do.

mod frames;
mod limits;
mod pushes;
mod support;
mod tcp;
mod tls;
mod tls_certificates;
mod tls_hostile;
mod tls_support;
mod websocket;

//! What the native dialect promises on a link. See the module's page of `skyring_codec::link`.

mod deadlines;
mod golden;
mod handshake;
mod heartbeat;
mod hostile;
mod names;
mod properties;
mod resume;
mod resume_acks;
mod support;
mod waiting;

//! Drivers of databases against real servers that are killed and started again while services use them.
//!
//! Skynet's own drivers (`skynet.db.redis`, `skynet.db.mysql`, `skynet.db.mongo`) are not part of this project: the tests
//! that need them take them from the built checkout that the environment variable `SKYRING_TEST_SKYNET` names, which
//! is for the same version of Lua. What is absent, a server or the checkout, skips a test, which says so.

mod drivers;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../common/node.rs"]
mod node;
mod server;

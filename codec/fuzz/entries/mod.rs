//! What is fuzzed: each entry is a function that panics where its input breaks a promise.
//!
//! The fuzz targets, the command `fuzz` and the tests run the same entries and begin with the same samples.

mod entry;
pub mod events;
pub mod hello;
pub mod link_callee;
pub mod link_caller;
pub mod native_callee;
pub mod native_caller;
pub mod peer;
pub mod proof;
pub mod samples;
pub mod seri;
pub mod session;
pub mod shape;
pub mod skynet;

pub use self::entry::Entry;
use self::shape::{Content, Stream};

/// All of them.
pub const ENTRIES: [Entry; 11] = [
    Entry {
        name: "seri_unpack",
        run: seri::unpack,
        shape: Content::Values.plain(),
        samples: samples::values,
    },
    Entry {
        name: "serde_from_bytes",
        run: seri::from_bytes,
        shape: Content::Values.plain(),
        samples: samples::records,
    },
    Entry {
        name: "skynet_request",
        run: skynet::skynet_request,
        shape: Content::Packages.with_cut(),
        samples: samples::requests,
    },
    Entry {
        name: "skynet_response",
        run: skynet::skynet_response,
        shape: Content::Packages.with_cut(),
        samples: samples::responses,
    },
    Entry {
        name: "link_caller",
        run: link_caller::link_caller,
        shape: Content::Steps {
            count: 16,
            hostile: Some(Stream::Packages),
        }
        .plain(),
        samples: samples::link_steps,
    },
    Entry {
        name: "link_callee",
        run: link_callee::link_callee,
        shape: Content::Packages.with_cut(),
        samples: samples::requests,
    },
    Entry {
        name: "native_hello",
        run: hello::native_hello,
        shape: Content::Packages.plain(),
        samples: samples::hellos,
    },
    Entry {
        name: "native_proof",
        run: proof::native_proof,
        shape: Content::Packages.with_cut(),
        samples: samples::proved_handshakes,
    },
    Entry {
        name: "native_caller",
        run: native_caller::native_caller,
        shape: Content::Steps {
            count: 12,
            hostile: Some(Stream::Frames),
        }
        .plain(),
        samples: samples::native_steps,
    },
    Entry {
        name: "native_callee",
        run: native_callee::native_callee,
        shape: Content::Frames.with_cut(),
        samples: samples::frames,
    },
    Entry {
        name: "native_session",
        run: session::native_session,
        shape: Content::Steps {
            count: 15,
            hostile: None,
        }
        .plain(),
        samples: samples::session_steps,
    },
];

//! The book, and the tests that keep it true.
//!
//! The book lies in `docs/chapters` and is built with mdbook; nothing of it is compiled into this crate
//! except as documentation tests: every Rust snippet of the README and of the chapters is compiled, and
//! run unless it says `no_run`, by `cargo test -p skyring-docs --doc`. What prose cannot be compiled for
//! (links, tables of errors, keys, bounds and counters, the examples, the house rules) is checked by
//! `docs/tests/promises`.

/// One module for each page, so that a snippet that fails names the page it stands on.
macro_rules! pages {
    ($($name:ident = $file:literal;)+) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($file)]
            pub mod $name {}
        )+
    };
}

pages! {
    readme = "../../README.md";
    readme_chinese = "../../README.zh-CN.md";
    contributing = "../../CONTRIBUTING.md";
    introduction = "../chapters/introduction.md";
    quick_start = "../chapters/quick-start.md";
    concepts = "../chapters/concepts.md";
    services = "../chapters/services.md";
    gate = "../chapters/gate.md";
    supervision = "../chapters/supervision.md";
    typed_services = "../chapters/typed-services.md";
    testing_services = "../chapters/testing-services.md";
    cluster = "../chapters/cluster.md";
    discovery = "../chapters/discovery.md";
    lua = "../chapters/lua.md";
    configuration = "../chapters/configuration.md";
    command_line = "../chapters/command-line.md";
    lua_libraries = "../chapters/lua-libraries.md";
    from_skynet = "../chapters/from-skynet.md";
    errors = "../chapters/errors.md";
    limits = "../chapters/limits.md";
    wire = "../chapters/wire.md";
    wire_native = "../chapters/wire-native.md";
    operating = "../chapters/operating.md";
    containers = "../chapters/containers.md";
    admin = "../chapters/admin.md";
    on_call = "../chapters/on-call.md";
    security = "../chapters/security.md";
    tracing = "../chapters/tracing.md";
    console = "../chapters/console.md";
    skynet_scripts = "../chapters/skynet-scripts.md";
    runtimes = "../chapters/runtimes.md";
    benchmarks = "../chapters/benchmarks.md";
    measuring = "../chapters/measuring.md";
    profiling = "../chapters/profiling.md";
    tuning = "../chapters/tuning.md";
    architecture = "../chapters/architecture.md";
    a_call = "../chapters/a-call.md";
    scaling = "../chapters/scaling.md";
    testing = "../chapters/testing.md";
    glossary = "../chapters/glossary.md";
}

//! Lets the modules in C of the tests find the interpreter's functions in the test program, as they find them in
//! the command.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        for symbols in ["lua_*", "luaL_*", "luaopen_*"] {
            println!("cargo:rustc-link-arg-tests=-Wl,--export-dynamic-symbol={symbols}");
        }
    }
}

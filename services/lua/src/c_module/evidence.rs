//! For which versions of Lua a shared library can have been built.
//!
//! Three things in the file tell, and only what holds for certain excludes a version:
//!
//! - *Functions.* A library that calls `lua_newuserdata` is for a Lua that has this function: 5.1 to 5.3. The table lists
//!   the functions of the interface that some version lacks and that modules call.
//! - *The version number.* `luaL_checkversion_`, which `luaL_newlib` calls, gets the version of the headers as a floating-point
//!   number, 504.0 for 5.4. Its eight bytes are in the constants or in the code of the library. If exactly one of
//!   these numbers is in a library that calls the function, it is that version's.
//! - *The index of the registry.* `LUA_REGISTRYINDEX` and the indices of upvalues are constants in the code, -1001000
//!   and below for 5.2 to 5.4, -1073742823 and below for 5.5. On x86-64 they are the operand of `mov register, constant`,
//!   four bytes after an opcode of `b8` to `bf`. If the code has such instructions for one of the two and none for the
//!   other, it is for that one. Elsewhere the instructions differ, and this is not considered.
//!
//! A module that gives none of these uses no registry, no upvalue and no function that one version lacks. Then several
//! versions remain, and it must not call a function whose arguments, or the layout of `lua_Debug`, differ among them:
//! [`ambiguous`] names it. What else it calls is the same in all that remain.

use std::fmt;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// A version of Lua, as an index into [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(usize);

/// The versions that modules are built for.
const NAMES: [&str; 5] = ["5.1", "5.2", "5.3", "5.4", "5.5"];

/// The version of this program.
pub(super) const OWN: Version = Version(if cfg!(feature = "lua55") { 4 } else { 3 });

impl Version {
    pub(super) const fn name(self) -> &'static str {
        NAMES[self.0]
    }
}

/// A set of versions, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions(u8);

const ALL: Versions = Versions(0b11111);
const V51: Versions = Versions(0b00001);
const V52: Versions = Versions(0b00010);
const V53: Versions = Versions(0b00100);
const V54: Versions = Versions(0b01000);
const V55: Versions = Versions(0b10000);
const V51_TO_52: Versions = Versions(0b00011);
const V51_TO_53: Versions = Versions(0b00111);
const V51_TO_54: Versions = Versions(0b01111);
const V52_TO_53: Versions = Versions(0b00110);
const V52_TO_54: Versions = Versions(0b01110);
const FROM_52: Versions = Versions(0b11110);
const FROM_53: Versions = Versions(0b11100);
const FROM_54: Versions = Versions(0b11000);

impl Versions {
    pub(super) fn contains(self, version: Version) -> bool {
        self.0 & (1 << version.0) != 0
    }

    fn of(version: Version) -> Versions {
        Versions(1 << version.0)
    }

    /// The versions in both; this one unchanged if there are none: then one of the two is an accident, and the
    /// functions, which are considered first, are not.
    fn narrow(self, other: Versions) -> Versions {
        match self.0 & other.0 {
            0 => self,
            both => Versions(both),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = (0..NAMES.len())
            .map(Version)
            .filter(|version| self.contains(*version))
            .map(Version::name)
            .collect();
        formatter.write_str(&names.join(" or "))
    }
}

/// Functions that some version lacks, or has as a macro only.
const FUNCTIONS: &[(Versions, &[&str])] = &[
    (
        V51,
        &[
            "luaL_findtable",
            "luaL_loadbuffer",
            "luaL_loadfile",
            "luaL_prepbuffer",
            "luaL_register",
            "luaL_typerror",
            "lua_call",
            "lua_cpcall",
            "lua_equal",
            "lua_getfenv",
            "lua_lessthan",
            "lua_objlen",
            "lua_pcall",
            "lua_setfenv",
            "lua_tointeger",
            "lua_tonumber",
            "lua_yield",
        ],
    ),
    (V51_TO_52, &["lua_insert", "lua_remove", "lua_replace"]),
    (V51_TO_53, &["lua_newuserdata"]),
    (V51_TO_54, &["luaL_openlibs"]),
    (
        V52,
        &[
            "luaL_checkunsigned",
            "luaL_optunsigned",
            "lua_getctx",
            "lua_pushunsigned",
            "lua_tounsignedx",
        ],
    ),
    (
        V52_TO_53,
        &["luaL_pushmodule", "lua_getuservalue", "lua_setuservalue"],
    ),
    (
        FROM_52,
        &[
            "luaL_buffinitsize",
            "luaL_checkversion_",
            "luaL_execresult",
            "luaL_fileresult",
            "luaL_getsubtable",
            "luaL_len",
            "luaL_loadbufferx",
            "luaL_loadfilex",
            "luaL_prepbuffsize",
            "luaL_pushresultsize",
            "luaL_requiref",
            "luaL_setfuncs",
            "luaL_setmetatable",
            "luaL_testudata",
            "luaL_tolstring",
            "luaL_traceback",
            "lua_absindex",
            "lua_arith",
            "lua_callk",
            "lua_compare",
            "lua_copy",
            "lua_getglobal",
            "lua_len",
            "lua_pcallk",
            "lua_rawgetp",
            "lua_rawlen",
            "lua_rawsetp",
            "lua_setglobal",
            "lua_tointegerx",
            "lua_tonumberx",
            "lua_yieldk",
        ],
    ),
    (
        FROM_53,
        &[
            "lua_geti",
            "lua_isinteger",
            "lua_isyieldable",
            "lua_rotate",
            "lua_seti",
            "lua_stringtonumber",
        ],
    ),
    (V54, &["lua_resetthread", "lua_setcstacklimit"]),
    (
        FROM_54,
        &[
            "luaL_addgsub",
            "luaL_typeerror",
            "lua_closeslot",
            "lua_closethread",
            "lua_getiuservalue",
            "lua_newuserdatauv",
            "lua_setiuservalue",
            "lua_setwarnf",
            "lua_toclose",
            "lua_warning",
        ],
    ),
    (
        V55,
        &[
            "luaL_alloc",
            "luaL_makeseed",
            "luaL_openselectedlibs",
            "lua_numbertocstring",
            "lua_pushexternalstring",
        ],
    ),
];

/// Functions whose interface differs, each with the versions that have the same.
const DIFFERING: &[(&[&str], &[Versions])] = &[
    // `lua_Debug` is another in each version.
    (
        &["lua_gethook", "lua_getinfo", "lua_getstack", "lua_sethook"],
        &[V51, V52, V53, V54, V55],
    ),
    (&["lua_arith"], &[V52, FROM_53]),
    (&["lua_dump"], &[V51_TO_52, FROM_53]),
    (&["lua_load"], &[V51, FROM_52]),
    (&["lua_newstate"], &[V51_TO_54, V55]),
    (&["lua_resume"], &[V51, V52_TO_53, FROM_54]),
];

/// The index of the registry in 5.2 to 5.4, and in 5.5.
const REGISTRY: [(Versions, i32); 2] = [(V52_TO_54, -1_001_000), (V55, -(i32::MAX / 2 + 1_000))];

/// How far below it the index of an upvalue can be.
const UPVALUES: i32 = 255;

/// The versions for which a shared library can have been built.
pub(super) fn versions(file: &object::File<'_>) -> Versions {
    let mut versions = ALL;
    let mut checks_version = false;
    for symbol in file.dynamic_symbols().filter(ObjectSymbol::is_undefined) {
        let Ok(name) = symbol.name() else { continue };
        checks_version |= name == "luaL_checkversion_";
        let row = FUNCTIONS.iter().find(|(_, names)| names.contains(&name));
        if let Some((having, _)) = row {
            versions = versions.narrow(*having);
        }
    }
    if checks_version {
        versions = versions.narrow(by_number(file));
    }
    if file.architecture() == object::Architecture::X86_64 {
        versions = versions.narrow(by_registry(file));
    }
    versions
}

/// A function that the library calls and that is not the same in all of `versions`, for which it can have been built.
pub(super) fn ambiguous(file: &object::File<'_>, versions: Versions) -> Option<String> {
    let differs = |name: &str| {
        let row = DIFFERING.iter().find(|(names, _)| names.contains(&name));
        row.is_some_and(|(_, groups)| {
            let same = groups.iter().find(|group| group.contains(OWN));
            same.is_none_or(|same| versions.0 & !same.0 != 0)
        })
    };
    file.dynamic_symbols()
        .filter(ObjectSymbol::is_undefined)
        .filter_map(|symbol| symbol.name().ok())
        .find(|name| differs(name))
        .map(str::to_owned)
}

/// The version whose number alone is in the file.
fn by_number(file: &object::File<'_>) -> Versions {
    let mut found = None;
    for version in (1..NAMES.len()).map(Version) {
        let number = (501 + version.0) as f64;
        let bytes = if file.is_little_endian() {
            number.to_le_bytes()
        } else {
            number.to_be_bytes()
        };
        let holds = |kind| {
            matches!(
                kind,
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::Data
            )
        };
        let is_in_file = file
            .sections()
            .filter(|section| holds(section.kind()))
            .filter_map(|section| section.data().ok())
            .any(|data| data.windows(bytes.len()).any(|window| window == bytes));
        if is_in_file && found.replace(version).is_some() {
            return ALL;
        }
    }
    found.map_or(ALL, Versions::of)
}

/// The versions whose index of the registry alone is in the code.
fn by_registry(file: &object::File<'_>) -> Versions {
    let mut found = [false; REGISTRY.len()];
    let code = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .filter_map(|section| section.data().ok());
    for window in code.flat_map(|data| data.windows(5)) {
        let &[0xb8..=0xbf, a, b, c, d] = window else {
            continue;
        };
        let index = i32::from_le_bytes([a, b, c, d]);
        for (found, (_, registry)) in found.iter_mut().zip(REGISTRY) {
            *found |= (registry - UPVALUES..=registry).contains(&index);
        }
    }
    match found {
        [true, false] => REGISTRY[0].0,
        [false, true] => REGISTRY[1].0,
        _ => ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, FUNCTIONS, OWN, V51, V54, V55, Versions};

    #[test]
    fn each_function_is_listed_once() {
        let mut names: Vec<&str> = FUNCTIONS.iter().flat_map(|(_, names)| *names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn contradicting_evidence_excludes_nothing() {
        assert_eq!(V54.narrow(V55), V54);
        assert_eq!(ALL.narrow(V51), V51);
        assert_eq!(Versions(0b11000).to_string(), "5.4 or 5.5");
    }

    #[test]
    fn the_version_of_the_program_is_one_that_it_can_be_built_with() {
        assert!(["5.4", "5.5"].contains(&OWN.name()));
    }
}

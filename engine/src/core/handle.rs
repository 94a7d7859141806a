//! Addresses of services on their node.

use std::fmt;

use smol_str::SmolStr;

/// The 32-bit address of a service on its node, printed as `:0000000a`. 0 addresses no service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Handle(pub u32);

/// Set in the handles of keyed services, and in no other; see `service::keyed`.
pub(crate) const KEYED: u32 = 1 << 31;

impl Handle {
    /// The handle of no service: the source of messages that no service sent.
    pub const NONE: Handle = Handle(0);
}

impl fmt::Display for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, ":{:08x}", self.0)
    }
}

/// The name of a service in an address. A short name, as nearly all are, is copied without a reference count.
pub type Name = SmolStr;

/// The address of a message's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A handle.
    Handle(Handle),
    /// `.name` (local to a node) or `@name` (registered for the cluster), with its first character.
    Name(Name),
}

impl Address {
    /// Parses `:0000000a`, `10`, `.name` or `@name`, as Skynet does.
    pub fn parse(text: &str) -> Option<Address> {
        if let Some(hex) = text.strip_prefix(':') {
            return u32::from_str_radix(hex, 16)
                .ok()
                .map(|handle| Address::Handle(Handle(handle)));
        }
        if text.len() > 1 && (text.starts_with('.') || text.starts_with('@')) {
            return Some(Address::Name(text.into()));
        }
        text.parse().ok().map(|handle| Address::Handle(Handle(handle)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Handle(handle) => handle.fmt(formatter),
            Address::Name(name) => formatter.write_str(name),
        }
    }
}

impl From<Handle> for Address {
    fn from(handle: Handle) -> Address {
        Address::Handle(handle)
    }
}

impl From<&str> for Address {
    /// A text that is no address becomes a name that does not exist, so that the call fails with that error.
    fn from(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|| Address::Name(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_is_read() {
        for (text, address) in [
            (":0000000a", Address::Handle(Handle(10))),
            ("@sdb", Address::Name("@sdb".into())),
            (".db", Address::Name(".db".into())),
        ] {
            assert_eq!(Address::parse(text), Some(address.clone()));
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(Address::parse("10"), Some(Address::Handle(Handle(10))));
    }

    #[test]
    fn a_text_that_is_no_address_does_not_parse() {
        for text in ["", "@", ".", ":", ":xyz", "sdb", "-1", "4294967296"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}

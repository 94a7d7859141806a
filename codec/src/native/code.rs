//! Stable numbers for the causes of failed calls, so that a caller need not parse a text.

/// The cause of a failed call in an error reply of the native dialect. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// The service answered with an error of its own.
    Remote = 0,
    /// No reply came before the deadline.
    Timeout = 1,
    /// The node could not be reached.
    Unreachable = 2,
    /// The node is not in the cluster map.
    Absent = 3,
    /// The cluster map disables the node.
    Disabled = 4,
    /// The connection broke before the reply.
    ConnectionLost = 5,
    /// The process is not the one that the call was sent to.
    Restarted = 6,
    /// There is no service at the address.
    NoSuchService = 7,
    /// A bounded queue or buffer is full.
    Overloaded = 8,
    /// A message is larger than the limit.
    TooLarge = 9,
    /// The callee refuses to serve the caller.
    Denied = 10,
    /// The node is stopping.
    ShuttingDown = 11,
    /// The request is invalid: a malformed address or value.
    Invalid = 12,
    /// An operation failed on the machine of the callee.
    System = 13,
    /// The service answered with an error of its own that has a value beside its text: the payload is both, packed.
    RemoteValue = 14,
}

impl ErrorCode {
    /// All codes; the index of each is its number.
    pub const ALL: [ErrorCode; 15] = [
        Self::Remote,
        Self::Timeout,
        Self::Unreachable,
        Self::Absent,
        Self::Disabled,
        Self::ConnectionLost,
        Self::Restarted,
        Self::NoSuchService,
        Self::Overloaded,
        Self::TooLarge,
        Self::Denied,
        Self::ShuttingDown,
        Self::Invalid,
        Self::System,
        Self::RemoteValue,
    ];

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The code of a number; None for a number that a later version has added.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The name that error texts begin with and that programs compare.
    pub fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Absent => "absent",
            Self::Disabled => "disabled",
            Self::ConnectionLost => "connection-lost",
            Self::Restarted => "restarted",
            Self::NoSuchService => "no-such-service",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too-large",
            Self::Denied => "denied",
            Self::ShuttingDown => "shutting-down",
            Self::Invalid => "invalid",
            Self::System => "system",
            Self::RemoteValue => "remote-value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_convert_to_codes_and_unknown_ones_to_none() {
        for (number, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code.number(), number as u32);
            assert_eq!(ErrorCode::from_number(number as u32), Some(code));
        }
        assert_eq!(ErrorCode::from_number(15), None);
        assert_eq!(ErrorCode::from_number(u32::MAX), None);
    }

    #[test]
    fn codes_have_the_numbers_and_names_that_the_specification_gives() {
        let names: Vec<_> = ErrorCode::ALL.into_iter().map(ErrorCode::name).collect();
        let expected = "remote timeout unreachable absent disabled connection-lost restarted no-such-service \
                        overloaded too-large denied shutting-down invalid system remote-value";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    }
}

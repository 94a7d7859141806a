//! What the inputs of an entry consist of, so that they can be changed without destroying what they mean.

/// The form of an entry's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The first byte says how the rest is cut into chunks.
    pub has_cut: bool,
    /// What the rest consists of.
    pub content: Content,
}

/// What a stream consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Values of lua-seri: a unit is one without those in it, or the end of a table.
    Values,
    /// Packages of the skynet dialect.
    Packages,
    /// Frames of the native dialect.
    Frames,
    /// Records of TLS.
    Records,
    /// Pieces of a text or of a message, each behind its length in one byte: the entry puts them together without the
    /// lengths.
    Pieces,
    /// Pairs of a step and its argument.
    Steps {
        /// How many steps there are; a step's number is taken modulo this.
        count: u8,
        /// The last step receives as many bytes of a hostile peer as its argument says, and this is what they are.
        /// None when it is like any other.
        hostile: Option<Stream>,
    },
}

/// What a hostile peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Skynet packages.
    Packages,
    /// Native frames.
    Frames,
    /// Records of TLS.
    Records,
}

impl Content {
    /// Inputs that consist of this and nothing else.
    pub const fn plain(self) -> Shape {
        Shape {
            has_cut: false,
            content: self,
        }
    }

    /// Inputs that begin with how they are cut.
    pub const fn with_cut(self) -> Shape {
        Shape {
            has_cut: true,
            content: self,
        }
    }
}

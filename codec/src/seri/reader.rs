//! Bytes to tokens: the only code that reads the wire format.
//!
//! # Invariants
//!
//! - Every step consumes at least one byte or fails, so reading ends within the input.
//! - An array length is accepted only if the bytes after it could hold the items.
//! - Tables nest at most [`DEPTH_MAX`] deep, which also bounds every recursion over tokens.

use super::value::{Kind, Table, Value};
use super::wire::{
    ARRAY_SIZE_FOLLOWS, DEPTH_MAX, NUMBER_F64, NUMBER_I32, NUMBER_I64, NUMBER_U8, NUMBER_U16, NUMBER_ZERO,
    STRING_U16, STRING_U32, TYPE_BOOLEAN, TYPE_NIL, TYPE_NUMBER, TYPE_STRING_LONG, TYPE_STRING_SHORT,
    TYPE_TABLE, TYPE_USERDATA, cookie_of, kind_of,
};

/// Items for which memory is reserved before the first is read; a longer list grows as items are read.
pub(super) const RESERVED_ITEMS_MAX: usize = 64;

/// Why bytes cannot be read as the wanted values. Offsets are in bytes from the start of the payload.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum UnpackError {
    /// A value continues after the end of the payload.
    #[error("the value at byte {offset} runs past the end of the payload")]
    Truncated {
        /// Where the value starts.
        offset: usize,
    },
    /// A type that does not exist in lua-seri.
    #[error("byte {offset} is 0x{byte:02x}, which is no type of value")]
    UnknownType {
        /// Where the value starts.
        offset: usize,
        /// Its first byte.
        byte: u8,
    },
    /// A form of a number or a string that does not exist in lua-seri.
    #[error("byte {offset} is 0x{byte:02x}, an unknown form of number or string")]
    BadCookie {
        /// Where the value starts.
        offset: usize,
        /// Its first byte.
        byte: u8,
    },
    /// A pointer of another process.
    #[error("the value at byte {offset} is light userdata, a pointer of another process")]
    LightUserdata {
        /// Where the value starts.
        offset: usize,
    },
    /// The array length of a table is negative or not an integer.
    #[error("the table at byte {offset} has an invalid array length")]
    BadArrayLength {
        /// Where the table starts.
        offset: usize,
    },
    /// A value is inside more than [`DEPTH_MAX`] tables.
    #[error("the value at byte {offset} is nested more than {DEPTH_MAX} tables deep")]
    TooDeep {
        /// Where the value starts.
        offset: usize,
    },
    /// A table has an entry whose key is NaN, which Lua refuses.
    #[error("the table key at byte {offset} is NaN")]
    NanKey {
        /// Where the key starts.
        offset: usize,
    },
    /// A value is of another kind than the wanted one. A missing value counts as nil.
    #[error("value {position} should be {wanted}, but is {found}")]
    Mismatch {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// The wanted type.
        wanted: &'static str,
        /// The kind of the value.
        found: Kind,
    },
    /// An integer is out of range for the wanted type.
    #[error("value {position} is {value}, which does not fit {wanted}")]
    IntegerOutOfRange {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// The wanted type.
        wanted: &'static str,
        /// The integer.
        value: i64,
    },
    /// A float that equals no integer, where an integer is wanted.
    #[error("value {position} is the float {value}, which is no integer")]
    NotAnInteger {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// The float.
        value: f64,
    },
    /// A string that is not UTF-8, where text is wanted.
    #[error("value {position} is a string that is not UTF-8")]
    NotUtf8 {
        /// Which value of the payload, counted from 1.
        position: usize,
    },
}

/// One step of reading. `Table` is followed by its list items, then keys and values until a nil key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'a [u8]),
    Table { array_length: usize },
}

/// Reads tokens from the front of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Length of the whole payload, to compute offsets.
    total: usize,
    /// How many tables are open.
    depth: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self {
            rest: payload,
            total: payload.len(),
            depth: 0,
        }
    }

    /// Whether no bytes are left.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The remaining bytes.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Drops the remaining bytes: after an error they are meaningless.
    #[inline]
    pub(super) fn stop(&mut self) {
        self.rest = &[];
    }

    /// Whether the next value is nil or missing, which is the same in Lua.
    #[inline]
    pub(super) fn is_nil_next(&self) -> bool {
        self.rest.first().is_none_or(|&byte| kind_of(byte) == TYPE_NIL)
    }

    /// Whether the innermost open table has only list items. False for malformed items, which fail when they are
    /// read.
    pub(super) fn is_list_alone(&self, array_length: usize) -> bool {
        let mut ahead = *self;
        ahead.skip_array(array_length).is_ok() && ahead.is_nil_next()
    }

    /// The next value, or its start if it is a table.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Token<'a>, UnpackError> {
        if self.depth > DEPTH_MAX {
            return Err(UnpackError::TooDeep {
                offset: self.offset(),
            });
        }
        let token = self.token()?;
        if matches!(token, Token::Table { .. }) {
            self.depth += 1;
        }
        Ok(token)
    }

    /// The next key of the innermost open table; None at its end, which closes it.
    pub(super) fn key(&mut self) -> Result<Option<Token<'a>>, UnpackError> {
        let offset = self.offset();
        match self.token()? {
            Token::Nil => {
                self.depth = self.depth.saturating_sub(1);
                Ok(None)
            }
            _ if self.depth > DEPTH_MAX => Err(UnpackError::TooDeep { offset }),
            Token::Number(number) if number.is_nan() => Err(UnpackError::NanKey { offset }),
            token => {
                if matches!(token, Token::Table { .. }) {
                    self.depth += 1;
                }
                Ok(Some(token))
            }
        }
    }

    /// Skips the rest of a value that starts with `token`.
    pub(super) fn skip(&mut self, token: Token<'a>) -> Result<(), UnpackError> {
        let Token::Table { array_length } = token else {
            return Ok(());
        };
        self.skip_array(array_length)?;
        self.skip_entries()
    }

    /// Skips the list items of the innermost open table.
    pub(super) fn skip_array(&mut self, array_length: usize) -> Result<(), UnpackError> {
        for _ in 0..array_length {
            let item = self.value()?;
            self.skip(item)?;
        }
        Ok(())
    }

    /// Skips the keys and values of the innermost open table, and its end.
    pub(super) fn skip_entries(&mut self) -> Result<(), UnpackError> {
        while let Some(key) = self.key()? {
            self.skip(key)?;
            let value = self.value()?;
            self.skip(value)?;
        }
        Ok(())
    }

    /// Reads the rest of a value that starts with `token` into an owned value.
    pub(super) fn owned(&mut self, token: Token<'a>) -> Result<Value, UnpackError> {
        let array_length = match token {
            Token::Nil => return Ok(Value::Nil),
            Token::Boolean(value) => return Ok(Value::Boolean(value)),
            Token::Integer(value) => return Ok(Value::Integer(value)),
            Token::Number(value) => return Ok(Value::Number(value)),
            Token::String(bytes) => return Ok(Value::from(bytes)),
            Token::Table { array_length } => array_length,
        };
        // The length was checked against the remaining bytes, but nested tables could each declare all of them;
        // hence this limit.
        let mut array = Vec::with_capacity(array_length.min(RESERVED_ITEMS_MAX));
        for _ in 0..array_length {
            let item = self.value()?;
            array.push(self.owned(item)?);
        }
        let mut entries = Vec::new();
        while let Some(key) = self.key()? {
            let key = self.owned(key)?;
            let value = self.value()?;
            entries.push((key, self.owned(value)?));
        }
        Ok(Value::Table(Table { array, entries }))
    }

    fn offset(&self) -> usize {
        self.total - self.rest.len()
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'a>, UnpackError> {
        // Errors contain the offset of the start of the value, so a failed step must consume nothing.
        let Some((&byte, rest)) = self.rest.split_first() else {
            return Err(UnpackError::Truncated {
                offset: self.offset(),
            });
        };
        let cookie = cookie_of(byte);
        match kind_of(byte) {
            // As in Skynet, the cookie of a nil is ignored, and a boolean is true for every cookie but 0.
            TYPE_NIL => {
                self.rest = rest;
                Ok(Token::Nil)
            }
            TYPE_BOOLEAN => {
                self.rest = rest;
                Ok(Token::Boolean(cookie != 0))
            }
            TYPE_NUMBER if cookie == NUMBER_F64 => Ok(Token::Number(f64::from_le_bytes(self.fixed(rest)?))),
            TYPE_NUMBER => self.integer(byte, rest).map(Token::Integer),
            TYPE_STRING_SHORT => self.bytes(rest, usize::from(cookie)).map(Token::String),
            TYPE_STRING_LONG => self.string_long(byte, rest).map(Token::String),
            TYPE_TABLE => self.table(cookie, rest),
            TYPE_USERDATA => Err(UnpackError::LightUserdata {
                offset: self.offset(),
            }),
            _ => Err(UnpackError::UnknownType {
                offset: self.offset(),
                byte,
            }),
        }
    }

    #[inline]
    fn integer(&mut self, byte: u8, rest: &'a [u8]) -> Result<i64, UnpackError> {
        match cookie_of(byte) {
            NUMBER_ZERO => self.fixed::<0>(rest).map(|_| 0),
            NUMBER_U8 => self.fixed(rest).map(|bytes| i64::from(u8::from_le_bytes(bytes))),
            NUMBER_U16 => self.fixed(rest).map(|bytes| i64::from(u16::from_le_bytes(bytes))),
            NUMBER_I32 => self.fixed(rest).map(|bytes| i64::from(i32::from_le_bytes(bytes))),
            NUMBER_I64 => self.fixed(rest).map(i64::from_le_bytes),
            _ => Err(UnpackError::BadCookie {
                offset: self.offset(),
                byte,
            }),
        }
    }

    fn string_long(&mut self, byte: u8, rest: &'a [u8]) -> Result<&'a [u8], UnpackError> {
        let truncated = UnpackError::Truncated {
            offset: self.offset(),
        };
        let (length, rest) = match cookie_of(byte) {
            STRING_U16 => {
                let (length, rest) = rest.split_first_chunk().ok_or(truncated)?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            STRING_U32 => {
                let (length, rest) = rest.split_first_chunk().ok_or(truncated)?;
                (u32::from_le_bytes(*length) as usize, rest)
            }
            _ => {
                return Err(UnpackError::BadCookie {
                    offset: self.offset(),
                    byte,
                });
            }
        };
        self.bytes(rest, length)
    }

    fn table(&mut self, cookie: u8, rest: &'a [u8]) -> Result<Token<'a>, UnpackError> {
        let offset = self.offset();
        let mut after = Self { rest, ..*self };
        let mut array_length = usize::from(cookie);
        if cookie == ARRAY_SIZE_FOLLOWS {
            let Some((&byte, rest)) = rest.split_first() else {
                return Err(UnpackError::Truncated { offset });
            };
            if kind_of(byte) != TYPE_NUMBER {
                return Err(UnpackError::BadArrayLength { offset });
            }
            let declared = after.integer(byte, rest).map_err(|cause| match cause {
                UnpackError::Truncated { .. } => UnpackError::Truncated { offset },
                _ => UnpackError::BadArrayLength { offset },
            })?;
            array_length = usize::try_from(declared).map_err(|_| UnpackError::BadArrayLength { offset })?;
        }
        // Each item takes at least one byte, and so does the end of the table.
        if array_length >= after.rest.len() {
            return Err(UnpackError::Truncated { offset });
        }
        self.rest = after.rest;
        Ok(Token::Table { array_length })
    }

    #[inline]
    fn bytes(&mut self, rest: &'a [u8], length: usize) -> Result<&'a [u8], UnpackError> {
        match rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(UnpackError::Truncated {
                offset: self.offset(),
            }),
        }
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, rest: &'a [u8]) -> Result<[u8; N], UnpackError> {
        match rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(UnpackError::Truncated {
                offset: self.offset(),
            }),
        }
    }
}

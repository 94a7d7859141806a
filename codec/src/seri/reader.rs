//! Bytes to tokens: the one place that reads the wire form.
//!
//! # Invariants
//!
//! - Every step consumes at least one byte or fails, so reading ends within the input.
//! - An array length is believed only as far as the bytes behind it could hold the items.
//! - Tables nest no deeper than [`DEPTH_MAX`], which also bounds every recursion over tokens.

use super::value::{Kind, Table, Value};
use super::wire::{
    ARRAY_SIZE_FOLLOWS, DEPTH_MAX, NUMBER_F64, NUMBER_I32, NUMBER_I64, NUMBER_U8, NUMBER_U16, NUMBER_ZERO,
    STRING_U16, STRING_U32, TYPE_BOOLEAN, TYPE_NIL, TYPE_NUMBER, TYPE_STRING_LONG, TYPE_STRING_SHORT,
    TYPE_TABLE, TYPE_USERDATA, cookie_of, kind_of,
};

/// Items that are reserved for a list before the first is read; past that it grows as items arrive.
pub(super) const RESERVED_ITEMS_MAX: usize = 64;

/// Why bytes cannot be read as the values wanted. Offsets are in bytes from the start of the payload.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum UnpackError {
    /// A value runs past the end of the payload.
    #[error("the value at byte {offset} runs past the end of the payload")]
    Truncated {
        /// Where the value starts.
        offset: usize,
    },
    /// A type that lua-seri does not have.
    #[error("byte {offset} is 0x{byte:02x}, which starts no value")]
    UnknownType {
        /// Where the value starts.
        offset: usize,
        /// Its first byte.
        byte: u8,
    },
    /// A number or a string in a form that lua-seri does not have.
    #[error("byte {offset} is 0x{byte:02x}, an unknown form of number or string")]
    BadCookie {
        /// Where the value starts.
        offset: usize,
        /// Its first byte.
        byte: u8,
    },
    /// A pointer of another process.
    #[error("the value at byte {offset} is light userdata, which means nothing outside its process")]
    LightUserdata {
        /// Where the value starts.
        offset: usize,
    },
    /// The array length of a table is no integer, or negative.
    #[error("the table at byte {offset} has an array length that is no count")]
    BadArrayLength {
        /// Where the table starts.
        offset: usize,
    },
    /// A value lies inside more than [`DEPTH_MAX`] tables.
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
    /// A value is of another kind than the one wanted. A missing value counts as nil.
    #[error("value {position} should be {wanted}, but is {found}")]
    Mismatch {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// What was wanted.
        wanted: &'static str,
        /// What is there.
        found: Kind,
    },
    /// An integer does not fit the type wanted.
    #[error("value {position} is {value}, which does not fit {wanted}")]
    IntegerOutOfRange {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// The type wanted.
        wanted: &'static str,
        /// The integer.
        value: i64,
    },
    /// A float stands where an integer is wanted, and equals none.
    #[error("value {position} is the float {value}, which is no integer")]
    NotAnInteger {
        /// Which value of the payload, counted from 1.
        position: usize,
        /// The float.
        value: f64,
    },
    /// A string stands where text is wanted, and is not UTF-8.
    #[error("value {position} is a string that is not UTF-8")]
    NotUtf8 {
        /// Which value of the payload, counted from 1.
        position: usize,
    },
}

/// One step of reading. After `Table` come its list items, then keys and values until a nil key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'a [u8]),
    Table { array_length: usize },
}

/// Reads tokens off the front of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Length of the whole payload, from which offsets follow.
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

    /// Whether nothing is left to read.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left to read.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes this reader empty: behind an error there is nothing to make sense of.
    #[inline]
    pub(super) fn stop(&mut self) {
        self.rest = &[];
    }

    /// Whether the next value is nil, or there is none, which in Lua is the same.
    #[inline]
    pub(super) fn is_nil_next(&self) -> bool {
        self.rest.first().is_none_or(|&byte| kind_of(byte) == TYPE_NIL)
    }

    /// Whether the table opened last has nothing but its list. Broken items say no, and fail when read.
    pub(super) fn is_list_alone(&self, array_length: usize) -> bool {
        let mut ahead = *self;
        ahead.skip_array(array_length).is_ok() && ahead.is_nil_next()
    }

    /// The next value, or the start of it if it is a table.
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

    /// The next key of the table opened last, or none at its end, which closes it.
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

    /// Reads to the end of a value of which `token` is the start.
    pub(super) fn skip(&mut self, token: Token<'a>) -> Result<(), UnpackError> {
        let Token::Table { array_length } = token else {
            return Ok(());
        };
        self.skip_array(array_length)?;
        self.skip_entries()
    }

    /// Reads past the list items of the table opened last.
    pub(super) fn skip_array(&mut self, array_length: usize) -> Result<(), UnpackError> {
        for _ in 0..array_length {
            let item = self.value()?;
            self.skip(item)?;
        }
        Ok(())
    }

    /// Reads past the keys and values of the table opened last, and its end.
    pub(super) fn skip_entries(&mut self) -> Result<(), UnpackError> {
        while let Some(key) = self.key()? {
            self.skip(key)?;
            let value = self.value()?;
            self.skip(value)?;
        }
        Ok(())
    }

    /// Reads the rest of a value of which `token` is the start into one that owns what it holds.
    pub(super) fn owned(&mut self, token: Token<'a>) -> Result<Value, UnpackError> {
        let array_length = match token {
            Token::Nil => return Ok(Value::Nil),
            Token::Boolean(value) => return Ok(Value::Boolean(value)),
            Token::Integer(value) => return Ok(Value::Integer(value)),
            Token::Number(value) => return Ok(Value::Number(value)),
            Token::String(bytes) => return Ok(Value::from(bytes)),
            Token::Table { array_length } => array_length,
        };
        // The length has been checked against the bytes left, but nested tables could each declare all of
        // those bytes; hence no more than this at once.
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
        // Errors name the start of the value, and nothing is consumed by a step that fails.
        let Some((&byte, rest)) = self.rest.split_first() else {
            return Err(UnpackError::Truncated {
                offset: self.offset(),
            });
        };
        let cookie = cookie_of(byte);
        match kind_of(byte) {
            // As in Skynet, a nil is nil and a boolean is true whatever else its cookie says.
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
        let mut behind = Self { rest, ..*self };
        let mut array_length = usize::from(cookie);
        if cookie == ARRAY_SIZE_FOLLOWS {
            let Some((&byte, rest)) = rest.split_first() else {
                return Err(UnpackError::Truncated { offset });
            };
            if kind_of(byte) != TYPE_NUMBER {
                return Err(UnpackError::BadArrayLength { offset });
            }
            let declared = behind.integer(byte, rest).map_err(|cause| match cause {
                UnpackError::Truncated { .. } => UnpackError::Truncated { offset },
                _ => UnpackError::BadArrayLength { offset },
            })?;
            array_length = usize::try_from(declared).map_err(|_| UnpackError::BadArrayLength { offset })?;
        }
        // Each item takes a byte at least, and so does the end of the table.
        if array_length >= behind.rest.len() {
            return Err(UnpackError::Truncated { offset });
        }
        self.rest = behind.rest;
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

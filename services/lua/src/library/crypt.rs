//! `skynet.crypt`: standard primitives come from maintained crates; Skynet's own algorithms are implemented here.
//! Results equal Skynet's, byte for byte.
//!
//! None of this is secure by present standards (DES, a key exchange of 64 bits). It serves existing clients.

use std::rc::Rc;

use des::Des;
use des::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use mlua::{Error, Lua, LuaString, Result, Value};
use sha1::{Digest, Sha1};

use super::{Module, base64};
use crate::host::Host;

/// The modulus of the key exchange: the largest prime below 2^64.
const PRIME: u64 = 0xffff_ffff_ffff_ffc5;

/// The generator of the key exchange.
const GENERATOR: u64 = 5;

/// The initial state of MD5.
const MD5_INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

fn lua_error(text: impl Into<String>) -> Error {
    Error::runtime(text.into())
}

/// Eight bytes as a number.
fn number(bytes: &[u8], what: &str) -> Result<u64> {
    let bytes = bytes
        .try_into()
        .map_err(|_| lua_error(format!("Invalid uint64 {what}")))?;
    Ok(u64::from_le_bytes(bytes))
}

// ---- Skynet's own hashes ----

/// Two 32-bit hashes of a text, combined into a key of eight bytes.
fn hash_key(text: &[u8]) -> u64 {
    let (mut low, mut high) = (5381u32, 1_315_423_911u32);
    for &byte in text {
        let byte = u32::from(byte);
        low = low.wrapping_add((low << 5).wrapping_add(byte));
        high ^= (high << 5).wrapping_add(byte).wrapping_add(high >> 2);
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The state of MD5 after one block, from its initial state.
fn md5_block(words: [u32; 16]) -> [u32; 4] {
    let mut block = [0; 64];
    for (bytes, word) in block.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut state = MD5_INITIAL;
    md5::block_api::compress(&mut state, &[block]);
    state
}

fn halves(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}

/// One block of MD5 without the final addition of the initial state, folded to eight bytes.
fn hmac64(x: u64, y: u64) -> u64 {
    let ((x_low, x_high), (y_low, y_high)) = (halves(x), halves(y));
    let mut words = [0; 16];
    for four in words.chunks_exact_mut(4) {
        four.copy_from_slice(&[x_high, x_low, y_high, y_low]);
    }
    let after = md5_block(words);
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| after[at].wrapping_sub(MD5_INITIAL[at]));
    u64::from(a ^ b) << 32 | u64::from(c ^ d)
}

/// MD5 of both numbers repeated three times, folded to eight bytes.
fn hmac64_md5(x: u64, y: u64) -> u64 {
    let ((x_low, x_high), (y_low, y_high)) = (halves(x), halves(y));
    let mut words = [0; 16];
    for four in words.chunks_exact_mut(4).take(3) {
        four.copy_from_slice(&[x_low, x_high, y_low, y_high]);
    }
    // The padding of 48 bytes.
    words[12] = 0x80;
    words[14] = 384;
    let [a, b, c, d] = md5_block(words);
    u64::from(b ^ d) << 32 | u64::from(a ^ c)
}

// ---- the key exchange ----

fn power(base: u64, mut exponent: u64) -> u64 {
    let multiply = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64;
    let (mut base, mut result) = (base % PRIME, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, base);
        }
        base = multiply(base, base);
        exponent >>= 1;
    }
    result
}

// ---- DES ----

/// How a text is padded to full blocks.
#[derive(Clone, Copy)]
enum Padding {
    Iso7816,
    Pkcs7,
}

impl Padding {
    fn from_mode(mode: Option<i64>) -> Result<Padding> {
        match mode {
            None | Some(0) => Ok(Padding::Iso7816),
            Some(1) => Ok(Padding::Pkcs7),
            Some(mode) => Err(lua_error(format!("Invalid padding mode {mode}"))),
        }
    }

    fn add(self, text: &mut Vec<u8>) {
        let count = 8 - text.len() % 8;
        match self {
            Padding::Iso7816 => {
                text.push(0x80);
                text.resize(text.len() + count - 1, 0);
            }
            Padding::Pkcs7 => text.resize(text.len() + count, count as u8),
        }
    }

    /// The bytes of padding in the last block; `None` if the padding is invalid.
    fn count(self, last: &[u8]) -> Option<usize> {
        match self {
            Padding::Iso7816 => {
                let zeros = last.iter().rev().take_while(|&&byte| byte == 0).count();
                let mark = last.len().checked_sub(zeros + 1)?;
                (last.get(mark) == Some(&0x80)).then_some(zeros + 1)
            }
            Padding::Pkcs7 => {
                let count = usize::from(*last.last()?);
                let all = last.len().checked_sub(count).and_then(|at| last.get(at..))?;
                (count > 0 && all.iter().all(|&byte| usize::from(byte) == count)).then_some(count)
            }
        }
    }
}

/// Encrypts or decrypts a text with a key: the arguments are key, text and padding.
type Cipher = fn(&[u8], &[u8], Padding) -> Result<Vec<u8>>;

fn des(key: &[u8]) -> Result<Des> {
    Des::new_from_slice(key).map_err(|_| lua_error(format!("Invalid key size {}, need 8 bytes", key.len())))
}

fn des_encode(key: &[u8], text: &[u8], padding: Padding) -> Result<Vec<u8>> {
    let des = des(key)?;
    let mut text = text.to_vec();
    padding.add(&mut text);
    for block in text.chunks_exact_mut(8) {
        if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
            des.encrypt_block(block);
        }
    }
    Ok(text)
}

fn des_decode(key: &[u8], text: &[u8], padding: Padding) -> Result<Vec<u8>> {
    let des = des(key)?;
    if text.is_empty() || !text.len().is_multiple_of(8) {
        return Err(lua_error(format!("Invalid des crypt text length {}", text.len())));
    }
    let mut text = text.to_vec();
    for block in text.chunks_exact_mut(8) {
        if let Ok(block) = <&mut Array<u8, _>>::try_from(block) {
            des.decrypt_block(block);
        }
    }
    let last = text.get(text.len() - 8..).unwrap_or_default();
    let count = padding
        .count(last)
        .ok_or_else(|| lua_error("Invalid des crypt text"))?;
    text.truncate(text.len() - count);
    Ok(text)
}

// ---- texts ----

fn hex_encode(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| DIGITS[usize::from(four & 15)];
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

fn hex_decode(text: &[u8]) -> Result<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return Err(lua_error(format!("Invalid hex text size {}", text.len())));
    }
    let digit = |character: u8| match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(lua_error("Invalid hex text")),
    };
    text.chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

fn xor(text: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    if key.is_empty() {
        return Err(lua_error("Can't xor empty string"));
    }
    Ok(text.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect())
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).map_err(Error::external)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// A random key; never all zeros.
fn random_key() -> Result<[u8; 8]> {
    let mut key = [0; 8];
    getrandom::fill(&mut key).map_err(|error| lua_error(error.to_string()))?;
    if key == [0; 8] {
        key[0] = 1;
    }
    Ok(key)
}

/// Opens the module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    type UnaryFunction = fn(&[u8]) -> Result<Vec<u8>>;
    type BinaryFunction = fn(&[u8], &[u8]) -> Result<Vec<u8>>;
    let module = Module::new(lua, host)?;
    let unary: [(&str, UnaryFunction); 7] = [
        ("hashkey", |text| Ok(hash_key(text).to_le_bytes().to_vec())),
        ("hexencode", |text| Ok(hex_encode(text))),
        ("hexdecode", hex_decode),
        ("base64encode", |text| Ok(base64::encode(text).into_bytes())),
        ("base64decode", |text| {
            base64::decode(text).ok_or_else(|| lua_error("Invalid base64 text"))
        }),
        ("sha1", |text| Ok(Sha1::digest(text).to_vec())),
        ("dhexchange", |key| {
            match number(key, "key").map_err(|_| lua_error("Invalid dh uint64 key"))? {
                0 => Err(lua_error("Can't be 0")),
                key => Ok(power(GENERATOR, key).to_le_bytes().to_vec()),
            }
        }),
    ];
    for (name, function) in unary {
        module.add(name, move |lua, text: LuaString| {
            lua.create_string(function(&text.as_bytes())?)
        })?;
    }
    let binary: [(&str, BinaryFunction); 6] = [
        ("hmac64", |x, y| {
            Ok(hmac64(number(x, "x")?, number(y, "y")?).to_le_bytes().to_vec())
        }),
        ("hmac64_md5", |x, y| {
            Ok(hmac64_md5(number(x, "x")?, number(y, "y")?)
                .to_le_bytes()
                .to_vec())
        }),
        ("hmac_hash", |key, text| {
            Ok(hmac64(hash_key(text), number(key, "key")?).to_le_bytes().to_vec())
        }),
        ("hmac_sha1", hmac_sha1),
        ("xor_str", xor),
        ("dhsecret", |x, y| match (number(x, "x")?, number(y, "y")?) {
            (0, _) | (_, 0) => Err(lua_error("Can't be 0")),
            (x, y) => Ok(power(x, y).to_le_bytes().to_vec()),
        }),
    ];
    for (name, function) in binary {
        module.add(name, move |lua, (one, two): (LuaString, LuaString)| {
            lua.create_string(function(&one.as_bytes(), &two.as_bytes())?)
        })?;
    }
    let ciphers: [(&str, Cipher); 2] = [("desencode", des_encode), ("desdecode", des_decode)];
    for (name, cipher) in ciphers {
        module.add(
            name,
            move |lua, (key, text, mode): (LuaString, LuaString, Option<i64>)| {
                lua.create_string(cipher(
                    &key.as_bytes(),
                    &text.as_bytes(),
                    Padding::from_mode(mode)?,
                )?)
            },
        )?;
    }
    module.add("randomkey", |lua, ()| lua.create_string(random_key()?))?;
    let module = module.finish()?;
    let padding = lua.create_table()?;
    padding.set("iso7816_4", 0)?;
    padding.set("pkcs7", 1)?;
    module.set("padding", padding)?;
    Ok(Value::Table(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_derive_the_same_secret_from_random_keys() {
        for _ in 0..100 {
            let [one, other] = [(); 2].map(|()| u64::from_le_bytes(random_key().expect("randomness")));
            assert_ne!(one, other);
            let secret = power(power(GENERATOR, one), other);
            assert_eq!(secret, power(power(GENERATOR, other), one));
        }
    }
}

//! `skynet.crypt`: the primitives are those of well-kept crates; what is Skynet's own is written here. Results
//! are the same, byte for byte.
//!
//! None of this is strong by the measure of today (DES, a key exchange of 64 bits): it is here because
//! clients speak it.

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

/// What MD5 begins with.
const MD5_BEGIN: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

fn wrong(text: impl Into<String>) -> Error {
    Error::runtime(text.into())
}

/// Eight bytes as a number.
fn number(bytes: &[u8], what: &str) -> Result<u64> {
    let bytes = bytes
        .try_into()
        .map_err(|_| wrong(format!("Invalid uint64 {what}")))?;
    Ok(u64::from_le_bytes(bytes))
}

// ---- Skynet's own hashes ----

/// Two hashes of a text side by side, as a key of eight bytes.
fn hash_key(text: &[u8]) -> u64 {
    let (mut low, mut high) = (5381u32, 1_315_423_911u32);
    for &byte in text {
        let byte = u32::from(byte);
        low = low.wrapping_add((low << 5).wrapping_add(byte));
        high ^= (high << 5).wrapping_add(byte).wrapping_add(high >> 2);
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The state of MD5 after one block, beginning with its own beginning.
fn md5_block(words: [u32; 16]) -> [u32; 4] {
    let mut block = [0; 64];
    for (bytes, word) in block.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut state = MD5_BEGIN;
    md5::block_api::compress(&mut state, &[block]);
    state
}

fn halves(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}

/// One block of MD5 without what MD5 adds at its end, folded to eight bytes.
fn hmac64(x: u64, y: u64) -> u64 {
    let ((x_low, x_high), (y_low, y_high)) = (halves(x), halves(y));
    let mut words = [0; 16];
    for four in words.chunks_exact_mut(4) {
        four.copy_from_slice(&[x_high, x_low, y_high, y_low]);
    }
    let after = md5_block(words);
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| after[at].wrapping_sub(MD5_BEGIN[at]));
    u64::from(a ^ b) << 32 | u64::from(c ^ d)
}

/// MD5 of both three times over, folded to eight bytes.
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

/// How a text is filled up to whole blocks.
#[derive(Clone, Copy)]
enum Padding {
    Iso7816,
    Pkcs7,
}

impl Padding {
    fn of(mode: Option<i64>) -> Result<Padding> {
        match mode {
            None | Some(0) => Ok(Padding::Iso7816),
            Some(1) => Ok(Padding::Pkcs7),
            Some(mode) => Err(wrong(format!("Invalid padding mode {mode}"))),
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

    /// How much of the last block is padding; `None` when it is none.
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

/// Encodes or decodes, with a key, a text.
type Cipher = fn(&[u8], &[u8], Padding) -> Result<Vec<u8>>;

fn des(key: &[u8]) -> Result<Des> {
    Des::new_from_slice(key).map_err(|_| wrong(format!("Invalid key size {}, need 8 bytes", key.len())))
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
        return Err(wrong(format!("Invalid des crypt text length {}", text.len())));
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
        .ok_or_else(|| wrong("Invalid des crypt text"))?;
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
        return Err(wrong(format!("Invalid hex text size {}", text.len())));
    }
    let digit = |character: u8| match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(wrong("Invalid hex text")),
    };
    text.chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

fn xor(text: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    if key.is_empty() {
        return Err(wrong("Can't xor empty string"));
    }
    Ok(text.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect())
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).map_err(Error::external)?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// A key that nobody can guess; never all zeros.
fn random_key() -> Result<[u8; 8]> {
    let mut key = [0; 8];
    getrandom::fill(&mut key).map_err(|error| wrong(error.to_string()))?;
    if key == [0; 8] {
        key[0] = 1;
    }
    Ok(key)
}

/// The module.
pub(crate) fn open(lua: &Lua, host: &Rc<Host>) -> Result<Value> {
    type OfText = fn(&[u8]) -> Result<Vec<u8>>;
    type OfTexts = fn(&[u8], &[u8]) -> Result<Vec<u8>>;
    let module = Module::new(lua, host)?;
    let of_text: [(&str, OfText); 7] = [
        ("hashkey", |text| Ok(hash_key(text).to_le_bytes().to_vec())),
        ("hexencode", |text| Ok(hex_encode(text))),
        ("hexdecode", hex_decode),
        ("base64encode", |text| Ok(base64::encode(text).into_bytes())),
        ("base64decode", |text| {
            base64::decode(text).ok_or_else(|| wrong("Invalid base64 text"))
        }),
        ("sha1", |text| Ok(Sha1::digest(text).to_vec())),
        ("dhexchange", |key| {
            match number(key, "key").map_err(|_| wrong("Invalid dh uint64 key"))? {
                0 => Err(wrong("Can't be 0")),
                key => Ok(power(GENERATOR, key).to_le_bytes().to_vec()),
            }
        }),
    ];
    for (name, function) in of_text {
        module.add(name, move |lua, text: LuaString| {
            lua.create_string(function(&text.as_bytes())?)
        })?;
    }
    let of_texts: [(&str, OfTexts); 6] = [
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
            (0, _) | (_, 0) => Err(wrong("Can't be 0")),
            (x, y) => Ok(power(x, y).to_le_bytes().to_vec()),
        }),
    ];
    for (name, function) in of_texts {
        module.add(name, move |lua, (one, two): (LuaString, LuaString)| {
            lua.create_string(function(&one.as_bytes(), &two.as_bytes())?)
        })?;
    }
    let ciphers: [(&str, Cipher); 2] = [("desencode", des_encode), ("desdecode", des_decode)];
    for (name, cipher) in ciphers {
        module.add(
            name,
            move |lua, (key, text, mode): (LuaString, LuaString, Option<i64>)| {
                lua.create_string(cipher(&key.as_bytes(), &text.as_bytes(), Padding::of(mode)?)?)
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
    fn two_ends_agree_on_a_secret_that_random_keys_make() {
        for _ in 0..100 {
            let [one, other] = [(); 2].map(|()| u64::from_le_bytes(random_key().expect("randomness")));
            assert_ne!(one, other);
            let secret = power(power(GENERATOR, one), other);
            assert_eq!(secret, power(power(GENERATOR, other), one));
        }
    }
}

//! `skynet.crypt` returns the same bytes as Skynet's.

use crate::support::start;

/// Results recorded from Skynet: `function argument ... = result`, with texts in hex, an empty text as `-`, and numbers
/// after `#`.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/crypt.txt");

#[test]
fn every_function_returns_what_skynet_returns() {
    let main = format!(
        "local crypt = require 'skynet.crypt'
        local function text(hex) return hex == '-' and '' or (hex:gsub('%x%x', function(x) return string.char(tonumber(x, 16)) end)) end
        local count = 0
        for line in io.lines '{RECORDED}' do
            local name, list, expected = line:match '^(%S+)(.-) = (%S+)$'
            local arguments = {{}}
            for token in list:gmatch '%S+' do
                arguments[#arguments + 1] = token:sub(1, 1) == '#' and math.tointeger(token:sub(2)) or text(token)
            end
            local ok, result = pcall(crypt[name], table.unpack(arguments))
            assert(ok and result == text(expected) or not ok and expected == 'error', line)
            count = count + 1
        end
        assert(count > 200, count)
        assert(crypt.padding.iso7816_4 == 0 and crypt.padding.pkcs7 == 1)"
    );
    start(&main, &[]);
}

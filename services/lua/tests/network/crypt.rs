//! `skynet.crypt` gives what Skynet's gives.

use crate::support::start;

/// What a real Skynet gave for each of these: `function argument ... = result`, texts in hex, an empty one as
/// `-`, numbers behind `#`.
const MEASURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/crypt.txt");

#[test]
fn every_function_gives_what_skynet_gives() {
    let main = format!(
        "local crypt = require 'skynet.crypt'
        local function text(hex) return hex == '-' and '' or (hex:gsub('%x%x', function(x) return string.char(tonumber(x, 16)) end)) end
        local count = 0
        for line in io.lines '{MEASURED}' do
            local name, words, expected = line:match '^(%S+)(.-) = (%S+)$'
            local arguments = {{}}
            for word in words:gmatch '%S+' do
                arguments[#arguments + 1] = word:sub(1, 1) == '#' and math.tointeger(word:sub(2)) or text(word)
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

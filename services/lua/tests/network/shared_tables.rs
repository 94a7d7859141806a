//! Tables that all services of a node share: what they show, how they follow updates, what they refuse.

use crate::support::start;

#[test]
fn a_shared_table_reads_like_a_table() {
    let main = "local sharetable = require 'skynet.sharetable'
        local long = ('x'):rep(5000)
        sharetable.loadtable('t', { 1, 'two', { 3 }, nil, 5, [-1] = 'minus', [1.5] = 'float', [true] = false,
            text = 'here', long = long, inner = { deep = { x = 1.25 } }, [1 << 40] = 'large', [''] = 'empty' })
        local t = sharetable.query 't'
        assert(type(t) == 'table' and t[1] == 1 and t[2] == 'two' and t[3][1] == 3 and t[4] == nil and t[5] == 5)
        assert(t[-1] == 'minus' and t[1.5] == 'float' and t[true] == false and t[1 << 40] == 'large' and t[''] == 'empty')
        assert(t.text == 'here' and t.long == long and t.inner.deep.x == 1.25 and t.none == nil and t[{}] == nil)
        assert(t[1.0] == 1 and t['1'] == nil and #t == 3 and t.inner == t.inner and t.inner ~= t[3])
        local keys = {}
        for key, value in pairs(t) do
            assert(t[key] == value, key)
            keys[#keys + 1] = key
        end
        assert(#keys == 12, #keys)
        local through_next = 0
        for key, value in next, t do
            assert(t[key] == value)
            through_next = through_next + 1
        end
        assert(through_next == 12)
        local list = {}
        for at, value in ipairs(t) do list[at] = value end
        assert(#list == 3 and table.concat({ table.unpack(t, 1, 2) }, ' ') == '1 two')
        assert(rawget(t, 'text') == 'here' and rawlen(t) == 3 and next(t.inner) == 'deep')
        sharetable.loadtable('empty', {})
        local empty = sharetable.query 'empty'
        assert(next(empty) == nil and #empty == 0 and not pcall(next, empty, 'x'))
        local copied = skynet.unpack(skynet.packstring(t))
        assert(copied.inner.deep.x == 1.25 and copied[3][1] == 3)
        assert(next { a = 1 } == 'a' and rawget({ b = 2 }, 'b') == 2 and rawlen 'abc' == 3 and rawlen { 1 } == 1)
        assert(not pcall(rawlen, 1) and not pcall(next, 1) and not pcall(rawget, 1, 1))";
    start(main, &[]);
}

#[test]
fn what_cannot_be_shared_is_refused_with_its_place() {
    let main = "local sharetable = require 'skynet.sharetable'
        local function refused(values, cause)
            local ok, problem = pcall(sharetable.loadtable, 'bad', values)
            assert(not ok and problem:find(cause, 1, true), problem)
            assert(sharetable.query 'bad' == nil)
        end
        refused({ items = { { use = print } } }, 'a function cannot be shared: at items.1.use')
        refused({ c = coroutine.create(print) }, 'a coroutine cannot be shared: at c')
        refused({ f = io.stdout }, 'a userdata cannot be shared: at f')
        refused({ [{}] = 1 }, 'a table cannot be a key')
        refused({ [print] = 1 }, 'a function cannot be a key')
        local cycle = { inner = {} }
        cycle.inner.outer = cycle
        refused(cycle, 'contains itself')
        local deep = {}
        for _ = 1, 200 do deep = { deep } end
        refused(deep, 'deeper than 128')
        -- A table that occurs many times is stored once.
        local wide = { 'leaf' }
        for _ = 1, 100 do wide = { wide, wide } end
        sharetable.loadtable('wide', wide)
        local w = sharetable.query 'wide'
        assert(w[1] == w[2] and w[1][2][1] == w[2][1][2])
        refused({ again = w }, 'is a shared one already')
        for _, write in ipairs {
            function() w.x = 1 end, function() w[1] = nil end, function() rawset(w, 'x', 1) end,
            function() table.insert(w, 1) end, function() setmetatable(w, {}) end,
        } do
            local ok, problem = pcall(write)
            assert(not ok and (problem:find 'read%-only' or problem:find 'protected'), problem)
        end
        assert(not pcall(sharetable.loadstring, 'three', 'return 1'))
        assert(not pcall(sharetable.loadstring, 'three', 'syntax error'))
        assert(not pcall(sharetable.loadfile, '/nowhere/at/all.lua'))";
    start(main, &[]);
}

#[test]
fn a_service_keeps_less_than_a_kibibyte_for_a_table_that_it_reads() {
    let reader = "local sharetable = require 'skynet.sharetable'
        local rows
        skynet.start(function()
            skynet.dispatch('lua', function(_, _, id)
                collectgarbage()
                collectgarbage()
                local before = collectgarbage 'count'
                if id then
                    rows = sharetable.query 'rows'
                    assert(rows[id].price == id * 3)
                end
                collectgarbage()
                skynet.retpack((collectgarbage 'count' - before) * 1024)
            end)
        end)";
    let main = "local rows = {}
        for id = 1, 1000 do rows[id] = { id = id, price = id * 3, name = 'item ' .. id } end
        require 'skynet.sharetable'.loadtable('rows', rows)
        local reader = skynet.newservice 'reader'
        skynet.call(reader, 'lua')
        local kept = skynet.call(reader, 'lua', 7)
        assert(kept < 1024, kept)";
    start(main, &[("reader", reader)]);
}

#[test]
fn updates_while_services_read_leave_no_version_behind() {
    let reader = "local sharetable, sharedata = require 'skynet.sharetable', require 'skynet.sharedata'
        local function check(rows)
            for id = 1, #rows do assert(rows[id].version == rows.version, id) end
            return rows.version
        end
        skynet.start(function()
            local table, data = sharetable.query 'rows', sharedata.query 'rows'
            local is_over = false
            skynet.fork(function()
                while not is_over do
                    sharetable.update 'rows'
                    check(table)
                    check(data)
                    skynet.yield()
                end
            end)
            skynet.dispatch('lua', function(_, _, last)
                is_over = true
                sharetable.update 'rows'
                repeat skynet.yield() until check(table) == last and check(data) == last
                collectgarbage()
                collectgarbage()
                skynet.retpack()
            end)
        end)";
    let main = "local sharetable, sharedata = require 'skynet.sharetable', require 'skynet.sharedata'
        local function rows(version)
            local rows = { version = version }
            for id = 1, 20 do rows[id] = { version = version, name = 'row ' .. id } end
            return rows
        end
        sharetable.loadtable('rows', rows(0))
        sharedata.new('rows', rows(0))
        local readers = {}
        for at = 1, 6 do readers[at] = skynet.newservice 'reader' end
        for version = 1, 200 do
            sharetable.loadtable('rows', rows(version))
            sharedata.update('rows', rows(version))
        end
        for _, reader in ipairs(readers) do skynet.call(reader, 'lua', 200) end
        sharetable.loadtable('rows', rows(201))
        sharedata.update('rows', rows(201))
        for _, reader in ipairs(readers) do skynet.call(reader, 'lua', 201) end
        local tables = skynet.call(skynet.uniqueservice 'sharetabled', 'debug', 'INFO').rows
        local data = skynet.call(skynet.uniqueservice 'sharedatad', 'debug', 'INFO').sharedata.rows
        assert(tables:find '^version %d+, %d+ bytes$', tables)
        assert(data:find '^version %d+, %d+ bytes$', data)";
    start(main, &[("reader", reader)]);
}

#[test]
fn a_version_that_a_service_still_reads_is_counted() {
    let main = "local sharetable = require 'skynet.sharetable'
        local function info()
            return skynet.call(skynet.uniqueservice 'sharetabled', 'debug', 'INFO').t
        end
        sharetable.loadtable('t', { 1 })
        local first = sharetable.query 't'
        sharetable.loadtable('t', { 2 })
        local second = sharetable.query 't'
        sharetable.loadtable('t', { 3 })
        assert(first[1] == 1 and second[1] == 2 and info():find 'older versions in use: 2$', info())
        second = nil
        collectgarbage()
        assert(first[1] == 1 and info():find 'older versions in use: 1$', info())
        sharetable.update 't'
        collectgarbage()
        assert(first[1] == 3 and not info():find 'older', info())";
    start(main, &[]);
}

#[test]
fn a_metatable_that_a_program_has_changed_gives_errors() {
    let main = "local sharetable = require 'skynet.sharetable'
        local path = os.tmpname()
        io.open(path, 'w'):close()
        for at, function_of_another in ipairs { print, io.lines(path), function() return at end, 5 } do
            local name = 't' .. at
            sharetable.loadtable(name, { x = 1, inner = {} })
            local t = sharetable.query(name)
            debug.getmetatable(t)[1] = function_of_another
            for _, use in ipairs {
                next, pairs, rawlen, function() t.y = 1 end, function() return rawget(t, 'x') end,
            } do
                assert(not pcall(use, t))
            end
            assert(t.x == 1 and #t == 0)
            sharetable.loadtable(name, { x = 2 })
            sharetable.update(name)
            assert(sharetable.query(name).x == 2)
        end
        local plain = debug.setmetatable({}, debug.getmetatable(sharetable.query 't1'))
        assert(next(plain) == nil and not pcall(function() return plain.x end) and not pcall(pairs, plain))
        os.remove(path)";
    start(main, &[]);
}

#[test]
fn an_update_moves_all_tables_of_the_service() {
    let main = "local sharetable = require 'skynet.sharetable'
        sharetable.loadtable('t', { x = 1, inner = { y = 1, list = { 1, 2 } }, gone = { z = 1 } })
        local first = sharetable.query 't'
        local inner, list, gone = first.inner, first.inner.list, first.gone
        sharetable.loadtable('t', { x = 2, inner = { y = 2, list = { 3 } }, gone = 5 })
        assert(first.x == 1 and sharetable.query 't'.x == 2)
        local second = sharetable.query 't'
        local second_inner = second.inner
        sharetable.update 't'
        assert(first.x == 2 and inner.y == 2 and list[1] == 3 and #list == 1 and first.inner.list[1] == 3)
        assert(first == second and inner == second_inner and first.inner == inner)
        local ok, problem = pcall(function() return gone.z end)
        assert(not ok and problem:find '%[gone%]', problem)
        assert(not pcall(pairs, gone) and not pcall(function() return #gone end))
        sharetable.loadtable('t', { x = 3, inner = { y = 3, list = {} } })
        sharetable.update('t', 'none')
        assert(first.x == 3 and second.x == 3 and inner.y == 3 and second_inner.y == 3 and #list == 0)
        sharetable.update 't'
        assert(first.x == 3)";
    start(main, &[]);
}

#[test]
fn a_table_that_an_update_took_away_raises_errors_in_every_function() {
    let main = "local sharetable = require 'skynet.sharetable'
        sharetable.loadtable('t', { gone = { z = 1 } })
        local gone = sharetable.query 't'.gone
        sharetable.loadtable('t', {})
        sharetable.update 't'
        for name, use in pairs {
            next = next, pairs = pairs, rawlen = rawlen, unpack = table.unpack, concat = table.concat, pack = skynet.packstring,
            rawget = function(t) return rawget(t, 'z') end,
            rawset = function(t) return rawset(t, 'z', 2) end,
            insert = function(t) return table.insert(t, 2) end,
            ipairs = function(t) for _ in ipairs(t) do end end,
            loop = function(t) for _ in next, t do end end,
        } do
            local ok, problem = pcall(use, gone)
            assert(not ok and problem:find('[gone] of the shared table does not exist', 1, true), name)
        end
        assert(tostring(gone):find '^shared table: ')";
    start(main, &[]);
}

#[test]
fn what_a_loop_over_an_older_version_reads_is_of_the_newest() {
    let main = "local sharetable = require 'skynet.sharetable'
        local function rows(value)
            local list = {}
            for i = 1, 20 do list['row' .. i] = { value = value } end
            return list
        end
        sharetable.loadtable('t', rows(1))
        local t = sharetable.query 't'
        local read, count = {}, 0
        for key, row in pairs(t) do
            count = count + 1
            read[key] = row
            if count == 5 then
                local second = rows(2)
                second.row1, second.row2, second.row3, second.row4, second.row5, second.row6 = nil
                sharetable.loadtable('t', second)
                sharetable.update 't'
            end
        end
        assert(count == 20)
        for key, row in pairs(read) do
            local ok, value = pcall(function() return row.value end)
            if t[key] then
                assert(value == 2 and row == t[key], key)
            else
                assert(not ok and value:find('[' .. key .. ']', 1, true), key)
            end
        end
        sharetable.loadtable('t', rows(3))
        sharetable.update 't'
        assert(read.row10.value == 3)";
    start(main, &[]);
}

#[test]
fn the_error_of_a_wrong_argument_names_the_line_of_the_caller() {
    let main = "local sharedata = require 'skynet.sharedata'
        local sharetable = require 'skynet.sharetable'
        local datasheet = require 'skynet.datasheet'
        for _, case in ipairs {
            { sharedata.query, nil, 'the name of a shared table is a string, not a nil' },
            { sharedata.new, 5, 'is a string, not a number', {} },
            { sharedata.new, 'x', 'a function cannot be shared: at f', { f = print } },
            { sharedata.delete, {}, 'is a string, not a table' },
            { sharetable.query, false, 'is a string, not a boolean' },
            { sharetable.loadtable, 1, 'is a string, not a number', {} },
            { datasheet.query, nil, 'is a string, not a nil' },
        } do
            local f, name, part, value = table.unpack(case, 1, 4)
            local ok, problem = pcall(function()
                f(name, value)
            end)
            assert(not ok and problem:find('main.lua:%d+: ') and problem:find(part, 1, true), problem)
        end
        sharetable.loadtable('t', { list = { 1 } })
        local ok, problem = pcall(function() sharetable.query 't'.list[true] = 1 end)
        assert(not ok and problem:find('the key [list.true] cannot be set', 1, true), problem)";
    start(main, &[]);
}

#[test]
fn a_datasheet_follows_its_builder() {
    let reader = "local datasheet = require 'skynet.datasheet'
        skynet.start(function()
            local sheet = datasheet.query 'sheet'
            local c = sheet.c
            skynet.dispatch('lua', function() skynet.retpack(sheet.a, sheet.b, pcall(function() return c[1] end)) end)
        end)";
    let main = "local builder = require 'skynet.datasheet.builder'
        local datasheet = require 'skynet.datasheet'
        assert(not pcall(datasheet.query, 'sheet') and not pcall(builder.update, 'sheet', {}))
        builder.new('sheet', { a = 1, b = 2, c = { 3 } })
        assert(not pcall(builder.new, 'sheet', {}))
        local reader = skynet.newservice 'reader'
        builder.update('sheet', builder.compile { b = 4, c = { 5 } })
        local a, b, ok, c
        repeat a, b, ok, c = skynet.call(reader, 'lua') until b == 4
        assert(a == nil and ok and c == 5)
        builder.update('sheet', { a = 6, c = 7 })
        repeat a, b, ok, c = skynet.call(reader, 'lua') until a == 6
        assert(b == nil and not ok and c:find '%[c%]', c)";
    start(main, &[("reader", reader)]);
}

#[test]
fn code_is_compiled_once_until_the_cache_is_cleared() {
    let main = "local cache = require 'skynet.codecache'
        local path = os.tmpname()
        local function write(number)
            local file = io.open(path, 'w')
            file:write('return ' .. number .. ', ...')
            file:close()
        end
        write(1)
        assert(loadfile(path)() == 1 and select(2, loadfile(path)(7)) == 7)
        write(2)
        assert(loadfile(path)() == 1 and dofile(path) == 1 and cache.loadfile(path)() == 1)
        assert(cache.mode() == 'ON')
        cache.mode 'OFF'
        assert(loadfile(path)() == 2)
        cache.mode 'EXIST'
        assert(loadfile(path)() == 1)
        cache.clear()
        assert(loadfile(path)() == 2)
        write(3)
        assert(loadfile(path)() == 3)
        cache.mode 'ON'
        write 'x'
        assert(loadfile(path, 'bt', { x = 9 })() == 9)
        assert(loadfile(path)() == nil)
        assert(not loadfile(path, 'b') and not loadfile '/nowhere' and not pcall(dofile, '/nowhere'))
        assert(not pcall(cache.mode, 'SOMETIMES'))
        os.remove(path)";
    start(main, &[]);
}

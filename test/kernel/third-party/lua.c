/* A script of Lua: strings, closures, coroutines, errors, and garbage enough to be collected many times. */
#include <stdio.h>
typedef struct lua_State lua_State;
lua_State *luaL_newstate(void);
void luaL_openlibs(lua_State *);
int luaL_loadstring(lua_State *, const char *);
int lua_pcallk(lua_State *, int, int, int, long, void *);
const char *lua_tolstring(lua_State *, int, unsigned long *);
void lua_close(lua_State *);

static const char script[] =
    "local words = {}\n"
    "for i = 1, 3000 do words[i] = string.format('%05x', (i * 2654435761) % 1048576) end\n"
    "table.sort(words) print(words[1], words[1500], words[3000])\n"
    "local live = {}\n"
    "for i = 1, 12000 do live[i % 500] = { id = i, text = ('x'):rep(i % 97), next = live[(i + 1) % 500] and i } end\n"
    "local sum = 0 for _, v in pairs(live) do sum = sum + v.id + #v.text end print(sum)\n"
    "local co = coroutine.wrap(function(a) while true do a = a + coroutine.yield(a) end end)\n"
    "print(co(1), co(2), co(3))\n"
    "print(pcall(error, { 1 }) , select('#', pcall(error)), pcall(string.rep))\n"
    "print(('the quick brown fox'):gsub('(%w+) (%w+)', '%2 %1'))\n"
    "print(math.maxinteger, 7 // 2, 7.0 // 2, -7 % 3, 1e15, 2^53, 0x7p-2, 3 | 8)\n"
    "local t = setmetatable({}, { __index = function(_, k) return k * 2 end, __call = function(_, ...) return select('#', ...) end })\n"
    "print(t[21], t(1, nil, 3))\n"
    "local name = os.tmpname() local f = assert(io.open(name, 'w')) f:write(('line\\n'):rep(100)) f:close()\n"
    "local n = 0 for _ in io.lines(name) do n = n + 1 end print(n, os.remove(name))\n"
    "print(utf8.char(228, 8364, 128512), utf8.len('\xc3\xa4\xe2\x82\xac'), string.pack('<i4', -2):byte(1, -1))\n"
    "collectgarbage() print(collectgarbage('count') < 4000)\n"
    "goto out do print('never') end ::out:: error('the end')\n";

int main(void) {
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    int loaded = luaL_loadstring(lua, script);
    int ran = lua_pcallk(lua, 0, 0, 0, 0, 0);
    printf("%d %d %s\n", loaded, ran, lua_tolstring(lua, -1, 0));
    lua_close(lua);
    return 12;
}

"""What Redis does in one step. A stamp is the versions of an answer's tags, in the order of the keys given.

Invariants:
- A tag's number only grows. It begins at the server's time in microseconds and is never below it when it is raised,
  so a tag that was lost with a node comes back with a number that no kept answer has. A tag has no time to live, so
  that `volatile-lru` never evicts one, and raising it is allowed when the memory is full.
- An answer is kept under the stamp that was current before it was computed, by whoever still holds its lock, and only
  while that stamp is current. It is found under the current stamp only.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class Script:
    """A script by its digest; its text is sent to a node that does not know it, as after a failover."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, keys: Sequence[str], values: Sequence[Any] = ()) -> Any:
        """Run it. Raises what redis-py raises."""
        try:
            return await redis.evalsha(self.digest, len(keys), *keys, *values)
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *values)


_STAMP = """
local function stamp(first, make)
  local versions = {}
  for i = first, #KEYS do
    local version = redis.call('GET', KEYS[i])
    if not version then
      if not make then return false end
      local time = redis.call('TIME')
      version = string.format('%.0f@0', time[1] * 1000000 + time[2])
      redis.call('SET', KEYS[i], version)
    end
    versions[#versions + 1] = version
  end
  return table.concat(versions, ',')
end
"""

LOOK_UP = Script(
    """#!lua flags=no-writes
-- KEYS: answer, tags. Returns the stamp, what is kept under it, and the milliseconds for which it is kept.
"""
    + _STAMP
    + """
local now = stamp(2, false)
local kept = now and redis.call('GET', KEYS[1])
if not kept or string.sub(kept, 1, #now + 1) ~= now .. '\\n' then return {now, false, 0} end
return {now, kept, redis.call('PTTL', KEYS[1])}
"""
)

CLAIM = Script(
    """#!lua
-- KEYS: answer, lock, tags. ARGV: token, the lock's milliseconds, 1 to compute anew what is still kept.
-- Returns the stamp, what is kept under it, and whether the lock is the caller's.
"""
    + _STAMP
    + """
local now = stamp(3, true)
local kept = redis.call('GET', KEYS[1])
if kept and ARGV[3] ~= '1' and string.sub(kept, 1, #now + 1) == now .. '\\n' then return {now, kept, 0} end
local won = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return {now, false, won and 1 or 0}
"""
)

KEEP = Script(
    """#!lua
-- KEYS: answer, lock, tags. ARGV: token, stamp, milliseconds, what is kept. Returns whether it was.
"""
    + _STAMP
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if stamp(3, false) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. '\\n' .. ARGV[4], 'PX', ARGV[3])
return 1
"""
)

GIVE_UP = Script("""#!lua flags=allow-oom
-- KEYS: lock. ARGV: token.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")

RAISE = Script("""#!lua flags=allow-oom
-- KEYS: tags. ARGV: a position of the database's log from which on what the tags stand for is there.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, key in ipairs(KEYS) do
  local number, position = now, tonumber(ARGV[1])
  local old = redis.call('GET', key)
  if old then
    local old_number, old_position = string.match(old, '^(%d+)@(%d+)$')
    number = math.max(number, tonumber(old_number) + 1)
    position = math.max(position, tonumber(old_position))
  end
  redis.call('SET', key, string.format('%.0f@%.0f', number, position))
end
return #KEYS
""")

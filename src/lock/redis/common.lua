-- The rules of one fair line, as line.rs states them; put in front of join, leave, pass and tick.
--
-- KEYS[1] state: hash of run, quiet, ticket, token, owner, owner_ticket, owner_token, till
-- KEYS[2] queue: sorted set, waiter id -> ticket        (waiter id = process:request)
-- KEYS[3] beats: sorted set, process -> when it was last heard of (a join or a tick)
-- KEYS[4] lost: set of processes that lost a place here, until their next tick restores it
-- ARGV[1] name of the line   ARGV[2] run id of this server, as the caller knows it
-- ARGV[3] no grants before this time, as far as the caller knows   ARGV[4] lease
--
-- Times are microseconds of Redis TIME. They fit a double exactly (below 2^53 until the year 2255),
-- and go out as text, because Lua's own conversion would round or cut them.

local STALE = 3 * 1000 * 1000
local KEEP_MS = 10 * 60 * 1000

local state, queue, beats, lost = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease = tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local keep = string.format('%.0f', KEEP_MS + lease / 1000)

local s = redis.call('HMGET', state, 'run', 'quiet', 'ticket', 'token',
  'owner', 'owner_ticket', 'owner_token', 'till')
local run, quiet = s[1], tonumber(s[2] or 0)
local last_ticket, last_token = tonumber(s[3] or 0), tonumber(s[4] or 0)
local owner, owner_ticket, owner_token = s[5] or '', s[6] or '0', s[7] or '0'
local till = tonumber(s[8] or 0)

local function text(number) return string.format('%.0f', number) end

-- After a restart the holder from before may still be at work, although the data that says so may
-- be lost or old: no grants for one lease. A caller who saw the former run knows that when the line
-- is empty, too; the line knows it when its data was kept.
local calm = math.max(quiet, tonumber(ARGV[3]))
if run and run ~= ARGV[2] then calm = math.max(calm, now + lease) end
if run ~= ARGV[2] or calm ~= quiet then
  quiet = calm
  redis.call('HSET', state, 'run', ARGV[2], 'quiet', text(quiet))
  redis.call('PEXPIRE', state, keep)
end

local function process_of(id) return string.match(id, '^[^:]*') end

local function hold(id, ticket, token)
  owner, owner_ticket, owner_token = id, ticket, text(token)
  till, last_token = now + lease, token
  redis.call('HSET', state, 'owner', owner, 'owner_ticket', ticket, 'owner_token', owner_token,
    'token', owner_token, 'till', text(till))
  redis.call('PEXPIRE', state, keep)
end

-- Ownership ends here; advance() must follow.
local function vacate()
  owner, till = '', 0
  redis.call('HSET', state, 'owner', '', 'till', '0')
end

-- Reaches the process of a waiter: it beat lately, and somebody listens on its channel.
local function reached(id, ticket, token)
  local process = process_of(id)
  local beat = redis.call('ZSCORE', beats, process)
  if not beat or now - tonumber(beat) > STALE then return false end
  local request = string.sub(id, #process + 2)
  local push = table.concat({ ticket, text(token), #ARGV[1], ARGV[1] .. request }, ' ')
  return redis.call('PUBLISH', 'cplock:grants:' .. process, push) > 0
end

-- If nobody holds the line (any more), makes its head the owner. A head whose process is absent
-- loses its place here and keeps its ticket there: on return it is first again. `me` learns of its
-- grant from the script's answer. At most 32 absent heads a call, so that no call takes long.
local function advance(me)
  if owner ~= '' and till > now then return end
  if owner ~= '' then vacate() end
  if now < quiet then return end
  for _ = 1, 32 do
    local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    if #head == 0 then return end
    local id, ticket = head[1], text(tonumber(head[2]))
    local token = math.max(last_token + 1, now)
    redis.call('ZREM', queue, id)
    if id == me or reached(id, ticket, token) then return hold(id, ticket, token) end
    redis.call('SADD', lost, process_of(id))
    redis.call('PEXPIRE', lost, keep)
  end
end


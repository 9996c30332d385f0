-- Heartbeat of one process that waits here; ends a lapsed grant.  ARGV[5] process
-- Returns {'1' if its places may be lost else '0', owner, its ticket, its token,
-- µs until something ends by itself, or '0'}.
local beat = redis.call('ZSCORE', beats, ARGV[5])
local absent = redis.call('SREM', lost, ARGV[5]) == 1
  or not beat or now - tonumber(beat) > STALE
if not run then
  -- The caller was told a ticket, so this line existed: its data was lost without a restart.
  quiet = now + lease
  redis.call('HSET', state, 'quiet', text(quiet))
end
redis.call('ZADD', beats, text(now), ARGV[5])
redis.call('ZREMRANGEBYSCORE', beats, '-inf', text(now - KEEP_MS * 1000))
advance()
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
local ends = owner ~= '' and till or quiet
return { absent and '1' or '0', owner, owner_ticket, owner_token, text(math.max(0, ends - now)) }

-- Joins the line, or finds the place there is.
-- ARGV[5] waiter id   ARGV[6] ticket from before, or 0
-- Returns {'granted', ticket, token} or {'queued', ticket, '0'}.
local id = ARGV[5]
if owner == id and till > now then
  till = now + lease
  redis.call('HSET', state, 'till', text(till))
  return { 'granted', owner_ticket, owner_token }
end
local ticket = tonumber(redis.call('ZSCORE', queue, id) or 0)
if ticket == 0 then
  ticket = tonumber(ARGV[6])
  if ticket == 0 then ticket = math.max(last_ticket + 1, now) end
  last_ticket = math.max(last_ticket, ticket)
  redis.call('ZADD', queue, text(ticket), id)
  redis.call('HSET', state, 'ticket', text(last_ticket))
  redis.call('PEXPIRE', queue, keep)
end
-- Who joins is alive. But a process that lost places is not heard again before its tick has restored
-- them, or its newcomers would enter before its own earlier ones.
if redis.call('SISMEMBER', lost, process_of(id)) == 0
  and redis.call('ZADD', beats, text(now), process_of(id)) == 1 then
  redis.call('PEXPIRE', beats, keep)
end
advance(id)
if owner == id then return { 'granted', owner_ticket, owner_token } end
return { 'queued', text(ticket), '0' }

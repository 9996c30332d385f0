-- Leaves the line; a grant that arrived meanwhile goes to the next.  ARGV[5] waiter id
redis.call('ZREM', queue, ARGV[5])
if owner == ARGV[5] then vacate() end
advance()
return 1

-- Takes a plain lease, or finds it taken by the same owner.
-- KEYS[1] the lease   ARGV[1] owner   ARGV[2] lease in ms
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1

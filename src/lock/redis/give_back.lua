-- Gives a plain lease back, by its owner only.  KEYS[1] the lease   ARGV[1] owner
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])

-- Ends a grant and hands the line on.  ARGV[5] waiter id   ARGV[6] its token
-- Returns 1, or 0 if the grant had ended before.
if owner ~= ARGV[5] or owner_token ~= ARGV[6] then return 0 end
local held = till > now
vacate()
advance()
return held and 1 or 0

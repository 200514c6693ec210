-- What the terms of an event may not say together.
local terms = {}

-- The first is before the second; `same` allows both at one value. 0 is a term that is not set.
terms.RULES = {
  { "opens_at_ms", "closes_at_ms" },
  { "opens_at_ms", "starts_at_ms" },
  { "cancel_until_ms", "starts_at_ms", same = true },
  { "hold_ttl_ms", "payment_max_ms", same = true },
}

-- nil, or the refusal: a term that changes, and the one that it contradicts. Rules between terms
-- that stay are not checked: an event that an older release left with a contradiction must still
-- be paused and closed.
function terms.contradiction(wanted, changed)
  for _, rule in ipairs(terms.RULES) do
    local first, second = rule[1], rule[2]
    if changed[first] or changed[second] then
      local before, after = tonumber(wanted[first] or 0), tonumber(wanted[second] or 0)
      local contradict = before > after or before == after and not rule.same
      if before > 0 and after > 0 and contradict then
        return { "TERMS_CONTRADICT", changed[first] and first or second,
          changed[first] and second or first }
      end
    end
  end
end

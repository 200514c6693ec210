-- @include lib/event
-- @include lib/claims
-- Refuses picked seats that leave a free seat alone between others, where the event says so.
-- A block is a run of free seats, whatever their category. Only a block with exactly one seat more
-- than is picked of it has no other way: there the single seat is accepted.
local singles = {}

-- Below this share of free places the rule is off: what is left is hardly sold otherwise.
singles.OFF_SHARE = 0.05
-- Letters of the map that are read first to both sides of a picked seat.
singles.REACH = 64

-- Whether the event refuses them now.
function singles.are_refused(box)
  local state = box.state
  local all = state.available + state.held + state.sold + state.blocked
  return state.single_seats == "refuse" and state.available >= singles.OFF_SHARE * all
end

-- nil, or the refusal. Call it after `claims.refusal` returned nil.
function singles.refusal(box, claim)
  local picked, indexes = {}, {}
  for i, seat in ipairs(claim.seat_rows) do
    indexes[i] = tonumber(seat.index)
    picked[indexes[i]] = true
  end
  table.sort(indexes)
  local past, alone, instead = -1, {}, {}
  for _, index in ipairs(indexes) do
    if index >= past then
      local block = singles.block(box, picked, index, #indexes)
      past = block.past
      local count = singles.count(picked, block)
      if block.past - block.first ~= count + 1 then
        singles.add_alone(picked, block, alone)
      end
      if count == #indexes then
        instead = singles.instead(picked, block, count)
      end
    end
  end
  if #alone > 0 then
    return { "LEAVES_SINGLE", table.concat(alone, " "), table.concat(indexes, " "),
      table.concat(instead, " ") }
  end
end

-- The block around a picked seat, { first, past }: as far as its seats are of interest, which is
-- two more than are picked beside the outermost picked one. So a long row costs no more.
function singles.block(box, picked, index, picked_count)
  local reach, far = singles.REACH, picked_count + 2
  while true do
    local from = math.max(0, index - reach)
    local text = redis.call("GETRANGE", box.map, from, index + reach)
    local function is_free(at)
      return picked[at] or string.byte(text, at - from + 1) == 97
    end
    local first, past, last_picked = index, index + 1, index
    while first > from and is_free(first - 1) and last_picked - first < far do
      first = first - 1
      last_picked = picked[first] and first or last_picked
    end
    last_picked = index
    while past <= index + reach and is_free(past) and past - last_picked <= far do
      last_picked = picked[past] and past or last_picked
      past = past + 1
    end
    if (first > from or from == 0) and past <= index + reach then
      return { first = first, past = past }
    end
    reach = 4 * reach
  end
end

function singles.count(picked, block)
  local count = 0
  for at = block.first, block.past - 1 do
    count = count + (picked[at] and 1 or 0)
  end
  return count
end

-- Add the seats of a block that are not picked, and have no free seat beside them any more.
function singles.add_alone(picked, block, alone)
  local function is_left(at)
    return at >= block.first and at < block.past and not picked[at]
  end
  for at = block.first, block.past - 1 do
    if is_left(at) and not is_left(at - 1) and not is_left(at + 1) then
      alone[#alone + 1] = string.format("%d", at)
    end
  end
end

-- The first indexes of so many seats side by side in the block that leave none alone: the two that
-- are nearest to the picked ones.
function singles.instead(picked, block, count)
  local wanted, starts = block.first, {}
  while not picked[wanted] do
    wanted = wanted + 1
  end
  for first = block.first, block.past - count do
    if first - block.first ~= 1 and block.past - first - count ~= 1 then
      starts[#starts + 1] = first
    end
  end
  table.sort(starts, function(one, other)
    local near, far = math.abs(one - wanted), math.abs(other - wanted)
    return near < far or near == far and one < other
  end)
  local texts = {}
  for i = 1, math.min(2, #starts) do
    texts[i] = string.format("%d", starts[i])
  end
  return texts
end

-- A standing area is `<capacity>,<category number>,<held>,<sold>`.
local areas = {}

function areas.read(box, id)
  local text = redis.call("HGET", box.areas, id)
  return text and areas.parse(text) or nil
end

function areas.parse(text)
  local capacity, category, held, sold = string.match(text, "^(%d+),(%d+),(%d+),(%d+)$")
  return { capacity = tonumber(capacity), category = category, held = tonumber(held),
    sold = tonumber(sold) }
end

-- Move `count` places of one area between `available`, `held` and `sold`.
function areas.move(box, id, from, to, count)
  local area = areas.read(box, id)
  if area[from] then
    area[from] = area[from] - count
  end
  if area[to] then
    area[to] = area[to] + count
  end
  redis.call("HSET", box.areas, id,
    area.capacity .. "," .. area.category .. "," .. area.held .. "," .. area.sold)
end

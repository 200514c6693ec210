-- @include lib/event
-- @include lib/seats
-- @include lib/areas
-- @include lib/bookings
-- @include lib/claims
-- @include lib/refusals
-- @include lib/rows
-- Places for parties that do not just want seats side by side: next to a hold of theirs, with
-- wheelchair places, in parts, or standing.
local parties = {}

-- More than the sum of the qualities of 50 seats.
parties.PLACE_MORE = 2 ^ 22
-- What the positions of neighbouring rows differ by: what is below is the number of the run.
parties.ROW = 100
-- Rows of a stretch that are looked at for the parts of a party.
parties.ROWS_MAX = 32

-- Seats around those of a pending booking of the same customer. nil, or nil and a refusal.
function parties.beside(search, request)
  local box, wanted = search.box, search.wanted
  local record = bookings.read(box, wanted.beside, request.customer)
  local refusal = refusals.not_pending(record)
  if refusal then
    return nil, refusal
  elseif record.expires_at_ms <= box.now_ms then
    return nil, { "BOOKING_EXPIRED" }
  end
  local own = seats.read_more(box, bookings.words(record.seats))
  if #own == 0 then
    return nil
  end
  local is_own, first, last = {}, math.huge, 0
  for i = 1, #own do
    local index = tonumber(own[i].index)
    is_own[index], first, last = true, math.min(first, index), math.max(last, index)
  end
  local row = rows.read(search, rows.first_index(box, first))
  if last >= row.index + row.length then
    return nil -- they are not in one row
  end
  local letters, found = rows.letters(box, row.index, row.index + row.length - 1), nil
  for from = math.max(1, first - row.index + 1 - wanted.quantity), first - row.index + 1 do
    local window = parties.around(search, row, letters, is_own, from, last - row.index + 1)
    if window and (not found or window.score < found.score) then
      found = window
    end
  end
  return found
end

-- The window from `from` on that has so many new seats as are wanted, and reaches `last` at least.
function parties.around(search, row, letters, is_own, from, last)
  local skip, count, sum, i = {}, 0, 0, from - 1
  while count < search.wanted.quantity or i < last do
    i = i + 1
    if is_own[row.index + i - 1] then
      skip[i] = true
    elseif i > row.length or count == search.wanted.quantity
      or not rows.may_give(search, row, letters, i) then
      return nil
    else
      count, sum = count + 1, sum + rows.quality(row, i)
    end
  end
  return { row = row, first = from, count = i - from + 1, skip = skip, score = sum }
end

-- Wheelchair places with the seats of companions beside them, whole or not at all. A companion sits
-- in a wheelchair place only where there is no other seat beside.
function parties.accessible(search)
  local wanted, in_sections, found = search.wanted, nil, nil
  search.kinds.w, search.kinds.c = true, true
  if search.section_rows then
    in_sections = {}
    for _, index in ipairs(search.section_rows) do
      in_sections[index] = true
    end
  end
  local listed = redis.call("HGET", search.order_key, "accessible") or ""
  for text in string.gmatch(listed, "%d+") do
    local index = tonumber(text)
    if search.budget <= 0 then
      break
    elseif not in_sections or in_sections[index] then
      local row = rows.read(search, index)
      if found and row.lowest * wanted.quantity * rows.WIDTH >= found.score then
        break -- they come in the order of their best seat
      end
      local letters = rows.letters(search.box, index, index + row.length - 1)
      found = parties.with_wheelchairs(search, row, letters, found)
    end
  end
  return found
end

-- The best of `found` and the windows of the row that may be given and have enough wheelchair
-- places. A wheelchair place too many is worse than any distance.
function parties.with_wheelchairs(search, row, letters, found)
  local count, run, places, sum = search.wanted.quantity, 0, 0, 0
  local function is_place(i)
    return rows.kind(row, i) == "w" and 1 or 0
  end
  search.budget = search.budget - row.length
  for i = 1, row.length do
    if not rows.may_give(search, row, letters, i) then
      run, places, sum = 0, 0, 0
    else
      run, places, sum = run + 1, places + is_place(i), sum + rows.quality(row, i)
      if run > count then
        places, sum = places - is_place(i - count), sum - rows.quality(row, i - count)
      end
      local more = places - search.wanted.wheelchair
      local first = i - count + 1
      local score = (more * parties.PLACE_MORE + sum) * rows.WIDTH
        + math.abs(first + i - row.length - 1)
      if run >= count and more >= 0 and (not found or score < found.score) then
        found = { row = row, first = first, count = count, score = score }
      end
    end
  end
  return found
end

-- Parts of the party, as far as the request allows: one behind the other, in one section, apart, or
-- all standing. Returns windows and how they are together, or nil.
function parties.fall_back(search)
  local asked, count = {}, search.wanted.quantity
  for _, word in ipairs(search.wanted.fallback) do
    asked[word] = true
  end
  local windows = asked.rows and count > 1 and parties.behind_each_other(search, count)
  if windows then
    return windows, "rows"
  end
  for _, word in ipairs({ "section", "apart" }) do
    for part_count = 2, asked[word] and math.ceil(count / 2) or 0 do
      windows = parties.split(search, count, part_count, word == "section")
      if windows then
        return windows, word
      end
    end
  end
  windows = asked.apart and count > 1 and parties.split(search, count, count, false)
  if windows then
    return windows, "apart"
  end
  windows = asked.standing and parties.standing(search, count)
  if windows then
    return windows, "standing"
  end
end

-- Windows of `count` seats that do not overlap, of every row that fits, the best first. They are
-- found once for each size.
function parties.windows(search, count)
  search.windows_of = search.windows_of or {}
  search.windows_of[count] = search.windows_of[count] or parties.find_windows(search, count)
  return search.windows_of[count]
end

function parties.find_windows(search, count)
  local list = {}
  local function look(index, letters)
    local row, before = rows.read(search, index), #list
    local mask = rows.mask(search, row, letters)
    local needle = string.rep("a", count)
    local first = string.find(mask, needle, 1, true)
    while first do
      local sum = 0
      for i = first, first + count - 1 do
        sum = sum + rows.quality(row, i)
      end
      list[#list + 1] = { row = row, first = first, count = count, score = sum }
      first = string.find(mask, needle, first + count, true)
    end
    search.budget = search.budget - count * (#list - before)
    return #list > before
  end
  rows.look_at(search, count, parties.ROWS_MAX, look)
  table.sort(list, function(one, other)
    if one.score == other.score then
      return one.row.index + one.first < other.row.index + other.first
    end
    return one.score < other.score
  end)
  return list
end

-- Two halves in neighbouring rows of a section.
function parties.behind_each_other(search, count)
  local larger, smaller = math.ceil(count / 2), math.floor(count / 2)
  local best_of, found, score = {}, nil, math.huge
  local function place(row, step)
    return row.section .. "," .. (row.position + step)
  end
  for _, window in ipairs(parties.windows(search, smaller)) do
    local at = place(window.row, 0)
    best_of[at] = best_of[at] or window
  end
  for _, window in ipairs(parties.windows(search, larger)) do
    for step = -parties.ROW, parties.ROW, 2 * parties.ROW do
      local other = best_of[place(window.row, step)]
      if other and window.score + other.score < score then
        found, score = { window, other }, window.score + other.score
      end
    end
  end
  return found
end

-- The party in so many parts of the same size, or one less: in one section, or anywhere.
function parties.split(search, count, part_count, in_one_section)
  local larger = math.ceil(count / part_count)
  local listed, score_of, found = {}, {}, nil
  for _, window in ipairs(parties.windows(search, larger)) do
    local place = in_one_section and window.row.section or ""
    local list = listed[place] or {}
    listed[place] = list
    if #list < part_count then
      list[#list + 1] = window
      score_of[place] = (score_of[place] or 0) + window.score
      if #list == part_count and (not found or score_of[place] < score_of[found]) then
        found = place
      end
    end
  end
  if not found then
    return nil
  end
  local parts, shorter = {}, larger * part_count - count
  for i, window in ipairs(listed[found]) do -- the worst windows have one seat less
    local is_shorter = i > part_count - shorter
    parts[i] = { row = window.row, first = window.first,
      count = is_shorter and larger - 1 or larger }
  end
  return parts
end

-- A standing area with room for all: of the first category there is.
function parties.standing(search, count)
  local found
  if search.section_rows then
    return nil
  end
  local values = redis.call("HGETALL", search.box.areas)
  for i = 1, #values, 2 do
    local area = areas.parse(values[i + 1])
    local number = tonumber(area.category)
    if search.categories[number] and area.capacity - area.held - area.sold >= count then
      local sooner = found and (number < found.number
        or number == found.number and values[i] < found.area)
      if not found or sooner then
        found = { area = values[i], number = number }
      end
    end
  end
  return found and { found }
end

-- @include lib/event
-- @include lib/seats
-- @include lib/bookings
-- Rows as best available sees them: their records, their letters in the map, and the windows of
-- neighbouring seats in them. engine/plans/quality.py writes the records.
local rows = {}

-- What one step of quality counts for against one seat's width from the middle of the row.
rows.WIDTH = 65536
-- Bytes of the map that are read first, and then at a time.
rows.PIECE_FIRST, rows.PIECE = 2048, 16384
-- Windows of a run that are compared at once: a table is made of two bytes for each of their seats,
-- and a function returns 8,000 values at most.
rows.RUN_MAX = 2000
-- What a request may look at in all: about so many seats one by one. A house in which so many free
-- seats are not for everybody, and so few others are left, is not searched to its end.
rows.BUDGET = 10000
-- Overdue holds whose seats are counted as free.
rows.OVERDUE_MAX = 50

-- The kinds of seats that a party may get: all plain ones; those with a restricted view if it asks;
-- wheelchair places and those of companions from the time on at which they are released.
function rows.kinds(box, wanted)
  local release_at_ms = event.accessible_release_at_ms(box)
  local is_released = release_at_ms > 0 and box.now_ms >= release_at_ms
  return { ["-"] = true, r = wanted.restricted, w = is_released, c = is_released }
end

-- The record of the row whose first seat has this index.
function rows.read(search, index)
  local row = search.records[index]
  if not row then
    local text = redis.call("HGET", search.rows_key, index)
    if not text then
      error({ err = "ERR the record of the row at " .. index .. " is missing: restore the event" })
    end
    local length, lowest, section, position, category, mark, past =
      string.match(text, "^(%d+),(%d+),(%d+),(%d+),([%d-]+)(%*?)\n()")
    length = length + 0
    row = { index = index, length = length, lowest = lowest + 0, section = section,
      position = position + 0, category = tonumber(category), text = text, qualities_at = past,
      is_plain = mark == "", kinds_at = past + 2 * length, categories_at = past + 3 * length }
    row.ids_at = past + (row.category and 3 or 5) * length
    search.records[index] = row
  end
  return row
end

function rows.quality(row, i)
  local at = row.qualities_at + 2 * i - 2
  local high, low = string.byte(row.text, at, at + 1)
  return high * 256 + low
end

-- `w`heelchair place, `c`ompanion, `r`estricted view, or `-`.
function rows.kind(row, i)
  return string.sub(row.text, row.kinds_at + i - 1, row.kinds_at + i - 1)
end

function rows.category(row, i)
  if row.category then
    return row.category
  end
  local at = row.categories_at + 2 * i - 2
  local high, low = string.byte(row.text, at, at + 1)
  return high * 256 + low
end

-- Letters of the map, an overdue hold's seats as `a`.
function rows.letters(box, from, to)
  local text = redis.call("GETRANGE", box.map, from, to)
  if #text ~= to - from + 1 then
    error({ err = "ERR the map is shorter than the plan: repair the event" })
  end
  local parts, at = nil, from
  for _, index in ipairs(box.overdue_indexes or {}) do
    if index >= at and index <= to then
      parts = parts or {}
      parts[#parts + 1] = string.sub(text, at - from + 1, index - from) .. "a"
      at = index + 1
    end
  end
  return parts and table.concat(parts) .. string.sub(text, at - from + 1) or text
end

-- The index of the first seat of the row around the seat at `index`.
function rows.first_index(box, index)
  local width = 64
  while true do
    local from = math.max(0, index - width)
    local text = redis.call("GETRANGE", box.map, from, index)
    local first = rows.start_of(text, #text)
    if first > 1 or from == 0 then
      return from + first - 1
    end
    width = 4 * width
  end
end

-- Where the row around the letter at `hit` begins in a piece that begins with a row.
function rows.start_of(piece, hit)
  local width = 64
  while true do
    local from = math.max(1, hit - width)
    local slash = string.match(string.sub(piece, from, hit - 1), ".*()/")
    if slash then
      return from + slash
    elseif from == 1 then
      return 1
    end
    width = 4 * width
  end
end

-- Look at each row of a stretch that has `count` free letters side by side: `look(index, letters)`
-- says whether it fits (true), or that no row behind it can be better ("enough").
function rows.scan(search, stretch, count, rows_max, look)
  local needle, at, size, fitting = string.rep("a", count), stretch.from, rows.PIECE_FIRST, 0
  while at <= stretch.to and search.budget > 0 do
    local piece = rows.letters(search.box, at, math.min(at + size, stretch.to + 1) - 1)
    local past = #piece
    if at + past <= stretch.to then
      past = rows.start_of(piece, past + 1) - 1
    end
    local from = 1
    while past > 0 do
      local hit = string.find(piece, needle, from, true)
      if not hit or hit > past then
        break
      end
      local before = rows.start_of(piece, hit)
      local after = string.find(piece, "/", hit, true) or #piece + 1
      local said = look(at + before - 1, string.sub(piece, before, after - 1))
      if said == "enough" or search.budget <= 0 then
        return
      end
      fitting = fitting + (said and 1 or 0)
      if fitting >= rows_max then
        return
      end
      from = after + 1
    end
    at, size = at + past, math.max(rows.PIECE, past == 0 and 2 * size or 0)
  end
end

-- Look at the rows that the filters leave: all of the wanted sections, or those of each stretch
-- that have `count` free letters side by side, `rows_max` of them that fit.
function rows.look_at(search, count, rows_max, look)
  for _, index in ipairs(search.section_rows or {}) do
    if search.budget <= 0 then
      return
    end
    look(index, rows.letters(search.box, index, index + rows.read(search, index).length - 1))
  end
  for _, stretch in ipairs(search.section_rows and {} or search.stretches) do
    rows.scan(search, stretch, count, rows_max, look)
  end
end

-- Read which seats overdue holds have: the earliest ones. A claim decides about each.
function rows.overlay_overdue(box)
  local due = redis.call("ZRANGE", box.deadlines, "-inf", box.now_ms, "BYSCORE", "LIMIT", 0,
    rows.OVERDUE_MAX)
  box.overdue_indexes = nil
  if #due == 0 then
    return
  end
  local ids, indexes = {}, {}
  for _, json in ipairs(redis.call("HMGET", box.bookings, unpack(due))) do
    local record = json and cjson.decode(json)
    local is_due = record and record.status == "pending" and record.expires_at_ms <= box.now_ms
    for _, id in ipairs(is_due and bookings.words(record.seats) or {}) do
      ids[#ids + 1] = id
    end
  end
  for _, seat in ipairs(#ids > 0 and seats.read_more(box, ids) or {}) do
    if seat.letter == "h" and seat.deadline_ms <= box.now_ms then
      indexes[#indexes + 1] = tonumber(seat.index)
    end
  end
  table.sort(indexes)
  box.overdue_indexes = indexes
end

-- Whether the seat at `i` may be given: free, of a kind and a category that are asked for.
function rows.may_give(search, row, letters, i)
  return string.byte(letters, i) == 97 and search.kinds[rows.kind(row, i)]
    and search.categories[rows.category(row, i)]
end

-- The letters of a row, with `-` for free seats that may not be given. Most rows have none.
function rows.mask(search, row, letters)
  if row.category and row.is_plain then
    search.budget = search.budget - 8 - row.length / 4
    return search.categories[row.category] and letters or ""
  end
  local mask = search.masks[row.index]
  if not mask then
    local list = {}
    for i = 1, row.length do
      list[i] = rows.may_give(search, row, letters, i) and "a" or "-"
    end
    mask = table.concat(list)
    search.masks[row.index], search.budget = mask, search.budget - row.length
  end
  search.budget = search.budget - 8
  return mask
end

-- Compare every window of `count` seats of the row with what was `found`: the best that leaves no
-- single seat in `legal`, the best of the others in `spare`. Returns whether one fits.
function rows.windows(search, row, letters, count, found)
  local mask, fits = rows.mask(search, row, letters), false
  local run = { letters = mask ~= letters and letters, avoid = search.avoid }
  run.from, run.to = string.find(mask, "a+")
  while run.from do
    for first = run.from, run.to - count + 1, rows.RUN_MAX do
      fits = true
      local last = math.min(run.to - count + 1, first + rows.RUN_MAX - 1)
      rows.slide(row, run, first, last, count, found)
    end
    run.from, run.to = string.find(mask, "a+", run.to + 1)
  end
  return fits
end

-- The windows of a run that begin at `first` to `last`. A score is the sum of the qualities; with
-- equal sums, the window nearer to the middle of the row is better.
function rows.slide(row, run, first, last, count, found)
  local size = last - first + count
  local values = { struct.unpack(">" .. string.rep("H", size), row.text,
    row.qualities_at + 2 * first - 2) }
  values[size + 1] = 0
  local legal = found.legal and found.legal.score or math.huge
  local spare = found.spare and found.spare.score or math.huge
  local middle, sum, legal_at, spare_at = row.length + 2 - count, 0, nil, nil
  for i = 1, count do
    sum = sum + values[i]
  end
  for window = first, last do
    if sum * rows.WIDTH < legal then
      local score = sum * rows.WIDTH + math.abs(2 * window - middle)
      if score < legal and not (run.avoid and rows.is_single(run, window, window + count - 1)) then
        legal, legal_at = score, window
      elseif score < legal and score < spare then
        spare, spare_at = score, window
      end
    end
    local i = window - first + 1
    sum = sum - values[i] + values[i + count]
  end
  if legal_at then
    found.legal = { row = row, first = legal_at, count = count, score = legal }
  end
  if spare_at then
    found.spare = { row = row, first = spare_at, count = count, score = spare }
  end
end

-- Whether a window leaves a seat of its run alone. A run of seats that may be given may have other
-- free seats beside it, of another category or kind; then the letters decide.
function rows.is_single(run, first, last)
  if run.letters then
    return rows.leaves_single(run.letters, first, last)
  end
  return first - run.from == 1 or run.to - last == 1
end

-- Whether taking the seats from `first` to `last` leaves a free seat alone that was not alone.
function rows.leaves_single(letters, first, last)
  local function alone(at, step)
    return string.byte(letters, at) == 97 and string.byte(letters, at + step) ~= 97
  end
  return alone(first - 1, -1) or alone(last + 1, 1)
end

-- Add the ids of a window's seats to a list. `skip` has the places in it that are not taken.
function rows.add_ids(window, list)
  local text, at = window.row.text, window.row.ids_at
  for _ = 2, window.first do
    at = string.find(text, " ", at, true) + 1
  end
  for i = window.first, window.first + window.count - 1 do
    local past = string.find(text, " ", at, true) or #text + 1
    if not (window.skip and window.skip[i]) then
      list[#list + 1] = string.sub(text, at, past - 1)
    end
    at = past + 1
  end
end

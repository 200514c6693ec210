-- @include lib/holds
-- @include lib/rows
-- @include lib/parties
-- Finds the best free places for a party: a search of the map, which has the rows in the order of
-- their quality (engine/plans/quality.py). It only reads; a claim then takes what it found.
--
-- What is wanted is { quantity, categories = {id}, sections = {id}, price_max, wheelchair,
-- restricted, fallback = {word}, beside }. A search is { box, rows_key, order_key, wanted,
-- stretches, section_rows, categories = the numbers that may be given, kinds = the kinds of seats,
-- records, avoid = whether a single seat should not be left }.
local best = {}

-- Rows of a stretch that fit and are looked at. More rows find a better place seldom, and cost.
best.ROWS_MAX = 8

-- The stretches to search: { { from, to } }. nil and a refusal, if a category is unknown.
function best.stretches(search)
  local wanted, fields = search.wanted, {}
  local ids = wanted.categories
  if #ids == 0 then
    ids = bookings.words(redis.call("HGET", search.order_key, "categories") or "")
  end
  for i = 1, #ids do
    fields[i] = "category:" .. ids[i]
  end
  local found, unknown, known = {}, {}, {}
  local texts = #ids > 0 and redis.call("HMGET", search.order_key, unpack(fields)) or {}
  for i = 1, #ids do
    local number = texts[i] and string.match(texts[i], "^%d+")
    if not number then
      unknown[#unknown + 1] = ids[i]
    elseif claims.price(search.box, tonumber(number)) <= wanted.price_max then
      search.categories[tonumber(number)] = true
      for from, to, mark in string.gmatch(texts[i], "(%d+)-(%d+)(%*?)") do
        local is_new = not known[from] -- a stretch of rows of several categories
        known[from] = true
        if is_new and (mark == "" or search.kinds.w or search.kinds.r) then
          found[#found + 1] = { from = tonumber(from), to = tonumber(to) }
        end
      end
    end
  end
  if #unknown > 0 then
    return nil, { "CATEGORY_NOT_FOUND", unpack(unknown) }
  end
  return found
end

-- The first indexes of the rows of the wanted sections, or nil and a refusal.
function best.section_rows(search)
  local fields, unknown, found = {}, {}, {}
  for i, id in ipairs(search.wanted.sections) do
    fields[i] = "section:" .. id
  end
  for i, text in ipairs(redis.call("HMGET", search.order_key, unpack(fields))) do
    if not text then
      unknown[#unknown + 1] = search.wanted.sections[i]
    else
      for index in string.gmatch(text, "%d+") do
        found[#found + 1] = tonumber(index)
      end
    end
  end
  if #unknown > 0 then
    return nil, { "SECTION_NOT_FOUND", unpack(unknown) }
  end
  return found
end

-- The best window of `count` seats: of all the rows that the filters leave.
function best.window(search, count)
  local found = {}
  local function look(index, letters)
    local row = rows.read(search, index)
    if found.legal and row.lowest * count * rows.WIDTH >= found.legal.score then
      return "enough"
    end
    return rows.windows(search, row, letters, count, found)
  end
  rows.look_at(search, count, best.ROWS_MAX, look)
  return found.legal or found.spare
end

-- The largest party that still fits side by side: what a refusal tells.
function best.largest(search, below)
  local low, high = 0, below - 1
  search.budget = rows.BUDGET
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if best.window(search, middle) then
      low = middle
    else
      high = middle - 1
    end
  end
  return low
end

-- Find places for the request. Sets `seats` (ids) or `areas`, and `together`; returns a refusal
-- instead.
function best.choose(box, request)
  local wanted = request.wanted
  box.row_records = box.row_records or {}
  local search = { box = box, wanted = wanted, rows_key = request.rows_key,
    order_key = request.order_key, categories = {}, records = box.row_records,
    masks = {}, budget = rows.BUDGET,
    avoid = box.state.single_seats ~= "allow",
    kinds = rows.kinds(box, wanted) }
  local refusal
  search.stretches, refusal = best.stretches(search)
  if not refusal and #wanted.sections > 0 then
    search.section_rows, refusal = best.section_rows(search)
  end
  if refusal then
    return refusal
  end
  rows.overlay_overdue(box)
  local together = "row"
  local window
  if wanted.beside ~= "" then
    window, refusal = parties.beside(search, request)
  elseif wanted.wheelchair > 0 then
    window = parties.accessible(search)
  else
    window = best.window(search, wanted.quantity)
  end
  if refusal then
    return refusal
  end
  local windows = window and { window }
  if not windows and (wanted.wheelchair > 0 or wanted.beside ~= "") then
    return { "NO_SEATS_TOGETHER", "0" }
  elseif not windows then
    windows, together = parties.fall_back(search)
  end
  if not windows then
    return { "NO_SEATS_TOGETHER", tostring(best.largest(search, wanted.quantity)) }
  end
  best.take(search, request, windows, together)
end

-- Put what was found into the request, in the form of a claim.
function best.take(search, request, windows, together)
  request.together = together
  for _, window in ipairs(windows) do
    if window.area then
      request.areas = { { id = window.area, quantity = request.wanted.quantity } }
      request.area_text = window.area .. "=" .. request.wanted.quantity
    else
      rows.add_ids(window, request.seats)
    end
  end
  request.seat_text = table.concat(request.seats, " ")
  seats.read_more(search.box, request.seats)
end

-- A request in the form of hold_best: what is wanted is in `wanted`, and `seats` is empty until
-- they are found.
function best.new(keys, key_at, args, at)
  local request = holds.request(keys, key_at, args, at, "", "")
  request.rows_key, request.order_key = keys[key_at + 3], keys[key_at + 4]
  request.places = tonumber(args[at + 5])
  request.wanted = { quantity = request.places, categories = bookings.words(args[at + 6]),
    sections = bookings.words(args[at + 7]), price_max = tonumber(args[at + 8]) or math.huge,
    wheelchair = tonumber(args[at + 9]), restricted = args[at + 10] == "1",
    fallback = bookings.words(args[at + 11]), beside = args[at + 12] }
  request.choose = best.choose
  return request
end

holds.FORMS.best = { keys = 4, args = 12, new = best.new }

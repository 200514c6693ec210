-- @include lib/event
-- @include lib/limits
-- The requests of one call, decided one after another, each as if it were a call of its own: a
-- refusal of one changes nothing for the others. KEYS[10] on and ARGV[3] on have them, ARGV[2]
-- their number; each ends with the number of its limits and their rates.
local batches = {}

-- Read the requests, count each against its limits, and open the event. The first argument of a
-- request is its kind, and `forms` has { keys, args, new } of each: how many of both a request has
-- before its limits, and what makes a table of them; `text_key` in it names a key whose text is
-- read along. A batch is { box, list, texts }: `box` nil = no such event; `texts` has what those
-- keys hold, by key.
function batches.open(keys, args, forms)
  local list, text_keys = {}, {}
  local key_at, at = 9, 2
  for i = 1, tonumber(args[2]) do
    local form = forms[args[at + 1]]
    if not form then
      error({ err = "ERR there is no request of kind " .. tostring(args[at + 1]) })
    end
    local request = form.new(keys, key_at, args, at)
    text_keys[#text_keys + 1] = request.text_key
    key_at, at = key_at + form.keys, at + form.args + 1
    local count = args[at]
    if count ~= "0" then
      request.limits = limits.of(keys, key_at, args, at, count)
      for _, limit in ipairs(request.limits) do
        text_keys[#text_keys + 1] = limit.key
      end
      key_at, at = key_at + count, at + 2 * count
    end
    list[i] = request
  end
  local now_ms, texts = clock.now_ms(args[1]), batches.texts(text_keys)
  for i = 1, #list do
    local request = list[i]
    if request.limits then
      request.rate_limited, request.left, request.full_in_ms =
        limits.take(now_ms, request.limits, texts)
    end
  end
  return { box = event.open(keys, now_ms), list = list, texts = texts }
end

-- What the keys hold, by key.
function batches.texts(keys)
  local texts = #keys > 0 and redis.call("MGET", unpack(keys)) or {}
  local text_of = {}
  for i = 1, #keys do
    if texts[i] then
      text_of[keys[i]] = texts[i]
    end
  end
  return text_of
end

-- The replies of a call: `decide(batch, request)` makes that of one request, and `write(batch)`
-- writes what they have in common. A request that meets damaged state gets DAMAGED and what is
-- damaged; the others have their own replies. What the server cannot do for any (no memory, no
-- disk) is an error of the call: the requests before it keep what they were given.
function batches.run(batch, decide, write)
  local box, replies, failure = batch.box, { "OK" }, nil
  for i, request in ipairs(batch.list) do
    replies[i + 1], failure = batches.reply(batch, decide, request)
    if failure then
      break
    end
  end
  if box and box.position ~= "" then
    write(batch)
    event.save(box)
  end
  if failure then
    error({ err = failure })
  end
  return replies
end

-- The reply of one request, or nil and the error of the call.
function batches.reply(batch, decide, request)
  if request.rate_limited then
    return request.rate_limited
  end
  local is_decided, reply = true, { "EVENT_NOT_FOUND" }
  if batch.box then
    is_decided, reply = pcall(decide, batch, request)
  end
  if not is_decided then
    local text = type(reply) == "table" and reply.err or tostring(reply)
    local prefix = string.match(text, "^%u+")
    if prefix and prefix ~= "ERR" and prefix ~= "WRONGTYPE" then
      return nil, text
    end
    reply = { "DAMAGED", text }
  end
  if request.limits then
    limits.add_left(reply, request.left, request.full_in_ms)
  end
  return reply
end

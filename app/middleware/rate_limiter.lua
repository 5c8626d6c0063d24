-- The decision of `app.limits.decide` inside Redis: one client, one key, one step that nothing comes between.
-- KEYS[1]: the client. ARGV: burst, microseconds per request, limit of the minute, limit of the hour.
-- Answers: microseconds to wait (0: it passes), then remaining and microseconds to the reset of burst, minute, hour.
local BUCKETS, WIDTHS = 30, {2000000, 120000000}
local KEPT_MS = 3720000

local burst, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local limits = {tonumber(ARGV[3]), tonumber(ARGV[4])}
local full_at, windows = 0, {{}, {}}
local packed = redis.call('GET', KEYS[1])
if packed then
    local state = cmsgpack.unpack(packed)
    full_at, windows = state[1], {state[2], state[3]}
end

-- A clock that went back leaves a future behind, which counts as of now, and must then be written down as such.
local ahead = full_at > now + burst * interval
full_at = math.max(now, math.min(full_at, now + burst * interval))
local wait = math.max(0, full_at + interval - burst * interval - now)
local sums, currents = {}, {}
for i = 1, 2 do
    local window, width = windows[i], WIDTHS[i]
    local current = (now - now % width) / width
    local kept, sum = {}, 0
    for j = 1, #window, 2 do
        local part, count = window[j], window[j + 1]
        if part > current then
            part, ahead = current, true
        end
        if part >= current - BUCKETS then
            local n = #kept
            if n > 0 and kept[n - 1] == part then
                kept[n] = kept[n] + count
            else
                kept[n + 1], kept[n + 2] = part, count
            end
            sum = sum + count
        end
    end
    local excess, j = sum + 1 - limits[i], 1
    local room = 0
    while excess > 0 and j < #kept do
        excess = excess - kept[j + 1]
        room = (kept[j] + BUCKETS + 1) * width - now
        j = j + 2
    end
    wait = math.max(wait, room)
    windows[i], sums[i], currents[i] = kept, sum, current
end

if wait == 0 then
    full_at = full_at + interval
    for i = 1, 2 do
        local kept = windows[i]
        local n = #kept
        if n > 0 and kept[n - 1] == currents[i] then
            kept[n] = kept[n] + 1
        else
            kept[n + 1], kept[n + 2] = currents[i], 1
        end
        sums[i] = sums[i] + 1
    end
end
if wait == 0 or ahead then
    redis.call('SET', KEYS[1], cmsgpack.pack({full_at, windows[1], windows[2]}), 'PX', KEPT_MS)
end

local free = now + burst * interval - full_at
local answer = {wait, (free - free % interval) / interval, full_at - now}
for i = 1, 2 do
    answer[2 * i + 2] = math.max(0, limits[i] - sums[i])
    answer[2 * i + 3] = windows[i][1] and (windows[i][1] + BUCKETS + 1) * WIDTHS[i] - now or 0
end
return answer

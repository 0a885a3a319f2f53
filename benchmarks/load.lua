-- The load for wrk: the same body as load.py sends, and the same fields in the last line.
wrk.method = "POST"
wrk.body = os.getenv("PIPE_BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"

local keys = tonumber(os.getenv("PIPE_BENCH_KEYS"))
if keys > 0 then
  request = function()
    wrk.headers["X-Key"] = math.random(keys)
    return wrk.format()
  end
end

done = function(summary, latency, requests)
  local errors = summary.errors
  assert(errors.connect + errors.read + errors.write + errors.timeout == 0, "connections broke")
  io.write(string.format('{"answered":%d,"refused":%d,"seconds":%f,"p50":%.2f,"p99":%.2f}\n',
    summary.requests - errors.status, errors.status, summary.duration / 1000000,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end

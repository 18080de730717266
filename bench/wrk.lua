-- Requests a list of paths in turn, with credentials, and prints what happened as one line of JSON.
-- BENCH_PATHS: a file with a path a line. BENCH_AUTHORIZATION: value of the header, or unset.
local requests, at = {}, 0

function init()
  local authorization = os.getenv('BENCH_AUTHORIZATION')
  if authorization then wrk.headers['Authorization'] = authorization end
  for path in io.lines(os.getenv('BENCH_PATHS')) do
    requests[#requests + 1] = wrk.format('GET', path)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"bytes":%.0f,"seconds":%.6f,"p50Ms":%.3f,"p99Ms":%.3f,"maxMs":%.3f,"badStatuses":%d,"brokenTransfers":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

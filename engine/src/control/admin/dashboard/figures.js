// Figures out of the documents of /api/status: rates and percentiles of the time between two of them. No page in here.

// The bounds of the ranges of a histogram, in microseconds; the engine has the same.
const DURATION_BOUNDS_US = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000,
];

// Documents that are kept, one a second.
const DOCUMENTS_MAX = 90;

// Rates and percentiles are those of so many milliseconds.
const WINDOW_MS = 5000;

// The growth of a counter per second, or null when it is not known.
function rate(now, before, seconds) {
  return before === undefined || before === null || now < before || !(seconds > 0) ? null : (now - before) / seconds;
}

function sum(list, value) {
  return list.reduce((total, entry) => total + value(entry), 0);
}

// The share of `part` in `whole`, or null.
function ratio(part, whole) {
  return whole > 0 ? part / whole : null;
}

// What a histogram has counted since an earlier one.
function since(now, before) {
  const counts = now.counts.map((count, range) => Math.max(0, count - ((before && before.counts[range]) || 0)));
  return { counts, sum_ns: Math.max(0, now.sum_ns - ((before && before.sum_ns) || 0)) };
}

function addDurations(all, more) {
  more.counts.forEach((count, range) => { all.counts[range] = (all.counts[range] || 0) + count; });
  all.sum_ns += more.sum_ns;
  return all;
}

// The time below which this share is, in microseconds, or null: between the bounds of its range in proportion.
function percentile(durations, share) {
  const count = sum(durations.counts, (in_range) => in_range);
  if (count === 0) {
    return null;
  }
  const wanted = Math.max(1, share * count);
  const last = DURATION_BOUNDS_US[DURATION_BOUNDS_US.length - 1];
  let below = 0;
  for (let range = 0; range < durations.counts.length; range += 1) {
    const in_range = durations.counts[range];
    if (in_range > 0 && below + in_range >= wanted) {
      const upper = DURATION_BOUNDS_US[range] ?? last;
      const lower = range === 0 ? 0 : DURATION_BOUNDS_US[range - 1];
      return lower + (upper - lower) * ((wanted - below) / in_range);
    }
    below += in_range;
  }
  return null;
}

function by(list, key) {
  return new Map(list.map((entry) => [key(entry), entry]));
}

const channelKey = (channel) => JSON.stringify([channel.node, channel.channel]);
const serviceKey = (service) => JSON.stringify([service.handle, service.label, service.what]);
const measureKey = (measure) => JSON.stringify([measure.name, measure.service]);

// A channel or a label that an earlier document does not have began at 0, unless the document left some out.
const NO_CHANNEL = { calls: 0, sends: 0, bytes_written: 0, bytes_read: 0, writes: 0, errors: {}, round_trip: { counts: [], sum_ns: 0 } };

// The figures of the time between two documents of the same run of a node; without an earlier one there are no rates.
function figuresOf(now, before) {
  const seconds = before ? (now.uptime_ms - before.uptime_ms) / 1000 : 0;
  const channels = channelFigures(now, before, seconds);
  const shards = shardFigures(now, before, seconds);
  const sums = serviceFigures(now.service_sums, before && before.service_sums, seconds);
  const known = (list, value) => (before ? sum(list, (entry) => value(entry) || 0) : null);
  const round_trip = channels.reduce((all, channel) => addDurations(all, channel.round_trip_recent), { counts: [], sum_ns: 0 });
  const requests = (status) => sum(status.inbound, (inbound) => inbound.requests);
  return {
    status: now,
    seconds,
    channels,
    shards,
    sums,
    services: serviceFigures(now.services, before && before.services, seconds),
    measures: measureFigures(now, before, seconds),
    peers: peerFigures(now, channels),
    calls: known(channels, (channel) => channel.calls_rate),
    errors: known(channels, (channel) => channel.errors_rate),
    requests: before ? rate(requests(now), requests(before), seconds) : null,
    messages: known(sums, (service) => service.messages_rate),
    processor: before ? rate(now.process.processor_ms, before.process.processor_ms, seconds * 1000) : null,
    p50: percentile(round_trip, 0.5),
    p99: percentile(round_trip, 0.99),
    p999: percentile(round_trip, 0.999),
  };
}

function channelFigures(now, before, seconds) {
  const earlier = by(before ? before.channels : [], channelKey);
  return now.channels.map((channel) => {
    const old = earlier.get(channelKey(channel)) || (before && before.channels_omitted === 0 ? NO_CHANNEL : null);
    const errors = (of) => sum(Object.values(of.errors), (count) => count);
    const recent = old ? since(channel.round_trip, old.round_trip) : { counts: [], sum_ns: 0 };
    const requests = old ? channel.calls + channel.sends - old.calls - old.sends : 0;
    return {
      ...channel,
      errors_total: errors(channel),
      calls_rate: old ? rate(channel.calls + channel.sends, old.calls + old.sends, seconds) : null,
      errors_rate: old ? rate(errors(channel), errors(old), seconds) : null,
      bytes_rate: old
        ? rate(channel.bytes_written + channel.bytes_read, old.bytes_written + old.bytes_read, seconds) : null,
      batch: old ? ratio(requests, channel.writes - old.writes) : null,
      round_trip_recent: recent,
      p50: percentile(recent, 0.5),
      p99: percentile(recent, 0.99),
    };
  });
}

function shardFigures(now, before, seconds) {
  const earlier = by(before ? before.shards : [], (shard) => shard.shard);
  return now.shards.map((shard) => {
    const old = earlier.get(shard.shard);
    const is_known = old && old.is_answering && shard.is_answering;
    return {
      ...shard,
      busy: is_known ? rate(shard.processor_ns, old.processor_ns, seconds * 1e9) : null,
      turns_rate: is_known ? rate(shard.turns, old.turns, seconds) : null,
      crossed_rate: is_known ? rate(shard.messages_crossed, old.messages_crossed, seconds) : null,
    };
  });
}

function serviceFigures(now, before, seconds) {
  const earlier = by(before || [], serviceKey);
  return now.map((service) => {
    const old = earlier.get(serviceKey(service));
    const recent = old ? since(service.handler, old.handler) : { counts: [], sum_ns: 0 };
    return {
      ...service,
      title: service.names.length > 0 ? service.names.join(" ") : service.what || service.label,
      messages_rate: old ? rate(service.messages, old.messages, seconds) : null,
      // The share of one processor.
      busy: old ? rate(service.handler.sum_ns, old.handler.sum_ns, seconds * 1e9) : null,
      p50: percentile(recent, 0.5),
      p99: percentile(recent, 0.99),
    };
  });
}

function measureFigures(now, before, seconds) {
  const earlier = by(before ? before.measures : [], measureKey);
  return now.measures.map((measure) => {
    const old = earlier.get(measureKey(measure));
    return { ...measure, value_rate: old && measure.unit === "counter" ? rate(measure.value, old.value, seconds) : null };
  });
}

function peerFigures(now, channels) {
  return now.peers.map((peer) => {
    const own = channels.filter((channel) => channel.node === peer.node);
    const round_trip = own.reduce((all, channel) => addDurations(all, channel.round_trip_recent), { counts: [], sum_ns: 0 });
    return {
      ...peer,
      channels: own,
      calls_rate: own.some((channel) => channel.calls_rate !== null) ? sum(own, (channel) => channel.calls_rate || 0) : null,
      p99: percentile(round_trip, 0.99),
    };
  });
}

// The documents of one run of a node. A restarted node begins anew.
class History {
  constructor() {
    this.documents = [];
    this.charts = [];
  }

  // Takes a document; returns whether the node was restarted since the last one.
  add(status) {
    const last = this.documents[this.documents.length - 1];
    const is_restarted = last !== undefined && (last.started_ms !== status.started_ms || last.uptime_ms > status.uptime_ms);
    if (is_restarted) {
      this.documents = [];
    }
    this.charts.push(figuresOf(status, is_restarted ? undefined : last));
    this.documents.push(status);
    this.documents = this.documents.slice(-DOCUMENTS_MAX);
    this.charts = this.charts.slice(-DOCUMENTS_MAX).map(({ calls, requests, messages, processor, p99 }) => ({
      calls, requests, messages, processor, p99,
    }));
    return is_restarted;
  }

  // A time without an answer: a gap in the charts.
  addGap() {
    this.charts.push({ calls: null, requests: null, messages: null, processor: null, p99: null });
    this.charts = this.charts.slice(-DOCUMENTS_MAX);
  }

  // The figures of the last seconds.
  figures() {
    const now = this.documents[this.documents.length - 1];
    const within = this.documents.slice(0, -1).filter((before) => now.uptime_ms - before.uptime_ms <= WINDOW_MS + 500);
    return figuresOf(now, within[0] || this.documents[this.documents.length - 2]);
  }
}

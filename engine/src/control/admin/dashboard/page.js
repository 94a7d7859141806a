// The page: asks the node every second, and shows what it says.

const POLL_MS = 1000;
const ANSWER_MS_MAX = 5000;
// What a profile may take beside its own time.
const PROFILE_MS_EXTRA = 40000;
// Nodes that the map shows before somebody asks for all.
const MAP_NODES_MAX = 60;

const STATE_TONES = { up: "good", suspect: "warn", down: "bad" };
const CHANNEL_TONES = { open: "good", draining: "warn", offline: "bad" };
const STATE_ORDER = ["down", "suspect", "up", "unknown", "disabled"];

const page = {
  // In memory only: it is gone with the page.
  token: null,
  history: new History(),
  last_answer: null,
  shows_all_nodes: false,
  services_by: "time",
};

class Refused extends Error {}

// Asks the node; the answer has arrived as a whole.
async function ask(path, options, milliseconds_max) {
  const headers = page.token === null ? {} : { Authorization: `Bearer ${page.token}` };
  const answer = await fetch(path, {
    ...options, headers, cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(milliseconds_max),
  });
  const text = await answer.text();
  if (answer.status === 401) {
    throw new Refused(text.trim());
  }
  if (!answer.ok) {
    throw new Error(text.trim() || `status ${answer.status}`);
  }
  return text;
}

async function poll() {
  try {
    const status = JSON.parse(await ask("/api/status", {}, ANSWER_MS_MAX));
    const is_restarted = page.history.add(status);
    page.last_answer = new Date();
    page.is_restarted = is_restarted ? page.last_answer : page.is_restarted;
    show();
  } catch (error) {
    if (error instanceof Refused) {
      return askForToken();
    }
    showGone(error);
  }
  setTimeout(poll, POLL_MS);
}

function askForToken() {
  setText(find("refused"), page.token === null ? "" : "The node does not take this token.");
  page.token = null;
  setState("token needed", "warn");
  find("notice").hidden = true;
  find("main").hidden = true;
  find("ask").hidden = false;
  find("token").focus();
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = find("token").value.trim();
  find("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(token)) {
    setText(find("refused"), "A token has letters, digits and marks, without spaces.");
    return;
  }
  page.token = token;
  find("ask").hidden = true;
  setState("connecting", "idle");
  poll();
});

function setState(text, tone) {
  const state = find("state");
  setText(state, text);
  state.className = `badge ${tone}`;
}

function notice(text) {
  find("notice").hidden = text === null;
  setText(find("notice"), text || "");
}

function showGone(error) {
  page.history.addGap();
  document.body.classList.add("old");
  setState("no answer", "bad");
  const cause = error.name === "TimeoutError" ? "no answer in time" : error instanceof TypeError ? "it cannot be reached" : error.message;
  const since = page.last_answer === null ? "" : ` since ${page.last_answer.toLocaleTimeString("en-GB")}; the figures below are from then`;
  notice(`The node does not answer${since} (${cause}). This page goes on when it is back.`);
}

function show() {
  const figures = page.history.figures();
  const status = figures.status;
  document.body.classList.remove("old");
  find("main").hidden = false;
  find("ask").hidden = true;
  const name = status.node || "a node without a name";
  setText(find("node"), name);
  document.title = `${name} – Skyring`;
  const zone = status.zone ? `zone ${status.zone}, ` : "";
  const listeners = status.listeners.map((listener) => listener.address).join(", ");
  setText(find("about"), `Skyring ${status.version} on ${status.runtime}, ${zone}process ${status.process.id}, `
    + `${listeners ? `listens on ${listeners}, ` : ""}runs for ${duration(status.uptime_ms)}`);
  if (status.failure) {
    setState("failed", "bad");
  } else if (status.is_stopping) {
    setState("stopping", "warn");
  } else {
    setState(status.is_ready ? "ready" : "starting", status.is_ready ? "good" : "warn");
  }
  const hanging = status.shards.filter((shard) => !shard.is_answering).map((shard) => shard.shard);
  const restarted = page.is_restarted && Date.now() - page.is_restarted < 15000;
  if (status.failure) {
    notice(`The node has failed: ${status.failure}`);
  } else if (hanging.length > 0) {
    notice(`Shards that do not answer: ${hanging.join(", ")}. Their figures are missing.`);
  } else {
    notice(restarted ? `The node was restarted; its counters began anew ${duration(status.uptime_ms)} ago.` : null);
  }
  showTiles(figures);
  showMap(figures);
  showServices(figures);
  tables.channels.show(figures.channels);
  tables.shards.show(figures.shards);
  showGates(figures);
  tables.measures.show(figures.measures.filter((measure) => !measure.name.startsWith("gate_")));
  tables.counters.show(Object.entries(status.counters).map(([counter, value]) => ({ counter, value })));
  const take = find("flame-take");
  if (!page.is_profiling) {
    take.disabled = !status.has_profiler;
    if (!status.has_profiler) {
      setText(find("flame-state"), "This program has no profiler: it was not started by the skyring command.");
    }
  }
}

function showTiles(figures) {
  const { status } = figures;
  const values = (key) => page.history.charts.map((entry) => entry[key]);
  const ages = status.shards.map((shard) => shard.inbox_age_us);
  const clients = status.measures.filter((measure) => measure.name === "gate_clients");
  const tiles = [
    ["Calls to others", number(figures.calls), `a second; ${number(figures.errors)} failed`, "calls"],
    ["Requests of others", number(figures.requests), `a second; ${number(sum(status.inbound, (inbound) => inbound.connections))} connections`, "requests"],
    ["Messages", number(figures.messages), `a second; ${count(status.services_total)} services`, "messages"],
    ["Round trip, p99", microseconds(figures.p99), `p50 ${microseconds(figures.p50)}, p99.9 ${microseconds(figures.p999)}`, "p99"],
    ["Processor", percent(figures.processor), `of one processor; ${status.shards.length} shards`, "processor"],
    ["Memory", bytes(status.process.memory_bytes), `${count(status.process.open_files)} of ${count(status.process.open_files_max)} files`, null],
    ["Oldest work waiting", microseconds(Math.max(0, ...ages)), `${number(sum(status.shards, (shard) => shard.inbox_depth))} in inboxes`, null],
    ["Gate clients", clients.length === 0 ? UNKNOWN : number(sum(clients, (measure) => measure.value)), clients.length === 0 ? "no gate runs" : "", null],
  ];
  find("tiles").replaceChildren(...tiles.map(([name, value, below, key]) => element("div", {},
    element("dt", {}, name), element("dd", { class: "value" }, value), element("dd", { class: "below" }, below),
    key === null ? null : element("dd", {}, chart(values(key), name)))));
}

function showMap(figures) {
  const { status, peers } = figures;
  const counts = STATE_ORDER.map((state) => [state, peers.filter((peer) => peer.state === state).length]);
  const parts = counts.filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`);
  const omitted = status.peers_omitted > 0 ? `; ${status.peers_omitted} more are not told` : "";
  setText(find("map-about"), peers.length === 0 ? "The node has no cluster map." : `${peers.length} nodes: ${parts.join(", ")}${omitted}`);
  const order = (peer) => (peer.is_own ? -1 : STATE_ORDER.indexOf(peer.state));
  const sorted = [...peers].sort((one, other) => order(one) - order(other) || one.node.localeCompare(other.node));
  const listed = page.shows_all_nodes ? sorted : sorted.slice(0, MAP_NODES_MAX);
  const zones = new Map();
  for (const peer of listed) {
    const zone = peer.zone || "";
    zones.set(zone, [...(zones.get(zone) || []), peer]);
  }
  const has_zones = zones.size > 1 || !zones.has("");
  find("map").replaceChildren(...[...zones].sort(([one], [other]) => (one === "") - (other === "") || one.localeCompare(other)).map(([zone, nodes]) => element(
    "div", { class: "zone" },
    has_zones ? element("h3", {}, zone === "" ? "no zone" : `zone ${zone}`) : null,
    element("ul", {}, ...nodes.map((peer) => peerCard(peer, figures))),
  )));
  const more = find("map-more");
  more.hidden = sorted.length <= MAP_NODES_MAX;
  setText(more, page.shows_all_nodes ? "Show fewer" : `Show all ${sorted.length}`);
  find("groups").replaceChildren(...status.groups.map((group) => element("li", {},
    element("strong", {}, group.group), ` (${group.policy}): ${group.members.join(", ") || "no members"}`)));
}

function peerCard(peer, figures) {
  const open = peer.channels.filter((channel) => channel.state === "open").length;
  const lights = element("span", { class: "lights", "aria-hidden": "true" },
    ...peer.channels.slice(0, 64).map((channel) => element("i", { class: channel.state })));
  const since = peer.since_ms > 0 ? `, for ${duration(figures.status.started_ms + figures.status.uptime_ms - peer.since_ms)}` : "";
  return element("li", { class: `peer ${STATE_TONES[peer.state] || "idle"}` },
    element("div", { class: "name" }, element("span", {}, peer.node),
      element("span", { class: "state" }, peer.is_own ? "this node" : peer.state)),
    element("p", { class: "muted" }, `${peer.address || "no address"}${peer.is_own ? "" : since}`),
    peer.cause && peer.state !== "up" && !peer.is_own ? element("p", {}, peer.cause) : null,
    peer.channels.length === 0 ? null : element("p", {}, lights, `${open} of ${peer.channels.length} channels open`),
    peer.channels.length === 0 ? null : element("p", {}, `${number(peer.calls_rate)} /s, p99 ${microseconds(peer.p99)}`));
}

function meter(share, name) {
  const bar = share === null ? null : element("meter", { min: 0, max: 1, value: Math.min(1, share), "aria-label": name });
  return element("span", {}, bar, percent(share));
}

const column = (title, value, text, options) => ({ title, value, text: text || ((row) => number(value(row))), ...options });
const ofText = (title, value, options) => column(title, value, (row) => value(row) || UNKNOWN, { isText: true, ...options });

const serviceColumns = (first) => [
  ofText(first, (row) => row.title || row.label),
  column("shard", (row) => row.shard),
  column("time", (row) => row.busy, (row) => meter(row.busy, "share of one processor"), { help: "The share of one processor that its handlers take" }),
  column("messages/s", (row) => row.messages_rate),
  column("p50", (row) => row.p50, (row) => microseconds(row.p50), { help: "Half of the steps take less" }),
  column("p99", (row) => row.p99, (row) => microseconds(row.p99), { help: "99 of 100 steps take less" }),
  column("waiting", (row) => row.messages_waiting, null, { help: "Messages that wait for it, or that it answers later" }),
  column("tasks", (row) => row.tasks),
  column("memory", (row) => row.memory_bytes, (row) => (row.memory_bytes > 0 ? bytes(row.memory_bytes) : UNKNOWN)),
  column("restarts", (row) => row.restarts),
];

const sumColumns = serviceColumns("name");
sumColumns.splice(0, 2, ofText("name", (row) => row.label), column("services", (row) => row.services));

const tables = {
  services: new Table(find("services"), "Services", serviceColumns("service"), { sorted: "time", empty: "No services run." }),
  sums: new Table(find("services"), "Services added up by name", sumColumns, { sorted: "time", empty: "No services have run." }),
  channels: new Table(find("channels"), "Channels", [
    ofText("channel", (row) => `${row.node} ${row.channel}`),
    column("state", (row) => row.state, (row) => element("span", { class: CHANNEL_TONES[row.state] }, row.state), { isText: true }),
    ofText("dialect", (row) => row.dialect),
    column("shard", (row) => row.shard),
    column("calls/s", (row) => row.calls_rate, null, { help: "Calls and sends" }),
    column("errors/s", (row) => row.errors_rate, (row) => number(row.errors_rate)),
    column("errors", (row) => row.errors_total, (row) => {
      const codes = Object.entries(row.errors).filter(([, count]) => count > 0).map(([code, count]) => `${count} ${code}`);
      return codes.join(", ") || "0";
    }),
    column("in flight", (row) => row.in_flight, null, { help: "Calls without their answer" }),
    column("backlog", (row) => row.backlog, null, { help: "Calls that wait for space in the out-buffer" }),
    column("bytes/s", (row) => row.bytes_rate, (row) => bytes(row.bytes_rate)),
    column("batch", (row) => row.batch, null, { help: "Calls and sends of one write" }),
    column("reconnects", (row) => Math.max(0, row.connects - 1)),
    column("p50", (row) => row.p50, (row) => microseconds(row.p50), { help: "From a call to its answer" }),
    column("p99", (row) => row.p99, (row) => microseconds(row.p99), { help: "From a call to its answer" }),
  ], { sorted: "calls/s", empty: "The node has no channels to others: it has called none." }),
  shards: new Table(find("shards"), "Shards", [
    column("shard", (row) => row.shard, (row) => `shard ${row.shard}${row.is_answering ? "" : " (does not answer)"}`),
    column("busy", (row) => row.busy, (row) => meter(row.busy, `shard ${row.shard}`), { help: "Processor time of its thread; with spin_us it contains the looking for work" }),
    column("turns/s", (row) => row.turns_rate),
    column("crossed/s", (row) => row.crossed_rate, null, { help: "Messages handed to other shards" }),
    column("inbox", (row) => row.inbox_depth),
    column("inbox age", (row) => row.inbox_age_us, (row) => microseconds(row.inbox_age_us)),
    column("waiters", (row) => row.waiters, null, { help: "Calls and sleeps that wait for their outcome" }),
    column("services", (row) => row.services),
    column("rescued", (row) => row.sleeps_rescued, null, { help: "Sleeps that only the guard tick has ended" }),
  ], { sorted: "shard", isDescending: false, empty: "" }),
  gates: new Table(find("gates"), "Gates", [
    ofText("gate", (row) => row.service),
    column("clients", (row) => row.clients, (row) => element("span", {},
      element("meter", { min: 0, max: row.clients_max || 1, value: row.clients, "aria-label": `clients of ${row.service}` }),
      `${count(row.clients)} of ${count(row.clients_max)}`)),
    column("accepted/s", (row) => row.accepted_rate),
    column("accepted", (row) => row.accepted),
    column("refused", (row) => row.refused, null, { help: "For the number of clients, or that of their address" }),
    column("malformed", (row) => row.malformed),
    column("timed out", (row) => row.timed_out),
    column("slow", (row) => row.slow, null, { help: "Closed because they did not read" }),
    column("dropped", (row) => row.dropped, null, { help: "Packets dropped because their client did not read" }),
    column("throttled", (row) => row.throttled),
  ], { sorted: "clients", empty: "No gate runs on this node." }),
  measures: new Table(find("measures"), "Figures of services", [
    ofText("figure", (row) => row.name),
    ofText("service", (row) => row.service),
    column("value", (row) => row.value, (row) => count(row.value)),
    column("a second", (row) => row.value_rate),
    ofText("what it is", (row) => row.help),
  ], { sorted: "figure", isDescending: false, empty: "No service reports figures of its own." }),
  counters: new Table(find("counters"), "Counters", [
    ofText("counter", (row) => row.counter),
    column("since the start", (row) => row.value, (row) => count(row.value)),
  ], { sorted: "since the start", empty: "" }),
};

function showServices(figures) {
  const by_label = page.services_by === "label";
  const { services_total } = figures.status;
  const told = figures.services.length;
  const text = by_label ? "Services with the same name or kind, with what ended ones did."
    : told < services_total ? `${told} of ${number(services_total)}: those that took the most time lately, and those with the most memory.` : "";
  setText(find("services-about"), text);
  tables.services.show(figures.services);
  tables.sums.show(figures.sums);
  const [shown, other] = by_label ? [tables.sums, tables.services] : [tables.services, tables.sums];
  for (const part of [other.table, other.note, other.more]) {
    part.hidden = true;
  }
  shown.table.hidden = shown.rows.length === 0;
}

for (const choice of document.querySelectorAll("input[name=by]")) {
  choice.addEventListener("change", () => {
    page.services_by = choice.value;
    for (const table of [tables.services, tables.sums]) {
      table.sorted = choice.value === "memory" ? "memory" : "time";
      table.is_descending = true;
    }
    showServices(page.history.figures());
  });
}

find("map-more").addEventListener("click", () => {
  page.shows_all_nodes = !page.shows_all_nodes;
  showMap(page.history.figures());
});

function showGates(figures) {
  const gates = new Map();
  for (const measure of figures.measures) {
    if (measure.name.startsWith("gate_")) {
      const gate = gates.get(measure.service) || { service: measure.service, clients: 0, clients_max: 0 };
      gate[measure.name.slice("gate_".length)] = measure.value;
      gate[`${measure.name.slice("gate_".length)}_rate`] = measure.value_rate;
      gates.set(measure.service, gate);
    }
  }
  const rows = [...gates.values()].map((gate) => ({ ...gate, refused: (gate.refused || 0) + (gate.refused_by_address || 0) }));
  tables.gates.show(rows);
}

const flame = new FlameGraph(find("flame"), find("flame-search"), find("flame-line"));

find("flame-take").addEventListener("click", async () => {
  const seconds = Number(find("flame-seconds").value);
  page.is_profiling = true;
  find("flame-take").disabled = true;
  setText(find("flame-state"), `Taking samples for ${seconds} s…`);
  try {
    const text = await ask(`/api/profile?seconds=${seconds}`, { method: "POST" }, seconds * 1000 + PROFILE_MS_EXTRA);
    const frames = framesOf(text);
    if (frames.length === 0) {
      throw new Error("the node has made a graph without frames");
    }
    const save = find("flame-save");
    URL.revokeObjectURL(save.href);
    save.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    save.download = `${page.history.figures().status.node || "node"}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.svg`;
    for (const id of ["flame-save", "flame-find", "flame-keys"]) {
      find(id).hidden = false;
    }
    flame.show(frames);
    setText(find("flame-state"), `${number(flame.root.samples)} samples in ${seconds} s, taken at ${new Date().toLocaleTimeString("en-GB")}`);
  } catch (error) {
    const cause = error.name === "TimeoutError" ? "no answer in time" : error.message;
    setText(find("flame-state"), `There is no flame graph: ${cause}`);
  }
  page.is_profiling = false;
  find("flame-take").disabled = false;
});

poll();

/*
 * The page asks memctld for its state about as often as that changes, and for the charts' figures
 * every ten seconds, while somebody looks.
 */

const CHARTS_EVERY_MS = 10000;
const PAUSE_MOST_MS = 30000;
const ALARMING = new Set(["link-lost", "policy-refused", "command-failed", "command-late", "silent",
                          "stuck", "distress", "foreign-hand"]);

const at = (id) => document.getElementById(id);
const showSize = (bytes) => size(bytes);

const memoryChart = new Chart(at("memory-chart"), [
  {key: "held", name: "resident", area: true},
  {key: "used", name: "used"},
  {key: "promised", name: "promised"},
  {key: "budget", name: "budget", dashed: true},
], showSize, true);
const stallChart = new Chart(at("stall-chart"), [{key: "stall", name: "waiting", area: true}],
                             percent, false);
const guestChart = new Chart(at("guest-chart"), [
  {key: "actual", name: "actual", area: true},
  {key: "used", name: "used"},
  {key: "held", name: "resident"},
  {key: "target", name: "target", dashed: true},
], showSize, true);
const guestStallChart = new Chart(at("guest-stall-chart"),
                                  [{key: "stall", name: "waiting", area: true}], percent, false);
const guestTable = new GuestTable(at("guest-table"), at("more-guests"), openGuest);

let state = null;
let spanMs = 0;
let failures = 0;
let answeredMs = 0;
let opened = null; /* the UUID of the guest that is looked at */

async function ask(path) {
  const answer = await fetch(path, {signal: AbortSignal.timeout(10000)});

  if (!answer.ok)
    throw new Error((await answer.text()).trim() || "status " + answer.status);
  return answer.json();
}

/* ---- the host ---- */

const STATES = {
  high: ["good", "plenty of memory"], clear: ["good", "enough memory"],
  soft: ["warn", "memory is getting short"], hard: ["bad", "short of memory"],
  low: ["bad", "next to no memory"],
};

function setTiles(list, tiles) {
  while (list.children.length > tiles.length)
    list.lastChild.remove();
  tiles.forEach(([name, value, note], i) => {
    let tile = list.children[i];

    if (!tile) {
      tile = make("div", {}, make("dt"), make("dd", {}, make("span"), make("small")));
      list.append(tile);
    }
    setText(tile.firstChild, name);
    setText(tile.lastChild.firstChild, value);
    setText(tile.lastChild.lastChild, note || "");
  });
}

function showHost(host, plan) {
  const pressure = host.pressure;
  const guests = Math.min(plan.held + plan.overheads, host.total);
  const others = Math.max(0, host.total - host.available - guests);

  setTiles(at("tiles"), [
    ["Available", size(host.available), "of " + size(host.total)],
    ["Budget", size(plan.budget), "for guests and QEMU"],
    ["Promised", size(plan.promised), "of " + size(plan.divided) + " that may be"],
    ["Resident", size(plan.held), "of the guests' memory"],
    ["Headroom", size(plan.headroom), "before it gets tight"],
    ["Waiting", pressure ? pressure.some_avg10.toFixed(1) + " %" : "–",
     pressure ? "of 10 s, for memory" : "the kernel does not tell"],
  ]);
  fillBar(at("division"), host.total, [["s-used", plan.held], ["s-actual", plan.overheads],
                                       ["s-other", others]],
          Math.min(plan.budget, host.total));
  at("division").setAttribute("aria-label", "Of " + size(host.total) + ": guests " +
    size(plan.held) + ", QEMU " + size(plan.overheads) + ", others " + size(others) +
    ", available " + size(host.available) + "; budget " + size(plan.budget));
  const key = [["s-used", "guests", plan.held], ["s-actual", "QEMU", plan.overheads],
               ["s-other", "others", others], ["s-free", "available", host.available],
               ["s-mark", "budget", plan.budget]];

  at("division-key").replaceChildren(...key.map(([kind, name, bytes]) =>
    make("li", {}, make("i", {className: kind}), name + " ", make("b", {}, size(bytes)))));
}

function notices() {
  const list = [];

  if (!state.connected)
    list.push(["bad", "The hypervisor does not answer, and nothing is moved: " +
                      (state.error || "it has not been reached yet")]);
  if (state.paused)
    list.push(["", "All guests are paused by an operator. ‘memctl resume’ lets them move again."]);
  if (state.dry_run)
    list.push(["", "This is a dry run: everything is decided and shown, nothing is sent."]);
  if (state.policy_refused)
    list.push(["bad", "Policy " + state.policy_refused.policy + " was set aside: " +
                      state.policy_refused.error]);
  if (state.plan && state.plan.deficit > 0)
    list.push(["bad", "More is reserved than there is, by " + size(state.plan.deficit) +
                      ": lower some guest’s min."]);
  return list;
}

function showState() {
  const [kind, words] = state.plan && state.connected ? STATES[state.plan.state] : ["bad", "no plan"];
  const told = notices().map(([bad, text]) => make("p", {className: "notice " + bad}, text));

  setText(at("machine"), state.machine);
  document.title = "memctl " + state.machine;
  setText(at("state"), state.plan && state.connected ? state.plan.state + ": " + words : words);
  at("state").className = "badge " + kind;
  setText(at("about"), "policy " + state.policy + ", overcommit up to " +
                       (state.overcommit_percent / 100).toFixed(1) + ", up " +
                       uptime(state.uptime_s));
  if (at("notices").textContent !== told.map((one) => one.textContent).join(""))
    at("notices").replaceChildren(...told);
  if (state.host && state.plan)
    showHost(state.host, state.plan);
  setText(at("guest-count"), String(state.running));
  setText(at("version"), "memctld " + state.version);
  guestTable.update(state.guests);
  showEvents();
  showSpans();
}

/* ---- what happened ---- */

function eventRow(event, withGuest) {
  const what = make("span", {className: "what" + (ALARMING.has(event.kind) ? " alarm" : "")},
                    withUnits(event.text));
  const time = make("time", {dateTime: new Date(event.wall_ms).toISOString()},
                    clock(event.wall_ms, true));

  return withGuest ? make("li", {}, time, make("span", {className: "who"}, event.guest || "host"),
                          what)
                   : make("li", {}, time, what);
}

function fillEvents(list, events, withGuest) {
  const newest = (events.length ? events[events.length - 1].seq : 0) + "/" + events.length;

  if (list.dataset.newest === newest)
    return;
  list.dataset.newest = newest;
  list.classList.toggle("single", !withGuest);
  list.replaceChildren(...events.slice().reverse().map((event) => eventRow(event, withGuest)));
  if (!events.length)
    list.append(make("li", {}, make("span", {className: "quiet what"}, "nothing yet")));
}

function showEvents() {
  const calm = at("calm-events").checked;

  fillEvents(at("events"), state.events.filter((event) => !calm || event.kind !== "target"), true);
}

/* ---- the charts ---- */

function showSpans() {
  const groups = [at("spans"), at("guest-spans")];

  if (groups[0].children.length === state.spans_ms.length)
    return;
  if (!state.spans_ms.includes(spanMs))
    spanMs = state.spans_ms[0];
  for (const group of groups)
    group.replaceChildren(...state.spans_ms.map((ms) => {
      const button = make("button", {type: "button"}, span(ms));

      button.dataset.ms = ms;
      button.addEventListener("click", () => {
        spanMs = ms;
        markSpan();
        updateCharts();
      });
      return button;
    }));
  markSpan();
  updateCharts();
}

function markSpan() {
  for (const button of document.querySelectorAll("#spans button, #guest-spans button"))
    button.setAttribute("aria-pressed", String(+button.dataset.ms === spanMs));
}

/*
 * The history's answer has even steps, a longer one than there is something to show of; memory's
 * has the moments of its samples.
 */
function asSeries(data) {
  const all = Object.values(data.series);
  const known = (i) => all.some((values) => values[i] !== null);
  let first = 0;
  let end = all[0].length;

  if (data.times)
    return data;
  while (first < end && !known(first))
    first++;
  while (end > first && !known(end - 1))
    end--;
  return {
    step_ms: data.step_ms,
    times: Array.from({length: end - first}, (_, i) => data.first_ms + (first + i) * data.step_ms),
    series: Object.fromEntries(Object.entries(data.series).map(
      ([key, values]) => [key, values.slice(first, end)])),
  };
}

function fillStall(chart, data, wanted) {
  const stall = data.series.stall || [];

  chart.svg.parentElement.hidden = stall.every((value) => value === null);
  if (!chart.svg.parentElement.hidden)
    chart.update(data, wanted);
}

async function updateCharts() {
  const wanted = spanMs;
  const guest = opened;

  try {
    const data = asSeries(await ask("api/trend?span_ms=" + wanted));

    if (wanted !== spanMs)
      return;
    memoryChart.update(data, wanted);
    fillStall(stallChart, data, wanted);
    if (!guest)
      return;
    const its = asSeries(await ask("api/trend?span_ms=" + wanted + "&uuid=" + guest));

    if (wanted !== spanMs || guest !== opened)
      return;
    guestChart.update(its, wanted);
    fillStall(guestStallChart, its, wanted);
  } catch (error) {
    /* The state is asked for more often and says that nobody answers. */
  }
}

/* ---- one guest ---- */

function chainOf(plan) {
  const words = (rule) => REASONS[rule] || rule;

  if (!plan)
    return "There is no plan for it.";
  if (!plan.changes.length)
    return "The policy wants " + size(plan.wish) + ", and nothing speaks against it.";
  return "The policy wants " + size(plan.wish) + "; " + plan.changes.map(
    (change) => change.rule + " (" + words(change.rule) + ") makes it " + size(change.to))
    .join(", then ") + ".";
}

function showGuest({guest, events}) {
  const plan = guest.plan;
  const agent = guest.agent;

  setText(at("guest-name"), guest.name);
  setText(at("guest-about"), guest.uuid + ", " + guest.state + ", " +
          (guest.exempt === "no" ? "managed" : "left alone: " + guest.exempt) +
          (agent ? ", agent " + agent.version : ", no agent"));
  setText(at("guest-why"), chainOf(plan));
  setTiles(at("guest-facts"), [
    ["Actual", size(guest.actual), "of " + size(guest.memory) + " configured"],
    ["Used", size(guest.used), "what it cannot give up"],
    ["Active", size(guest.active), "by " + guest.active_source],
    ["Resident", size(guest.held), "and " + size(guest.overhead) + " of QEMU"],
    ["Target", size(plan && plan.target), plan ? plan.reason : ""],
    ["Shares", String(guest.shares), size(guest.min) + " to " + size(guest.max)],
    ...(guest.equal_pages ? [["Saving", size(guest.equal_pages.saving),
                              "by merging; saved so far: " + size(guest.equal_pages.saved)]]
      : []),
  ]);
  fillEvents(at("guest-events"), events, false);
}

/* Without a history nobody knows them. */
function showDecisions(decisions) {
  const list = at("guest-decisions");
  const newest = decisions.length + "/" + (decisions.length ? decisions[0].at_ms : 0);

  at("guest-decided").hidden = !decisions.length;
  if (list.dataset.newest === newest)
    return;
  list.dataset.newest = newest;
  list.classList.add("single");
  list.replaceChildren(...decisions.map((one) => make("li", {},
    make("time", {dateTime: new Date(one.at_ms).toISOString()}, clock(one.at_ms, true)),
    make("span", {className: "what"}, size(one.actual) + " → " + size(one.target) + ": policy " +
         size(one.wish) + (one.rules ? ", " + withUnits(one.rules) : "")))));
}

async function updateDecisions() {
  const uuid = opened;
  let decisions = [];

  try {
    decisions = (await ask("api/decisions?uuid=" + uuid)).decisions;
  } catch (error) {
    /* None are kept. */
  }
  if (opened === uuid)
    showDecisions(decisions);
}

async function updateGuest() {
  const uuid = opened;

  try {
    const answer = await ask("api/guest?uuid=" + uuid);

    if (opened === uuid)
      showGuest(answer);
  } catch (error) {
    if (opened === uuid)
      setText(at("guest-about"), error.message);
  }
}

function openGuest(uuid) {
  opened = uuid;
  at("guest-events").dataset.newest = "";
  setText(at("guest-name"), (state.guests.find((guest) => guest.uuid === uuid) || {}).name || uuid);
  at("guest-view").showModal();
  guestChart.update({times: [], series: {}, step_ms: 1}, spanMs);
  at("guest-stall-chart").hidden = at("guest-decided").hidden = true;
  updateGuest();
  updateDecisions();
  updateCharts();
}

/* ---- live ---- */

function showLife() {
  const live = at("live");

  if (failures) {
    live.className = "off";
    setText(live, answeredMs ? "memctld does not answer since " + clock(answeredMs, true)
                             : "memctld does not answer");
  } else if (answeredMs) {
    live.className = "on";
    setText(live, "live");
  }
}

async function updateState() {
  try {
    state = await ask("api/state");
    failures = 0;
    answeredMs = Date.now();
    showState();
  } catch (error) {
    failures++;
  }
  showLife();
  if (opened)
    await updateGuest();
}

function interval() {
  const usual = Math.max(1000, state ? Math.min(state.interval_ms, 5000) : 2000);

  return Math.min(usual * Math.pow(2, Math.min(failures, 10)), PAUSE_MOST_MS);
}

/* Nobody looks at a page that is hidden. */
async function beat() {
  if (!document.hidden)
    await updateState();
  setTimeout(beat, interval());
}

at("find").addEventListener("input", () => guestTable.find(at("find").value));
at("calm-events").addEventListener("change", () => state && showEvents());
at("guest-close").addEventListener("click", () => at("guest-view").close());
at("guest-view").addEventListener("close", () => {
  opened = null;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    updateState();
    updateCharts();
  }
});
setInterval(() => {
  if (!document.hidden && state)
    updateCharts();
  if (!document.hidden && opened)
    updateDecisions();
}, CHARTS_EVERY_MS);
beat();

/* The table of the guests: one row each, which stays while its numbers change. */

const ROWS_SHOWN = 200;

const COLUMNS = [
  {key: "name", name: "Guest", of: (guest) => guest.name, text: true},
  {key: "status", name: "Status"},
  {key: "memory", name: "Memory"},
  {key: "used", name: "Used", of: (guest) => guest.used ?? -1},
  {key: "actual", name: "Actual", of: (guest) => guest.actual},
  {key: "target", name: "Target", of: (guest) => guest.target ?? -1},
  {key: "saved", name: "Saved", of: (guest) => guest.equal_pages?.saved ?? -1},
  {key: "saving", name: "Saving", of: (guest) => guest.equal_pages?.saving ?? -1},
  {key: "range", name: "Min – max"},
  {key: "shares", name: "Shares", of: (guest) => guest.shares},
  {key: "why", name: "Why"},
];

/* The one thing to know about a guest, and how bad it is. */
function statusOf(guest) {
  if (guest.distress !== "no")
    return ["too little memory", "bad"];
  if (guest.stuck)
    return ["stuck", "warn"];
  if (guest.exempt !== "no")
    return [guest.exempt, ""];
  if (guest.foreign)
    return ["foreign hand", "warn"];
  if (!guest.answers)
    return ["no answer", "warn"];
  return [guest.state, guest.state === "running" ? "good" : ""];
}

class GuestTable {
  /* open: called with the guest that the reader wants to look at */
  constructor(table, more, open) {
    this.body = table.tBodies[0];
    this.head = table.tHead.rows[0];
    this.more = more;
    this.open = open;
    this.rows = new Map();
    this.guests = [];
    this.sort = {key: "name", down: false};
    this.wanted = "";
    this.all = false;
    for (const column of COLUMNS)
      this.head.append(this.heading(column));
    this.more.firstChild.addEventListener("click", () => {
      this.all = true;
      this.show();
    });
    this.markSort();
  }

  heading(column) {
    const cell = make("th", {scope: "col"});
    const isNumber = !["name", "status", "memory", "why"].includes(column.key);

    if (isNumber)
      cell.className = "number";
    cell.dataset.key = column.key;
    if (!column.of) {
      cell.append(column.name);
      return cell;
    }
    const button = make("button", {type: "button"}, column.name);

    button.addEventListener("click", () => {
      const again = this.sort.key === column.key;

      this.sort = {key: column.key, down: again ? !this.sort.down : !column.text};
      this.markSort();
      this.show();
    });
    cell.append(button);
    return cell;
  }

  markSort() {
    for (const cell of this.head.cells)
      if (cell.dataset.key === this.sort.key)
        cell.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else
        cell.removeAttribute("aria-sort");
  }

  find(text) {
    this.wanted = text.toLowerCase();
    this.show();
  }

  update(guests) {
    const there = new Set(guests.map((guest) => guest.uuid));

    this.guests = guests;
    /* Only where the page scanner looks for equal pages, and where those are merged. */
    this.body.parentElement.classList.toggle("scanned", guests.some((one) => one.equal_pages));
    this.body.parentElement.classList.toggle(
      "merging", guests.some((one) => typeof one.equal_pages?.saved === "number"));
    for (const [uuid, row] of this.rows)
      if (!there.has(uuid)) {
        row.element.remove();
        this.rows.delete(uuid);
      }
    this.show();
  }

  newRow(guest) {
    const element = make("tr");
    const name = make("button", {type: "button"}, guest.name);
    const row = {element, name, bar: make("div", {className: "bar", role: "img"}),
                 badge: make("span", {className: "badge"})};

    name.addEventListener("click", () => this.open(guest.uuid));
    element.append(make("th", {scope: "row"}, name));
    for (const column of COLUMNS.slice(1)) {
      const isNumber = !["status", "memory", "why"].includes(column.key);
      const cell = make("td", {className: (isNumber ? "number " : "") + column.key});

      cell.dataset.label = column.name;
      row[column.key] = cell;
      element.append(cell);
    }
    row.status.append(row.badge);
    row.memory.append(row.bar);
    return row;
  }

  fill(row, guest) {
    const [status, kind] = statusOf(guest);
    const used = Math.min(guest.used ?? 0, guest.actual);
    const whole = Math.max(guest.max, guest.actual);

    setText(row.name, guest.name);
    setText(row.badge, status);
    row.badge.className = "badge " + kind;
    fillBar(row.bar, whole, [["s-used", used], ["s-actual", guest.actual - used]],
            guest.target ?? null);
    row.bar.setAttribute("aria-label", size(guest.used) + " used of " + size(guest.actual) +
                                         ", target " + size(guest.target));
    setText(row.used, size(guest.used));
    setText(row.actual, size(guest.actual));
    setText(row.target, size(guest.target));
    setText(row.saved, size(guest.equal_pages?.saved));
    setText(row.saving, size(guest.equal_pages?.saving));
    setText(row.range, size(guest.min) + " – " + size(guest.max));
    setText(row.shares, String(guest.shares));
    setText(row.why, guest.reason || "–");
    row.why.title = REASONS[guest.reason] || "";
  }

  show() {
    const {key, down} = this.sort;
    const of = COLUMNS.find((column) => column.key === key).of;
    const compare = (a, b) => {
      const x = of(a);
      const y = of(b);
      const order = typeof x === "string" ? x.localeCompare(y, undefined, {numeric: true}) : x - y;

      return (down ? -order : order) || (a.uuid < b.uuid ? -1 : 1);
    };
    const found = this.guests.filter((guest) => guest.name.toLowerCase().includes(this.wanted))
      .sort(compare);
    const shown = this.all ? found : found.slice(0, ROWS_SHOWN);
    const uuids = new Set(shown.map((guest) => guest.uuid));

    for (const [uuid, row] of this.rows)
      if (!uuids.has(uuid)) {
        row.element.remove();
        this.rows.delete(uuid);
      }
    shown.forEach((guest, i) => {
      const row = this.rows.get(guest.uuid) || this.newRow(guest);

      this.rows.set(guest.uuid, row);
      this.fill(row, guest);
      if (this.body.children[i] !== row.element)
        this.body.insertBefore(row.element, this.body.children[i] || null);
    });
    this.more.hidden = shown.length === found.length;
    this.more.firstChild.textContent = "Show all " + found.length + " guests";
  }
}

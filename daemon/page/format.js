/* How numbers and words are shown. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/* Three digits and a unit: 1.5 GiB. */
function size(bytes) {
  let unit = 0;
  let value = bytes;

  if (bytes === null || bytes === undefined)
    return "–";
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits) + " " + UNITS[unit];
}

/* Of time, from microseconds a second. */
function percent(us) {
  return us === null ? "–" : (us / 10000).toFixed(us < 100000 ? 1 : 0) + " %";
}

function clock(wallMs, withSeconds) {
  const options = {hour: "2-digit", minute: "2-digit", hour12: false};

  if (withSeconds)
    options.second = "2-digit";
  return new Date(wallMs).toLocaleTimeString("en-GB", options);
}

/* Sizes in a text of memctld's as the page writes them: 4.00G is 4.00 GiB. */
function withUnits(text) {
  return text.replace(/\b(\d+(?:\.\d+)?)([KMGTP])\b/g, "$1 $2iB").replaceAll(" -> ", " → ");
}

function span(ms) {
  const minutes = Math.round(ms / 60000);

  if (minutes < 90)
    return minutes + " min";
  return minutes < 48 * 60 ? Math.round(minutes / 60) + " h" : Math.round(minutes / 1440) + " d";
}

function uptime(seconds) {
  if (seconds < 120)
    return seconds + " s";
  return span(seconds * 1000);
}

const REASONS = {
  "policy": "the policy's own wish",
  "exempt": "it is not touched",
  "foreign-hand": "somebody else moved its balloon",
  "stuck": "its balloon does not follow",
  "promise": "held between min and max",
  "boot": "it has just started",
  "floor": "it needs what it has",
  "freshness": "its statistics are missing or old",
  "distress": "it is in trouble",
  "rate": "no faster than is safe",
  "calm": "the change would be too small",
  "shrink-before-grow": "it waits for memory that others give up",
};

/* An element with properties and children; texts only ever become text. */
function make(tag, properties, ...children) {
  const element = document.createElement(tag);

  for (const [key, value] of Object.entries(properties || {}))
    if (key in element)
      element[key] = value;
    else
      element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/* Leave alone what is as it should be: the reader's selection and place stay. */
function setText(element, text) {
  if (element.textContent !== text)
    element.textContent = text;
}

/* A row of parts in proportion, and a mark: parts [[class, value]], of a whole. */
function fillBar(bar, whole, parts, mark) {
  const wanted = parts.length + (mark === null ? 0 : 1);

  while (bar.children.length > wanted)
    bar.lastChild.remove();
  parts.forEach(([kind, value], i) => {
    const width = whole ? Math.max(0, Math.min(100, 100 * value / whole)) : 0;
    let part = bar.children[i];

    if (!part || part.tagName !== "SPAN") {
      part = make("span");
      bar.insertBefore(part, bar.children[i] || null);
    }
    part.className = kind;
    part.style.width = width.toFixed(2) + "%";
  });
  if (mark !== null) {
    let line = bar.lastChild;

    if (!line || line.tagName !== "I") {
      line = make("i");
      bar.append(line);
    }
    line.style.left = (whole ? Math.min(100, 100 * mark / whole) : 0).toFixed(2) + "%";
  }
}

/*
 * A line chart in SVG: time to the right, one scale upwards from 0. The pointer, or the arrow keys,
 * move a line whose values the legend shows; without it the legend shows the newest ones.
 */

const SVG = "http://www.w3.org/2000/svg";
/* A daemon that has just started fills the chart with what it has. */
const SPAN_LEAST_MS = 5 * 60000;
const MARGIN = {left: 58, right: 10, top: 10, bottom: 22};

function draw(parent, tag, attributes) {
  const element = document.createElementNS(SVG, tag);

  for (const [key, value] of Object.entries(attributes))
    element.setAttribute(key, value);
  parent.append(element);
  return element;
}

/* The step of a scale with at most five lines; memory goes by powers of two. */
function stepOf(most, isSize) {
  let step = isSize ? 1 : Math.pow(10, Math.floor(Math.log10(most || 1)) - 1);

  if (isSize) {
    while (most / step > 5)
      step *= 2;
    return step;
  }
  for (let i = 0; most / step > 5; i++)
    step *= i % 2 ? 2.5 : 2;
  return step;
}

const TIME_STEPS = [1, 2, 5, 10, 30, 60, 120, 360, 720, 1440, 10080].map((minutes) => minutes * 60000);

class Chart {
  /* series: [{key, name, dashed, area}]; show: a value as text */
  constructor(figure, series, show, isSize) {
    this.series = series;
    this.show = show;
    this.isSize = isSize;
    this.data = null;
    this.at = null; /* the place that the reader looks at */
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "chart");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("tabindex", "0");
    this.legend = make("ul", {className: "key"});
    this.title = figure.querySelector("figcaption").textContent;
    figure.append(this.svg, this.legend);
    this.values = series.map((one) => {
      const value = make("b");

      this.legend.append(make("li", {}, make("i", {className: "c-" + one.key}), one.name + " ",
                              value));
      return value;
    });
    this.when = make("li");
    this.legend.append(this.when);
    this.svg.addEventListener("pointermove", (event) => this.look(event.clientX));
    this.svg.addEventListener("pointerleave", () => this.lookAt(null));
    this.svg.addEventListener("blur", () => this.lookAt(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  /* data: {times, series: {key: [value or null]}, step_ms}; spanMs: how far back the axis goes */
  update(data, spanMs) {
    const known = data.times.length ? data.times[data.times.length - 1] - data.times[0] : 0;

    this.data = data;
    this.spanMs = Math.min(spanMs, Math.max(known, SPAN_LEAST_MS));
    this.draw();
  }

  x(time) {
    const width = this.width - MARGIN.left - MARGIN.right;

    return MARGIN.left + width * (1 - (this.end - time) / this.spanMs);
  }

  y(value) {
    const height = this.height - MARGIN.top - MARGIN.bottom;

    return MARGIN.top + height * (1 - value / this.most);
  }

  /* Pieces between gaps: where the daemon saw nothing there is no line. */
  pieces(values) {
    const {times, step_ms: step} = this.data;
    const list = [];
    let piece = null;

    times.forEach((time, i) => {
      const hole = values[i] === null || time < this.end - this.spanMs;

      if (hole || (piece && time - times[i - 1] > 3 * step))
        piece = null;
      if (hole)
        return;
      if (!piece)
        list.push(piece = []);
      piece.push([this.x(time), this.y(values[i])]);
    });
    return list;
  }

  drawSeries(one) {
    for (const piece of this.pieces(this.data.series[one.key])) {
      const points = piece.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1));
      const path = "M" + points.join("L") + (points.length === 1 ? "h1" : "");
      const base = this.y(0).toFixed(1);

      if (one.area)
        draw(this.svg, "path", {
          class: "area c-" + one.key,
          d: path + "L" + piece[piece.length - 1][0].toFixed(1) + " " + base + "L" +
             piece[0][0].toFixed(1) + " " + base + "Z",
        });
      draw(this.svg, "path", {class: "curve c-" + one.key + (one.dashed ? " dashed" : ""), d: path});
    }
  }

  drawScales() {
    const step = stepOf(this.most, this.isSize);
    const timeStep = TIME_STEPS.find((one) => this.spanMs / one <= (this.width < 450 ? 4 : 7)) ||
                     TIME_STEPS[TIME_STEPS.length - 1];
    const offset = new Date(this.end).getTimezoneOffset() * 60000;
    const first = Math.ceil((this.end - this.spanMs - offset) / timeStep) * timeStep + offset;

    for (let value = 0; value <= this.most * 1.0001; value += step) {
      const y = this.y(value).toFixed(1);

      draw(this.svg, "line", {class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y,
                              y2: y});
      draw(this.svg, "text", {x: MARGIN.left - 7, y: +y + 4, "text-anchor": "end"}).textContent =
        this.show(value);
    }
    for (let time = first; time <= this.end; time += timeStep)
      draw(this.svg, "text", {x: this.x(time).toFixed(1), y: this.height - 5,
                              "text-anchor": "middle"}).textContent =
        this.spanMs > 2 * 86400000 ? new Date(time).toLocaleDateString() : clock(time);
  }

  draw() {
    const box = this.svg.getBoundingClientRect();
    const data = this.data;

    this.svg.replaceChildren();
    if (!data || !data.times.length || box.width < 50)
      return;
    this.width = box.width;
    this.height = box.height;
    this.end = data.times[data.times.length - 1];
    this.most = Math.max(this.isSize ? 1 : 10000,
                         ...this.series.flatMap((one) => data.series[one.key]));
    this.most = Math.ceil(this.most / stepOf(this.most, this.isSize) - 1e-9) *
                stepOf(this.most, this.isSize);
    this.drawScales();
    this.series.forEach((one) => this.drawSeries(one));
    this.drawLook();
    this.describe();
  }

  /* For those who hear the page. */
  describe() {
    const last = this.data.times.length - 1;
    const values = this.series.map(
      (one) => one.name + " " + this.show(this.data.series[one.key][last]));

    this.svg.setAttribute("aria-label", this.title + " over the last " + span(this.spanMs) +
                                          ", now " + values.join(", "));
  }

  drawLook() {
    const {times, series} = this.data;
    const i = this.at === null ? times.length - 1 : Math.min(this.at, times.length - 1);

    this.series.forEach((one, n) => setText(this.values[n], this.show(series[one.key][i])));
    setText(this.when, this.at === null ? "" : "at " + clock(times[i], true));
    for (const old of this.svg.querySelectorAll(".cross"))
      old.remove();
    if (this.at !== null) {
      const x = this.x(times[i]).toFixed(1);

      draw(this.svg, "line", {class: "cross", x1: x, x2: x, y1: MARGIN.top,
                              y2: this.height - MARGIN.bottom});
    }
  }

  lookAt(place) {
    this.at = place;
    if (this.data && this.data.times.length)
      this.drawLook();
  }

  look(clientX) {
    if (!this.data || !this.data.times.length)
      return;
    const x = clientX - this.svg.getBoundingClientRect().left;
    let best = 0;

    this.data.times.forEach((time, i) => {
      if (Math.abs(this.x(time) - x) < Math.abs(this.x(this.data.times[best]) - x))
        best = i;
    });
    this.lookAt(best);
  }

  key(event) {
    const move = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[event.key];

    if (event.key === "Escape" && this.at !== null) {
      event.preventDefault();
      this.lookAt(null);
    }
    if (!move || !this.data || !this.data.times.length)
      return;
    event.preventDefault();
    const last = this.data.times.length - 1;
    this.lookAt(Math.max(0, Math.min(last, (this.at === null ? last : this.at) + move)));
  }
}

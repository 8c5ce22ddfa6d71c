#!/usr/bin/env python3
"""
The page in a real browser: test_page.py BUILD_DIR. Prints TAP. With MEMCTL_TEST_PICTURES=FOLDER it
also leaves pictures there: light, dark, a guest, a phone, a hundred guests.
"""

import contextlib
import os
import sqlite3
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import browser as chromium  # noqa: E402
import tap  # noqa: E402
from memctld import simulate, wait_for  # noqa: E402

PICTURES = os.environ.get("MEMCTL_TEST_PICTURES")
HOSTILE = "ci<img src=x onerror=document.title=1>"
SCENARIO = {
    "host": {"memory": "64G", "used": "3G"},
    "guests": [
        {"name": "web1", "memory": "8G", "working_set": [[0, "1200M"], [60, "3G"], [120, "1200M"]]},
        {"name": "web2", "memory": "8G", "working_set": "900M"},
        {"name": "db1", "memory": "16G", "working_set": "9G", "shares": 2000, "min": "8G"},
        {"name": "batch", "memory": "8G", "working_set": "1800M", "shares": 500},
        {"name": "build-agent-07.example.org", "memory": "16G", "working_set": "11G"},
        {"name": HOSTILE, "memory": "4G", "working_set": "1G"},
        {"name": "router", "memory": "512M", "working_set": "200M", "balloon": False},
    ],
}
ROWS = "return [...document.querySelectorAll('#guest-table tbody tr')].map(r => " \
       "r.querySelector('th').textContent)"


class World:
    """One memctld and one browser for all tests."""

    def __init__(self, build):
        self.build = build
        with contextlib.ExitStack() as stack:
            self.memctld = stack.enter_context(self.simulated(SCENARIO, budget="36G"))
            self.browser = stack.enter_context(chromium.Browser())
            self.stack = stack.pop_all()

    def simulated(self, scenario, **options):
        return simulate(self.build, scenario, interval="500ms", **options)

    def show(self, memctld=None, width=1280, height=900, **how):
        self.browser.look(width, height, **how)
        self.browser.open(f"http://127.0.0.1:{(memctld or self.memctld).port}/")
        self.browser.wait("guests", ROWS + ".length > 6")
        self.browser.wait("the chart", "return document.querySelector('#memory-chart path.curve')")

    def picture(self, name, whole=True):
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.browser.picture(f"{PICTURES}/{name}.png", whole)


def text_of(world, selector):
    return world.browser.run("return document.querySelector(arguments[0]).textContent", selector)


def shows_the_host_and_every_guest(world):
    world.show()
    assert set(world.browser.run(ROWS)) == {guest["name"] for guest in SCENARIO["guests"]}
    assert "36.0 GiB" in text_of(world, "#tiles") and "64.0 GiB" in text_of(world, "#tiles")
    assert text_of(world, "#live") == "live"
    assert "policy idle-tax" in text_of(world, "header")
    row = world.browser.run("return [...document.querySelectorAll('#guest-table tbody tr')].find(r "
                            "=> r.querySelector('th').textContent === 'db1').textContent")
    guest = world.memctld.guests()["db1"]
    assert "2000" in row and "8.00 GiB – 16.0 GiB" in row, (row, guest)
    world.picture("light")


def follows_what_changes(world):
    world.show()
    world.memctld.json("set", "web2", "shares=4321")
    world.browser.wait("the new shares", "return document.querySelector('#guest-table')"
                       ".textContent.includes('4321')")
    world.browser.wait("the event", "return document.querySelector('#events').textContent"
                       ".includes('shares=4321')")
    world.memctld.json("pause")
    world.browser.wait("the notice", "return document.querySelector('#notices').textContent"
                       ".includes('paused by an operator')")
    world.memctld.json("resume")
    world.browser.wait("no notice", "return !document.querySelector('#notices').textContent")


def obeys_its_own_policy_and_says_nothing_bad(world):
    """Whatever a guest is called, nothing runs but the page's own script."""
    world.browser.complaints()
    world.show()
    for uuid in [guest["uuid"] for guest in world.memctld.guests().values()][:3]:
        world.browser.run("openGuest(arguments[0])", uuid)
        world.browser.wait("facts", "return document.querySelector('#guest-facts dd')")
        world.browser.run("document.getElementById('guest-close').click()")
    assert not world.browser.run("return document.images.length")
    assert world.browser.run("return document.title").startswith("memctl ")
    complaints = world.browser.complaints()
    assert not complaints, complaints
    blocked = world.browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s);"
        "const d = document.createElement('div'); d.setAttribute('style', 'color: red');"
        "document.body.append(d);"
        "return [window.ran || 0, getComputedStyle(d).color]")
    assert blocked[0] == 0 and blocked[1] != "rgb(255, 0, 0)", blocked
    outside = world.browser.run(
        "return fetch('http://127.0.0.1:9/').then(() => 'fetched', (e) => e.name)")
    assert outside == "TypeError"
    assert any("Content Security Policy" in line for line in world.browser.complaints())


def opens_a_guest_and_explains_it(world):
    world.show(dark=True)
    world.browser.run("[...document.querySelectorAll('#guest-table th button')].find(b => "
                      "b.textContent === 'db1').click()")
    world.browser.wait("its chart", "return document.querySelector('#guest-chart path.curve')")
    assert text_of(world, "#guest-name") == "db1"
    assert "The policy wants" in text_of(world, "#guest-why")
    assert "seen" in text_of(world, "#guest-events")
    world.picture("guest", whole=False)
    world.browser.run("document.getElementById('guest-close').click()")
    assert not world.browser.run("return document.getElementById('guest-view').open")


def finds_and_sorts_guests(world):
    world.show()
    names = world.browser.run(ROWS)
    assert names == sorted(names, key=str.lower), names
    world.browser.run("const f = document.getElementById('find'); f.value = 'WEB';"
                      "f.dispatchEvent(new Event('input'))")
    assert world.browser.run(ROWS) == ["web1", "web2"]
    world.browser.run("const f = document.getElementById('find'); f.value = '';"
                      "f.dispatchEvent(new Event('input'))")
    click = "[...document.querySelectorAll('#guest-table thead button')].find(b => " \
            "b.textContent === 'Shares').click()"
    world.browser.run(click)
    shares = "return [...document.querySelectorAll('#guest-table td.shares')].map(c => " \
             "+c.textContent)"
    assert (down := world.browser.run(shares)) == sorted(down, reverse=True), down
    world.browser.run(click)
    assert (up := world.browser.run(shares)) == sorted(up), up


def reads_a_chart_with_the_keyboard(world):
    world.show()
    world.browser.wait("two samples", "return memoryChart.data.times.length > 1")
    world.browser.run("memoryChart.svg.focus(); memoryChart.svg.dispatchEvent("
                      "new KeyboardEvent('keydown', {key: 'ArrowLeft'}))")
    assert "at " in text_of(world, "#memory-chart .key")
    assert world.browser.run("return !!document.querySelector('#memory-chart .cross')")
    world.browser.run("document.querySelectorAll('#spans button')[1].click()")
    world.browser.wait("six hours", "return memoryChart.data.step_ms === 60000")


def gives_everything_a_name(world):
    world.show()
    seen = world.browser.accessible()
    for role, name in seen:
        if role in ("button", "link", "image", "searchbox", "textbox", "checkbox", "region",
                    "columnheader", "rowheader", "table", "group"):
            assert name.strip(), (role, name, seen)
    roles = [role for role, _ in seen]
    assert {"main", "banner", "contentinfo", "table", "status"} <= set(roles), set(roles)
    assert any(role == "image" and "Memory over the last" in name for role, name in seen)
    assert world.browser.run("return document.documentElement.lang") == "en"
    ids = world.browser.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const parse = (color) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = (c) => {
  const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92
                                                                    : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const back = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c;
  }
  return [255, 255, 255, 255];
};
const bad = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.closest('.hidden, .skip, script, style')) continue;
  const style = getComputedStyle(e);
  const a = light(parse(e instanceof SVGElement ? style.fill : style.color)), b = light(back(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) bad.push([e.tagName, e.className.baseVal ?? e.className, e.textContent.slice(0, 30),
                             ratio.toFixed(2)]);
}
return bad;
"""


def can_be_read_light_and_dark(world):
    backs = []
    for dark in (False, True):
        world.show(dark=dark)
        backs.append(world.browser.run("return getComputedStyle(document.body).backgroundColor"))
        bad = world.browser.run(CONTRAST)
        assert not bad, (dark, bad)
        world.picture("dark" if dark else "light")
    assert backs[0] != backs[1]


def fits_a_phone(world):
    world.show(width=390, height=844, phone=True)
    wide = world.browser.run(
        "return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
        "!e.closest('.hidden, .skip') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.tagName + '.' + (e.className.baseVal ?? e.className))")
    assert not wide, wide
    assert world.browser.run("return document.documentElement.scrollWidth <= innerWidth")
    small = world.browser.run(
        "return [...document.querySelectorAll('#spans button, #find, #more-guests button')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 32)"
        ".map(e => e.textContent)")
    assert not small, small
    world.picture("phone")


def add_past(memctld, name, hours):
    """Minutes of the last hours, up to ten minutes ago, as a memctld before would have left them."""
    with contextlib.closing(sqlite3.connect(memctld.store)) as db, db:
        (guest,) = db.execute("SELECT id FROM guest WHERE name = ?", (name,)).fetchone()
        now = int(time.time()) // 60 * 60000
        for at in range(now - hours * 3600000, now - 10 * 60000, 60000):
            wave = abs((at // 60000) % 120 - 60)
            used = (1 << 20) + (wave << 15)  # KiB
            db.execute("INSERT OR REPLACE INTO guest_minute (at, guest, span, used, held, actual, "
                       "target, stall) VALUES (?, ?, 60000, ?, ?, ?, ?, ?)",
                       (at, guest, used, used + (1 << 19), used + (1 << 20), used + (1 << 20),
                        wave * 100))
            db.execute("INSERT OR REPLACE INTO host_minute (at, guest, span, used, held, promised, "
                       "budget, stall) VALUES (?, 0, 60000, ?, ?, ?, ?, 0)",
                       (at, used << 2, used << 3, used << 4, 36 << 20))


def shows_what_was_before_a_restart(world):
    """The charts come from the history's file, and the decisions about a guest as well."""
    with world.simulated(SCENARIO, budget="36G", store=True) as memctld:
        wait_for("a decision", lambda: "policy" in memctld.run("history", "web2", "--decisions").stdout)
        memctld.stop()
        add_past(memctld, "web2", 5)
        memctld.start()
        world.show(memctld, height=1000)
        spans = world.browser.run("return [...document.querySelectorAll('#spans button')]"
                                  ".map(b => b.textContent)")
        assert spans == ["30 min", "6 h", "24 h", "7 d", "31 d"], spans
        world.browser.run("document.querySelectorAll('#spans button')[1].click()")
        reach = "const t = {}.data.times; return t.length > 200 && t[t.length - 1] - t[0] > 4.5e6"
        world.browser.wait("five hours of the host", reach.format("memoryChart"))
        world.picture("hours", whole=False)
        world.browser.run("[...document.querySelectorAll('#guest-table th button')].find(b => "
                          "b.textContent === 'web2').click()")
        world.browser.wait("five hours of the guest", reach.format("guestChart"))
        world.browser.wait("its stall", "return !document.querySelector('#guest-stall-chart').hidden"
                           " && document.querySelector('#guest-stall-chart path.curve')")
        world.browser.wait("decisions", "return document.querySelector('#guest-decisions')"
                           ".textContent.includes('policy ')")
        world.picture("guest-hours", whole=False)
        world.browser.run("document.querySelectorAll('#guest-spans button')[3].click()")
        world.browser.wait("a week", "return guestChart.data.step_ms === 1800000")
        assert world.browser.run("return document.querySelectorAll("
                                 "'#spans button[aria-pressed=true]')[0].textContent") == "7 d"
        complaints = world.browser.complaints()
        assert not complaints, complaints


def says_that_memctld_is_gone_and_comes_back(world):
    with world.simulated(SCENARIO, budget="36G") as memctld:
        world.show(memctld)
        memctld.stop()
        world.browser.wait("the word", "return document.getElementById('live').className === 'off'")
        assert "does not answer since" in text_of(world, "#live")
        memctld.start()
        world.browser.wait("life", "return document.getElementById('live').className === 'on'")


def shows_a_thousand_guests(world):
    many = [{"name": f"guest-{i:04}", "memory": "1G", "working_set": f"{100 + i % 700}M"}
            for i in range(1000)]
    with world.simulated({"host": {"memory": "1000G", "used": "8G"}, "guests": many},
                         budget="700G") as memctld:
        wait_for("a plan", lambda: memctld.json("status")["plan"])
        began = time.monotonic()
        world.show(memctld)
        print(f"# 1000 guests shown after {time.monotonic() - began:.2f} s")
        assert len(world.browser.run(ROWS)) == 200
        assert "1000" in text_of(world, "#guests-title")
        world.picture("thousand", whole=False)
        world.browser.run("document.querySelector('#more-guests button').click()")
        assert len(world.browser.run(ROWS)) == 1000


TESTS = [
    shows_the_host_and_every_guest,
    follows_what_changes,
    obeys_its_own_policy_and_says_nothing_bad,
    opens_a_guest_and_explains_it,
    finds_and_sorts_guests,
    reads_a_chart_with_the_keyboard,
    gives_everything_a_name,
    can_be_read_light_and_dark,
    fits_a_phone,
    shows_what_was_before_a_restart,
    says_that_memctld_is_gone_and_comes_back,
    shows_a_thousand_guests,
]

if __name__ == "__main__":
    if (reason := chromium.missing()):
        tap.run(TESTS, skip=reason)
    world = World(sys.argv[1])
    with world.stack:
        tap.run(TESTS, world)

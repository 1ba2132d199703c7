"""The status page in a real browser, on the real server, with documents that the service's own functions made."""

import threading
import time

import msgspec
import pytest
from page.states import STATES, backfilling, created, made, not_ready, ready, several, switching_writers

from daemon.phase import Phase

pytestmark = pytest.mark.server

# What each state must say: the tab, the headline, what readers and writers may do, and something of its own.
TOLD = {
    "created": ("Not begun yet · orders", "Not begun yet", "Must not switch yet", "There is nothing to load yet"),
    "exporting": ("Anchored · orders", "Anchored", "Must not switch yet", "AWS has been making the export for 14 min"),
    "backfilling": ("Loading · orders", "Loading", "Must not switch yet", "41.2 % done, about 40 min left"),
    "not_ready": (
        "Replicating · orders",
        "Replicating",
        "Must not switch yet",
        "proven lag is 42.7 s, the limit is 5 s",
    ),
    "ready": ("Ready for readers · orders", "Ready for readers", "May switch now", "at most 1 in 10,000,000 differs"),
    "readers_half": ("Readers 50 % switched · orders", "Readers 50 %", "50 % read the target; more may", "Epoch 4"),
    "switching_writers": ("Switching writers · orders", "Switching", "All readers read the target", "3,112"),
    "switched": ("Writers switched · orders", "Writers switched", "Write to the target", "were fenced for 6.4 s"),
    "switch_failed": (
        "Readers switched · orders",
        "Readers switched",
        "All readers",
        "Given up: an application record",
    ),
    "needs_resync": ("! Needs a resync · orders", "Needs a resync", "Must not switch yet", "were trimmed before"),
    "aborted": ("Aborted · orders", "Aborted", "Stay at the source, as before", "the target's table is kept"),
    "loaded": ("Loaded · orders", "Loaded", "later writes are not loaded", "all 48,200,000 items are loaded"),
    "dead_letters": ("! Replicating · orders", "Replicating", "Must not switch yet", "2 wait for a person"),
    "paused": ("Loading · orders", "Loading", "Must not switch yet", "Paused by a person: backfill and tail"),
    "several": ("! Loading · shop", "Loading", "Must not switch yet", "3 differences in 812,000 comparisons"),
}
FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']"


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_told_in_the_tab_the_headline_and_its_card(name, served, tab, shot):
    served.make = STATES[name]
    served.lived()
    page = tab(dark=name in ("ready", "switching_writers", "not_ready"), still=True)
    title, headline, may, own = TOLD[name]
    assert page.ask("document.title") == title
    assert page.text("h1").startswith(headline)
    assert may in page.text(".may")
    assert own in page.text("main") or name == "switching_writers"
    assert page.text("#sentence") == STATES[name]().message.replace("`", "")
    assert page.complaints() == []
    shot(page, name)


def test_what_is_nearly_loaded_is_not_called_loaded(served, tab):
    served.make = lambda: made(Phase.BACKFILLING, "loading", done=999_999, total=1_000_000, parts=(9, 10))
    page = tab()
    assert page.text("#share") == "99.9 %"
    assert page.ask("document.querySelector('#backfill-bar').getAttribute('aria-valuenow')") == "99"


def test_the_steps_of_the_switch_and_its_journal_are_told(served, tab):
    served.make = switching_writers
    page = tab()
    assert page.text("#switch-steps [aria-current]").startswith("●\nVerify")
    assert "Fenced: nobody is to write" in page.text("#may-writers")
    assert "rounds 418 and 419 came through 4 shards" in page.text("#journal")
    fenced = page.text("#switch-lead")
    page.until(f"document.querySelector('#switch-lead').innerText !== {fenced!r}")  # it counts on


def test_it_follows_without_a_reload_and_what_was_open_stays_open(served, tab):
    served.make = several
    page = tab()
    page.ask("window.same = true; document.querySelector('#table-cards summary').focus(); 0")
    page.press("Enter")
    assert page.ask("document.querySelector('#table-cards details').open")
    whole = several()
    grown = made(Phase.BACKFILLING, "further on", name="shop.customers", done=7_777, total=9_000, parts=(3, 16))
    served.make = lambda: msgspec.structs.replace(
        whole, published_at=several().published_at, ready=several().ready, tables=(*whole.tables[:1], grown)
    )
    page.until("document.querySelector('#table-cards').innerText.includes('7,777 of 9,000')")
    assert page.ask("document.querySelectorAll('#table-cards article').length") == 2
    assert page.ask("window.same && document.querySelector('#table-cards details').open")
    assert page.ask("document.activeElement.matches('#table-cards summary')")


def test_a_service_that_goes_is_said_at_once_and_nothing_is_claimed_until_it_is_back(served, tab, shot):
    served.make = ready
    served.lived()
    page = tab(still=True)
    page.ask("window.same = true")
    assert "May switch now" in page.text("#may-readers")
    served.goes()
    page.until("document.title === 'No word from it · orders'", seconds=10)
    assert page.text("h1") == "Not known; last seen: Ready for readers"
    assert "nothing of it is known to hold now" in page.text("#sentence")
    assert page.text("#said") == page.text("#sentence")
    assert "May switch" not in page.text(".may")
    assert page.text(".may").count("Not known") == 2
    assert page.ask("document.body.classList.contains('stale')")
    assert page.text("#link").startswith("no answer")
    shot(page, "gone")
    served.comes()
    page.until("document.title === 'Ready for readers · orders'")
    assert "May switch now" in page.text("#may-readers")
    assert page.ask("window.same && !document.body.classList.contains('stale')")


def test_a_service_that_hangs_is_silent_too(served, tab):
    served.make = ready
    page, goes_on = tab(), threading.Event()
    served.make = lambda: goes_on.wait(30) and ready()
    try:
        page.until("document.title.startsWith('No word')")
        assert "no answer within 4 s" in page.text("#sentence")
    finally:
        goes_on.set()
    page.until("document.title.startsWith('Ready')")


def test_a_document_that_has_expired_is_no_consent_though_the_server_answers(served, tab):
    served.make = lambda: msgspec.structs.replace(old)
    old = made(Phase.REPLICATING, "ready", ready=True, now=time.time() - 45)
    page = tab()
    assert "has published nothing since" in page.text("#sentence")
    assert page.text(".may").count("Not known") == 2
    assert page.text("#link").startswith("out of date")
    assert int(page.text("#link").split()[-3]) >= 44  # seconds, by the service's clock


def test_a_document_expires_on_the_screen_while_nothing_else_happens(served, tab):
    """Between two answers it is the page's own clock that ends what was told."""
    nearly = made(Phase.REPLICATING, "ready", ready=True, now=time.time() - 20)
    served.make = lambda: nearly
    page = tab()
    assert "May switch now" in page.text(".may")
    page.until("document.querySelector('.may').innerText.match(/Not known/g)?.length === 2")


def test_an_end_that_belongs_to_the_plan_is_not_called_silence(served, tab):
    old = made(Phase.LOADED, "all is loaded", mode="backfill", lag=None, now=time.time() - 600)
    served.make = lambda: old
    page = tab()
    assert page.ask("document.title") == "Loaded · orders"
    assert page.text("#sentence") == "all is loaded"


def test_before_anything_is_known_it_says_so(served, tab):
    page = tab()
    assert page.text("h1") == "Nothing is known yet"
    assert "nothing is known yet" in page.text("#sentence")
    served.make = created
    page.until("document.title === 'Not begun yet · orders'")


def test_why_this_replica_carries_no_data_is_told(served, tab):
    served.make, served.why_not = not_ready, "the KCL is not running (last exit code 1)"
    assert "the KCL is not running (last exit code 1)" in tab().text("#notices")


def test_what_needs_a_person_is_told_beside_another_headline(served, tab):
    served.make = several
    page = tab()
    assert "shop.carts: 2 change(s) wait for a decision" in page.text("#notices")


HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>',
    "</script><svg onload=window.pwned=1>",
    "`<b onclick=alert(1)>`",
    "javascript:window.pwned=1",
)


def test_names_and_messages_with_html_in_them_stay_text(served, tab, shot):
    bad = " ".join(HOSTILE)

    def hostile():
        one = switching_writers()
        switch = msgspec.structs.replace(one.switch, failed=bad, journal=[*one.switch.journal, one.switch.journal[0]])
        switch.journal[-1] = msgspec.structs.replace(switch.journal[-1], message=bad)
        conditions = [
            msgspec.structs.replace(c, type=f"{c.type}{bad}", reason=bad, message=bad) for c in one.conditions
        ]
        found = {bad: 7, "missing": 1}
        verification = msgspec.structs.replace(one.verification, message=bad, state=bad, differences=found)
        changed = {"message": bad, "switch": switch, "conditions": conditions, "verification": verification}
        return msgspec.structs.replace(one, migration=bad, table=bad, **changed)

    served.make = lambda: msgspec.structs.replace(hostile(), tables=(hostile(),))
    served.why_not = bad
    page = tab(width=360, height=740, mobile=True, still=True)
    shown = page.text("body")
    for part in HOSTILE[:2]:
        assert shown.count(part) >= 8
    assert page.ask("window.pwned") is None
    tags = "document.querySelectorAll('main img, main script, main b[onclick], main svg[onload]').length"
    assert page.ask(tags) == 0
    assert [said for said in page.complaints() if "status of 503" not in said] == []  # that is /readyz
    assert page.ask("document.documentElement.scrollWidth") <= 360
    shot(page, "hostile")


def test_it_asks_nobody_but_its_own_server(served, tab):
    served.make = several
    page = tab()
    page.until("Number(document.body.dataset.drawn) > 2")
    asked = page.requested()
    assert {url.removeprefix(served.url) for url in asked} >= {"/", "/page/page.js", "/v1/migration", "/v1/history"}
    assert [url for url in asked if not url.startswith(served.url + "/")] == []


def test_the_policy_forbids_what_the_page_does_not_do(served, tab):
    """The server's own headers, in force: a script in the page's own text would not run, nor another host be asked."""
    served.make = ready
    page = tab()
    page.ask(
        "document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})); 0"
    )
    assert page.ask("window.ran") is None
    refused = "fetch('http://127.0.0.2:9/').then(() => 'sent', (error) => String(error))"
    page.ask(refused)
    page.until("true")
    said = " ".join(page.complaints())
    assert "script-src" in said
    assert "connect-src" in said


def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(served, tab):
    served.make = several
    served.lived()
    page = tab(height=2600)
    page.ask(f"window.seen = new Set(); window.all = [...document.querySelectorAll({FOCUSABLE!r})]; 0")
    wanted = page.ask("window.all.length")
    for _ in range(wanted):
        page.press("Tab")
        outline = page.ask(
            "(() => { const at = document.activeElement; window.seen.add(at); const style = getComputedStyle(at); "
            "return [at.tagName, style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
        )
        assert outline[1] == "solid", outline
        assert outline[2] >= 2, outline
    assert page.ask("window.all.filter((one) => !window.seen.has(one)).map((one) => one.outerHTML)") == []
    assert wanted >= 8  # the skip link, the chart, three tables, three links


def test_the_chart_is_read_with_the_arrow_keys(served, tab):
    served.make = ready
    served.lived()
    page = tab()
    page.ask("document.querySelector('#chart svg').focus(); 0")
    before = page.text("#chart-text")
    for _ in range(72):  # 3 s each: into the peak
        page.press("ArrowLeft")
    told = page.text("#chart-text")
    assert told != before
    assert page.ask("document.querySelector('#chart svg').getAttribute('aria-valuetext')") == told
    assert 3.9 <= float(told.split(" ")[0]) <= 4.5, told
    page.press("Escape")
    assert page.text("#chart-text").startswith("at most 4.")


def test_where_nothing_was_seen_no_line_is_drawn_and_no_bound_is_a_band(served, tab):
    served.make = ready
    served.lived()
    page = tab()
    assert page.ask("document.querySelectorAll('#chart polyline').length") == 2
    assert page.ask("document.querySelectorAll('#chart rect.unbounded').length") == 1


@pytest.mark.parametrize("name", STATES)
def test_a_phone_of_360_px_needs_no_scroll_to_the_side(name, served, tab, shot):
    served.make = STATES[name]
    served.lived()
    page = tab(width=360, height=740, mobile=True, still=True)
    assert page.ask("document.documentElement.scrollWidth") == 360
    wide = "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 360.5).length"
    assert page.ask(wide) == 0
    if name in ("several", "switching_writers", "backfilling"):
        shot(page, f"phone-{name}")


def test_who_wants_no_motion_gets_none(served, tab):
    served.make = backfilling
    assert tab().ask("document.getAnimations().length") > 0
    assert tab(still=True).ask("document.getAnimations().length") == 0


def test_a_screen_reader_hears_a_change_of_words_and_not_each_figure(served, tab):
    served.make = lambda: made(Phase.BACKFILLING, f"loading, second {time.time():.0f}", done=5, total=9, parts=(1, 2))
    page = tab()
    heard = page.ask("document.querySelector('#said').textContent")
    seen = page.text("#sentence")
    page.until(f"document.querySelector('#sentence').innerText !== {seen!r}")
    assert page.ask("document.querySelector('#said').textContent") == heard
    served.make = ready
    page.until("document.querySelector('#said').textContent.startsWith('Ready for readers')")
    assert page.ask("document.querySelector('#said').getAttribute('aria-live')") == "polite"


def test_a_document_that_it_cannot_read_is_not_shown_as_the_one_before(served, tab):
    served.make = ready
    page = tab()
    page.ask("window.fetch = async () => new Response('{}', {headers: {date: new Date().toUTCString()}}); 0")
    page.until("document.title === 'Not readable · moveout'")
    assert page.text(".may").count("Not known") == 2
    assert "reload it" in page.text("#sentence")


# A server that knows tags, in the page's own `fetch`.
TAGGED = """(() => {
        const real = window.fetch; window.asked = []; window.notModified = 0;
        window.fetch = async (path, how) => {
          if (!path.includes('migration')) return real(path, how);
          if (how.headers['If-None-Match'] === '"t"' && window.unchanged) {
            window.notModified += 1;
            return new Response(null, {status: 304, headers: {date: new Date().toUTCString()}});
          }
          const answer = await real(path, {...how, headers: {}});
          return new Response(await answer.text(), {headers: {date: answer.headers.get('date'), etag: '"t"'}});
        }; window.unchanged = true; })()"""


def test_an_answer_that_nothing_has_changed_is_an_answer_and_an_old_document_is_asked_for_anew(served, tab):
    served.make = ready
    page = tab()
    page.ask(TAGGED)
    page.until("window.notModified > 1")
    assert page.ask("document.title") == "Ready for readers · orders"
    served.make = backfilling  # a tag that means something else than we think must not hold the page
    page.until("document.title === 'Loading · orders'")

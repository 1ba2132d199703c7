"""What the server sends, without a browser."""

import json
import re
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page.states import made

import daemon.page
from daemon.page import history, routes
from daemon.page.history import History
from daemon.phase import Phase

FOLDER = Path(daemon.page.__file__).parent
PROJECT = FOLDER.parent.parent
NOW = 1_700_000_000.0
SCRIPTS = [path for path in FOLDER.iterdir() if path.suffix == ".js"]


def get(served, path, **headers):
    asked = urllib.request.Request(served.url + path, headers=headers)  # noqa: S310  our own server
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def tags():
    parser = Tags()
    parser.feed((FOLDER / "index.html").read_text())
    return parser.found


@pytest.mark.parametrize("path", ["/", *(f"/page/{name}" for name in routes.FILES)])
def test_each_file_comes_with_its_type_and_a_policy_that_lets_nothing_in_from_outside(served, path):
    status, headers, body = get(served, path)
    kind = routes.FILES.get(path.removeprefix("/page/"), "text/html")
    assert (status, headers["content-type"].split(";")[0], bool(body)) == (200, kind, True)
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert headers["x-content-type-options"] == "nosniff"


def test_nothing_else_of_the_package_is_served(served):
    for path in ("/page/routes.py", "/page/../server.py", "/page/%2e%2e/server.py", "/page/", "/index.html"):
        assert get(served, path)[0] == 404


def test_a_file_that_the_browser_has_is_not_sent_again(served):
    tag = get(served, "/page/page.js")[1]["etag"]
    assert get(served, "/page/page.js", **{"If-None-Match": tag})[::2] == (304, b"")
    assert get(served, "/page/page.js", **{"If-None-Match": '"another"'})[0] == 200


def test_every_file_of_the_page_is_served_and_goes_into_the_package():
    names = {path.name for path in FOLDER.iterdir() if path.suffix in (".css", ".js", ".svg")}
    assert names == set(routes.FILES)
    packed = (PROJECT / "pyproject.toml").read_text()
    assert all(f'"page/*{suffix}"' in packed for suffix in {path.suffix for path in FOLDER.iterdir()} - {".py", ""})


def test_what_the_page_names_is_there_and_is_found_from_wherever_the_page_is_served(served, tags):
    named = [a.get("href") or a.get("src") for _, a in tags if a.get("href") or a.get("src")]
    assert len(named) > 5
    for one in named:
        assert not re.match(r"/|[a-z]+:", one), f"{one} would not be found behind a proxy with a path"
        assert one.startswith("#") or get(served, f"/{one}")[0] in (200, 503)
    imported = [name for path in SCRIPTS for name in re.findall(r'from "\./(.+?)"', path.read_text())]
    assert set(imported) <= set(routes.FILES)


def test_no_script_no_style_and_no_handler_stands_in_the_page_itself(tags):
    assert [tag for tag, _ in tags if tag == "style"] == []
    assert [attrs for tag, attrs in tags if tag == "script" and "src" not in attrs] == []
    assert [name for _, attrs in tags for name in attrs if name == "style" or name.startswith("on")] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_parses_text_as_html_or_as_code(path):
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|DOMParser|createContextual"
    assert re.findall(rf"{ways}|document\.write|\beval\b|new Function", path.read_text()) == []


def test_ids_stand_once_and_scripts_ask_for_none_that_is_not_there(tags):
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    asked = {name for path in SCRIPTS for name in re.findall(r'byId\("([^"]+)"\)', path.read_text())}
    assert asked - set(ids) == set()
    told = {attrs[name] for _, attrs in tags for name in ("aria-labelledby",) if name in attrs}
    assert told - set(ids) == set()


def test_the_history_is_served_as_lists(served):
    served.history.saw(made(Phase.REPLICATING, lag=1.5, done=7, now=NOW))
    served.history.saw(made(Phase.BACKFILLING, done=8, now=NOW + 4))
    status, headers, body = get(served, "/v1/history")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert json.loads(body) == {"every_seconds": 3.0, "samples": [[NOW, 1.5, 7], [NOW + 4, None, 8]]}


def seen(*told):
    made_here = History()
    for at, lag in told:
        phase = Phase.BACKFILLING if lag is None else Phase.REPLICATING
        made_here.saw(made(phase, lag=lag, now=NOW + at))
    return [(round(sample.at - NOW, 1), sample.lag_seconds) for sample in made_here.samples()]


def test_a_peak_of_lag_is_not_lost_between_two_samples():
    assert seen((0, 1.0), (1, 9.0), (2, 1.5), (4, 2.0)) == [(0, 9.0), (4, 2.0)]
    assert seen((0, 1.0), (1, None), (2, 1.5)) == [(0, None)]


def test_a_document_that_is_told_again_and_again_makes_no_history():
    assert seen((0, 1.0), (0, 1.0), (0, 1.0)) == [(0, 1.0)]


def test_a_clock_that_goes_back_makes_a_sample_of_its_own():
    assert seen((10, 1.0), (5, 2.0)) == [(10, 1.0), (5, 2.0)]


def test_the_history_is_bounded():
    told = [(at * history.EVERY_SECONDS, 1.0) for at in range(history.SAMPLES_MAX + 50)]
    kept = seen(*told)
    assert len(kept) == history.SAMPLES_MAX
    assert kept[-1][0] == told[-1][0]
    assert history.SAMPLES_MAX * history.EVERY_SECONDS == 900

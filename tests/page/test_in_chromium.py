"""The status page in a real browser, on the real server, with documents that the service's own functions made."""

import pytest
from page.states import STATES

pytestmark = pytest.mark.server


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_shown(name, served, tab, shot):
    served.make = STATES[name]
    served.lived()
    page = tab(dark=name in ("ready", "switching_writers", "not_ready"))
    assert page.complaints() == []
    shot(page, name)

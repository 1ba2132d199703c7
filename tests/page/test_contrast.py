"""WCAG 2.2 AA, computed from the style sheet: 4.5 to 1 for text, 3 to 1 for what is not text but tells something."""

import re
from itertools import product
from pathlib import Path

import pytest

import daemon.page

CSS = (Path(daemon.page.__file__).parent / "page.css").read_text()
TONES = ("good", "waiting", "trouble", "silent")
# What stands on what.
TEXT = [
    *product(("ink", "muted", *TONES), ("page", "card")),
    *product(("ink", "muted"), [f"{tone}-wash" for tone in TONES]),
    *((tone, f"{tone}-wash") for tone in TONES),
    *(("card", tone) for tone in TONES),  # the mark
    ("good", "waiting-wash"),  # steps that are done, in any headline
    *(("good", f"{tone}-wash") for tone in TONES),
    *(("waiting", f"{tone}-wash") for tone in TONES),
    ("ink", "track"),  # commands
]
# Bars in their track and its edge, the chart's line on its area, the ring of the focus.
GRAPHICS = [
    ("waiting", "track"),
    ("muted", "card"),
    ("muted", "track"),
    ("waiting", "waiting-wash"),
    ("focus", "page"),
    ("focus", "card"),
    *(("focus", f"{tone}-wash") for tone in TONES),
]


def variables(block):
    return dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6});", block))


LIGHT, DARK = (variables(block) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL))
THEMES = {"light": LIGHT, "dark": {**LIGHT, **DARK}}


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_text_is_legible_on_what_it_stands_on(theme):
    colours = THEMES[theme]
    weak = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_what_tells_something_without_words_can_be_seen(theme):
    colours = THEMES[theme]
    weak = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in GRAPHICS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 3} == {}


def test_both_themes_name_the_same_colours_and_no_other_is_used():
    assert set(LIGHT) == set(DARK)
    rest = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{}]*\{)|rgba?\(|hsl", rest) == []


def test_nothing_is_made_grey_by_being_seen_through():
    rest = re.sub(r"@media \(prefers-reduced-motion: no-preference\).*?\n\}", "", CSS, flags=re.DOTALL)
    assert "opacity" not in rest

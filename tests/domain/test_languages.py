"""Which of an alert's languages a phone gets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain import languages
from skerry.domain.languages import Alert

TITLES = {"default": "Goal", "tr": "Gol", "zh": "进球", "zh-Hant": "進球", "pt-BR": "Gol!", "sr-Latn": "Go"}


def spoken(alert: dict[str, Any], language: str | None) -> Any:
    found = Alert.of(json.dumps(alert).encode())
    assert found is not None
    return json.loads(found.for_language(language))


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        ("tr", "tr"), ("TR-tr", "tr"), ("zh-Hant-TW", "zh-Hant"), ("zh_Hant_HK", "zh-Hant"), ("zh-Hans-CN", "zh"),
        ("pt-BR", "pt-BR"), ("pt-PT", "default"), ("en-US", "default"), (None, "default"), ("", "default"),
        ("sr-Latn-x-a-b", "sr-Latn"), ("not a tag", "default"), ("-", "default"), ("tr@calendar=islamic", "tr"),
        ("zh-Hant-TW-u-ca-chinese-nu-hantfin-x-something-else", "zh-Hant"),
    ],
)  # fmt: skip
def test_the_tag_itself_or_the_longest_beginning_of_it_or_the_default(language: str | None, tag: str) -> None:
    alert = {
        "title": {tag.replace("-", "_"): said for tag, said in TITLES.items()},
        "body": "2 - 1",
        "sound": "default",
    }
    assert spoken(alert, language) == {"title": TITLES[tag], "body": "2 - 1", "sound": "default"}


def test_each_text_falls_back_by_itself() -> None:
    alert = {"title": {"default": "Goal", "tr": "Gol"}, "body": {"default": "well done"}}
    assert spoken(alert, "tr") == {"title": "Gol", "body": "well done"}


@pytest.mark.parametrize(
    "alert",
    [
        {"title": "a", "body": "b", "sound": "default"},
        {"title": {"loc-key": "GOAL", "loc-args": ["default"]}, "body": "b"},
        {"title": '"default"', "body": "b"},
    ],
)  # fmt: skip
def test_apples_own_alerts_are_the_same_for_all(alert: dict[str, Any]) -> None:
    raw = json.dumps(alert).encode()
    assert Alert.of(raw) is None
    assert list(languages.variants(raw)) == [raw]


def test_no_alert_has_no_languages() -> None:
    assert Alert.of(None) is None
    assert list(languages.variants(None)) == [None]


@given(st.dictionaries(st.sampled_from(["de", "fr", "fr-CA"]), st.text()), st.sampled_from(["de", "fr-CA", "it"]))
def test_a_phone_always_gets_one_of_the_texts(texts: dict[str, str], language: str) -> None:
    alert = {"title": {"default": "d", **texts}, "body": "b"}
    title = spoken(alert, language)["title"]
    assert title == texts.get(language, texts.get(language.partition("-")[0], "d"))
    assert json.dumps({"title": title, "body": "b"}) in {
        json.dumps(json.loads(one or b"")) for one in languages.variants(json.dumps(alert).encode())
    }

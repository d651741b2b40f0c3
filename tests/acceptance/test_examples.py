"""The examples of the reference: each request works, and each answer is what a service with phones says today."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dev_service import dev_service
from story import PERMITTED, PHONES, UNSHOWN, Story, form, listener, tell

from skerry.api.examples import ANSWERS


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in PERMITTED.items():
            environment.setenv(name, value)
        data = tmp_path_factory.mktemp("story")
        with listener() as hook, dev_service(Path(data), PHONES) as dev:
            yield tell(dev, hook)


def test_every_operation_has_an_example(story: Story) -> None:
    assert set(story.told) == set(story.operations)


def test_the_answers_are_as_recorded(story: Story) -> None:
    """Where this fails since an answer was changed on purpose: scripts/record-answers, then make reference."""
    assert form(story.told) == form(ANSWERS)


def test_the_answers_are_as_described(story: Story) -> None:
    for methods in story.description["paths"].values():
        for operation in methods.values():
            name = operation["operationId"]
            content: dict[str, Any] = operation["responses"]["200"].get("content", {})
            if name not in UNSHOWN and content:
                schema = {**next(iter(content.values()))["schema"], "components": story.description["components"]}
                jsonschema.validate(story.told[name]["answer"], schema)

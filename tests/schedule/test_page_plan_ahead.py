"""The requests of the page "Plan ahead" work in the order in which they stand there."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from whole_service import REST, whole_service

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "plan-ahead.md").read_text()
BLOCK = re.compile(r"^```(http|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YEAR = "2027"


async def test_each_request_is_answered_as_the_page_says(tmp_path: Path) -> None:
    to_come = str(datetime.now(UTC).year + 1)
    blocks = BLOCK.findall(PAGE)
    assert [language for language, _ in blocks].count("http") == 8
    answer = None
    async with whole_service(tmp_path) as whole:
        for language, block in blocks:
            if language == "json":
                assert answer is not None
                expected, found = json.loads(block), answer.json()
                assert expected.keys() == found.keys()
                said = ("id", "activity", "action", "state", "settled_at", "revision", "problem")
                assert {name: expected[name] for name in said} == {name: found[name] for name in said}
                continue
            head, _, body = block.replace(f'"{YEAR}-', f'"{to_come}-').partition("\n\n")
            method, path = head.split()
            answer = await whole.client.request(
                method, path, content=body.strip() or None, headers={"X-netmera-api-key": REST}
            )
            assert answer.is_success, (head, answer.text)
            if path == "/v1/activities/flight-tk1980" and method == "GET":
                assert answer.json()["script"]["of"] == 3
                assert answer.json()["script"]["next"]["phase"] == 1

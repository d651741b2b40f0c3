"""`skerry dev` as a process of its own, and a client that looks at its phones."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from peer_servers import free_port

PATIENCE = 20.0
REST = {"X-netmera-api-key": "dev-rest-key"}
SDK = {"X-netmera-api-key": "dev-sdk-key"}


@dataclass
class Dev:
    """The running tree."""

    url: str
    client: httpx2.Client
    process: subprocess.Popen[bytes]

    def rest(self, operation: str, body: str | dict[str, Any] | list[Any]) -> Any:
        """`POST /rest/3.0/…`; the answer's JSON, which must be a 200."""
        content = {"content": body} if isinstance(body, str) else {"json": body}
        answer = self.client.post(f"/rest/3.0/{operation}", headers=REST, **content)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def phone(self, number: int) -> dict[str, Any]:
        """A phone as the simulator's API shows it."""
        found: dict[str, Any] = self.client.get(f"/simulator/phones/phone-{number}").json()
        return found

    def tell(self, number: int, what: str, body: dict[str, Any], method: str = "POST") -> None:
        """Control a phone."""
        answer = self.client.request(method, f"/simulator/phones/phone-{number}/{what}", json=body)
        assert answer.is_success, answer.text

    def put(self, activity: str, body: dict[str, Any], wait: float = 5.0) -> dict[str, Any]:
        """`PUT /v1/activities/…`, with the time to settle."""
        answer = self.client.put(f"/v1/activities/{activity}", params={"wait": wait}, json=body, headers=REST)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def operations(self) -> dict[str, int]:
        """The ledger's requests by what they were."""
        counts: dict[str, int] = self.client.get("/simulator/ledger").json()["counts"]["operations"]
        return counts

    def cards(self, group: str) -> dict[int, dict[str, Any]]:
        """The cards of a group by the number of their phone."""
        numbers = [int(one["id"].removeprefix("phone-")) for one in self.client.get("/simulator/phones").json()]
        return {number: card for number in numbers for card in self.phone(number)["cards"] if card["group_id"] == group}

    def starts(self) -> list[str]:
        """The tokens of all starts in the ledger."""
        return [
            one["token"] for one in self.client.get("/simulator/ledger", params={"event": "start"}).json()["entries"]
        ]


def until(met: Callable[[], object]) -> None:
    """Wait for it; a service that is not there yet counts as "not met"."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            if met():
                return
        assert time.monotonic() < deadline, "it was not seen in time"
        time.sleep(0.05)


@contextlib.contextmanager
def dev_service(directory: Path, phones: int, older_phones: int = 0) -> Iterator[Dev]:
    """Run `skerry dev` until the block is left; every phone has reported its start token when it is entered."""
    port = free_port()
    arguments = ["dev", "--port", str(port), "--phones", str(phones), "--older-phones", str(older_phones)]
    arguments += ["--data", str(directory)]
    process = subprocess.Popen([sys.executable, "-m", "skerry", *arguments], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx2.Client(base_url=url) as client:
            until(lambda: client.get("/readyz").is_success)
            until(lambda: f'"reportEvents",status="200"}} {phones + older_phones}' in client.get("/metrics").text)
            yield Dev(url, client, process)
    finally:
        process.terminate()
        process.wait(PATIENCE)

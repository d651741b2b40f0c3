"""The work that every client gets: the same pushes, the same key, the same server. Handed over as files.

```
work.json     the fields of `Work`
tokens.txt    one token a line, all different
payload.json  the one body
key.p8        the provider key, as Apple gives it
ca.pem        whom to trust
```
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.credential import KEY_ID, TEAM_ID, TOPIC, authorization, private_key
from bench.population import token
from skerry.domain.push import Endpoint

PAYLOAD = (
    b'{"aps":{"timestamp":1790000000,"event":"update","content-state":'
    b'{"homeTeamScore":2,"awayTeamScore":1,"progress":0.5,"title":"Goal"}}}'
)
"""133 bytes: what an update of a match's score weighs."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a client reads from `work.json`, by these names."""

    host: str
    port: int
    ca_file: str
    key_file: str
    key_id: str
    team_id: str
    authorization: str
    """A signed provider token with `bearer` before it, for clients that know nothing of APNs."""
    topic: str
    tokens_file: str
    payload_file: str
    pushes: int
    """One round: one push to each of the first so many tokens."""
    connections: int
    """To make where the client lets one choose."""
    streams: int
    """Requests in flight on one connection, at the most."""
    apple_address: str
    """Where the server answers in Apple's name on port 443, for clients that know no other host; "" for nowhere."""


@contextmanager
def work_files(
    endpoint: Endpoint, *, pushes: int, connections: int, streams: int, apple_address: str = ""
) -> Iterator[Path]:
    """Write the work down; the path of `work.json`, good until the block is left."""
    with TemporaryDirectory(prefix="skerry-work-") as name:
        directory = Path(name)
        tokens, payload, key = (directory / file for file in ("tokens.txt", "payload.json", "key.p8"))
        tokens.write_text("".join(f"{token(number)}\n" for number in range(pushes)))
        payload.write_bytes(PAYLOAD)
        key.write_bytes(private_key())
        work = Work(
            host=endpoint.host,
            port=endpoint.port,
            ca_file=endpoint.ca_file or "",
            key_file=str(key),
            key_id=KEY_ID,
            team_id=TEAM_ID,
            authorization=authorization(),
            topic=TOPIC,
            tokens_file=str(tokens),
            payload_file=str(payload),
            pushes=pushes,
            connections=connections,
            streams=streams,
            apple_address=apple_address,
        )
        (directory / "work.json").write_text(json.dumps(asdict(work), indent=2))
        yield directory / "work.json"

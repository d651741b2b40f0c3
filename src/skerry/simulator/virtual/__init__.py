"""A network and a clock that exist in memory only, so that hours of a sender's life and every fault repeat in seconds.

```
 client ── asyncio's own transports and TLS ── MemorySocket ─┐
                                                             ├── Link: latency, bandwidth, black hole, reset
 server ── asyncio's own transports and TLS ── MemorySocket ─┘
```

Only two things are not asyncio's: what a socket is, and what time it is. `VirtualLoop` jumps to the next timer when
nothing is ready; a `Network` holds names, addresses and what is wrong with them.
"""

from skerry.simulator.virtual.link import Link
from skerry.simulator.virtual.loop import StandstillError, VirtualLoop
from skerry.simulator.virtual.network import Host, Name, Network, Reach

__all__ = ["Host", "Link", "Name", "Network", "Reach", "StandstillError", "VirtualLoop"]

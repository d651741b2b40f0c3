"""The simulated APNs: an HTTP/2 server that answers as Apple's does, misbehaves on request, and keeps a book.

```
 sender ──TLS──► wire ── connection ── rules, channel_rules ── provider_auth      what Apple would answer
                         │  └───── chaos                       what goes wrong today
                         ├───────► ledger                      what was seen and said
                         ├───────► channels                    what was created and deleted
                         └───────► Phones.deliver, .broadcast  what was accepted
```
"""

from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import Chaos, ChaosError, Plan
from skerry.simulator.apns.ledger import Ending, Entry, Ledger, Note
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.paths import Listener, Operation
from skerry.simulator.apns.provider_keys import ProviderKey, ProviderKeys
from skerry.simulator.apns.server import ApnsServer
from skerry.simulator.apns.tls import Certificates, ensure_certificates

__all__ = [
    "ApnsServer",
    "Certificates",
    "Channels",
    "Chaos",
    "ChaosError",
    "Ending",
    "Entry",
    "Ledger",
    "Limits",
    "Listener",
    "Note",
    "Operation",
    "Plan",
    "ProviderKey",
    "ProviderKeys",
    "ensure_certificates",
]

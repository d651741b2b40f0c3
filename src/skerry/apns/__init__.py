"""The wire to Apple: `ApnsClient` gives every push exactly one outcome; `Channels` are broadcast channels over it."""

from skerry.apns.channels import Channels
from skerry.apns.client import ApnsClient
from skerry.apns.probe import ProbeReport
from skerry.apns.provider_token import CredentialError
from skerry.apns.settings import PoolSettings
from skerry.apns.stats import ClientStats, RouteStats

__all__ = ["ApnsClient", "Channels", "ClientStats", "CredentialError", "PoolSettings", "ProbeReport", "RouteStats"]

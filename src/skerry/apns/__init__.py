"""The wire to Apple: one public object, `ApnsClient`, which gives every push exactly one outcome."""

from skerry.apns.client import ApnsClient
from skerry.apns.probe import ProbeReport
from skerry.apns.provider_token import CredentialError
from skerry.apns.settings import PoolSettings
from skerry.apns.stats import ClientStats, RouteStats

__all__ = ["ApnsClient", "ClientStats", "CredentialError", "PoolSettings", "ProbeReport", "RouteStats"]

"""The drop-in contract: Netmera's REST API 3.0 around Live Activities."""

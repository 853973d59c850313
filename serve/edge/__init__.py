"""Configurations of what stands in front of a shop: Envoy, Kong, HAProxy, AWS' balancers. Nothing here serves."""

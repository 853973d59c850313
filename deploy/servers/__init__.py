"""Real servers on this machine without containers, for tests and for people without containers."""

from deploy.servers.fleet import SERVICES, SHOP, Servers
from deploy.servers.server import Server, Tls
from deploy.servers.telling import Broken, Missing

__all__ = ["SERVICES", "SHOP", "Broken", "Missing", "Server", "Servers", "Tls"]

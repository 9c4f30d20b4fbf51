"""Joules: the machine that is priced, layers and networks, the index."""

from twofold.energy.machine import Machine
from twofold.energy.price import network_energy

__all__ = ["Machine", "network_energy"]

"""Joules: the machine that is priced, layers and networks, the index."""

from twofold.energy.machine import LEFT_OUT, Machine
from twofold.energy.price import network_energy, network_totals

__all__ = ["LEFT_OUT", "Machine", "network_energy", "network_totals"]

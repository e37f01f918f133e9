"""Four sites of the demonstration: what is daily work at one is rare at the others, so that each can learn.

``site``      what every site states: how often it asks for what, and about which things
``bank``      a bank
``hospital``  a hospital
``plant``     a plant
``city``      a city's administration
"""

from securefl.demo.sites.bank import BANK
from securefl.demo.sites.city import CITY
from securefl.demo.sites.hospital import HOSPITAL
from securefl.demo.sites.plant import PLANT
from securefl.demo.sites.site import Site

SITES: tuple[Site, ...] = (BANK, HOSPITAL, PLANT, CITY)

__all__ = ["SITES", "Site"]

"""The four sites of the demonstration: what is daily work at one is rare at the others, so that each can learn."""

from securefl.demo.sites.bank import BANK
from securefl.demo.sites.city import CITY
from securefl.demo.sites.hospital import HOSPITAL
from securefl.demo.sites.plant import PLANT
from securefl.demo.sites.site import Site

SITES: tuple[Site, ...] = (BANK, HOSPITAL, PLANT, CITY)

__all__ = ["SITES", "Site"]

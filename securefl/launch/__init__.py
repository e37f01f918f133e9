"""All members of a federation as processes of this machine."""

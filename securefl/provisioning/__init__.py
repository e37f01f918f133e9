"""From a federation's TOML file to the members' folders."""

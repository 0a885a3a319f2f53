"""The gateway's own classes under one seed: only clock, network, disk, ids and chance are replaced."""

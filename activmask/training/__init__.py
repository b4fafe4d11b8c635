"""From a run's description to trained networks and the files of their folders."""

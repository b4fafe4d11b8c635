"""What a run is, what it is called, and the folder that it leaves."""

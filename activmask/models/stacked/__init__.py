"""Networks of one architecture as one network with as many times the channels."""

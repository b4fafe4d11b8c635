"""One seed's network and all that happens to it."""

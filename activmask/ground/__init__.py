"""What every other room stands on; imports nothing above it."""

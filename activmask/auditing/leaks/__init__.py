"""What the data give away before any network is asked."""

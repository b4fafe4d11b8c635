"""Where a network looks, and whether its maps can be believed."""

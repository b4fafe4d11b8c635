"""What imports nothing of this package but itself: errors, files, processes."""

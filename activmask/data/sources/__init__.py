"""Where data sets come from; one folder per source."""

"""Searches: which settings of a run score best on its validation images, found within a budget."""

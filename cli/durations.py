"""Times as people say them."""


def duration(seconds: float) -> str:
    """A time in the unit that suits it, for example `12 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

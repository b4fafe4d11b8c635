"""Commands that need several words, and name all that are missing at once."""

from typing import Any

from typer.core import TyperCommand

from activmask.ground.listed import listed


class AllMissing(TyperCommand):
    """A command that tells every argument and option it lacks, where typer tells the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as ever; the refusal of a missing word names the others too."""
        try:
            return super().parse_args(ctx, [*args])
        except Exception as error:
            # Typer's class has no public name.
            if type(error).__name__ == "MissingParameter":
                self._name_all(error, ctx, args)
            raise

    def _name_all(self, error: Any, ctx: Any, args: list[str]) -> None:
        given, _, _ = self.make_parser(ctx).parse_args(args=[*args])
        needed = [one for one in self.get_params(ctx) if one.required]
        missing = [one for one in needed if given.get(one.name) in (None, ())]
        if len(missing) > 1:
            # A text of its own would be that of the first alone, such as its choices.
            error.param, error.param_type = None, "parameters"
            error.param_hint = listed(f"'{_called(one)}'" for one in missing)


def _called(one: Any) -> str:
    return str(one.name if one.param_type_name == "argument" else one.opts[0])

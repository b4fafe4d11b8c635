"""`activmask audit` and what goes with it."""

import typer

from .audit import audit
from .audit_export import audit_export
from .audit_score import audit_score

audit_app = typer.Typer(no_args_is_help=True)
"""The group; the audit itself is what it does without a command."""

audit_app.callback(invoke_without_command=True)(audit)
audit_app.command("export")(audit_export)
audit_app.command("score")(audit_score)

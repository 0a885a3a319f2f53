"""The tree of commands."""

from __future__ import annotations

import typer

from pipe.cli import (
    access_rights,
    alerts,
    audit,
    bundle,
    companies,
    configuration,
    credentials,
    dead,
    drift,
    events,
    exchanges,
    health,
    messages,
    overview,
    partners,
    run,
    safekeeping,
    switches,
    top,
    wsdl,
)

app = typer.Typer(
    name="pipe",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="PIPE: an integration gateway that loses nothing it accepted.",
)
app.callback()(lambda: None)
app.command("run")(run.run)
app.command("lint")(configuration.lint)
app.command("docs")(configuration.docs)
app.command("schema")(configuration.schema)
app.command("limits")(configuration.limits)
app.command("test")(configuration.run_tests_of)
app.command("plan")(configuration.plan)
app.command("apply")(configuration.apply)
app.command("capture")(configuration.capture)
app.command("new")(configuration.new)
app.command("status")(overview.status)
app.command("top")(top.top)
app.command("connections")(overview.connections)
app.command("routes")(overview.routes)
app.add_typer(overview.ledger_app, name="ledger")
app.add_typer(drift.app, name="drift")
app.command("explain")(messages.explain)
app.command("search")(messages.search)
app.command("events")(events.events)
app.command("exchanges")(exchanges.exchanges)
app.add_typer(messages.messages_app, name="messages")
app.add_typer(dead.app, name="dead")
app.command("resolve")(messages.resolve)
app.command("pause")(switches.pause)
app.command("resume")(switches.resume)
app.command("drain")(switches.drain)
app.command("doctor")(health.doctor)
app.command("bundle")(bundle.bundle)
app.command("backup")(safekeeping.backup)
app.command("restore")(safekeeping.restore)
app.command("erase")(safekeeping.erase)
app.add_typer(credentials.keys_app, name="keys")
app.add_typer(credentials.secrets_app, name="secrets")
app.add_typer(alerts.app, name="alerts")
app.add_typer(audit.app, name="audit")
app.add_typer(companies.app, name="companies")
app.add_typer(access_rights.app, name="access")
app.add_typer(wsdl.app, name="wsdl")
app.add_typer(partners.app, name="partners")

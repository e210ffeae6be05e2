"""`qanat deploy`: all contracts, wired and sealed; what is there already is left as it is."""

from __future__ import annotations

from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session, table

__all__ = ["COMMAND", "deploy"]


def deploy(session: Session, *, parameters: str | None, out: Path | None) -> Outcome:
    """Probe the chain, then deploy what is missing; the deployment's file is written as it grows."""
    from qanat.chain.artifacts import load_artifacts
    from qanat.chain.deploy import Progress, plan_deployment
    from qanat.chain.deploy import deploy as run_deployment
    from qanat.chain.deployment import Deployment
    from qanat.chain.parameters import load_parameters
    from qanat.cli.amounts import format_amount

    chosen = load_parameters(parameters or session.network)
    path = out or Deployment.find(session.deployment or chosen.network)
    artifacts = load_artifacts()
    plan = plan_deployment(session.chain, session.address, chosen, artifacts, path)
    if plan.steps:
        session.confirm(
            f"Deploy {len(plan.steps)} things to {chosen.network}",
            [f"at most {plan.gas} gas, {format_amount(plan.wei, 18)} coins at the price of now", f"recorded in {path}"],
            transactions=len(plan.steps),
        )
    session.sender.on_sent = None  # the steps say it, with their names
    with session.progress("deploying") as update:

        def tell(step: Progress) -> None:
            update(step.number, step.total)
            if step.state != "found":
                session.note(str(step))

        made = run_deployment(session.chain, session.sender, chosen, artifacts, path, tell)
    rows = [(name, item.address, item.block) for name, item in made.contracts.items()]
    rows += [(f"token {name}", token.address, 0) for name, token in made.tokens.items()]
    says = [
        f"Deployed on {made.network}, chain {made.chain_id}; recorded in {path}."
        if plan.steps
        else f"Everything is deployed on {made.network} already; nothing was sent."
    ]
    return Outcome(
        {**made.to_json(), "file": path, "steps": list(plan.steps)},
        says,
        [table("", ["contract", "address", "block"], [(*row[:2], row[2] or "") for row in rows], right=["block"])],
    )


COMMAND = Command(
    name="deploy",
    run=deploy,
    summary="Deploy all contracts, wire and seal them.",
    details=(
        "Run again, it continues where it stopped, or does nothing. Needs the compiled contracts of a checkout "
        "(`make compile`). The chain is probed for the Prague rules first."
    ),
    example="",
    deployed=False,
    parameters=(
        click.option("--parameters", help="Parameter file, or a name in networks/.  [default: the network's]"),
        click.option(
            "--out",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File of the deployment.  [default: deployments/<network>.json]",
        ),
    ),
)

"""`qanat records`: an intake of signed records, bundled into objects."""

from __future__ import annotations

from pathlib import Path

import click

from qanat.cli.command import Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "records"]


def records(
    session: Session,
    *,
    folder: Path,
    stream: str,
    shard: str | None,
    epochs: int,
    host: str,
    port: int,
    bundle_bytes: int,
    bundle_seconds: float,
    senders: Path | None,
    max_payment: str | None,
) -> Outcome:
    """Run the intake until it is stopped (SIGTERM or Ctrl-C)."""
    import asyncio

    from qanat.cli.amounts import parse_amount
    from qanat.records import SigningDomain
    from qanat.records.api import listen, serve
    from qanat.records.collector import Collector, Limits
    from qanat.records.publishing import store_bundles

    chain = session.chain
    number = chain.deployment.shard(shard)
    _, token = session.token(session.views.shard_parameters(number).payment_token)
    most = None if max_payment is None else parse_amount(max_payment, token.decimals)
    name = stream_of(stream)
    admitted = None if senders is None else _read_senders(senders)
    session.confirm(
        f"Take records of stream 0x{name.hex()}",
        [
            f"bundles are stored in shard {number} for {epochs} epochs, unencrypted",
            "each is paid by this account" + ("" if max_payment is None else f", at most {max_payment}"),
            "anybody may send" if admitted is None else f"{len(admitted)} senders may send",
        ],
        transactions=3,
    )
    collector = Collector(
        folder,
        SigningDomain(chain.chain_id, str(chain.contract("Objects").address), name),
        store_bundles(chain, session.sender, shard=number, epochs=epochs, max_payment=most),
        limits=Limits(bundle_bytes=bundle_bytes, bundle_seconds=bundle_seconds),
        admits=(lambda _sender: True) if admitted is None else admitted.__contains__,
    )
    with listen(host, port) as listening:
        session.note(f"records are taken at http://{host}:{listening.getsockname()[1]}")
        asyncio.run(serve(collector, listening))
    return Outcome({"folder": str(folder), "stopped": True}, ["The intake has stopped."])


def stream_of(text: str) -> bytes:
    """Return a stream's 32 bytes: given in hexadecimal, or Keccak-256 of its name."""
    from eth_hash.auto import keccak

    from qanat.cli.amounts import parse_bytes32

    return parse_bytes32(text, "stream") if text.startswith("0x") else keccak(text.encode())


def _read_senders(path: Path) -> frozenset[bytes]:
    from qanat.cli.amounts import parse_address
    from qanat.errors import FileUnreadable

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(f"{path} can't be read: {error}.", path=str(path)) from error
    return frozenset(bytes.fromhex(parse_address(line.strip(), "sender")[2:]) for line in lines if line.strip())


COMMAND = Command(
    name="records",
    run=records,
    summary="Take signed records over HTTP, bundle them, store and certify the bundles, prove each record.",
    details=(
        "A record is acknowledged when it is durable in --folder; what was acknowledged is taken up again at the next "
        "start. How records are signed, sent and proven: docs/records.md."
    ),
    example="--stream weather --epochs 4",
    parameters=(
        click.option(
            "--stream", required=True, help="Name of the stream, or its 32 bytes in hexadecimal; senders sign it."
        ),
        click.option(
            "--folder",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("records"),
            show_default=True,
            help="Where records and bundles are kept.",
        ),
        click.option("--shard", help="Shard, by name or number.  [default: the first]"),
        click.option("--epochs", type=click.IntRange(min=1), required=True, help="Term of each bundle."),
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at."),
        click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Port."),
        click.option(
            "--bundle-bytes",
            type=click.IntRange(1, 1 << 30),
            default=8_000_000,
            show_default=True,
            help="Bytes of records after which a bundle closes.",
        ),
        click.option(
            "--bundle-seconds",
            type=click.FloatRange(min=0.1),
            default=30.0,
            show_default=True,
            help="Age after which a bundle closes.",
        ),
        click.option(
            "--senders",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File with the addresses that may send, one a line.  [default: everybody]",
        ),
        click.option("--max-payment", help="Most that one bundle may cost, in the shard's token; a dearer one waits."),
    ),
)

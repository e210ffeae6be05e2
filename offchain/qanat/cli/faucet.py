"""`qanat faucet`: tokens without value, on local and test networks."""

from __future__ import annotations

import click

from qanat.cli.command import DEVELOPMENT_CHAINS, Command
from qanat.cli.session import Outcome, Session

__all__ = ["COMMAND", "faucet"]


def faucet(session: Session, *, to: str | None, tokens: tuple[str, ...], amount: str, coins: str | None) -> Outcome:
    """Mint test tokens for an address; on a local chain give it coins for gas too."""
    from qanat.cli.amounts import format_amount, parse_address, parse_amount
    from qanat.errors import BadParameters

    chain = session.chain
    if chain.chain_id == 1:
        raise BadParameters("This is Ethereum itself: nothing is given away here.")
    if coins is not None and chain.chain_id not in DEVELOPMENT_CHAINS:
        raise BadParameters(f"Chain {chain.chain_id} is no local chain: coins are not ours to make.")
    target = session.address if to is None else parse_address(to)
    available = {symbol: token for symbol, token in chain.deployment.tokens.items() if token.faucet}
    chosen = {session.token(name)[0]: session.token(name)[1] for name in tokens} if tokens else available
    for symbol, token in chosen.items():
        if not token.faucet:
            raise BadParameters(f"{symbol} is no test token.", hint=f"Test tokens: {', '.join(available) or 'none'}.")
    if not chosen and coins is None:
        raise BadParameters(f"The network {chain.deployment.network} has no test tokens.")
    minted: dict[str, int] = {}
    wanted = {symbol: parse_amount(amount, token.decimals) for symbol, token in chosen.items()}
    session.confirm(
        "Mint test tokens", [f"{amount} {symbol} for {target}" for symbol in chosen], transactions=len(chosen)
    )
    for symbol, token in chosen.items():
        contract = chain.contract_at("FaucetToken", token.address)
        limit = int(chain.call(contract.functions.MINT_LIMIT()))
        left = wanted[symbol]
        if limit == 0 or left > 100 * limit:
            raise BadParameters(f"A call mints at most {format_amount(limit, token.decimals)} {symbol}; ask for less.")
        while left:
            part = min(left, limit)
            session.sender.send(contract.functions.mint(target, part))
            left -= part
        minted[symbol] = wanted[symbol]
    if coins is not None:
        balance = int(chain.web3.eth.get_balance(chain.web3.to_checksum_address(target))) + parse_amount(coins, 18)
        chain.rpc("anvil_setBalance", target, hex(balance))
    balances = {
        symbol: int(chain.call(chain.token(token.address).functions.balanceOf(target)))
        for symbol, token in chosen.items()
    }
    return Outcome(
        {"to": target, "minted": minted, "coins": coins, "balances": balances},
        [f"{target} now holds:"]
        + [f"  {format_amount(units, chosen[symbol].decimals)} {symbol}" for symbol, units in balances.items()],
    )


COMMAND = Command(
    name="faucet",
    run=faucet,
    summary="Give test tokens, on local and test networks only.",
    example="--to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --amount 1000 --yes",
    parameters=(
        click.option("--to", help="Who gets them.  [default: the account itself]"),
        click.option(
            "--token", "tokens", multiple=True, help="Which token, by symbol; may be repeated.  [default: all]"
        ),
        click.option("--amount", default="1000", show_default=True, help="How much of each, in whole tokens."),
        click.option("--coins", help="Coins for gas besides; local chains only."),
    ),
)

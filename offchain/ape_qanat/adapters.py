"""Ape's accounts and providers, seen as what `qanat` works with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qanat.chain.connection import Chain
from qanat.chain.deployment import Deployment
from qanat.cli.command import check_directory
from qanat.errors import BadParameters, Refused

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

__all__ = ["ApeSigner", "chain_of", "connect"]


class ApeSigner:
    """A :class:`qanat.chain.signer.Signer` over any Ape account: key file, test account, hardware wallet.

    What a command spends was shown and agreed to before; so a key file is opened once (its passphrase is asked for, or
    taken from ``APE_ACCOUNTS_<alias>_PASSPHRASE``), and Ape does not ask again for every signature.
    """

    def __init__(self, account: AccountAPI) -> None:
        self._account = account
        self._opened = False

    @property
    def address(self) -> str:
        """Checksummed address."""
        return str(self._account.address)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction given in web3's fields, all of them filled in; return the raw bytes to send."""
        from ape.utils import ManagerAccessMixin

        self._open()
        fields = dict(transaction)
        fields["sender"] = fields.pop("from", self.address)
        if not fields.get("to"):
            fields.pop("to", None)  # a creation: web3 says so by an empty address, which Ape would sign as another one
        ecosystem = ManagerAccessMixin.provider.network.ecosystem
        prepared = ecosystem.create_transaction(**fields)
        signed = self._account.sign_transaction(prepared)
        if signed is None:
            raise Refused(f"{self.address} did not sign the transaction.")
        return bytes(signed.serialize_transaction())

    def sign_typed_data(self, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> bytes:
        """Sign EIP-712 data; ``types`` leaves out ``EIP712Domain``. Return 65 bytes: r, s, v."""
        from eth_account.messages import encode_typed_data

        return self._sign(encode_typed_data(dict(domain), dict(types), dict(message)))

    def sign_message(self, text: str) -> bytes:
        """Sign a text as EIP-191 message. Return 65 bytes: r, s, v."""
        from eth_account.messages import encode_defunct

        return self._sign(encode_defunct(text=text))

    def _sign(self, message: Any) -> bytes:
        self._open()
        signature = self._account.sign_message(message)
        if signature is None:
            raise Refused(f"{self.address} did not sign.")
        return bytes(signature.encode_rsv())

    def _open(self) -> None:
        autosign = getattr(self._account, "set_autosign", None)
        if autosign is not None and not self._opened:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Ape warns of what is done on purpose
                autosign(True)
        self._opened = True


def chain_of(provider: ProviderAPI, deployment: str | Path | None = None, *, timeout: float = 20.0) -> Chain:
    """Connect to the endpoint of Ape's provider, with the deployment named, or the one of its network.

    Raises:
        BadParameters: the provider has no HTTP endpoint (Ape's in-memory tester).
        NotDeployed: nothing is deployed there.
    """
    return _with_deployment(connect(provider, timeout=timeout), provider, deployment)


def connect(provider: ProviderAPI, *, timeout: float = 20.0) -> Chain:
    """Connect to the endpoint of Ape's provider, without a deployment."""
    url = getattr(provider, "http_uri", None)
    if not isinstance(url, str) or not url.startswith("http"):
        raise BadParameters(
            f"The provider {provider.name} has no HTTP endpoint.",
            hint="Use foundry, or a node's address with --network.",
        )
    return Chain.connect(url, timeout=timeout)


def _with_deployment(chain: Chain, provider: ProviderAPI, deployment: str | Path | None) -> Chain:
    name = provider.network.name.removesuffix("-fork")
    if deployment is not None:
        chain.use(Deployment.load(deployment))
    elif Deployment.find(name).is_file():
        chain.use(Deployment.load(name))
    else:
        chain.use(Deployment.for_chain(chain.chain_id))
    check_directory(chain)
    return chain

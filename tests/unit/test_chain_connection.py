"""Connections: reached or not, the right chain or not, which block is safe, which precompiles answer."""

from __future__ import annotations

import http.server
import json
import threading
import time

import httpx
import pytest

from qanat.chain.connection import Chain
from qanat.chain.deployment import DeployedContract, Deployment, Token, write_atomically
from qanat.chain.probe import check_precompiles, probe_precompiles
from qanat.chain.sender import Sender
from qanat.errors import (
    BadParameters,
    ChainError,
    ChainUnreachable,
    FileUnreadable,
    MissingPrecompiles,
    NotDeployed,
    WrongChain,
)
from tests.unit.local_chain import anvil, deploy, free_port, key_signer

NOWHERE = "0x" + "11" * 20


def deployment(**overrides) -> Deployment:
    values = {"network": "local", "chain_id": 31337, "contracts": {"Objects": DeployedContract(NOWHERE, 3)}}
    return Deployment(**{**values, **overrides})


@pytest.fixture(scope="module")
def local():
    with anvil() as chain:
        yield chain


class TestConnect:
    def test_refuses_what_is_no_address(self):
        with pytest.raises(BadParameters):
            Chain.connect("ipc:///somewhere")

    def test_says_that_nothing_answers(self):
        with pytest.raises(ChainUnreachable, match="no connection"):
            Chain.connect(f"http://127.0.0.1:{free_port()}", timeout=1)

    def test_gives_up_on_an_endpoint_that_never_answers(self):
        """A request ends after its timeout, tries included."""
        with (
            Endpoint(lambda _: time.sleep(3)) as url,
            pytest.raises(ChainUnreachable, match="no answer in time") as caught,
        ):
            Chain.connect(url, timeout=0.2)
        assert caught.value.data["timeout"] is True

    def test_an_endpoint_that_speaks_no_json_is_unreachable(self):
        with Endpoint(lambda _: b"<html>busy</html>") as url, pytest.raises(ChainUnreachable, match="no JSON-RPC"):
            Chain.connect(url, timeout=2)

    def test_never_shows_the_path_of_an_endpoint(self):
        """An endpoint's path is often an API key."""
        url = f"http://user:word@127.0.0.1:{free_port()}/v3/secret"
        with pytest.raises(ChainUnreachable) as caught:
            Chain.connect(url, timeout=1)
        assert "secret" not in str(caught.value)
        assert "word" not in str(caught.value)

    def test_wrong_chain_by_id(self, local):
        with pytest.raises(WrongChain) as caught:
            local.connect(chain_id=1)
        assert caught.value.data == {"got": 31337, "expected": 1}

    def test_wrong_chain_by_deployment(self, local):
        with pytest.raises(WrongChain):
            local.connect(deployment=deployment(chain_id=5))

    def test_right_chain(self, local):
        chain = local.connect(deployment=deployment(), chain_id=31337)
        assert chain.chain_id == 31337
        assert chain.deployment.network == "local"

    def test_without_a_deployment_contracts_are_not_deployed(self, local):
        with pytest.raises(NotDeployed):
            local.connect().contract("Objects")

    def test_a_deployment_without_code_here_is_found_out(self, local):
        with pytest.raises(NotDeployed, match="Objects has no code"):
            local.connect(deployment=deployment()).check_deployed()

    def test_errors_of_the_endpoint_are_chain_errors(self, local):
        with pytest.raises(ChainError, match="no_such_method") as caught:
            local.connect().rpc("no_such_method")
        assert not isinstance(caught.value, ChainUnreachable)


class TestBlocks:
    def test_safe_and_final_blocks_by_tag(self):
        with anvil("--slots-in-an-epoch", "1") as local:
            chain = local.connect()
            chain.rpc("anvil_mine", hex(10))
            assert (chain.latest(), chain.safe_block(), chain.finalized_block()) == (10, 9, 8)
            assert chain.safe_rule == "tag safe"

    def test_a_chain_without_tags_falls_back_to_the_block_before(self):
        def answer(request):
            if request["method"] == "eth_getBlockByNumber":
                return {"error": {"code": -32602, "message": "invalid block tag"}}
            return {"result": {"eth_chainId": "0x1", "eth_blockNumber": "0x7"}[request["method"]]}

        with Endpoint(answer) as url:
            chain = Chain.connect(url)
            assert chain.safe_block() == 6
            assert chain.safe_rule == "latest - 1"
            assert chain.finalized_block() == 5

    def test_a_block_that_is_not_mined_is_named(self, local):
        with pytest.raises(ChainError, match="no block 123456"):
            local.connect().block(123456)

    def test_hash_and_time(self, local):
        chain = local.connect()
        assert len(chain.block_hash(0)) == 32
        assert chain.timestamp() > 0


class TestPrecompiles:
    def test_prague_has_them_all(self, local):
        chain = local.connect()
        assert probe_precompiles(chain.web3) == []
        chain.rpc("anvil_mine", hex(5))
        assert probe_precompiles(chain.web3) == []
        check_precompiles(chain.web3)

    def test_cancun_lacks_the_curve_and_the_history(self):
        with anvil(hardfork="cancun") as local:
            chain = local.connect()
            chain.rpc("anvil_mine", hex(5))
            missing = probe_precompiles(chain.web3)
            assert len(missing) == 8
            assert not any("0x0a" in item for item in missing)
            with pytest.raises(MissingPrecompiles) as caught:
                check_precompiles(chain.web3)
            assert caught.value.data["missing"] == missing

    def test_an_older_chain_lacks_point_evaluation_too(self):
        with anvil(hardfork="shanghai") as local:
            assert len(probe_precompiles(local.connect().web3)) == 9

    @pytest.mark.parametrize("number", [*range(0x0A, 0x12)])
    def test_a_precompile_that_answers_wrongly_is_missing(self, local, number):
        """Code put in its place answers with zeros, as a chain would that took the call for one to an empty account."""
        chain = local.connect()
        snapshot = chain.rpc("evm_snapshot")
        url = local.url

        def answer(request):
            if request["method"] == "eth_call" and int(request["params"][0]["to"], 16) == number:
                return {"result": "0x" + "00" * 256}
            return {key: value for key, value in forward(url, request).items() if key in {"result", "error"}}

        with Endpoint(answer) as lying:
            missing = probe_precompiles(Chain.connect(lying).web3)
        chain.rpc("evm_revert", snapshot)
        assert any(f"0x{number:02x} " in item for item in missing)


class TestDeployment:
    def test_roundtrip(self, tmp_path):
        made = (
            deployment(commit="abc").with_token("QBD", Token(NOWHERE, 6, ("bond",), faucet=True)).with_shard("main", 1)
        )
        path = made.save(tmp_path / "sub" / "local.json")
        loaded = Deployment.load(path)
        assert loaded.path == path
        assert loaded.to_json() == made.to_json()
        assert (loaded.token("qbd"), loaded.symbol(NOWHERE)) == (made.tokens["QBD"], "QBD")
        assert (loaded.shard(), loaded.shard("main"), loaded.shard("7")) == (1, 1, 7)
        assert loaded.first_block == 3
        assert [item.name for item in path.parent.iterdir()] == ["local.json"]

    def test_by_name_of_the_network(self, tmp_path, monkeypatch):
        monkeypatch.setenv("QANAT_DEPLOYMENTS", str(tmp_path))
        deployment().save(tmp_path / "local.json")
        assert Deployment.load("local").chain_id == 31337
        with pytest.raises(NotDeployed):
            Deployment.load("elsewhere")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"network": "a", "chainId": "x"}',
            "not json",
            '{"network":"a","chainId":1,"contracts":{"A":{"address":"0x1","block":1}}}',
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, text):
        path = tmp_path / "x.json"
        path.write_text(text)
        with pytest.raises(FileUnreadable, match=r"x\.json"):
            Deployment.load(path)

    def test_unknown_names_say_what_is_known(self):
        with pytest.raises(NotDeployed, match="Objects"):
            deployment().address("Shards")
        with pytest.raises(BadParameters):
            deployment().token("NONE")
        with pytest.raises(BadParameters):
            deployment().shard("none")
        with pytest.raises(NotDeployed):
            deployment().shard()

    def test_a_write_that_fails_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "file.json"
        path.write_text("old")
        with pytest.raises(TypeError):
            write_atomically(path, None)  # type: ignore[arg-type]
        assert path.read_text() == "old"
        assert [item.name for item in tmp_path.iterdir()] == ["file.json"]


# ---- modules that change while a process runs

DIRECTORY = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {IDirectory} from "contracts/interfaces/IDirectory.sol";

contract Signpost {
    mapping(bytes32 => address) public module;
    function set(bytes32 name, address to) external { module[name] = to; emit IDirectory.ModuleSet(name, to); }
}
"""


class TestFollowModules:
    @pytest.fixture
    def post(self, local):
        """Return (a connection that knows a directory, a function that swaps Objects)."""
        chain = local.connect()
        sender = Sender(chain, key_signer())
        directory = deploy(sender, "Signpost", source=DIRECTORY)
        chain.use(
            deployment(
                contracts={
                    "Directory": DeployedContract(directory.address, 1),
                    "Objects": DeployedContract(NOWHERE, 3),
                }
            )
        )

        def swap(address: str) -> int:
            receipt = sender.send(directory.functions.set(b"objects".ljust(32, b"\0"), address))
            return int(receipt["blockNumber"])

        return chain, swap

    def test_a_swap_is_seen_at_the_next_look(self, post):
        chain, swap = post
        first, second = "0x" + "22" * 20, "0x" + "33" * 20
        chain.follow_modules(swap(first))
        assert chain.contract("Objects").address == first
        block = swap(second)
        assert chain.contract("Objects").address == first
        chain.follow_modules(block)
        assert chain.contract("Objects").address == second

    def test_blocks_without_a_swap_cost_no_question(self, post):
        chain, swap = post
        block = swap("0x" + "22" * 20)
        chain.web3.provider.make_request("anvil_mine", ["0x43"])
        chain.follow_modules(block + 64)
        known = chain.contract("Objects")
        chain.follow_modules(block + 67)
        assert chain.contract("Objects") is known

    def test_a_swap_that_a_reorg_brings_into_a_block_seen_before_is_found(self, post):
        chain, swap = post
        chain.follow_modules(swap("0x" + "22" * 20) + 2)  # looked two blocks further, on another branch
        assert chain.contract("Objects").address == "0x" + "22" * 20
        block = swap("0x" + "33" * 20)
        chain.web3.provider.make_request("anvil_mine", ["0x2"])
        chain.follow_modules(block + 2)
        assert chain.contract("Objects").address == "0x" + "33" * 20

    def test_a_reorg_asks_anew(self, post):
        chain, swap = post
        block = swap("0x" + "22" * 20)
        chain.follow_modules(block)
        known = chain.contract("Objects")
        chain.follow_modules(block - 1)
        assert chain.contract("Objects") is not known

    def test_an_endpoint_that_fails_is_asked_for_the_same_blocks_again(self, post, monkeypatch):
        chain, swap = post
        chain.follow_modules(swap("0x" + "22" * 20))
        assert chain.contract("Objects").address == "0x" + "22" * 20
        block = swap("0x" + "33" * 20)
        with monkeypatch.context() as patched:
            patched.setattr(chain, "rpc", lambda *_: (_ for _ in ()).throw(ChainUnreachable("gone")))
            with pytest.raises(ChainUnreachable):
                chain.follow_modules(block)
        chain.follow_modules(block)
        assert chain.contract("Objects").address == "0x" + "33" * 20


# ---- an endpoint that answers as a test says


_answers: dict[str, dict] = {}


def forward(url, request):
    """Pass a call on; what was asked before is remembered, since curve arithmetic takes its time."""
    asked = json.dumps([url, request["method"], request["params"]])
    if asked not in _answers:
        _answers[asked] = httpx.post(url, json=request, timeout=60).json()
    return _answers[asked]


class Endpoint:
    """An HTTP server on loopback that answers requests with a function of them: bytes, or an answer's fields."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                made = answer(request)
                if made is None:
                    return
                answered = {"jsonrpc": "2.0", "id": request["id"]}
                body = made if isinstance(made, bytes) else json.dumps({**answered, **made}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

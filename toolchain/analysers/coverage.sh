#!/usr/bin/env bash
# Lines and branches of contracts/restaking and of its libraries that the Forge tests reach.
set -euo pipefail
cd "$(dirname "$0")/../.."

forge=$(ls node_modules/@foundry-rs/forge-*/bin/forge)
"$forge" coverage --ir-minimum --match-path 'tests/forge/*.t.sol' --report summary |
    awk -F'|' '/^\| File/ || /contracts\/(restaking|libraries\/(StakePools|RewardBooks|TicketMath))/'

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RewardBooks
/// @notice What the shares of one pool, (operator, collateral), have earned, in up to four tokens. Booking costs the same for any number of
/// restakers: an accumulator of reward per share, in 1/SCALE units; what division leaves over is carried to the next booking, and what a restaker can't
/// be paid in whole units stays its own. No unit is lost, none is paid twice.
///
/// A restaker's account is one number: what it would be owed had it always held the shares that it has now, less what it is owed. It may be below zero, and
/// `shares · perShare` may be above 2²⁵⁶: both are kept modulo 2²⁵⁶, and so is their difference, which is what is owed, below 2²⁵⁶ by itself (a sum of
/// amounts times SCALE), and so exact.
library RewardBooks {
    /// A restaker is brought up to date in every token at once; four keep that cheap.
    uint256 internal constant MAX_TOKENS = 4;
    /// Amounts (< 2^104) times this stay below 2^194: what a restaker is owed, all amounts that were ever booked to it, fits a word.
    uint256 internal constant SCALE = 1e27;

    struct Book {
        // the first token and the number of all in one slot: most books have one
        address firstToken;
        uint8 tokenCount;
        address[3] moreTokens;
        mapping(address token => mapping(uint256 generation => uint256)) perShare;
        mapping(address token => uint256) carried;
        /// shares · perShare − owed, modulo 2²⁵⁶, in 1/SCALE units
        mapping(address restaker => mapping(address token => uint256)) accounts;
    }

    /// @notice Books up to `amount` to all shares of a generation; returns what was booked: all or nothing.
    function book(Book storage self, address token, uint256 generation, uint256 amount, uint256 shares)
        internal
        returns (uint256)
    {
        if (amount == 0 || shares == 0 || !_list(self, token)) return 0;
        uint256 scaled = amount * SCALE + self.carried[token];
        self.perShare[token][generation] += scaled / shares;
        self.carried[token] = scaled % shares;
        return amount;
    }

    /// @notice A restaker's shares, `shares` of `generation`, become `nextShares` of `next`: it is owed the same after as before, in every token.
    function changeShares(
        Book storage self,
        address restaker,
        uint256 shares,
        uint256 generation,
        uint256 nextShares,
        uint256 next
    ) internal {
        uint256 n = self.tokenCount;
        for (uint256 i = 0; i < n; ++i) {
            address token = _tokenAt(self, i);
            uint256 perShare = self.perShare[token][generation];
            uint256 nextPerShare = next == generation ? perShare : self.perShare[token][next];
            unchecked {
                self.accounts[restaker][token] += nextShares * nextPerShare - shares * perShare;
            }
        }
    }

    /// @notice Takes the whole units that a restaker is owed in one token.
    function take(Book storage self, address restaker, address token, uint256 shares, uint256 generation)
        internal
        returns (uint256 amount)
    {
        amount = claimable(self, restaker, token, shares, generation);
        unchecked {
            self.accounts[restaker][token] += amount * SCALE;
        }
    }

    function claimable(Book storage self, address restaker, address token, uint256 shares, uint256 generation)
        internal
        view
        returns (uint256)
    {
        unchecked {
            return (shares * self.perShare[token][generation] - self.accounts[restaker][token]) / SCALE;
        }
    }

    function _tokenAt(Book storage self, uint256 index) private view returns (address) {
        return index == 0 ? self.firstToken : self.moreTokens[index - 1];
    }

    function _list(Book storage self, address token) private returns (bool) {
        uint256 n = self.tokenCount;
        for (uint256 i = 0; i < n; ++i) {
            if (_tokenAt(self, i) == token) return true;
        }
        if (n == MAX_TOKENS) return false;
        if (n == 0) self.firstToken = token;
        else self.moreTokens[n - 1] = token;
        self.tokenCount = uint8(n + 1);
        return true;
    }
}

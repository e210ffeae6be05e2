// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RewardBooks
/// @notice What the shares of one pool, (operator, collateral), have earned, in up to four tokens. Booking costs the same for any number of
/// restakers: an accumulator of reward per share, in 1/SCALE units; what division leaves over is carried to the next booking, and what a restaker can't
/// be paid in whole units stays its own. No unit is lost, none is paid twice.
library RewardBooks {
    /// A restaker is brought up to date in every token at once; four keep that cheap.
    uint256 internal constant MAX_TOKENS = 4;
    /// Amounts (< 2^104) times this stay below 2^194, so that sums and products by shares fit a word.
    uint256 internal constant SCALE = 1e27;

    struct Account {
        // accumulator up to which `owed` is counted, of the generation of the restaker's shares
        uint256 paid;
        // 1/SCALE units
        uint256 owed;
    }

    struct Book {
        address[] tokens;
        mapping(address token => mapping(uint256 generation => uint256)) perShare;
        mapping(address token => uint256) carried;
        mapping(address restaker => mapping(address token => Account)) accounts;
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

    /// @notice Brings a restaker up to date in every token before its shares change. `next` is the generation that its shares will be of.
    function checkpoint(Book storage self, address restaker, uint256 shares, uint256 generation, uint256 next)
        internal
    {
        uint256 n = self.tokens.length;
        for (uint256 i = 0; i < n; ++i) {
            address token = self.tokens[i];
            Account storage account = self.accounts[restaker][token];
            uint256 perShare = self.perShare[token][generation];
            if (shares != 0 && perShare != account.paid) account.owed += shares * (perShare - account.paid);
            account.paid = next == generation ? perShare : self.perShare[token][next];
        }
    }

    /// @notice Brings a restaker up to date in one token, and takes the whole units that it is owed.
    function take(Book storage self, address restaker, address token, uint256 shares, uint256 generation)
        internal
        returns (uint256 amount)
    {
        Account storage account = self.accounts[restaker][token];
        uint256 owed = account.owed;
        if (shares != 0) {
            uint256 perShare = self.perShare[token][generation];
            owed += shares * (perShare - account.paid);
            account.paid = perShare;
        }
        amount = owed / SCALE;
        account.owed = owed % SCALE;
    }

    function claimable(Book storage self, address restaker, address token, uint256 shares, uint256 generation)
        internal
        view
        returns (uint256)
    {
        Account storage account = self.accounts[restaker][token];
        uint256 owed = account.owed;
        if (shares != 0) owed += shares * (self.perShare[token][generation] - account.paid);
        return owed / SCALE;
    }

    function _list(Book storage self, address token) private returns (bool) {
        uint256 n = self.tokens.length;
        for (uint256 i = 0; i < n; ++i) {
            if (self.tokens[i] == token) return true;
        }
        if (n == MAX_TOKENS) return false;
        self.tokens.push(token);
        return true;
    }
}

"""Lists of claims, and vouchers for reads: what the contracts `ClaimLists` and `Payments` check, made off chain."""

from qanat.payments.claims import ClaimList, Leaf
from qanat.payments.vouchers import VOUCHER_HEADER, Voucher, make_voucher, read_voucher, signed_by

__all__ = ["VOUCHER_HEADER", "ClaimList", "Leaf", "Voucher", "make_voucher", "read_voucher", "signed_by"]

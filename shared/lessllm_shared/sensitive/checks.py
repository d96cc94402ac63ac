"""Whether a number is one that is given out: digits and letters without separators in, a verdict out.

python-stdnum knows the national numbers, libphonenumber's port the telephone numbers; the two that they
lack are here. What is quick to work out comes first: a text may hold thousands of candidates.
"""

from functools import lru_cache

import phonenumbers
from stdnum import iban as _iban
from stdnum import luhn
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.iso7064 import mod_11_2
from stdnum.kr import rrn
from stdnum.us import ssn

# GB/T 2260
_PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
# Issuers' ranges (ISO/IEC 7812): first digits, and how many there are in all
_ISSUERS = (
    (("4",), (16, 19)),  # Visa; those of 13 digits are gone, and look like article numbers
    (("51", "52", "53", "54", "55"), (16,)),  # Mastercard
    (tuple(str(n) for n in range(2221, 2721)), (16,)),
    (("34", "37"), (15,)),  # American Express
    (("62",), (16, 17, 18, 19)),  # UnionPay
    (("6011", "65", *(str(n) for n in range(644, 650))), (16, 17, 18, 19)),  # Discover
    (tuple(str(n) for n in range(3528, 3590)), (16, 17, 18, 19)),  # JCB
    (("36", "38", "39", *(str(n) for n in range(300, 306))), (14,)),  # Diners
)


def card(digits: str) -> bool:
    """A payment card's."""
    fits = any(len(digits) in lengths and digits.startswith(starts) for starts, lengths in _ISSUERS)
    return fits and luhn.is_valid(digits) and len(set(digits)) > 1


@lru_cache(4096)
def phone(number: str, region: str | None) -> bool:
    """With + and the country's code, or in a country's own form."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def cn_id(number: str) -> bool:
    """居民身份证: province, date of birth, check digit.

    Not by ric.is_valid, which refuses whoever is older than the county's code.
    """
    number = number.upper()
    if number[:2] not in _PROVINCES or not mod_11_2.is_valid(number):
        return False
    try:
        born = ric.get_birth_date(number)
    except ValidationError:
        return False
    return 1900 <= born.year < 2100


def iban(number: str) -> bool:
    """A bank account's."""
    return _iban.is_valid(number)


def us_ssn(number: str) -> bool:
    """With its hyphens."""
    return ssn.is_valid(number)


def kr_rrn(number: str) -> bool:
    """주민등록번호."""
    return rrn.is_valid(number)


def es_dni(number: str) -> bool:
    """DNI or NIE."""
    return nie.is_valid(number) if number[0] in "XYZ" else dni.is_valid(number)


def fr_nir(number: str) -> bool:
    """Numéro de sécurité sociale."""
    return nir.is_valid(number)


def gb_nino(number: str) -> bool:
    """National Insurance number: prefixes that are never given out apart, any form is one."""
    return number[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def tw_id(number: str) -> bool:
    """國民身分證: a letter for the place, which stands for two digits, then weights 8 to 1."""
    place = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    digits = [int(digit) for digit in number[1:]]
    total = (
        place // 10
        + place % 10 * 9
        + sum(d * w for d, w in zip(digits, (8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True))
    )
    return total % 10 == 0


def hk_id(number: str) -> bool:
    """香港身份證: letters count from 10, a missing first one as 36, weights 9 to 1, modulo 11."""
    letters, check = number[:-7].rjust(2), number[-1]
    values = [36 if one == " " else int(one, 36) for one in letters] + [int(digit) for digit in number[-7:-1]]
    values.append(10 if check == "A" else int(check))
    return sum(v * w for v, w in zip(values, (9, 8, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 11 == 0

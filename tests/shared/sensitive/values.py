"""Made-up sensitive values that look right, by kind, and values that only look so.

No real credential or person: random characters and digits in the documented forms, put together at run
time, so that this file holds nothing that looks like a secret.
"""

import base64
import json
import re
import string

from stdnum import luhn
from stdnum.iso7064 import mod_11_2, mod_97_10

ALNUM = string.ascii_letters + string.digits
URL64 = ALNUM + "-_"
HEX = "0123456789abcdef"


def some(rng, alphabet, count):
    return "".join(rng.choice(alphabet) for _ in range(count))


def mixed(rng, alphabet, count):
    """With letters and digits both."""
    while True:
        text = some(rng, alphabet, count)
        if any(c.isdigit() for c in text) and any(c.isalpha() for c in text):
            return text


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(rng):
    header = json.dumps({"alg": rng.choice(["HS256", "RS256"]), "typ": "JWT"}, separators=(",", ":"))
    payload = json.dumps({"sub": some(rng, string.digits, 10), "iat": rng.randrange(10**9, 2 * 10**9)})
    return ".".join(
        [base64url(header.encode()), base64url(payload.encode()), some(rng, URL64, rng.choice([43, 86]))]
    )


def pem(rng, name):
    lines = [some(rng, ALNUM + "+/", 64) for _ in range(rng.randrange(3, 27))]
    return "\n".join(
        [f"-----BEGIN {name}-----", *lines, some(rng, ALNUM, 30) + "==", f"-----END {name}-----"]
    )


def private_key(rng):
    text = pem(rng, rng.choice(["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""]) + "PRIVATE" + " KEY")
    return text.replace("\n", "\\n") if rng.random() < 0.3 else text


def card(rng):
    start, length = rng.choice(
        [
            ("4", 16),
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("37", 15),
            ("62", 16),
            ("6011", 16),
            ("3530", 16),
            ("36", 14),
            ("62", 19),
        ]
    )
    body = start + some(rng, string.digits, length - len(start) - 1)
    number = body + luhn.calc_check_digit(body)
    separator = rng.choice(["", "", " ", "-"])
    if separator and length == 15:
        return separator.join([number[:4], number[4:10], number[10:]])
    if separator and length in (16, 19):
        return separator.join(number[at : at + 4] for at in range(0, length, 4))
    return number


def cn_id(rng):
    place = rng.choice(["110101", "310115", "440305", "330106", "510104", "420106", "320102", "610113"])
    born = f"{rng.randrange(1950, 2010)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
    body = place + born + some(rng, string.digits, 3)
    number = body + mod_11_2.calc_check_digit(body)
    return number.lower() if rng.random() < 0.2 else number


def iban(rng):
    country, form = rng.choice(
        [
            ("DE", "18d"),
            ("FR", None),
            ("GB", "4l14d"),
            ("NL", "4l10d"),
            ("ES", None),
            ("AT", "16d"),
            ("CH", "17d"),
        ]
    )
    if form is None:
        return rng.choice(_IBANS)
    body = "".join(
        some(rng, string.ascii_uppercase if what == "l" else string.digits, int(count))
        for count, what in re.findall(r"(\d+)([ld])", form)
    )
    if country == "CH":
        body = body[:17]
    number = country + mod_97_10.calc_check_digits(body + country) + body
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if rng.random() < 0.5 else number


_IBANS = (
    "FR1420041010050500013M02606",
    "FR14 2004 1010 0505 0001 3M02 606",
    "ES9121000418450200051332",
)  # the registry's examples


def phone(rng):
    kind = rng.randrange(8)
    mobile = "1" + rng.choice(["38", "39", "50", "86", "77", "31", "58"]) + some(rng, string.digits, 8)
    area, rest = (
        rng.choice(["415", "212", "312", "617"]),
        f"{rng.randrange(200, 999)}-{rng.randrange(1000, 9999)}",
    )
    while rest[1:3] == "11" or rest.startswith("555"):
        rest = f"{rng.randrange(200, 999)}-{rng.randrange(1000, 9999)}"
    return [
        mobile,
        f"{mobile[:3]}{(s := rng.choice(' -'))}{mobile[3:7]}{s}{mobile[7:]}",
        "+86 " + mobile,
        f"+86-{mobile[:3]}-{mobile[3:7]}-{mobile[7:]}",
        rng.choice(["010", "021"]) + "-" + rng.choice("568") + some(rng, string.digits, 7),
        f"({area}) {rest}",
        f"+1 {area} {rest.replace('-', ' ')}",
        rng.choice(["+44 20 7946 0", "+44 20 8366 1", "+49 30 9018 2", "+33 1 42 68 5"])
        + some(rng, string.digits, 3),
    ][kind]


def us_ssn(rng):
    area = rng.choice([*range(100, 665), *range(667, 899)])
    return f"{area:03}-{rng.randrange(1, 99):02}-{rng.randrange(1, 9999):04}"


def kr_rrn(rng):
    body = (
        f"{rng.randrange(50, 99)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
        + rng.choice("12")
        + some(rng, string.digits, 5)
    )
    check = (
        11 - sum(int(d) * w for d, w in zip(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True)) % 11
    ) % 10
    return f"{body[:6]}-{body[6:]}{check}"


def gb_nino(rng):
    return rng.choice(["AB", "CE", "JH", "PW", "SX", "LM"]) + some(rng, string.digits, 6) + rng.choice("ABCD")


def es_dni(rng):
    number = rng.randrange(10_000_000, 99_999_999)
    return f"{number}{rng.choice(['', '-'])}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def fr_nir(rng):
    body = f"{rng.choice('12')}{rng.randrange(50, 99)}{rng.randrange(1, 13):02}{rng.randrange(10, 95)}{rng.randrange(1, 990):03}{rng.randrange(1, 999):03}"
    return body + f"{97 - int(body) % 97:02}"


def tw_id(rng):
    body = rng.choice("ABCDEFGHJ") + rng.choice("12") + some(rng, string.digits, 7)
    place = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(body[0]) + 10
    total = (
        place // 10 + place % 10 * 9 + sum(int(d) * w for d, w in zip(body[1:], range(8, 0, -1), strict=True))
    )
    return body + str(-total % 10)


def hk_id(rng):
    body = rng.choice("ACDGKPRVYZ") + some(rng, string.digits, 6)
    total = (
        36 * 9
        + int(body[0], 36) * 8
        + sum(int(d) * w for d, w in zip(body[1:], range(7, 1, -1), strict=True))
    )
    return f"{body}({'0123456789A'[-total % 11]})"


def email(rng):
    local = rng.choice(
        ["ann", "bob.li", "zhang_wei", "j.o-neill", "sales+eu", "x9", "wang.fang88", "max.mustermann"]
    )
    return (
        local
        + "@"
        + rng.choice(
            [
                "gmail.com",
                "qq.com",
                "163.com",
                "mail.example.org",
                "company.co.uk",
                "uni-bonn.de",
                "startup.io",
                "sub.dept.corp.cn",
                "a-b.dev",
                "outlook.com",
            ]
        )
    )


SENSITIVE = {
    "anthropic_key": lambda r: (
        "sk-" + "ant-" + rng_of(r, "api03", "admin01", "oat01") + "-" + some(r, URL64, 93) + "AA"
    ),
    "openai_key": lambda r: (
        "sk-"
        + rng_of(r, "proj", "svcacct", "admin")
        + "-"
        + mixed(r, URL64, 74)
        + "T3Blbk"
        + "FJ"
        + some(r, URL64, 73)
        + "Q"
    ),
    "sk_key": lambda r: "sk-" + (mixed(r, HEX, 32) if r.random() < 0.5 else mixed(r, ALNUM, 48)),
    "openrouter_key": lambda r: "sk-" + "or-v1-" + some(r, HEX, 64),
    "groq_key": lambda r: "gsk_" + some(r, ALNUM, 52),
    "xai_key": lambda r: "xai-" + some(r, ALNUM, 80),
    "perplexity_key": lambda r: "pplx-" + some(r, ALNUM, 48),
    "replicate_token": lambda r: "r8_" + some(r, ALNUM, 37),
    "huggingface_token": lambda r: "hf_" + some(r, string.ascii_letters, 34),
    "aws_access_key": lambda r: rng_of(r, "AK", "AS") + "IA" + some(r, string.ascii_uppercase + "234567", 16),
    "alibaba_key": lambda r: "LT" + "AI5t" + mixed(r, ALNUM, 18),
    "tencent_key": lambda r: "AK" + "ID" + mixed(r, ALNUM, 32),
    "google_key": lambda r: "AI" + "za" + "Sy" + some(r, URL64, 32) + "k",
    "google_oauth": lambda r: "GOC" + "SPX-" + some(r, URL64, 27) + "k",
    "google_token": lambda r: "ya" + "29." + some(r, URL64, 150) + "k",
    "github_token": lambda r: (
        rng_of(r, "ghp_", "gho_", "ghs_") + mixed(r, ALNUM, 36)
        if r.random() < 0.7
        else "github_" + "pat_" + some(r, ALNUM, 22) + "_" + mixed(r, ALNUM, 59)
    ),
    "gitlab_token": lambda r: "gl" + "pat-" + mixed(r, ALNUM, 20),
    "slack_token": lambda r: (
        rng_of(r, "xox" + "b-", "xox" + "p-")
        + some(r, string.digits, 12)
        + "-"
        + some(r, string.digits, 12)
        + "-"
        + some(r, ALNUM, 24)
    ),
    "slack_webhook": lambda r: some(r, ALNUM, 24),
    "stripe_key": lambda r: (
        rng_of(r, "sk_", "rk_") + rng_of(r, "live_", "test_") + mixed(r, ALNUM, rng_of(r, 24, 99))
    ),
    "sendgrid_key": lambda r: some(r, URL64[:-2], 22) + "." + some(r, ALNUM, 43),
    "npm_token": lambda r: "npm" + "_" + mixed(r, ALNUM, 36),
    "pypi_token": lambda r: "pypi-" + "AgEIcHlwaS5vcmc" + some(r, URL64, 130) + "k",
    "databricks_token": lambda r: "da" + "pi" + some(r, HEX, 32),
    "shopify_token": lambda r: "shp" + "at_" + some(r, HEX, 32),
    "digitalocean_token": lambda r: "dop" + "_v1_" + some(r, HEX, 64),
    "vault_token": lambda r: some(r, ALNUM, 95),
    "notion_token": lambda r: "ntn" + "_" + some(r, string.digits, 11) + some(r, ALNUM, 35),
    "linear_key": lambda r: "lin" + "_api_" + some(r, ALNUM, 40),
    "age_key": lambda r: "AGE-SECRET" + "-KEY-1" + some(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "telegram_token": lambda r: "AA" + some(r, URL64, 32) + "k",
    "azure_key": lambda r: some(r, ALNUM + "+/", 86) + "==",
    "bearer_token": lambda r: mixed(r, ALNUM, rng_of(r, 24, 40, 64)),
    "basic_credentials": lambda r: base64.b64encode(
        f"user{r.randrange(99)}:{some(r, ALNUM, 12)}".encode()
    ).decode(),
    "assigned_secret": lambda r: mixed(r, rng_of(r, ALNUM, HEX, ALNUM + "+/"), rng_of(r, 20, 32, 40)),
    "url_password": lambda r: some(r, ALNUM + "!*", rng_of(r, 8, 14)),
    "jwt": jwt,
    "private_key": private_key,
    "email": email,
    "phone": phone,
    "card": card,
    "iban": iban,
    "cn_id": cn_id,
    "us_ssn": us_ssn,
    "kr_rrn": kr_rrn,
    "gb_nino": gb_nino,
    "es_dni": es_dni,
    "fr_nir": fr_nir,
    "tw_id": tw_id,
    "hk_id": hk_id,
}


def rng_of(rng, *choices):
    return rng.choice(choices)

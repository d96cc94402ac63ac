"""What looks like sensitive data and is none: hashes, ids, times, versions, orders, code, base64, Chinese text.

Written before the detector was tuned.
"""

import base64
import string
import uuid

from stdnum import luhn
from stdnum.iso7064 import mod_11_2

from .values import ALNUM, HEX, mixed, pem, some

_WORDS = [
    "alpha",
    "beta",
    "cache",
    "delta",
    "engine",
    "folder",
    "gamma",
    "handler",
    "index",
    "job",
    "kernel",
    "ledger",
    "model",
    "number",
    "object",
    "parser",
    "query",
    "record",
    "server",
    "table",
    "unit",
    "value",
    "worker",
    "order",
    "fade",
    "circle",
    "loader",
    "button",
    "primary",
    "review",
    "summary",
    "token",
]


def words(rng, joint, count):
    return joint.join(rng.choice(_WORDS) for _ in range(count))


def _no_luhn(rng, start, length):
    while True:
        number = start + some(rng, string.digits, length - len(start))
        if not luhn.is_valid(number):
            return number


def _not(valid, make):
    while valid(number := make()):
        pass
    return number


# What looks like the above and is not: each a text of its own
HARMLESS = {
    "git hash": lambda r: f"commit {some(r, HEX, 40)} ({some(r, HEX, 7)})",
    "sha256": lambda r: f"sha256:{some(r, HEX, 64)}",
    "integrity": lambda r: f'"integrity": "sha512-{some(r, ALNUM + "+/", 86)}=="',
    "uuid": lambda r: f"request_id={uuid.UUID(int=r.getrandbits(128), version=4)}",
    "uuid list": lambda r: ", ".join(str(uuid.UUID(int=r.getrandbits(128), version=4)) for _ in range(4)),
    "ISO time": lambda r: (
        f"2026-11-{r.randrange(1, 29):02}T{r.randrange(24):02}:00:00.{some(r, string.digits, 6)}Z"
    ),
    "epoch": lambda r: (
        f'{{"ts": {r.randrange(10**9, 2 * 10**9)}, "ms": {r.randrange(10**12, 2 * 10**12)}, "ns": {r.randrange(10**18, 2 * 10**18)}}}'
    ),
    "date range": lambda r: (
        f"from 2024-{r.randrange(1, 13):02}-01 to 2025-{r.randrange(1, 13):02}-28, 1998-2004"
    ),
    "order": lambda r: f"Order #{some(r, string.digits, r.choice([10, 12, 14, 16]))} has shipped",
    "订单": lambda r: f"订单号：{r.randrange(10**10, 2 * 10**10)}，请在 2026年11月25日 前付款",
    "tracking": lambda r: f"tracking number 1Z{some(r, string.ascii_uppercase + string.digits, 16)}",
    "version": lambda r: (
        f"v{r.randrange(20)}.{r.randrange(99)}.{r.randrange(9999)} build {some(r, string.digits, 8)}, python 3.11.{r.randrange(20)}"
    ),
    "address": lambda r: (
        f"10.{r.randrange(255)}.{r.randrange(255)}.1:8080, fe80::{some(r, HEX, 4)}:{some(r, HEX, 4)}, 00:1b:{some(r, HEX, 2)}:aa:01:02"
    ),
    "float": lambda r: (
        f"loss 0.{some(r, string.digits, 16)}, lr 1.{some(r, string.digits, 9)}e-05, lat 37.{some(r, string.digits, 7)}, -122.{some(r, string.digits, 7)}"
    ),
    "numbers": lambda r: f"[{', '.join(str(r.randrange(1000, 9999)) for _ in range(12))}]",
    "table": lambda r: "\n".join(" ".join(str(r.randrange(1000, 99999)) for _ in range(5)) for _ in range(4)),
    "no card": lambda r: f"value {_no_luhn(r, r.choice(['4', '51', '62']), 16)} of the series",
    "no card in groups": lambda r: (n := _no_luhn(r, "4", 16)) and f"{n[:4]} {n[4:8]} {n[8:12]} {n[12:]}",
    "ISBN": lambda r: f"ISBN 978-3-16-{some(r, string.digits, 6)}-0, EAN 400{some(r, string.digits, 10)}",
    "IMEI": lambda r: (b := "35" + some(r, string.digits, 12)) and f"device {b}{luhn.calc_check_digit(b)}",
    "no 身份证": lambda r: (
        "流水 " + _not(mod_11_2.is_valid, lambda: "330106" + "1990" + some(r, string.digits, 8))
    ),
    "信用代码": lambda r: f"统一社会信用代码 91350100M{some(r, string.digits, 6)}Y43",
    "QQ": lambda r: f"群号 {r.randrange(10**8, 10**9)}，编号 {some(r, string.digits, 11)}",
    "no SSN": lambda r: (
        f"part 000-{r.randrange(10, 99)}-{r.randrange(1000, 9999)}, 9{some(r, string.digits, 2)}-70-{some(r, string.digits, 5)}"
    ),
    "no phone": lambda r: (
        f"call 123-456-{some(r, string.digits, 4)} or 1-2-3, ratio 4-3-2, +1 000 {some(r, string.digits, 3)} 0000"
    ),
    "no DNI": lambda r: (
        f"serial {(n := r.randrange(10**7, 10**8 - 1))}{'TRWAGMYFPDXBNJZSQVHLCKE'[(n + 5) % 23]}"
    ),
    "git remote": lambda r: f"git clone git@github.com:{words(r, '-', 2)}/{words(r, '_', 2)}.git",
    "npm": lambda r: (
        f"@{words(r, '-', 1)}/{words(r, '-', 2)}@{r.randrange(20)}.{r.randrange(20)}.{r.randrange(20)}, react@18.2.0"
    ),
    "shell": lambda r: f"root@{words(r, '-', 2)}:~# scp file deploy@{words(r, '', 1)}:/tmp",
    "image": lambda r: f"{words(r, '-', 2)}@2x.png {words(r, '_', 1)}@3x.webp",
    "decorator": lambda r: (
        f"@{words(r, '.', 2)}\ndef {words(r, '_', 2)}(self): return self.{words(r, '_', 1)}@self.weight + x@w.T"
    ),
    "handle": lambda r: f"thanks @{words(r, '_', 2)}! cc @{words(r, '', 1)}{r.randrange(99)}",
    "css": lambda r: (
        f'<div class="sk-{words(r, "-", 3)} sk-{words(r, "-", 2)}{r.randrange(9)} xai-{words(r, "-", 2)}">'
    ),
    "placeholder": lambda r: r.choice(
        [
            'OPENAI_API_KEY="sk-..."',
            "export ANTHROPIC_API_KEY=sk-ant-xxxxx",
            "api_key = <your-api-key-goes-here-1>",
            'token: "${GITHUB_TOKEN_2}"',
            "sk-" + "x" * 40,
            "AKIA" + "X" * 4,
        ]
    ),
    "code": lambda r: r.choice(
        [
            'api_key = os.environ["OPENAI_API_KEY_V2"]',
            "token = tokenizer.encode_batch_2(text)",
            "password: str | None = None",
            "secret = secrets.token_urlsafe(32)",
            "max_tokens: 4096, token_count=123456789012345678",
            "access_token = get_access_token_from_cache_v2()",
            "const apiKey = process.env.API_KEY_2024_PROD;",
            "--token=$CI_JOB_TOKEN_V4_PIPELINE",
        ]
    ),
    "slug": lambda r: (
        f"token: {words(r, '-', 3)}-{r.randrange(2000, 2030)}-{words(r, '-', 1)}, key={words(r, '_', 4)}_{r.randrange(99)}"
    ),
    "identifier": lambda r: (
        f"{words(r, '_', 4)} = {words(r, '_', 3)}_{r.randrange(10**6)}({words(r, '.', 5)})"
    ),
    "constant": lambda r: f"{words(r, '_', 5).upper()} = {r.randrange(10**12)}",
    "public key": lambda r: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5{some(r, ALNUM, 48)} {words(r, '-', 1)}",
    "certificate": lambda r: pem(r, "CERTIFICATE"),
    "public pem": lambda r: pem(r, "PUBLIC" + " KEY"),
    "of PEM": lambda r: (
        "a file that begins with -----BEGIN " + "PRIVATE KEY----- is a private key in PKCS #8"
    ),
    "of JWT": lambda r: f"a JWT begins with eyJ, as in eyJhbGciOiJIUzI1NiJ9.{some(r, ALNUM, 4)}",
    "base64": lambda r: base64.b64encode(r.randbytes(r.choice([90, 300, 900]))).decode(),
    "data url": lambda r: "data:image/png;base64," + base64.b64encode(r.randbytes(600)).decode(),
    "url": lambda r: (
        f"https://cdn.{words(r, '-', 2)}.com/{some(r, ALNUM, 22)}/{words(r, '-', 4)}-{some(r, string.digits, 8)}.js?v={some(r, HEX, 20)}"
    ),
    "url port": lambda r: f"http://user@host:8080/{words(r, '/', 3)} redis://cache:6379/0 https://a.b/c:d@e",
    "url variables": lambda r: "postgres://${DB_USER}:${DB_PASSWORD}@db:5432/app",
    "of bearer": lambda r: "Authorization: Bearer <token>; a bearer authentication-scheme-version-2 server",
    "model id": lambda r: (
        f"claude-3-opus-20240229, gpt-4-0613, anthropic.claude-3-5-sonnet-20241022-v2:0, ft:gpt-4o:org::{some(r, ALNUM, 8)}"
    ),
    "ids": lambda r: (
        f'{{"id": "msg_{mixed(r, ALNUM, 24)}", "call_id": "call_{mixed(r, ALNUM, 24)}", "tool_use_id": "toolu_{mixed(r, ALNUM, 24)}", "chatcmpl": "chatcmpl-{mixed(r, ALNUM, 29)}"}}'
    ),
    "中文": lambda r: (
        f"第{r.randrange(100)}章：共{r.randrange(10**6)}字，比例 {r.random():.6f}，2026年11月{r.randrange(1, 29)}日 12:00，版本{r.randrange(10)}.{r.randrange(10)}.{r.randrange(10)}"
    ),
    "hex dump": lambda r: "\n".join(
        f"{at:08x}  " + " ".join(some(r, HEX, 2) for _ in range(16)) for at in range(0, 64, 16)
    ),
    "css colours": lambda r: f"#{some(r, HEX, 6)}; #{some(r, string.digits, 8)}; rgba(12,34,56,0.78)",
    "csv": lambda r: "\n".join(
        f"{r.randrange(10**5)},{r.randrange(10**7)},{r.random() * 1e4:.2f},2026-01-{r.randrange(10, 28)}"
        for _ in range(5)
    ),
    "phone like": lambda r: (
        f"1{some(r, string.digits, 9)} and 2{some(r, string.digits, 10)}; 0{some(r, string.digits, 4)}-1"
    ),
    "math": lambda r: (
        f"{r.randrange(10**5)} + {r.randrange(10**6)} = ?  x+1234567 ; y=+{some(r, string.digits, 3)}"
    ),
    "diff": lambda r: f"@@ -{r.randrange(1000)},7 +{r.randrange(1000)},9 @@\n+1234 lines",
    "time zones": lambda r: "Wed, 25 Nov 2026 12:00:00 +0800 (CST), UTC+8, GMT+1",
}

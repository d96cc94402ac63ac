"""The labelled set: texts with made-up sensitive values in them, and what of them is sensitive.

Two halves that share neither sentences nor values: `tuning`, which the detector was made with, and `final`,
which was kept back; only its figures are stated. `bench/sensitive.py` prints them.
"""

import random
from collections import Counter, defaultdict

from lessllm_shared.sensitive.finding import find
from shared.sensitive.harmless import HARMLESS, words
from shared.sensitive.values import SENSITIVE

# What needs its surroundings to be known at all
_OWN = {
    "slack_webhook": [
        "https://hooks.slack.com/services/T0{0}AB12CD3/B0{0}ZX98YW7/{1}",
        "curl -X POST 'https://hooks.slack.com/services/T1{0}AB12CD/B1{0}ZX98YW/{1}'",
    ],
    "sendgrid_key": ["SG.{1}", "SENDGRID={0}; SG.{1}"],
    "google_token": ["{1}", "Bearer {1}"],
    "vault_token": ["hvs.{1}", "VAULT: hvb.{1}"],
    "telegram_token": ["https://api.telegram.org/bot123456789{0}:{1}/getMe", "bot 98765432{0}:{1}"],
    "azure_key": [
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={1};EndpointSuffix=core.windows.net",
        "Endpoint=sb://x{0}/;SharedAccessKey={1}",
    ],
    "bearer_token": [
        "curl -H 'Authorization: Bearer {1}' https://a.b/c",
        'headers = {{"authorization": "Bearer {1}"}}',
    ],
    "basic_credentials": ["Authorization: Basic {1}", '"Authorization": "Basic {1}"'],
    "url_password": [
        "postgres://app:{1}@db.internal:5432/prod",
        "DATABASE_URL=mysql+pymysql://root:{1}@10.0.0.{0}/x",
    ],
    "assigned_secret": [
        "API_KEY={1}",
        'aws_secret_access_key = "{1}"',
        '{{"client_secret": "{1}"}}',
        "password: '{1}'",
        "?access_token={1}",
        "export SECRET_TOKEN={1}",
        'apiKey: "{1}",',
        "db_password={1}",
    ],
}
_AROUND = {
    "tuning": [
        "My key is {} and it fails",
        "{}",
        "值为 {}，请检查。",
        'print("{}")',
        "value: {}\nnext: 1",
        '{{"a": "{}", "b": 2}}',
        "请联系{}。",
        "- {}\n- other",
        "see <{}>",
        "the one ({}) works",
    ],
    "final": [
        "Please use {}, thanks!",
        "config = '{}'",
        "资料：{}；谢谢",
        "x={}",
        "| name | {} |",
        "Here it is:\n\n{}\n\nWhat now?",
        "「{}」",
        "\t{}\t0",
        '[["{}"]]',
        "from {} to somewhere; why?",
        '{{\\"v\\": \\"{}\\", \\"n\\": 1}}',
        "# .env\nFIRST=1\nVALUE={}\nLAST=2\n",
        "key:\n  - name: a\n    value: {} # rotated\n",
        "`{}`?",
        "…{}…",
        "first line\\n{}\\nlast line",
    ],
}
_EACH = 60


def samples(half, seed=7):
    """(text, {(kind, value)}, name) of one half."""
    rng = random.Random(f"{half}{seed}")
    for kind, make in SENSITIVE.items():
        for number in range(_EACH):
            value = make(rng)
            own = _OWN.get(kind, ["{1}"])
            inner = rng.choice(own).format(rng.randrange(10), value)
            label = value.removeprefix("ya29.") if kind == "google_token" else value
            yield rng.choice(_AROUND[half]).format(inner), {(kind, label)}, kind
            if number % 10 == 0:
                several = [(other, SENSITIVE[other](rng)) for other in ("email", "phone", "cn_id", "card")]
                text = f"{words(rng, ' ', 8)}: " + rng.choice([", ", "\n", " | ", "；"]).join(
                    value for _, value in several
                )
                yield text, set(several), "several"
    for name, make in HARMLESS.items():
        for _ in range(_EACH):
            yield rng.choice(_AROUND[half]).format(make(rng)), set(), name


def judged(half):
    """Right, wrong and missed by kind; what was wrong and what was missed."""
    right, wrong, missed = Counter(), Counter(), Counter()
    examples = defaultdict(list)
    for text, labels, name in samples(half):
        data = text.encode()
        found = {(one.kind, data[one.start : one.end].decode("utf-8", "replace")) for one in find(data)}
        for kind, value in found:
            is_right = (kind, value) in labels
            (right if is_right else wrong)[kind] += 1
            if not is_right:
                examples[f"wrong {kind} in {name}"].append((value, text))
        for kind, value in labels - found:
            missed[kind] += 1
            examples[f"missed {kind} in {name}"].append((value, text))
    return right, wrong, missed, examples


def figures(half):
    """{kind: (precision, recall, how many there are)}, and of all together."""
    right, wrong, missed, _ = judged(half)
    right["all"], wrong["all"], missed["all"] = right.total(), wrong.total(), missed.total()
    return {
        kind: (
            right[kind] / max(1, right[kind] + wrong[kind]),
            right[kind] / max(1, right[kind] + missed[kind]),
            right[kind] + missed[kind],
        )
        for kind in [*SENSITIVE, "all"]
    }
